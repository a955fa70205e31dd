"""Rows of an account's history: fills, and what happens without an order."""

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from uuid import uuid4

from mahler_pipelines.exchange.orders import Order, OrderLeg
from mahler_pipelines.exchange.wire.format import utc_stamp
from mahler_pipelines.market.sessions import NEW_YORK

POSTED_AT = time(0, 5)
"""New York time on the next calendar day at which non-trade activities are posted."""


class ActivityKind(StrEnum):
    """The kinds of activity that this exchange writes."""

    FILL = "FILL"
    FEE = "FEE"
    DIVIDEND = "DIV"
    EXPIRATION = "OPEXP"
    EXERCISE = "OPEXC"
    ASSIGNMENT = "OPASN"
    CASH_SETTLEMENT = "OPCSH"
    STOCK_DELIVERY = "OPTRD"


@dataclass(frozen=True, slots=True)
class Activity:
    """One row as it goes over the wire, with what is needed to select it."""

    id: str
    account: str
    kind: ActivityKind
    created_at: datetime
    body: dict[str, str]
    order_id: str | None = None
    leg_id: str | None = None


def posting_time(moment: datetime) -> datetime:
    """Return when a non-trade activity of this moment is posted: the next calendar day."""
    local = moment.astimezone(NEW_YORK)
    return datetime.combine(local.date() + timedelta(days=1), POSTED_AT, tzinfo=NEW_YORK)


def fill_activity(order: Order, leg: OrderLeg, *, quantity: int, price: Decimal) -> Activity:
    """Build the FILL row of one leg, after the fill was added to the order and the leg."""
    wanted = order.quantity * leg.terms.ratio
    at = order.updated_at
    row_id = _row_id(at)
    body = {
        "id": row_id,
        "activity_type": ActivityKind.FILL.value,
        "transaction_time": utc_stamp(at),
        "type": "fill" if leg.filled_quantity == wanted else "partial_fill",
        "price": format(price, "f"),
        "qty": str(quantity),
        "side": leg.terms.side.value,
        "symbol": leg.terms.symbol,
        "leaves_qty": str(wanted - leg.filled_quantity),
        "cum_qty": str(leg.filled_quantity),
        "order_id": leg.id if order.multileg else order.id,
        "order_status": order.status.value,
    }
    return Activity(row_id, order.account, ActivityKind.FILL, at, body, order.id, leg.id)


@dataclass(frozen=True, slots=True)
class NonTrade:
    """What happened to an account without an order of its own."""

    kind: ActivityKind
    symbol: str
    quantity: int
    net_amount: Decimal
    price: Decimal | None
    description: str
    per_share_amount: Decimal | None = None


def non_trade_activity(
    account: str, event: NonTrade, *, happened: datetime, group_id: str | None = None
) -> Activity:
    """Build the row of an event; it is posted, and visible, on the next calendar day."""
    created = posting_time(happened)
    row_id = _row_id(created)
    body = {
        "id": row_id,
        "activity_type": event.kind.value,
        "date": happened.astimezone(NEW_YORK).date().isoformat(),
        "net_amount": format(event.net_amount, "f"),
        "description": event.description,
        "symbol": event.symbol,
        "qty": str(event.quantity),
        "status": "executed",
        "created_at": utc_stamp(created),
        "currency": "USD",
    }
    if event.price is not None:
        body["price"] = format(event.price, "f")
    if event.per_share_amount is not None:
        body["per_share_amount"] = format(event.per_share_amount, "f")
    if group_id is not None:
        body["group_id"] = group_id
    return Activity(row_id, account, event.kind, created, body)


def _row_id(moment: datetime) -> str:
    local = moment.astimezone(NEW_YORK)
    return f"{local:%Y%m%d%H%M%S}{local.microsecond // 1000:03d}::{uuid4()}"
