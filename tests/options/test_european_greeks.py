"""Greeks three ways: textbook pages, finite differences of the price, the plain formulas."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import norm

from mahler_pipelines.options.european import Greeks, greeks, price

Floats = NDArray[np.float64]


def _haug(right: int, *terms: float) -> Greeks:
    """Return greeks for Haug's order of arguments, whose cost of carry is rate less yield."""
    spot, strike, years, rate, carry, volatility = terms
    return greeks(
        right=right,
        spot=spot,
        strike=strike,
        years=years,
        rate=rate,
        dividend_yield=rate - carry,
        volatility=volatility,
    )


def test_first_order_greeks_match_haug() -> None:
    """E. Haug, The Complete Guide to Option Pricing Formulas, 2nd ed., chapter 2, its examples."""
    future = (105.0, 100.0, 0.5, 0.10, 0.0, 0.36)
    assert float(_haug(1, *future).delta) == pytest.approx(0.5946, abs=5e-5)
    assert float(_haug(-1, *future).delta) == pytest.approx(-0.3566, abs=5e-5)
    gamma = _haug(1, 55.0, 60.0, 0.75, 0.10, 0.10, 0.30).gamma
    assert float(gamma) == pytest.approx(0.0278, abs=5e-5)
    vega = _haug(1, 55.0, 60.0, 0.75, 0.105, 0.0695, 0.30).vega
    assert float(vega) == pytest.approx(18.5027 / 100, abs=5e-7)
    theta = _haug(-1, 430.0, 405.0, 1 / 12, 0.07, 0.02, 0.20).theta_per_day
    assert float(theta) == pytest.approx(-31.1924 / 365, abs=5e-7)
    rho = _haug(1, 72.0, 75.0, 1.0, 0.09, 0.09, 0.19).rho
    assert float(rho) == pytest.approx(38.7325 / 100, abs=5e-7)


def test_second_order_greeks_match_haug() -> None:
    """The same chapter: DdeltaDvol -1.0008, DvegaDvol 92.3444, charm 0.3700, per unit and year."""
    vanna = _haug(-1, 90.0, 80.0, 0.25, 0.05, 0.05, 0.20).vanna
    assert float(vanna) == pytest.approx(-1.0008 / 100, abs=1e-6)
    volga = _haug(-1, 90.0, 130.0, 0.75, 0.05, 0.0, 0.28).volga
    assert float(volga) == pytest.approx(92.3444 / 10_000, abs=5e-9)
    charm = _haug(-1, 105.0, 90.0, 0.25, 0.14, 0.0, 0.24).charm_per_day
    assert float(charm) == pytest.approx(0.3700 / 365, abs=5e-5 / 365)


MARKETS = {
    "right": st.sampled_from([1, -1]),
    "spot": st.floats(5, 900),
    "moneyness": st.floats(0.75, 1.3),
    "years": st.floats(0.02, 2),
    "rate": st.floats(-0.01, 0.1),
    "dividend_yield": st.floats(0, 0.06),
    "volatility": st.floats(0.1, 1.5),
}


@settings(max_examples=80)
@given(**MARKETS)
def test_second_order_greeks_are_the_slopes_of_delta_and_vega(
    right: int, spot: float, moneyness: float, **terms: Any
) -> None:
    base: dict[str, Any] = {"right": right, "spot": spot, "strike": spot * moneyness, **terms}

    def slope(greek: str, name: str, step: float) -> float:
        up = getattr(greeks(**{**base, name: base[name] + step}), greek)
        return float(up - getattr(greeks(**{**base, name: base[name] - step}), greek)) / (2 * step)

    found = greeks(**base)
    assert float(found.vanna) == pytest.approx(slope("delta", "volatility", 1e-5) / 100, abs=1e-7)
    other_way = slope("vega", "spot", spot * 1e-5)
    assert float(found.vanna) == pytest.approx(other_way, rel=1e-5, abs=1e-8)
    volga = slope("vega", "volatility", 1e-5) / 100
    assert float(found.volga) == pytest.approx(volga, rel=1e-5, abs=1e-8 * spot)
    charm = -slope("delta", "years", 1e-6) / 365
    assert float(found.charm_per_day) == pytest.approx(charm, rel=1e-4, abs=1e-7)


