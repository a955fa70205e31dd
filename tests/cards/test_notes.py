"""A kind without a card of its own: its facts, all of them, in words."""

from mahler_pipelines.cards.message import FIELD_COUNT_LIMIT, Colour
from mahler_pipelines.cards.notes import VALUE_LENGTH, note
from mahler_pipelines.cards.wording import DASH
from tests.cards.cases import EVIL, conforming, field, harmless


def test_every_fact_stands_under_its_name() -> None:
    facts = {
        "underlying": "SPY",
        "cost_to_close": None,
        "legs": [{"symbol": "A", "quantity": -1}, "B"],
        "empty": [],
        "nested": {"ex_date": "2026-02-13", "level": 2},
    }
    told = note("some_new_kind", facts, footer="t-1 · main", colour=Colour.WARNING)
    conforming(told)
    assert told.embeds[0].title == "Some new kind"
    assert told.embeds[0].footer == "t-1 · main"
    assert field(told, "underlying") == "SPY"
    assert field(told, "cost to close") == DASH
    assert field(told, "legs") == "symbol A, quantity -1, B"
    assert field(told, "empty") == DASH
    assert field(told, "nested") == "ex date 2026-02-13, level 2"


def test_facts_stay_text_and_are_cut() -> None:
    facts = {f"fact_{number}": EVIL * 20 for number in range(40)}
    told = note("kind", facts, footer="", colour=Colour.QUIET)
    conforming(told)
    harmless(told)
    assert all(len(one.value) <= VALUE_LENGTH for one in told.embeds[0].fields)
    assert len(facts) > FIELD_COUNT_LIMIT, "what does not fit is counted"
