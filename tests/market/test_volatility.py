"""Volatility of contracts, at the money and at a constant maturity, against known smiles."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from mahler_pipelines.errors import BadInput
from mahler_pipelines.market.chains import empty_quotes
from mahler_pipelines.market.rates import RateCurve
from mahler_pipelines.market.term_structure import term_slope
from mahler_pipelines.market.volatility import (
    IV_COLUMNS,
    AtmMethod,
    ForwardSource,
    MaturityMethod,
    atm_volatility,
    constant_maturity_volatility,
    expires_at,
    implied_volatilities,
)
from mahler_pipelines.options import american
from tests.market.volatility_cases import CALENDAR, flat, model_chain

AS_OF = datetime(2019, 6, 3, 19, 59, tzinfo=UTC)
STRIKES = np.arange(80.0, 121.0, 2.5)


def _skew(strikes: NDArray[np.float64], years: float) -> NDArray[np.float64]:
    return 0.22 + 0.02 * years - 0.25 * np.log(strikes / 100.0)


def _valued(quotes: pd.DataFrame, **yields: float) -> pd.DataFrame:
    return implied_volatilities(
        quotes, as_of=AS_OF, rates=RateCurve.flat(0.02), dividend_yields=yields, calendar=CALENDAR
    )


def test_known_smile_comes_back_with_its_forward() -> None:
    """The yield (3 %) is told to nobody: it is found in the forward."""
    quotes = model_chain(
        "XYZ", spot=100.0, as_of=AS_OF, strikes=STRIKES, smile=_skew, dividend_yield=0.03
    )
    found = _valued(quotes)
    assert (found["forward_source"] == ForwardSource.PARITY).all()
    assert (found["forward_pairs"] == 7).all()
    expected = 100.0 * np.exp((0.02 - 0.03) * found["years"])
    assert found["forward"].to_numpy() == pytest.approx(expected.to_numpy(), rel=1e-6)
    truth = np.concatenate(
        [_skew(STRIKES, years) for years in found["years"].drop_duplicates() for _ in range(2)]
    )
    intrinsic = np.maximum(found["right"] * (100.0 - found["strike"]), 0.0)
    telling = (found["mid"] - intrinsic > 0.1).to_numpy()
    assert telling.sum() > 35
    assert (found["iv_reason"][telling] == "").all()
    assert set(found["iv_reason"]) <= {"", "below_intrinsic"}
    seen = found["implied_volatility"].to_numpy()[telling]
    assert seen == pytest.approx(truth[telling], abs=1e-4)
    truly = american.greeks(
        right=found["right"],
        spot=100.0,
        strike=found["strike"],
        years=found["years"],
        rate=0.02,
        dividend_yield=0.03,
        volatility=truth,
    )
    for name in ("delta", "gamma", "theta_per_day", "vega", "rho"):
        expected = getattr(truly, name)[telling]
        assert found[name].to_numpy()[telling] == pytest.approx(expected, abs=5e-4)


def test_rows_stay_in_order_and_every_gap_has_a_reason() -> None:
    quotes = model_chain("XYZ", spot=100.0, as_of=AS_OF, strikes=STRIKES)
    quotes.loc[[3, 7], ["bid", "ask"]] = np.nan
    quotes.loc[10, ["bid", "ask"]] = [0.0, 0.05]
    shuffled = quotes.sample(frac=1.0, random_state=1)
    found = _valued(shuffled)
    assert list(found.columns) == [*quotes.columns, *IV_COLUMNS]
    assert (found["symbol"].to_numpy() == shuffled["symbol"].to_numpy()).all()
    missing = found["implied_volatility"].isna()
    assert (missing == (found["iv_reason"] != "")).all()
    assert found.loc[[3, 7], "iv_reason"].tolist() == ["not_finite"] * 2
    assert found.loc[3, "quote_defect"] == "quote_missing"
    assert found.loc[10, "quote_defect"] == "quote_zero_bid"
    assert (found["delta"].isna() == missing).all()


def test_forward_falls_back_to_carry_and_says_so() -> None:
    calls = model_chain("XYZ", spot=100.0, as_of=AS_OF, strikes=STRIKES).query("right == 1")
    known = _valued(calls, XYZ=0.01)
    assert (known["forward_source"] == ForwardSource.CARRY).all()
    assert (known["forward_pairs"] == 0).all()
    assert known["implied_volatility"].to_numpy() == pytest.approx(0.2, abs=1e-8)
    unknown = _valued(calls)
    assert (unknown["forward_source"] == ForwardSource.CARRY_WITHOUT_YIELD).all()


def test_forward_far_from_carry_is_not_believed() -> None:
    """Puts quoted as if the share stood 20 % lower: broken data, not borrow."""
    quotes = model_chain("XYZ", spot=100.0, as_of=AS_OF, strikes=STRIKES)
    puts = quotes["right"] == -1
    quotes.loc[puts, ["bid", "ask"]] += 20.0
    assert (_valued(quotes, XYZ=0.01)["forward_source"] == ForwardSource.CARRY).all()


def test_one_broken_quote_does_not_move_the_forward() -> None:
    quotes = model_chain("XYZ", spot=100.0, as_of=AS_OF, strikes=STRIKES)
    broken = (quotes["strike"] == 100.0) & (quotes["right"] == 1)
    quotes.loc[broken, ["bid", "ask"]] += 1.0
    found = _valued(quotes)
    expected = 100.0 * np.exp(0.01 * found["years"])
    assert found["forward"].to_numpy() == pytest.approx(expected.to_numpy(), rel=1e-6)


def test_expired_contract_and_missing_spot_have_reasons() -> None:
    quotes = model_chain("XYZ", spot=100.0, as_of=AS_OF, strikes=STRIKES)
    later = implied_volatilities(
        quotes,
        as_of=datetime(2019, 6, 24, 15, 0, tzinfo=UTC),
        rates=RateCurve.flat(0.02),
        dividend_yields={},
        calendar=CALENDAR,
    )
    gone = later["expiration"] == pd.Timestamp("2019-06-21")
    assert (later.loc[gone, "iv_reason"] == "expired").all()
    assert (later.loc[~gone, "iv_reason"] == "").any()
    nowhere = _valued(quotes.assign(underlying_price=np.nan))
    assert (nowhere["iv_reason"] == "not_finite").all()


def test_morning_settlement_ends_at_the_open() -> None:
    morning = expires_at("SPX", date(2019, 6, 21), calendar=CALENDAR)
    assert morning == datetime(2019, 6, 21, 13, 30, tzinfo=UTC)
    close = expires_at("SPXW", date(2019, 6, 21), calendar=CALENDAR)
    assert close == datetime(2019, 6, 21, 20, 0, tzinfo=UTC)
    early = expires_at("SPXW", date(2019, 7, 3), calendar=CALENDAR)
    assert early == datetime(2019, 7, 3, 17, 0, tzinfo=UTC)
    good_friday = expires_at("SPY", date(2019, 4, 19), calendar=CALENDAR)
    assert good_friday == CALENDAR.close(date(2019, 4, 18))


def test_empty_chain_gives_empty_tables() -> None:
    found = _valued(empty_quotes())
    assert found.empty
    assert set(IV_COLUMNS) <= set(found.columns)
    assert constant_maturity_volatility(atm_volatility(found)).empty


def test_moment_without_zone_is_refused() -> None:
    with pytest.raises(BadInput, match="zone"):
        implied_volatilities(
            empty_quotes(),
            as_of=AS_OF.replace(tzinfo=None),
            rates=RateCurve.flat(0.02),
            dividend_yields={},
            calendar=CALENDAR,
        )


def test_twenty_underlyings_at_once_are_the_same_as_alone() -> None:
    expirations = [date(2019, 6, 7) + timedelta(weeks=week) for week in range(10)]
    chains = [
        model_chain(
            f"U{chr(65 + number)}",
            spot=100.0 + number,
            as_of=AS_OF,
            strikes=np.arange(85.0, 115.0, 1.0),
            expirations=expirations,
            smile=flat(0.15 + 0.01 * number),
        )
        for number in range(20)
    ]
    together = pd.concat(chains, ignore_index=True)
    assert len(together) == 12_000
    found = _valued(together)
    alone = _valued(chains[3])
    part = found[found["underlying"] == "UD"]
    assert part["implied_volatility"].to_numpy() == pytest.approx(
        alone["implied_volatility"].to_numpy(), nan_ok=True
    )


def test_at_the_money_is_read_at_the_forward() -> None:
    quotes = model_chain(
        "XYZ", spot=101.0, as_of=AS_OF, strikes=STRIKES, smile=_skew, dividend_yield=0.0
    )
    atm = atm_volatility(_valued(quotes))
    assert atm["expiration"].tolist() == [pd.Timestamp("2019-06-21"), pd.Timestamp("2019-07-19")]
    truth = 0.22 + 0.02 * atm["years"] - 0.25 * np.log(atm["forward"] / 100.0)
    assert atm["atm_volatility"].to_numpy() == pytest.approx(truth.to_numpy(), abs=2e-4)
    assert atm["strike_below"].tolist() == [100.0, 100.0]
    assert atm["strike_above"].tolist() == [102.5, 102.5]
    assert (atm["atm_method"] == AtmMethod.INTERPOLATED).all()


def test_call_and_put_are_averaged_at_a_strike() -> None:
    """A forward a little off moves call and put apart; their mean hardly moves."""
    quotes = model_chain("XYZ", spot=100.0, as_of=AS_OF, strikes=STRIKES, dividend_yield=0.0)
    off = _valued(quotes)
    off["implied_volatility"] += 0.02 * off["right"]
    assert atm_volatility(off)["atm_volatility"].to_numpy() == pytest.approx(0.2, abs=1e-6)


def test_money_that_cannot_be_read_says_why() -> None:
    def at(strikes: list[float]) -> tuple[str, float]:
        quotes = model_chain(
            "XYZ",
            spot=100.0,
            as_of=AS_OF,
            strikes=np.array(strikes),
            expirations=[date(2019, 7, 19)],
        )
        row = atm_volatility(_valued(quotes)).iloc[0]
        return str(row["atm_method"]), float(row["atm_volatility"])

    method, value = at([99.0, 98.0])
    assert method == AtmMethod.NEAREST_STRIKE
    assert value == pytest.approx(0.2, abs=1e-4)
    method, value = at([90.0, 92.0])
    assert method == AtmMethod.NOT_BRACKETED
    assert np.isnan(value)
    method, value = at([85.0, 115.0])
    assert method == AtmMethod.STRIKES_TOO_FAR_APART
    assert np.isnan(value)
    silent = model_chain("XYZ", spot=100.0, as_of=AS_OF, strikes=STRIKES)
    silent[["bid", "ask"]] = np.nan
    assert (atm_volatility(_valued(silent))["atm_method"] == AtmMethod.NO_USABLE_QUOTE).all()


def test_one_root_speaks_for_a_shared_expiration() -> None:
    """SPX and SPXW both list the third Friday; the one with more usable contracts is taken."""
    both = pd.concat(
        [
            model_chain("SPX", spot=2800.0, as_of=AS_OF, strikes=np.arange(2700.0, 2901, 50)),
            model_chain("SPXW", spot=2800.0, as_of=AS_OF, strikes=np.arange(2700.0, 2901, 25)),
        ],
        ignore_index=True,
    )
    atm = atm_volatility(_valued(both))
    assert atm["root"].tolist() == ["SPXW", "SPXW"]


def _atm(*rows: tuple[float, float]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "underlying": "XYZ",
            "expiration": [pd.Timestamp("2019-06-03") + pd.Timedelta(days=d) for d, _ in rows],
            "years": [days / 365 for days, _ in rows],
            "atm_volatility": [volatility for _, volatility in rows],
        }
    )


def test_constant_maturity_is_linear_in_total_variance() -> None:
    row = constant_maturity_volatility(_atm((60, 0.25), (20, 0.15), (90, 0.3), (3, 0.9))).iloc[0]
    variance = 0.75 * 0.15**2 * 20 + 0.25 * 0.25**2 * 60
    assert row["implied_volatility"] == pytest.approx(np.sqrt(variance / 30))
    assert (row["near_days"], row["far_days"]) == (pytest.approx(20), pytest.approx(60))
    assert row["near_expiration"] == pd.Timestamp("2019-06-23")
    assert row["far_volatility"] == 0.25
    assert row["method"] == MaturityMethod.INTERPOLATED


@pytest.mark.parametrize(
    ("rows", "method", "expected"),
    [
        ([(30, 0.2)], MaturityMethod.INTERPOLATED, 0.2),
        ([(22, 0.2), (15, 0.3)], MaturityMethod.FLAT_FROM_NEAR, 0.2),
        ([(39, 0.2), (60, 0.3)], MaturityMethod.FLAT_FROM_FAR, 0.2),
        ([(41, 0.2)], MaturityMethod.EXPIRATIONS_OUT_OF_BOUNDS, None),
        ([(15, 0.2)], MaturityMethod.EXPIRATIONS_OUT_OF_BOUNDS, None),
        ([(5, 0.2)], MaturityMethod.NO_USABLE_EXPIRATION, None),
        ([(30, float("nan"))], MaturityMethod.NO_USABLE_EXPIRATION, None),
    ],
)
def test_constant_maturity_at_the_ends(
    rows: list[tuple[float, float]], method: str, expected: float | None
) -> None:
    """Flat within ten days of the target, and no number beyond."""
    row = constant_maturity_volatility(_atm(*rows)).iloc[0]
    assert row["method"] == method
    if expected is None:
        assert np.isnan(row["implied_volatility"])
    else:
        assert row["implied_volatility"] == pytest.approx(expected)


def test_term_slope_is_ninety_less_thirty_days() -> None:
    rising = term_slope(_atm((30, 0.15), (90, 0.21))).iloc[0]
    assert rising["term_slope"] == pytest.approx(0.06)
    assert (rising["near_method"], rising["far_method"]) == (MaturityMethod.INTERPOLATED,) * 2
    short = term_slope(_atm((20, 0.15), (45, 0.21))).iloc[0]
    assert np.isnan(short["term_slope"])
    assert short["far_method"] == MaturityMethod.EXPIRATIONS_OUT_OF_BOUNDS
    weeks = term_slope(_atm((7, 0.3), (14, 0.2)), near_days=7, far_days=14).iloc[0]
    assert weeks["term_slope"] == pytest.approx(-0.1)


def test_each_underlying_has_its_own_maturity() -> None:
    two = pd.concat(
        [_atm((20, 0.1), (40, 0.1)), _atm((25, 0.4), (35, 0.4)).assign(underlying="ABC")]
    )
    found = constant_maturity_volatility(two)
    assert found["underlying"].tolist() == ["ABC", "XYZ"]
    assert found["implied_volatility"].tolist() == pytest.approx([0.4, 0.1])
