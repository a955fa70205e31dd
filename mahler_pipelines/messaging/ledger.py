"""The ledger in the words of messaging: messages on their way, cards that stand in the channel."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from mahler_pipelines.execution.close_requests import CloseRequest, CloseWish
from mahler_pipelines.review.ledger import Ledger

__all__ = [
    "Approval",
    "CardRecord",
    "CloseRequest",
    "CloseWish",
    "MessagingBook",
    "MessagingLedger",
    "OutgoingMessage",
]


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """A row of the outbox; `delivered_at` is None until it has gone out.

    `sending_since` is when the first request was begun of which it is not known what came; times of
    sending are the machine's, not the market's: a vendor's patience runs by the wall clock.
    """

    key: str
    kind: str
    subject: str
    payload: dict[str, Any]
    created_at: datetime
    attempts: int
    sending_since: datetime | None
    next_attempt_at: datetime | None
    delivered_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class CardRecord:
    """A message in the channel that changes with what it shows.

    `key` is that of its outbox row, `shown` the SHA-256 of the payload it shows, and anything else
    while that is not known; `settled` says that nothing about it can change any more. The answer to
    a press may still overwrite what was put there at `updated_at`, the machine's time, until the
    same was put there once more: then it is `confirmed`.
    """

    key: str
    kind: str
    subject: str
    channel_id: str
    message_id: str
    shown: str
    settled: bool
    updated_at: datetime
    confirmed: bool = True


@dataclass(frozen=True, slots=True)
class Approval:
    """One person's yes where more than one is needed."""

    recommendation_id: str
    decided_by: str
    door: str
    decided_at: datetime
    content_hash: str


class MessagingLedger(Ledger, Protocol):
    """What messaging reads and writes, inside one transaction of one account."""

    def outgoing(self, *, limit: int = 100) -> tuple[OutgoingMessage, ...]:
        """Messages that have not gone out, oldest first."""
        ...

    def due_messages(self, *, at: datetime, limit: int = 100) -> tuple[OutgoingMessage, ...]:
        """The oldest waiting message of each subject where it may be tried now, oldest first."""
        ...

    def message(self, key: str) -> OutgoingMessage | None:
        """One row of the outbox, gone out or not."""
        ...

    def begin_sending(self, key: str, *, at: datetime, anew: bool = False) -> bool:
        """Note that a request is about to be sent; False when the message is out already.

        The first time stays, until the channel was searched and sending begins `anew`.
        """
        ...

    def postpone(self, key: str, *, at: datetime, until: datetime, problem: str) -> bool:
        """Count an attempt of which nothing came; the next one is not before `until`."""
        ...

    def put_card(self, card: CardRecord, *, instead_of: str | None = None) -> bool:
        """Put a card there; False when it is wanted `instead_of` another look than it has."""
        ...

    def last_change(self) -> int:
        """A number that grows with every change of the account; 0 before the first."""
        ...

    def next_expiry(self) -> datetime | None:
        """When the first of the pending recommendations expires, by the market's clock."""
        ...

    def cards(
        self, *, unsettled_only: bool = False, subject: str | None = None
    ) -> tuple[CardRecord, ...]:
        """Cards, oldest first."""
        ...

    def card_of_message(self, message_id: str) -> CardRecord | None:
        """The card that a message is; None for any other message."""
        ...

    def see_interaction(self, interaction_id: str, *, at: datetime) -> bool:
        """Remember an interaction; False when it was seen before. Old ones are forgotten."""
        ...

    def add_approval(self, approval: Approval) -> bool:
        """Record one person's yes; False when this person has given it before."""
        ...

    def approvals(self, recommendation_id: str) -> tuple[Approval, ...]:
        """Everybody's yes to a recommendation, oldest first."""
        ...


class MessagingBook(Protocol):
    """The door to a book's ledger for messaging."""

    def transaction(self, account_id: str) -> AbstractContextManager[MessagingLedger]:
        """Open a unit of work with the account's write lock."""
        ...

    def reading(self, account_id: str) -> AbstractContextManager[MessagingLedger]:
        """Open a read-only view."""
        ...

    def lease(
        self, name: str, *, account_id: str, holder: str, seconds: float
    ) -> AbstractContextManager[None]:
        """Hold an expiring lease for the block; raise `LeaseHeld` when another holder has it."""
        ...

    def pending_executions(
        self, account_id: str, *, since: datetime | None = None
    ) -> Sequence[str]:
        """Ids of approved recommendations, oldest decision first."""
        ...
