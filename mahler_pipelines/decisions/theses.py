"""Ask an analyst about the best candidates, and hold its answers against the facts."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from mahler_pipelines.decisions.facts import Candidate, facts_of
from mahler_pipelines.decisions.grounding import Grounding, ground
from mahler_pipelines.decisions.playbook import Playbook
from mahler_pipelines.decisions.thesis import Analyst, AnalystAnswer, AnalystQuestion


class Assessment(NamedTuple):
    """A candidate, what the analyst answered, and whether the answer stands on the facts.

    `second_opinion` is what another analyst says of it, in words; it decides nothing.
    """

    candidate: dict[str, Any]
    answer: AnalystAnswer
    grounding: Grounding
    second_opinion: str = ""


def question_of(
    candidate: Candidate,
    playbook: Playbook,
    rivals: Sequence[Candidate] = (),
    *,
    context: Mapping[str, Any] | None = None,
) -> AnalystQuestion:
    """Return the question about one candidate: its facts, its rivals, the adopted rules.

    A rule is told with its evidence in brackets, which begins with the lesson's code.
    """
    return AnalystQuestion(
        candidate_id=str(candidate["candidate_id"]),
        facts=facts_of(candidate, rivals=rivals, context=context),
        playbook=tuple((rule.id, f"{rule.text} [{rule.evidence}]") for rule in playbook.rules),
        playbook_version=playbook.version,
    )


def ask(
    candidates_ranked: pd.DataFrame,
    playbook: Playbook,
    analyst: Analyst,
    *,
    ranked: pd.DataFrame | None = None,
    rivals: int = 3,
    context: Mapping[str, Mapping[str, Any]] | None = None,
    second: Analyst | None = None,
) -> list[Assessment]:
    """Ask about each row of `candidates_ranked`, best first.

    `ranked` is the whole field its rivals are taken from: the `rivals` best other candidates of
    the same underlying (the rows asked about when absent). `context` maps an underlying to further
    facts, such as its regime. An answer without a thesis grounds trivially. `second` is asked the
    same, unless the answer is its own.
    """
    field = candidates_ranked if ranked is None else ranked
    assessments = []
    for candidate in _rows(candidates_ranked.sort_values("rank", kind="stable")):
        question = question_of(
            candidate,
            playbook,
            _rivals_of(candidate, field, count=rivals),
            context=(context or {}).get(candidate["underlying"]),
        )
        answer = analyst.assess(question)
        grounding = Grounding() if answer.thesis is None else ground(answer.thesis, question)
        opinion = ""
        if second is not None and answer.call.analyst != second.name:
            opinion = opinion_of(second.assess(question))
        assessments.append(Assessment(candidate, answer, grounding, opinion))
    return assessments


def opinion_of(answer: AnalystAnswer) -> str:
    """An answer in words: would trade or not, how sure, why, and the first risk."""
    thesis = answer.thesis
    if thesis is None:
        return f"no opinion: {answer.problem}"
    verdict = "would trade" if thesis.recommend else "would not trade"
    return f"{verdict}, confidence {thesis.confidence:.0%}. {thesis.thesis} Risk: {thesis.risks[0]}"


def _rivals_of(candidate: Candidate, field: pd.DataFrame, *, count: int) -> list[dict[str, Any]]:
    same = field["underlying"] == candidate["underlying"]
    other = field["candidate_id"] != candidate["candidate_id"]
    return _rows(field[same & other].nsmallest(count, "rank"))


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]
