"""The lake: whole partitions, immutable snapshots, and frames that come back as they went in."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from mahler_pipelines.errors import BadInput, CorruptData, LakeError, MissingData
from mahler_pipelines.market.chains import (
    QUOTE_COLUMNS,
    ChainSnapshot,
    conform_quotes,
    empty_quotes,
)
from mahler_pipelines.storage.lake import ParquetLake
from tests.storage import racers

DAY = date(2024, 1, 3)
AS_OF = datetime(2024, 1, 3, 9, 35, 12, 5, tzinfo=ZoneInfo("America/New_York"))


@pytest.fixture(params=["folder", "memory"])
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ParquetLake]:
    """Return a lake in a folder and one behind a URL."""
    if request.param == "folder":
        yield ParquetLake(tmp_path / "lake")
        return
    import fsspec

    root = f"memory://lake-{uuid4().hex}"
    yield ParquetLake(root)
    filesystem, path = fsspec.core.url_to_fs(root)
    if filesystem.exists(path):
        filesystem.rm(path, recursive=True)


def quotes(count: int = 20, *, bid: float = 1.25) -> pd.DataFrame:
    strikes = np.arange(count) + 400.0
    return conform_quotes(
        pd.DataFrame(
            {
                "underlying": "SPY",
                "symbol": [f"SPY240119P{int(strike * 1000):08d}" for strike in strikes],
                "root": "SPY",
                "expiration": pd.Timestamp("2024-01-19"),
                "right": -1,
                "strike": strikes,
                "bid": bid,
                "ask": [np.nan if place % 3 == 0 else 1.5 for place in range(count)],
                "quote_time": pd.Timestamp("2024-01-03T14:35:00.000001Z"),
                "underlying_price": 470.1,
            }
        )
    )


def snapshot(**changes: Any) -> ChainSnapshot:
    values: dict[str, Any] = {"session": DAY, "scan": "morning", "as_of": AS_OF, "quotes": quotes()}
    return ChainSnapshot(**(values | changes))


def mixed() -> pd.DataFrame:
    """One column of every kind a table may have."""
    return pd.DataFrame(
        {
            "text": ["a", None, "ü"],
            "number": [1.5, np.nan, -0.0],
            "small": np.array([1, -1, 0], dtype="int8"),
            "flag": [True, False, True],
            "moment": pd.to_datetime(["2024-01-03T14:35:00.000001Z"] * 3).as_unit("us"),
            "day": pd.Series(["2024-01-19", None, "2024-01-26"], dtype="datetime64[us]"),
            "lasting": pd.to_timedelta([1, 2, 3], unit="s").as_unit("us"),
            "kind": pd.Categorical(["x", "y", "x"]),
            "maybe": pd.array([1, None, 3], dtype="Int64"),
        }
    )


# Partitions


def test_a_partition_comes_back_in_its_dtypes(lake: ParquetLake) -> None:
    path = lake.write("signals", mixed(), session=DAY, scan="morning")
    assert path == "signals/session=2024-01-03/scan=morning/part.parquet"
    assert_frame_equal(lake.read("signals", session=DAY, scan="morning"), mixed())


def test_a_partition_without_a_scan_has_no_scan_level(lake: ParquetLake) -> None:
    path = lake.write("archive_quotes", quotes(), session=DAY)
    assert path == "archive_quotes/session=2024-01-03/part.parquet"
    assert_frame_equal(lake.read("archive_quotes", session=DAY), quotes())


def test_an_empty_frame_keeps_its_columns(lake: ParquetLake) -> None:
    lake.write("signals", empty_quotes(), session=DAY, scan="morning")
    assert_frame_equal(lake.read("signals", session=DAY, scan="morning"), empty_quotes())


def test_writing_again_replaces_the_partition(lake: ParquetLake) -> None:
    lake.write("signals", quotes(20), session=DAY, scan="morning")
    lake.write("signals", quotes(3), session=DAY, scan="morning")
    assert len(lake.read("signals", session=DAY, scan="morning")) == 3
    assert lake.describe()["partitions"] == 1


def test_a_missing_partition_is_named_with_its_table(lake: ParquetLake) -> None:
    lake.write("signals", mixed(), session=DAY, scan="morning")
    with pytest.raises(MissingData, match=r"signals.*session=2024-01-03 scan=midday"):
        lake.read("signals", session=DAY, scan="midday")
    with pytest.raises(MissingData, match=r"iv_ranks.*session=2024-01-04"):
        lake.read("iv_ranks", session=date(2024, 1, 4))
    assert lake.has("signals", session=DAY, scan="morning")
    assert not lake.has("signals", session=DAY, scan="midday")
    assert not lake.has("signals", session=DAY)


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "session=1", "a b"])
def test_names_that_lead_elsewhere_are_refused(lake: ParquetLake, name: str) -> None:
    with pytest.raises(BadInput):
        lake.write(name, mixed(), session=DAY)
    with pytest.raises(BadInput):
        lake.write("signals", mixed(), session=DAY, scan=name)
    with pytest.raises(BadInput):
        lake.write_reference(name, mixed())


def test_what_parquet_cannot_hold_is_refused(lake: ParquetLake) -> None:
    with pytest.raises(BadInput, match="Parquet"):
        lake.write("signals", pd.DataFrame({"a": [1, "x", object()]}), session=DAY)
    with pytest.raises(BadInput, match="index"):
        lake.write("signals", mixed().set_index("text"), session=DAY)
    with pytest.raises(BadInput, match="taken"):
        lake.write("snapshots", mixed(), session=DAY)
    with pytest.raises(BadInput, match="add_snapshot"):
        lake.write("option_chains", quotes(), session=DAY, scan="morning")
    with pytest.raises(BadInput, match="without a time"):
        lake.write("signals", mixed(), session=AS_OF)


# Ranges


def test_a_range_has_its_partitions_in_time_order_over_holes(lake: ParquetLake) -> None:
    for day, scan in (
        (2, "afternoon"),
        (2, "morning"),
        (5, "midday"),
        (5, "monitor"),
        (9, "morning"),
    ):
        rows = pd.DataFrame({"value": [float(day)]})
        lake.write("signals", rows, session=date(2024, 1, day), scan=scan)
    found = lake.read_range("signals", start=date(2024, 1, 1), end=date(2024, 1, 8))
    assert found.columns.tolist() == ["value", "session", "scan"]
    assert found["session"].dtype == "datetime64[us]"
    assert found["scan"].dtype == "str"
    assert found["session"].dt.day.tolist() == [2, 2, 5, 5]
    assert found["scan"].tolist() == ["morning", "afternoon", "midday", "monitor"]
    assert found["value"].tolist() == [2.0, 2.0, 5.0, 5.0]


def test_a_range_keeps_dtypes_and_picks_columns(lake: ParquetLake) -> None:
    for scan in ("morning", "midday"):
        lake.write("signals", mixed(), session=DAY, scan=scan)
    found = lake.read_range("signals", start=DAY, end=DAY)
    whole = pd.concat([mixed(), mixed()], ignore_index=True)
    assert_frame_equal(found[list(mixed().columns)], whole)
    picked = lake.read_range("signals", start=DAY, end=DAY, columns=("maybe", "text"))
    assert picked.columns.tolist() == ["maybe", "text", "session", "scan"]
    with pytest.raises(BadInput, match="columns"):
        lake.read_range("signals", start=DAY, end=DAY, columns=("nothing",))


def test_a_range_without_scans_has_a_missing_scan(lake: ParquetLake) -> None:
    lake.write("archive_quotes", quotes(2), session=DAY)
    found = lake.read_range("archive_quotes", start=DAY, end=DAY)
    assert found["scan"].isna().all()
    assert found["scan"].dtype == "str"
    assert {name: str(found[name].dtype) for name in QUOTE_COLUMNS} == QUOTE_COLUMNS


def test_a_range_of_mixed_depth_and_columns_is_joined(lake: ParquetLake) -> None:
    """A table whose columns grew, and which had no scans at first."""
    lake.write("signals", pd.DataFrame({"a": [1]}), session=DAY)
    grown = pd.DataFrame({"a": [2.5], "b": ["new"]})
    lake.write("signals", grown, session=date(2024, 1, 4), scan="morning")
    found = lake.read_range("signals", start=DAY, end=date(2024, 1, 4))
    assert found["a"].tolist() == [1.0, 2.5]
    assert found["b"].isna().tolist() == [True, False]
    assert found["scan"].isna().tolist() == [True, False]


def test_a_session_column_of_the_rows_is_kept(lake: ParquetLake) -> None:
    """Daily bars carry the session of each bar: the partition's must not overwrite it."""
    bars = pd.DataFrame({"session": pd.to_datetime(["2023-12-29", "2024-01-02"]).as_unit("us")})
    lake.write("underlying_bars", bars, session=DAY, scan="morning")
    found = lake.read_range("underlying_bars", start=DAY, end=DAY)
    assert found["session"].tolist() == bars["session"].tolist()
    assert found["scan"].tolist() == ["morning", "morning"]


