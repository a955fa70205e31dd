"""The volatility history a rank rests on: what the desk saw, and the cold start before it."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import pandas as pd

from mahler_pipelines.market.chains import Scan
from mahler_pipelines.market.data import MarketData
from mahler_pipelines.market.fetching import fetch_each
from mahler_pipelines.market.iv_history import (
    FURTHEST_DAYS,
    historical_constant_maturity,
    near_money_symbols,
)
from mahler_pipelines.market.lake import Lake
from mahler_pipelines.market.ranks import rank_universe

HISTORY_COLUMNS = ("underlying", "session", "implied_volatility", "source")
RANK_COLUMNS = ("iv_rank", "iv_percentile", "sessions", "since", "low", "high", "rank_reason")
FROM_SCAN, FROM_OPTION_BARS, NOTHING = "scan", "option_bars", "none"
MATURITY_DAYS = 30
STAND_IN_DAYS = timedelta(days=7)
"""A stand-in whose last close is older than this says nothing about the scan."""


def fill_history(
    known: pd.DataFrame,
    market_data: MarketData,
    bars: pd.DataFrame,
    *,
    underlyings: Sequence[str],
    sessions: Sequence[date],
    rate: float,
) -> pd.DataFrame:
    """Return the 30-day volatility of every underlying and session; ask only for what is missing.

    `known` has `HISTORY_COLUMNS`. Missing sessions are computed from daily closes of the contracts
    near the money and near 30 days; where the market has none the row stays, without a volatility
    and with source `none`, so that it is not asked for again.
    """
    wanted = pd.MultiIndex.from_product(
        [list(underlyings), pd.to_datetime(pd.Series(list(sessions), dtype="datetime64[us]"))],
        names=["underlying", "session"],
    )
    have = pd.MultiIndex.from_frame(known[["underlying", "session"]])
    missing = wanted.difference(have).to_frame(index=False)
    if missing.empty:
        return known.sort_values(["underlying", "session"], ignore_index=True)
    groups = {str(name): of_one for name, of_one in missing.groupby("underlying", sort=True)}
    found = fetch_each(
        lambda name: _from_option_bars(groups[name], market_data, bars, rate=rate), list(groups)
    )
    filled = missing.merge(
        pd.concat(found, ignore_index=True), on=["underlying", "session"], how="left"
    )
    seen = filled["implied_volatility"].notna()
    filled["source"] = seen.map({True: FROM_OPTION_BARS, False: NOTHING}).astype("str")
    together = pd.concat([known, filled[list(HISTORY_COLUMNS)]], ignore_index=True)
    return together.sort_values(["underlying", "session"], ignore_index=True)


def latest_history(
    lake: Lake, table: str, *, sessions: Sequence[date], scans: Sequence[str]
) -> pd.DataFrame:
    """The newest earlier partition of the history; empty with its columns when there is none."""
    for session in reversed(sessions):
        for scan in reversed(scans):
            if lake.has(table, session=session, scan=scan):
                return lake.read(table, session=session, scan=scan)
    return empty_history()


def earlier_today(lake: Lake, table: str, *, session: date, before: Scan) -> pd.DataFrame | None:
    """The partition of the session's first scan that ran before this one, or None."""
    for scan in list(Scan)[: list(Scan).index(before)]:
        if lake.has(table, session=session, scan=scan.value):
            return lake.read(table, session=session, scan=scan.value)
    return None


def empty_history() -> pd.DataFrame:
    """A history without rows."""
    return pd.DataFrame(
        {
            "underlying": pd.Series(dtype="str"),
            "session": pd.Series(dtype="datetime64[us]"),
            "implied_volatility": pd.Series(dtype="float64"),
            "source": pd.Series(dtype="str"),
        }
    )


def rank_with_stand_ins(
    history: pd.DataFrame,
    current: pd.DataFrame,
    indices: pd.DataFrame,
    *,
    stand_ins: dict[str, str],
    lookback: int,
    minimum: int,
) -> pd.DataFrame:
    """Rank every underlying; a named volatility index stands in where the own history is shorter.

    `current` has underlying, session, implied_volatility; `indices` name, session, close. A
    stand-in ranks the index's close of the previous session in its own past: like with like, and
    nothing later than the scan. Adds `iv_rank_basis`, what each rank rests on in words.
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
        if name is not None and row["sessions"] < lookback:
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


def _from_option_bars(
    missing: pd.DataFrame, market_data: MarketData, bars: pd.DataFrame, *, rate: float
) -> pd.DataFrame:
    """Volatilities of one underlying's missing sessions."""
    nothing = pd.DataFrame(
        {
            "underlying": pd.Series(dtype="str"),
            "session": pd.Series(dtype="datetime64[us]"),
            "implied_volatility": pd.Series(dtype="float64"),
        }
    )
    underlying = str(missing["underlying"].iloc[0])
    days = [stamp.date() for stamp in missing["session"]]
    shares = bars[(bars["underlying"] == underlying) & bars["session"].isin(missing["session"])]
    if shares.empty:
        return nothing
    first, last = min(days), max(days) + timedelta(days=FURTHEST_DAYS)
    listed = [
        market_data.listed_contracts(underlying, expires_from=first, expires_to=last, active=active)
        for active in (True, False)
    ]
    contracts = pd.concat(listed, ignore_index=True).drop_duplicates("symbol")
    if contracts.empty:
        return nothing
    chosen = near_money_symbols(contracts, shares, sessions=days, days=MATURITY_DAYS)
    if chosen.empty:
        return nothing
    closes = market_data.option_daily_bars(
        sorted(chosen["symbol"].unique()), start=first, end=max(days)
    )
    # A contract's bars run through its life; it was near the money when it was chosen.
    closes = closes.merge(chosen[["symbol", "session"]], on=["symbol", "session"])
    if closes.empty:
        return nothing
    found = historical_constant_maturity(
        closes, contracts, shares, rate=rate, days=float(MATURITY_DAYS)
    )
    return found[["underlying", "session", "implied_volatility"]]
