"""Text of models and markets on a card: harmless, and cut where a person would."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mahler_pipelines.cards.text import ELLIPSIS, ZERO_WIDTH_SPACE, cut, plain


@pytest.mark.parametrize(
    "text",
    ["@everyone buy", "@here", "<@123456789>", "<@&42>", "<#99>", "<:smile:1>", "</approve:7>"],
)
def test_nothing_can_ping(text: str) -> None:
    made = plain(text)
    for sign in "@<":
        assert all(made[place + 1] == ZERO_WIDTH_SPACE for place, s in enumerate(made) if s == sign)


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("**bold** and _this_", r"\*\*bold\*\* and \_this\_"),
        ("`code` ~~no~~ ||secret||", r"\`code\` \~\~no\~\~ \|\|secret\|\|"),
        ("[look](here)", r"\[look\]\(here\)"),
        ("# Title\n- item\n1. first", "\\# Title\n\\- item\n\\1. first"),
        ("> quoted", r"\> quoted"),
        ("a - b, 3.5 and #7 stay", "a - b, 3.5 and #7 stay"),
        ("https://x.test", f"https{ZERO_WIDTH_SPACE}://x.test"),
        ("a\r\nb\x00\x1b[31m\u202e", "a\nb\\[31m"),
    ],
)
def test_markup_means_itself(text: str, made: str) -> None:
    assert plain(text) == made


@given(st.text(max_size=200))
def test_no_mention_and_no_control_character_survives(text: str) -> None:
    made = plain(text)
    kept = [sign for sign in made if sign not in f"\n\t{ZERO_WIDTH_SPACE}"]
    assert not any(unicodedata.category(sign) in ("Cc", "Cf") for sign in kept)
    assert "@everyone" not in made
    assert "<@" not in made


def test_short_text_stays() -> None:
    assert cut("as it is", 8) == "as it is"


def test_text_is_cut_after_a_sentence() -> None:
    text = "The skew is steep. Premium is rich today. And then something long follows here."
    assert cut(text, 50) == f"The skew is steep. Premium is rich today. {ELLIPSIS}"


def test_text_without_a_sentence_is_cut_after_a_word() -> None:
    assert cut("one two three four five six", 16) == f"one two three{ELLIPSIS}"


def test_a_word_longer_than_the_room_is_cut_inside() -> None:
    assert cut("x" * 30, 10) == "x" * 9 + ELLIPSIS


def test_an_escape_is_never_cut_in_two() -> None:
    assert cut("aaaaaaaa" + r"\*" * 10, 10) == "aaaaaaaa" + ELLIPSIS


def test_an_open_fence_is_closed() -> None:
    text = "```\n" + "row of a table\n" * 40 + "```"
    made = cut(text, 200)
    assert len(made) <= 200
    assert made.count("```") == 2
    assert made.endswith("```")


@given(st.text(max_size=300), st.integers(min_value=1, max_value=120))
def test_cut_text_fits(text: str, limit: int) -> None:
    assert len(cut(text, limit)) <= limit


def test_no_room_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="limit 0"):
        cut("x", 0)
