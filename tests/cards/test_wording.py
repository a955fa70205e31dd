"""How structures, money, shares and moments are put."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from mahler_pipelines.cards import wording
from mahler_pipelines.cards.wording import DASH
from mahler_pipelines.options.contracts import OptionContract, Right
from mahler_pipelines.options.structures import Leg, Side, Structure
from tests.execution.scenes import SPREAD

EXPIRATION = date(2026, 2, 20)


def test_a_structure_is_put_in_a_line_and_in_words() -> None:
    assert wording.structure_line(SPREAD) == "SPY · bull put spread 580/575 · 20 Feb"
    assert wording.legs_in_words(SPREAD) == "sell the 580 put, buy the 575 put"


def test_ratios_and_half_strikes_are_kept() -> None:
    legs = tuple(
        Leg(OptionContract("SPY", EXPIRATION, Right.CALL, Decimal(strike)), side, ratio)
        for strike, side, ratio in (("592.500", Side.BUY, 1), ("600", Side.SELL, 2))
    )
    ratio = Structure("call_ratio", legs)
    assert wording.legs_in_words(ratio) == "buy the 592.5 call, sell 2 600 call"
    assert wording.structure_line(ratio) == "SPY · call ratio 592.5/600 · 20 Feb"


@pytest.mark.parametrize(
    ("amount", "plain", "signed"),
    [
        ("1250.50", "$1,250.50", "+$1,250.50"),
        ("1250.00", "$1,250", "+$1,250"),
        ("-3.905", "-$3.90", "-$3.90"),
        ("0", "$0", "+$0"),
    ],
)
def test_dollars_have_cents_where_there_are_any(amount: str, plain: str, signed: str) -> None:
    assert wording.usd(Decimal(amount)) == plain
    assert wording.signed_usd(Decimal(amount)) == signed


def test_what_is_not_known_is_a_dash() -> None:
    assert (wording.percent(None), wording.points(None)) == (DASH, DASH)
    assert (wording.percent(0.0517, digits=1), wording.points(42.4)) == ("5.2 %", "42")


def test_moments_are_the_exchanges_or_the_readers() -> None:
    moment = datetime(2025, 11, 21, 19, 5, tzinfo=UTC)
    assert wording.new_york(moment) == "21 Nov 14:05 ET"
    assert wording.short_day(date(2026, 2, 3)) == "3 Feb"


def test_counts_have_their_noun() -> None:
    assert [wording.plural(n, "contract") for n in (0, 1, 3)] == [
        "0 contracts",
        "1 contract",
        "3 contracts",
    ]
