"""The request budget of a book: one SQLite file that all of its processes count in.

Each request is a row for a minute, counted and written under one `BEGIN IMMEDIATE`, so that any
window of a minute holds at most the limit, wherever the broker's own minutes begin. The lock is
SQLite's and dies with its holder. Time is the monotonic clock, which the processes of a machine
share and nobody sets; a row from its future was written before a restart and goes.
"""

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from mahler_pipelines.execution.request_budget import Api, RequestLimits, Turn, Urgency

T = TypeVar("T")

_log = logging.getLogger(__name__)

UNLIMITED = 1_000_000_000
"""What is left where nothing is counted."""

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS requests (api TEXT NOT NULL, at REAL NOT NULL)",
    "CREATE INDEX IF NOT EXISTS requests_by_time ON requests (api, at)",
    """CREATE TABLE IF NOT EXISTS told
    (api TEXT PRIMARY KEY, remaining INTEGER NOT NULL, until REAL NOT NULL)""",
)
_LOCK_SECONDS = 1.0
_LOCK_POLL_SECONDS = 0.0002
_SAME_RESET_SECONDS = 2.0
_SHORTEST_WAIT = 0.001
_INHERITED: list[sqlite3.Connection | None] = []


class SharedRequestBudget:
    """Counts requests across processes; satisfies `execution.request_budget.RequestBudget`.

    Where the file cannot be used (disk full, locked, damaged) it says so in the log and counts this
    process alone, and tries the file again after `rest_seconds`: counting never stops a request.
    """

    _file: sqlite3.Connection | None
    _alone: sqlite3.Connection | None

    def __init__(
        self,
        path: Path,
        limits: RequestLimits,
        *,
        window_seconds: float = 60.0,
        rest_seconds: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._limits = limits
        self._window = window_seconds
        self._rest = rest_seconds
        self._clock = clock
        self._begin_process()

    def take(self, api: Api, urgency: Urgency) -> Turn:
        """Count a request, or say how long to wait."""
        limit = self._limits.of(api)
        if limit is None:
            return Turn(0.0, UNLIMITED, 0.0)
        kept = self._limits.kept_from(urgency, api)
        return self._counted(lambda count: self._take(count, api, limit, kept))

    def learn(self, api: Api, turn: Turn, *, remaining: int, reset_seconds: float) -> None:
        """Heed what the broker said, where it is less than what was thought to be left."""
        seconds = min(reset_seconds, self._window)
        is_news = remaining < turn.left or remaining <= 0
        if self._limits.of(api) is None or not is_news or seconds <= 0:
            return
        self._counted(lambda count: self._learn(count, api, turn.at, remaining, seconds))

    def close(self) -> None:
        """Close the files; the next request opens them again."""
        with self._lock:
            self._drop_file()
            if self._alone is not None:
                self._alone.close()
                self._alone = None

    def _take(self, count: sqlite3.Connection, api: Api, limit: int, kept: int) -> Turn:
        now = self._clock()
        self._forget(count, api, now)
        (used,) = count.execute("SELECT count(*) FROM requests WHERE api = ?", (api,)).fetchone()
        told = count.execute("SELECT remaining, until FROM told WHERE api = ?", (api,)).fetchone()
        left = limit - used if told is None else min(limit - used, told[0])
        if left > kept:
            count.execute("INSERT INTO requests VALUES (?, ?)", (api, now))
            if told is not None:
                count.execute("UPDATE told SET remaining = remaining - 1 WHERE api = ?", (api,))
            return Turn(0.0, left - 1, now)
        return Turn(max(self._wait(count, api, now, limit - kept, told), _SHORTEST_WAIT), left, now)

    def _wait(
        self,
        count: sqlite3.Connection,
        api: Api,
        now: float,
        most: int,
        told: tuple[int, float] | None,
    ) -> float:
        """Seconds until the request that stands in the way is a minute old, or the broker resets.

        Where both stand in the way this is the earlier, and asking again finds the other.
        """
        # The most-th youngest request: when it is gone, fewer than `most` are left.
        youngest = "SELECT at FROM requests WHERE api = ? ORDER BY at DESC LIMIT 1 OFFSET ?"
        row = count.execute(youngest, (api, most - 1)).fetchone()
        ends = [] if row is None else [float(row[0]) + self._window]
        return min(ends if told is None else [*ends, told[1]]) - now

    def _learn(
        self, count: sqlite3.Connection, api: Api, at: float, remaining: int, seconds: float
    ) -> None:
        now = self._clock()
        self._forget(count, api, now)
        # Those that went after it may not have been counted in what it was told.
        later = "SELECT count(*) FROM requests WHERE api = ? AND at > ?"
        (after,) = count.execute(later, (api, at)).fetchone()
        remaining, until = max(0, remaining - after), now + seconds
        told = count.execute("SELECT remaining, until FROM told WHERE api = ?", (api,)).fetchone()
        if told is not None and abs(told[1] - until) <= _SAME_RESET_SECONDS:
            remaining, until = min(remaining, told[0]), max(until, told[1])
        count.execute("INSERT OR REPLACE INTO told VALUES (?, ?, ?)", (api, remaining, until))

    def _forget(self, count: sqlite3.Connection, api: Api, now: float) -> None:
        """Remove what is a minute old, and what lies in the future or further than a minute."""
        ends = (api, now - self._window, now)
        count.execute("DELETE FROM requests WHERE api = ? AND (at <= ? OR at > ?)", ends)
        ends = (api, now, now + self._window)
        count.execute("DELETE FROM told WHERE api = ? AND (until <= ? OR until > ?)", ends)

    def _counted(self, step: Callable[[sqlite3.Connection], T]) -> T:
        """Run a step on the file under its lock, or on this process's own count."""
        if self._pid != os.getpid():
            _INHERITED.append(self._file)
            self._begin_process()
        with self._lock:
            if time.monotonic() >= self._file_again_at:
                try:
                    with _locked(self._file_open()) as count:
                        answer = step(count)
                    self._say_found()
                    return answer
                except (sqlite3.Error, OSError) as error:
                    self._say_lost(error)
            if self._alone is None:
                self._alone = _opened(":memory:")
            with _locked(self._alone) as count:
                return step(count)

    def _begin_process(self) -> None:
        """Start with own connections: a parent's are neither used nor closed after a fork."""
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._file = None
        self._alone = None
        self._file_again_at = 0.0
        self._is_lost = False

    def _file_open(self) -> sqlite3.Connection:
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = _opened(str(self._path))
        return self._file

    def _drop_file(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _say_lost(self, error: Exception) -> None:
        self._drop_file()
        self._file_again_at = time.monotonic() + self._rest
        if not self._is_lost:
            _log.warning(
                "requests are counted for this process alone: %s cannot be used: %s",
                self._path,
                error,
            )
        self._is_lost = True

    def _say_found(self) -> None:
        if self._is_lost:
            _log.info("requests of all processes are counted again: %s", self._path)
        self._is_lost = False


def _opened(path: str) -> sqlite3.Connection:
    """Open a count; what a crash of the machine may lose of it is a minute of counting."""
    count = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
    try:
        _patiently(count, "PRAGMA journal_mode = WAL")
        count.execute("PRAGMA synchronous = NORMAL")
        with _locked(count):
            for statement in _SCHEMA:
                count.execute(statement)
    except sqlite3.Error:
        count.close()
        raise
    return count


def _patiently(count: sqlite3.Connection, statement: str) -> None:
    """Wait for another process's lock: SQLite's own steps of milliseconds are long for a turn."""
    give_up = time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            count.execute(statement)
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > give_up:
                raise
            time.sleep(_LOCK_POLL_SECONDS)


@contextmanager
def _locked(count: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    _patiently(count, "BEGIN IMMEDIATE")
    try:
        yield count
    except BaseException:
        if count.in_transaction:  # SQLite itself gives up some of them
            count.execute("ROLLBACK")
        raise
    count.execute("COMMIT")
