"""The lake: Parquet partitioned by session and scan, in a folder or behind a URL.

<root>/<table>/session=YYYY-MM-DD/scan=NAME/part.parquet    (no scan level without a scan)
<root>/snapshots/<hash[:2]>/<hash>.parquet                  immutable
<root>/option_chains/session=YYYY-MM-DD/scan=NAME.json      pointers to snapshots
<root>/reference/<table>.parquet
"""

import re
from collections import defaultdict
from collections.abc import Collection
from datetime import date, datetime
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from mahler_pipelines.errors import BadInput, MissingData
from mahler_pipelines.market.chains import ChainSnapshot, Scan, empty_quotes
from mahler_pipelines.storage import parquet
from mahler_pipelines.storage.files import LocalFiles, open_files
from mahler_pipelines.storage.parquet import Partition
from mahler_pipelines.storage.snapshots import (
    POINTER_TABLE,
    SNAPSHOT_FOLDER,
    SnapshotPointer,
    SnapshotStore,
    pointer_path,
)

REFERENCE_FOLDER = "reference"
PART = "part.parquet"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_PARTITION = re.compile(
    r"(?P<table>[^/]+)/session=(?P<session>\d{4}-\d{2}-\d{2})(?:/scan=(?P<scan>[^/]+))?/part\.parquet"
)
_POINTER = re.compile(
    POINTER_TABLE + r"/session=(?P<session>\d{4}-\d{2}-\d{2})/scan=(?P<scan>[^/]+)\.json"
)
_SCAN_ORDER = {scan.value: place for place, scan in enumerate(Scan)}


