"""An in-memory ledger with the parts of the port that decisions need, and a scripted analyst."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import Any

from mahler_pipelines.decisions.ledger import AuditEvent, StoredRecommendation
from mahler_pipelines.decisions.recommendation import (
    TRANSITIONS,
    Decision,
    Recommendation,
    RecommendationStatus,
)
from mahler_pipelines.decisions.thesis import AnalystAnswer, AnalystQuestion, ModelCall, Thesis
from mahler_pipelines.errors import IllegalTransition, LedgerError


class FakeDecisionLedger:
    """Recommendations and decisions of one account, guarded as the real ledger guards them."""

    def __init__(self, *recommendations: Recommendation) -> None:
        self.account_id = "main"
        self.stored = {
            one.id: StoredRecommendation(one, RecommendationStatus.PENDING, "", None)
            for one in recommendations
        }
        self.moves: list[tuple[str, RecommendationStatus, datetime]] = []
        self.loses_every_race = False
        self.events: list[AuditEvent] = []

    def recommendation(self, recommendation_id: str) -> StoredRecommendation | None:
        return self.stored.get(recommendation_id)

    def recommendations(
        self,
        *,
        statuses: Sequence[RecommendationStatus] | None = None,
        session: date | None = None,
    ) -> tuple[StoredRecommendation, ...]:
        return tuple(
            one
            for one in self.stored.values()
            if (statuses is None or one.status in statuses)
            and (session is None or one.recommendation.session == session)
        )

    def move_recommendation(
        self,
        recommendation_id: str,
        *,
        expected: RecommendationStatus,
        to: RecommendationStatus,
        at: datetime,
        reason: str = "",
    ) -> bool:
        found = self.stored[recommendation_id]
        if found.status is not expected or self.loses_every_race:
            return False
        if to not in TRANSITIONS[expected]:
            raise IllegalTransition("recommendation", recommendation_id, expected, to)
        self.stored[recommendation_id] = replace(found, status=to, status_reason=reason)
        self.moves.append((recommendation_id, to, at))
        return True

    def add_decision(self, decision: Decision) -> None:
        found = self.stored[decision.recommendation_id]
        if found.decision is not None:
            raise LedgerError(f"{decision.recommendation_id} is decided already")
        self.stored[decision.recommendation_id] = replace(found, decision=decision)

    def audit(self, kind: str, subject: str, detail: dict[str, Any], *, at: datetime) -> None:
        self.events.append(AuditEvent(len(self.events) + 1, at, kind, subject, detail))


class ScriptedAnalyst:
    """Answers every question with the same thesis, or with none, and keeps the questions."""

    def __init__(self, thesis: Thesis | None, problem: str = "") -> None:
        self.thesis = thesis
        self.problem = problem
        self.questions: list[AnalystQuestion] = []

    @property
    def name(self) -> str:
        return "scripted"

    def assess(self, question: AnalystQuestion) -> AnalystAnswer:
        self.questions.append(question)
        return AnalystAnswer(self.thesis, self.problem, call_of(question.candidate_id))


def call_of(candidate_id: str) -> ModelCall:
    """Return a kept call without content."""
    return ModelCall(candidate_id, "scripted", "none", "0" * 64, "", "", 0, 0, 0.0, "thesis")
