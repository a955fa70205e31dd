"""American options through discrete dividends, against other methods and other programs."""

import csv
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.signal import fftconvolve

from mahler_pipelines.errors import BadInput
from mahler_pipelines.options import american, european
from mahler_pipelines.options.american_terms import DividendModel
from mahler_pipelines.options.black_scholes.implied import NoVolatility
from mahler_pipelines.options.cash_dividends.exercise import exercise_boundary, price
from mahler_pipelines.options.cash_dividends.greeks import greeks
from mahler_pipelines.options.cash_dividends.implied import implied_volatility
from mahler_pipelines.options.dividends import escrowed_spot, present_value

Floats = NDArray[np.float64]
Pairs = list[tuple[float, float]]

GOLDEN = Path(__file__).with_name("american_dividends.csv")
QUARTERLY: Pairs = [(0.1, 0.6), (0.35, 0.6), (0.6, 0.6), (0.85, 0.6)]
TWICE: Pairs = [(0.15, 1.1), (0.65, 1.3)]
ESCROWED = DividendModel.ESCROWED
MODELS = list(DividendModel)


def _chain(count: int, *, seed: int, longest: float = 2.0) -> dict[str, Floats]:
    """Random contracts at a spot of 100: yields half of the time, at most 60 % away."""
    generator = np.random.default_rng(seed)
    volatility = np.exp(generator.uniform(math.log(0.08), math.log(1.2), count))
    years = np.exp(generator.uniform(math.log(1 / 365), math.log(longest), count))
    reach = np.minimum(math.log(1.6), 3.0 * volatility * np.sqrt(years))
    return {
        "right": generator.choice([-1.0, 1.0], count),
        "spot": np.full(count, 100.0),
        "strike": 100.0 * np.exp(generator.uniform(-1.0, 1.0, count) * reach),
        "years": years,
        "rate": generator.uniform(-0.01, 0.08, count),
        "dividend_yield": generator.uniform(-0.06, 0.06, count).clip(0.0),
        "volatility": volatility,
    }


def _without(terms: dict[str, Floats], *names: str) -> dict[str, Floats]:
    return {name: value for name, value in terms.items() if name not in names}


@pytest.mark.parametrize("model", MODELS)
def test_prices_match_a_fine_finite_difference_grid(model: DividendModel) -> None:
    """QuantLib 1.44, FdBlackScholesVanillaEngine, TR-BDF2, 700 x 1400 and 1400 x 2800.

    The two are extrapolated: exercise is of first order in its time step. A spot of 100.
    """
    with GOLDEN.open(newline="") as file:
        rows = list(csv.DictReader(file))
    schedules = {row["dividends"] for row in rows}
    assert len(rows) >= 40
    assert len(schedules) == 4
    for schedule in schedules:
        chosen = [row for row in rows if row["dividends"] == schedule]
        pairs = [pair.split(":") for pair in schedule.split()]

        def column(name: str, chosen: list[dict[str, str]] = chosen) -> Floats:
            return np.array([float(row[name]) for row in chosen])

        found = price(
            right=column("right"),
            spot=100.0,
            strike=column("strike"),
            years=column("days") / 365,
            rate=column("rate"),
            dividend_yield=column("dividend_yield"),
            volatility=column("volatility"),
            dividends=[(float(days) / 365, float(amount)) for days, amount in pairs],
            model=model,
        )
        np.testing.assert_allclose(found, column(model.value), rtol=0, atol=5e-4)


def test_call_with_one_dividend_matches_haug() -> None:
    """E. Haug, 2nd ed., chapter 9, Roll-Geske-Whaley: 4.3860; as a European option 3.5107."""
    terms = {"spot": 80.0, "strike": 82.0, "years": 1 / 3, "rate": 0.06, "volatility": 0.3}
    dividends = [(0.25, 4.0)]
    found = price(right=1, dividend_yield=0.0, dividends=dividends, model=ESCROWED, **terms)
    assert float(found) == pytest.approx(4.3860, abs=2e-4)
    held = european.price(right=1, dividend_yield=0.0, dividends=dividends, **terms)
    assert float(held) == pytest.approx(3.5107, abs=5e-5)


