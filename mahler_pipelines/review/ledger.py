"""The ledger in the words of review, and the whole book."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import date, datetime
from typing import Any, Protocol

from mahler_pipelines.execution.ledger import ExecutionLedger
from mahler_pipelines.review.performance import DailyPerformance
from mahler_pipelines.review.reflection import Reflection


class Ledger(ExecutionLedger, Protocol):
    """Everything a transaction of one account can do."""

    def put_performance(self, performance: DailyPerformance) -> None:
        """Insert or replace the session's row."""
        ...

    def performance(
        self, *, start: date | None = None, end: date | None = None
    ) -> tuple[DailyPerformance, ...]:
        """Daily rows, oldest first."""
        ...

    def add_reflection(self, reflection: Reflection) -> bool:
        """Insert; False when the id exists already."""
        ...

    def reflections(self, *, trade_id: str | None = None) -> tuple[Reflection, ...]:
        """Reflections, oldest first."""
        ...

    def model_calls(self, *, candidate_id: str | None = None) -> tuple[dict[str, Any], ...]:
        """Kept analyst answers, oldest first."""
        ...

    def outbox(self, *, undelivered_only: bool = False) -> tuple[dict[str, Any], ...]:
        """Messages, oldest first.

        Each has key, kind, subject, payload, created_at, delivered_at, receipt, attempts, problem.
        """
        ...

    def mark_delivered(self, key: str, *, at: datetime, receipt: dict[str, Any]) -> bool:
        """Record that a message went out, with what the other side said; False if it had before."""
        ...

    def mark_undelivered(self, key: str, *, at: datetime, problem: str) -> bool:
        """Count an attempt that failed and keep why; False if the message had gone out before."""
        ...


class LedgerBook(Protocol):
    """The door to a book's ledger: transactions with the write lock, reads without it."""

    def transaction(self, account_id: str) -> AbstractContextManager[Ledger]:
        """Open a unit of work with the account's write lock."""
        ...

    def reading(self, account_id: str) -> AbstractContextManager[Ledger]:
        """Open a read-only view (a write through it raises `LedgerError`)."""
        ...

    def lease(
        self, name: str, *, account_id: str, holder: str, seconds: float
    ) -> AbstractContextManager[None]:
        """Hold an expiring lease for the block; raise `LeaseHeld` when another holder has it."""
        ...

    def pending_executions(
        self, account_id: str, *, since: datetime | None = None
    ) -> Sequence[str]:
        """Ids of what is to be executed, oldest decision first, without taking the write lock.

        Approved ones, and what an execution left behind before its order left the house.
        """
        ...
