"""The broker as the desk speaks of it: orders, positions, activities, and the port."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Protocol

from mahler_pipelines.options.structures import Side


class OrderStatus(StrEnum):
    """State of an order as we know it. UNKNOWN is a state, never a guess."""

    INTENDED = "intended"
    SUBMITTED = "submitted"
    ACKNOWLEDGED = "acknowledged"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    EXPIRED = "expired"
    REPLACED = "replaced"
    UNKNOWN = "unknown"

    @property
    def is_final(self) -> bool:
        """Whether nothing more can happen to the order."""
        return self in _FINAL


_FINAL = frozenset(
    {
        OrderStatus.FILLED,
        OrderStatus.CANCELLED,
        OrderStatus.REJECTED,
        OrderStatus.EXPIRED,
        OrderStatus.REPLACED,
    }
)


class PositionIntent(StrEnum):
    """What a leg does to the position."""

    BUY_TO_OPEN = "buy_to_open"
    BUY_TO_CLOSE = "buy_to_close"
    SELL_TO_OPEN = "sell_to_open"
    SELL_TO_CLOSE = "sell_to_close"

    @property
    def opens(self) -> bool:
        """Whether the leg opens or adds to a position."""
        return self in (PositionIntent.BUY_TO_OPEN, PositionIntent.SELL_TO_OPEN)


@dataclass(frozen=True, slots=True)
class OrderLeg:
    """One leg of an order."""

    symbol: str
    side: Side
    ratio: int
    intent: PositionIntent


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """A limit order for `quantity` units of the legs.

    `limit_price` is the net price per share of one unit: positive a debit, negative a credit,
    as on Alpaca's wire. None is a market order.
    """

    client_order_id: str
    legs: tuple[OrderLeg, ...]
    quantity: int
    limit_price: Decimal | None


@dataclass(frozen=True, slots=True)
class LegFill:
    """What has been filled of one leg; price per share, average over partial fills."""

    symbol: str
    side: Side
    quantity: int
    price: Decimal


@dataclass(frozen=True, slots=True)
class BrokerOrder:
    """An order as the broker reports it. `filled_quantity` counts units.

    `leg_ids` are the ids that its legs' fills carry in the account's history.
    """

    id: str
    client_order_id: str
    status: OrderStatus
    broker_status: str
    quantity: int
    filled_quantity: int
    limit_price: Decimal | None
    average_fill_price: Decimal | None
    fills: tuple[LegFill, ...]
    submitted_at: datetime | None
    filled_at: datetime | None
    raw: dict[str, Any]
    leg_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BrokerClock:
    """The present, as the broker has it."""

    now: datetime
    is_open: bool
    next_open: datetime
    next_close: datetime


@dataclass(frozen=True, slots=True)
class BrokerAccount:
    """Money and permissions."""

    id: str
    status: str
    equity: Decimal
    last_equity: Decimal
    cash: Decimal
    options_buying_power: Decimal
    options_level: int
    trading_blocked: bool


@dataclass(frozen=True, slots=True)
class BrokerPosition:
    """One open position; `quantity` is signed (short is negative) whatever the wire says."""

    symbol: str
    quantity: int
    average_entry_price: Decimal
    current_price: Decimal | None
    is_option: bool


@dataclass(frozen=True, slots=True)
class BrokerActivity:
    """One row of the account's history; unknown kinds are kept as they came."""

    id: str
    kind: str
    day: date
    symbol: str
    quantity: Decimal
    price: Decimal | None
    net_amount: Decimal
    order_id: str | None
    raw: dict[str, Any]


class Broker(Protocol):
    """What the desk may ask of a broker.

    Writes raise `BrokerRefused` for a definitive refusal and `BrokerOutcomeUnknown` when the
    request may have been taken; reads raise `BrokerUnavailable`.
    """

    def clock(self) -> BrokerClock:
        """The present and the next open and close."""
        ...

    def account(self) -> BrokerAccount:
        """Money and permissions now."""
        ...

    def submit(self, order: OrderRequest) -> BrokerOrder:
        """Send an order once: never repeats the request by itself."""
        ...

    def order_by_client_id(self, client_order_id: str) -> BrokerOrder | None:
        """The order with this id, or None when the broker says there is none."""
        ...

    def cancel(self, order_id: str) -> None:
        """Ask for a cancel; the outcome is read afterwards."""
        ...

    def open_orders(self) -> tuple[BrokerOrder, ...]:
        """Orders that can still fill."""
        ...

    def positions(self) -> tuple[BrokerPosition, ...]:
        """Everything held now."""
        ...

    def activities(self, *, after: datetime | None = None) -> tuple[BrokerActivity, ...]:
        """Account history, oldest first, all pages followed."""
        ...
