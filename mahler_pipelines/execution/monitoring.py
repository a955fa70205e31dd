"""Monitoring: one look at everything an account holds, and what follows from it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from mahler_pipelines.errors import BrokerError, LeaseHeld
from mahler_pipelines.execution.booking import closing_fills
from mahler_pipelines.execution.close_requests import end_answered, wanted_closes
from mahler_pipelines.execution.closing import CloseOutcome, CloseStatus, close_trade
from mahler_pipelines.execution.desk import ExecutionDesk, Observation, observe, present
from mahler_pipelines.execution.exits import cutoff_is_past, exit_reason, sends_order
from mahler_pipelines.execution.expiry import ExpiredTrade, settle_expired
from mahler_pipelines.execution.expiry_watch import Outlook, announce, look_ahead
from mahler_pipelines.execution.fills import leg_prices
from mahler_pipelines.execution.ledger import ExecutionLedger
from mahler_pipelines.execution.marks import PartialClose, mark_trades
from mahler_pipelines.execution.messages import announce_exit_reached
from mahler_pipelines.execution.reconciliation import (
    SettledOrder,
    raise_if_corrupt,
    settle_each,
)
from mahler_pipelines.execution.trades import (
    ExitReason,
    PositionMark,
    Trade,
    TradeStatus,
    net_credit,
)
from mahler_pipelines.risk.exit_terms import ExitTerms


@dataclass(frozen=True, slots=True)
class MonitorReport:
    """What one look found and did."""

    account_id: str
    as_of: datetime
    settled: tuple[SettledOrder, ...]
    expired: tuple[ExpiredTrade, ...]
    trades: tuple[Trade, ...]
    marks: tuple[PositionMark, ...]
    exits: tuple[CloseOutcome, ...]
    snapshot_hash: str | None
    outlook: Outlook = field(default_factory=Outlook)


def watch(desk: ExecutionDesk, *, exits: ExitTerms) -> MonitorReport:
    """Settle orders and expiries, mark every open trade from one look at the market, and exit.

    A close that can't be made now is an outcome in the report, and does not stop the others.
    Trades already closing are re-quoted; what a person wants closed is, whatever its exits say.
    What the broker may do with the rest by itself is looked at once exits are under way. Outside
    market hours nothing is sent. Raises `CorruptData` at the very end when the broker's report on
    an order contradicts the ledger.
    """
    settled = settle_each(desk)
    expired = settle_expired(desk)
    clock = desk.broker.clock()
    now = present(clock)
    trades, closed = _open_trades(desk, at=now)
    waiting = {outcome.trade_id for outcome in expired if outcome.reason is None}
    live = tuple(trade for trade in trades if trade.id not in waiting)
    if not live:
        raise_if_corrupt(settled)
        return MonitorReport(desk.account_id, now, settled, expired, (), (), (), None)
    seen = observe(
        desk,
        [symbol for trade in live for symbol in trade.structure.symbols],
        [trade.structure.underlying for trade in live],
        scan="monitor",
        as_of=now,
    )
    found = mark_trades(
        live,
        seen.quotes,
        seen.underlying_prices,
        as_of=now,
        snapshot_hash=seen.snapshot_hash,
        closed=closed,
    )
    outcomes = _exit(desk, live, found, terms=exits, seen=seen) if clock.is_open else ()
    outlook = look_ahead(desk, _left(live, outcomes), seen)
    marks = tuple(replace(mark, warning=outlook.of(mark.trade_id)) for mark in found)
    _keep(desk, marks)
    _tell(desk, outlook, exits, at=now)
    if clock.is_open and sends_order(ExitReason.EARLY_ASSIGNMENT, exits):
        outcomes = (*outcomes, *_avoid_assignment(desk, outlook, outcomes, seen=seen))
    raise_if_corrupt(settled)
    return MonitorReport(
        desk.account_id, now, settled, expired, live, marks, outcomes, seen.snapshot_hash, outlook
    )


def _left(trades: Sequence[Trade], outcomes: Sequence[CloseOutcome]) -> tuple[Trade, ...]:
    closed = {outcome.trade_id for outcome in outcomes if outcome.status is CloseStatus.CLOSED}
    return tuple(trade for trade in trades if trade.id not in closed)


def _tell(desk: ExecutionDesk, outlook: Outlook, terms: ExitTerms, *, at: datetime) -> None:
    if outlook.forecasts or outlook.warnings:
        with desk.transaction() as ledger:
            announce(ledger, outlook, terms, at=at)


def _open_trades(
    desk: ExecutionDesk, *, at: datetime
) -> tuple[tuple[Trade, ...], dict[str, PartialClose]]:
    with desk.transaction() as ledger:
        end_answered(ledger, at=at)
        trades = ledger.trades(statuses=(TradeStatus.OPEN, TradeStatus.CLOSING))
        closed = {trade.id: part for trade in trades if (part := _closed_part(ledger, trade))}
    return trades, closed


def _closed_part(ledger: ExecutionLedger, trade: Trade) -> PartialClose | None:
    units, fills = closing_fills(ledger, trade)
    if not units:
        return None
    legs = leg_prices(trade.structure, fills)
    return PartialClose(units, net_credit(trade.structure, {leg.symbol: leg.price for leg in legs}))


def _keep(desk: ExecutionDesk, marks: Sequence[PositionMark]) -> None:
    with desk.transaction() as ledger:
        new = [
            mark
            for mark in marks
            if not any(
                kept.marked_at == mark.marked_at
                for kept in ledger.marks(trade_id=mark.trade_id, from_=mark.marked_at)
            )
        ]
        ledger.add_marks(new)


def _exit(
    desk: ExecutionDesk,
    trades: Sequence[Trade],
    marks: Sequence[PositionMark],
    *,
    terms: ExitTerms,
    seen: Observation,
) -> tuple[CloseOutcome, ...]:
    outcomes = []
    with desk.transaction() as ledger:
        wanted = wanted_closes(ledger)
    for trade, mark in zip(trades, marks, strict=True):
        reason = ExitReason.MANUAL if trade.id in wanted else _reason(trade, mark, terms)
        if reason is None:
            continue
        if trade.status is TradeStatus.CLOSING or sends_order(reason, terms):
            outcomes.append(_close(desk, trade, reason, seen=seen))
        else:
            outcomes.append(_alert(desk, trade, mark, reason))
    return tuple(outcomes)


def _reason(trade: Trade, mark: PositionMark, terms: ExitTerms) -> ExitReason | None:
    """Why a trade is to be closed now; one that is closing keeps its reason until the cut-off."""
    if trade.status is not TradeStatus.CLOSING:
        return exit_reason(trade, mark, terms)
    past = cutoff_is_past(trade.structure, mark.marked_at, terms)
    return ExitReason.EXPIRY_CUTOFF if past else trade.exit_reason


def _avoid_assignment(
    desk: ExecutionDesk, outlook: Outlook, before: Sequence[CloseOutcome], *, seen: Observation
) -> tuple[CloseOutcome, ...]:
    """Close what may be assigned early, at a cost, and is not being closed already."""
    begun = {one.trade_id for one in before if one.status is not CloseStatus.ALERTED}
    return tuple(
        _close(desk, trade, ExitReason.EARLY_ASSIGNMENT, seen=seen)
        for trade in outlook.to_avoid
        if trade.id not in begun
    )


def _alert(
    desk: ExecutionDesk, trade: Trade, mark: PositionMark, reason: ExitReason
) -> CloseOutcome:
    with desk.transaction() as ledger:
        announce_exit_reached(ledger, trade, mark, reason)
    return CloseOutcome(trade.id, CloseStatus.ALERTED, reason)


def _close(
    desk: ExecutionDesk, trade: Trade, reason: ExitReason, *, seen: Observation
) -> CloseOutcome:
    try:
        return close_trade(trade.id, reason, desk=desk, seen=seen)
    except (BrokerError, LeaseHeld) as error:
        return CloseOutcome(trade.id, CloseStatus.FAILED, reason, detail=str(error))
