"""American options against QuantLib's high-precision engine, and against what must hold anyway."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mahler_pipelines.errors import BadInput
from mahler_pipelines.options import american, european
from mahler_pipelines.options.american import NoVolatility
from mahler_pipelines.options.american_terms import Terms, value_without_volatility
from mahler_pipelines.options.dividends import dividend_schedule
from mahler_pipelines.options.early_exercise import premium, table
from tests.options.american_cases import QUANTLIB_CASES, Market, markets, quantlib_prices

Floats = NDArray[np.float64]

PER_100 = 2e-4
"""The accuracy promised, per 100 of spot."""


@pytest.fixture(scope="module")
def held_out() -> tuple[Market, Floats, Floats]:
    """Markets over the whole promised range, and QuantLib's price of each."""
    terms, volatility = markets(QUANTLIB_CASES, seed=20_261_121)
    return terms, volatility, quantlib_prices(terms, volatility)


def _least(terms: Market, volatility: Floats) -> Floats:
    """The value of the best exercise that is certain, below which no volatility exists."""
    return value_without_volatility(
        Terms(*[*(terms[name] for name in ORDER), volatility]), dividend_schedule(())
    )


ORDER = ("right", "spot", "strike", "years", "rate", "dividend_yield")


def test_prices_match_the_high_precision_engine(held_out: tuple[Market, Floats, Floats]) -> None:
    terms, volatility, expected = held_out
    found = american.price(**terms, volatility=volatility)
    assert np.max(np.abs(found - expected)) < 0.2 * PER_100


def test_volatilities_match_the_high_precision_engine(
    held_out: tuple[Market, Floats, Floats],
) -> None:
    terms, volatility, paid = held_out
    found, reasons = american.implied_volatility(**terms, price=paid, with_reason=True)
    visible = paid - _least(terms, volatility) >= 0.01
    outside = terms["right"] * (terms["spot"] - terms["strike"]) < 0
    assert (visible & outside).sum() > 100
    assert (visible & ~outside).sum() > 100
    assert (reasons[visible] == NoVolatility.NONE).all()
    error = np.abs(found - volatility)
    assert np.max(error[visible & outside]) < 2e-5
    assert np.max(error[visible & ~outside]) < 1e-4


def test_textbook_put() -> None:
    """Hull, 10th ed., example 21.1: S 50, K 50, r 10 %, volatility 40 %, five months.

    A tree of 500 steps gives 4.283.
    """
    found = american.price(
        right=-1, spot=50.0, strike=50.0, years=5 / 12, rate=0.1, dividend_yield=0.0, volatility=0.4
    )
    assert float(found) == pytest.approx(4.283, abs=2e-3)


@given(
    right=st.sampled_from([1, -1]),
    strike=st.floats(60, 160),
    years=st.floats(1 / 365, 2),
    rate=st.floats(0, 0.08),
    dividend_yield=st.floats(0, 0.06),
    volatility=st.floats(0.08, 1.2),
)
def test_an_american_option_is_worth_at_least_both_of_its_exercises(
    right: int, strike: float, years: float, rate: float, dividend_yield: float, volatility: float
) -> None:
    terms: Market = {
        "right": right,
        "spot": 100.0,
        "strike": strike,
        "years": years,
        "rate": rate,
        "dividend_yield": dividend_yield,
        "volatility": volatility,
    }
    found = float(american.price(**terms))
    assert found >= max(right * (100.0 - strike), 0.0)
    assert found >= float(european.price(**terms)) - 1e-9
    longer = float(american.price(**{**terms, "years": years * 1.1}))
    wilder = float(american.price(**{**terms, "volatility": volatility * 1.1}))
    assert min(longer, wilder) >= found - 3e-5


@given(
    strike=st.floats(60, 160),
    years=st.floats(1 / 365, 2),
    rate=st.floats(-0.01, 0.08),
    dividend_yield=st.floats(0, 0.06),
    volatility=st.floats(0.08, 1.2),
)
def test_a_call_is_the_put_seen_from_the_other_side(
    strike: float, years: float, rate: float, dividend_yield: float, volatility: float
) -> None:
    call = american.price(
        right=1,
        spot=100.0,
        strike=strike,
        years=years,
        rate=rate,
        dividend_yield=dividend_yield,
        volatility=volatility,
    )
    put = american.price(
        right=-1,
        spot=strike,
        strike=100.0,
        years=years,
        rate=dividend_yield,
        dividend_yield=rate,
        volatility=volatility,
    )
    assert float(call) == pytest.approx(float(put), abs=1e-12)


