"""IV rank and IV percentile: where today's volatility stands in its own history."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from mahler_pipelines.errors import CorruptData
from mahler_pipelines.market.brackets import floats

LOOKBACK_SESSIONS: Final = 252
MINIMUM_SESSIONS: Final = 20


class NoRank(StrEnum):
    """Why there is no IV rank."""

    NONE = ""
    NO_CURRENT_VOLATILITY = "no_current_volatility"
    TOO_FEW_SESSIONS = "too_few_sessions"
    FLAT_HISTORY = "flat_history"


@dataclass(frozen=True, slots=True)
class VolatilityRank:
    """IV rank and percentile from 0 to 100, and what they rest on.

    `sessions` counts the earlier sessions with a volatility; `low` and `high` include today.
    """

    rank: float | None
    percentile: float | None
    sessions: int
    lookback: int
    low: float | None
    high: float | None
    reason: NoRank = NoRank.NONE

    @property
    def basis(self) -> str:
        """What the rank rests on, in words."""
        return f"{self.sessions} of {self.lookback} sessions"


def iv_rank(
    history: ArrayLike,
    current: float,
    *,
    lookback: int = LOOKBACK_SESSIONS,
    minimum: int = MINIMUM_SESSIONS,
) -> VolatilityRank:
    """Return rank = 100 (current - low) / (high - low) and percentile = 100 x share below.

    `history` holds the volatilities of earlier sessions, oldest first, without today's; its last
    `lookback` values count, NaN among them as sessions without a volatility. Low and high include
    today, so that the rank stays within 0 and 100; the percentile is the share of earlier sessions
    strictly below today. Fewer than `minimum` sessions give neither; a flat history has a
    percentile but no rank.
    """
    window = np.asarray(history, dtype=np.float64)[-lookback:]
    window = window[np.isfinite(window)]
    sessions = int(window.size)
    if not np.isfinite(current):
        return VolatilityRank(
            None, None, sessions, lookback, None, None, NoRank.NO_CURRENT_VOLATILITY
        )
    low = float(min(window.min(initial=np.inf), current))
    high = float(max(window.max(initial=-np.inf), current))
    if sessions < minimum:
        return VolatilityRank(None, None, sessions, lookback, low, high, NoRank.TOO_FEW_SESSIONS)
    percentile = 100.0 * float(np.mean(window < current))
    if high == low:
        return VolatilityRank(None, percentile, sessions, lookback, low, high, NoRank.FLAT_HISTORY)
    rank = 100.0 * ((current - low) / (high - low))
    return VolatilityRank(rank, percentile, sessions, lookback, low, high)


def rank_universe(
    history: pd.DataFrame,
    current: pd.DataFrame,
    *,
    lookback: int = LOOKBACK_SESSIONS,
    minimum: int = MINIMUM_SESSIONS,
) -> pd.DataFrame:
    """Rank every underlying at once by the rules of `iv_rank`: one row per row of `current`.

    `history` has underlying, session and implied_volatility; `current` underlying, session and
    implied_volatility. Only history strictly before the current session counts. Columns:
    underlying, session, implied_volatility, iv_rank, iv_percentile (NaN where `rank_reason` says
    why), sessions, lookback, since (first session that counts), low, high, rank_reason.
    Raises `CorruptData` when an underlying has two rows of one session.
    """
    columns = ["underlying", "session", "implied_volatility"]
    for name, frame in (("history", history), ("current", current)):
        twice = frame.duplicated(["underlying", "session"])
        if twice.any():
            row = frame.loc[twice, ["underlying", "session"]].iloc[0]
            raise CorruptData(f"{name}: two rows of {row['underlying']} on {row['session']}")
    today = current[columns].reset_index(drop=True)
    past = history[columns].merge(
        today[columns].rename(columns={"session": "today", "implied_volatility": "now"}),
        on="underlying",
    )
    past = past[past["session"] < past["today"]].sort_values("session", kind="stable")
    past = past.groupby(["underlying", "today"], sort=False).tail(lookback)
    past = past[np.isfinite(past["implied_volatility"])]
    past["below"] = (past["implied_volatility"] < past["now"]).astype(np.float64)
    seen = past.groupby(["underlying", "today"]).agg(
        sessions=("below", "size"),
        share=("below", "mean"),
        since=("session", "min"),
        low=("implied_volatility", "min"),
        high=("implied_volatility", "max"),
    )
    joined = today.join(seen, on=["underlying", "session"])
    return _ranked(joined, lookback=lookback, minimum=minimum)


def _ranked(joined: pd.DataFrame, *, lookback: int, minimum: int) -> pd.DataFrame:
    now = floats(joined["implied_volatility"])
    sessions = joined["sessions"].fillna(0).to_numpy(dtype=np.int64)
    known = np.isfinite(now)
    low = np.where(known, np.fmin(floats(joined["low"]), now), np.nan)
    high = np.where(known, np.fmax(floats(joined["high"]), now), np.nan)
    enough = known & (sessions >= minimum)
    flat = enough & (high == low)
    with np.errstate(divide="ignore", invalid="ignore"):
        rank = np.where(enough & ~flat, 100.0 * ((now - low) / (high - low)), np.nan)
    percentile = np.where(enough, 100.0 * floats(joined["share"]), np.nan)
    reasons = np.select(
        [~known, ~enough, flat],
        [
            NoRank.NO_CURRENT_VOLATILITY.value,
            NoRank.TOO_FEW_SESSIONS.value,
            NoRank.FLAT_HISTORY.value,
        ],
        NoRank.NONE.value,
    )
    ranked = joined[["underlying", "session", "implied_volatility"]].assign(
        iv_rank=rank,
        iv_percentile=percentile,
        sessions=sessions,
        lookback=lookback,
        since=joined["since"],
        low=low,
        high=high,
    )
    ranked["rank_reason"] = pd.Series(reasons, dtype="str")
    return ranked
