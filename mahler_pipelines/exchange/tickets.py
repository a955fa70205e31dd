"""An order as it was sent: read from JSON, and refused where its form alone is wrong."""

import math
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any, TypeVar

from mahler_pipelines.exchange.instruments import option_contract
from mahler_pipelines.exchange.orders import Intent, OrderKind, TimeInForce
from mahler_pipelines.exchange.wire.errors import DUPLICATE_OR_BAD, WireRefusal, unprocessable
from mahler_pipelines.options.structures import Side

LONGEST_CLIENT_ID = 128
_CENT_PLACES = 2
_Word = TypeVar("_Word", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class TicketLeg:
    """A leg as it was sent; the intent of a single leg may be left to the exchange."""

    symbol: str
    side: Side
    ratio: int
    intent: Intent | None


@dataclass(frozen=True, slots=True)
class Ticket:
    """An order whose form is right; whether the account may send it is not decided here."""

    client_order_id: str | None
    multileg: bool
    kind: OrderKind
    time_in_force: TimeInForce
    quantity: int
    limit_price: Decimal | None
    legs: tuple[TicketLeg, ...]
    stop_price: Decimal | None = None


def read_ticket(body: dict[str, Any]) -> Ticket:
    """Read a POST /v2/orders body; raise `WireRefusal` where it is malformed.

    Numbers may come as JSON numbers or as text, as Alpaca takes them.
    """
    multileg = body.get("order_class") == "mleg"
    if not multileg and body.get("order_class") not in (None, "", "simple"):
        raise unprocessable(f"order class {body['order_class']} is not supported")
    kind = _choice(OrderKind, body.get("type"), "order type")
    if multileg and kind.has_stop:
        raise unprocessable(f"order type {kind} is not supported for mleg orders")
    time_in_force = _choice(TimeInForce, body.get("time_in_force"), "time in force")
    if body.get("extended_hours"):
        raise unprocessable("extended hours are not supported for options trading")
    if body.get("notional") is not None:
        raise unprocessable("notional is not supported for options trading")
    legs = _read_legs(body) if multileg else (_read_single(body),)
    quantity = whole(body.get("qty"), "qty")
    limit_price = read_price(body.get("limit_price"), kind, legs=legs, multileg=multileg)
    stop_price = read_stop(body.get("stop_price"), kind, symbol=legs[0].symbol)
    return Ticket(
        read_client_id(body.get("client_order_id")),
        multileg,
        kind,
        time_in_force,
        quantity,
        limit_price,
        legs,
        stop_price,
    )


def read_client_id(value: object) -> str | None:
    """Read a client order id: at most 128 characters; None leaves it to the exchange."""
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > LONGEST_CLIENT_ID:
        raise WireRefusal(
            422, DUPLICATE_OR_BAD, f"client_order_id must be at most {LONGEST_CLIENT_ID} characters"
        )
    return value


def read_price(
    value: object, kind: OrderKind, *, legs: tuple[TicketLeg, ...], multileg: bool
) -> Decimal | None:
    """Read a limit price: present exactly for an order with a limit, in cents for options."""
    if not kind.has_limit:
        if value is not None:
            raise unprocessable(f"{kind} orders must not have a limit price")
        return None
    if value is None:
        raise unprocessable(f"{kind} orders require a limit price")
    price = exact(value, "limit_price")
    if not multileg and price <= 0:
        raise unprocessable("limit price must be > 0")
    _check_places(price, "limit_price", legs[0].symbol)
    return price


def read_stop(value: object, kind: OrderKind, *, symbol: str) -> Decimal | None:
    """Read a stop price: positive, present exactly for an order with a stop."""
    if not kind.has_stop:
        if value is not None:
            raise unprocessable(f"{kind} orders must not have a stop price")
        return None
    if value is None:
        raise unprocessable(f"{kind} orders require a stop price")
    price = exact(value, "stop_price")
    if price <= 0:
        raise unprocessable("stop price must be > 0")
    _check_places(price, "stop_price", symbol)
    return price


def _check_places(price: Decimal, name: str, symbol: str) -> None:
    """Refuse parts of a cent; shares below a dollar may have hundredths of it."""
    sub_dollar_share = option_contract(symbol) is None and price < 1
    if price != round(price, 4 if sub_dollar_share else _CENT_PLACES):
        raise unprocessable(
            f"invalid {name} {price}. sub-penny increment does not fulfill minimum pricing criteria"
        )


def exact(value: object, name: str) -> Decimal:
    """Read a finite number from text or a JSON number."""
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise unprocessable(f"invalid {name}")
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise unprocessable(f"invalid {name}") from None
    if not number.is_finite():
        raise unprocessable(f"invalid {name}")
    return number


def whole(value: object, name: str) -> int:
    """Read a positive whole number."""
    if value is None:
        raise unprocessable(f"{name} is required")
    number = exact(value, name)
    if number != number.to_integral_value():
        raise unprocessable(f"{name} must be integer for options trading")
    if not 0 < number < 10**9:
        raise unprocessable(f"{name} must be > 0")
    return int(number)


def _read_single(body: dict[str, Any]) -> TicketLeg:
    if body.get("legs"):
        raise unprocessable("legs are only allowed for mleg orders")
    return _read_leg({**body, "ratio_qty": 1}, intent_of="order")


def _read_legs(body: dict[str, Any]) -> tuple[TicketLeg, ...]:
    for name in ("symbol", "side", "position_intent"):
        if body.get(name):
            raise unprocessable(f"{name} is not allowed for mleg orders")
    raw = body.get("legs")
    if not isinstance(raw, list) or not 2 <= len(raw) <= 4:
        raise unprocessable("mleg orders must have 2 to 4 legs")
    legs = tuple(_read_leg(leg, intent_of=f"leg.{place}") for place, leg in enumerate(raw))
    if any(option_contract(leg.symbol) is None for leg in legs):
        raise unprocessable("equity legs are not supported for mleg orders")
    if len({leg.symbol for leg in legs}) != len(legs):
        raise unprocessable("mleg order legs must have unique symbols")
    ratios = [leg.ratio for leg in legs]
    divisor = math.gcd(*ratios)
    if divisor != 1:
        listed = " ".join(map(str, ratios))
        raise unprocessable(
            f"leg ratio quantities should be relatively prime: GCD[{listed}] = {divisor}"
        )
    return legs


def _read_leg(raw: object, *, intent_of: str) -> TicketLeg:
    if not isinstance(raw, dict) or not isinstance(raw.get("symbol"), str) or not raw["symbol"]:
        raise unprocessable("symbol is required")
    stated = raw.get("position_intent")
    intent = _choice(Intent, stated, "position intent") if stated else None
    if intent is None and intent_of != "order":
        raise unprocessable(f"{intent_of} position intent is required")
    if raw.get("side"):
        side = _choice(Side, raw["side"], "side")
    elif intent is not None:
        side = intent.side
    else:
        raise unprocessable("side is required")
    return TicketLeg(raw["symbol"], side, whole(raw.get("ratio_qty"), "ratio_qty"), intent)


def _choice(kind: type[_Word], value: object, name: str) -> _Word:
    try:
        return kind(str(value))
    except ValueError:
        raise unprocessable(f"invalid {name}") from None
