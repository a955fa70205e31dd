"""The rate curve: what was known that morning, in continuous rates, and nothing invented."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mahler_pipelines.errors import BadInput, CorruptData
from mahler_pipelines.market.archive_series import read_rates
from mahler_pipelines.market.rates import (
    SERIES,
    RateBasis,
    RateCurve,
    RateSource,
    rate_curve,
)

DAY = date(2019, 6, 3)


def _quotes(*rows: tuple[str, date, float]) -> pd.DataFrame:
    frame = pd.DataFrame(list(rows), columns=["name", "session", "value"])
    return frame.assign(session=pd.to_datetime(frame["session"]).astype("datetime64[us]"))


def test_bill_quoted_three_ways_is_one_rate() -> None:
    """A 91-day bill at 8 % discount costs 97.9778 (Hull, section 6.1): the growth is the same."""
    price = 1.0 - 0.08 * 91 / 360
    assert price == pytest.approx(0.979778, abs=1e-6)
    continuous = RateBasis.DISCOUNT.continuous(8.0, years=91 / 365)
    assert np.exp(-continuous * 91 / 365) == pytest.approx(price, abs=1e-12)


def test_bond_equivalent_yield_compounds_twice_a_year() -> None:
    """Cboe's example form: APY = (1 + BEY/2)^2 - 1, and the rate is its logarithm."""
    continuous = RateBasis.BOND_EQUIVALENT.continuous(5.0, years=0.25)
    assert np.exp(continuous) - 1.0 == pytest.approx(1.025**2 - 1.0, abs=1e-14)


def test_overnight_rate_rolled_for_a_year_is_the_continuous_one() -> None:
    continuous = RateBasis.OVERNIGHT.continuous(2.4, years=1 / 365)
    assert np.exp(continuous) == pytest.approx((1.0 + 0.024 / 360) ** 365, rel=1e-13)


def test_rate_times_time_is_linear_between_tenors_and_flat_outside() -> None:
    curve = RateCurve((0.25, 0.5, 1.0), (0.01, 0.03, 0.02))
    assert curve.rate([0.25, 0.5, 1.0]) == pytest.approx([0.01, 0.03, 0.02])
    assert curve.rate(0.375) == pytest.approx((0.0025 + 0.015) / 2 / 0.375)
    assert curve.rate([0.0, -0.1, 0.01, 5.0]) == pytest.approx([0.01, 0.01, 0.01, 0.02])
    assert np.isnan(curve.rate([np.nan, 0.3])).tolist() == [True, False]
    assert curve.rate(np.ones((2, 3))).shape == (2, 3)


@given(
    rates=st.lists(st.floats(-0.02, 0.12), min_size=1, max_size=5),
    years=st.floats(0.0, 3.0),
)
def test_rate_lies_within_the_rates_of_the_curve(rates: list[float], years: float) -> None:
    tenors = tuple(0.1 * (1 + place) for place in range(len(rates)))
    found = float(RateCurve(tenors, tuple(rates)).rate(years))
    assert min(rates) - 1e-12 <= found <= max(rates) + 1e-12


def test_only_what_was_published_before_the_day_counts() -> None:
    """A day's rates come out after its close: the day itself and later are the future."""
    quotes = _quotes(
        ("DGS1MO", DAY, 9.0),
        ("DGS1MO", DAY + timedelta(days=1), 8.0),
        ("DGS1MO", DAY - timedelta(days=3), 2.35),
        ("DGS1MO", DAY - timedelta(days=4), 2.0),
    )
    curve = rate_curve(quotes, as_of=DAY, flat=0.04)
    assert list(curve.rates) == pytest.approx([2 * np.log1p(0.0235 / 2)])
    assert (curve.source, curve.quoted) == (RateSource.SERIES, date(2019, 5, 31))
    assert curve.basis == "DGS1MO, none older than 2019-05-31"
    # 01:00 UTC on the fourth is still the third in New York.
    night = datetime(2019, 6, 4, 1, 0, tzinfo=UTC)
    assert rate_curve(quotes, as_of=night, flat=0.04) == curve


def test_each_series_is_its_last_value_and_a_tenor_its_first_series() -> None:
    quotes = _quotes(
        ("DFF", date(2019, 6, 2), 2.40),
        ("SOFR", date(2019, 5, 31), 2.49),
        ("DTB3", date(2019, 5, 31), 2.30),
        ("DGS1", date(2019, 5, 30), 2.29),
        ("VIX", date(2019, 5, 31), 18.7),
    )
    curve = rate_curve(quotes, as_of=DAY, flat=0.04)
    assert curve.series == ("SOFR", "DTB3", "DGS1")
    assert curve.tenors == (1 / 365, 0.25, 1.0)
    assert curve.quoted == date(2019, 5, 30)
    assert curve.rates[1] == RateBasis.DISCOUNT.continuous(2.30, years=0.25)


@pytest.mark.parametrize(
    ("quotes", "source"),
    [
        (pd.DataFrame(), RateSource.FLAT_WITHOUT_SERIES),
        (_quotes(("VIX", date(2019, 5, 31), 18.7)), RateSource.FLAT_WITHOUT_SERIES),
        (_quotes(("DFF", DAY, 2.4)), RateSource.FLAT_WITHOUT_SERIES),
        (_quotes(("DFF", date(2019, 5, 2), 2.4)), RateSource.FLAT_STALE_SERIES),
    ],
)
def test_without_a_curve_the_setting_stands_in_and_says_why(
    quotes: pd.DataFrame, source: RateSource
) -> None:
    curve = rate_curve(quotes, as_of=DAY, flat=0.0415)
    assert curve.source is source
    assert curve.rate([0.01, 2.0]) == pytest.approx([0.0415, 0.0415])
    assert curve.basis == f"4.15% for every tenor ({source})"


def test_rate_that_is_no_rate_is_loud() -> None:
    with pytest.raises(CorruptData, match=r"DFF is 240\.0 percent on 2019-05-31"):
        rate_curve(_quotes(("DFF", date(2019, 5, 31), 240.0)), as_of=DAY, flat=0.04)


def test_curve_that_is_none_is_refused() -> None:
    for tenors, rates in (((), ()), ((1.0, 0.5), (0.1, 0.1)), ((0.0,), (0.1,)), ((1.0,), ())):
        with pytest.raises(BadInput):
            RateCurve(tenors, rates)
    with pytest.raises(BadInput, match="finite"):
        RateCurve((1.0,), (float("nan"),))
    with pytest.raises(BadInput, match="zone"):
        rate_curve(pd.DataFrame(), as_of=datetime(2019, 6, 3, 9, 0), flat=0.04)  # noqa: DTZ001


def test_published_series_make_a_curve_for_every_session_of_2019(shared_data: Path) -> None:
    """Five tenors each day, none older than a long weekend, all near the fed funds of that year."""
    wide = pd.read_parquet(shared_data / "fred_rates.parquet")
    rates = read_rates(wide, source_file="fred_rates.parquet").rows
    for day in pd.bdate_range("2019-04-25", "2019-07-22"):
        curve = rate_curve(rates, as_of=day.date(), flat=0.04)
        assert set(curve.series) <= set(SERIES)
        assert len(curve.tenors) == 5
        assert curve.quoted is not None
        assert timedelta(0) < day.date() - curve.quoted <= timedelta(days=4)
        assert (
            (curve.rate([0.05, 0.2, 0.4]) > 0.019) & (curve.rate([0.05, 0.2, 0.4]) < 0.027)
        ).all()
