"""Playbook rules that can be judged by a candidate's facts, by the code of their lesson."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from mahler_pipelines.decisions.thesis import AnalystQuestion

_LESSON = re.compile(r"\[(\w+):")

SHORT_CUSHION_SIGMA = 0.70
WIDE_QUOTE_PERCENT = 5.0
THIN_CREDIT_PERCENT = 25.0

Facts = Mapping[str, Any]


class RuleVerdict(StrEnum):
    """What a rule says of a candidate."""

    SUPPORTS = "supports"
    KEPT = "kept"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class JudgedRule:
    """One rule that speaks of this candidate's strategy, and its verdict in words."""

    rule_id: str
    lesson_code: str
    verdict: RuleVerdict
    words: str


def judge_rules(question: AnalystQuestion) -> tuple[JudgedRule, ...]:
    """Judge the rules whose lesson says something about entries, and whose facts are there.

    A rule names its strategy before the first colon and its lesson's code after the bracket; one
    of another strategy, without a known code, or about exits only, is left to a person.
    """
    judged = []
    for rule_id, text in question.playbook:
        strategy, _, _ = text.partition(":")
        lesson = _LESSON.search(text)
        if lesson is None or strategy.replace(" ", "_") != question.facts.get("strategy"):
            continue
        judge = _JUDGES.get(lesson.group(1))
        found = judge(question.facts) if judge else None
        if found is not None:
            judged.append(JudgedRule(rule_id, lesson.group(1), *found))
    return tuple(judged)


_Verdict = tuple[RuleVerdict, str]


def _more_distance(facts: Facts) -> _Verdict | None:
    cushion = facts.get("cushion_sigma")
    if cushion is None:
        return None
    if cushion < SHORT_CUSHION_SIGMA:
        return RuleVerdict.BROKEN, f"a cushion of {cushion:.2f} standard deviations is short"
    return RuleVerdict.KEPT, f"the cushion is {cushion:.2f} standard deviations"


def _tight_quotes(facts: Facts) -> _Verdict | None:
    spreads = [facts.get(f"{role}_spread_percent") for role in ("short", "long")]
    known = [spread for spread in spreads if spread is not None]
    if not known:
        return None
    widest = max(known)
    if widest > WIDE_QUOTE_PERCENT or facts.get("regime") == "stressed":
        return RuleVerdict.BROKEN, f"the wider leg is quoted {widest:.1f} % wide"
    return RuleVerdict.KEPT, f"the wider leg is quoted only {widest:.1f} % wide"


def _richer_credit(facts: Facts) -> _Verdict | None:
    share = facts.get("credit_to_width_percent")
    if share is None:
        return None
    if share < THIN_CREDIT_PERCENT:
        return RuleVerdict.BROKEN, f"the credit is only {share:.1f} % of the width"
    return RuleVerdict.KEPT, f"the credit is {share:.1f} % of the width"


def _more_of_these(_: Facts) -> _Verdict | None:
    return RuleVerdict.SUPPORTS, "entries of this strategy reached their target early"


_JUDGES: dict[str, Callable[[Facts], _Verdict | None]] = {
    "stopped_by_move": _more_distance,
    "stopped_without_move": _tight_quotes,
    "profit_taken_slowly": _richer_credit,
    "time_exit_flat": _richer_credit,
    "profit_taken_quickly": _more_of_these,
}
"""Lesson code -> how it judges an entry."""

JUDGED_LESSONS = frozenset(_JUDGES)
"""Codes of the lessons that the rules analyst can judge."""
