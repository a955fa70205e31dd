"""Ranks of a whole universe, with a volatility index in place of a history that is too short."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import pandas as pd

from mahler_pipelines.market.ranks import rank_universe

RANK_COLUMNS: Final = (
    "iv_rank",
    "iv_percentile",
    "sessions",
    "since",
    "low",
    "high",
    "rank_reason",
)
STAND_IN_DAYS: Final = timedelta(days=7)
"""A stand-in whose last close is older than this says nothing about the scan."""


def rank_with_stand_ins(
    history: pd.DataFrame,
    current: pd.DataFrame,
    indices: pd.DataFrame,
    *,
    stand_ins: Mapping[str, str],
    lookback: int,
    minimum: int,
    coverage: float,
) -> pd.DataFrame:
    """Rank every underlying; a named volatility index stands in where the own history is thin.

    `current` has underlying, session, implied_volatility; `indices` name, session, close. An own
    history of `coverage` x `lookback` sessions has the word, whatever an index has. A stand-in
    ranks the index's close of the previous session in its own past: like with like, and nothing
    later than the scan. Adds `iv_rank_basis`, what each rank rests on in words.
    """
    own = rank_universe(history, current, lookback=lookback, minimum=minimum)
    own["iv_rank_basis"] = (
        "30-day at-the-money volatility over "
        + own["sessions"].astype("str")
        + f" of {lookback} sessions"
    )
    own["iv30"] = own["implied_volatility"]
    rows = []
    for row in own.to_dict("records"):
        name = stand_ins.get(str(row["underlying"]))
        if name is not None and row["sessions"] < coverage * lookback:
            ranked = _stand_in(indices, name, row["session"], lookback=lookback, minimum=minimum)
            if ranked and ranked["sessions"] > row["sessions"]:
                row.update(ranked)
        rows.append(row)
    return pd.DataFrame(rows, columns=own.columns).astype(own.dtypes.to_dict())


def _stand_in(
    indices: pd.DataFrame, name: str, session: pd.Timestamp, *, lookback: int, minimum: int
) -> dict[str, Any]:
    """Rank columns and basis from the index's recent closes before `session`; empty without any."""
    if indices.empty:
        return {}
    earlier = (indices["name"] == name) & (indices["session"] < session)
    closes = indices[earlier & indices["close"].notna()]
    if closes.empty or closes["session"].max() < session - STAND_IN_DAYS:
        return {}
    past = closes.sort_values("session").rename(
        columns={"name": "underlying", "close": "implied_volatility"}
    )[["underlying", "session", "implied_volatility"]]
    ranked = rank_universe(past.iloc[:-1], past.iloc[-1:], lookback=lookback, minimum=minimum)
    row = ranked.to_dict("records")[0]
    basis = (
        f"{name} close of {row['session']:%Y-%m-%d} over {row['sessions']} of {lookback} sessions"
    )
    return {**{str(key): row[key] for key in RANK_COLUMNS}, "iv_rank_basis": basis}
