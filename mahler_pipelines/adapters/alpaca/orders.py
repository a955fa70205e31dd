"""Orders between our words and Alpaca's.

In ours a price is the net of one unit: positive a debit, negative a credit. Alpaca says so too for
multi-leg orders; for a single leg its price is positive and the side says the rest.
"""

import logging
import math
from decimal import Decimal
from typing import Any

from mahler_pipelines.adapters.alpaca.wire_models import WireLeg, WireOrder, read_as
from mahler_pipelines.errors import BadInput
from mahler_pipelines.execution.broker import BrokerOrder, LegFill, OrderRequest, OrderStatus
from mahler_pipelines.options.structures import Side

_log = logging.getLogger(__name__)

LONGEST_CLIENT_ORDER_ID = 128
MOST_LEGS = 4

_STATUSES = {
    **dict.fromkeys(
        (
            *("new", "accepted", "pending_new", "accepted_for_bidding", "pending_review", "held"),
            *("pending_cancel", "pending_replace", "stopped", "suspended", "calculated"),
            "done_for_day",
        ),
        OrderStatus.ACKNOWLEDGED,
    ),
    "partially_filled": OrderStatus.PARTIALLY_FILLED,
    "filled": OrderStatus.FILLED,
    "canceled": OrderStatus.CANCELLED,
    "expired": OrderStatus.EXPIRED,
    "rejected": OrderStatus.REJECTED,
    "replaced": OrderStatus.REPLACED,
}


def order_body(order: OrderRequest) -> dict[str, Any]:
    """Return the body of POST /v2/orders, every number as a string.

    Raises `BadInput` for what Alpaca could not mean: no or too many legs, ratios with a common
    divisor, no whole positive quantity, an id that is too long, a single leg on the wrong side of
    zero.
    """
    _check(order)
    body: dict[str, Any] = {
        "qty": str(order.quantity),
        "type": "market" if order.limit_price is None else "limit",
        "time_in_force": "day",
        "client_order_id": order.client_order_id,
    }
    if len(order.legs) == 1:
        leg = order.legs[0]
        body |= {"symbol": leg.symbol, "side": str(leg.side), "position_intent": str(leg.intent)}
        if order.limit_price is not None:
            body["limit_price"] = _plain(order.limit_price * leg.side.sign)
        return body
    if order.limit_price is not None:
        body["limit_price"] = _plain(order.limit_price)
    legs = [
        {
            "symbol": leg.symbol,
            "ratio_qty": str(leg.ratio),
            "side": str(leg.side),
            "position_intent": str(leg.intent),
        }
        for leg in order.legs
    ]
    return body | {"order_class": "mleg", "legs": legs}


def _check(order: OrderRequest) -> None:
    if not 1 <= len(order.legs) <= MOST_LEGS:
        raise BadInput("legs", len(order.legs), f"an order has one to {MOST_LEGS} legs")
    if len({leg.symbol for leg in order.legs}) != len(order.legs):
        raise BadInput("legs", [leg.symbol for leg in order.legs], "a contract appears twice")
    ratios = [leg.ratio for leg in order.legs]
    if min(ratios) < 1 or math.gcd(*ratios) != 1:
        raise BadInput("ratio", ratios, "ratios are positive and have no common divisor")
    if order.quantity < 1:
        raise BadInput("quantity", order.quantity, "is not positive")
    if not 1 <= len(order.client_order_id) <= LONGEST_CLIENT_ORDER_ID:
        reason = f"has not 1 to {LONGEST_CLIENT_ORDER_ID} characters"
        raise BadInput("client_order_id", order.client_order_id, reason)
    price = order.limit_price
    if price is not None and len(order.legs) == 1 and price * order.legs[0].side.sign < 0:
        raise BadInput(
            "limit_price", price, f"has the wrong sign for a single {order.legs[0].side}"
        )


def _plain(price: Decimal) -> str:
    return f"{price or Decimal(0):f}"


def broker_order(answer: object, *, what: str) -> BrokerOrder:
    """Return an order as we speak of it; raise `BrokerUnavailable` when it cannot be read."""
    wire = read_as(WireOrder, answer, what=what)
    legs = wire.legs or (wire,)
    filled = _whole(wire.filled_qty, "filled_qty", wire)
    single = wire if not wire.legs else None
    return BrokerOrder(
        id=wire.id,
        client_order_id=wire.client_order_id,
        status=order_status(wire.status, filled=filled),
        broker_status=wire.status or "",
        quantity=_whole(wire.qty, "qty", wire),
        filled_quantity=filled,
        limit_price=_net(wire.limit_price, single),
        average_fill_price=_average_fill_price(wire, filled, single),
        fills=tuple(fill for leg in legs if (fill := _leg_fill(leg)) is not None),
        submitted_at=wire.submitted_at,
        filled_at=wire.filled_at,
        raw=dict(answer) if isinstance(answer, dict) else {},
        leg_ids=tuple(leg.id for leg in wire.legs or () if leg.id),
    )


def order_status(text: str | None, *, filled: int) -> OrderStatus:
    """Return our status for Alpaca's; one that we do not know is UNKNOWN and is logged.

    An order that is still working and has fills is partially filled, whatever it waits for.
    """
    status = _STATUSES.get(text or "")
    if status is None:
        _log.warning("order status %r is not one we know", text)
        return OrderStatus.UNKNOWN
    if status is OrderStatus.ACKNOWLEDGED and filled > 0:
        return OrderStatus.PARTIALLY_FILLED
    return status


def _net(price: Decimal | None, single: WireOrder | None) -> Decimal | None:
    """A single sold leg's price is a credit; a multi-leg price has its sign already."""
    sold = single is not None and _side(single) is Side.SELL
    return -price if sold and price is not None else price


def _average_fill_price(wire: WireOrder, filled: int, single: WireOrder | None) -> Decimal | None:
    """Net price of one filled unit: from the legs where they are whole, else as Alpaca has it."""
    legs = wire.legs or ()
    if not filled or not legs:
        return _net(wire.filled_avg_price, single) if filled else None
    net = Decimal(0)
    for leg in legs:
        side, price, contracts = _side(leg), leg.filled_avg_price, leg.filled_qty
        if side is None or price is None or contracts is None or contracts % filled:
            return wire.filled_avg_price
        net += side.sign * price * (contracts / filled)
    return net


def _leg_fill(leg: WireLeg) -> LegFill | None:
    if not leg.filled_qty:
        return None
    side = _side(leg)
    if leg.symbol is None or side is None or leg.filled_avg_price is None:
        _log.warning("leg %r has fills that cannot be read", leg)
        return None
    return LegFill(
        symbol=leg.symbol,
        side=side,
        quantity=_whole(leg.filled_qty, "filled_qty", leg),
        price=leg.filled_avg_price,
    )


def _side(leg: WireLeg) -> Side | None:
    word = leg.side or (leg.position_intent or "").partition("_")[0]
    return Side(word) if word in (Side.BUY, Side.SELL) else None


def _whole(number: Decimal | None, name: str, source: WireLeg) -> int:
    """Units are whole; a share order of another hand may be by amount or in fractions."""
    if number is None or number != number.to_integral_value():
        if name == "qty":
            _log.warning("%s of %s is %s, which is no whole number", name, source.symbol, number)
        return int(number or 0)
    return int(number)
