"""What the broker may do by itself, told from the payloads that execution writes."""

from typing import Any

import pytest

from mahler_pipelines.cards.expiry import early_assignment, expiry_forecast
from mahler_pipelines.cards.message import Colour
from mahler_pipelines.cards.wording import DASH
from mahler_pipelines.risk.early_assignment import AssignmentCause, AssignmentLevel
from mahler_pipelines.risk.expiry_day import ExpiryOutcome, Shortage
from tests.cards.cases import EVIL, conforming, field, harmless, texts
from tests.execution.scenes import LONG, SHORT

FORECAST: dict[str, Any] = {
    "underlying": "SPY",
    "strategy": "bull_put_spread",
    "contracts": 3,
    "underlying_price": "577.50",
    "probability_between": 0.62,
    "cutoff": "2026-02-20T19:45:00+00:00",
    "legs": [
        {
            "symbol": SHORT.symbol,
            "quantity": -3,
            "outcome": "assigned",
            "shortage": None,
            "intrinsic": "2.50",
            "probability_in_the_money": 0.81,
        },
        {
            "symbol": LONG.symbol,
            "quantity": 3,
            "outcome": "expires",
            "shortage": None,
            "intrinsic": "0",
            "probability_in_the_money": 0.19,
        },
    ],
}
WARNING: dict[str, Any] = {
    "underlying": "SPY",
    "strategy": "bear_call_spread",
    "contracts": 3,
    "symbol": "SPY260220C00620000",
    "level": "likely",
    "cause": "dividend",
    "ex_date": "2026-02-13",
    "gain": "1.65",
    "time_value": "0.40",
}


def test_a_last_day_says_what_becomes_of_each_leg() -> None:
    told = expiry_forecast(FORECAST, subject="t-1")
    conforming(told)
    assert told.embeds[0].title == "Last day · SPY bull put spread"
    assert told.embeds[0].description == (
        "3 contracts · closed by the desk from **20 Feb 14:45 ET** on\n"
        "SPY at 577.50\n"
        "**62 %** to settle between the strikes, one leg without other"
    )
    assert field(told, "If nothing is done") == (
        "- -3 580 put: **is assigned**, in the money 81 %\n"
        "- +3 575 put: **expires**, in the money 19 %"
    )
    assert told.embeds[0].footer == "t-1"


def test_what_cannot_be_foreseen_is_said() -> None:
    unknown = {**FORECAST, "underlying_price": None, "probability_between": None, "cutoff": None}
    told = expiry_forecast({**unknown, "legs": []}, subject="t-1")
    conforming(told)
    assert told.embeds[0].description == f"3 contracts · left to expire\nSPY at {DASH}"
    assert field(told, "If nothing is done") == "not held"


@pytest.mark.parametrize("outcome", list(ExpiryOutcome))
@pytest.mark.parametrize("shortage", [None, *Shortage])
def test_every_outcome_and_shortage_has_words(
    outcome: ExpiryOutcome, shortage: Shortage | None
) -> None:
    leg = FORECAST["legs"][0] | {
        "outcome": outcome.value,
        "shortage": shortage.value if shortage else None,
        "probability_in_the_money": None,
    }
    told = expiry_forecast({**FORECAST, "legs": [leg]}, subject="t-1")
    conforming(told)
    said = field(told, "If nothing is done")
    assert ("for want of" in said) is (shortage is not None)
    assert "in the money" not in said


def test_an_early_assignment_says_why_and_what_it_is_worth() -> None:
    told = early_assignment(WARNING, subject="t-1")
    conforming(told)
    assert told.embeds[0].title == "Early assignment · SPY bear call spread"
    assert told.embeds[0].colour is Colour.BAD
    assert told.embeds[0].description == (
        "**likely**: the short 620 call of SPY\n"
        "ex-dividend **2026-02-13** · exercise gains 1.65 a share, time value left 0.40\n"
        "3 contracts"
    )


@pytest.mark.parametrize("level", list(AssignmentLevel))
@pytest.mark.parametrize("cause", list(AssignmentCause))
def test_every_level_and_cause_has_words(level: AssignmentLevel, cause: AssignmentCause) -> None:
    said = WARNING | {"level": level.value, "cause": cause.value, "ex_date": None}
    told = early_assignment(said | {"time_value": None}, subject="t-1")
    conforming(told)
    assert f"**{level}**" in texts(told)
    assert str(cause) in texts(told)
    assert f"time value left {DASH}" in texts(told)


def test_an_underlying_stays_text() -> None:
    harmless(expiry_forecast(FORECAST | {"underlying": EVIL}, subject="t-1"))
    harmless(early_assignment(WARNING | {"underlying": EVIL}, subject="t-1"))
