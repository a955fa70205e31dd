"""Daily bars beside an archive: one source per underlying, and unadjusted bars for settlement.

<lake_root>/reference/daily_bars.parquet has columns underlying, session, open, high, low, close,
volume, source, adjusted.
"""

from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path

import pandas as pd

from mahler_pipelines.market.data import BAR_COLUMNS

BARS_FILE = Path("reference") / "daily_bars.parquet"
SOURCE_PREFERENCE = ("heliar", "lean", "renshoek")


@dataclass(frozen=True, slots=True)
class SettlingBar:
    """Open and close of one session, as traded that day, and who says so."""

    open: float
    close: float
    source: str


class ArchivedBars:
    """Reads the reference bars once. Without a file there are no bars."""

    def __init__(self, lake_root: Path) -> None:
        self._path = lake_root / BARS_FILE

    def bars(
        self, underlying: str, start: date, end: date, *, covering: tuple[date, date]
    ) -> pd.DataFrame:
        """Bars of sessions in [start, end], all of the one source chosen for the underlying.

        `covering` is the period of the archive, which the source should span.
        """
        rows = self._of(underlying)
        source = self._source(rows, covering)
        days = rows["session"]
        kept = (rows["source"] == source) & (days >= _stamp(start)) & (days <= _stamp(end))
        return rows.loc[kept, list(BAR_COLUMNS)].sort_values("session").reset_index(drop=True)

    def settling_bar(self, underlying: str, session: date) -> SettlingBar | None:
        """Return the preferred bar of a session that is known to be unadjusted, or None."""
        rows = self._of(underlying)
        as_traded = rows["adjusted"].astype("boolean").eq(False).fillna(False)
        rows = rows.loc[(rows["session"] == _stamp(session)) & as_traded]
        for source in _in_preference(rows["source"]):
            row = rows.loc[rows["source"] == source].iloc[0]
            if pd.notna(row["open"]) and pd.notna(row["close"]):
                return SettlingBar(float(row["open"]), float(row["close"]), source)
        return None

    def _source(self, rows: pd.DataFrame, covering: tuple[date, date]) -> str | None:
        """The preferred source among those with the most sessions of the archive's period."""
        sources = _in_preference(rows["source"])
        if not sources:
            return None
        inside = rows.loc[rows["session"].between(_stamp(covering[0]), _stamp(covering[1]))]
        counts = inside["source"].value_counts()
        most = counts.max() if len(counts) else 0
        return next(source for source in sources if counts.get(source, 0) == most)

    def _of(self, underlying: str) -> pd.DataFrame:
        return self._table.loc[self._table["underlying"] == underlying]

    @cached_property
    def _table(self) -> pd.DataFrame:
        if not self._path.exists():
            columns = [*BAR_COLUMNS, "source", "adjusted"]
            empty = pd.DataFrame({name: pd.Series(dtype="float64") for name in columns})
            return empty.astype({"session": "datetime64[us]", "adjusted": "boolean"})
        table = pd.read_parquet(self._path)
        return table.assign(session=pd.to_datetime(table["session"]))


def _in_preference(sources: pd.Series) -> list[str]:
    found = set(sources)
    preferred = [source for source in SOURCE_PREFERENCE if source in found]
    return preferred + sorted(found - set(preferred))


def _stamp(day: date) -> pd.Timestamp:
    return pd.Timestamp(day)