@pytest.mark.parametrize("model", MODELS)
def test_calls_with_one_dividend_match_quadrature(model: DividendModel) -> None:
    """Without yield and with a positive rate only the ex-date is worth exercising before.

    The better of exercise and the European value after it, integrated over the lognormal share
    that precedes it, is the price (Roll, Geske and Whaley; exact in both models).
    """
    ahead, amount = 0.4, 2.5
    terms = _chain(40, seed=21)
    terms["years"] = ahead + 0.02 + terms["years"] * 0.5
    terms["rate"] = np.abs(terms["rate"])
    terms["right"], terms["dividend_yield"] = np.ones(40), np.zeros(40)
    found = price(dividends=[(ahead, amount)], model=model, **terms)
    escrowed = model is DividendModel.ESCROWED
    for index, priced in enumerate(found):
        one = {name: float(column[index]) for name, column in terms.items()}
        total = one["volatility"] * math.sqrt(ahead)
        z = np.linspace(-9.0, 9.0, 40_001)
        start = 100.0 - amount * math.exp(-one["rate"] * ahead) if escrowed else 100.0
        share = start * np.exp(one["rate"] * ahead - 0.5 * total**2 + total * z)
        whole, left = (share + amount, share) if escrowed else (share, share - amount)
        later: dict[str, Any] = {
            **one,
            "years": one["years"] - ahead,
            "spot": np.maximum(left, 1e-300),
        }
        best = np.maximum(european.price(**later), whole - one["strike"])
        density = np.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)
        expected = math.exp(-one["rate"] * ahead) * float(np.sum(best * density)) * (z[1] - z[0])
        assert priced == pytest.approx(expected, abs=5e-4)


def _by_convolution(
    terms: dict[str, float], dividends: Pairs, model: DividendModel, steps: int
) -> float:
    """Exercise on many dates, in between the exact lognormal transition: nothing is shared."""
    right, spot, strike, years = (terms[name] for name in ("right", "spot", "strike", "years"))
    rate, sigma = terms["rate"], terms["volatility"]
    carry = rate - terms["dividend_yield"]
    escrowed = model is DividendModel.ESCROWED
    dated = [(ahead, amount) for ahead, amount in dividends if ahead <= years]

    def held_back(moment: float, *, inclusive: bool = False) -> float:
        ahead = [(t, a) for t, a in dated if t > moment or (inclusive and t == moment)]
        return sum(a * math.exp(-carry * (t - moment)) for t, a in ahead) if escrowed else 0.0

    start = spot - held_back(0.0)
    x = np.linspace(-1.0, 1.0, 6001) * (7.0 * sigma * math.sqrt(years) + 0.2) + math.log(start)
    h, share = x[1] - x[0], np.exp(x)
    value = np.maximum(right * (share - strike), 0.0)
    for end, begin in pairwise([years, *(t for t, _ in reversed(dated)), 0.0]):
        count = max(4, round(steps * (end - begin) / years))
        step = (end - begin) / count
        spread = sigma * math.sqrt(step)
        reach = min(3000, int(8.0 * spread / h) + 2) if step else 0
        offset = np.arange(-reach, reach + 1) * h + (carry - 0.5 * sigma**2) * step
        kernel = np.exp(-0.5 * (offset / spread) ** 2) if step else np.ones(1)
        kernel *= math.exp(-rate * step) / kernel.sum()
        for number in range(1, count + 1):
            moment = end - step * number
            padded = np.pad(value, reach, mode="reflect", reflect_type="odd")
            value = fftconvolve(padded, kernel, mode="valid")
            before = right * (share + held_back(max(moment, 0.0)) - strike)
            value = np.maximum(value, before)
        amount = dict(dated).get(begin, 0.0)
        if amount and not escrowed:
            value = np.interp(np.maximum(share - amount, share[0]), share, value)
        value = np.maximum(value, right * (share + held_back(begin, inclusive=True) - strike))
    return float(np.interp(start, share, value))


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("right", [1, -1])
def test_prices_match_repeated_convolution(right: int, model: DividendModel) -> None:
    """Held out: monthly to two-year options, dividends on the day of expiration and the next."""
    dividends = [(0.05, 0.8), (0.3, 1.0), (0.8, 1.5), (0.803, 5.0)]
    cases = [
        (95.0, 0.08, 0.05, 0.0, 0.25),
        (104.0, 0.8, 0.06, 0.0, 0.2),
        (85.0, 0.8, -0.01, 0.03, 0.45),
        (125.0, 0.5, 0.08, 0.05, 0.3),
    ]
    for strike, years, rate, dividend_yield, volatility in cases:
        terms = {
            "right": float(right),
            "spot": 100.0,
            "strike": strike,
            "years": years,
            "rate": rate,
            "dividend_yield": dividend_yield,
            "volatility": volatility,
        }
        coarse, fine = (_by_convolution(terms, dividends, model, steps) for steps in (150, 300))
        found = float(price(dividends=dividends, model=model, **terms))
        assert found == pytest.approx(2.0 * fine - coarse, abs=1e-3)


