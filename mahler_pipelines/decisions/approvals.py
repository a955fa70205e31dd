"""Answers to recommendations: one recommendation, one decision, whatever is clicked twice."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from mahler_pipelines.decisions.ledger import DecisionLedger, StoredRecommendation
from mahler_pipelines.decisions.recommendation import (
    Decision,
    DecisionVerdict,
    RecommendationStatus,
)
from mahler_pipelines.errors import BadInput, IllegalTransition

STATUS_OF_VERDICT: dict[DecisionVerdict, RecommendationStatus] = {
    DecisionVerdict.APPROVE: RecommendationStatus.APPROVED,
    DecisionVerdict.REJECT: RecommendationStatus.REJECTED,
}


class DecisionOutcome(StrEnum):
    """What became of an answer."""

    RECORDED = "recorded"
    ALREADY_DECIDED = "already_decided"
    EXPIRED = "expired"
    UNKNOWN_RECOMMENDATION = "unknown_recommendation"
    CONTENT_CHANGED = "content_changed"


@dataclass(frozen=True, slots=True)
class DecisionResult:
    """The outcome, the decision that stands, and the status the recommendation has now."""

    outcome: DecisionOutcome
    decision: Decision | None = None
    status: RecommendationStatus | None = None

    @property
    def message(self) -> str:
        """The outcome in words, for the person who answered."""
        if self.outcome is DecisionOutcome.RECORDED and self.status is not None:
            return f"{self.status}"
        if self.outcome is DecisionOutcome.ALREADY_DECIDED:
            if self.decision is None:
                return f"already {self.status}"
            by, door = self.decision.decided_by, self.decision.door
            at = self.decision.decided_at.isoformat(timespec="seconds")
            return f"already answered: {self.decision.verdict} by {by} ({door}) at {at}"
        return _MESSAGES[self.outcome]


_MESSAGES = {
    DecisionOutcome.EXPIRED: "expired before it was answered",
    DecisionOutcome.UNKNOWN_RECOMMENDATION: "no such recommendation",
    DecisionOutcome.CONTENT_CHANGED: "differs from what was shown; look at it again",
}


def decide(
    ledger: DecisionLedger,
    *,
    recommendation_id: str,
    verdict: DecisionVerdict,
    decided_by: str,
    door: str,
    at: datetime,
    reason: str = "",
    shown_hash: str | None = None,
) -> DecisionResult:
    """Record an answer inside the caller's transaction; only the first one counts.

    `shown_hash` is the content hash of what the person saw, where the door knows it. An answer at
    or after the expiry time is not recorded and moves the recommendation to expired. Raises
    `BadInput` for a time without zone and `IllegalTransition` when the ledger refuses the step
    although it stands open, which a transaction with its write lock rules out.
    """
    if at.tzinfo is None:
        raise BadInput("at", at, "needs a time zone")
    stored = ledger.recommendation(recommendation_id)
    if stored is None:
        return DecisionResult(DecisionOutcome.UNKNOWN_RECOMMENDATION)
    if stored.status is RecommendationStatus.EXPIRED and stored.decision is None:
        return DecisionResult(DecisionOutcome.EXPIRED, status=stored.status)
    if stored.status is not RecommendationStatus.PENDING:
        return DecisionResult(DecisionOutcome.ALREADY_DECIDED, stored.decision, stored.status)
    recommendation = stored.recommendation
    if at >= recommendation.expires_at:
        _move(ledger, stored, to=RecommendationStatus.EXPIRED, at=at, reason="not answered in time")
        return DecisionResult(DecisionOutcome.EXPIRED, status=RecommendationStatus.EXPIRED)
    if shown_hash is not None and shown_hash != recommendation.content_hash:
        return DecisionResult(DecisionOutcome.CONTENT_CHANGED, status=stored.status)
    decision = Decision(
        recommendation_id=recommendation_id,
        verdict=verdict,
        decided_by=decided_by,
        door=door,
        decided_at=at,
        content_hash=recommendation.content_hash,
        reason=reason,
    )
    status = STATUS_OF_VERDICT[verdict]
    _move(ledger, stored, to=status, at=at, reason=reason)
    ledger.add_decision(decision)
    return DecisionResult(DecisionOutcome.RECORDED, decision, status)


def expire_due(ledger: DecisionLedger, at: datetime) -> tuple[str, ...]:
    """Move pending recommendations whose time is over to expired; return their ids."""
    if at.tzinfo is None:
        raise BadInput("at", at, "needs a time zone")
    waiting = ledger.recommendations(statuses=[RecommendationStatus.PENDING])
    due = [stored for stored in waiting if at >= stored.recommendation.expires_at]
    for stored in due:
        _move(ledger, stored, to=RecommendationStatus.EXPIRED, at=at, reason="not answered in time")
    return tuple(stored.recommendation.id for stored in due)


def _move(
    ledger: DecisionLedger,
    stored: StoredRecommendation,
    *,
    to: RecommendationStatus,
    at: datetime,
    reason: str,
) -> None:
    identifier = stored.recommendation.id
    moved = ledger.move_recommendation(
        identifier, expected=stored.status, to=to, at=at, reason=reason
    )
    if not moved:
        raise IllegalTransition("recommendation", identifier, "not " + stored.status, to.value)
