"""Orders as the exchange keeps them: legs, states, fills so far."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from mahler_pipelines.options.structures import Side


class WireStatus(StrEnum):
    """Order states in Alpaca's words, as far as this exchange knows them."""

    PENDING_NEW = "pending_new"
    ACCEPTED = "accepted"
    NEW = "new"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    CANCELED = "canceled"
    EXPIRED = "expired"
    REPLACED = "replaced"
    PENDING_CANCEL = "pending_cancel"
    PENDING_REPLACE = "pending_replace"
    REJECTED = "rejected"

    @property
    def is_open(self) -> bool:
        """Whether the order can still fill."""
        return self in OPEN_STATUSES

    @property
    def is_pending_change(self) -> bool:
        """Whether a cancel or a replacement was asked for and has not taken effect."""
        return self in (WireStatus.PENDING_CANCEL, WireStatus.PENDING_REPLACE)


OPEN_STATUSES = frozenset(
    {
        WireStatus.PENDING_NEW,
        WireStatus.ACCEPTED,
        WireStatus.NEW,
        WireStatus.PARTIALLY_FILLED,
        WireStatus.PENDING_CANCEL,
        WireStatus.PENDING_REPLACE,
    }
)


class OrderKind(StrEnum):
    """The order types that this exchange takes."""

    LIMIT = "limit"
    MARKET = "market"
    STOP = "stop"
    STOP_LIMIT = "stop_limit"

    @property
    def has_limit(self) -> bool:
        """Whether it trades at its limit or better."""
        return self in (OrderKind.LIMIT, OrderKind.STOP_LIMIT)

    @property
    def has_stop(self) -> bool:
        """Whether it waits for a price before it trades at all."""
        return self in (OrderKind.STOP, OrderKind.STOP_LIMIT)


class TimeInForce(StrEnum):
    """How long an order rests."""

    DAY = "day"
    GTC = "gtc"


class Intent(StrEnum):
    """What a leg does to the position, in Alpaca's words."""

    BUY_TO_OPEN = "buy_to_open"
    BUY_TO_CLOSE = "buy_to_close"
    SELL_TO_OPEN = "sell_to_open"
    SELL_TO_CLOSE = "sell_to_close"

    @property
    def side(self) -> Side:
        """The side that goes with the intent."""
        return Side.BUY if self in (Intent.BUY_TO_OPEN, Intent.BUY_TO_CLOSE) else Side.SELL

    @property
    def opens(self) -> bool:
        """Whether the leg opens or extends a position."""
        return self in (Intent.BUY_TO_OPEN, Intent.SELL_TO_OPEN)


@dataclass(frozen=True, slots=True)
class LegTerms:
    """One leg of an order: what is traded, and how many of it per unit."""

    symbol: str
    side: Side
    ratio: int
    intent: Intent


@dataclass(frozen=True, slots=True)
class OrderLeg:
    """A leg with its own ids and what has been filled of it.

    `filled_quantity` counts contracts (or shares); `filled_value` is the sum of price x quantity.
    """

    id: str
    client_order_id: str
    terms: LegTerms
    filled_quantity: int = 0
    filled_value: Decimal = Decimal(0)

    @property
    def average_price(self) -> Decimal | None:
        """Average fill price per share, or None before the first fill."""
        return self.filled_value / self.filled_quantity if self.filled_quantity else None


@dataclass(frozen=True, slots=True)
class Order:
    """An order of one to four legs; `quantity` and `filled_quantity` count units.

    `limit_price` is per share of one unit. For a multi-leg order a positive price is a debit and a
    negative one a credit; a single-leg price has no sign. A stop waits until `triggered_at`.
    """

    id: str
    account: str
    client_order_id: str
    multileg: bool
    kind: OrderKind
    time_in_force: TimeInForce
    quantity: int
    limit_price: Decimal | None
    legs: tuple[OrderLeg, ...]
    status: WireStatus
    created_at: datetime
    updated_at: datetime
    expires_at: datetime
    filled_quantity: int = 0
    filled_at: datetime | None = None
    canceled_at: datetime | None = None
    expired_at: datetime | None = None
    replaced_at: datetime | None = None
    replaces: str | None = None
    replaced_by: str | None = None
    stop_price: Decimal | None = None
    triggered_at: datetime | None = None

    @property
    def waits_for_stop(self) -> bool:
        """Whether its stop price has not been met yet."""
        return self.kind.has_stop and self.triggered_at is None

    @property
    def remaining(self) -> int:
        """Units not filled yet."""
        return self.quantity - self.filled_quantity

    @property
    def terms(self) -> tuple[LegTerms, ...]:
        """What is traded, leg by leg."""
        return tuple(leg.terms for leg in self.legs)

    @property
    def net_limit(self) -> Decimal | None:
        """The limit as net debit per unit, whatever the order class; None for a market order."""
        if self.limit_price is None or self.multileg:
            return self.limit_price
        return self.limit_price * self.legs[0].terms.side.sign

    @property
    def net_held(self) -> Decimal | None:
        """Net debit per unit that buying power is held for: the limit, or the stop without one."""
        if self.limit_price is None and self.stop_price is not None:
            return self.stop_price * self.legs[0].terms.side.sign
        return self.net_limit

    @property
    def average_price(self) -> Decimal | None:
        """Average net price per unit (multi-leg: credit negative), None before the first fill."""
        if not self.filled_quantity:
            return None
        if not self.multileg:
            return self.legs[0].average_price
        value = sum((leg.terms.side.sign * leg.filled_value for leg in self.legs), Decimal(0))
        return value / self.filled_quantity

    def held(self, symbol: str) -> int:
        """Contracts of a position that the unfilled rest of this order would close."""
        return sum(
            leg.ratio * self.remaining
            for leg in self.terms
            if leg.symbol == symbol and not leg.intent.opens
        )
