"""Engines of the two databases, how their transactions open, and what their errors mean."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event, exc

from mahler_pipelines.errors import BadInput, CorruptData, LedgerBusy, LedgerError, MahlerError

WRITE_LOCK = {"mahler_begin": "BEGIN IMMEDIATE"}
"""Execution option of a connection whose transaction takes SQLite's write lock at once."""

_SQLITE_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_SQLITE_CORRUPT = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_POSTGRESQL_BUSY = {"55P03", "40P01", "40001"}  # lock not available, deadlock, serialization


def open_engine(url: str, *, timeout_seconds: float) -> sa.Engine:
    """Return an engine of `sqlite:///…` or `postgresql+psycopg2://…`; it connects when used.

    Raises `BadInput` for another database or driver.
    """
    try:
        parsed = sa.make_url(url)
    except exc.ArgumentError as error:
        raise BadInput("url", url, "not a database URL") from error
    if parsed.drivername == "postgresql+psycopg2":
        return sa.create_engine(parsed, pool_pre_ping=True)
    if parsed.drivername != "sqlite":
        shown = parsed.render_as_string(hide_password=True)
        raise BadInput("url", shown, "neither sqlite:/// nor postgresql+psycopg2://")
    if parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(parsed, connect_args={"timeout": timeout_seconds})
    event.listen(engine, "connect", _prepare_sqlite(timeout_seconds))
    event.listen(engine, "begin", _begin_sqlite)
    return engine


@contextmanager
def translated() -> Iterator[None]:
    """Turn errors of the database into ours.

    A lock that was not got in time is `LedgerBusy`, a damaged file `CorruptData`, the rest
    `LedgerError`.
    """
    try:
        yield
    except exc.StatementError as error:
        if isinstance(error.orig, MahlerError):
            raise error.orig from error
        raise _our_error(error) from error
    except exc.SQLAlchemyError as error:
        raise LedgerError(str(error)) from error


def _our_error(error: exc.StatementError) -> MahlerError:
    cause = error.orig
    code = getattr(cause, "sqlite_errorcode", 0) & 0xFF
    if code in _SQLITE_BUSY or getattr(cause, "pgcode", None) in _POSTGRESQL_BUSY:
        return LedgerBusy(f"the ledger stayed locked: {cause}")
    if code in _SQLITE_CORRUPT:
        return CorruptData(f"the ledger's file is damaged: {cause}")
    return LedgerError(f"the ledger refused: {cause}")


def _prepare_sqlite(timeout_seconds: float) -> Any:
    def prepare(connection: sqlite3.Connection, _record: object) -> None:
        # sqlite3 would open transactions by its own rules: `_begin_sqlite` does it instead.
        connection.isolation_level = None
        _enter_wal(connection, timeout_seconds)
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = FULL")

    return prepare


def _enter_wal(connection: sqlite3.Connection, timeout_seconds: float) -> None:
    # SQLite does not wait by itself while another process changes the journal mode.
    give_up = time.monotonic() + timeout_seconds
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL").fetchone()
            return
        except sqlite3.OperationalError as error:
            if (error.sqlite_errorcode & 0xFF) not in _SQLITE_BUSY or time.monotonic() > give_up:
                raise
            time.sleep(0.01)


def _begin_sqlite(connection: sa.Connection) -> None:
    begin = connection.get_execution_options().get("mahler_begin", "BEGIN")
    connection.exec_driver_sql(begin)
