"""Realised volatility from daily bars."""

import math
from collections.abc import Sequence
from datetime import date
from enum import StrEnum
from typing import Final

import numpy as np
import pandas as pd

from mahler_pipelines.market.brackets import floats

SESSIONS_PER_YEAR: Final = 252.0


class RealisedEstimator(StrEnum):
    """How daily bars are turned into a volatility."""

    CLOSE_TO_CLOSE = "close_to_close"
    PARKINSON = "parkinson"
    YANG_ZHANG = "yang_zhang"


def realised_volatility(
    bars: pd.DataFrame,
    *,
    window: int = 20,
    estimator: RealisedEstimator = RealisedEstimator.CLOSE_TO_CLOSE,
) -> pd.DataFrame:
    """Return underlying, session and realised_volatility, annualised, over the last `window` bars.

    `bars` has `market.data.BAR_COLUMNS`; the result is sorted by underlying and session, NaN until
    the window is full. Close to close: sample standard deviation of log returns. Parkinson: J. of
    Business 53 (1980). Yang and Zhang: J. of Business 73 (2000), eq. 9.
    """
    ordered = bars.sort_values(["underlying", "session"], kind="stable", ignore_index=True)
    variance = {
        RealisedEstimator.CLOSE_TO_CLOSE: _close_to_close,
        RealisedEstimator.PARKINSON: _parkinson,
        RealisedEstimator.YANG_ZHANG: _yang_zhang,
    }[estimator](ordered, window)
    result = ordered[["underlying", "session"]].copy()
    result["realised_volatility"] = np.sqrt(variance.clip(lower=0.0) * SESSIONS_PER_YEAR)
    return result


class NoRealised(StrEnum):
    """Why an underlying has no realised volatility by one estimator or more."""

    NONE = ""
    NO_BARS = "no_bars"
    BARS_MISSING = "bars_missing"
    BARS_INCOMPLETE = "bars_incomplete"


def realised_over(
    bars: pd.DataFrame, *, underlyings: Sequence[str], sessions: Sequence[date]
) -> pd.DataFrame:
    """Return one row per underlying: realised volatility over exactly these sessions.

    The first of `sessions` gives a close to start from, so that n + 1 of them hold n returns and n
    ranges. `bars` has `market.data.BAR_COLUMNS`; others of its sessions are not looked at. A
    session without a bar leaves the underlying without any: a window with a hole is another
    window. Columns: underlying, one per `RealisedEstimator` (annualised, NaN where unknown),
    realised_reason (`NoRealised`; `bars_incomplete` where a bar lacks a price that one needs).
    """
    wanted = pd.to_datetime(pd.Series(list(sessions), dtype="datetime64[us]"))
    held = bars[bars["session"].isin(wanted)]
    count = held.groupby("underlying")["session"].nunique().reindex(list(underlyings))
    whole = held[held["underlying"].isin(count.index[count == len(wanted)])]
    table = pd.DataFrame({"underlying": pd.Series(list(underlyings), dtype="str")})
    for estimator in RealisedEstimator:
        found = realised_volatility(whole, window=len(wanted) - 1, estimator=estimator)
        last = found[found["session"] == wanted.iloc[-1]].set_index("underlying")
        table[estimator.value] = floats(table["underlying"].map(last["realised_volatility"]))
    known = np.isfinite(table[[estimator.value for estimator in RealisedEstimator]]).all(axis=1)
    reasons = np.select(
        [count.isna(), count < len(wanted), ~known],
        [NoRealised.NO_BARS.value, NoRealised.BARS_MISSING.value, NoRealised.BARS_INCOMPLETE.value],
        NoRealised.NONE.value,
    )
    table["realised_reason"] = pd.Series(reasons, dtype="str")
    return table


def _close_to_close(bars: pd.DataFrame, window: int) -> "pd.Series[float]":
    return _rolling(_log_ratio(bars["close"], _previous_close(bars)), bars, window, "var")


def _parkinson(bars: pd.DataFrame, window: int) -> "pd.Series[float]":
    ranges = _log_ratio(bars["high"], bars["low"]) ** 2 / (4.0 * math.log(2.0))
    return _rolling(ranges, bars, window, "mean")


def _yang_zhang(bars: pd.DataFrame, window: int) -> "pd.Series[float]":
    overnight = _log_ratio(bars["open"], _previous_close(bars))
    daytime = _log_ratio(bars["close"], bars["open"])
    up = _log_ratio(bars["high"], bars["open"])
    down = _log_ratio(bars["low"], bars["open"])
    rogers_satchell = up * (up - daytime) + down * (down - daytime)
    weight = 0.34 / (1.34 + (window + 1) / (window - 1))
    return (
        _rolling(overnight, bars, window, "var")
        + weight * _rolling(daytime, bars, window, "var")
        + (1.0 - weight) * _rolling(rogers_satchell, bars, window, "mean")
    )


def _log_ratio(over: "pd.Series[float]", under: "pd.Series[float]") -> "pd.Series[float]":
    return pd.Series(np.log(over / under), dtype="float64")


def _previous_close(bars: pd.DataFrame) -> "pd.Series[float]":
    return bars.groupby("underlying", sort=False)["close"].shift(1)


def _rolling(
    values: "pd.Series[float]", bars: pd.DataFrame, window: int, statistic: str
) -> "pd.Series[float]":
    rolled = values.groupby(bars["underlying"], sort=False).rolling(window)
    return rolled.agg(statistic).reset_index(level=0, drop=True).sort_index()
