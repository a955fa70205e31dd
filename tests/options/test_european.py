"""Prices against a textbook and parity, greeks against finite differences, implied volatility."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray

from mahler_pipelines.errors import BadInput
from mahler_pipelines.options.black_scholes.black import normalised_price
from mahler_pipelines.options.european import (
    NoVolatility,
    greeks,
    implied,
    implied_volatility,
    price,
    probability_below,
)

Floats = NDArray[np.float64]

SIXTY_DIGITS = [
    # why it is there, right, spot, strike, years, rate, yield, volatility, price (mpmath)
    (
        "one hour, three sigma out",
        1,
        100.0,
        100.1,
        1 / 8760,
        0.04,
        0.01,
        0.03,
        8.3380050103742672773e-6,
    ),
    ("one hour at the money", -1, 5000.0, 5000.0, 1 / 8760, 0.05, 0.0, 0.15, 3.1825694850238474799),
    ("one day, far put", -1, 600.0, 560.0, 1 / 365, 0.043, 0.012, 0.35, 0.00020469175892002863496),
    ("a week, usual put", -1, 250.0, 235.0, 7 / 365, 0.04, 0.0, 0.28, 0.210470617636993189),
    (
        "a month, call a little out",
        1,
        98.0,
        101.0,
        30 / 365,
        0.045,
        0.0,
        0.22,
        1.4014799423221304576,
    ),
    ("half a year, 25 delta put", -1, 420.0, 385.0, 0.5, 0.03, 0.018, 0.19, 7.71703612921429415),
    ("two years at the forward", 1, 50.0, 50.0, 2.0, 0.0, 0.0, 0.4, 11.135129460523923309),
    (
        "three years, low volatility",
        1,
        100.0,
        118.0,
        3.0,
        0.02,
        0.03,
        0.03,
        0.00010437524854571116902,
    ),
    ("three years at 400 %", 1, 20.0, 90.0, 3.0, 0.05, 0.0, 4.0, 19.979408000112466827),
    ("negative rate", -1, 1000.0, 700.0, 1.25, -0.01, 0.02, 0.6, 111.36255932796220367),
    ("time value of 1e-8 of spot", 1, 100.0, 123.0, 0.1, 0.03, 0.0, 0.14, 1.9927308857129112226e-6),
]
HULL: dict[str, Any] = {
    "spot": 42.0,
    "strike": 40.0,
    "years": 0.5,
    "rate": 0.10,
    "dividend_yield": 0.0,
}
BASE: dict[str, Any] = {
    "spot": 100.0,
    "strike": 95.0,
    "years": 0.3,
    "rate": 0.04,
    "dividend_yield": 0.015,
}


def _markets(count: int, *, seed: int) -> tuple[dict[str, Any], Floats]:
    """Random markets over 3 %..400 % volatility and one hour to three years."""
    generator = np.random.default_rng(seed)
    volatility = np.exp(generator.uniform(math.log(0.03), math.log(4.0), count))
    years = np.exp(generator.uniform(math.log(1 / 8760), math.log(3.0), count))
    distance = generator.uniform(-6.5, 6.5, count) * volatility * np.sqrt(years)
    spot = np.exp(generator.uniform(0.0, 9.0, count))
    terms = {
        "spot": spot,
        "strike": spot * np.exp(np.clip(distance, -4.0, 4.0)),
        "years": years,
        "rate": generator.uniform(-0.01, 0.08, count),
        "dividend_yield": generator.uniform(0.0, 0.05, count),
    }
    return terms, volatility


def _invert(**terms: ArrayLike) -> tuple[Floats, NDArray[np.int8]]:
    return implied_volatility(
        right=terms["right"],
        price=terms["price"],
        spot=terms["spot"],
        strike=terms["strike"],
        years=terms["years"],
        rate=terms["rate"],
        dividend_yield=terms["dividend_yield"],
        with_reason=True,
    )


def _log_forward_moneyness(terms: dict[str, Any]) -> Floats:
    carry = (terms["rate"] - terms["dividend_yield"]) * terms["years"]
    return np.asarray(np.log(terms["spot"] / terms["strike"]) + carry)


def _scipy_price(terms: dict[str, Any], volatility: Floats) -> Floats:
    """Out-of-the-money prices by scipy's special functions, which the table has no part in."""
    x = -np.abs(_log_forward_moneyness(terms))
    root = np.sqrt(terms["spot"] * terms["strike"])
    carry = terms["rate"] + terms["dividend_yield"]
    discount = np.exp(-0.5 * carry * terms["years"])
    normalised = normalised_price(x, volatility * np.sqrt(terms["years"]))
    return np.asarray(root * discount * normalised)