def test_a_range_with_nothing_in_it_is_empty(lake: ParquetLake) -> None:
    absent = lake.read_range("signals", start=DAY, end=DAY, columns=("bid",))
    assert absent.empty
    assert absent.columns.tolist() == ["bid", "session", "scan"]
    lake.write("signals", quotes(), session=DAY, scan="morning")
    before = lake.read_range("signals", start=date(2023, 1, 1), end=date(2023, 2, 1))
    assert before.empty
    assert {name: str(before[name].dtype) for name in QUOTE_COLUMNS} == QUOTE_COLUMNS
    assert before["session"].dtype == "datetime64[us]"


@given(st.lists(st.tuples(st.integers(1, 28), st.sampled_from(["morning", "midday"])), max_size=6))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_folder_and_a_url_give_the_same_range(stored: list[tuple[int, str]]) -> None:
    """DuckDB reads the one, pyarrow the other."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        lakes = [ParquetLake(folder), ParquetLake(f"memory://{uuid4().hex}")]
        for (day, scan), lake in ((one, lake) for one in stored for lake in lakes):
            lake.write("signals", quotes(day), session=date(2024, 1, day), scan=scan)
        local, remote = (
            lake.read_range("signals", start=DAY, end=date(2024, 1, 20)) for lake in lakes
        )
        assert_frame_equal(local, remote)


# Snapshots


def test_a_snapshot_comes_back_with_its_hash(lake: ParquetLake) -> None:
    seen = snapshot()
    content_hash = lake.add_snapshot(seen)
    assert content_hash == seen.content_hash
    for found in (
        lake.snapshot(content_hash=content_hash),
        lake.snapshot(session=DAY, scan="morning"),
    ):
        assert found.content_hash == content_hash
        assert (found.session, found.scan, found.as_of) == (DAY, "morning", AS_OF)
        assert_frame_equal(found.quotes, seen.quotes)


def test_a_snapshot_without_quotes_keeps_its_hash(lake: ParquetLake) -> None:
    content_hash = lake.add_snapshot(snapshot(quotes=empty_quotes()))
    assert lake.snapshot(content_hash=content_hash).content_hash == content_hash


def test_a_second_look_adds_a_snapshot_and_moves_the_pointer(lake: ParquetLake) -> None:
    """Decisions keep the hash they were made on."""
    first = lake.add_snapshot(snapshot())
    second = lake.add_snapshot(snapshot(quotes=quotes(bid=1.30)))
    assert lake.snapshot(session=DAY, scan="morning").content_hash == second
    assert lake.snapshot(content_hash=first).quotes["bid"].iloc[0] == 1.25
    pointer = lake.snapshot_pointer(session=DAY, scan="morning")
    assert (pointer.content_hash, pointer.previous) == (second, (first,))
    assert pointer.as_of == AS_OF
    assert lake.describe()["snapshots"] == 2


def test_adding_the_same_content_again_writes_nothing(tmp_path: Path) -> None:
    lake = ParquetLake(tmp_path)
    lake.add_snapshot(snapshot())
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    shuffled = quotes().sample(frac=1.0, random_state=1)
    assert lake.add_snapshot(snapshot(quotes=shuffled)) == snapshot().content_hash
    after = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    assert after == before
    assert len(before) == 2


def test_a_snapshot_may_leave_the_pointer_alone(lake: ParquetLake) -> None:
    lake.add_snapshot(snapshot(scan="execution"), move_pointer=False)
    assert not lake.has("option_chains", session=DAY, scan="execution")
    with pytest.raises(MissingData, match=r"option_chains.*scan=execution"):
        lake.snapshot(session=DAY, scan="execution")


def test_a_snapshot_that_is_not_there_is_missing(lake: ParquetLake) -> None:
    with pytest.raises(MissingData, match="ab" * 32):
        lake.snapshot(content_hash="ab" * 32)
    with pytest.raises(BadInput, match="hash"):
        lake.snapshot(session=DAY)
    with pytest.raises(BadInput, match="not a hash"):
        lake.snapshot(content_hash="../secret")


def test_quotes_of_other_dtypes_are_refused(lake: ParquetLake) -> None:
    """They would come back with another hash."""
    with pytest.raises(BadInput, match="float32"):
        lake.add_snapshot(snapshot(quotes=quotes().astype({"bid": "float32"})))


def test_the_pointed_quotes_are_read_like_a_table(lake: ParquetLake) -> None:
    lake.add_snapshot(snapshot())
    lake.add_snapshot(snapshot(scan="midday", quotes=quotes(5)))
    assert lake.has("option_chains", session=DAY, scan="morning")
    assert_frame_equal(lake.read("option_chains", session=DAY, scan="morning"), quotes())
    found = lake.read_range("option_chains", start=DAY, end=DAY, columns=("symbol",))
    assert found.columns.tolist() == ["symbol", "session", "scan"]
    assert found["scan"].value_counts().to_dict() == {"morning": 20, "midday": 5}
    assert lake.read_range("option_chains", start=date(2023, 1, 1), end=date(2023, 1, 2)).empty


def test_changed_content_under_a_hash_is_corrupt(tmp_path: Path) -> None:
    lake = ParquetLake(tmp_path)
    one, other = lake.add_snapshot(snapshot()), lake.add_snapshot(snapshot(quotes=quotes(bid=9.0)))
    paths = [tmp_path / "snapshots" / name[:2] / f"{name}.parquet" for name in (one, other)]
    paths[0].write_bytes(paths[1].read_bytes())
    with pytest.raises(CorruptData, match=other):
        lake.snapshot(content_hash=one)


def test_a_truncated_file_is_corrupt_and_named(tmp_path: Path) -> None:
    lake = ParquetLake(tmp_path)
    name = lake.add_snapshot(snapshot())
    lake.write("signals", quotes(), session=DAY, scan="morning")
    lake.write("signals", quotes(), session=DAY, scan="midday")
    damaged = [
        tmp_path / "snapshots" / name[:2] / f"{name}.parquet",
        tmp_path / "signals/session=2024-01-03/scan=morning/part.parquet",
    ]
    for path in damaged:
        path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(CorruptData, match=name):
        lake.snapshot(content_hash=name)
    with pytest.raises(CorruptData, match="scan=morning"):
        lake.read("signals", session=DAY, scan="morning")
    with pytest.raises(CorruptData, match="scan=morning"):
        lake.read_range("signals", start=DAY, end=DAY)
    (tmp_path / "option_chains/session=2024-01-03/scan=morning.json").write_text("{")
    with pytest.raises(CorruptData, match="pointer"):
        lake.snapshot(session=DAY, scan="morning")


def test_a_table_is_no_snapshot(tmp_path: Path) -> None:
    lake = ParquetLake(tmp_path)
    written = tmp_path / lake.write("signals", quotes(), session=DAY)
    name = "ab" * 32
    (tmp_path / "snapshots/ab").mkdir(parents=True)
    (tmp_path / f"snapshots/ab/{name}.parquet").write_bytes(written.read_bytes())
    with pytest.raises(CorruptData, match="not a snapshot"):
        lake.snapshot(content_hash=name)


# Reference tables, files, description


def test_reference_tables_are_replaced_and_empty_when_absent(lake: ParquetLake) -> None:
    assert lake.read_reference("rates").empty
    assert lake.write_reference("rates", mixed()) == "reference/rates.parquet"
    lake.write_reference("rates", mixed().head(1))
    assert_frame_equal(lake.read_reference("rates"), mixed().head(1))


def test_files_are_put_inside_the_lake_only(lake: ParquetLake) -> None:
    location = lake.put_file("pictures/2024-01-03/smile.png", b"png")
    assert location == f"{lake.root}/pictures/2024-01-03/smile.png"
    for path in ("../x.png", "/etc/x.png", ""):
        with pytest.raises(BadInput):
            lake.put_file(path, b"png")


def test_describe_counts_tables_partitions_and_bytes(lake: ParquetLake) -> None:
    assert lake.describe()["tables"] == {}
    lake.write("main.theses", mixed(), session=DAY, scan="morning")
    lake.write("main.theses", mixed(), session=date(2024, 1, 5), scan="morning")
    lake.add_snapshot(snapshot())
    found = lake.describe()
    theses = found["tables"]["main.theses"]
    assert found["root"] == lake.root
    assert (theses["partitions"], theses["first_session"], theses["last_session"]) == (
        2,
        "2024-01-03",
        "2024-01-05",
    )
    assert found["tables"]["option_chains"]["partitions"] == 1
    assert (found["partitions"], found["snapshots"]) == (3, 1)
    assert found["bytes"] > theses["bytes"] > 0


# Failures


def test_a_full_disk_is_said_and_leaves_the_old_partition(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The temporary file is a real one on a device that is full."""
    lake = ParquetLake(tmp_path)
    lake.write("signals", quotes(), session=DAY, scan="morning")
    opened = Path.open

    def open_full(self: Path, mode: str = "r") -> Any:
        return opened(Path("/dev/full") if self.suffix == ".tmp" else self, mode.replace("x", "w"))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", open_full)
        with pytest.raises(LakeError, match=r"no space left.*intact"):
            lake.write("signals", quotes(3), session=DAY, scan="morning")
    assert_frame_equal(lake.read("signals", session=DAY, scan="morning"), quotes())


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "signals").write_text("a file where a folder should be")
    lake = ParquetLake(tmp_path)
    with pytest.raises(LakeError, match="cannot write"):
        lake.write("signals", quotes(), session=DAY)
    with pytest.raises(MissingData):
        lake.read("signals", session=DAY)


