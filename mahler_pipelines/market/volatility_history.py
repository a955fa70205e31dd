"""A volatility history: one row per underlying and session, and where each came from."""

from collections.abc import Mapping, Sequence
from datetime import date
from enum import StrEnum
from typing import Final

import pandas as pd

HISTORY_COLUMNS: Final[Mapping[str, str]] = {
    "underlying": "str",
    "session": "datetime64[us]",
    "implied_volatility": "float64",
    "term_slope": "float64",
    "source": "str",
}
"""Column -> dtype. `implied_volatility` is at the money and 30 days out; `term_slope` the one 90
days out less that, NaN where only the 30 days are known. Both are fractions a year."""


class HistorySource(StrEnum):
    """Where the volatility of a session came from, the best first."""

    SCAN = "scan"
    ARCHIVE = "archive"
    OPTION_BARS = "option_bars"
    NONE = "none"


def empty_history() -> pd.DataFrame:
    """Return a history without rows."""
    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in HISTORY_COLUMNS.items()})


def conform_history(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of a history in order and dtype; what an older table lacks is NaN."""
    return rows.reindex(columns=list(HISTORY_COLUMNS)).astype(dict(HISTORY_COLUMNS))


def best_known(*histories: pd.DataFrame) -> pd.DataFrame:
    """Return the best row that any history has of each underlying and session, sorted by both.

    One with a volatility goes before one without, then the better source; between equals the
    history named first has the word.
    """
    rows = pd.concat([conform_history(one) for one in histories], ignore_index=True)
    places = {source.value: place for place, source in enumerate(HistorySource)}
    order = rows.assign(
        unknown=rows["implied_volatility"].isna(), place=rows["source"].map(places)
    ).sort_values(["underlying", "session", "unknown", "place"], kind="stable")
    kept = order.drop_duplicates(["underlying", "session"])
    return kept[list(HISTORY_COLUMNS)].reset_index(drop=True)


def missing_sessions(
    known: pd.DataFrame, *, underlyings: Sequence[str], sessions: Sequence[date]
) -> pd.DataFrame:
    """Return underlying and session of every row that a history does not have, sorted."""
    days = pd.to_datetime(pd.Series(list(sessions), dtype="datetime64[us]"))
    keys = ["underlying", "session"]
    wanted = pd.MultiIndex.from_product([list(underlyings), days], names=keys)
    missing = wanted.difference(pd.MultiIndex.from_frame(known[keys])).to_frame(index=False)
    return missing.astype({name: HISTORY_COLUMNS[name] for name in keys})
