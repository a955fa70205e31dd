"""Monitoring: one look at everything an account holds, and what follows from it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from mahler_pipelines.errors import BrokerError, LeaseHeld
from mahler_pipelines.execution.booking import closing_fills
from mahler_pipelines.execution.closing import CloseOutcome, CloseStatus, close_trade
from mahler_pipelines.execution.desk import ExecutionDesk, Observation, observe, present
from mahler_pipelines.execution.exits import exit_reason
from mahler_pipelines.execution.expiry import ExpiredTrade, settle_expired
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
from mahler_pipelines.risk.exit_terms import ExitAction, ExitTerms


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


def watch(desk: ExecutionDesk, *, exits: ExitTerms) -> MonitorReport:
    """Settle orders and expiries, mark every open trade from one look at the market, and exit.

    A close that can't be made now is an outcome in the report, and does not stop the others.
    Trades already closing are re-quoted. Outside market hours nothing is sent. Raises `CorruptData`
    at the very end when the broker's report on an order contradicts the ledger.
    """
    settled = settle_each(desk)
    expired = settle_expired(desk)
    clock = desk.broker.clock()
    now = present(clock)
    trades, closed = _open_trades(desk)
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
    marks = mark_trades(
        live,
        seen.quotes,
        seen.underlying_prices,
        as_of=now,
        snapshot_hash=seen.snapshot_hash,
        closed=closed,
    )
    _keep(desk, marks)
    outcomes = _exit(desk, live, marks, terms=exits, seen=seen) if clock.is_open else ()
    raise_if_corrupt(settled)
    return MonitorReport(
        desk.account_id, now, settled, expired, live, marks, outcomes, seen.snapshot_hash
    )


def _open_trades(desk: ExecutionDesk) -> tuple[tuple[Trade, ...], dict[str, PartialClose]]:
    with desk.transaction() as ledger:
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
    for trade, mark in zip(trades, marks, strict=True):
        closing = trade.status is TradeStatus.CLOSING
        reason = trade.exit_reason if closing else exit_reason(trade, mark, terms)
        if reason is None:
            continue
        if terms.action is ExitAction.ALERT and not closing:
            outcomes.append(_alert(desk, trade, mark, reason))
        else:
            outcomes.append(_close(desk, trade, reason, seen=seen))
    return tuple(outcomes)


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