def test_a_failed_replacement_leaves_no_temporary_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = ParquetLake(tmp_path)

    def refuse(_self: Path, target: Path) -> Path:
        raise PermissionError(13, "refused", str(target))

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(LakeError, match="refused"):
        lake.write("signals", quotes(), session=DAY)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_killed_writer_leaves_the_old_partition(tmp_path: Path) -> None:
    """Its temporary file is never read, and housekeeping removes it."""
    lake = ParquetLake(tmp_path)
    lake.write("prices", pd.DataFrame({"value": [1.0]}), session=DAY, scan="morning")
    writer = racers.RACERS.Process(target=racers.die_while_writing, args=(str(tmp_path),))
    writer.start()
    writer.join(60)
    assert writer.exitcode == -9
    assert len(list(tmp_path.rglob("*.tmp"))) == 1
    assert lake.read("prices", session=DAY, scan="morning")["value"].tolist() == [1.0]
    assert lake.read_range("prices", start=DAY, end=DAY)["value"].tolist() == [1.0]
    assert lake.describe()["partitions"] == 1
    assert lake.remove_temporary_files() == 0
    assert lake.remove_temporary_files(older_than_seconds=-60.0) == 1
    assert list(tmp_path.rglob("*.tmp")) == []


def test_concurrent_writers_leave_a_whole_file_at_any_moment(tmp_path: Path) -> None:
    lake = ParquetLake(tmp_path)
    lake.write(
        "contested",
        pd.DataFrame({"writer": [99] * 1000, "place": range(1000)}),
        session=DAY,
        scan="morning",
    )
    stop, torn = threading.Event(), []

    def look() -> None:
        while not stop.is_set():
            rows = lake.read("contested", session=DAY, scan="morning")
            if len(rows) != 1000 or rows["writer"].nunique() != 1:
                torn.append(rows)
            stop.wait(0.002)

    reader = threading.Thread(target=look)
    reader.start()
    try:
        racers.race(racers.write_often, str(tmp_path))
    finally:
        stop.set()
        reader.join(10)
    assert torn == []
    assert lake.read("contested", session=DAY, scan="morning")["writer"].nunique() == 1
    assert list(tmp_path.rglob("*.tmp")) == []