@pytest.mark.parametrize("model", MODELS)
def test_vanishing_dividends_leave_the_option_of_a_continuous_yield(model: DividendModel) -> None:
    """The boundary's integral equation on the other side: a method that shares nothing."""
    terms = _chain(60, seed=5)
    found = price(dividends=[(0.02, 1e-9), (0.4, 1e-9)], model=model, **terms)
    np.testing.assert_allclose(
        found, american.price(model=model, threads=None, **terms), rtol=0, atol=1e-3
    )


@settings(max_examples=8)
@given(
    seed=st.integers(0, 2**32 - 1),
    model=st.sampled_from(MODELS),
    dividends=st.lists(
        st.tuples(st.floats(0.001, 1.2), st.floats(0.01, 3.0)), min_size=1, max_size=4
    ),
)
def test_price_lies_between_its_bounds(seed: int, model: DividendModel, dividends: Pairs) -> None:
    terms = _chain(12, seed=seed, longest=1.2)
    found = price(dividends=dividends, model=model, **terms)
    exercise = np.maximum(terms["right"] * (100.0 - terms["strike"]), 0.0)
    owed = terms["strike"] * np.exp(np.maximum(-terms["rate"] * terms["years"], 0.0))
    assert (found >= exercise).all()
    assert (found <= np.where(terms["right"] > 0, 100.0, owed)).all()
    if model is DividendModel.ESCROWED:
        assert (found >= european.price(dividends=dividends, **terms) - 1e-12).all()


@settings(max_examples=5)
@given(seed=st.integers(0, 2**32 - 1), model=st.sampled_from(MODELS))
def test_price_rises_with_volatility(seed: int, model: DividendModel) -> None:
    terms = _chain(4, seed=seed)
    ladder = np.geomspace(0.08, 4.0, 12)[:, None]
    found = price(
        dividends=QUARTERLY, model=model, volatility=ladder, **_without(terms, "volatility")
    )
    assert (np.diff(found, axis=0) >= -1e-4).all()


@pytest.mark.parametrize("model", MODELS)
def test_call_without_dividend_or_yield_is_european(model: DividendModel) -> None:
    terms = _chain(60, seed=8)
    terms["right"], terms["dividend_yield"] = np.ones(60), np.zeros(60)
    terms["rate"] = np.abs(terms["rate"])
    found = price(dividends=[(5.0, 3.0)], model=model, **terms)
    np.testing.assert_allclose(found, european.price(**terms), rtol=0, atol=2e-6)


@pytest.mark.parametrize("model", MODELS)
def test_company_does_not_change_a_price(model: DividendModel) -> None:
    """A contract costs the same alone, in a chain, and in a chain in another order."""
    terms = _chain(25, seed=9)
    together = price(dividends=QUARTERLY, model=model, **terms)
    order = np.random.default_rng(1).permutation(25)
    shuffled = {name: column[order] for name, column in terms.items()}
    again = price(dividends=QUARTERLY, model=model, **shuffled)
    np.testing.assert_allclose(again, together[order], rtol=0, atol=1e-9)
    alone = price(
        dividends=QUARTERLY, model=model, **{name: column[3] for name, column in terms.items()}
    )
    assert alone.shape == ()
    assert float(alone) == pytest.approx(together[3], abs=1e-9)


