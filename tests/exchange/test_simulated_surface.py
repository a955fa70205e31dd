"""The model surface: no static arbitrage, and early exercise as a lattice has it."""

from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mahler_pipelines.exchange.simulated.american import critical_ratio, early_exercise_premium
from mahler_pipelines.exchange.simulated.contracts import Contracts
from mahler_pipelines.exchange.simulated.horizon import horizon
from mahler_pipelines.exchange.simulated.surface import curvature, total_variance
from mahler_pipelines.exchange.simulated.universe import UNIVERSE, Underlying
from mahler_pipelines.exchange.simulated.valuation import (
    RISK_FREE_RATE,
    Instants,
    NameValuation,
)
from mahler_pipelines.options.european import price
from tests.exchange.simulated_worlds import SAMPLED, SEEDS, instant_of, market_of

NAMES = range(len(UNIVERSE))
THETAS = np.geomspace(1e-8, 3.0, 200)


def contracts(strike: np.ndarray, right: int, expiry: int) -> Contracts:
    count = len(strike)
    return Contracts(
        expiry=np.full(count, expiry),
        right=np.full(count, right),
        strike=strike,
        first_session=np.zeros(count, dtype=np.int64),
        monthly=np.ones(count, dtype=np.bool_),
        code=np.arange(count),
    )


def lattice_put(
    spot: float, strike: float, years: float, rate: float, volatility: float, steps: int = 800
) -> float:
    """American put by Cox, Ross & Rubinstein (1979)."""
    up = np.exp(volatility * np.sqrt(years / steps))
    chance = (np.exp(rate * years / steps) - 1 / up) / (up - 1 / up)
    discount = np.exp(-rate * years / steps)
    value = np.maximum(strike - spot * up ** np.arange(-steps, steps + 1, 2.0), 0)
    for step in range(steps - 1, -1, -1):
        value = discount * (chance * value[1:] + (1 - chance) * value[:-1])
        value = np.maximum(value, strike - spot * up ** np.arange(-step, step + 1, 2.0))
    return float(value[0])


@pytest.mark.parametrize("name", UNIVERSE, ids=lambda name: name.ticker)
def test_parameters_satisfy_the_conditions_of_gatheral_and_jacquier(name: Underlying) -> None:
    """Theorem 4.2 of the 2014 paper, for every theta that the market can show."""
    phi = curvature(name, THETAS)
    assert name.curvature * (1 + abs(name.skew)) <= 2
    assert np.all(THETAS * phi * (1 + abs(name.skew)) < 4)
    assert np.all(THETAS * phi**2 * (1 + abs(name.skew)) <= 4)
    slope = np.gradient(THETAS * phi, THETAS)
    limit = (1 + np.sqrt(1 - name.skew**2)) / name.skew**2 * phi
    assert np.all((slope >= 0) & (slope <= limit))


@settings(max_examples=150, deadline=None)
@given(
    name=st.sampled_from(UNIVERSE),
    theta=st.floats(1e-4, 1.0),
    later=st.floats(1.0, 3.0),
)
def test_slices_have_positive_density_and_do_not_cross(
    name: Underlying, theta: float, later: float
) -> None:
    """Durrleman's condition g(k) >= 0, by finite differences; total variance grows with theta."""
    step = 1e-3 * np.sqrt(theta)
    k = np.arange(-6.0, 6.0, 0.01) * np.sqrt(theta)
    low, mid, high = (
        total_variance(name, log_moneyness=k + shift, theta=np.array(theta))
        for shift in (-step, 0.0, step)
    )
    first, second = (high - low) / (2 * step), (high - 2 * mid + low) / step**2
    density = (1 - k * first / (2 * mid)) ** 2 - first**2 / 4 * (1 / mid + 0.25) + second / 2
    assert density.min() > -1e-5
    after = total_variance(name, log_moneyness=k, theta=np.array(theta * later))
    assert np.all(after >= mid - 1e-15)


@pytest.mark.parametrize("seed", SEEDS)
def test_model_values_are_monotone_and_convex_in_strike(seed: int) -> None:
    """On a fine grid of strikes, before ticks: no vertical or butterfly arbitrage."""
    market, worst = market_of(seed), 0.0
    for name in NAMES:
        valuation = NameValuation(name, horizon())
        for day in SAMPLED:
            at = instant_of(market, name, day, 120)
            spot, session = float(at.spot[0]), int(at.session[0])
            strikes = spot * np.arange(0.6, 1.5, 0.02)
            for ahead in (0, 5, 22, 60, 200):
                for right in (1, -1):
                    value = valuation.values(at, contracts(strikes, right, session + ahead))
                    change = right * np.diff(value)
                    assert np.all(change <= 1e-9)
                    assert np.all(change >= -np.diff(strikes) - 1e-9)
                    assert np.all(value >= right * (spot - strikes) - 1e-9)
                    worst = min(worst, float(np.diff(value, 2).min() / spot))
    # Early exercise is approximated strike by strike; its seams stay far below a tick.
    assert worst > -1e-4


