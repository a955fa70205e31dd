"""Merging archived rows into what the lake has: new, unchanged, or in conflict.

What was ingested first stays: a later file that says otherwise is shown, never silently believed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd

from mahler_pipelines.errors import UnknownSession
from mahler_pipelines.market.archive_rules import as_records
from mahler_pipelines.market.archives import fill_previous_volume
from mahler_pipelines.market.chains import QUOTE_COLUMNS, empty_quotes
from mahler_pipelines.market.lake import Lake
from mahler_pipelines.market.sessions import TradingCalendar

ARCHIVE_QUOTES = "archive_quotes"


@dataclass(frozen=True, slots=True, eq=False)
class Merge:
    """What became of a file's rows.

    `conflicting` has `position` (of the row in the file's rows), `in_lake` and `in_file` (the two
    records).
    """

    added: int
    unchanged: int
    conflicting: pd.DataFrame


@dataclass(frozen=True, slots=True, eq=False)
class _Compared:
    fresh: pd.DataFrame
    unchanged: int
    conflicting: pd.DataFrame

    def counted(self) -> Merge:
        """What became of the rows, without the rows."""
        return Merge(len(self.fresh), self.unchanged, self.conflicting)


def merge_quotes(lake: Lake, rows: pd.DataFrame, calendar: TradingCalendar) -> Merge:
    """Add quotes (columns `session` and `QUOTE_COLUMNS`) to the lake's sessions.

    A session is written only when it gains contracts or learns the volume of the session before.
    """
    merges: list[Merge] = []
    seen: set[date] = set()
    written: set[date] = set()
    for stamp, group in rows.groupby("session", sort=True):
        session = pd.Timestamp(str(stamp)).date()
        there = _session_quotes(lake, session)
        result = _compare(there, group[list(QUOTE_COLUMNS)], keys=("symbol",))
        merges.append(result.counted())
        seen.add(session)
        if not result.fresh.empty:
            together = pd.concat([there, result.fresh]) if len(there) else result.fresh
            quotes = together.sort_values("symbol", ignore_index=True)
            lake.write(
                ARCHIVE_QUOTES,
                _with_previous_volume(lake, quotes, session, calendar),
                session=session,
            )
            written.add(session)
    # After those that were there already too: an ingest may have stopped between the two writes.
    _refresh(lake, {_neighbour(calendar, day, 1) for day in seen} - written, calendar)
    return _total(merges)


def _session_quotes(lake: Lake, session: date) -> pd.DataFrame:
    if not lake.has(ARCHIVE_QUOTES, session=session):
        return empty_quotes()
    return lake.read(ARCHIVE_QUOTES, session=session)[list(QUOTE_COLUMNS)].astype(QUOTE_COLUMNS)


def _refresh(lake: Lake, sessions: set[date | None], calendar: TradingCalendar) -> None:
    """Tell sessions that the lake has what was traded on the day before."""
    for session in sorted(day for day in sessions if day is not None):
        there = _session_quotes(lake, session)
        filled = _with_previous_volume(lake, there, session, calendar)
        if not there.empty and not there.equals(filled):
            lake.write(ARCHIVE_QUOTES, filled, session=session)


def _with_previous_volume(
    lake: Lake, quotes: pd.DataFrame, session: date, calendar: TradingCalendar
) -> pd.DataFrame:
    previous = _neighbour(calendar, session, -1)
    before = None if previous is None else _session_quotes(lake, previous)
    return fill_previous_volume(quotes, before)


def _neighbour(calendar: TradingCalendar, session: date, count: int) -> date | None:
    try:
        return calendar.offset(session, count)
    except UnknownSession:
        return None


def merge_reference(lake: Lake, table: str, rows: pd.DataFrame, *, keys: Sequence[str]) -> Merge:
    """Add rows to a reference table in which `keys` identify a row."""
    there = lake.read_reference(table)
    if there.empty:
        there = rows.iloc[:0]
    result = _compare(there[list(rows.columns)].astype(rows.dtypes.to_dict()), rows, keys=keys)
    if not result.fresh.empty:
        together = pd.concat([there, result.fresh]) if len(there) else result.fresh
        lake.write_reference(table, together.sort_values(list(keys), ignore_index=True))
    return result.counted()


def _compare(there: pd.DataFrame, rows: pd.DataFrame, *, keys: Sequence[str]) -> _Compared:
    """Sort rows into new ones, those the lake has, and those that say something else."""
    if there.empty:
        return _Compared(rows, 0, _no_conflicts())
    values = [name for name in rows.columns if name not in (*keys, "previous_volume")]
    # Row by row against its counterpart: a missing counterpart has no position there.
    position = pd.MultiIndex.from_frame(there[list(keys)]).get_indexer(
        pd.MultiIndex.from_frame(rows[list(keys)])
    )
    known = position >= 0
    mine = rows.loc[known, values].reset_index(drop=True)
    theirs = there.iloc[position[known]][values].reset_index(drop=True)
    differs = ~((mine == theirs) | (mine.isna() & theirs.isna())).fillna(False).all(axis=1)
    differing = differs.to_numpy(dtype=bool)
    everything = there.iloc[position[known]][list(rows.columns)]
    conflicting = pd.DataFrame(
        {
            "position": rows.index[known][differing].to_numpy(dtype="int64"),
            "in_lake": as_records(everything.loc[differing]),
            "in_file": as_records(rows.loc[known].loc[differing]),
        }
    )
    return _Compared(rows.loc[~known], int(np.sum(known)) - len(conflicting), conflicting)


def _no_conflicts() -> pd.DataFrame:
    empty = pd.DataFrame({"position": [], "in_lake": [], "in_file": []})
    return empty.astype({"position": "int64", "in_lake": "object", "in_file": "object"})


def _total(merges: Sequence[Merge]) -> Merge:
    conflicts = [merge.conflicting for merge in merges if len(merge.conflicting)]
    return Merge(
        added=sum(merge.added for merge in merges),
        unchanged=sum(merge.unchanged for merge in merges),
        conflicting=pd.concat(conflicts, ignore_index=True) if conflicts else _no_conflicts(),
    )
