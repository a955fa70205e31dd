"""One row of an underlying's volatility: numbers known beforehand, reasons where there are none."""

from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mahler_pipelines.market.chains import empty_quotes
from mahler_pipelines.market.expected_move import NoMove
from mahler_pipelines.market.rates import RateCurve
from mahler_pipelines.market.realised import NoRealised
from mahler_pipelines.market.term_structure import MaturityMethod
from mahler_pipelines.market.volatility import implied_volatilities
from mahler_pipelines.market.volatility_metrics import (
    METRIC_COLUMNS,
    REALISED_SESSIONS,
    NoPremium,
    volatility_metrics,
)
from tests.market.volatility_cases import CALENDAR, model_chain

AS_OF = datetime(2019, 6, 3, 19, 59, tzinfo=UTC)
TODAY = date(2019, 6, 3)
SESSIONS = CALENDAR.sessions(
    CALENDAR.offset(TODAY, -REALISED_SESSIONS - 1), CALENDAR.previous(TODAY)
)
EXPIRATIONS = (date(2019, 6, 21), date(2019, 7, 19), date(2019, 9, 20))


def _valued(quotes: pd.DataFrame) -> pd.DataFrame:
    return implied_volatilities(
        quotes, as_of=AS_OF, rates=RateCurve.flat(0.02), dividend_yields={}, calendar=CALENDAR
    )


def _chain(root: str = "XYZ") -> pd.DataFrame:
    return model_chain(
        root,
        spot=100.0,
        as_of=AS_OF,
        strikes=np.arange(70.0, 131.0, 1.0),
        expirations=EXPIRATIONS,
        smile=lambda strikes, years: 0.2 + 0.04 * years - 0.1 * np.log(strikes / 100.0),
    )


def _bars(underlying: str = "XYZ", *, swing: float = 0.01) -> pd.DataFrame:
    """Closes that go up and down by the same step: each return is one swing."""
    close = 100.0 * np.exp(swing * (np.arange(len(SESSIONS)) % 2))
    return pd.DataFrame(
        {
            "underlying": underlying,
            "session": pd.to_datetime(pd.Series(SESSIONS)).astype("datetime64[us]"),
            "open": close,
            "high": close * np.exp(swing),
            "low": close,
            "close": close,
            "volume": 1e6,
        }
    )


def _row(ivs: pd.DataFrame, bars: pd.DataFrame) -> "pd.Series[Any]":
    table = volatility_metrics(ivs, bars, underlyings=["XYZ"], sessions=SESSIONS)
    assert list(table.columns) == list(METRIC_COLUMNS)
    (_, row), *rest = table.iterrows()
    assert rest == []
    return row


def test_what_is_known_is_told() -> None:
    row = _row(_valued(_chain()), _bars())
    assert row["iv30"] == pytest.approx(0.2 + 0.04 * 30 / 365, abs=1e-3)
    assert row["iv90"] == pytest.approx(0.2 + 0.04 * 90 / 365, abs=1e-3)
    assert row["term_slope"] == pytest.approx(row["iv90"] - row["iv30"])
    assert row["skew_25_delta"] == pytest.approx(row["put_25_delta"] - row["call_25_delta"])
    assert row["skew_25_delta"] > 0
    assert row["session_move"] == pytest.approx(row["iv30"] / np.sqrt(252))
    assert row["move_expiration"] == pd.Timestamp("2019-06-21")
    assert row["straddle_move"] < row["sigma_move"]
    returns = np.array([0.01, -0.01] * 11)[:REALISED_SESSIONS]
    assert row["close_to_close"] == pytest.approx(returns.std(ddof=1) * np.sqrt(252))
    assert row["parkinson"] == pytest.approx(0.01 / np.sqrt(4 * np.log(2)) * np.sqrt(252))
    assert row["variance_risk_premium"] == pytest.approx(
        row["iv30"] ** 2 - row["close_to_close"] ** 2
    )
    assert row["volatility_risk_premium"] == pytest.approx(row["iv30"] - row["close_to_close"])
    for reason in ("move_reason", "realised_reason", "premium_reason"):
        assert row[reason] == ""


def test_underlying_without_a_chain_keeps_its_bars_and_its_reasons() -> None:
    row = _row(_valued(empty_quotes()), _bars())
    assert np.isnan(row["iv30"])
    for name in ("iv30_method", "iv90_method", "skew_method"):
        assert row[name] == MaturityMethod.NO_USABLE_EXPIRATION
    assert row["move_reason"] == NoMove.NO_EXPIRATION
    assert row["close_to_close"] > 0
    assert row["premium_reason"] == NoPremium.NO_IMPLIED_VOLATILITY


def test_underlying_without_bars_keeps_its_chain_and_its_reasons() -> None:
    row = _row(_valued(_chain()), _bars("OTHER"))
    assert row["iv30"] > 0
    assert np.isnan([row["close_to_close"], row["parkinson"], row["yang_zhang"]]).all()
    assert row["realised_reason"] == NoRealised.NO_BARS
    assert np.isnan(row["variance_risk_premium"])
    assert row["premium_reason"] == NoPremium.NO_REALISED_VOLATILITY


def test_a_hole_in_the_bars_is_no_shorter_window() -> None:
    row = _row(_valued(_chain()), _bars().drop(index=7))
    assert row["realised_reason"] == NoRealised.BARS_MISSING
    assert np.isnan(row["close_to_close"])


def test_bars_of_other_sessions_are_not_looked_at() -> None:
    bars = _bars()
    later = bars.tail(1).assign(session=pd.Timestamp(TODAY), close=500.0, high=500.0)
    earlier = bars.head(1).assign(session=pd.Timestamp("2019-04-01"), close=5.0, low=5.0)
    more = pd.concat([later, bars, earlier], ignore_index=True)
    pd.testing.assert_series_equal(_row(_valued(_chain()), more), _row(_valued(_chain()), bars))


def test_estimators_that_lack_a_price_say_so_beside_those_that_do_not() -> None:
    bars = _bars()
    bars.loc[5, "open"] = np.nan
    row = _row(_valued(_chain()), bars)
    assert row["realised_reason"] == NoRealised.BARS_INCOMPLETE
    assert np.isnan(row["yang_zhang"])
    assert row["parkinson"] > 0
    assert row["premium_reason"] == NoPremium.NONE


def test_rows_come_in_the_order_asked_for() -> None:
    ivs = _valued(pd.concat([_chain("AAA"), _chain("BBB")], ignore_index=True))
    bars = pd.concat([_bars("BBB", swing=0.02), _bars("AAA")], ignore_index=True)
    names = ["BBB", "CCC", "AAA"]
    table = volatility_metrics(ivs, bars, underlyings=names, sessions=SESSIONS)
    assert table["underlying"].tolist() == names
    ratio = table["close_to_close"][0] / table["close_to_close"][2]
    assert ratio == pytest.approx(2.0)
    assert table["iv30"][0] == pytest.approx(table["iv30"][2])
    assert np.isnan(table["iv30"][1])
    one = volatility_metrics(ivs, bars, underlyings=["AAA"], sessions=SESSIONS)
    pd.testing.assert_frame_equal(table.tail(1).reset_index(drop=True), one)
