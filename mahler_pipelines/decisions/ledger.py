"""The ledger in the words of decisions: recommendations, answers, model calls, playbook, state.

A transaction is a unit of work of one account. It opens with a write lock (BEGIN IMMEDIATE on
SQLite, the account's row FOR UPDATE on PostgreSQL) so that what it reads stays true until it
commits. Leaving the block normally commits; an exception rolls everything back. Every change
writes its audit event in the same transaction.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Protocol

from mahler_pipelines.decisions.playbook import Playbook, PlaybookRule, RuleStatus
from mahler_pipelines.decisions.recommendation import (
    Decision,
    Recommendation,
    RecommendationStatus,
)
from mahler_pipelines.decisions.thesis import ModelCall
from mahler_pipelines.risk.trading_state import TradingState


@dataclass(frozen=True, slots=True)
class StoredRecommendation:
    """A recommendation with its state, and the decision once there is one."""

    recommendation: Recommendation
    status: RecommendationStatus
    status_reason: str
    decision: Decision | None


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One line of the account's history."""

    id: int
    at: datetime
    kind: str
    subject: str
    detail: dict[str, Any]


class DecisionLedger(Protocol):
    """What decisions read and write, inside one transaction of one account."""

    @property
    def account_id(self) -> str:
        """The account of this transaction."""
        ...

    def add_recommendation(self, recommendation: Recommendation, *, at: datetime) -> bool:
        """Insert as pending with its outbox message; False when the id exists already."""
        ...

    def recommendation(self, recommendation_id: str) -> StoredRecommendation | None:
        """One recommendation with its state and decision."""
        ...

    def recommendations(
        self,
        *,
        statuses: Sequence[RecommendationStatus] | None = None,
        session: date | None = None,
    ) -> tuple[StoredRecommendation, ...]:
        """Recommendations, oldest first."""
        ...

    def move_recommendation(
        self,
        recommendation_id: str,
        *,
        expected: RecommendationStatus,
        to: RecommendationStatus,
        at: datetime,
        reason: str = "",
    ) -> bool:
        """Guarded update (WHERE status = expected); False when another state was found."""
        ...

    def add_decision(self, decision: Decision) -> None:
        """Record a person's answer; a second answer of the same recommendation is refused."""
        ...

    def add_model_call(self, call: ModelCall, *, at: datetime, run_id: str) -> None:
        """Keep the raw answer of an analyst."""
        ...

    def playbook(self, *, as_of: datetime) -> Playbook:
        """The rules adopted at or before as_of."""
        ...

    def rules(self, *, statuses: Sequence[RuleStatus] | None = None) -> tuple[PlaybookRule, ...]:
        """Playbook rules, oldest first."""
        ...

    def propose_rule(self, rule: PlaybookRule) -> bool:
        """Insert a proposed rule; False when the id exists already."""
        ...

    def decide_rule(self, rule_id: str, *, status: RuleStatus, at: datetime, by: str) -> bool:
        """Adopt, refuse or retire a rule; False when it was not in a state that allows it."""
        ...

    def trading_state(self) -> tuple[TradingState, str]:
        """The state and why."""
        ...

    def set_trading_state(self, state: TradingState, *, reason: str, by: str, at: datetime) -> None:
        """Change the state."""
        ...

    def enqueue(
        self, *, kind: str, subject: str, payload: dict[str, Any], key: str, at: datetime
    ) -> bool:
        """Put a message in the outbox under an idempotency key; False when the key is there."""
        ...

    def audit(self, kind: str, subject: str, detail: dict[str, Any], *, at: datetime) -> None:
        """Write an audit event of its own."""
        ...

    def audit_events(self, *, subject: str | None = None) -> tuple[AuditEvent, ...]:
        """The account's history, oldest first."""
        ...
