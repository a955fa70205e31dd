"""Positions as the ledger has them: open trades, fills on their way, and lots outside trades."""

from datetime import date

from mahler_pipelines.execution.booking import closing_fills
from mahler_pipelines.execution.fills import LIVE_STATUSES, quantities
from mahler_pipelines.execution.holdings import held_quantities, option_of
from mahler_pipelines.execution.ledger import ExecutionLedger, FillRecord, OrderPurpose
from mahler_pipelines.execution.trades import TradeStatus
from mahler_pipelines.execution.walks import fills_without_a_trade


def expected_positions(ledger: ExecutionLedger, *, after: date = date.min) -> dict[str, int]:
    """Signed quantity per symbol that the broker should hold.

    Contracts that end before `after` are left out.
    """
    expected: dict[str, int] = dict(held_quantities(ledger))

    def add(symbol: str, quantity: int) -> None:
        expected[symbol] = expected.get(symbol, 0) + quantity

    for trade in ledger.trades(statuses=(TradeStatus.OPEN, TradeStatus.CLOSING)):
        closed, _ = closing_fills(ledger, trade)
        for leg in trade.structure.legs:
            add(leg.contract.symbol, leg.signed_ratio * (trade.contracts - closed))
    on_the_way = [*fills_without_a_trade(ledger), *unbooked_disposals(ledger)]
    for symbol, quantity in quantities(on_the_way).items():
        add(symbol, quantity)
    return {
        symbol: quantity
        for symbol, quantity in expected.items()
        if quantity and not _ended(symbol, before=after)
    }


def unbooked_disposals(ledger: ExecutionLedger) -> list[FillRecord]:
    """Fills of hedges and sweeps that still work: they are booked when the order is over."""
    return [
        fill
        for purpose in (OrderPurpose.HEDGE, OrderPurpose.SWEEP)
        for order in ledger.orders(statuses=LIVE_STATUSES, purpose=purpose)
        for fill in ledger.fills(client_order_id=order.client_order_id)
    ]


def _ended(symbol: str, *, before: date) -> bool:
    contract = option_of(symbol)
    return contract is not None and contract.expiration < before
