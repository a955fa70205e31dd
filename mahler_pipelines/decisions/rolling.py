"""Rolling: an open vertical spread moved to a later expiration, offered as one trade.

One order closes the old legs and opens the new ones, so that what is approved is the net: the band
of the offer is the credit of the new spread less the cost of the old one. A roll is offered for a
credit only.
"""

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

import pandas as pd

from mahler_pipelines.decisions.credit_band import CreditBand, credit_band, exact_price
from mahler_pipelines.decisions.facts import Candidate
from mahler_pipelines.decisions.grounding import Grounding
from mahler_pipelines.decisions.proposing import Asked, Proposal, ProposalCode, propose
from mahler_pipelines.decisions.recommendation import Recommendation
from mahler_pipelines.decisions.requoting import candidate_of
from mahler_pipelines.decisions.terms import ApprovalTerms
from mahler_pipelines.decisions.thesis import AnalystAnswer, ModelCall, Thesis
from mahler_pipelines.market.rates import RateCurve
from mahler_pipelines.market.sessions import TradingCalendar
from mahler_pipelines.market.volatility import implied_volatilities
from mahler_pipelines.options.contracts import OptionContract, parse_occ
from mahler_pipelines.options.structures import CENT, Side, Structure, dollars
from mahler_pipelines.risk.exit_terms import ExitTerms
from mahler_pipelines.risk.gates import AccountView
from mahler_pipelines.risk.limits import RiskLimits
from mahler_pipelines.strategies.catalogue import STRATEGIES, strategy_named
from mahler_pipelines.strategies.gates import floats
from mahler_pipelines.strategies.refusals import Refusal

ROLL_SCAN = "roll"
"""What stands in the place of the scan's name: no scan proposes a roll."""

RANK_NOT_ASKED = "not asked at a roll"


class RollCode(StrEnum):
    """Why the roll of a trade is not offered, beside what refuses any proposal."""

    NOT_A_VERTICAL_SPREAD = "not_a_vertical_spread"
    TRADE_NOT_OPEN = "trade_not_open"
    ROLL_IS_WAITING = "roll_is_waiting"
    MARKET_CLOSED = "market_closed"
    NO_LATER_EXPIRATION = "no_later_expiration"
    NO_STRIKES_OF_THIS_WIDTH = "no_strikes_of_this_width"
    LEG_NOT_QUOTED = "leg_not_quoted"
    UNDERLYING_PRICE_NOT_AVAILABLE = "underlying_price_not_available"


@dataclass(frozen=True, slots=True)
class OpenTrade:
    """What is rolled: the units left of a trade, and the recommendation that it was opened from.

    `attempt` counts the rolls of the trade that were proposed before, from 1.
    """

    trade_id: str
    entry: Recommendation
    units: int
    attempt: int = 1

    @property
    def short(self) -> OptionContract:
        """The sold contract."""
        return _leg(self.entry.structure, Side.SELL)

    @property
    def long(self) -> OptionContract:
        """The bought contract."""
        return _leg(self.entry.structure, Side.BUY)

    @property
    def short_delta(self) -> float:
        """Delta of the sold contract as it was shown at entry; NaN where it is not known."""
        shown = {quote.symbol: quote.delta for quote in self.entry.quotes}
        return shown.get(self.short.symbol, math.nan)

    @property
    def roll_id(self) -> str:
        """Id of the offer: a repeat of the same attempt finds the same one."""
        name = hashlib.sha256(f"{self.trade_id}|{self.attempt}".encode()).hexdigest()[:8]
        return f"{name}-{self.attempt}"


def can_be_rolled(structure: Structure) -> bool:
    """Whether it is a vertical spread of the desk's strategies, one contract against one."""
    return (
        structure.strategy in STRATEGIES
        and sorted(leg.side for leg in structure.legs) == [Side.BUY, Side.SELL]
        and all(leg.ratio == 1 for leg in structure.legs)
    )


def next_expiration(
    chain: pd.DataFrame, trade: OpenTrade, *, first: date, last: date
) -> date | None:
    """The nearest listed expiration of the trade's root from first to last that is later."""
    listed = chain.loc[chain["root"] == trade.short.root, "expiration"]
    days = sorted({stamp.date() for stamp in listed})
    later = (day for day in days if first <= day <= last and day > trade.short.expiration)
    return next(later, None)


