"""Asking about the best candidates, with their rivals and the playbook."""

import pandas as pd
import pytest

from mahler_pipelines.decisions.facts import facts_of
from mahler_pipelines.decisions.rules_analyst import RulesAnalyst
from mahler_pipelines.decisions.theses import ask, opinion_of
from mahler_pipelines.decisions.thesis import AnalystAnswer, Thesis
from tests.decisions.cases import PLAIN, candidate, playbook
from tests.decisions.fakes import ScriptedAnalyst, call_of


def table(*rows: dict[str, object]) -> pd.DataFrame:
    return pd.DataFrame(list(rows))


FIELD = table(
    candidate(candidate_id="c-1", rank=1),
    candidate(candidate_id="c-2", rank=2, credit_mid=0.9),
    candidate(candidate_id="c-3", rank=3, credit_mid=0.8),
    candidate(candidate_id="c-4", rank=4, underlying="ABC"),
    candidate(candidate_id="c-5", rank=5, credit_mid=0.7),
)


def test_candidates_are_asked_best_first_with_their_own_rivals() -> None:
    analyst = ScriptedAnalyst(PLAIN)
    found = ask(FIELD.iloc[[3, 0]], playbook(), analyst, ranked=FIELD, rivals=2)
    assert [question.candidate_id for question in analyst.questions] == ["c-1", "c-4"]
    first, second = analyst.questions
    assert [rival["credit_mid"] for rival in first.facts["rivals"]] == [0.9, 0.8]
    assert second.facts["rivals"] == []
    assert [assessment.candidate["candidate_id"] for assessment in found] == ["c-1", "c-4"]


def test_the_playbook_is_told_with_its_evidence_and_version() -> None:
    analyst = ScriptedAnalyst(PLAIN)
    ask(FIELD.head(1), playbook(("p-1", "keep away", "assigned: 1 trade")), analyst)
    (question,) = analyst.questions
    assert question.playbook == (("p-1", "keep away [assigned: 1 trade]"),)
    assert question.playbook_version == 1


def test_context_belongs_to_its_underlying() -> None:
    analyst = ScriptedAnalyst(PLAIN)
    ask(FIELD.iloc[[0, 3]], playbook(), analyst, context={"ABC": {"regime": "calm"}})
    first, second = analyst.questions
    assert "regime" not in first.facts
    assert second.facts["regime"] == "calm"


def test_each_answer_is_held_against_its_own_facts() -> None:
    bold = PLAIN.model_copy(update={"thesis": "Worth 9.75 to me."})
    (found,) = ask(FIELD.head(1), playbook(), ScriptedAnalyst(bold))
    answer, grounding = found.answer, found.grounding
    assert answer.thesis == bold
    assert grounding.numbers == ("9.75",)


def test_an_answer_without_a_thesis_is_kept() -> None:
    (found,) = ask(FIELD.head(1), playbook(), ScriptedAnalyst(None, "max_tokens"))
    assert (found.answer.thesis, found.answer.problem) == (None, "max_tokens")
    assert found.grounding.grounded


def test_a_second_analyst_is_heard_beside_the_first() -> None:
    """Its words are kept, and decide nothing."""
    analyst, second = ScriptedAnalyst(PLAIN), RulesAnalyst()
    (found,) = ask(FIELD.head(1), playbook(), analyst, second=second)
    (question,) = analyst.questions
    own = second.assess(question).thesis
    assert own is not None
    assert found.answer.thesis == PLAIN
    assert found.second_opinion == (
        f"would trade, confidence {own.confidence:.0%}. {own.thesis} Risk: {own.risks[0]}"
    )


def test_nobody_is_asked_twice_for_their_own_answer() -> None:
    (found,) = ask(FIELD.head(1), playbook(), RulesAnalyst(), second=RulesAnalyst())
    assert found.second_opinion == ""
    (alone,) = ask(FIELD.head(1), playbook(), ScriptedAnalyst(PLAIN))
    assert alone.second_opinion == ""


@pytest.mark.parametrize(
    ("answered", "said"),
    [
        (None, "no opinion: facts are absent: dte"),
        (PLAIN.model_copy(update={"recommend": False}), "would not trade, confidence 60%. "),
    ],
)
def test_an_opinion_in_words_says_what_it_would_do(answered: Thesis | None, said: str) -> None:
    answer = AnalystAnswer(answered, "facts are absent: dte", call_of("c-1"))
    assert opinion_of(answer).startswith(said)


def test_no_candidates_no_questions() -> None:
    analyst = ScriptedAnalyst(PLAIN)
    assert ask(FIELD.head(0), playbook(), analyst) == []
    assert analyst.questions == []


def test_the_rules_analyst_answers_whole_tables() -> None:
    found = ask(FIELD, playbook(), RulesAnalyst())
    assert len(found) == 5
    assert all(one.answer.thesis is not None and one.grounding.grounded for one in found)


def test_facts_say_nothing_where_nothing_is_known() -> None:
    facts = facts_of(candidate(iv_rank=float("nan"), iv30=None))
    assert (facts["iv_rank"], facts["iv30_percent"], facts["long_open_interest"]) == (
        *(None, None),
        None,
    )
    assert facts["cushion_percent"] == 5.0
    assert facts["cushion_sigma"] == 0.577
    assert facts["expiration"] == "2026-02-06"
