"""One recommendation, one decision: clicks twice, late, and at something else."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mahler_pipelines.decisions.approvals import (
    DecisionOutcome,
    DecisionResult,
    decide,
    expire_due,
)
from mahler_pipelines.decisions.recommendation import (
    DecisionVerdict,
    Recommendation,
    RecommendationStatus,
)
from mahler_pipelines.errors import BadInput, IllegalTransition
from tests.decisions.cases import AS_OF, candidate, recommendation
from tests.decisions.fakes import FakeDecisionLedger

APPROVE, REJECT = DecisionVerdict.APPROVE, DecisionVerdict.REJECT


def answer(
    ledger: FakeDecisionLedger,
    identifier: str,
    verdict: DecisionVerdict = APPROVE,
    *,
    at: datetime = AS_OF + timedelta(minutes=5),
    by: str = "ana",
    shown_hash: str | None = None,
) -> DecisionResult:
    return decide(
        ledger,  # type: ignore[arg-type]
        recommendation_id=identifier,
        verdict=verdict,
        decided_by=by,
        door="discord",
        at=at,
        reason="because",
        shown_hash=shown_hash,
    )


@pytest.fixture
def shown() -> Recommendation:
    return recommendation()


def test_an_answer_is_bound_to_the_content_it_was_given_for(shown: Recommendation) -> None:
    ledger = FakeDecisionLedger(shown)
    result = answer(ledger, shown.id, shown_hash=shown.content_hash)
    assert (result.outcome, result.status) == (
        DecisionOutcome.RECORDED,
        RecommendationStatus.APPROVED,
    )
    stored = ledger.stored[shown.id]
    assert stored.decision == result.decision
    assert stored.decision is not None
    assert stored.decision.content_hash == shown.content_hash
    assert (stored.decision.decided_by, stored.decision.door) == ("ana", "discord")
    assert result.message == "approved"


@pytest.mark.parametrize("second", [APPROVE, REJECT])
@pytest.mark.parametrize("first", [APPROVE, REJECT])
def test_the_first_answer_stands(
    shown: Recommendation, first: DecisionVerdict, second: DecisionVerdict
) -> None:
    """Two clicks, two people, or yes and then no: the second is told what the first said."""
    ledger = FakeDecisionLedger(shown)
    standing = answer(ledger, shown.id, first).decision
    again = answer(ledger, shown.id, second, by="ben")
    assert again.outcome is DecisionOutcome.ALREADY_DECIDED
    assert again.decision == standing
    assert len(ledger.moves) == 1
    assert (
        again.message == f"already answered: {first} by ana (discord) at 2026-01-05T17:05:00+00:00"
    )
    (event,) = ledger.events
    assert (event.kind, event.subject) == ("answer_refused", shown.id)
    assert event.at == AS_OF + timedelta(minutes=5)
    kept = {name: event.detail[name] for name in ("verdict", "by", "door", "outcome", "told")}
    assert kept == {
        "verdict": second,
        "by": "ben",
        "door": "discord",
        "outcome": DecisionOutcome.ALREADY_DECIDED,
        "told": again.message,
    }


@pytest.mark.parametrize("verdict", [APPROVE, REJECT])
def test_an_answer_at_the_expiry_time_comes_too_late(
    shown: Recommendation, verdict: DecisionVerdict
) -> None:
    ledger = FakeDecisionLedger(shown)
    for _ in range(2):
        result = answer(ledger, shown.id, verdict, at=shown.expires_at)
        assert result.outcome is DecisionOutcome.EXPIRED
        assert ledger.stored[shown.id].status is RecommendationStatus.EXPIRED
        assert ledger.stored[shown.id].decision is None
    assert len(ledger.moves) == 1
    assert result.message == "expired at 2026-01-05T17:30:00+00:00, before it was answered"
    assert [event.detail["outcome"] for event in ledger.events] == [DecisionOutcome.EXPIRED] * 2


def test_the_last_moment_still_counts(shown: Recommendation) -> None:
    ledger = FakeDecisionLedger(shown)
    result = answer(ledger, shown.id, at=shown.expires_at - timedelta(microseconds=1))
    assert result.outcome is DecisionOutcome.RECORDED


def test_an_answer_to_other_content_is_not_recorded(shown: Recommendation) -> None:
    ledger = FakeDecisionLedger(shown)
    other = recommendation(candidate(short_bid=1.96))
    result = answer(ledger, shown.id, shown_hash=other.content_hash)
    assert result.outcome is DecisionOutcome.CONTENT_CHANGED
    assert ledger.stored[shown.id].status is RecommendationStatus.PENDING
    assert ledger.moves == []
    (event,) = ledger.events
    assert event.detail["shown_hash"] == other.content_hash


def test_a_late_second_answer_is_told_what_became_of_the_first(shown: Recommendation) -> None:
    """Approved, lapsed as the market moved, offered anew: the person is pointed to the offer."""
    offer = replace(shown, id=f"{shown.id}-q1", requotes=shown.id)
    ledger = FakeDecisionLedger(shown, offer)
    answer(ledger, shown.id)
    ledger.stored[shown.id] = replace(
        ledger.stored[shown.id],
        status=RecommendationStatus.LAPSED,
        status_reason="underlying_moved",
    )
    told = answer(ledger, shown.id, by="ben").message
    assert told.endswith(f"; now lapsed (underlying_moved), offered anew as {offer.id}")
    assert answer(ledger, offer.id, by="ben").outcome is DecisionOutcome.RECORDED


def test_an_unknown_recommendation_is_said_to_be_unknown(shown: Recommendation) -> None:
    ledger = FakeDecisionLedger(shown)
    result = answer(ledger, "r-000000-xx-00000000")
    assert result.outcome is DecisionOutcome.UNKNOWN_RECOMMENDATION
    assert [event.subject for event in ledger.events] == ["r-000000-xx-00000000"]
    assert result.message == "no such recommendation"


@pytest.mark.parametrize(
    "status", [status for status in RecommendationStatus if status.name != "PENDING"]
)
def test_nothing_but_a_pending_recommendation_can_be_answered(
    shown: Recommendation, status: RecommendationStatus
) -> None:
    ledger = FakeDecisionLedger(shown)
    ledger.stored[shown.id] = replace(ledger.stored[shown.id], status=status)
    result = answer(ledger, shown.id)
    expired = status is RecommendationStatus.EXPIRED
    wanted = DecisionOutcome.EXPIRED if expired else DecisionOutcome.ALREADY_DECIDED
    assert result.outcome is wanted
    assert ledger.moves == []
    assert result.message


def test_a_lost_race_is_loud(shown: Recommendation) -> None:
    """Inside the write lock the row cannot change; a ledger that says it did is broken."""
    ledger = FakeDecisionLedger(shown)
    ledger.loses_every_race = True
    with pytest.raises(IllegalTransition, match=shown.id):
        answer(ledger, shown.id)
    assert ledger.stored[shown.id].decision is None


def test_due_recommendations_expire_and_others_wait(shown: Recommendation) -> None:
    later = recommendation(as_of=AS_OF + timedelta(minutes=10), scan="afternoon")
    answered = recommendation(scan="morning")
    ledger = FakeDecisionLedger(shown, later, answered)
    answer(ledger, answered.id)
    assert expire_due(ledger, shown.expires_at) == (shown.id,)  # type: ignore[arg-type]
    assert ledger.stored[later.id].status is RecommendationStatus.PENDING
    assert ledger.stored[answered.id].status is RecommendationStatus.APPROVED
    assert expire_due(ledger, shown.expires_at) == ()  # type: ignore[arg-type]


@given(
    clicks=st.lists(
        st.tuples(st.sampled_from(DecisionVerdict), st.integers(0, 40)), min_size=1, max_size=8
    )
)
def test_any_sequence_of_clicks_leaves_one_outcome(
    clicks: list[tuple[DecisionVerdict, int]],
) -> None:
    """At most one is recorded, at most one move is made, and they agree."""
    shown = recommendation()
    ledger = FakeDecisionLedger(shown)
    results = [
        answer(ledger, shown.id, verdict, at=AS_OF + timedelta(minutes=minutes))
        for verdict, minutes in clicks
    ]
    recorded = [one for one in results if one.outcome is DecisionOutcome.RECORDED]
    assert len(ledger.moves) == 1
    first_verdict, first_minutes = clicks[0]
    assert len(recorded) == (1 if first_minutes < 30 else 0)
    assert len(ledger.events) == len(clicks) - len(recorded)
    decision = ledger.stored[shown.id].decision
    assert (decision.verdict if decision else None) == (
        first_verdict if first_minutes < 30 else None
    )


def test_a_time_without_zone_is_refused(shown: Recommendation) -> None:
    naive = datetime(2026, 1, 5, 12, 0)  # noqa: DTZ001
    with pytest.raises(BadInput, match="time zone"):
        answer(FakeDecisionLedger(shown), shown.id, at=naive)
    with pytest.raises(BadInput, match="time zone"):
        expire_due(FakeDecisionLedger(shown), naive)  # type: ignore[arg-type]
