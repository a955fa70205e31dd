"""Bring a ledger to the newest revision, once, however many processes open it together."""

from pathlib import Path
from typing import Any

import sqlalchemy as sa

from mahler_pipelines.errors import LedgerError
from mahler_pipelines.storage.engine import WRITE_LOCK, open_engine, translated
from mahler_pipelines.storage.messaging_tables import cards
from mahler_pipelines.storage.tables import metadata

HEAD = "0003"
"""The newest revision in `migrations/versions`: a ledger that has it needs no Alembic."""

# Importing a module of tables puts them into the metadata; this says that none was forgotten.
assert cards.metadata is metadata  # noqa: S101

_ADVISORY_LOCK = 0x4D41484C4552


def upgrade(url: str, *, timeout_seconds: float = 30.0) -> None:
    """Create or migrate the ledger behind a URL; nothing happens at the newest revision."""
    engine = open_engine(url, timeout_seconds=timeout_seconds)
    try:
        upgrade_engine(engine)
    finally:
        engine.dispose()


def upgrade_engine(engine: sa.Engine) -> None:
    """Create or migrate the ledger of an engine, all in one transaction.

    The write lock (SQLite) or an advisory lock (PostgreSQL) lets one process work while others
    wait and then find it done. Raises `LedgerError` for a ledger of a newer Mahler.
    """
    with translated(), engine.connect() as connection:
        if revision(connection) == HEAD:
            return
    with translated(), engine.execution_options(**WRITE_LOCK).begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_ADVISORY_LOCK)))
        if revision(connection) != HEAD:
            _run_migrations(connection)


def revision(connection: sa.Connection) -> str | None:
    """Return the revision a database is at; None for an empty one."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()


def differences(url: str) -> list[Any]:
    """Return what separates a database from `storage.tables`; empty when nothing does."""
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    engine = open_engine(url, timeout_seconds=30.0)
    try:
        with engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            return list(compare_metadata(context, metadata))
    finally:
        engine.dispose()


def _run_migrations(connection: sa.Connection) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    # The configuration is an ini file underneath, where a percent sign starts a reference.
    folder = str(Path(__file__).parent / "migrations").replace("%", "%%")
    config.set_main_option("script_location", folder)
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise LedgerError(f"the ledger cannot be migrated: {error}") from error
