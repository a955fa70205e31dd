"""Dividend schedules, their present value, and European options on a share that pays them."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mahler_pipelines.errors import BadInput
from mahler_pipelines.options.dividends import (
    dividend_schedule,
    escrow_slopes,
    escrowed_spot,
    present_value,
)
from mahler_pipelines.options.european import (
    NoVolatility,
    greeks,
    implied,
    implied_volatility,
    price,
)

HULL: dict[str, Any] = {"spot": 40.0, "strike": 40.0, "years": 0.5, "rate": 0.09}
HULL_DIVIDENDS = [(2 / 12, 0.5), (5 / 12, 0.5)]
SCHEDULES = st.lists(st.tuples(st.floats(0.01, 2), st.floats(0, 2)), max_size=6)


def test_price_with_dividends_matches_hull() -> None:
    """Hull, 10th ed., example 15.9: present value 0.9742, call 3.67."""
    assert float(present_value(HULL_DIVIDENDS, years=0.5, rate=0.09)) == pytest.approx(
        0.9742, abs=1e-4
    )
    worth = price(right=1, volatility=0.3, dividend_yield=0.0, dividends=HULL_DIVIDENDS, **HULL)
    assert float(worth) == pytest.approx(3.67, abs=0.005)


def test_only_dividends_between_now_and_expiration_count() -> None:
    """What goes ex exactly at expiration does; what is past, or goes ex this moment, doesn't."""
    dividends = [(0.5, 3.0), (-0.2, 9.0), (0.25, 2.0), (0.0, 9.0), (0.5, 0.0)]
    years = [0.2, 0.25, 0.4999, 0.5, 1.0]
    assert present_value(dividends, years=years, rate=0.0).tolist() == [0.0, 2.0, 2.0, 5.0, 5.0]
    schedule = dividend_schedule(np.array(dividends))
    assert schedule.years.tolist() == [0.25, 0.5]
    assert schedule.amounts.tolist() == [2.0, 3.0]
    assert dividend_schedule(schedule) is schedule
    assert len(dividend_schedule([])) == len(dividend_schedule(np.empty((0, 2)))) == 0


@pytest.mark.parametrize(
    "wrong",
    [
        [0.5, 1.0],
        [(0.5, 1.0, 2.0)],
        [(0.5, math.nan)],
        [(math.inf, 1.0)],
        [(0.5, -0.01)],
        [(-1.0, -0.01)],
        [(0.5, 1.0), (0.7,)],
        "quarterly",
    ],
)
def test_what_is_no_schedule_is_refused(wrong: Any) -> None:
    with pytest.raises(BadInput) as caught:
        dividend_schedule(wrong)
    assert caught.value.parameter == "dividends"


def test_present_value_broadcasts_years_and_rates() -> None:
    found = present_value([(0.5, 2.0)], years=[[0.4], [0.6]], rate=[0.0, 0.1, np.nan])
    assert found[0].tolist() == [0.0, 0.0, 0.0]
    assert found[1, :2] == pytest.approx([2.0, 2 * math.exp(-0.05)])
    assert np.isnan(found[1, 2])
    assert present_value((), years=[0.1, 0.2], rate=0.05).tolist() == [0.0, 0.0]
    above = escrowed_spot([(0.5, 2.0)], spot=[10.0, 1.0], years=1.0, rate=0.0)
    assert above.tolist() == [8.0, -1.0]


@given(dividends=SCHEDULES, rate=st.floats(-0.02, 0.1), dividend_yield=st.floats(0, 0.06))
def test_escrow_slopes_are_differences_of_the_present_value(
    dividends: list[tuple[float, float]], rate: float, dividend_yield: float
) -> None:
    def worth(rate: float = rate, passed: float = 0.0) -> float:
        nearer = [(years - passed, amount) for years, amount in dividends]
        terms = {"years": 1.0 - passed, "rate": rate, "dividend_yield": dividend_yield}
        return float(present_value(nearer, **terms))

    growth, slope = escrow_slopes(dividends, years=1.0, rate=rate, dividend_yield=dividend_yield)
    step = 1e-5
    assert float(slope) == pytest.approx((worth(rate + step) - worth(rate - step)) / (2 * step))
    if not any(abs(years - 1.0) < 1e-4 for years, _ in dividends):
        passing = (worth(passed=step) - worth(passed=-step)) / (2 * step)
        assert float(growth) == pytest.approx(passing, abs=1e-8)


@given(dividends=SCHEDULES, rate=st.floats(-0.02, 0.1), dividend_yield=st.floats(0, 0.06))
def test_parity_shows_the_forward_that_a_holder_of_the_share_can_lock_in(
    dividends: list[tuple[float, float]], rate: float, dividend_yield: float
) -> None:
    """One share now, its yield and cash reinvested in it, is worth the forward at expiration.

    Counted forwards in time, with shares and not with discounted amounts.
    """
    years, spot, strike = 1.0, 100.0, 95.0
    call, put = price(
        right=[1, -1],
        spot=spot,
        strike=strike,
        years=years,
        rate=rate,
        dividend_yield=dividend_yield,
        volatility=0.3,
        dividends=dividends,
    )
    borrowed = spot * math.exp((rate - dividend_yield) * years)
    for when, amount in dividends:
        if when <= years:
            borrowed -= amount * math.exp((rate - dividend_yield) * (years - when))
    assert call - put == pytest.approx(math.exp(-rate * years) * (borrowed - strike), abs=1e-10)


def test_volatility_comes_back_with_dividends() -> None:
    generator = np.random.default_rng(31)
    spot = generator.uniform(40, 400, 5_000)
    terms: dict[str, Any] = {
        "right": generator.choice([1.0, -1.0], 5_000),
        "spot": spot,
        "strike": spot * generator.uniform(0.8, 1.25, 5_000),
        "years": generator.uniform(0.05, 2.0, 5_000),
        "rate": generator.uniform(-0.01, 0.08, 5_000),
        "dividend_yield": generator.uniform(0, 0.03, 5_000),
        "dividends": [(0.1, 0.5), (0.35, 0.6), (0.6, 0.6), (1.9, 0.8)],
    }
    volatility = generator.uniform(0.3, 1.2, 5_000)
    found = implied(price=price(volatility=volatility, **terms), **terms)
    assert found.volatility == pytest.approx(volatility, rel=1e-9)
    expected = greeks(volatility=found.volatility, **terms)
    for name in ("delta", "theta_per_day", "rho", "charm_per_day"):
        assert np.array_equal(getattr(found.greeks, name), getattr(expected, name))


def test_share_worth_no_more_than_its_dividends_has_no_option_price() -> None:
    terms: dict[str, Any] = {
        "right": 1,
        "spot": [5.0, 5.0, 20.0],
        "strike": 4.0,
        "years": [1.0, 0.1, 1.0],
        "rate": 0.0,
        "dividend_yield": 0.0,
        "dividends": [(0.2, 3.0), (0.7, 3.0)],
    }
    for function in (price, greeks):
        with pytest.raises(BadInput, match="dividends") as caught:
            function(volatility=0.3, **terms)
        assert caught.value.parameter == "spot"
        assert caught.value.value == 5.0
    paid = [1.2, 1.2, 10.2]
    found, reasons = implied_volatility(price=paid, with_reason=True, **terms)
    assert reasons.tolist() == [NoVolatility.NON_POSITIVE_INPUT, NoVolatility.NONE, 0]
    assert np.isnan(found).tolist() == [True, False, False]


def test_empty_schedule_changes_nothing() -> None:
    terms: dict[str, Any] = {**HULL, "dividend_yield": 0.01, "right": -1, "volatility": 0.25}
    assert price(**terms) == price(**terms, dividends=[]) == price(**terms, dividends=[(0.6, 9.0)])
    assert greeks(**terms).theta_per_day == greeks(**terms, dividends=[(0.6, 9.0)]).theta_per_day