def test_snapshot_times_keep_their_zone_offset(lake: ParquetLake) -> None:
    """The hash covers the text of the time, so the offset belongs to the content."""
    utc = replace(snapshot(), as_of=AS_OF.astimezone(UTC))
    assert utc.content_hash != snapshot().content_hash
    for seen in (snapshot(), utc):
        found = lake.snapshot(content_hash=lake.add_snapshot(seen))
        assert found.as_of.isoformat() == seen.as_of.isoformat()


def test_quotes_of_some_contracts_are_read_over_many_scans(lake: ParquetLake) -> None:
    """Following two contracts for weeks must not mean reading every chain of those weeks."""
    later = replace(snapshot(), scan="midday", as_of=AS_OF.replace(hour=12))
    tomorrow = snapshot(
        session=date(2024, 1, 4), as_of=AS_OF.replace(day=4), quotes=quotes(bid=2.5)
    )
    for seen in (tomorrow, snapshot(), later):
        lake.add_snapshot(seen)
    wanted = sorted(quotes()["symbol"])[3:5]
    found = lake.quotes_of([*wanted, "NOPE260116P00017000"], start=DAY, end=date(2024, 1, 4))
    assert found["symbol"].to_list() == wanted * 3
    assert str(found["as_of"].dtype) == "datetime64[us, UTC]"
    assert found["as_of"].is_monotonic_increasing
    assert found["bid"].to_list() == [1.25] * 4 + [2.5] * 2
    assert {name: str(dtype) for name, dtype in found.drop(columns="as_of").dtypes.items()} == (
        QUOTE_COLUMNS
    )
    one = lake.quotes_of(wanted, start=DAY, end=DAY)
    assert one["as_of"].nunique() == 2


def test_quotes_of_nobody_or_no_time_are_empty_with_their_dtypes(lake: ParquetLake) -> None:
    lake.add_snapshot(snapshot())
    full = lake.quotes_of(sorted(quotes()["symbol"]), start=DAY, end=DAY)
    for nothing in (
        lake.quotes_of([], start=DAY, end=DAY),
        lake.quotes_of(["NOPE260116P00017000"], start=DAY, end=DAY),
        lake.quotes_of(["NOPE260116P00017000"], start=date(2020, 1, 2), end=date(2020, 1, 3)),
    ):
        assert nothing.empty
        assert nothing.dtypes.to_dict() == full.dtypes.to_dict()


def test_a_look_that_moved_no_pointer_is_not_among_the_scans(lake: ParquetLake) -> None:
    lake.add_snapshot(snapshot(scan="execution"), move_pointer=False)
    assert lake.quotes_of(sorted(quotes()["symbol"]), start=DAY, end=DAY).empty