def test_without_a_reason_to_exercise_it_is_the_european_option() -> None:
    """No yield: a call waits. No rate: a put waits."""
    terms: Market = {
        "spot": 100.0,
        "strike": np.array([80.0, 100, 125]),
        "years": 0.7,
        "volatility": 0.3,
    }
    for right, rate, held in ((1, 0.05, 0.0), (-1, 0.0, 0.03), (-1, -0.01, 0.0)):
        own = {**terms, "right": right, "rate": rate, "dividend_yield": held}
        assert american.price(**own) == pytest.approx(european.price(**own), abs=1e-12)
        boundary = american.exercise_boundary(**own)
        assert (boundary == (0.0 if right < 0 else np.inf)).all()


def test_the_boundary_is_where_waiting_stops_paying() -> None:
    """At it the price is what exercise brings; a little off it, it is more."""
    terms, volatility = markets(300, seed=5)
    boundary = american.exercise_boundary(**terms, volatility=volatility)
    reached = np.isfinite(boundary) & (boundary > 0)
    assert reached.sum() > 150
    own: Market = {name: value[reached] for name, value in terms.items()}
    sigma, at = volatility[reached], boundary[reached]
    paid = own["right"] * (at - own["strike"])
    assert american.price(**{**own, "spot": at}, volatility=sigma) == pytest.approx(paid, abs=3e-5)
    nearer = at * (1 - own["right"] * 0.3 * sigma * np.sqrt(own["years"]))
    waiting = american.price(**{**own, "spot": nearer}, volatility=sigma)
    assert (waiting > own["right"] * (nearer - own["strike"])).all()


def test_the_boundary_far_from_expiry_is_the_perpetual_one() -> None:
    """Merton (1973): B = K l / (l - 1), l < 0 the root of s^2/2 l^2 + (r - q - s^2/2) l - r."""
    for rate, held, sigma in ((0.05, 0.0, 0.3), (0.04, 0.02, 0.25), (0.06, 0.08, 0.5)):
        half = rate - held - 0.5 * sigma**2
        root = (-half - math.sqrt(half**2 + 2 * rate * sigma**2)) / sigma**2
        found = american.exercise_boundary(
            right=-1,
            strike=100.0,
            years=120.0,
            rate=rate,
            dividend_yield=held,
            volatility=sigma,
        )
        assert float(found) == pytest.approx(100.0 * root / (root - 1.0), rel=2e-3)


def _around(terms: Market, sigma: Floats, **step: float) -> tuple[Floats, Floats]:
    every = {**terms, "volatility": sigma}
    (name, width), *_ = step.items()
    up, down = ({**every, name: every[name] + sign * width} for sign in (1, -1))
    return american.price(**up), american.price(**down)


def test_greeks_are_the_slopes_of_the_price() -> None:
    """Away from the boundary, where gamma jumps and a difference straddles it."""
    terms, volatility = markets(3_000, seed=8, shortest=10 / 365)
    boundary = american.exercise_boundary(**terms, volatility=volatility)
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = np.abs(np.log(terms["spot"] / boundary)) / volatility / np.sqrt(terms["years"])
    clear = ~(distance < 0.25) & (terms["rate"] > 1e-3)
    terms = {name: value[clear] for name, value in terms.items()}
    volatility = volatility[clear]
    assert clear.sum() > 1_500
    found = american.greeks(**terms, volatility=volatility)
    up, down = _around(terms, volatility, spot=0.02)
    assert found.delta == pytest.approx((up - down) / 0.04, abs=2e-5)
    here = american.price(**terms, volatility=volatility)
    up, down = _around(terms, volatility, spot=0.2)
    assert found.gamma == pytest.approx((up + down - 2 * here) / 0.04, abs=2e-4)
    up, down = _around(terms, volatility, volatility=1e-4)
    assert found.vega == pytest.approx((up - down) / 2e-4 / 100, abs=2e-5)
    up, down = _around(terms, volatility, rate=2e-4)
    miss = np.abs(found.rho - (up - down) / 4e-4 / 100)
    assert np.quantile(miss, 0.95) < 3e-4
    assert np.max(miss) < 5e-3
    up, down = _around(terms, volatility, years=1e-4)
    assert found.theta_per_day == pytest.approx((down - up) / 2e-4 / 365, abs=2e-4)


