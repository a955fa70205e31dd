"""What a desk reads off an underlying's volatility at a scan, in one row."""

from collections.abc import Sequence
from datetime import date
from enum import StrEnum
from typing import Final

import numpy as np
import pandas as pd

from mahler_pipelines.market.brackets import floats
from mahler_pipelines.market.expected_move import NoMove, expected_moves
from mahler_pipelines.market.realised import (
    SESSIONS_PER_YEAR,
    RealisedEstimator,
    realised_over,
)
from mahler_pipelines.market.skew import skew_25_delta
from mahler_pipelines.market.term_structure import MaturityMethod, atm_volatility, term_slope

REALISED_SESSIONS: Final = 21
"""Returns that a realised volatility rests on: the sessions of 30 calendar days."""

PREMIUM_ESTIMATOR: Final = RealisedEstimator.CLOSE_TO_CLOSE
"""What implied variance is held against: what a seller pays is what closes did, gaps included."""


class NoPremium(StrEnum):
    """Why there is no variance risk premium."""

    NONE = ""
    NO_IMPLIED_VOLATILITY = "no_implied_volatility"
    NO_REALISED_VOLATILITY = "no_realised_volatility"


_SLOPE: Final = {
    "near_volatility": "iv30",
    "near_method": "iv30_method",
    "far_volatility": "iv90",
    "far_method": "iv90_method",
    "term_slope": "term_slope",
}
_SKEW: Final = {
    "put_volatility": "put_25_delta",
    "call_volatility": "call_25_delta",
    "skew": "skew_25_delta",
    "method": "skew_method",
}
_MOVE: Final = {
    "expiration": "move_expiration",
    "days": "move_days",
    "sigma_move": "sigma_move",
    "straddle_move": "straddle_move",
    "move_reason": "move_reason",
}
_WITHOUT_QUOTES: Final = {
    **dict.fromkeys(
        ("iv30_method", "iv90_method", "skew_method"), MaturityMethod.NO_USABLE_EXPIRATION.value
    ),
    "move_reason": NoMove.NO_EXPIRATION.value,
}
"""What stands beside the numbers of an underlying without a chain."""

METRIC_COLUMNS: Final = (
    "underlying",
    *_SLOPE.values(),
    *_SKEW.values(),
    "session_move",
    *_MOVE.values(),
    *(estimator.value for estimator in RealisedEstimator),
    *("realised_reason", "variance_risk_premium", "volatility_risk_premium", "premium_reason"),
)
"""Columns of `volatility_metrics`. Volatilities, slopes and skews are fractions a year (0.01 is one
point), moves fractions of the price, the variance premium a variance a year. What is NaN has its
reason in the `_method` or `_reason` column beside it; term_slope needs both iv30 and iv90."""


def volatility_metrics(
    ivs: pd.DataFrame,
    bars: pd.DataFrame,
    *,
    underlyings: Sequence[str],
    sessions: Sequence[date],
) -> pd.DataFrame:
    """Return one row per underlying, columns `METRIC_COLUMNS`, in the order given.

    `ivs` is what `implied_volatilities` returns for one scan, `bars` has `market.data.BAR_COLUMNS`,
    and `sessions` are the completed ones that realised volatility is taken over, one more than
    returns. `session_move` is one standard deviation of one session, iv30 / sqrt(252). The variance
    risk premium is iv30 squared less realised variance of the trailing window, both known at the
    scan (Bollerslev, Tauchen and Zhou, Review of Financial Studies 22, 2009);
    `volatility_risk_premium` is the same difference in volatility.
    """
    atm = atm_volatility(ivs)
    table = realised_over(bars, underlyings=underlyings, sessions=sessions)
    for found, names in (
        (term_slope(atm), _SLOPE),
        (skew_25_delta(ivs, atm), _SKEW),
        (expected_moves(ivs, atm), _MOVE),
    ):
        told = found[["underlying", *names]].rename(columns=names)
        table = table.merge(told, on="underlying", how="left")
    table = table.fillna(_WITHOUT_QUOTES)
    table["session_move"] = table["iv30"] / np.sqrt(SESSIONS_PER_YEAR)
    return _with_premium(table)[list(METRIC_COLUMNS)]


def _with_premium(table: pd.DataFrame) -> pd.DataFrame:
    implied, realised = floats(table["iv30"]), floats(table[PREMIUM_ESTIMATOR.value])
    reasons = np.select(
        [~np.isfinite(implied), ~np.isfinite(realised)],
        [NoPremium.NO_IMPLIED_VOLATILITY.value, NoPremium.NO_REALISED_VOLATILITY.value],
        NoPremium.NONE.value,
    )
    return table.assign(
        variance_risk_premium=np.square(implied) - np.square(realised),
        volatility_risk_premium=implied - realised,
        premium_reason=pd.Series(reasons, index=table.index, dtype="str"),
    )