def propose_roll(
    trade: OpenTrade,
    quotes: pd.DataFrame,
    *,
    expiration: date,
    underlying_price: Decimal,
    session: date,
    as_of: datetime,
    rates: RateCurve,
    snapshot_hash: str,
    account: AccountView,
    limits: RiskLimits,
    approval: ApprovalTerms,
    exits: ExitTerms,
    run_id: str,
    tick: Decimal = CENT,
) -> Proposal:
    """Form the offer that rolls a trade to this expiration, or say why there is none.

    The strategy, width and units stay; of the pairs of that width the one whose short delta is
    nearest to that at entry is taken, and the trade's own strikes where that one costs more than it
    brings. `quotes` (`QUOTE_COLUMNS`) has the chain of the expiration and the old legs; `account`
    is the view without the risk that the roll closes. Every gate is asked.
    """
    target = quotes[quotes["expiration"] == pd.Timestamp(expiration)]
    refusal: Refusal | None = None
    for structure in _choices(trade, target, as_of=as_of, rates=rates):
        band = _band(
            trade.entry.structure.rolled_into(structure), quotes, approval=approval, tick=tick
        )
        own = _band(structure, quotes, approval=approval, tick=tick)
        candidate = candidate_of(
            _template(trade, structure),
            target,
            underlying_price=underlying_price,
            as_of=as_of,
            rates=rates,
            tick=tick,
        )
        if isinstance(band, Refusal) or isinstance(own, Refusal) or isinstance(candidate, Refusal):
            found = (band, own, candidate)
            refusal = refusal or next(one for one in found if isinstance(one, Refusal))
            continue
        proposal = propose(
            candidate,
            _answer(trade, structure, band, candidate),
            grounding=Grounding(),
            account_id=trade.entry.account_id,
            session=session,
            scan=ROLL_SCAN,
            as_of=as_of,
            snapshot_hash=snapshot_hash,
            account=account,
            limits=limits,
            approval=approval,
            exits=exits,
            playbook_version=trade.entry.playbook_version,
            run_id=run_id,
            tick=tick,
            asked=Asked(trade.units, own.floor),
        )
        return _net(proposal, trade, band)
    return Proposal(None, refusal=refusal or _no_strikes(trade, expiration))


def _net(proposal: Proposal, trade: OpenTrade, band: CreditBand) -> Proposal:
    """The proposal of the new spread as a roll: its band is the net."""
    formed = proposal.recommendation
    if formed is None:
        return proposal
    offer = replace(
        formed,
        id=f"r-{formed.session:%y%m%d}-{ROLL_SCAN[:2]}-{trade.roll_id}",
        target_credit=band.target,
        floor_credit=band.floor,
        natural_credit=band.natural,
        rolls=trade.trade_id,
    )
    return replace(proposal, recommendation=offer)


def _choices(
    trade: OpenTrade, target: pd.DataFrame, *, as_of: datetime, rates: RateCurve
) -> Iterator[Structure]:
    """The pair with the delta of the entry, then the one with the strikes of the trade."""
    old, width = trade.short, float(trade.long.strike - trade.short.strike)
    valued = implied_volatilities(
        target, as_of=as_of, rates=rates, dividend_yields={}, calendar=TradingCalendar()
    )
    same_kind = (valued["root"] == old.root) & (valued["right"] == int(old.right))
    rows = valued[same_kind].sort_values("strike")
    deltas = dict(zip(floats(rows, "strike").tolist(), floats(rows, "delta").tolist(), strict=True))
    symbols = dict(zip(deltas, rows["symbol"].map(str), strict=True))
    away = {
        strike: abs(abs(delta) - abs(trade.short_delta))
        for strike, delta in deltas.items()
        if strike + width in symbols
    }
    known = [strike for strike in away if math.isfinite(away[strike])]
    strikes = [min(known, key=away.__getitem__)] if known else []
    if float(old.strike) in away:
        strikes.append(float(old.strike))
    for strike in dict.fromkeys(strikes):
        short, long = parse_occ(symbols[strike]), parse_occ(symbols[strike + width])
        yield strategy_named(trade.entry.strategy).structure(short, long)


