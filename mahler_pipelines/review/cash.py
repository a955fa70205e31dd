"""Cash: what the broker holds against what the ledger's trades should have moved."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal

from mahler_pipelines.execution.desk import session_of
from mahler_pipelines.execution.trades import Trade
from mahler_pipelines.options.structures import dollars
from mahler_pipelines.review.performance import DailyPerformance


def trade_cash(trades: Sequence[Trade], *, through: date) -> Decimal:
    """Dollars that opening and closing trades moved up to and including a session, after fees."""
    total = Decimal(0)
    for trade in trades:
        if session_of(trade.entry_time) <= through:
            total += dollars(trade.entry_credit, trade.contracts) - trade.fees_usd
        closed = trade.exit_time is not None and session_of(trade.exit_time) <= through
        if closed and trade.exit_debit is not None:
            total -= dollars(trade.exit_debit, trade.contracts)
    return total


def cash_gap(trades: Sequence[Trade], history: Sequence[DailyPerformance]) -> Decimal | None:
    """Dollars of the broker's cash that the trades since the first row do not explain.

    Zero to the cent when ledger and broker agree; None without two rows to compare. `history` is
    oldest first. A settlement that the broker has booked and not yet reported shows here for a day.
    """
    if len(history) < 2:
        return None
    first, last = history[0], history[-1]
    moved = trade_cash(trades, through=last.session) - trade_cash(trades, through=first.session)
    return (last.cash - first.cash) - moved
