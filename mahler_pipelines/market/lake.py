"""The port of the lake: what was seen and computed, by session and scan."""

from collections.abc import Collection
from datetime import date
from typing import Any, Protocol

import pandas as pd

from mahler_pipelines.market.chains import ChainSnapshot


class Lake(Protocol):
    """Tables in Parquet, partitioned by session and scan; snapshots are immutable.

    Reads of what is not there raise `MissingData`, naming table and partition.
    """

    def write(
        self, table: str, rows: pd.DataFrame, *, session: date, scan: str | None = None
    ) -> str:
        """Replace a partition atomically; return its path relative to the lake's root."""
        ...

    def read(self, table: str, *, session: date, scan: str | None = None) -> pd.DataFrame:
        """One partition of a table."""
        ...

    def read_range(
        self, table: str, *, start: date, end: date, columns: tuple[str, ...] | None = None
    ) -> pd.DataFrame:
        """All partitions with start <= session <= end; adds columns `session` and `scan`.

        An absent table gives an empty frame.
        """
        ...

    def has(self, table: str, *, session: date, scan: str | None = None) -> bool:
        """Whether the partition exists."""
        ...

    def add_snapshot(self, snapshot: ChainSnapshot, *, move_pointer: bool = True) -> str:
        """Store a snapshot under its hash and return the hash.

        With `move_pointer` the session's and scan's partition then points to it.
        """
        ...

    def snapshot(
        self,
        *,
        session: date | None = None,
        scan: str | None = None,
        content_hash: str | None = None,
    ) -> ChainSnapshot:
        """The snapshot of a hash, or the one a partition points to."""
        ...

    def quotes_of(self, symbols: Collection[str], *, start: date, end: date) -> pd.DataFrame:
        """Quotes of these contracts at every whole scan with start <= session <= end.

        Columns of `chains.QUOTE_COLUMNS` and `as_of` (UTC), by time; no rows without scans.
        """
        ...

    def write_reference(self, table: str, rows: pd.DataFrame) -> str:
        """Replace a reference table (daily bars, volatility indices, rates) atomically."""
        ...

    def read_reference(self, table: str) -> pd.DataFrame:
        """A reference table; empty frame when absent."""
        ...

    def put_file(self, relative_path: str, content: bytes) -> str:
        """Write a picture or report atomically; return its location."""
        ...

    def remove_temporary_files(self, *, older_than_seconds: float = 3600.0) -> int:
        """Remove what killed writers left behind; return how many files went."""
        ...

    def describe(self) -> dict[str, Any]:
        """Root, tables, partitions and bytes, for status and doctor."""
        ...
