"""What outlives the double: documents in one SQLite file, which one local Discord has open."""

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mahler_pipelines.errors import BadInput, CorruptData

STATE_FILE = "discord.sqlite"
_LAYOUT = 1


class Store:
    """Documents by kind and id: messages, commands, people, the endpoint.

    Raises `BadInput` where another local Discord has the folder, `CorruptData` for a file of
    another layout.
    """

    def __init__(self, state_dir: Path) -> None:
        state_dir.mkdir(parents=True, exist_ok=True)
        path = state_dir / STATE_FILE
        # Served from one thread, which need not be the one that opened it.
        self._base = sqlite3.connect(path, timeout=0.5, check_same_thread=False)
        self._base.isolation_level = None
        try:
            self._open(path)
        except BaseException:
            self._base.close()
            raise

    def _open(self, path: Path) -> None:
        try:
            self._base.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._base.execute("PRAGMA synchronous = OFF")
            self._base.execute("BEGIN EXCLUSIVE")
            layout = self._base.execute("PRAGMA user_version").fetchone()[0]
            if layout not in (0, _LAYOUT):
                raise CorruptData(f"{path} has layout {layout}, not {_LAYOUT}")
            self._base.execute(
                "CREATE TABLE IF NOT EXISTS documents"
                " (kind TEXT, id TEXT, body TEXT NOT NULL, PRIMARY KEY (kind, id))"
            )
            self._base.execute(f"PRAGMA user_version = {_LAYOUT}")
            self._base.execute("COMMIT")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise CorruptData(f"{path}: {error}") from None
            raise BadInput("state", str(path.parent), "another local Discord runs on it") from None
        except sqlite3.DatabaseError as error:
            raise CorruptData(f"{path}: {error}") from None

    def put(self, kind: str, identifier: str, body: Any) -> None:
        """Keep a document, instead of the one before."""
        self._base.execute(
            "INSERT OR REPLACE INTO documents VALUES (?, ?, ?)",
            (kind, identifier, json.dumps(body)),
        )

    def drop(self, kind: str, identifier: str) -> None:
        """Forget a document."""
        self._base.execute("DELETE FROM documents WHERE kind = ? AND id = ?", (kind, identifier))

    def all(self, kind: str) -> Iterator[Any]:
        """Yield the documents of a kind, in the order of their ids' length and text."""
        rows = self._base.execute(
            "SELECT body FROM documents WHERE kind = ? ORDER BY length(id), id", (kind,)
        ).fetchall()
        yield from (json.loads(body) for (body,) in rows)

    def close(self) -> None:
        """Give the file free."""
        self._base.close()
