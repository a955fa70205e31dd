"""Slippage: what fills were worse than the middle of the quotes they were set against."""

from collections.abc import Sequence
from decimal import Decimal

from mahler_pipelines.execution.ledger import ExecutionLedger, FillRecord, OrderRecord
from mahler_pipelines.execution.trades import Trade
from mahler_pipelines.options.structures import Side, dollars


def mid_of(bid: Decimal | None, ask: Decimal | None) -> Decimal | None:
    """Middle of a quote per share; None unless both sides are there and not crossed."""
    if bid is None or ask is None or bid > ask:
        return None
    return (bid + ask) / 2


def slippage_per_share(side: Side, price: Decimal, mid: Decimal | None) -> Decimal | None:
    """What a price is worse than the mid: positive is a cost, bought above or sold below it."""
    return None if mid is None else side.sign * (price - mid)


def slippage_usd(fills: Sequence[FillRecord]) -> Decimal | None:
    """Net slippage of fills in dollars, all contracts; None without fills or where one has none.

    The legs of one order count together: what one lost to its mid another may have won back.
    """
    parts = [
        None if fill.slippage is None else dollars(fill.slippage, fill.quantity) for fill in fills
    ]
    known = [part for part in parts if part is not None]
    return sum(known, Decimal(0)) if known and len(known) == len(parts) else None


def entry_slippage_usd(ledger: ExecutionLedger, trade: Trade) -> Decimal | None:
    """Slippage of everything that opened a trade, in dollars; None where it is not known."""
    orders = ledger.orders(subject_id=trade.recommendation_id)
    return slippage_usd(_fills(ledger, orders, opened=True))


def exit_slippage_usd(ledger: ExecutionLedger, trade: Trade) -> Decimal | None:
    """Slippage of everything that closed a trade, in dollars; None where it is not known."""
    orders = (*ledger.orders(rolls=trade.id), *ledger.orders(subject_id=trade.id))
    return slippage_usd(_fills(ledger, orders, opened=False))


def _fills(
    ledger: ExecutionLedger, orders: Sequence[OrderRecord], *, opened: bool
) -> tuple[FillRecord, ...]:
    return tuple(
        fill
        for order in orders
        for fill in ledger.fills(client_order_id=order.client_order_id)
        if (fill.symbol in order.opened_symbols) is opened
    )