@pytest.mark.parametrize("model", MODELS)
def test_worth_scales_with_every_price(model: DividendModel) -> None:
    """Spot, strike and dividends in cents make a price in cents."""
    terms = _chain(10, seed=10)
    found = price(dividends=QUARTERLY, model=model, **terms)
    cents = {**terms, "spot": 100 * terms["spot"], "strike": 100 * terms["strike"]}
    paid = [(ahead, 100 * amount) for ahead, amount in QUARTERLY]
    np.testing.assert_allclose(
        price(dividends=paid, model=model, **cents), 100 * found, rtol=1e-9, atol=1e-8
    )


def _side_by_side(terms: dict[str, Floats], *bumps: tuple[str, float]) -> dict[str, Floats]:
    """The same contracts once per bump, one after the other: one call instead of many."""
    bumped = [{**terms, name: terms[name] + step} for name, step in bumps]
    return {name: np.concatenate([each[name] for each in bumped]) for name in terms}


def _moved(passed: float) -> Pairs:
    return [(ahead - passed, amount) for ahead, amount in TWICE]


@pytest.mark.parametrize("model", MODELS)
def test_greeks_are_the_slopes_of_the_price(model: DividendModel) -> None:
    terms = _chain(24, seed=14)
    terms["years"] = 0.2 + 0.8 * terms["years"]
    terms["volatility"] = terms["volatility"].clip(0.15, 0.9)
    found = greeks(dividends=TWICE, model=model, **terms)
    spots = (("spot", 0.5), ("spot", 0.0), ("spot", -0.5))
    others = (("volatility", 0.01), ("volatility", -0.01), ("rate", 0.001), ("rate", -0.001))
    bumped = price(dividends=TWICE, model=model, **_side_by_side(terms, *spots, *others))
    up, here, down, louder, quieter, dearer, cheaper = np.split(bumped, 7)
    np.testing.assert_allclose(found.delta, up - down, rtol=0, atol=2e-3)
    np.testing.assert_allclose(found.gamma, (up - 2 * here + down) / 0.25, rtol=0, atol=3e-3)
    np.testing.assert_allclose(found.vega, (louder - quieter) / 2, rtol=0, atol=1e-3)
    np.testing.assert_allclose(found.rho, (dearer - cheaper) / 0.2, rtol=0, atol=2e-3)
    later, sooner = (
        price(dividends=_moved(days), model=model, **_side_by_side(terms, ("years", -days)))
        for days in (2 / 365, -2 / 365)
    )
    np.testing.assert_allclose(found.theta_per_day, (later - sooner) / 4, rtol=0, atol=5e-4)


@pytest.mark.parametrize("model", MODELS)
def test_second_order_greeks_are_the_slopes_of_delta_and_vega(model: DividendModel) -> None:
    terms = _chain(12, seed=15)
    terms["years"] = 0.3 + 0.7 * terms["years"]
    terms["volatility"] = terms["volatility"].clip(0.2, 0.6)
    terms["strike"] = terms["strike"].clip(90.0, 112.0)
    three = _side_by_side(terms, ("volatility", 0.0), ("volatility", 0.01), ("volatility", -0.01))
    found = greeks(dividends=TWICE, model=model, **three)
    _, louder_delta, quieter_delta = np.split(found.delta, 3)
    _, louder_vega, quieter_vega = np.split(found.vega, 3)
    vanna, volga, charm = (
        column[:12] for column in (found.vanna, found.volga, found.charm_per_day)
    )
    np.testing.assert_allclose(vanna, (louder_delta - quieter_delta) / 2, rtol=0, atol=2e-4)
    np.testing.assert_allclose(volga, (louder_vega - quieter_vega) / 2, rtol=0.05, atol=2e-4)
    up_and_down = _side_by_side(terms, ("spot", 0.5), ("spot", -0.5))
    deltas = []
    for passed in (1 / 365, -1 / 365):
        changed = {**up_and_down, "years": up_and_down["years"] - passed}
        up, down = np.split(price(dividends=_moved(passed), model=model, **changed), 2)
        deltas.append(up - down)
    np.testing.assert_allclose(charm, (deltas[0] - deltas[1]) / 2, rtol=0, atol=3e-4)