@given(**{**MARKETS, "moneyness": st.floats(0.2, 5), "volatility": st.floats(0.02, 4)})
def test_greeks_match_the_plain_formulas_however_far_the_strike(
    right: int, spot: float, moneyness: float, **terms: Any
) -> None:
    """The textbook's expressions with scipy's normal distribution, which the code doesn't use."""
    years, rate, carry, volatility = (
        terms[name] for name in ("years", "rate", "dividend_yield", "volatility")
    )
    found = greeks(right=right, spot=spot, strike=spot * moneyness, **terms)
    total = volatility * math.sqrt(years)
    d1 = (-math.log(moneyness) + (rate - carry) * years) / total + 0.5 * total
    d2 = d1 - total
    shares, cash = math.exp(-carry * years), moneyness * math.exp(-rate * years)
    above, below = norm.cdf(right * d1), norm.cdf(right * d2)
    decay = 0.5 * shares * norm.pdf(d1) * volatility / math.sqrt(years)
    owed = right * (rate * cash * below - carry * shares * above)
    expected = {
        "delta": right * shares * above,
        "gamma": shares * norm.pdf(d1) / (spot * total),
        "vega": spot * shares * norm.pdf(d1) * math.sqrt(years) / 100,
        "rho": right * spot * years * cash * below / 100,
        "theta_per_day": -spot * (decay + owed) / 365,
    }
    for name, value in expected.items():
        scale = 1e-14 * spot * max(1.0, moneyness)
        assert float(getattr(found, name)) == pytest.approx(value, rel=2e-11, abs=scale)


def test_second_order_greeks_vanish_where_nothing_moves() -> None:
    still = greeks(
        right=[1, -1, 1, 1],
        spot=100.0,
        strike=[90.0, 110.0, 100.0, 100.0],
        years=[0.0, 0.0, 0.0, 0.5],
        rate=0.0,
        dividend_yield=0.0,
        volatility=[0.2, 0.2, 0.2, 0.0],
    )
    for name in ("vanna", "volga", "charm_per_day"):
        assert np.abs(getattr(still, name)).tolist() == [0.0] * 4


def test_second_order_greeks_of_nan_are_nan() -> None:
    unknown = greeks(
        right=1, spot=100.0, strike=90.0, years=0.5, rate=0.0, dividend_yield=0.0, volatility=np.nan
    )
    for name in ("delta", "gamma", "theta_per_day", "vega", "rho", "vanna", "volga"):
        assert np.isnan(getattr(unknown, name))


def test_model_without_second_order_greeks_says_so() -> None:
    zero = np.zeros(1)
    with pytest.raises(AttributeError, match="vanna"):
        _ = Greeks(zero, zero, zero, zero, zero).vanna


DIVIDENDS = [(0.05, 0.7), (0.3, 1.1), (0.55, 1.2), (1.4, 2.0), (-0.1, 5.0)]


def _later(dividends: list[tuple[float, float]], shift: float) -> list[tuple[float, float]]:
    return [(years + shift, amount) for years, amount in dividends]


@settings(max_examples=60)
@given(**{**MARKETS, "years": st.sampled_from([0.04, 0.2, 0.5, 1.1, 1.9])})
def test_greeks_with_dividends_are_the_slopes_of_the_price(
    right: int, spot: float, moneyness: float, **terms: Any
) -> None:
    """As time passes both the expiration and the ex-dates come nearer."""
    base: dict[str, Any] = {"right": right, "spot": spot + 10, "strike": spot * moneyness, **terms}

    def worth(**changed: Any) -> float:
        return float(price(**{**base, "dividends": DIVIDENDS, **changed}))

    def slope(name: str, step: float) -> float:
        up = worth(**{name: base[name] + step})
        return (up - worth(**{name: base[name] - step})) / (2 * step)

    def passed(step: float) -> dict[str, Any]:
        return {"years": base["years"] - step, "dividends": _later(DIVIDENDS, -step)}

    found = greeks(**base, dividends=DIVIDENDS)
    tolerance = 1e-7 * spot
    assert float(found.delta) == pytest.approx(slope("spot", 1e-5 * spot), abs=1e-6)
    assert float(found.vega) == pytest.approx(slope("volatility", 1e-5) / 100, abs=tolerance)
    assert float(found.rho) == pytest.approx(slope("rate", 1e-5) / 100, abs=tolerance)
    theta = (worth(**passed(1e-5)) - worth(**passed(-1e-5))) / 2e-5 / 365
    assert float(found.theta_per_day) == pytest.approx(theta, abs=tolerance)
    nearer = greeks(**{**base, "dividends": DIVIDENDS, **passed(1e-6)}).delta
    before = greeks(**{**base, "dividends": DIVIDENDS, **passed(-1e-6)}).delta
    charm = float(nearer - before) / 2e-6 / 365
    assert float(found.charm_per_day) == pytest.approx(charm, rel=1e-4, abs=1e-7)
