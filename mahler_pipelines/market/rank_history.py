"""The history a rank rests on: what scans saw, what was backfilled, and what is still missing."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

import pandas as pd

from mahler_pipelines.market.chains import Scan
from mahler_pipelines.market.lake import Lake
from mahler_pipelines.market.past_volatility import PastMarket, past_volatilities
from mahler_pipelines.market.volatility_history import (
    best_known,
    conform_history,
    empty_history,
    missing_sessions,
)

BACKFILLED: Final = "past_volatilities"
"""The lake's table of backfilled sessions, one partition each; their rows name no session."""


@dataclass(frozen=True, slots=True, eq=False)
class FilledHistory:
    """A history of every session that was wanted, and how many of its rows were looked for now."""

    rows: pd.DataFrame
    looked_for: int


def fill_history(
    known: pd.DataFrame,
    past: PastMarket,
    bars: pd.DataFrame,
    *,
    underlyings: Sequence[str],
    sessions: Sequence[date],
) -> FilledHistory:
    """Complete a history to every underlying and session; look only for what it has no row of.

    A row without a volatility (source `none`) is a row: it was looked for in vain, and is not
    again. `bars` are the daily bars of the underlyings over the sessions.
    """
    missing = missing_sessions(known, underlyings=underlyings, sessions=sessions)
    found = past_volatilities(missing, past, bars)
    return FilledHistory(best_known(known, found), len(missing))


def known_history(lake: Lake, *, sessions: Sequence[date], until: date) -> pd.DataFrame:
    """Return what the lake knows of these sessions: backfilled, and carried by earlier scans.

    `until` is the session that asks; the scans it has had already count. Backfilling a session
    again replaces what a scan carried from the same source.
    """
    backfilled = backfilled_history(lake, start=sessions[0], end=sessions[-1])
    scans = [scan.value for scan in Scan]
    carried = latest_history(lake, "iv_history", sessions=[*sessions, until], scans=scans)
    wanted = pd.to_datetime(pd.Series(list(sessions), dtype="datetime64[us]"))
    together = best_known(backfilled, carried)
    return together[together["session"].isin(wanted)].reset_index(drop=True)


def backfilled_history(lake: Lake, *, start: date, end: date) -> pd.DataFrame:
    """Return what was backfilled of the sessions from start to end, both included."""
    return conform_history(lake.read_range(BACKFILLED, start=start, end=end))


def latest_history(
    lake: Lake, table: str, *, sessions: Sequence[date], scans: Sequence[str]
) -> pd.DataFrame:
    """Return the newest partition of the history; empty with its columns when there is none."""
    for session in reversed(sessions):
        for scan in reversed(scans):
            if lake.has(table, session=session, scan=scan):
                return conform_history(lake.read(table, session=session, scan=scan))
    return empty_history()


def earlier_today(lake: Lake, table: str, *, session: date, before: Scan) -> pd.DataFrame | None:
    """The partition of the session's first scan that ran before this one, or None."""
    for scan in list(Scan)[: list(Scan).index(before)]:
        if lake.has(table, session=session, scan=scan.value):
            return lake.read(table, session=session, scan=scan.value)
    return None
