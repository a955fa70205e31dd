"""Chain snapshots by content hash, and the pointers from a session's scan to one of them.

`snapshots/<hash[:2]>/<hash>.parquet` never changes. The pointer
`option_chains/session=YYYY-MM-DD/scan=NAME.json` names the hash, its time, and the hashes it
pointed to before.
"""

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime

import pandas as pd

from mahler_pipelines.errors import BadInput, CorruptData, MissingData
from mahler_pipelines.market.chains import QUOTE_COLUMNS, ChainSnapshot
from mahler_pipelines.storage import parquet
from mahler_pipelines.storage.files import Files

POINTER_TABLE = "option_chains"
SNAPSHOT_FOLDER = "snapshots"


@dataclass(frozen=True, slots=True)
class SnapshotPointer:
    """What a partition points to, and what it pointed to before, oldest first."""

    content_hash: str
    as_of: datetime
    previous: tuple[str, ...]


class SnapshotStore:
    """Snapshots and pointers in one set of files."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def add(self, snapshot: ChainSnapshot) -> str:
        """Store a snapshot under its hash, once, and return the hash.

        Raises `BadInput` when a column is not in its dtype: the hash would not survive storage.
        """
        content_hash = snapshot.content_hash
        path = _snapshot_path(content_hash)
        if not self._files.exists(path):
            rows = snapshot.quotes[list(QUOTE_COLUMNS)].reset_index(drop=True)
            found = {name: str(dtype) for name, dtype in rows.dtypes.items()}
            wrong = {name: found[name] for name in found if found[name] != QUOTE_COLUMNS[str(name)]}
            if wrong:
                raise BadInput("quotes", wrong, "not in the dtypes of QUOTE_COLUMNS")
            metadata = {
                "session": snapshot.session.isoformat(),
                "scan": str(snapshot.scan),
                "as_of": snapshot.as_of.isoformat(),
            }
            self._files.write(path, parquet.encode(rows, metadata=metadata))
        return content_hash

    def get(self, content_hash: str) -> ChainSnapshot:
        """Return a snapshot; raise `CorruptData` when its content has another hash."""
        path = _snapshot_path(content_hash)
        content = self._files.read(path)
        if content is None:
            raise MissingData(f"no snapshot {content_hash} in {self._files.root}")
        location = self._files.location(path)
        rows, metadata = parquet.decode(content, location=location)
        try:
            snapshot = ChainSnapshot(
                session=date.fromisoformat(metadata["session"]),
                scan=metadata["scan"],
                as_of=datetime.fromisoformat(metadata["as_of"]),
                quotes=rows,
            )
        except (KeyError, ValueError) as error:
            raise CorruptData(f"{location} is not a snapshot: {error!r}") from error
        if (found := snapshot.content_hash) != content_hash:
            raise CorruptData(f"{location} has the content hash {found}")
        return snapshot

    def quotes_of(self, symbols: Collection[str], pointer: SnapshotPointer) -> pd.DataFrame:
        """Return these contracts' rows of a snapshot, with its `as_of`; absent ones have no row."""
        path = _snapshot_path(pointer.content_hash)
        content = self._files.read(path)
        if content is None:
            raise MissingData(f"no snapshot {pointer.content_hash} in {self._files.root}")
        rows = parquet.select(
            content, location=self._files.location(path), column="symbol", values=symbols
        )
        return rows.assign(as_of=pd.Timestamp(pointer.as_of).tz_convert("UTC").as_unit("us"))

    def point(self, snapshot: ChainSnapshot, content_hash: str) -> None:
        """Let the snapshot's session and scan point to it; nothing changes if they do already."""
        before = self.pointer(snapshot.session, snapshot.scan)
        if before is not None and before.content_hash == content_hash:
            return
        previous = () if before is None else (*before.previous, before.content_hash)
        pointer = {
            "hash": content_hash,
            "as_of": snapshot.as_of.isoformat(),
            "previous": list(previous),
        }
        path = pointer_path(snapshot.session, snapshot.scan)
        self._files.write(path, json.dumps(pointer, indent=1).encode())

    def pointer(self, session: date, scan: str) -> SnapshotPointer | None:
        """Return what a session's scan points to, or None."""
        path = pointer_path(session, scan)
        content = self._files.read(path)
        if content is None:
            return None
        try:
            pointer = json.loads(content)
            return SnapshotPointer(
                content_hash=str(pointer["hash"]),
                as_of=datetime.fromisoformat(pointer["as_of"]),
                previous=tuple(pointer["previous"]),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise CorruptData(f"{self._files.location(path)} is no pointer: {error!r}") from error


def pointer_path(session: date, scan: str) -> str:
    """Return the relative path of a pointer."""
    return f"{POINTER_TABLE}/session={session.isoformat()}/scan={scan}.json"


def _snapshot_path(content_hash: str) -> str:
    if not content_hash.isalnum():
        raise BadInput("content_hash", content_hash, "not a hash")
    return f"{SNAPSHOT_FOLDER}/{content_hash[:2]}/{content_hash}.parquet"
