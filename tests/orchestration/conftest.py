"""What sensors and schedules are evaluated with: ledger, broker's clock, terms, instance."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from mahler_pipelines.composition import desk_terms
from mahler_pipelines.execution.desk_terms import DeskTerms
from mahler_pipelines.settings import Settings
from mahler_pipelines.storage.ledger import SqlLedgerBook
from tests.execution.fakes import FakeBroker


@pytest.fixture
def terms() -> DeskTerms:
    return desk_terms(Settings(), universe=("SPY",))


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[SqlLedgerBook]:
    book = SqlLedgerBook(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    yield book
    book.close()


@pytest.fixture
def broker() -> FakeBroker:
    return FakeBroker(datetime(2025, 3, 3, 14, 35, tzinfo=UTC))


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral
