"""Fills: what the broker reports of an order, recorded once per contract and step."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from mahler_pipelines.errors import CorruptData, IllegalTransition
from mahler_pipelines.execution.broker import BrokerOrder, LegFill, OrderStatus
from mahler_pipelines.execution.desk import Observation
from mahler_pipelines.execution.ledger import ExecutionLedger, FillRecord, OrderRecord
from mahler_pipelines.execution.slippage import mid_of, slippage_per_share
from mahler_pipelines.execution.trades import LegPrice
from mahler_pipelines.options.structures import Structure

LIVE_STATUSES = tuple(status for status in OrderStatus if not status.is_final)
_RESOLUTION = Decimal("1e-12")
"""Of averages that do not divide: fine enough for any number of contracts to be right."""
_WIRE_RESOLUTION = Decimal("0.000001")
"""Of the averages that the broker reports."""


def record_broker_order(
    ledger: ExecutionLedger,
    record: OrderRecord,
    order: BrokerOrder,
    *,
    seen: Observation | None,
    at: datetime,
) -> OrderRecord:
    """Write what the broker says of an order, and the fills that are new.

    `seen` are the quotes the new fills are set against; None leaves their bid and ask empty.
    Raises `CorruptData` when the report contradicts itself or shrinks, and `IllegalTransition`
    when the ledger had given the order up and the broker filled it.
    """
    _check_report(record, order)
    fills = _new_fills(
        ledger.fills(client_order_id=record.client_order_id), order, seen=seen, at=at
    )
    moved = ledger.update_order(
        record.client_order_id,
        expected=LIVE_STATUSES,
        to=order.status,
        at=at,
        reason=order.broker_status,
        broker_order_id=order.id,
        filled_quantity=order.filled_quantity,
        average_fill_price=order.average_fill_price,
    )
    current = ledger.order(record.client_order_id)
    if current is None:
        raise CorruptData(f"order {record.client_order_id} is not in the ledger")
    if not moved:
        if fills or current.filled_quantity != order.filled_quantity:
            raise IllegalTransition("order", record.client_order_id, current.status, order.status)
        return current
    ledger.add_fills(fills)
    return current


def has_news(record: OrderRecord, order: BrokerOrder) -> bool:
    """Whether the report says more than the ledger knows."""
    return (record.status, record.filled_quantity) != (order.status, order.filled_quantity)


def has_new_fills(record: OrderRecord, order: BrokerOrder) -> bool:
    """Whether the report carries fills the ledger doesn't have."""
    return order.filled_quantity > record.filled_quantity


def leg_prices(structure: Structure, fills: Sequence[FillRecord]) -> tuple[LegPrice, ...]:
    """Average price of each leg over its fills, with the quote of the latest of them.

    Raises `CorruptData` when a leg has no fill.
    """
    prices = []
    for symbol in structure.symbols:
        own = [fill for fill in fills if fill.symbol == symbol]
        if not own:
            raise CorruptData(f"no fill of {symbol} although its order was filled")
        latest = own[-1]
        price = average_price([(fill.quantity, fill.price) for fill in own])
        prices.append(LegPrice(symbol, price, latest.bid, latest.ask, latest.snapshot))
    return tuple(prices)


def average_price(parts: Sequence[tuple[int, Decimal]]) -> Decimal:
    """Average of (quantity, price per share), to twelve places where it does not divide."""
    quantity = sum(count for count, _ in parts)
    average = sum((count * price for count, price in parts), Decimal(0)) / quantity
    cents = average.quantize(Decimal("0.01"))
    return cents if cents == average else average.quantize(_RESOLUTION)


def quantities(fills: Sequence[FillRecord]) -> Mapping[str, int]:
    """Signed contracts per symbol that these fills changed: bought is positive."""
    total: dict[str, int] = {}
    for fill in fills:
        sign = 1 if fill.side == "buy" else -1
        total[fill.symbol] = total.get(fill.symbol, 0) + sign * fill.quantity
    return total


def _check_report(record: OrderRecord, order: BrokerOrder) -> None:
    if order.client_order_id != record.client_order_id:
        raise CorruptData(f"asked for {record.client_order_id}, got {order.client_order_id}")
    if not record.filled_quantity <= order.filled_quantity <= record.quantity:
        raise CorruptData(
            f"order {record.client_order_id}: {order.filled_quantity} of {record.quantity} filled, "
            f"{record.filled_quantity} known before"
        )
    if order.status is OrderStatus.FILLED and order.filled_quantity != record.quantity:
        raise CorruptData(f"order {record.client_order_id} is filled without its full quantity")
    wanted = {leg.symbol: (leg.side, leg.ratio * order.filled_quantity) for leg in record.legs}
    got = {fill.symbol: (fill.side, fill.quantity) for fill in order.fills if fill.quantity}
    if order.filled_quantity and got != wanted:
        raise CorruptData(f"order {record.client_order_id}: legs {got} are not {wanted}")


def _new_fills(
    known: Sequence[FillRecord], order: BrokerOrder, *, seen: Observation | None, at: datetime
) -> list[FillRecord]:
    sides = seen.bid_asks(fill.symbol for fill in order.fills) if seen else {}
    rows = []
    for fill in order.fills:
        before = [row for row in known if row.symbol == fill.symbol]
        quantity = fill.quantity - sum(row.quantity for row in before)
        if quantity == 0:
            continue
        quote = sides.get(fill.symbol)
        price = _price_of_the_rest(fill, before, quantity)
        mid = mid_of(quote.bid, quote.ask) if quote else None
        rows.append(
            FillRecord(
                id=f"{order.client_order_id}:{fill.symbol}:{fill.quantity}",
                client_order_id=order.client_order_id,
                symbol=fill.symbol,
                side=fill.side.value,
                quantity=quantity,
                price=price,
                bid=quote.bid if quote else None,
                ask=quote.ask if quote else None,
                snapshot=seen.snapshot_hash if seen else None,
                filled_at=order.filled_at or at,
                mid=mid,
                slippage=slippage_per_share(fill.side, price, mid),
                quoted_at=seen.as_of if seen else None,
            )
        )
    return rows


def _price_of_the_rest(fill: LegFill, before: Sequence[FillRecord], quantity: int) -> Decimal:
    """The broker reports the average of all steps: what was paid in the newest one."""
    known = sum((row.quantity * row.price for row in before), Decimal(0))
    return average_price([(quantity, (_paid(fill) - known) / quantity)])


def _paid(fill: LegFill) -> Decimal:
    """Sum of what was paid per share, over all contracts.

    The average comes rounded to a millionth and prices are whole cents: a sum that is a whole cent
    but for that rounding is that cent, so that hundreds of contracts add up.
    """
    total = fill.quantity * fill.price
    cents = total.quantize(Decimal("0.01"))
    return cents if abs(total - cents) <= fill.quantity * _WIRE_RESOLUTION else total
