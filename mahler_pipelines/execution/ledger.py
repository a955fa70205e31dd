"""The ledger in the words of execution: orders, fills, trades, marks, leases."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from mahler_pipelines.decisions.ledger import DecisionLedger
from mahler_pipelines.execution.broker import OrderLeg, OrderStatus
from mahler_pipelines.execution.broker_books import BrokerBooks
from mahler_pipelines.execution.close_requests import CloseRequests
from mahler_pipelines.execution.trades import PositionMark, Trade, TradeStatus

NEVER_SENT = "never_sent"
"""Why an intent is rejected that was withdrawn before it left."""


class OrderPurpose(StrEnum):
    """Why an order is sent: only OPEN and ROLL add risk.

    ROLL closes a trade and opens the one that takes its place, in one order. HEDGE covers what is
    held without its other leg, SWEEP disposes of shares and of positions that no trade of ours
    stands behind.
    """

    OPEN = "open"
    CLOSE = "close"
    ROLL = "roll"
    HEDGE = "hedge"
    SWEEP = "sweep"

    @property
    def reduces_risk(self) -> bool:
        """Whether an order of this purpose waits neither for an opening nor for a person."""
        return self not in (OrderPurpose.OPEN, OrderPurpose.ROLL)


@dataclass(frozen=True, slots=True)
class OrderRecord:
    """An order in the ledger: first the intent, then what became of it.

    `subject_id` is the recommendation (open, roll) or the trade (close) behind it, `rolls` the
    trade that a roll closes. Prices per share.
    `cancel_reason` is why the desk asked for a cancel, written before it was asked; empty while
    nobody of ours did.
    """

    client_order_id: str
    account_id: str
    purpose: OrderPurpose
    subject_id: str
    underlying: str
    legs: tuple[OrderLeg, ...]
    quantity: int
    limit_price: Decimal | None
    status: OrderStatus
    status_reason: str
    intended_at: datetime
    broker_order_id: str | None
    filled_quantity: int
    average_fill_price: Decimal | None
    mid_at_submission: Decimal | None
    run_id: str
    cancel_reason: str = ""
    rolls: str = ""

    @property
    def opened_symbols(self) -> frozenset[str]:
        """Contracts of the legs that open; the other legs close."""
        return frozenset(leg.symbol for leg in self.legs if leg.intent.opens)

    @property
    def never_left(self) -> bool:
        """Whether the order is known not to have left the house."""
        withdrawn = self.status is OrderStatus.REJECTED and self.status_reason == NEVER_SENT
        return withdrawn or self.status is OrderStatus.INTENDED


@dataclass(frozen=True, slots=True)
class FillRecord:
    """One leg's fill with the quote it was filled against.

    `mid` is the middle of that quote, seen at `quoted_at`, and `slippage` what the price was worse
    than it, per share: positive is a cost, bought above or sold below. None without a whole quote.
    """

    id: str
    client_order_id: str
    symbol: str
    side: str
    quantity: int
    price: Decimal
    bid: Decimal | None
    ask: Decimal | None
    snapshot: str | None
    filled_at: datetime
    mid: Decimal | None = None
    slippage: Decimal | None = None
    quoted_at: datetime | None = None


class ExecutionLedger(DecisionLedger, BrokerBooks, CloseRequests, Protocol):
    """What execution reads and writes, inside one transaction of one account."""

    def add_order(self, order: OrderRecord) -> bool:
        """Insert an intent; False when the client order id exists already."""
        ...

    def order(self, client_order_id: str) -> OrderRecord | None:
        """One order."""
        ...

    def orders(
        self,
        *,
        statuses: Sequence[OrderStatus] | None = None,
        purpose: OrderPurpose | None = None,
        subject_id: str | None = None,
        intended_from: datetime | None = None,
        rolls: str | None = None,
    ) -> tuple[OrderRecord, ...]:
        """Orders, oldest first; `rolls` those that roll this trade."""
        ...

    def update_order(
        self,
        client_order_id: str,
        *,
        expected: Sequence[OrderStatus],
        to: OrderStatus,
        at: datetime,
        reason: str = "",
        broker_order_id: str | None = None,
        filled_quantity: int | None = None,
        average_fill_price: Decimal | None = None,
    ) -> bool:
        """Guarded update; False when the order was in none of the expected states."""
        ...

    def intend_cancel(self, client_order_id: str, *, reason: str, at: datetime) -> bool:
        """Write down why a cancel is about to be asked; False when the order is final already."""
        ...

    def add_fills(self, fills: Sequence[FillRecord]) -> int:
        """Insert fills that are not there yet; return how many were new."""
        ...

    def fills(self, *, client_order_id: str | None = None) -> tuple[FillRecord, ...]:
        """Fills, oldest first."""
        ...

    def open_trade(self, trade: Trade) -> bool:
        """Insert a trade; False when its id exists already."""
        ...

    def trade(self, trade_id: str) -> Trade | None:
        """One trade."""
        ...

    def trades(
        self,
        *,
        statuses: Sequence[TradeStatus] | None = None,
        underlying: str | None = None,
        closed_from: datetime | None = None,
    ) -> tuple[Trade, ...]:
        """Trades, oldest first."""
        ...

    def update_trade(self, trade: Trade, *, expected: TradeStatus, at: datetime) -> bool:
        """Replace a trade's exit side, guarded by its status."""
        ...

    def add_marks(self, marks: Sequence[PositionMark]) -> None:
        """Append marks; one per trade and moment."""
        ...

    def marks(
        self, *, trade_id: str | None = None, from_: datetime | None = None
    ) -> tuple[PositionMark, ...]:
        """Marks, oldest first."""
        ...

    def entries_on(self, session: date, *, besides: str | None = None) -> int:
        """How many recommendations were sent in this session and not refused, `besides` one."""
        ...


class ExecutionBook(Protocol):
    """The door to the ledger for execution."""

    def transaction(self, account_id: str) -> AbstractContextManager[ExecutionLedger]:
        """Open a unit of work with the account's write lock."""
        ...

    def lease(
        self, name: str, *, account_id: str, holder: str, seconds: float
    ) -> AbstractContextManager[None]:
        """Hold an expiring lease for the block; raise `LeaseHeld` when another holder has it.

        A lease expires by the database's clock, so a killed holder blocks nobody for long.
        """
        ...