def test_prices_match_hull() -> None:
    """Hull, example 15.6: call 4.76, put 0.81."""
    assert float(price(right=1, volatility=0.2, **HULL)) == pytest.approx(4.76, abs=0.005)
    assert float(price(right=-1, volatility=0.2, **HULL)) == pytest.approx(0.81, abs=0.005)


def test_greeks_match_hull() -> None:
    """Hull, examples 19.1, 19.4, 19.6, 19.7: S 49, K 50, r 5 %, volatility 20 %, 20 weeks."""
    found = greeks(
        right=1, spot=49.0, strike=50.0, years=0.3846, rate=0.05, dividend_yield=0.0, volatility=0.2
    )
    assert float(found.delta) == pytest.approx(0.522, abs=5e-4)
    assert float(found.gamma) == pytest.approx(0.066, abs=5e-4)
    assert float(found.theta_per_day) == pytest.approx(-4.31 / 365, abs=5e-5)
    assert float(found.vega) == pytest.approx(0.121, abs=5e-4)
    assert float(found.rho) == pytest.approx(0.0891, abs=5e-4)


def test_price_matches_extended_precision_by_quadrature() -> None:
    """The lognormal payoff integrated numerically, an independent way to the same number."""
    nodes, weights = np.polynomial.legendre.leggauss(400)
    for right, strike, volatility in ((1, 130.0, 0.25), (-1, 70.0, 0.4), (1, 80.0, 0.2)):
        total = volatility * math.sqrt(0.5)
        drift = (0.03 - 0.01) * 0.5 - 0.5 * total**2
        edge = (math.log(strike / 100.0) - drift) / total
        low, high = (edge, 12.0) if right > 0 else (-12.0, edge)
        z = 0.5 * (high - low) * nodes + 0.5 * (high + low)
        payoff = right * (100.0 * np.exp(drift + total * z) - strike)
        density = np.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
        expected = math.exp(-0.015) * 0.5 * (high - low) * float(weights @ (payoff * density))
        found = price(
            right=right,
            spot=100.0,
            strike=strike,
            years=0.5,
            rate=0.03,
            dividend_yield=0.01,
            volatility=volatility,
        )
        assert float(found) == pytest.approx(expected, rel=1e-11)


@pytest.mark.parametrize("case", SIXTY_DIGITS, ids=lambda case: case[0])
def test_prices_and_volatilities_match_sixty_digits(case: tuple[Any, ...]) -> None:
    _, right, spot, strike, years, rate, carry, volatility, worth = case
    terms = {"right": right, "spot": spot, "strike": strike, "years": years, "rate": rate}
    found = price(**terms, dividend_yield=carry, volatility=volatility)
    # Rounding the logarithm of moneyness alone moves the price of an hour by this much.
    assert float(found) == pytest.approx(worth, rel=1e-12)
    back = implied_volatility(**terms, dividend_yield=carry, price=worth)
    assert float(back) == pytest.approx(volatility, rel=2e-13)


def test_prices_agree_with_special_functions_everywhere() -> None:
    """The table of Mills ratios against scipy's functions, and where the one hands over."""
    terms, volatility = _markets(100_000, seed=16)
    right = np.where(_log_forward_moneyness(terms) > 0, -1, 1)
    assert price(right=right, volatility=volatility, **terms) == pytest.approx(
        _scipy_price(terms, volatility), rel=1e-12
    )


@given(
    strike=st.floats(20, 500),
    years=st.floats(1e-4, 3),
    rate=st.floats(-0.02, 0.12),
    dividend_yield=st.floats(0, 0.08),
    volatility=st.floats(0.03, 4),
)
def test_put_call_parity_holds(
    strike: float, years: float, rate: float, dividend_yield: float, volatility: float
) -> None:
    terms = {"spot": 100.0, "strike": strike, "years": years, "rate": rate}
    call, put = price(right=[1, -1], volatility=volatility, dividend_yield=dividend_yield, **terms)
    forward = 100.0 * math.exp(-dividend_yield * years) - strike * math.exp(-rate * years)
    assert call - put == pytest.approx(forward, abs=1e-11)