def test_second_order_greeks_are_the_slopes_of_the_first() -> None:
    terms: Market = {
        "right": np.array([1.0, -1, -1, 1]),
        "spot": 100.0,
        "strike": np.array([95.0, 100, 105, 110]),
        "years": 0.5,
        "rate": 0.05,
        "dividend_yield": 0.03,
    }
    found = american.greeks(**terms, volatility=0.3)
    up, down = (american.greeks(**terms, volatility=0.3 + step) for step in (0.01, -0.01))
    assert found.vanna == pytest.approx((up.delta - down.delta) / 2, abs=1e-5)
    assert found.volga == pytest.approx((up.vega - down.vega) / 2, abs=1e-5)
    later, sooner = (
        american.greeks(**{**terms, "years": 0.5 + step / 365}, volatility=0.3) for step in (2, -2)
    )
    assert found.charm_per_day == pytest.approx((sooner.delta - later.delta) / 4, abs=1e-5)


def test_exercised_now_the_greeks_are_those_of_the_share() -> None:
    found = american.greeks(
        right=-1, spot=50.0, strike=100.0, years=1.0, rate=0.05, dividend_yield=0.0, volatility=0.2
    )
    assert float(found.delta) == -1.0
    assert [float(getattr(found, name)) for name in ("gamma", "theta_per_day", "vega", "rho")] == [
        0.0
    ] * 4


@pytest.mark.parametrize("ordered", [True, False])
def test_volatility_comes_back_for_a_whole_market(*, ordered: bool) -> None:
    """Strikes that share a series, as a chain lists them or in any order."""
    terms, volatility = _listed(series=60, strikes=40, seed=3)
    if not ordered:
        order = np.random.default_rng(1).permutation(volatility.size)
        terms = {name: value[order] for name, value in terms.items()}
        volatility = volatility[order]
    paid = american.price(**terms, volatility=volatility)
    visible = paid - _least(terms, volatility) >= 1e-4 * terms["spot"]
    found, reasons = american.implied_volatility(**terms, price=paid, with_reason=True)
    assert visible.sum() > 3_000
    assert (reasons[visible] == NoVolatility.NONE).all()
    assert np.max(np.abs(found - volatility)[visible]) < 1e-5


def _listed(*, series: int, strikes: int, seed: int) -> tuple[Market, Floats]:
    generator = np.random.default_rng(seed)
    years = np.exp(generator.uniform(math.log(1 / 365), math.log(2.0), series))
    spot = generator.uniform(15.0, 600.0, series)
    level = generator.uniform(0.12, 0.8, series)
    held = np.where(generator.random(series) < 0.3, 0.0, generator.uniform(0.0, 0.06, series))
    away = np.linspace(-2.0, 2.0, strikes)
    strike = spot[:, None] * np.exp(away * (level * np.sqrt(years))[:, None])
    sigma = level[:, None] * (1.05 - 0.08 * away + 0.04 * away**2)
    both = np.repeat(strike.ravel(), 2)
    terms: Market = {
        "right": np.tile([1.0, -1.0], series * strikes),
        "spot": np.repeat(spot, 2 * strikes),
        "strike": both,
        "years": np.repeat(years, 2 * strikes),
        "rate": np.full(both.size, 0.043),
        "dividend_yield": np.repeat(held, 2 * strikes),
    }
    return terms, np.repeat(sigma.ravel(), 2)


def test_answers_do_not_depend_on_company_or_threads() -> None:
    """Alone, among others, in one thread or in two: the same digits."""
    terms, volatility = _listed(series=30, strikes=20, seed=9)
    terms = {name: np.tile(value, 60) for name, value in terms.items()}
    volatility = np.tile(volatility, 60)
    one = american.price(**terms, volatility=volatility, threads=1)
    two = american.price(**terms, volatility=volatility, threads=2)
    assert (one == two).all()
    for row in (0, 333, 1_199):
        alone = {name: value[row] for name, value in terms.items()}
        assert float(american.price(**alone, volatility=volatility[row])) == pytest.approx(
            one[row], abs=1e-12
        )


