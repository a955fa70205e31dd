"""What a replacement asks for, and whether an order can be replaced so."""

from dataclasses import dataclass
from decimal import Decimal

from mahler_pipelines.exchange.orders import Order, TimeInForce, WireStatus
from mahler_pipelines.exchange.tickets import Ticket, TicketLeg
from mahler_pipelines.exchange.wire.errors import forbidden, unprocessable

REPLACEABLE = frozenset({WireStatus.NEW, WireStatus.PARTIALLY_FILLED})


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be different; None keeps what the order has.

    `quantity` counts what was filled already; prices are per share, unsigned.
    """

    quantity: int | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    time_in_force: TimeInForce | None = None
    client_order_id: str | None = None


def changed_ticket(order: Order, change: Change) -> Ticket:
    """Return the order that takes over what is left of a resting single-leg one.

    Raises `WireRefusal`: multi-leg orders, and orders that don't rest, can't be replaced; something
    has to change, and more has to be wanted than was filled.
    """
    _check_replaceable(order)
    quantity = change.quantity or order.quantity
    if quantity <= order.filled_quantity:
        raise unprocessable("qty must be > filled_qty")
    limit = order.limit_price if change.limit_price is None else change.limit_price
    stop = order.stop_price if change.stop_price is None else change.stop_price
    tif = change.time_in_force or order.time_in_force
    now = (order.quantity, order.limit_price, order.stop_price, order.time_in_force)
    if (quantity, limit, stop, tif) == now:
        raise unprocessable("order parameters are not changed")
    if stop != order.stop_price and order.triggered_at is not None:
        raise unprocessable("stop_price cannot be changed, the stop was triggered")
    terms = order.terms[0]
    return Ticket(
        change.client_order_id,
        False,
        order.kind,
        tif,
        quantity - order.filled_quantity,
        limit,
        (TicketLeg(terms.symbol, terms.side, terms.ratio, terms.intent),),
        stop,
    )


def _check_replaceable(order: Order) -> None:
    if order.multileg:
        raise forbidden("replace mleg order is disabled")
    if order.status is WireStatus.REPLACED:
        raise unprocessable("order already replaced")
    if order.status not in REPLACEABLE:
        raise unprocessable(f"cannot replace order in {order.status} status")