@settings(max_examples=60)
@given(
    right=st.sampled_from([1, -1]),
    strike=st.floats(80, 125),
    years=st.floats(0.02, 2),
    rate=st.floats(-0.01, 0.1),
    dividend_yield=st.floats(0, 0.06),
    volatility=st.floats(0.1, 1.5),
)
def test_greeks_are_the_slopes_of_the_price(
    right: int, strike: float, years: float, rate: float, dividend_yield: float, volatility: float
) -> None:
    base: dict[str, Any] = {
        "right": right,
        "spot": 100.0,
        "strike": strike,
        "years": years,
        "rate": rate,
        "dividend_yield": dividend_yield,
        "volatility": volatility,
    }

    def slope(name: str, step: float) -> float:
        up = price(**{**base, name: base[name] + step})
        return float(up - price(**{**base, name: base[name] - step})) / (2 * step)

    def delta_at(spot: float) -> float:
        return float(greeks(**{**base, "spot": spot}).delta)

    found = greeks(**base)
    assert float(found.delta) == pytest.approx(slope("spot", 1e-3), abs=1e-6)
    curve = (delta_at(100.0 + 1e-3) - delta_at(100.0 - 1e-3)) / 2e-3
    assert float(found.gamma) == pytest.approx(curve, abs=1e-6)
    assert float(found.vega) == pytest.approx(slope("volatility", 1e-5) / 100, abs=1e-6)
    assert float(found.rho) == pytest.approx(slope("rate", 1e-5) / 100, abs=1e-6)
    assert float(found.theta_per_day) == pytest.approx(-slope("years", 1e-5) / 365, abs=1e-5)


def test_greeks_at_expiry_and_without_volatility_are_limits() -> None:
    dead = greeks(
        right=[1, 1, 1, -1],
        spot=100.0,
        strike=[90.0, 110.0, 100.0, 110.0],
        years=0.0,
        rate=0.05,
        dividend_yield=0.0,
        volatility=0.2,
    )
    assert dead.delta.tolist() == [1.0, 0.0, 0.5, -1.0]
    for name in ("gamma", "vega", "rho"):
        assert getattr(dead, name).tolist() == [0.0] * 4
    quiet = greeks(**{**BASE, "volatility": 0.0, "right": 1})
    assert float(quiet.delta) == pytest.approx(math.exp(-0.015 * 0.3))
    assert np.isfinite(float(quiet.theta_per_day))


def test_price_without_time_or_volatility_is_intrinsic() -> None:
    assert float(price(right=1, volatility=0.2, **{**BASE, "years": 0.0})) == 5.0
    still = float(price(right=1, volatility=0.0, **BASE))
    carried = 100 * math.exp(-0.015 * 0.3) - 95 * math.exp(-0.04 * 0.3)
    assert still == pytest.approx(carried, rel=1e-15)


def test_huge_volatility_reaches_the_maximum_price() -> None:
    """Nothing overflows on the way: a call is worth the share, a put the discounted strike."""
    call, put = price(right=[1, -1], volatility=[200.0, 5_000.0], **BASE)
    assert call == pytest.approx(100 * math.exp(-0.015 * 0.3))
    assert put == pytest.approx(95 * math.exp(-0.04 * 0.3))


def test_nan_goes_through_and_nonsense_is_refused() -> None:
    assert math.isnan(float(price(right=1, volatility=math.nan, **BASE)))
    for wrong in ({"spot": 0.0}, {"strike": -1.0}, {"years": -0.1}, {"volatility": -0.2}):
        with pytest.raises(BadInput):
            price(**{**BASE, "right": 1, "volatility": 0.2, **wrong})
    with pytest.raises(BadInput, match="right"):
        price(right=0, volatility=0.2, **BASE)
    with pytest.raises(BadInput, match="right"):
        _invert(right=2, price=5.0, **BASE)


def test_implied_volatility_comes_back_for_every_valid_price() -> None:
    """No failure, relative error below 1e-12, wherever time value is at least 1e-8 of spot."""
    terms, volatility = _markets(120_000, seed=11)
    right = np.where(_log_forward_moneyness(terms) > 0, -1, 1)
    prices = _scipy_price(terms, volatility)
    visible = prices >= 1e-8 * terms["spot"]
    found, reasons = _invert(right=right, price=prices, **terms)
    assert visible.sum() > 80_000
    assert (reasons[visible] == NoVolatility.NONE).all()
    assert np.max(np.abs(found[visible] / volatility[visible] - 1)) < 1e-12