def _template(trade: OpenTrade, structure: Structure) -> Recommendation:
    """What is valued: the rank of a scan long past says nothing of today."""
    return replace(
        trade.entry,
        structure=structure,
        iv_rank=None,
        iv_percentile=None,
        iv_rank_basis=RANK_NOT_ASKED,
    )


def _band(
    structure: Structure, quotes: pd.DataFrame, *, approval: ApprovalTerms, tick: Decimal
) -> CreditBand | Refusal:
    """The band of all legs together, or why there is none."""
    rows = {str(row["symbol"]): row for row in quotes.to_dict("records")}
    sums = {(side, name): Decimal(0) for side in Side for name in ("bid", "ask")}
    for leg in structure.legs:
        row = rows.get(leg.contract.symbol)
        if row is None or not _is_whole(row["bid"], row["ask"]):
            return Refusal(RollCode.LEG_NOT_QUOTED, leg.contract.symbol)
        for name in ("bid", "ask"):
            sums[leg.side, name] += exact_price(name, row[name])
    band = credit_band(
        short_bid=sums[Side.SELL, "bid"],
        short_ask=sums[Side.SELL, "ask"],
        long_bid=sums[Side.BUY, "bid"],
        long_ask=sums[Side.BUY, "ask"],
        tolerance=approval.floor_tolerance,
        tick=tick,
    )
    if band is not None:
        return band
    natural = float(sums[Side.SELL, "bid"] - sums[Side.BUY, "ask"])
    return Refusal(ProposalCode.CREDIT_BELOW_ONE_TICK, natural, float(tick))


def _is_whole(bid: float, ask: float) -> bool:
    """Whether both sides can be used: a worthless wing is offered and not bid for."""
    return math.isfinite(bid) and math.isfinite(ask) and 0 <= bid <= ask and ask > 0


def _answer(
    trade: OpenTrade, structure: Structure, band: CreditBand, candidate: Candidate
) -> AnalystAnswer:
    """What is rolled, from where to where, and for what, in the words of the rules."""
    old, known, delta = trade.entry.structure, trade.short_delta, float(candidate["short_delta"])
    before = f"{known:+.2f} at entry" if math.isfinite(known) else "not known at entry"
    thesis = (
        f"Rolls {trade.units} of {trade.trade_id} from {_words(old)} to {_words(structure)} in one "
        f"order. The net credit is {band.target:.2f} a share "
        f"({dollars(band.target, trade.units)} USD for all), never less than {band.floor:.2f}. "
        f"The short delta was {before} and is {delta:+.2f} now."
    )
    risks = (
        "What the old spread has lost is realised by the roll, and the new one can lose as well.",
        "Band and natural credit are net of the old spread's cost; all else is of the new one.",
    )
    call = ModelCall(
        candidate_id=trade.trade_id,
        analyst="rules",
        model="",
        request_hash="",
        raw_message="",
        stop_reason="",
        input_tokens=0,
        output_tokens=0,
        latency_seconds=0.0,
        outcome="roll",
    )
    confidence = trade.entry.confidence
    return AnalystAnswer(
        Thesis(recommend=True, confidence=confidence, thesis=thesis, risks=risks), "", call
    )


def _words(structure: Structure) -> str:
    short, long = _leg(structure, Side.SELL), _leg(structure, Side.BUY)
    kind = "calls" if short.right > 0 else "puts"
    strikes = f"{short.strike.normalize():f}/{long.strike.normalize():f}"
    return f"{short.underlying} {strikes} {kind} of {short.expiration}"


def _no_strikes(trade: OpenTrade, expiration: date) -> Refusal:
    width = abs(trade.long.strike - trade.short.strike)
    context = {"expiration": str(expiration), "underlying": trade.short.underlying}
    return Refusal(RollCode.NO_STRIKES_OF_THIS_WIDTH, float(width), None, context)


def _leg(structure: Structure, side: Side) -> OptionContract:
    return next(leg.contract for leg in structure.legs if leg.side is side)
