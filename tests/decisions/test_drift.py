"""Whether the market still is what was approved."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mahler_pipelines.decisions.credit_band import credit_band
from mahler_pipelines.decisions.drift import LapseCode, check, credit_ceiling
from mahler_pipelines.decisions.terms import ApprovalTerms
from mahler_pipelines.errors import BadInput
from mahler_pipelines.strategies.refusals import Refusal
from tests.decisions.cases import AS_OF, candidate, recommendation

SHOWN = recommendation()
PRICES = st.integers(0, 40_000).map(lambda units: Decimal(units) / 10_000)
SPREADS = st.integers(0, 2_000).map(lambda units: Decimal(units) / 10_000)


def checked(**changes: Any) -> tuple[Refusal, ...]:
    moment: dict[str, Any] = {
        "now": AS_OF + timedelta(minutes=5),
        "underlying_price": Decimal("100.00"),
        "natural_credit": Decimal("0.94"),
        "terms": ApprovalTerms(),
    }
    return check(SHOWN, **(moment | changes))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"now": SHOWN.expires_at - timedelta(microseconds=1)},
        {"underlying_price": Decimal("101.00")},
        {"underlying_price": Decimal("99.00")},
        {"natural_credit": SHOWN.floor_credit},
        {"natural_credit": SHOWN.target_credit},
    ],
)
def test_a_market_inside_the_band_goes_through(changes: dict[str, Any]) -> None:
    """Every bound itself is inside, except the expiry time."""
    assert checked(**changes) == ()


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"now": SHOWN.expires_at}, LapseCode.EXPIRED),
        ({"underlying_price": Decimal("101.01")}, LapseCode.UNDERLYING_MOVED),
        ({"underlying_price": Decimal("98.99")}, LapseCode.UNDERLYING_MOVED),
        ({"natural_credit": Decimal("0.88")}, LapseCode.CREDIT_BELOW_FLOOR),
        ({"natural_credit": Decimal("-0.10")}, LapseCode.CREDIT_BELOW_FLOOR),
        ({"natural_credit": Decimal("1.01")}, LapseCode.CREDIT_ABOVE_BAND),
        ({"natural_credit": None}, LapseCode.QUOTE_NOT_USABLE),
        ({"natural_credit": Decimal("NaN")}, LapseCode.QUOTE_NOT_USABLE),
        ({"underlying_price": None}, LapseCode.QUOTE_NOT_USABLE),
        ({"underlying_price": Decimal(0)}, LapseCode.QUOTE_NOT_USABLE),
    ],
)
def test_a_market_outside_the_band_lapses(changes: dict[str, Any], code: LapseCode) -> None:
    (refusal,) = checked(**changes)
    assert refusal.code is code
    assert refusal.context == {"recommendation": SHOWN.id}


def test_every_reason_is_told() -> None:
    codes = [
        refusal.code
        for refusal in checked(
            now=SHOWN.expires_at + timedelta(days=1),
            underlying_price=Decimal(90),
            natural_credit=Decimal("2.00"),
        )
    ]
    assert codes == [
        LapseCode.EXPIRED,
        LapseCode.UNDERLYING_MOVED,
        LapseCode.CREDIT_ABOVE_BAND,
    ]


def test_value_and_limit_are_kept() -> None:
    (moved,) = checked(underlying_price=Decimal("102.50"))
    assert (moved.value, moved.limit) == (0.025, 0.01)


def test_the_band_ends_at_the_target_whatever_the_tolerance_below() -> None:
    """Inside the band that was shown means floor to target: a tolerance belongs to the floor."""
    generous = ApprovalTerms(floor_tolerance=Decimal("0.50"))
    above = SHOWN.target_credit + Decimal("0.0001")
    assert [row.code for row in checked(natural_credit=above, terms=generous)] == [
        LapseCode.CREDIT_ABOVE_BAND
    ]
    assert credit_ceiling(SHOWN) == SHOWN.target_credit


LOCKED = candidate(short_bid=1.995, short_ask=1.995, long_bid=1.0, long_ask=1.0)


@pytest.mark.parametrize("target", ["0.99", "1.00"])
def test_a_locked_quote_that_has_not_changed_does_not_lapse(target: str) -> None:
    """At a mid of 0.995 everything that is asked for is there; a tick more is another market."""
    shown = replace(recommendation(LOCKED), target_credit=Decimal(target))
    moment: dict[str, Any] = {
        "now": AS_OF,
        "underlying_price": shown.underlying_price,
        "terms": ApprovalTerms(),
    }
    assert shown.natural_credit == Decimal("0.995")
    assert check(shown, natural_credit=shown.natural_credit, **moment) == ()
    (refusal,) = check(shown, natural_credit=Decimal("1.005"), **moment)
    assert refusal.code is LapseCode.CREDIT_ABOVE_BAND


@given(
    short_bid=PRICES,
    long_bid=PRICES,
    spreads=st.tuples(SPREADS, SPREADS),
    tick=st.sampled_from([Decimal("0.01"), Decimal("0.05"), Decimal("0.10")]),
)
def test_no_unchanged_quote_lapses_for_its_credit(
    short_bid: Decimal, long_bid: Decimal, spreads: tuple[Decimal, Decimal], tick: Decimal
) -> None:
    """The band that is shown holds the quotes it was made of, for every tick and every rounding."""
    band = credit_band(
        short_bid=short_bid,
        short_ask=short_bid + spreads[0],
        long_bid=long_bid,
        long_ask=long_bid + spreads[1],
        tolerance=Decimal("0.05"),
        tick=tick,
    )
    assume(band is not None)
    assert band is not None
    shown = replace(
        SHOWN,
        target_credit=band.target,
        natural_credit=band.natural,
        floor_credit=band.floor,
    )
    refusals = check(
        shown,
        now=AS_OF,
        underlying_price=SHOWN.underlying_price,
        natural_credit=band.natural,
        terms=ApprovalTerms(),
    )
    assert refusals == ()
    assert credit_ceiling(shown) == band.target


def test_a_time_without_zone_is_refused() -> None:
    with pytest.raises(BadInput, match="time zone"):
        checked(now=datetime(2026, 1, 5, 12, 0))  # noqa: DTZ001
