"""IV rank and IV percentile: where today's volatility stands in its own history."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from mahler_pipelines.errors import CorruptData
from mahler_pipelines.market.brackets import Floats, Indices, floats

LOOKBACK_SESSIONS: Final = 252
MINIMUM_SESSIONS: Final = 20

_MOST_DAYS: Final = 1 << 32


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
    past = _ordered("history", history)
    _ordered("current", current)
    today = current[["underlying", "session", "implied_volatility"]].reset_index(drop=True)
    row, place = _window(past, today, lookback=lookback)
    known = np.isfinite(past.volatility[place])
    seen = _seen(past, floats(today["implied_volatility"]), row[known], place[known])
    return _ranked(pd.concat([today, seen], axis=1), lookback=lookback, minimum=minimum)


@dataclass(frozen=True, slots=True, eq=False)
class _History:
    """A history by underlying and session: arrays per row, and the underlying of each code.

    `key` rises with underlying and session.
    """

    names: "pd.Index[str]"
    key: NDArray[np.int64]
    session: NDArray[np.datetime64]
    volatility: Floats


def _ordered(name: str, frame: pd.DataFrame) -> _History:
    code, names = pd.factorize(frame["underlying"])
    session = frame["session"].to_numpy(dtype="datetime64[us]")
    key = _key(code, session)
    order = np.argsort(key, kind="stable")
    key = key[order]
    twice = np.flatnonzero(key[1:] == key[:-1])
    if twice.size:
        row = frame.iloc[order[twice[0]]]
        raise CorruptData(f"{name}: two rows of {row['underlying']} on {row['session']}")
    volatility = floats(frame["implied_volatility"])[order]
    return _History(pd.Index(names), key, session[order], volatility)


def _key(code: Indices, session: NDArray[np.datetime64]) -> NDArray[np.int64]:
    days = session.astype("datetime64[D]").astype(np.int64)
    return np.asarray(code.astype(np.int64) * _MOST_DAYS + days + _MOST_DAYS // 2)


def _window(past: _History, today: pd.DataFrame, *, lookback: int) -> tuple[Indices, Indices]:
    """Pairs of a row of `today` and a place in `past` that counts for it, oldest first."""
    code = past.names.get_indexer(pd.Index(today["underlying"]))
    session = today["session"].to_numpy(dtype="datetime64[us]")
    ends = np.searchsorted(past.key, _key(code, session))
    begins = np.searchsorted(past.key, code * _MOST_DAYS)
    begins = np.maximum(begins, ends - lookback)
    sizes = np.where(code >= 0, ends - begins, 0)
    row = np.repeat(np.arange(code.size), sizes)
    return row, np.arange(row.size) + np.repeat(begins - np.cumsum(sizes) + sizes, sizes)


def _seen(past: _History, now: Floats, row: Indices, place: Indices) -> pd.DataFrame:
    """What each row of today's saw: sessions, how many below it, since when, low and high."""
    volatility, sessions = past.volatility[place], np.bincount(row, minlength=now.size)
    some = sessions > 0
    first = (np.cumsum(sessions) - sessions)[some]
    since = np.full(now.size, np.datetime64("NaT", "us"))
    low, high = np.full(now.size, np.nan), np.full(now.size, np.nan)
    if volatility.size:
        since[some] = past.session[place[first]]
        low[some] = np.minimum.reduceat(volatility, first)
        high[some] = np.maximum.reduceat(volatility, first)
    below = np.bincount(row, weights=volatility < now[row], minlength=now.size)
    columns = {"sessions": sessions, "below": below, "since": since, "low": low, "high": high}
    return pd.DataFrame(columns)


def _ranked(table: pd.DataFrame, *, lookback: int, minimum: int) -> pd.DataFrame:
    now, sessions = floats(table["implied_volatility"]), table["sessions"].to_numpy()
    known = np.isfinite(now)
    low = np.where(known, np.fmin(floats(table["low"]), now), np.nan)
    high = np.where(known, np.fmax(floats(table["high"]), now), np.nan)
    enough = known & (sessions >= minimum)
    flat = enough & (high == low)
    with np.errstate(divide="ignore", invalid="ignore"):
        rank = np.where(enough & ~flat, 100.0 * ((now - low) / (high - low)), np.nan)
        percentile = np.where(enough, 100.0 * (floats(table["below"]) / sessions), np.nan)
    reasons = np.select(
        [~known, ~enough, flat],
        [
            NoRank.NO_CURRENT_VOLATILITY.value,
            NoRank.TOO_FEW_SESSIONS.value,
            NoRank.FLAT_HISTORY.value,
        ],
        NoRank.NONE.value,
    )
    ranked = table[["underlying", "session", "implied_volatility"]].assign(
        iv_rank=rank,
        iv_percentile=percentile,
        sessions=sessions,
        lookback=lookback,
        since=table["since"],
        low=low,
        high=high,
    )
    ranked["rank_reason"] = pd.Series(reasons, dtype="str")
    return ranked
