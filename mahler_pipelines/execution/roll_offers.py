"""Roll offers: the roll of an open trade put before a person, from quotes of this moment."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

import pandas as pd

from mahler_pipelines.decisions.proposing import Proposal
from mahler_pipelines.decisions.rolling import (
    ROLL_SCAN,
    OpenTrade,
    RollCode,
    can_be_rolled,
    next_expiration,
    propose_roll,
)
from mahler_pipelines.errors import BadInput, MissingData
from mahler_pipelines.execution.account_view import Released, account_view
from mahler_pipelines.execution.booking import closing_fills
from mahler_pipelines.execution.desk import ExecutionDesk, Observation, present, session_of
from mahler_pipelines.execution.desk_terms import DeskTerms
from mahler_pipelines.execution.ledger import ExecutionLedger
from mahler_pipelines.execution.quotes import underlying_prices
from mahler_pipelines.execution.rolls import standing_roll
from mahler_pipelines.execution.trades import TradeStatus
from mahler_pipelines.market.chains import ChainSnapshot
from mahler_pipelines.market.lake import Lake
from mahler_pipelines.market.rates import rate_curve
from mahler_pipelines.risk.gates import gate_refusals
from mahler_pipelines.strategies.refusals import Refusal

ROLL_REFUSED = "roll_refused"
"""Kind of the event that keeps a roll which could not be offered, with the numbers against it."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """The chain of the expiration rolled to, beside the old legs."""

    expiration: date
    observation: Observation


def offer_roll(
    trade_id: str,
    *,
    desk: ExecutionDesk,
    terms: DeskTerms,
    reference: Lake,
    to: date | None = None,
) -> Proposal:
    """Propose the roll of an open trade and put it before a person, with its card.

    To the next listed expiration inside the screen's days to expiration, or to the one asked for.
    What stands against it is kept and returned; nothing is sent. Raises `MissingData` for an
    unknown trade and `BadInput` for an expiration that is not later.
    """
    clock = desk.broker.clock()
    at = present(clock)
    with desk.transaction() as ledger:
        trade = _open_trade(ledger, trade_id)
        if isinstance(trade, OpenTrade) and not clock.is_open:
            trade = Refusal(RollCode.MARKET_CLOSED, at.isoformat())
        if isinstance(trade, Refusal):
            return _refused(ledger, trade_id, Proposal(None, refusal=trade), at=at)
    if to is not None and to <= trade.short.expiration:
        raise BadInput("to", to, f"not later than {trade.short.expiration}")
    seen = _look(desk, trade, terms, to=to, at=at)
    account = desk.broker.account()
    with desk.transaction() as ledger:
        again = _open_trade(ledger, trade_id)
        if isinstance(again, Refusal):
            return _refused(ledger, trade_id, Proposal(None, refusal=again), at=at)
        if isinstance(seen, Refusal):
            return _refused(ledger, trade_id, Proposal(None, refusal=seen), at=at)
        released = Released(trade_id, again.units)
        proposal = propose_roll(
            again,
            seen.observation.quotes,
            expiration=seen.expiration,
            underlying_price=seen.observation.underlying_prices[again.short.underlying],
            session=session_of(at),
            as_of=at,
            rates=rate_curve(
                reference.read_reference("rates"), as_of=at, flat=terms.risk_free_rate
            ),
            snapshot_hash=seen.observation.snapshot_hash,
            account=account_view(ledger, account, at=at, released=released),
            limits=terms.risk,
            approval=terms.approval,
            exits=terms.exits,
            run_id=desk.run_id,
            tick=desk.terms.tick,
        )
        if proposal.recommendation is None:
            return _refused(ledger, trade_id, proposal, at=at)
        ledger.add_recommendation(proposal.recommendation, at=at)
        return proposal


def _open_trade(ledger: ExecutionLedger, trade_id: str) -> OpenTrade | Refusal:
    """The trade as it can be rolled now, or what stands against it."""
    trade = ledger.trade(trade_id)
    if trade is None:
        raise MissingData(f"no trade {trade_id}")
    if trade.status is not TradeStatus.OPEN:
        return Refusal(RollCode.TRADE_NOT_OPEN, trade.status.value)
    if not can_be_rolled(trade.structure):
        return Refusal(RollCode.NOT_A_VERTICAL_SPREAD, trade.structure.strategy)
    if (standing := standing_roll(ledger, trade_id)) is not None:
        return Refusal(RollCode.ROLL_IS_WAITING, standing.id)
    stored = ledger.recommendation(trade.recommendation_id)
    if stored is None:
        raise MissingData(f"no recommendation {trade.recommendation_id} of trade {trade_id}")
    before = sum(one.recommendation.rolls == trade_id for one in ledger.recommendations())
    units = trade.contracts - closing_fills(ledger, trade)[0]
    return OpenTrade(trade_id, stored.recommendation, units, attempt=before + 1)


def _look(
    desk: ExecutionDesk, trade: OpenTrade, terms: DeskTerms, *, to: date | None, at: datetime
) -> _Seen | Refusal:
    """Fetch the chain and the old legs once, and keep them as a snapshot of its own."""
    first, last = _window(trade, terms, to=to, today=session_of(at))
    underlying = trade.short.underlying
    chain = desk.market_data.chain(underlying, expires_from=first, expires_to=last)
    expiration = next_expiration(chain, trade, first=first, last=last)
    if expiration is None:
        return Refusal(RollCode.NO_LATER_EXPIRATION, str(first), str(last))
    old = desk.market_data.option_quotes(trade.entry.structure.symbols)
    target = chain[chain["expiration"] == pd.Timestamp(expiration)]
    quotes = pd.concat([target, old], ignore_index=True)
    levels = underlying_prices(quotes, desk.market_data.stock_quotes([underlying]), [underlying])
    if underlying not in levels:
        return Refusal(RollCode.UNDERLYING_PRICE_NOT_AVAILABLE, underlying)
    snapshot = ChainSnapshot(session_of(at), ROLL_SCAN, at, quotes)
    kept = desk.lake.add_snapshot(snapshot, move_pointer=False)
    return _Seen(expiration, Observation(at, quotes, levels, kept))


def _window(
    trade: OpenTrade, terms: DeskTerms, *, to: date | None, today: date
) -> tuple[date, date]:
    """First and last expiration to roll to, both inclusive."""
    if to is not None:
        return to, to
    least, most = terms.screen.dte_min or 0, terms.screen.dte_max or terms.chain_days
    next_day = trade.short.expiration + timedelta(days=1)
    return max(next_day, today + timedelta(days=least)), today + timedelta(days=most)


def _refused(
    ledger: ExecutionLedger, trade_id: str, proposal: Proposal, *, at: datetime
) -> Proposal:
    failed = [str(refusal) for refusal in gate_refusals(proposal.gates)]
    detail = {"refusal": str(proposal.refusal), "gates": failed}
    ledger.audit(ROLL_REFUSED, trade_id, detail, at=at)
    return proposal