def test_every_price_without_volatility_says_why() -> None:
    cases = [
        (-1, 20.0, 80.0, 100.0, 0.5, 0.04, 0.0, NoVolatility.BELOW_INTRINSIC),
        (-1, 19.9, 80.0, 100.0, 0.5, 0.04, 0.0, NoVolatility.BELOW_INTRINSIC),
        (1, 20.5, 120.0, 100.0, 0.5, 0.04, 0.0, NoVolatility.BELOW_INTRINSIC),
        (1, 120.0, 120.0, 100.0, 0.5, 0.04, 0.0, NoVolatility.ABOVE_MAXIMUM),
        (-1, 100.0, 80.0, 100.0, 0.5, 0.04, 0.0, NoVolatility.ABOVE_MAXIMUM),
        (-1, math.nan, 80.0, 100.0, 0.5, 0.04, 0.0, NoVolatility.NOT_FINITE),
        (-1, 21.0, 80.0, 100.0, 0.5, math.inf, 0.0, NoVolatility.NOT_FINITE),
        (-1, 21.0, 80.0, 100.0, 0.0, 0.04, 0.0, NoVolatility.EXPIRED),
        (-1, 0.0, 80.0, 100.0, 0.5, 0.04, 0.0, NoVolatility.NON_POSITIVE_INPUT),
        (-1, 21.0, 80.0, -1.0, 0.5, 0.04, 0.0, NoVolatility.NON_POSITIVE_INPUT),
        (-1, 21.0, 80.0, 100.0, 0.5, -0.01, -0.02, NoVolatility.TWO_BOUNDARIES),
        (1, 41.0, 120.0, 80.0, 0.5, -0.02, -0.01, NoVolatility.TWO_BOUNDARIES),
        (-1, 21.0, 80.0, 100.0, 0.5, 0.04, 0.0, NoVolatility.NONE),
        (-1, 99.0, 80.0, 100.0, 0.5, 0.04, 0.0, NoVolatility.NONE),
    ]
    right, paid, spot, strike, years, rate, held, expected = zip(*cases, strict=True)
    found, reasons = american.implied_volatility(
        right=right,
        price=paid,
        spot=spot,
        strike=strike,
        years=years,
        rate=rate,
        dividend_yield=held,
        with_reason=True,
    )
    assert reasons.dtype == np.int8
    assert reasons.tolist() == [int(code) for code in expected]
    assert (np.isnan(found) == (reasons != 0)).all()
    solved = reasons == 0
    back = american.price(
        right=np.array(right)[solved],
        spot=np.array(spot)[solved],
        strike=np.array(strike)[solved],
        years=np.array(years)[solved],
        rate=np.array(rate)[solved],
        dividend_yield=np.array(held)[solved],
        volatility=found[solved],
    )
    assert back == pytest.approx(np.array(paid)[solved], abs=1e-6)


def test_nonsense_is_refused_and_nan_goes_through() -> None:
    terms: Market = {
        "right": -1,
        "spot": 100.0,
        "strike": 95.0,
        "years": 0.3,
        "rate": 0.04,
        "dividend_yield": 0.0,
        "volatility": 0.2,
    }
    for wrong in (
        {"right": 0},
        {"spot": 0.0},
        {"strike": -1.0},
        {"years": -0.1},
        {"volatility": -0.2},
        {"rate": -0.01, "dividend_yield": -0.02},
    ):
        for function in (american.price, american.greeks):
            with pytest.raises(BadInput):
                function(**{**terms, **wrong})
    with pytest.raises(BadInput, match="not positive"):
        american.exercise_boundary(**{**terms, "spot": None, "strike": 0.0})
    assert math.isnan(float(american.price(**{**terms, "volatility": math.nan})))
    assert math.isnan(float(american.price(**{**terms, "rate": math.nan})))


def test_without_time_or_volatility_it_is_the_best_certain_exercise() -> None:
    terms: Market = {"spot": 100.0, "strike": 110.0, "rate": 0.05, "dividend_yield": 0.0}
    now, still = (
        float(american.price(right=-1, years=years, volatility=sigma, **terms))
        for years, sigma in ((0.0, 0.2), (1.0, 0.0))
    )
    assert (now, still) == (10.0, 10.0)
    call: Market = {**terms, "strike": 90.0}
    waits = float(american.price(right=1, years=1.0, volatility=0.0, **call))
    assert waits == pytest.approx(100.0 - 90.0 * math.exp(-0.05))


def test_what_the_table_does_not_cover_is_solved() -> None:
    """A yield below minus the rate, no rate at all, decades: against the table's own neighbours."""
    rates = np.array([0.02, 0.0, 0.06])
    held = np.array([-0.03, -0.01, 0.01])
    years = np.array([1.0, 1.0, 30.0])
    assert not table.covers(rates, held, years).any()
    assert premium.is_exercised_early(rates, held).all()
    terms: Market = {
        "right": -1,
        "spot": 100.0,
        "strike": 105.0,
        "years": years,
        "volatility": 0.25,
    }
    found = american.price(rate=rates, dividend_yield=held, **terms)
    near = american.price(
        rate=np.array([0.02, 1e-6, 0.06]),
        dividend_yield=np.array([-0.02, -1e-6, 0.01]),
        **{**terms, "years": np.array([1.0, 1.0, 16.6])},
    )
    assert (found > np.maximum(5.0, european.price(rate=rates, dividend_yield=held, **terms))).all()
    assert found == pytest.approx(near, rel=0.12)


