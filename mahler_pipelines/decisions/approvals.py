"""Answers to recommendations: one recommendation, one decision, whatever is clicked twice."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from mahler_pipelines.decisions.ledger import DecisionLedger, StoredRecommendation
from mahler_pipelines.decisions.recommendation import (
    Decision,
    DecisionVerdict,
    RecommendationStatus,
    successor_ids,
)
from mahler_pipelines.errors import BadInput, IllegalTransition

STATUS_OF_VERDICT: dict[DecisionVerdict, RecommendationStatus] = {
    DecisionVerdict.APPROVE: RecommendationStatus.APPROVED,
    DecisionVerdict.REJECT: RecommendationStatus.REJECTED,
}


ANSWER_REFUSED = "answer_refused"
"""Kind of the event that keeps an answer which decided nothing."""


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
    status_reason: str = ""
    expired_at: datetime | None = None
    offered: str | None = None

    @property
    def message(self) -> str:
        """The outcome in words, for the person who answered."""
        if self.outcome is DecisionOutcome.RECORDED and self.status is not None:
            return f"{self.status}"
        if self.outcome is DecisionOutcome.ALREADY_DECIDED:
            return f"{self._standing()}{self._since()}"
        if self.outcome is DecisionOutcome.EXPIRED and self.expired_at is not None:
            at = self.expired_at.isoformat(timespec="seconds")
            return f"expired at {at}, before it was answered"
        return _MESSAGES[self.outcome]

    def _standing(self) -> str:
        if self.decision is None:
            return f"already {self.status}"
        by, door = self.decision.decided_by, self.decision.door
        at = self.decision.decided_at.isoformat(timespec="seconds")
        return f"already answered: {self.decision.verdict} by {by} ({door}) at {at}"

    def _since(self) -> str:
        """What has become of the answer that stands, where it is more than the answer itself."""
        if self.decision is None or self.status is STATUS_OF_VERDICT[self.decision.verdict]:
            return ""
        because = f" ({self.status_reason})" if self.status_reason else ""
        instead = f", offered anew as {self.offered}" if self.offered else ""
        return f"; now {self.status}{because}{instead}"


_MESSAGES = {
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
    or after the expiry time is no decision and moves the recommendation to expired. An answer that
    decides nothing is kept as an `answer_refused` event: who, when, through which door, and why.
    Raises `BadInput` for a time without zone and `IllegalTransition` when the ledger refuses the
    step although it stands open, which a transaction with its write lock rules out.
    """
    if at.tzinfo is None:
        raise BadInput("at", at, "needs a time zone")
    stored = ledger.recommendation(recommendation_id)
    found = _answerable(ledger, stored, at=at, shown_hash=shown_hash)
    if isinstance(found, DecisionResult):
        detail = {
            "verdict": verdict,
            "by": decided_by,
            "door": door,
            "reason": reason,
            "shown_hash": shown_hash,
            "outcome": found.outcome,
            "told": found.message,
        }
        ledger.audit(ANSWER_REFUSED, recommendation_id, detail, at=at)
        return found
    decision = Decision(
        recommendation_id=recommendation_id,
        verdict=verdict,
        decided_by=decided_by,
        door=door,
        decided_at=at,
        content_hash=found.recommendation.content_hash,
        reason=reason,
    )
    status = STATUS_OF_VERDICT[verdict]
    _move(ledger, found, to=status, at=at, reason=reason)
    ledger.add_decision(decision)
    return DecisionResult(DecisionOutcome.RECORDED, decision, status)


def _answerable(
    ledger: DecisionLedger,
    stored: StoredRecommendation | None,
    *,
    at: datetime,
    shown_hash: str | None,
) -> StoredRecommendation | DecisionResult:
    """The recommendation when an answer to it counts, else why it decides nothing."""
    if stored is None:
        return DecisionResult(DecisionOutcome.UNKNOWN_RECOMMENDATION)
    shown, status = stored.recommendation, stored.status
    if status is RecommendationStatus.PENDING and at >= shown.expires_at:
        status = RecommendationStatus.EXPIRED
        _move(ledger, stored, to=status, at=at, reason="not answered in time")
    if status is RecommendationStatus.EXPIRED and stored.decision is None:
        return DecisionResult(DecisionOutcome.EXPIRED, status=status, expired_at=shown.expires_at)
    if status is not RecommendationStatus.PENDING:
        anew = offered_instead(ledger, shown.id)
        return DecisionResult(
            DecisionOutcome.ALREADY_DECIDED,
            stored.decision,
            status,
            stored.status_reason,
            offered=anew.recommendation.id if anew else None,
        )
    if shown_hash is not None and shown_hash != shown.content_hash:
        return DecisionResult(DecisionOutcome.CONTENT_CHANGED, status=status)
    return stored


def offered_instead(ledger: DecisionLedger, recommendation_id: str) -> StoredRecommendation | None:
    """Return what took the place of a recommendation that lapsed or was edited; None so far."""
    found = map(ledger.recommendation, successor_ids(recommendation_id))
    return next((one for one in found if one is not None), None)


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
