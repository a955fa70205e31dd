"""What an approval's run must not wait for: heavy imports, a market made, partitions listed."""

import json
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from assets.execution import execution_assets
from mahler_pipelines.exchange.simulated import SimulatedMarket
from tests.cli.programs import environment

HEAVY = ("anthropic", "duckdb", "exchange_calendars", "matplotlib", "scipy", "sklearn")
LOADED = f"""
import json, sys
from mahler_pipelines.composition import compose
from mahler_pipelines.definitions import defs
from mahler_pipelines.settings import Settings
defs.get_repository_def().get_job("order_execution")
universe = compose(Settings.load()).terms.universe
print(json.dumps([[name for name in {HEAVY!r} if name in sys.modules], universe]))
"""


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], list[str]]:
    """Which heavy packages a worker has once it knows its graph and its terms."""
    folder: Path = tmp_path_factory.mktemp("worker")
    done = subprocess.run(
        [sys.executable, "-c", LOADED],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    heavy, universe = json.loads(done.stdout)
    return heavy, universe


def test_a_worker_that_knows_graph_and_terms_has_imported_nothing_heavy(
    loaded: tuple[list[str], list[str]],
) -> None:
    assert loaded[0] == []


def test_the_universe_is_the_markets_without_making_the_market(
    loaded: tuple[list[str], list[str]],
) -> None:
    assert tuple(loaded[1]) == SimulatedMarket(7).underlyings


def test_an_execution_asks_for_no_partition_of_the_scans() -> None:
    """Sixteen thousand session-scans would be listed for each order, to no use."""
    (execution, *_) = execution_assets("main")
    mapping = execution.get_partition_mapping(dg.AssetKey(["main", "recommendations"]))
    assert isinstance(mapping, dg.SpecificPartitionsPartitionMapping)
    assert list(mapping.partition_keys) == []