def test_greeks_of_what_is_exercised_now_are_the_share_s() -> None:
    found = greeks(
        right=[-1, -1, 1],
        spot=100.0,
        strike=[160.0, 130.0, 90.0],
        years=[0.5, 0.0, 0.0],
        rate=0.05,
        dividend_yield=0.0,
        volatility=0.2,
        dividends=[(0.45, 0.1)],
    )
    assert found.delta.tolist() == [-1.0, -1.0, 1.0]
    for name in ("gamma", "theta_per_day", "vega", "rho", "vanna", "volga", "charm_per_day"):
        assert getattr(found, name).tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("model", MODELS)
def test_implied_volatility_comes_back(model: DividendModel) -> None:
    """Wherever waiting is worth a cent more than exercise now and than all that is certain."""
    terms = _chain(110, seed=17)
    paid = price(dividends=TWICE, model=model, **terms)
    others = _without(terms, "volatility")
    certain = price(dividends=TWICE, model=model, volatility=0.0, **others)
    found, reasons = implied_volatility(
        price=paid, dividends=TWICE, model=model, with_reason=True, **others
    )
    visible = paid - certain >= 0.01
    assert visible.sum() > 70
    assert (reasons[visible] == NoVolatility.NONE).all()
    np.testing.assert_allclose(found[visible], terms["volatility"][visible], rtol=0, atol=2e-4)
    known = np.where(np.isnan(found), terms["volatility"], found)
    again = price(dividends=TWICE, model=model, volatility=known, **others)
    np.testing.assert_allclose(again[visible], paid[visible], rtol=0, atol=2e-6)


def test_every_price_without_a_volatility_says_why() -> None:
    cases = [
        (1, math.nan, 100.0, 100.0, 1.0, NoVolatility.NOT_FINITE),
        (1, 5.0, 100.0, math.inf, 1.0, NoVolatility.NOT_FINITE),
        (1, 0.0, 100.0, 100.0, 1.0, NoVolatility.NON_POSITIVE_INPUT),
        (1, 5.0, -100.0, 100.0, 1.0, NoVolatility.NON_POSITIVE_INPUT),
        (1, 0.2, 0.4, 100.0, 1.0, NoVolatility.NON_POSITIVE_INPUT),
        (1, 5.0, 100.0, 100.0, 0.0, NoVolatility.EXPIRED),
        (-1, 10.0, 100.0, 110.0, 1.0, NoVolatility.BELOW_INTRINSIC),
        (1, 9.0, 100.0, 90.0, 1.0, NoVolatility.BELOW_INTRINSIC),
        (1, 100.0, 100.0, 90.0, 1.0, NoVolatility.ABOVE_MAXIMUM),
        (-1, 90.0, 100.0, 90.0, 1.0, NoVolatility.ABOVE_MAXIMUM),
        (1, 6.0, 100.0, 100.0, 1.0, NoVolatility.NONE),
    ]
    right, paid, spot, strike, years, expected = zip(*cases, strict=True)
    found, reasons = implied_volatility(
        right=right,
        price=paid,
        spot=spot,
        strike=strike,
        years=years,
        rate=0.05,
        dividend_yield=0.0,
        dividends=[(0.5, 0.5)],
        with_reason=True,
    )
    assert reasons.tolist() == [int(code) for code in expected]
    assert np.isnan(found).tolist() == [code != NoVolatility.NONE for code in expected]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(("right", "dividend_yield"), [(-1, 0.0), (1, 0.04)])