class ParquetLake:
    """Tables and snapshots under one root; satisfies `market.lake.Lake`.

    Frames come back in the dtypes they were written with; the index is not kept. The table
    `option_chains` has only pointers: `add_snapshot` writes it, reads give the quotes pointed to.
    """

    def __init__(self, root: str | Path) -> None:
        self._files = open_files(root)
        self._snapshots = SnapshotStore(self._files)

    @property
    def root(self) -> str:
        """The absolute folder, or the URL."""
        return self._files.root

    def write(
        self, table: str, rows: pd.DataFrame, *, session: date, scan: str | None = None
    ) -> str:
        """Replace a partition atomically; return its path relative to the lake's root.

        Raises `BadInput` for frames Parquet cannot hold, `LakeError` when the disk is full.
        """
        if table == POINTER_TABLE:
            raise BadInput("table", table, "holds pointers to snapshots: use add_snapshot")
        path = _partition_path(table, session, scan)
        self._files.write(path, parquet.encode(rows))
        return path

    def read(self, table: str, *, session: date, scan: str | None = None) -> pd.DataFrame:
        """Return one partition exactly as it was written.

        Raises `MissingData` when there is none and `CorruptData` when it is not whole.
        """
        if table == POINTER_TABLE:
            return self.snapshot(session=session, scan=scan).quotes
        path = _partition_path(table, session, scan)
        content = self._files.read(path)
        if content is None:
            raise _missing(table, session, scan, self.root)
        return parquet.decode(content, location=self._files.location(path))[0]

    def read_range(
        self, table: str, *, start: date, end: date, columns: tuple[str, ...] | None = None
    ) -> pd.DataFrame:
        """Return all partitions with start <= session <= end, by session and time of the scan.

        Adds `session` (datetime64[us]) and `scan` (str, missing without a scan); a column of that
        name which the rows have themselves is kept. Without partitions in the range the frame is
        empty, in the table's dtypes where the table has any partition.
        """
        _check_name("table", table)
        if table == POINTER_TABLE:
            return self._read_pointed(start, end, columns)
        partitions = self._partitions(table, start, end)
        if not partitions:
            return self._empty_range(table, columns)
        locations = [self._files.location(partition.path) for partition in partitions]
        same_depth = len({partition.scan is None for partition in partitions}) == 1
        if (
            isinstance(self._files, LocalFiles)
            and same_depth
            and not parquet.has_partition_columns(locations[0])
        ):
            return parquet.combine_local(partitions, locations, columns=columns)
        contents = [(partition, self._files.read(partition.path)) for partition in partitions]
        whole = [(partition, content) for partition, content in contents if content is not None]
        return parquet.combine(whole, columns=columns)

    def has(self, table: str, *, session: date, scan: str | None = None) -> bool:
        """Return whether the partition exists."""
        if table == POINTER_TABLE:
            return scan is not None and self._files.exists(pointer_path(session, scan))
        return self._files.exists(_partition_path(table, session, scan))

    def add_snapshot(self, snapshot: ChainSnapshot, *, move_pointer: bool = True) -> str:
        """Store a snapshot under its hash and return the hash; the same content is stored once.

        With `move_pointer` the session's and scan's partition then points to it.
        """
        _check_name("scan", snapshot.scan)
        content_hash = self._snapshots.add(snapshot)
        if move_pointer:
            self._snapshots.point(snapshot, content_hash)
        return content_hash

    def snapshot(
        self,
        *,
        session: date | None = None,
        scan: str | None = None,
        content_hash: str | None = None,
    ) -> ChainSnapshot:
        """Return the snapshot of a hash, or the one a session's scan points to.

        Raises `MissingData` when it is not there, `CorruptData` when its hash is another.
        """
        if content_hash is None:
            if session is None or scan is None:
                raise BadInput("content_hash", None, "needs a hash, or a session and a scan")
            content_hash = self._pointer(session, scan).content_hash
        return self._snapshots.get(content_hash)

    def snapshot_pointer(self, *, session: date, scan: str) -> SnapshotPointer:
        """Return what a session's scan points to and pointed to before, for `explain`."""
        return self._pointer(session, scan)

    def quotes_of(self, symbols: Collection[str], *, start: date, end: date) -> pd.DataFrame:
        """Return quotes of these contracts at every scan that is pointed to, by time.

        Reads their rows only, so that the hash of the whole snapshot is not looked at again.
        Raises `MissingData` for a pointer to a snapshot that is not there.
        """
        found = self._partitions(POINTER_TABLE, start, end) if symbols else []
        pointers = [self._pointer(one.session, str(one.scan)) for one in found]
        parts = [self._snapshots.quotes_of(symbols, pointer) for pointer in pointers]
        parts = [part for part in parts if len(part)]
        if not parts:
            return empty_quotes().assign(as_of=pd.Series(dtype="datetime64[us, UTC]"))
        together = pd.concat(parts, ignore_index=True)
        return together.sort_values(["as_of", "symbol"], kind="stable", ignore_index=True)

    def write_reference(self, table: str, rows: pd.DataFrame) -> str:
        """Replace a reference table atomically; return its path relative to the lake's root."""
        path = _reference_path(table)
        self._files.write(path, parquet.encode(rows))
        return path

    def read_reference(self, table: str) -> pd.DataFrame:
        """Return a reference table; an empty frame when absent."""
        path = _reference_path(table)
        content = self._files.read(path)
        if content is None:
            return pd.DataFrame()
        return parquet.decode(content, location=self._files.location(path))[0]

    def put_file(self, relative_path: str, content: bytes) -> str:
        """Write a picture or report atomically; return its location (a path or a URL)."""
        parts = PurePosixPath(relative_path).parts
        if not parts or PurePosixPath(relative_path).is_absolute() or ".." in parts:
            raise BadInput("relative_path", relative_path, "leads out of the lake")
        self._files.write(relative_path, content)
        return self._files.location(relative_path)

    def describe(self) -> dict[str, Any]:
        """Return root, tables (partitions, bytes, first and last session), snapshots and bytes."""
        tables: dict[str, dict[str, Any]] = defaultdict(lambda: {"partitions": 0, "bytes": 0})
        snapshots = total = 0
        for file in self._files.find(""):
            total += file.size
            snapshots += file.path.startswith(f"{SNAPSHOT_FOLDER}/")
            match = _PARTITION.fullmatch(file.path) or _POINTER.fullmatch(file.path)
            if match is None:
                continue
            table = tables[match.groupdict().get("table", POINTER_TABLE)]
            table["partitions"] += 1
            table["bytes"] += file.size
            table["first_session"] = min(table.get("first_session", "9999"), match["session"])
            table["last_session"] = max(table.get("last_session", ""), match["session"])
        return {
            "root": self.root,
            "tables": dict(sorted(tables.items())),
            "partitions": sum(table["partitions"] for table in tables.values()),
            "snapshots": snapshots,
            "bytes": total,
        }

    def remove_temporary_files(self, *, older_than_seconds: float = 3600.0) -> int:
        """Remove what killed writers left behind; return how many files went."""
        return self._files.remove_temporary(older_than_seconds=older_than_seconds)

    def _pointer(self, session: date, scan: str) -> SnapshotPointer:
        pointer = self._snapshots.pointer(session, scan)
        if pointer is None:
            raise _missing(POINTER_TABLE, session, scan, self.root)
        return pointer

    def _partitions(self, table: str, start: date, end: date) -> list[Partition]:
        pattern = _POINTER if table == POINTER_TABLE else _PARTITION

        def in_range(folder: str) -> bool:
            name, _, value = folder.partition("=")
            return name != "session" or start.isoformat() <= value <= end.isoformat()

        matches = (pattern.fullmatch(file.path) for file in self._files.find(table, enter=in_range))
        partitions = [
            Partition(match.string, date.fromisoformat(match["session"]), match["scan"])
            for match in matches
            if match is not None
        ]
        return sorted(partitions, key=_by_time)

    def _read_pointed(
        self, start: date, end: date, columns: tuple[str, ...] | None
    ) -> pd.DataFrame:
        frames = [
            self._snapshots.get(self._pointer(found.session, str(found.scan)).content_hash)
            for found in self._partitions(POINTER_TABLE, start, end)
        ]
        contents = [
            (Partition(POINTER_TABLE, shot.session, shot.scan), parquet.encode(shot.quotes))
            for shot in frames
        ]
        if not contents:
            return parquet.empty_range(None, location=POINTER_TABLE, columns=columns)
        return parquet.combine(contents, columns=columns)

    def _empty_range(self, table: str, columns: tuple[str, ...] | None) -> pd.DataFrame:
        anywhere = self._partitions(table, date.min, date.max)
        path = anywhere[-1].path if anywhere else table
        content = self._files.read(path) if anywhere else None
        return parquet.empty_range(content, location=path, columns=columns)


def _by_time(partition: Partition) -> tuple[date, int, str]:
    scan = partition.scan or ""
    return partition.session, _SCAN_ORDER.get(scan, len(_SCAN_ORDER)), scan


def _partition_path(table: str, session: date, scan: str | None) -> str:
    _check_name("table", table)
    if isinstance(session, datetime):
        raise BadInput("session", session, "a session is a date without a time")
    if table in (SNAPSHOT_FOLDER, REFERENCE_FOLDER):
        raise BadInput("table", table, "the name is taken by the lake itself")
    if scan is None:
        return f"{table}/session={session.isoformat()}/{PART}"
    _check_name("scan", scan)
    return f"{table}/session={session.isoformat()}/scan={scan}/{PART}"


def _reference_path(table: str) -> str:
    _check_name("table", table)
    return f"{REFERENCE_FOLDER}/{table}.parquet"


def _check_name(parameter: str, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise BadInput(parameter, name, "not letters, digits, dots, dashes and underscores")


def _missing(table: str, session: date, scan: str | None, root: str) -> MissingData:
    partition = f"session={session.isoformat()}" + (f" scan={scan}" if scan else "")
    return MissingData(f"table {table} has no partition {partition} in {root}")
