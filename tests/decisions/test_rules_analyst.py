"""The rules analyst: grounded, deterministic, and mindful of the playbook."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mahler_pipelines.decisions.grounding import ground
from mahler_pipelines.decisions.playbook_rules import JUDGED_LESSONS, RuleVerdict, judge_rules
from mahler_pipelines.decisions.rules_analyst import RulesAnalyst
from mahler_pipelines.decisions.theses import question_of
from mahler_pipelines.decisions.thesis import Analyst, AnalystAnswer, Thesis
from mahler_pipelines.review.lessons import LessonCode
from tests.decisions.cases import candidate, playbook

DISTANCE = ("p-1", "bull put spread: Demand more distance.", "stopped_by_move: 3 closed trades")
CALLS = ("p-2", "bear call spread: Demand more distance.", "stopped_by_move: 3 closed trades")
QUICK = ("p-3", "bull put spread: Prefer these.", "profit_taken_quickly: 5 closed trades")
UNJUDGED = ("p-4", "bull put spread: Look for trend.", "time_exit_loss: 2 closed trades")


def assessed(
    row: dict[str, Any] | None = None,
    *rules: tuple[str, str, str],
    rivals: tuple[dict[str, Any], ...] = (),
    context: dict[str, Any] | None = None,
) -> AnalystAnswer:
    analyst: Analyst = RulesAnalyst()
    return analyst.assess(
        question_of(row or candidate(), playbook(*rules), rivals, context=context)
    )


def thesis_of(answer: AnalystAnswer) -> Thesis:
    assert answer.thesis is not None, answer.problem
    return answer.thesis


def test_the_thesis_tells_what_a_person_wants_to_know() -> None:
    rival = candidate(candidate_id="c-2", score=0.55, rank=2)
    thesis = thesis_of(assessed(rivals=(rival,), context={"regime": "calm"}))
    for told in ("95/90", "1 a share", "20.0 %", "32 days", "5.0 %", "IV rank of 42", "calm"):
        assert told in thesis.thesis
    assert "own history" in thesis.thesis
    assert "beats the best rival" in thesis.thesis
    assert any("assigned early" in risk for risk in thesis.risks)


def test_the_same_question_gives_the_same_answer_and_costs_nothing() -> None:
    one, other = assessed(), assessed()
    assert one == other
    call = one.call
    assert (call.input_tokens, call.output_tokens, call.latency_seconds) == (0, 0, 0.0)
    assert (call.analyst, call.candidate_id, call.outcome) == ("rules", "c-1", "thesis")
    assert Thesis.model_validate_json(call.raw_message) == one.thesis
    assert assessed(candidate(score=0.4)).call.request_hash != call.request_hash


@settings(deadline=None)
@given(
    row=st.builds(
        candidate,
        underlying_price=st.floats(60, 200).map(lambda price: round(price, 2)),
        credit_mid=st.floats(0.05, 4.9).map(lambda credit: round(credit, 3)),
        probability_of_profit=st.floats(0, 1),
        score=st.floats(0, 1),
        iv_rank=st.one_of(st.just(float("nan")), st.floats(0, 100)),
        short_iv=st.floats(0.05, 3),
        short_theta_per_day=st.floats(-1, 0),
        short_ask=st.floats(1.96, 9).map(lambda ask: round(ask, 2)),
    ),
    regime=st.sampled_from([None, "calm", "stressed"]),
    premium=st.one_of(st.none(), st.floats(-60, 60).map(lambda points: round(points, 2))),
    rival_score=st.one_of(st.none(), st.floats(0, 1)),
)
def test_its_own_words_are_always_grounded(
    row: dict[str, Any], regime: str | None, premium: float | None, rival_score: float | None
) -> None:
    """The analyst that needs no model is held to the same rule as the one that does."""
    rivals = () if rival_score is None else (candidate(candidate_id="c-2", score=rival_score),)
    context = {"regime": regime, "volatility_premium_points": premium}
    question = question_of(row, playbook(DISTANCE, QUICK), rivals, context=context)
    thesis = thesis_of(RulesAnalyst().assess(question))
    assert ground(thesis, question).grounded
    assert 0 <= thesis.confidence <= 1
    assert json.dumps(question.facts, allow_nan=False)


@pytest.mark.parametrize(
    ("premium", "words"),
    [(7.24, "stands 7.2 points above what was"), (-1.06, "stands 1.1 points below what was")],
)
def test_the_premium_over_realised_volatility_is_told(premium: float, words: str) -> None:
    thesis = thesis_of(assessed(context={"volatility_premium_points": premium}))
    assert words in thesis.thesis
    assert "points" not in thesis_of(assessed()).thesis


def test_confidence_is_the_documented_mean() -> None:
    """0.45 x 0.7312 + 0.20 x 0.61 + 0.20 x 0.577 + 0.15 x 0.42."""
    thesis = thesis_of(assessed())
    assert thesis.confidence == 0.63
    assert thesis.recommend


def test_confidence_without_a_rank_is_the_mean_of_the_rest() -> None:
    thesis = thesis_of(assessed(candidate(iv_rank=float("nan"))))
    assert thesis.confidence == 0.67
    assert "IV rank is not available" in thesis.thesis


def test_a_stressed_regime_lowers_confidence_and_is_a_risk() -> None:
    thesis = thesis_of(assessed(context={"regime": "stressed"}))
    assert thesis.confidence == 0.53
    assert any("stressed" in risk for risk in thesis.risks)


def test_a_broken_rule_costs_confidence_and_is_cited_among_the_risks() -> None:
    thesis = thesis_of(assessed(None, DISTANCE))
    assert thesis.confidence == 0.53
    assert thesis.rules_cited == ("p-1",)
    assert thesis.risks[0].startswith("Playbook:")


def test_rules_of_another_strategy_and_rules_about_exits_are_left_alone() -> None:
    thesis = thesis_of(assessed(None, CALLS, UNJUDGED))
    assert (thesis.rules_cited, thesis.confidence) == ((), 0.63)


def test_a_supporting_rule_is_said() -> None:
    thesis = thesis_of(assessed(None, QUICK))
    assert thesis.confidence == 0.66
    assert "agrees with the playbook" in thesis.thesis


@pytest.mark.parametrize(
    ("lesson", "row", "verdict"),
    [
        ("stopped_by_move", candidate(underlying_price=110.0), RuleVerdict.KEPT),
        ("stopped_by_move", candidate(), RuleVerdict.BROKEN),
        ("stopped_without_move", candidate(short_bid=1.98, short_ask=2.02), RuleVerdict.KEPT),
        ("stopped_without_move", candidate(short_bid=1.8, short_ask=2.2), RuleVerdict.BROKEN),
        ("time_exit_flat", candidate(credit_mid=1.5), RuleVerdict.KEPT),
        ("profit_taken_slowly", candidate(), RuleVerdict.BROKEN),
    ],
)
def test_each_lesson_is_judged_by_its_own_fact(
    lesson: str, row: dict[str, Any], verdict: RuleVerdict
) -> None:
    book = playbook(("p-1", "bull put spread: mind this", f"{lesson}: 2 closed trades"))
    (judged,) = judge_rules(question_of(row, book))
    assert (judged.lesson_code, judged.verdict) == (lesson, verdict)


def test_judged_lessons_are_lessons_the_review_writes() -> None:
    """The codes meet across two rooms without an import between them."""
    assert {code.value for code in LessonCode} >= JUDGED_LESSONS


def test_an_absent_fact_is_a_problem_not_an_error() -> None:
    answer = assessed(candidate(short_iv=float("nan"), probability_of_profit=float("nan")))
    assert answer.thesis is None
    assert answer.problem == ("facts are absent: cushion_sigma, probability_of_profit_percent")
    assert answer.call.outcome == "facts_absent"


def test_a_poor_candidate_is_not_recommended() -> None:
    thesis = thesis_of(assessed(candidate(probability_of_profit=0.4, score=0.3, iv_rank=5.0)))
    assert not thesis.recommend
    assert any("room to rise" in risk for risk in thesis.risks)
