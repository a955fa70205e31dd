"""Grounding: every number an analyst writes must be one it was given."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from mahler_pipelines.decisions.thesis import AnalystQuestion, Thesis
from mahler_pipelines.strategies.refusals import Refusal

_NUMBER = re.compile(r"(?<![\w.,])\d+(?:,\d{3})*(?:\.\d+)?(?:[eE][-+]?\d+)?")
_SCALED = re.compile(r"\s?(?:%|percent|per cent|[-\s]?delta|Δ)", re.IGNORECASE)
_TOLERANCE = 1e-9


class GroundingCode(StrEnum):
    """What is wrong with a thesis that was answered."""

    UNGROUNDED = "ungrounded"
    UNKNOWN_RULE = "unknown_rule"


@dataclass(frozen=True, slots=True)
class Grounding:
    """Numbers that are not in the facts, and cited rules that are not in the playbook."""

    numbers: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()

    @property
    def grounded(self) -> bool:
        """Whether everything the thesis says was given to the analyst."""
        return not self.numbers and not self.rules

    @property
    def refusal(self) -> Refusal | None:
        """The refusal that follows, if any."""
        if self.numbers:
            return Refusal(
                GroundingCode.UNGROUNDED, ", ".join(self.numbers), "numbers of the facts"
            )
        if self.rules:
            return Refusal(
                GroundingCode.UNKNOWN_RULE, ", ".join(self.rules), "rules of the playbook"
            )
        return None


def ground(thesis: Thesis, question: AnalystQuestion) -> Grounding:
    """Hold a thesis against the facts and the playbook that the analyst was given."""
    known = {rule for rule, _ in question.playbook}
    given = {**question.facts, "playbook": dict(question.playbook)}
    return Grounding(
        tuple(ungrounded_numbers(thesis, given)),
        tuple(rule for rule in thesis.rules_cited if rule not in known),
    )


def ungrounded_numbers(thesis: Thesis, facts: Mapping[str, Any]) -> list[str]:
    """Return the numbers of a thesis, as written, that no fact rounds to; in order, once each.

    A number written with d decimals stands for every fact within half a unit of its last decimal,
    whatever the sign. Before a percent sign (or the word delta) a fraction may stand as its
    percentage. Numbers inside text facts (dates, the playbook) count as given; digits inside a
    word, such as an option symbol, are not numbers.
    """
    given = {abs(value) for value in _numbers_of(facts)}
    texts = [thesis.thesis, *thesis.risks]
    found: dict[str, None] = {}
    for text in texts:
        for match in _NUMBER.finditer(text):
            scaled = _SCALED.match(text, match.end()) is not None
            if not _is_given(match.group(), given, scaled=scaled):
                found[match.group()] = None
    return list(found)


def _is_given(written: str, given: set[float], *, scaled: bool) -> bool:
    plain = written.replace(",", "")
    mantissa, _, exponent = plain.lower().partition("e")
    decimals = len(mantissa.partition(".")[2]) - int(exponent or 0)
    value, half = float(plain), 0.5 * 10.0**-decimals
    allowed = half + _TOLERANCE * max(1.0, value)
    return any(
        abs(fact - value) <= allowed
        or (scaled and fact <= 1 and abs(fact * 100 - value) <= allowed)
        for fact in given
    )


def _numbers_of(value: Any) -> Iterator[float]:
    if isinstance(value, bool) or value is None:
        return
    if isinstance(value, int | float):
        yield float(value)
    elif isinstance(value, str):
        for match in _NUMBER.finditer(value.replace("-", " ")):
            yield float(match.group().replace(",", ""))
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _numbers_of(str(key))
            yield from _numbers_of(inner)
    else:
        for inner in value:
            yield from _numbers_of(inner)