@pytest.mark.parametrize("seed", SEEDS)
def test_total_variance_at_the_forward_grows_with_expiration(seed: int) -> None:
    market = market_of(seed)
    for name in NAMES:
        valuation = NameValuation(name, horizon())
        for day in SAMPLED:
            at = instant_of(market, name, day, 200)
            theta = valuation.total_variances(at, int(at.session[0]) + np.arange(0, 250))
            assert np.all(np.diff(theta) > 0)


@pytest.mark.parametrize("seed", SEEDS)
def test_puts_and_calls_keep_the_american_parity_bounds(seed: int) -> None:
    """S - PV(D) - K <= C - P <= S - K exp(-rT) (Hull, eq. 11.11), for any American pair."""
    market = market_of(seed)
    for name in NAMES:
        valuation = NameValuation(name, horizon())
        for day in SAMPLED:
            at = instant_of(market, name, day, 60)
            session, spot = int(at.session[0]), float(at.spot[0])
            strikes = spot * np.arange(0.7, 1.35, 0.05)
            for ahead in (3, 25, 120):
                call, put = (
                    valuation.values(at, contracts(strikes, right, session + ahead))
                    for right in (1, -1)
                )
                years = (horizon().closes[session + ahead] - at.seconds[0]) / (365 * 86400)
                paid = market._dividends[session + 1 : session + ahead + 1, name].sum()
                slack = 1e-9
                assert np.all(call - put >= spot - paid - strikes - slack)
                assert np.all(
                    call - put <= spot - strikes * np.exp(-RISK_FREE_RATE * years) + slack
                )


@pytest.mark.parametrize("moneyness", [0.8, 0.95, 1.0, 1.1, 1.3])
@pytest.mark.parametrize(("years", "volatility"), [(0.08, 0.25), (0.5, 0.2), (1.0, 0.45)])
def test_put_premium_agrees_with_a_lattice(
    moneyness: float, years: float, volatility: float
) -> None:
    spot = 100.0 * moneyness
    arrays = {
        "spot": np.array([spot]),
        "strike": np.array([100.0]),
        "years": np.array([years]),
        "volatility": np.array([volatility]),
    }
    european = price(right=-1, rate=0.04, dividend_yield=0.0, **arrays)[0]
    premium = early_exercise_premium(rate=0.04, **arrays)[0]
    value = max(european + premium, 100.0 - spot)
    # The approximation is good to about a tenth of a percent of the strike.
    assert value == pytest.approx(lattice_put(spot, 100.0, years, 0.04, volatility), abs=0.09)


def test_critical_spot_meets_value_matching() -> None:
    years, volatility = np.array([0.02, 0.1, 0.5, 1.0]), np.array([0.2, 0.6, 0.3, 0.15])
    ratio = critical_ratio(years=years, rate=0.04, volatility=volatility)
    held = price(
        right=-1, spot=ratio, strike=1.0, years=years, rate=0.04, dividend_yield=0.0,
        volatility=volatility,
    ) + early_exercise_premium(
        spot=ratio, strike=np.ones(4), years=years, rate=0.04, volatility=volatility
    )  # fmt: skip
    np.testing.assert_allclose(held, 1.0 - ratio, atol=1e-8)
    assert np.all((ratio > 0.3) & (ratio < 1.0))


def test_deep_call_is_exercised_for_a_dividend() -> None:
    market, name = market_of(7), 16
    ex_date = next(iter(market.dividends("TUBA", date(2024, 9, 1), date(2024, 12, 31))))[0]
    session = horizon().index(ex_date)
    assert session is not None
    valuation = NameValuation(name, horizon())
    closes = horizon().closes
    before = Instants(
        session=np.array([session - 1]),
        step=np.array([390]),
        seconds=closes[session - 1 : session],
        spot=np.array([110.0]),
        variance=np.array([0.05]),
    )
    deep = contracts(np.array([60.0]), 1, session + 15)
    assert valuation.values(before, deep)[0] == pytest.approx(50.0, abs=0.02)
    put = contracts(np.array([160.0]), -1, session + 15)
    assert valuation.values(before, put)[0] > 50.0 + 0.5


def test_expiring_contracts_are_worth_intrinsic_value_at_the_close() -> None:
    market = market_of(7)
    at = instant_of(market, 3, date(2024, 9, 13), 390)
    strikes = float(at.spot[0]) * np.array([0.8, 0.97, 1.03, 1.2])
    for right in (1, -1):
        value = NameValuation(3, horizon()).values(
            at, contracts(strikes, right, int(at.session[0]))
        )
        intrinsic = np.maximum(right * (at.spot - strikes), 0.0)
        np.testing.assert_allclose(value, intrinsic, atol=0.01)