def test_stored_boundaries_are_what_the_equation_gives() -> None:
    """Some entries of the file, solved again."""
    generator = np.random.default_rng(77)
    stored = table.stored()
    for above, count in ((False, 40), (True, 32)):
        ratios = generator.choice(count, 2, replace=False)
        level = generator.choice(81, 2, replace=False)
        again = table.compute(table.level_values(2 * level), above_rate=above, ratios=ratios)
        kept = stored[int(above)][np.ix_(ratios, level)]
        assert kept == pytest.approx(again, abs=2e-5)


def test_arguments_broadcast_and_scalars_stay_scalars() -> None:
    grid = american.price(
        right=np.array([[1], [-1]]),
        spot=100.0,
        strike=np.array([90.0, 100, 110]),
        years=0.5,
        rate=0.04,
        dividend_yield=0.02,
        volatility=0.25,
    )
    assert grid.shape == (2, 3)
    back = american.implied_volatility(
        right=np.array([[1], [-1]]),
        price=grid,
        spot=100.0,
        strike=np.array([90.0, 100, 110]),
        years=0.5,
        rate=0.04,
        dividend_yield=0.02,
    )
    assert back == pytest.approx(np.full((2, 3), 0.25), abs=1e-7)
    alone = american.implied_volatility(
        right=-1, price=8.0, spot=100.0, strike=100.0, years=0.5, rate=0.04, dividend_yield=0.02
    )
    assert alone.shape == ()
    empty = american.price(
        right=[], spot=[], strike=[], years=[], rate=[], dividend_yield=[], volatility=[]
    )
    assert empty.shape == (0,)


def test_a_price_below_the_best_certain_exercise_on_the_way_has_no_volatility() -> None:
    """Waiting pays at first (q S > r K) and no more later: the best moment is neither end."""
    terms: Market = {
        "right": -1,
        "spot": 100.0,
        "strike": 103.0,
        "years": 40.0,
        "rate": 0.02,
        "dividend_yield": 0.06,
    }
    moment = math.log(0.06 * 100 / (0.02 * 103)) / 0.04
    best = 103.0 * math.exp(-0.02 * moment) - 100.0 * math.exp(-0.06 * moment)
    ends = max(3.0, 103.0 * math.exp(-0.8) - 100.0 * math.exp(-2.4))
    assert 0.0 < moment < 40.0
    assert best > ends + 0.5
    still = american.price(**terms, volatility=0.0)
    assert float(still) == pytest.approx(best, rel=1e-12)
    paid = np.array([0.5 * (best + ends), best + 1.0])
    found, reasons = american.implied_volatility(**terms, price=paid, with_reason=True)
    assert reasons.tolist() == [NoVolatility.BELOW_INTRINSIC, NoVolatility.NONE]
    assert float(american.price(**terms, volatility=found[1])) == pytest.approx(paid[1], abs=1e-4)


def test_a_price_that_no_volatility_can_be_told_from_says_so() -> None:
    """A hair below the maximum, nearer than the premium is accurate: not the end of a bracket."""
    terms: Market = {"right": -1, "spot": 100.0, "strike": 100.0, "years": 0.5, "rate": 0.04}
    found, reasons = american.implied_volatility(
        **terms, dividend_yield=0.0, price=[100.0 - 1e-10, 99.0], with_reason=True
    )
    assert reasons.tolist() == [NoVolatility.ABOVE_MAXIMUM, NoVolatility.NONE]
    assert np.isnan(found).tolist() == [True, False]


def test_with_dividends_two_boundaries_are_told_too() -> None:
    _, reasons = american.implied_volatility(
        right=[-1, 1],
        price=5.0,
        spot=100.0,
        strike=100.0,
        years=0.5,
        rate=[-0.01, -0.02],
        dividend_yield=[-0.02, -0.01],
        dividends=[(0.2, 0.5)],
        with_reason=True,
    )
    assert reasons.tolist() == [NoVolatility.TWO_BOUNDARIES] * 2
