"""Migrations bring an empty database to exactly the tables the code speaks to."""

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

import mahler_pipelines.storage.migrations as migrations
from mahler_pipelines.errors import LedgerError
from mahler_pipelines.storage.engine import WRITE_LOCK, open_engine
from mahler_pipelines.storage.ledger import SqlLedgerBook
from mahler_pipelines.storage.migrate import HEAD, differences, revision, upgrade
from mahler_pipelines.storage.tables import metadata
from tests.storage import racers, samples

FOLDER = Path(str(migrations.__file__)).parent


def tables(url: str) -> set[str]:
    engine = sa.create_engine(url)
    try:
        return set(sa.inspect(engine).get_table_names())
    finally:
        engine.dispose()


def test_migrations_and_tables_agree(empty_url: str) -> None:
    upgrade(empty_url)
    assert differences(empty_url) == []
    assert tables(empty_url) == {*metadata.tables, "alembic_version"}


def test_a_table_that_is_missing_is_a_difference(empty_url: str) -> None:
    """The comparison has teeth."""
    upgrade(empty_url)
    engine = sa.create_engine(empty_url)
    with engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE outbox"))
    engine.dispose()
    assert [found[0] for found in differences(empty_url)][:1] == ["add_table"]


def test_upgrading_twice_keeps_what_is_there(empty_url: str) -> None:
    upgrade(empty_url)
    book = SqlLedgerBook(empty_url)
    with book.transaction("main") as ledger:
        ledger.add_order(samples.order())
    upgrade(empty_url)
    with book.reading("main") as ledger:
        assert ledger.order("o-1") == samples.order()
    book.close()


def test_six_processes_migrate_one_empty_database(empty_url: str) -> None:
    assert sorted(racers.race(racers.migrate, empty_url)) == list(range(racers.PROCESSES))
    assert differences(empty_url) == []


def test_downgrading_leaves_nothing_but_the_revision_table(empty_url: str) -> None:
    upgrade(empty_url)
    engine = open_engine(empty_url, timeout_seconds=5.0)
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    with engine.execution_options(**WRITE_LOCK).begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
        assert revision(connection) is None
    engine.dispose()
    assert tables(empty_url) == {"alembic_version"}
    upgrade(empty_url)
    assert differences(empty_url) == []


def test_a_ledger_of_a_newer_mahler_is_refused(empty_url: str) -> None:
    upgrade(empty_url)
    engine = sa.create_engine(empty_url)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(LedgerError, match="9999"):
        SqlLedgerBook(empty_url).upgrade()


def test_a_failed_migration_leaves_the_database_empty(
    empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Schema changes are inside the transaction on SQLite too."""
    from alembic import op

    create = op.create_table

    def fail_at_trades(name: str, *columns: Any) -> sa.Table:
        if name == "trades":
            raise RuntimeError(name)
        return create(name, *columns)

    with monkeypatch.context() as patch:
        patch.setattr(op, "create_table", fail_at_trades)
        with pytest.raises(RuntimeError, match="trades"):
            upgrade(empty_url)
    assert tables(empty_url) == set()
    upgrade(empty_url)
    assert differences(empty_url) == []


def test_head_is_the_newest_revision() -> None:
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD
