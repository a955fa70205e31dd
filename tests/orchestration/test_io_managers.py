"""Outputs in the lake: snapshots never change, tables do, and accounts stay apart."""

from datetime import UTC, date, datetime
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from mahler_pipelines.errors import BadInput, MissingData
from mahler_pipelines.market.chains import ChainSnapshot, Scan
from mahler_pipelines.orchestration.io_managers import LakeIOManager, table_of
from mahler_pipelines.orchestration.partitions import scan_key
from mahler_pipelines.storage.lake import ParquetLake
from tests.execution.scenes import SHORT, quote_table

DAY = date(2026, 1, 12)
AT = datetime(2026, 1, 12, 14, 35, tzinfo=UTC)


@pytest.fixture
def lake(tmp_path: Path) -> ParquetLake:
    return ParquetLake(tmp_path)


@pytest.fixture
def manager(lake: ParquetLake) -> LakeIOManager:
    return LakeIOManager(lake)


def output(*key: str, scan: Scan = Scan.MORNING, session: date = DAY) -> dg.OutputContext:
    return dg.build_output_context(
        asset_key=dg.AssetKey(list(key)), partition_key=scan_key(session, scan)
    )


def entry(*key: str, scan: Scan = Scan.MORNING, session: date = DAY) -> dg.InputContext:
    return dg.build_input_context(
        asset_key=dg.AssetKey(list(key)), partition_key=scan_key(session, scan)
    )


def snapshot(bid: float, *, session: date = DAY, scan: str = "morning") -> ChainSnapshot:
    return ChainSnapshot(session, scan, AT, quote_table({SHORT.symbol: (bid, 4.2)}))


def test_a_table_comes_back_as_it_was_and_is_replaced_by_a_rerun(
    manager: LakeIOManager, lake: ParquetLake
) -> None:
    first, second = (pd.DataFrame({"name": ["a"], "value": [value]}) for value in (1.5, 2.5))
    context = output("iv_ranks")
    manager.handle_output(context, first)
    pd.testing.assert_frame_equal(manager.load_input(entry("iv_ranks")), first)
    manager.handle_output(output("iv_ranks"), second)
    pd.testing.assert_frame_equal(manager.load_input(entry("iv_ranks")), second)
    path = str(context.consume_logged_metadata()["lake_path"].value)
    assert path == "iv_ranks/session=2026-01-12/scan=morning/part.parquet"
    assert lake.has("iv_ranks", session=DAY, scan="morning")


def test_a_snapshot_is_added_and_the_earlier_one_stays(
    manager: LakeIOManager, lake: ParquetLake
) -> None:
    """Decisions keep the hash of what they saw, whatever is observed again."""
    first, second = snapshot(4.0), snapshot(4.1)
    manager.handle_output(output("option_chains"), first)
    manager.handle_output(output("option_chains"), second)
    now: ChainSnapshot = manager.load_input(entry("option_chains"))
    assert now.content_hash == second.content_hash
    before = lake.snapshot(content_hash=first.content_hash)
    pd.testing.assert_frame_equal(before.quotes, first.quotes)
    pointer = lake.snapshot_pointer(session=DAY, scan="morning")
    assert pointer.previous == (first.content_hash,)


def test_the_same_snapshot_again_changes_nothing(manager: LakeIOManager, lake: ParquetLake) -> None:
    for _ in range(2):
        manager.handle_output(output("option_chains"), snapshot(4.0))
    assert lake.snapshot_pointer(session=DAY, scan="morning").previous == ()
    assert lake.describe()["snapshots"] == 1


@pytest.mark.parametrize(
    "stranger", [snapshot(4.0, scan="midday"), snapshot(4.0, session=date(2026, 1, 13))]
)
def test_a_snapshot_of_another_partition_is_refused(
    manager: LakeIOManager, lake: ParquetLake, stranger: ChainSnapshot
) -> None:
    """It would move the pointer of a scan that nobody is computing."""
    with pytest.raises(BadInput, match="morning"):
        manager.handle_output(output("option_chains"), stranger)
    assert not lake.has("option_chains", session=stranger.session, scan=stranger.scan)


def test_accounts_have_tables_of_their_own(manager: LakeIOManager) -> None:
    for account, value in (("main", 1.0), ("other", 2.0)):
        manager.handle_output(output(account, "theses"), pd.DataFrame({"value": [value]}))
    assert manager.load_input(entry("main", "theses")).to_dict("list") == {"value": [1.0]}
    assert manager.load_input(entry("other", "theses")).to_dict("list") == {"value": [2.0]}
    assert table_of(dg.AssetKey(["main", "theses"])) == "main.theses"
    with pytest.raises(MissingData, match=r"third\.theses"):
        manager.load_input(entry("third", "theses"))


def test_scans_and_sessions_do_not_mix(manager: LakeIOManager) -> None:
    manager.handle_output(output("iv_ranks"), pd.DataFrame({"value": [1.0]}))
    for other in (
        entry("iv_ranks", scan=Scan.MIDDAY),
        entry("iv_ranks", session=date(2026, 1, 13)),
        entry("option_chains"),
    ):
        with pytest.raises(MissingData, match="2026-01-1"):
            manager.load_input(other)


@pytest.mark.parametrize("odd", [None, {"a": 1}, [1, 2], "text"])
def test_anything_but_a_table_or_a_snapshot_is_refused(manager: LakeIOManager, odd: object) -> None:
    with pytest.raises(BadInput, match=type(odd).__name__):
        manager.handle_output(output("iv_ranks"), odd)


def test_a_table_with_a_named_index_is_refused(manager: LakeIOManager) -> None:
    """Parquet would lose the names without a word."""
    table = pd.DataFrame({"value": [1.0]}, index=pd.Index(["a"], name="underlying"))
    with pytest.raises(BadInput, match="index"):
        manager.handle_output(output("iv_ranks"), table)


def test_an_empty_table_keeps_its_dtypes(manager: LakeIOManager) -> None:
    empty = pd.DataFrame({"name": pd.Series(dtype="str"), "value": pd.Series(dtype="float64")})
    manager.handle_output(output("iv_ranks"), empty)
    found = manager.load_input(entry("iv_ranks"))
    assert found.dtypes.to_dict() == empty.dtypes.to_dict()