def test_implied_volatility_of_in_the_money_prices() -> None:
    """Here the price itself holds fewer digits of time value: as many come back as it holds."""
    terms, volatility = _markets(60_000, seed=12)
    money = _log_forward_moneyness(terms)
    right = np.where(money > 0, 1, -1)
    prices = price(right=right, volatility=volatility, **terms)
    other = price(right=-right, volatility=volatility, **terms)
    visible = (other >= 1e-8 * terms["spot"]) & (np.abs(money) < 1.5)
    found, reasons = _invert(right=right, price=prices, **terms)
    slope = 100 * greeks(right=right, volatility=volatility, **terms).vega * volatility
    resolution = 64 * np.finfo(float).eps * (prices + terms["strike"] + terms["spot"]) / slope
    error = np.abs(found / volatility - 1)
    assert (reasons[visible] == NoVolatility.NONE).all()
    assert (error <= 1e-12 + resolution)[visible].all()


def test_implied_volatility_agrees_with_bisection() -> None:
    """Brute force that shares nothing with the solver but the price."""
    terms, volatility = _markets(4_000, seed=13)
    right = np.where(_log_forward_moneyness(terms) > 0, -1, 1)
    paid = price(right=right, volatility=volatility, **terms)
    visible = paid >= 1e-8 * terms["spot"]
    low, high = np.full(4_000, 1e-3), np.full(4_000, 10.0)
    for _ in range(60):
        middle = 0.5 * (low + high)
        under = price(right=right, volatility=middle, **terms) < paid
        low, high = np.where(under, middle, low), np.where(under, high, middle)
    found, _ = _invert(right=right, price=paid, **terms)
    assert np.max(np.abs(found / low - 1)[visible]) < 1e-11


def test_prices_at_the_edges_of_the_range_still_have_a_volatility() -> None:
    """Prices of 1e-290 and a hair below the maximum, which no market shows, are solved too."""
    terms = {"spot": 1.0, "strike": 1.5, "years": 1.0, "rate": 0.0, "dividend_yield": 0.0}
    paid = np.array([1e-290, 1e-100, 1e-12, 0.5, 0.99, 1 - 1e-12])
    found, reasons = _invert(right=1, price=paid, **terms)
    assert (reasons == NoVolatility.NONE).all()
    assert price(right=1, volatility=found, **terms) == pytest.approx(paid, rel=1e-9)
    at_money = {**terms, "strike": 1.0}
    tiny, _ = _invert(right=1, price=1e-9, **at_money)
    assert float(price(right=1, volatility=tiny, **at_money)) == pytest.approx(1e-9, rel=1e-12)


def test_every_price_without_volatility_says_why() -> None:
    cases = [
        (1, 5.0 * 0.9, 100.0, 95.0, 0.3, NoVolatility.BELOW_INTRINSIC),
        (1, 100.0, 100.0, 95.0, 0.3, NoVolatility.ABOVE_MAXIMUM),
        (-1, 95.0, 100.0, 95.0, 0.3, NoVolatility.ABOVE_MAXIMUM),
        (1, math.nan, 100.0, 95.0, 0.3, NoVolatility.NOT_FINITE),
        (1, 5.0, math.inf, 95.0, 0.3, NoVolatility.NOT_FINITE),
        (1, 6.0, 100.0, 95.0, 0.0, NoVolatility.EXPIRED),
        (1, 6.0, 100.0, 95.0, -0.1, NoVolatility.EXPIRED),
        (1, 0.0, 100.0, 95.0, 0.3, NoVolatility.NON_POSITIVE_INPUT),
        (-1, 5.0, -1.0, 95.0, 0.3, NoVolatility.NON_POSITIVE_INPUT),
        (-1, 5.0, 100.0, 0.0, 0.3, NoVolatility.NON_POSITIVE_INPUT),
        (1, 7.0, 100.0, 95.0, 0.3, NoVolatility.NONE),
    ]
    right, paid, spot, strike, years, expected = zip(*cases, strict=True)
    found, reasons = _invert(
        right=right,
        price=paid,
        spot=spot,
        strike=strike,
        years=years,
        rate=0.04,
        dividend_yield=0.0,
    )
    assert reasons.dtype == np.int8
    assert reasons.tolist() == [int(code) for code in expected]
    assert (np.isnan(found) == (reasons != 0)).all()