def test_exercise_begins_at_the_boundary(
    right: int, dividend_yield: float, model: DividendModel
) -> None:
    market: dict[str, Any] = {"right": right, "strike": 100.0, "years": 0.8, "rate": 0.05}
    volatility, dividends = np.array([0.15, 0.3, 0.5]), [(0.6, 0.4)]
    rest: dict[str, Any] = {"dividend_yield": dividend_yield, "volatility": volatility}
    boundary = exercise_boundary(dividends=dividends, model=model, **market, **rest)
    assert np.isfinite(boundary).all()
    deeper, nearer = boundary * (1.0 + right * 0.01), boundary * (1.0 - right * 0.02)
    inside = price(spot=deeper, dividends=dividends, model=model, **market, **rest)
    np.testing.assert_allclose(inside, right * (deeper - 100.0), rtol=0, atol=1e-12)
    outside = price(spot=nearer, dividends=dividends, model=model, **market, **rest)
    assert (outside > right * (nearer - 100.0)).all()


def test_there_is_no_boundary_where_waiting_is_better() -> None:
    """A call before its dividend, and a put that a dividend is about to lift."""
    found = exercise_boundary(
        right=[1, -1],
        strike=100.0,
        years=0.5,
        rate=0.05,
        dividend_yield=0.0,
        volatility=0.3,
        dividends=[(0.1, 2.0)],
    )
    assert np.isnan(found).all()


def test_without_volatility_or_time_the_best_certain_exercise_is_what_it_is_worth() -> None:
    """A call just before its dividend, a put just after it, and exercise now."""
    found = price(
        right=[1, -1, 1, -1],
        spot=100.0,
        strike=[95.0, 102.0, 95.0, 102.0],
        years=[1.0, 1.0, 0.0, 0.0],
        rate=0.04,
        dividend_yield=0.0,
        volatility=0.0,
        dividends=[(0.25, 3.0)],
    )
    discount = math.exp(-0.01)
    expected = [100.0 - 95.0 * discount, 102.0 * discount - (100.0 - 3.0 * discount), 5.0, 2.0]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_share_that_falls_to_nothing_is_worth_nothing() -> None:
    """The lognormal share pays what it has: the put is then its discounted strike."""
    put = price(
        right=-1,
        spot=5.0,
        strike=10.0,
        years=1.0,
        rate=0.03,
        dividend_yield=0.0,
        volatility=0.1,
        dividends=[(0.5, 20.0)],
        model=DividendModel.SPOT,
    )
    assert float(put) == pytest.approx(10.0 * math.exp(-0.015), abs=5e-4)


def test_nan_goes_through_and_nonsense_is_refused() -> None:
    terms = {"right": -1, "strike": 100.0, "years": 0.5, "rate": 0.05, "dividend_yield": 0.0}
    known: dict[str, Any] = {"spot": 100.0, "volatility": 0.2, "dividends": [(0.2, 1.0)]}
    found = price(**{**terms, **known, "volatility": [0.2, math.nan]})
    assert np.isnan(found).tolist() == [False, True]
    first = greeks(**{**terms, **known, "volatility": [0.2, math.nan]})
    assert np.isnan(first.delta).tolist() == [False, True]
    nonsense: list[dict[str, Any]] = [
        {"spot": 0.0},
        {"strike": -1.0},
        {"years": -0.1},
        {"volatility": -0.2},
        {"right": 0},
        {"dividends": [(0.2, -1.0)]},
        {"spot": 0.9},
        {"rate": -0.02, "dividend_yield": -0.03},
    ]
    for wrong in nonsense:
        with pytest.raises(BadInput):
            price(**{**terms, **known, **wrong})


def test_escrow_is_the_same_for_both_styles() -> None:
    """An option that is never exercised early is the European option on the escrowed spot."""
    terms = {"strike": 100.0, "years": 1.0, "rate": 0.0, "dividend_yield": 0.0, "volatility": 0.25}
    dividends = [(0.3, 1.5), (0.7, 1.5)]
    left = escrowed_spot(dividends, spot=100.0, years=1.0, rate=0.0)
    assert float(left) == 100.0 - float(present_value(dividends, years=1.0, rate=0.0))
    found = float(price(right=-1, spot=100.0, dividends=dividends, model=ESCROWED, **terms))
    assert found == pytest.approx(float(european.price(right=-1, spot=left, **terms)), abs=3e-4)
