"""What the ledger keeps of the broker's own acts.

Its history, legs it settled, what is held beside trades, and what reconciliation found. Quantities
are signed: short is negative.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Protocol


class FindingKind(StrEnum):
    """How the broker's books differ from the ledger, and what made them differ once it is known."""

    UNKNOWN_POSITION = "unknown_position"
    MISSING_LEG = "missing_leg"
    QUANTITY_DIFFERS = "quantity_differs"
    ORPHANED_ORDER = "orphaned_order"
    ASSIGNED = "assigned"
    EXERCISED = "exercised"
    EXPIRED = "expired"
    LIQUIDATED = "liquidated"
    UNPAIRED_SHORT = "unpaired_short"
    INVARIANT = "invariant"


class FindingStatus(StrEnum):
    """State of a finding."""

    OPEN = "open"
    REPAIRED = "repaired"
    DISMISSED = "dismissed"


class RepairKind(StrEnum):
    """What puts a finding right."""

    WAIT = "wait"
    ADOPT = "adopt"
    BOOK = "book"
    CANCEL = "cancel"
    COVER = "cover"
    SWEEP = "sweep"
    EXAMINE = "examine"
    GONE = "gone"


class HoldingSource(StrEnum):
    """How a position came about that no trade explains."""

    ADOPTED = "adopted"
    ASSIGNED = "assigned"
    EXERCISED = "exercised"
    REMAINDER = "remainder"
    HEDGE = "hedge"
    SWEEP = "sweep"


@dataclass(frozen=True, slots=True)
class FindingRecord:
    """One finding from first sight to its end. `subject` is a symbol, an order or an invariant."""

    id: str
    account_id: str
    kind: FindingKind
    subject: str
    expected: Decimal
    found: Decimal
    first_seen: datetime
    last_seen: datetime
    status: FindingStatus
    repair: RepairKind
    detail: dict[str, Any] = field(default_factory=dict)
    resolved_at: datetime | None = None
    resolved_by: str = ""


@dataclass(frozen=True, slots=True)
class KnownActivity:
    """A row of the broker's history as the ledger keeps it.

    `quantity` is the change of the position and `booked_quantity` the part that trades and
    holdings have taken up. `ours` marks a fill of an order of this ledger.
    """

    id: str
    kind: str
    day: date
    symbol: str
    quantity: Decimal
    price: Decimal | None
    net_amount: Decimal
    order_id: str | None
    group_id: str | None
    ours: bool
    booked_quantity: Decimal
    seen_at: datetime

    @property
    def left(self) -> int:
        """What nothing has taken up yet."""
        return int(self.quantity - self.booked_quantity)


@dataclass(frozen=True, slots=True)
class LegSettlement:
    """Contracts of a trade's leg that ended without an order of ours, at a price per share.

    `quantity` is positive and `side` the side that closes the leg. A leg that delivers shares ends
    at its entry price, because its premium moves into what the shares cost.
    """

    id: str
    trade_id: str
    symbol: str
    side: str
    quantity: int
    price: Decimal
    cause: str
    activity_id: str | None
    settled_at: datetime


@dataclass(frozen=True, slots=True)
class Holding:
    """A lot outside trades: what is left of it, what it cost, and what its closed part earned.

    Prices per share. `average_price` holds the premium of the option that delivered the shares,
    `carried_price` is what the broker carries the lot at. `realised_usd` is before fees, exact.
    """

    id: str
    account_id: str
    symbol: str
    opened_quantity: int
    quantity: int
    average_price: Decimal
    carried_price: Decimal
    source: HoldingSource
    origin: str
    opened_at: datetime
    closed_at: datetime | None = None
    realised_usd: Decimal = Decimal(0)
    fees_usd: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class CashBeginning:
    """The broker's cash when the ledger first looked."""

    at: datetime
    cash: Decimal


class BrokerBooks(Protocol):
    """The part of a transaction that keeps what the broker did by itself."""

    def add_activities(self, rows: Sequence[KnownActivity]) -> int:
        """Insert rows of the broker's history that are not there yet; return how many were new."""
        ...

    def activities(self) -> tuple[KnownActivity, ...]:
        """The broker's history as far as it was read, oldest first."""
        ...

    def book_activity(self, activity_id: str, quantity: int) -> None:
        """Take up a signed part of a row; raise `IllegalTransition` beyond what is left."""
        ...

    def add_settlements(self, rows: Sequence[LegSettlement]) -> None:
        """Append legs that ended without an order."""
        ...

    def settlements(self, *, trade_id: str | None = None) -> tuple[LegSettlement, ...]:
        """Legs that ended without an order, oldest first."""
        ...

    def put_holding(self, holding: Holding, *, at: datetime) -> None:
        """Insert a lot or replace what is left of it."""
        ...

    def holdings(self, *, open_only: bool = True) -> tuple[Holding, ...]:
        """Lots outside trades, oldest first."""
        ...

    def put_finding(self, finding: FindingRecord) -> None:
        """Insert a finding or replace its state."""
        ...

    def finding(self, finding_id: str) -> FindingRecord | None:
        """One finding."""
        ...

    def findings(
        self, *, statuses: Sequence[FindingStatus] | None = None
    ) -> tuple[FindingRecord, ...]:
        """Findings, oldest first."""
        ...

    def begin_cash(self, beginning: CashBeginning) -> bool:
        """Keep the broker's cash at first sight; False when it is kept already."""
        ...

    def cash_beginning(self) -> CashBeginning | None:
        """The broker's cash at first sight."""
        ...
