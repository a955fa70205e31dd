"""Cash: what the broker holds against what the ledger's trades should have moved."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal

from mahler_pipelines.execution.booking import fees_of
from mahler_pipelines.execution.desk import session_of
from mahler_pipelines.execution.trades import Trade
from mahler_pipelines.options.structures import dollars
from mahler_pipelines.review.performance import DailyPerformance


def trade_cash(trades: Sequence[Trade], *, through: date, fee_per_contract: Decimal) -> Decimal:
    """Dollars that opening and closing trades moved up to and including a session, after fees.

    A closed trade knows its fees as one sum: `fee_per_contract` (dollars, each side) says what of
    it was paid on the way in.
    """
    total = Decimal(0)
    for trade in trades:
        entry_fees = trade.fees_usd
        if trade.exit_time is not None:
            entry_fees = fees_of(trade.structure, trade.contracts, fee_per_contract)
        if session_of(trade.entry_time) <= through:
            total += dollars(trade.entry_credit, trade.contracts) - entry_fees
        closed = trade.exit_time is not None and session_of(trade.exit_time) <= through
        if closed and trade.exit_debit is not None:
            total -= dollars(trade.exit_debit, trade.contracts) + (trade.fees_usd - entry_fees)
    return total


def cash_gap(
    trades: Sequence[Trade],
    history: Sequence[DailyPerformance],
    *,
    fee_per_contract: Decimal,
) -> Decimal | None:
    """Dollars of the broker's cash that the trades since the first row do not explain.

    Zero to the cent when ledger and broker agree; None without two rows to compare. `history` is
    oldest first. A settlement that the broker has booked and not yet reported shows here for a day,
    and what a closing order has filled shows until the whole trade is closed.
    """
    if len(history) < 2:
        return None
    first, last = history[0], history[-1]
    before, after = (
        trade_cash(trades, through=row.session, fee_per_contract=fee_per_contract)
        for row in (first, last)
    )
    return (last.cash - first.cash) - (after - before)
