"""Numbers in a thesis are the facts' numbers, rounded, or they are refused."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mahler_pipelines.decisions.grounding import GroundingCode, ground, ungrounded_numbers
from mahler_pipelines.decisions.theses import question_of
from mahler_pipelines.decisions.thesis import Thesis
from tests.decisions.cases import candidate, playbook

FACTS: dict[str, Any] = {
    "underlying": "SPX",
    "expiration": "2026-02-06",
    "dte": 32,
    "short_symbol": "SPXW260206P05495000",
    "short_strike": 5495.0,
    "credit_mid": 1.235,
    "short_delta": -0.2468,
    "probability_of_profit_percent": 71.303,
    "expected_value_usd": -0.27,
    "iv_rank": None,
    "is_liquid": True,
    "rivals": [{"score": 0.6541, "credit_mid": 2.05}],
}


def thesis(text: str, *risks: str) -> Thesis:
    return Thesis(recommend=True, confidence=0.5, thesis=text, risks=risks or ("None seen.",))


@pytest.mark.parametrize(
    "text",
    [
        "Sells the 5,495 strike for 1.24 with 32 days left.",
        "Sells the 5495.00 strike for $1.235.",
        "A 71.3 % chance, about 71%, of profit.",
        "A 25-delta short, 24.7 % exactly, a delta of -0.25.",
        "The rival scores 0.65 and pays 2.05.",
        "Expires on 2026-02-06, that is the 6th of February 2026.",
        "SPXW260206P05495000 is sold.",
        "It loses 0.27 on average; or 0.3.",
        "No number at all.",
    ],
)
def test_rounded_facts_are_grounded(text: str) -> None:
    assert ungrounded_numbers(thesis(text), FACTS) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("The strike is 5490.", ["5490"]),
        ("The credit is 1.26.", ["1.26"]),
        ("The credit is 1.2.", []),
        ("A 72 % chance.", ["72"]),
        ("IV rank is 1.0.", ["1.0"]),
        ("The delta is 25.", ["25"]),
        ("It pays 9.99, yes 9.99, on 88 days.", ["9.99", "88"]),
        ("VIX at 1e3.", ["1e3"]),
    ],
)
def test_other_numbers_are_named_once_as_written(text: str, found: list[str]) -> None:
    """True is not a one, an absent rank is not a zero, and 25 is no delta without its unit."""
    assert ungrounded_numbers(thesis(text), FACTS) == found


def test_risks_are_read_too() -> None:
    assert ungrounded_numbers(thesis("Fine.", "Earnings in 12 days."), FACTS) == ["12"]


@given(value=st.floats(0.01, 10_000), decimals=st.integers(0, 4))
def test_every_rounding_of_a_fact_is_grounded(value: float, decimals: int) -> None:
    text = thesis(f"It is {value:,.{decimals}f} now.")
    assert ungrounded_numbers(text, {"fact": value}) == []


@given(value=st.floats(1, 10_000), decimals=st.integers(0, 3), steps=st.integers(1, 50))
def test_a_number_a_unit_off_is_not_grounded(value: float, decimals: int, steps: int) -> None:
    off = round(value, decimals) + (steps + 1) * 10.0**-decimals
    text = thesis(f"It is {off:.{decimals}f} now.")
    assert len(ungrounded_numbers(text, {"fact": value})) == 1


def test_the_playbook_counts_as_given_and_rules_must_be_in_it() -> None:
    book = playbook(("p-1", "bull put spread: keep 17 points away", "stopped_by_move: 3 trades"))
    question = question_of(candidate(), book)
    cites = thesis("Rule p-1 asks for 17 points.").model_copy(update={"rules_cited": ("p-1",)})
    assert ground(cites, question).grounded
    invents = cites.model_copy(update={"rules_cited": ("p-1", "p-7")})
    found = ground(invents, question)
    assert found.rules == ("p-7",)
    assert found.refusal is not None
    assert found.refusal.code is GroundingCode.UNKNOWN_RULE


def test_an_invented_number_is_refused_with_its_text() -> None:
    found = ground(thesis("Fair value is 1.87."), question_of(candidate(), playbook()))
    assert found.refusal is not None
    assert (found.refusal.code, found.refusal.value) == (GroundingCode.UNGROUNDED, "1.87")