def test_arguments_broadcast_and_scalars_stay_scalars() -> None:
    terms: dict[str, ArrayLike] = {**BASE, "strike": np.array([90.0, 95, 99])}
    grid = price(right=np.array([[1], [-1]]), volatility=0.2, **terms)
    assert grid.shape == (2, 3)
    back, reasons = _invert(right=np.array([[1], [-1]]), price=grid, **terms)
    assert back == pytest.approx(np.full((2, 3), 0.2))
    assert reasons.shape == (2, 3)
    assert _invert(right=1, price=9.0, **BASE)[0].shape == ()
    assert _invert(right=[], price=[], **BASE)[1].shape == (0,)


def test_answers_do_not_depend_on_neighbours_or_threads() -> None:
    """Bad, far and ordinary rows share blocks, and every row is what it is alone, to the bit."""
    terms, volatility = _markets(40_000, seed=14)
    right = np.where(np.arange(40_000) % 2, 1.0, -1.0)
    prices = price(right=right, volatility=volatility, **terms)
    prices[::7] = 1e9
    prices[3::7] = -1.0
    prices[::11] = math.nan
    terms["years"][::13] = 1e-9
    once, reasons = _invert(right=right, price=prices, **terms)
    many = implied_volatility(right=right, price=prices, threads=3, **terms)
    assert np.array_equal(once, many, equal_nan=True)
    slopes = greeks(right=right, volatility=volatility, **terms)
    split = greeks(right=right, volatility=volatility, threads=3, **terms)
    for name in ("delta", "gamma", "theta_per_day", "vega", "rho", "vanna", "charm_per_day"):
        assert np.array_equal(getattr(slopes, name), getattr(split, name))
    for row in range(0, 40_000, 397):
        alone = {name: values[row] for name, values in terms.items()}
        found, reason = _invert(right=right[row], price=prices[row], **alone)
        assert np.array_equal(found, once[row], equal_nan=True)
        assert reason == reasons[row]
        assert greeks(right=right[row], volatility=volatility[row], **alone).rho == slopes.rho[row]


def test_fewer_than_one_thread_is_refused() -> None:
    with pytest.raises(BadInput, match="threads"):
        greeks(right=1, volatility=0.2, threads=0, **BASE)


def test_implied_is_volatility_reason_and_greeks_at_once() -> None:
    terms, volatility = _markets(5_000, seed=15)
    right = np.where(_log_forward_moneyness(terms) > 0, -1.0, 1.0)
    prices = price(right=right, volatility=volatility, **terms)
    prices[:500] = 0.0
    prices[500:900] = 1e9
    terms["spot"][900:950] = -1.0
    found = implied(right=right, price=prices, **terms)
    alone, reasons = _invert(right=right, price=prices, **terms)
    assert np.array_equal(found.volatility, alone, equal_nan=True)
    assert np.array_equal(found.reason, reasons)
    good = reasons == NoVolatility.NONE
    assert good.sum() > 3_000
    picked = {name: values[good] for name, values in terms.items()}
    expected = greeks(right=right[good], volatility=alone[good], **picked)
    for name in ("delta", "gamma", "theta_per_day", "vega", "rho", "vanna", "volga"):
        column = getattr(found.greeks, name)
        assert np.array_equal(column[good], getattr(expected, name))
        assert np.isnan(column[~good]).all()


def test_reason_comes_only_when_asked_for() -> None:
    alone = implied_volatility(
        right=1, price=9.0, spot=100.0, strike=95.0, years=0.3, rate=0.04, dividend_yield=0.015
    )
    assert alone == _invert(right=1, price=9.0, **BASE)[0]


def test_probability_below_is_the_slope_of_the_put_in_strike() -> None:
    """Breeden and Litzenberger: exp(rT) dP/dK is the probability of finishing below K."""
    levels = np.array([70.0, 90.0, 100.0, 115.0])
    terms = {"spot": 100.0, "years": 0.4, "rate": 0.05, "dividend_yield": 0.02, "volatility": 0.3}
    found = probability_below(level=levels, **terms)
    step = 1e-3
    rise = price(right=-1, strike=levels + step, **terms)
    slope = (rise - price(right=-1, strike=levels - step, **terms)) / (2 * step)
    assert found == pytest.approx(math.exp(0.05 * 0.4) * slope, abs=1e-7)


def test_probability_below_at_the_ends() -> None:
    terms = {"spot": 100.0, "rate": 0.0, "dividend_yield": 0.0, "volatility": 0.3}
    assert probability_below(level=[-5.0, 0.0], years=0.4, **terms).tolist() == [0.0, 0.0]
    assert probability_below(level=[99.0, 101.0], years=0.0, **terms).tolist() == [0.0, 1.0]
