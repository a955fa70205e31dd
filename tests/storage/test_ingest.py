"""Ingest: whole files or nothing, every row accounted for, the same result in any order."""

import gzip
import json
import shutil
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import pandas as pd
import pytest

from mahler_pipelines.market.sessions import TradingCalendar
from mahler_pipelines.storage.ingest import archive_identity, companion_files, ingest
from mahler_pipelines.storage.ingest_report import FileReport
from mahler_pipelines.storage.lake import ParquetLake

GOLDEN = Path(__file__).parent / "golden"
SHARED = Path(__file__).parents[2].parent / "shared" / "data"
NEW_YORK = ZoneInfo("America/New_York")
NEVER_GIVEN = {"bid_size", "ask_size", "previous_volume"}
MAY_13, MAY_14, MAY_16 = date(2019, 5, 13), date(2019, 5, 14), date(2019, 5, 16)


@pytest.fixture
def lake(tmp_path: Path) -> ParquetLake:
    return ParquetLake(tmp_path / "lake")


def _ingest(lake: ParquetLake, *names: str) -> tuple[FileReport, ...]:
    report = ingest([GOLDEN / name for name in names], lake)
    assert report.unreadable == ()
    return report.files


def _quotes(lake: ParquetLake, session: date) -> pd.DataFrame:
    return lake.read("archive_quotes", session=session).set_index("symbol")


def _missing(quotes: pd.DataFrame, symbol: str) -> set[str]:
    """Columns of a contract that have no value."""
    return set(quotes.columns[quotes.loc[symbol].isna().to_numpy()])


def _content(lake: ParquetLake) -> dict[str, bytes]:
    root = Path(lake.root)
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def _adds_up(file: FileReport) -> bool:
    return file.rows == file.kept + file.unchanged + sum(file.quarantined.values())


def _expected(name: str) -> dict[str, int]:
    """Count what a sample says of its own rows; a ragged row says nothing."""
    lines = (GOLDEN / name).read_text().splitlines()
    width = lines[0].count(",")
    place = lines[0].split(",").index("expect")
    reasons = [
        line.split(",")[place] if line.count(",") == width else "columns_missing"
        for line in lines[1:]
    ]
    return {reason: reasons.count(reason) for reason in sorted(set(reasons))}


@pytest.mark.parametrize(
    "name", ["chain_rows.csv", "cboe_1545.csv", "optionmetrics.csv", "bars.csv"]
)
def test_every_row_of_a_sample_ends_where_it_says(lake: ParquetLake, name: str) -> None:
    (file,) = _ingest(lake, name)
    assert {"kept": file.kept, **file.quarantined} == _expected(name)
    assert _adds_up(file)
    quarantine = lake.read_reference("quarantine")
    lines = (GOLDEN / name).read_text().splitlines()
    for row in quarantine.itertuples():
        if row.reason != "columns_missing":
            assert str(row.reason) in lines[int(str(row.row_number))]
            assert json.loads(str(row.raw))["expect"] == row.reason


def test_quotes_of_bad_quality_are_kept_and_counted(lake: ParquetLake) -> None:
    """The screen refuses them with the same codes; here nothing is lost."""
    (file,) = _ingest(lake, "chain_rows.csv")
    assert file.defects == {
        "quote_zero_bid": 1,
        "quote_crossed": 1,
        "quote_locked": 1,
        "quote_one_sided": 1,
        "quote_missing": 1,
        "underlying_price_missing": 1,
        "last_missing_despite_volume": 1,
    }
    quotes = _quotes(lake, MAY_13)
    zero_bid = "SPY190621P00280500"
    assert quotes.loc[zero_bid, "bid"] == 0
    assert _missing(quotes, zero_bid) == {"last", "open_interest", *NEVER_GIVEN}
    assert "bid" in _missing(quotes, "SPY190621P00284000")
    assert "underlying_price" in _missing(quotes, "SPY190621P00285000")


def test_the_same_strike_of_two_roots_is_two_contracts(lake: ParquetLake) -> None:
    _ingest(lake, "chain_rows.csv")
    quotes = _quotes(lake, MAY_13)
    assert quotes.loc["SPX190517C02800000", "bid"] == 15.2
    assert quotes.loc["SPXW190517C02800000", "bid"] == 15.3
    assert quotes.loc["SPX190517C02800000", "bid_size"] == 10


def test_previous_volume_comes_from_the_session_before_and_only_from_there(
    lake: ParquetLake,
) -> None:
    _ingest(lake, "chain_rows.csv", "chain_next_session.csv")
    assert _quotes(lake, MAY_13)["previous_volume"].isna().all()
    next_day = _quotes(lake, MAY_14)["previous_volume"]
    assert next_day["SPX190517C02800000"] == 120
    assert pd.isna(next_day["SPX190517C02805000"])
    # 2019-05-15 is not in the archive: what was traded then is unknown.
    assert _quotes(lake, MAY_16)["previous_volume"].isna().all()


def test_the_order_of_files_does_not_matter(tmp_path: Path) -> None:
    names = ["chain_rows.csv", "chain_next_session.csv", "volatility.csv", "VIX_History.csv"]
    one, other = ParquetLake(tmp_path / "one"), ParquetLake(tmp_path / "other")
    _ingest(one, *names)
    for name in reversed(names):
        _ingest(other, name)
    for session in (MAY_13, MAY_14, MAY_16):
        pd.testing.assert_frame_equal(_quotes(one, session), _quotes(other, session))
    table = "volatility_indices"
    pd.testing.assert_frame_equal(one.read_reference(table), other.read_reference(table))


def test_ingesting_twice_changes_nothing(lake: ParquetLake, tmp_path: Path) -> None:
    names = ["chain_rows.csv", "chain_next_session.csv", "bars.csv", "rates.csv", "cboe_eod.csv"]
    first = _ingest(lake, *names)
    before = _content(lake)
    second = _ingest(lake, *names)
    assert all(file.already_ingested for file in second)
    assert [file.as_record() for file in second] == [file.as_record() for file in first]
    # The same rows under another name and hash (a blank line more) are known rows.
    again = tmp_path / "again.csv"
    again.write_bytes((GOLDEN / "chain_rows.csv").read_bytes() + b"\n")
    (file,) = ingest([again], lake).files
    assert (file.kept, file.unchanged) == (0, 10)
    assert _adds_up(file)
    after = _content(lake)
    changed = {name for name in after if before.get(name) != after[name]}
    assert changed == {"reference/ingested_files.parquet", "reference/quarantine.parquet"}


def test_a_crash_before_the_end_is_healed_by_ingesting_again(tmp_path: Path) -> None:
    """The file is recorded last: what was already written is then found unchanged."""

    class FailingLake(ParquetLake):
        def write_reference(self, table: str, rows: pd.DataFrame) -> str:
            if table == "ingested_files":
                raise OSError("killed")
            return super().write_reference(table, rows)

    with pytest.raises(OSError, match="killed"):
        ingest([GOLDEN / "chain_rows.csv"], FailingLake(tmp_path))
    lake = ParquetLake(tmp_path)
    quarantined = len(lake.read_reference("quarantine"))
    (file,) = _ingest(lake, "chain_rows.csv")
    assert (file.kept, file.unchanged) == (0, 10)
    assert len(lake.read_reference("quarantine")) == quarantined


def test_a_crash_between_two_sessions_is_healed_too(tmp_path: Path) -> None:
    """The session after learns the volume of the one before in a second write."""

    class FailingLake(ParquetLake):
        def write(
            self, table: str, rows: pd.DataFrame, *, session: date, scan: str | None = None
        ) -> str:
            if session == MAY_14:
                raise OSError("killed")
            return super().write(table, rows, session=session, scan=scan)

    lake = ParquetLake(tmp_path)
    _ingest(lake, "chain_next_session.csv")
    with pytest.raises(OSError, match="killed"):
        ingest([GOLDEN / "chain_rows.csv"], FailingLake(tmp_path))
    assert _quotes(lake, MAY_14)["previous_volume"].isna().all()
    _ingest(lake, "chain_rows.csv")
    assert _quotes(lake, MAY_14)["previous_volume"]["SPX190517C02800000"] == 120


def test_a_file_that_contradicts_the_lake_is_shown_and_not_believed(lake: ParquetLake) -> None:
    _, file = _ingest(lake, "chain_rows.csv", "chain_conflict.csv")
    assert (file.kept, file.unchanged) == (1, 1)
    assert file.quarantined == {"conflicts_with_ingested": 1}
    assert _quotes(lake, MAY_13).loc["SPX190517C02800000", "ask"] == 15.6
    quarantine = lake.read_reference("quarantine")
    row = quarantine.loc[quarantine["reason"] == "conflicts_with_ingested"].iloc[0]
    assert (row["source_file"], row["row_number"]) == ("chain_conflict.csv", 1)
    raw = json.loads(row["raw"])
    assert (raw["ingested"]["ask"], raw["file"]["ask"]) == ("15.6", "15.9")


def test_optionsdx_sides_become_contracts_of_the_root_that_lists_them(lake: ParquetLake) -> None:
    (file,) = _ingest(lake, "spx_eod_201905.txt")
    assert file.quarantined == {"earlier_snapshot": 2, "number_unreadable": 1}
    assert (file.rows, file.kept, file.defects["root_inferred"]) == (6, 3, 3)
    quotes = _quotes(lake, MAY_13)
    assert set(quotes.index) == {
        "SPX190517C02800000",
        "SPX190517P02800000",
        "SPXW190515C02800000",
    }
    call = quotes.loc["SPX190517C02800000"]
    assert (call["bid"], call["bid_size"], call["ask_size"]) == (15.2, 10, 12)
    assert quotes.loc["SPX190517P02800000", "bid"] == 9.1
    assert "volume" in _missing(quotes, "SPXW190515C02800000")
    quarantine = lake.read_reference("quarantine")
    raw = json.loads(quarantine.loc[quarantine["reason"] == "number_unreadable", "raw"].iloc[0])
    assert "[P_ASK]" in raw
    assert "[C_ASK]" not in raw
    assert raw["[P_ASK]"].strip() == "oops"


def test_optionsdx_blanks_are_missing_not_zero(lake: ParquetLake) -> None:
    (file,) = _ingest(lake, "spy_eod_201907.txt")
    assert file.defects == {"quote_missing": 1}
    quotes = _quotes(lake, date(2019, 7, 3))
    assert quotes.loc["SPY190719C00298000", "underlying_price"] == 298.8
    assert quotes["quote_time"].iloc[0] == datetime(2019, 7, 3, 12, 59, tzinfo=NEW_YORK)
    assert "volume" in _missing(quotes, "SPY190719P00298000")


def test_cboe_quotes_are_those_of_a_quarter_to_four_where_they_are_given(lake: ParquetLake) -> None:
    _ingest(lake, "cboe_1545.csv")
    quotes = _quotes(lake, MAY_13)
    call, put = quotes.loc["SPX190517C02800000"], quotes.loc["SPXW190517P02800000"]
    assert (call["bid"], call["ask"], call["underlying"]) == (15.2, 15.6, "SPX")
    assert call["quote_time"] == datetime(2019, 5, 13, 15, 45, tzinfo=NEW_YORK)
    assert (call["underlying_price"], put["underlying_price"]) == (2812.9, 2813.0)
    assert "last" in _missing(quotes, "SPXW190517P02800000")
    early = _quotes(lake, date(2019, 7, 3)).iloc[0]
    assert early["quote_time"] == datetime(2019, 7, 3, 12, 45, tzinfo=NEW_YORK)


def test_cboe_end_of_day_is_taken_where_nothing_else_is_given(lake: ParquetLake) -> None:
    _ingest(lake, "cboe_eod.csv")
    row = _quotes(lake, MAY_13).loc["SPY190621P00281000"]
    assert (row["bid"], row["ask"], row["bid_size"], row["ask_size"]) == (5.0, 5.2, 1, 2)
    assert row["underlying_price"] == pytest.approx(281.2)
    assert row["quote_time"] == datetime(2019, 5, 13, 15, 59, tzinfo=NEW_YORK)


def test_optionmetrics_strikes_are_thousandths(lake: ParquetLake) -> None:
    (file,) = _ingest(lake, "optionmetrics.csv")
    assert file.underlyings == ("IBM", "SPX")
    quotes = _quotes(lake, MAY_13)
    assert set(quotes.index) == {"SPXW190517C02800000", "IBM190621P00135500"}
    assert quotes.loc["SPXW190517C02800000", "strike"] == 2800.0
    assert "volume" in _missing(quotes, "IBM190621P00135500")
    assert list(_quotes(lake, date(2006, 11, 17)).index) == ["IBM061216C00090000"]


def test_bars_say_whether_they_are_adjusted(lake: ParquetLake) -> None:
    """Adjusted bars never settle strikes, so what nobody says must not be guessed."""
    _ingest(lake, "bars.csv", "QQQ.csv")
    bars = lake.read_reference("daily_bars").set_index(["underlying", "source", "session"])
    day = pd.Timestamp(MAY_13)
    assert bars.loc[("QQQ", "heliar", day), "adjusted"]
    assert not bars.loc[("QQQ", "lean", day), "adjusted"]
    assert not bars.loc[("SPX", "heliar", day), "adjusted"]
    assert bars["adjusted"].isna()[("QQQ", "elsewhere", day)]
    assert bars.loc[("QQQ", "qqq", day), "close"] == 181
    assert bars["volume"].isna()[("QQQ", "qqq", pd.Timestamp(MAY_14))]


def test_indices_and_rates_add_up_over_files(lake: ParquetLake) -> None:
    _ingest(lake, "volatility.csv", "VIX_History.csv", "rates.csv")
    indices = lake.read_reference("volatility_indices")
    vix = indices.loc[indices["name"] == "VIX"].set_index("session")["close"]
    assert vix.to_list() == [20.55, 18.06, 16.44]
    rates = lake.read_reference("rates")
    assert rates.groupby("name")["value"].apply(list).to_dict() == {
        "DGS3MO": [2.41],
        "SOFR": [2.40, 2.38],
    }


def _spoil(folder: Path) -> dict[str, str]:
    """Make every kind of unreadable file; return what the report has to say of each."""
    chain = (GOLDEN / "chain_next_session.csv").read_bytes()
    pd.read_csv(GOLDEN / "chain_next_session.csv").to_parquet(folder / "cut.parquet")
    whole = (folder / "cut.parquet").read_bytes()
    (folder / "cut.parquet").write_bytes(whole[: len(whole) // 2])
    squeezed = gzip.compress(chain * 50)
    (folder / "cut.csv.gz").write_bytes(squeezed[: len(squeezed) - 20])
    (folder / "noise.csv.gz").write_bytes(b"not gzip at all")
    (folder / "cut.csv").write_bytes(chain[:-60])
    (folder / "empty.csv").write_bytes(b"")
    (folder / "headed.csv").write_bytes(chain.splitlines()[0] + b"\n")
    (folder / "latin.csv").write_bytes(chain.replace(b"SPX", "\xe9".encode("latin-1")))
    (folder / "doubled.csv").write_bytes(chain.replace(b"why", b"Strike"))
    shutil.copy(GOLDEN / "unknown.csv", folder / "unknown.csv")
    return {
        "cut.parquet": "cannot be read",
        "cut.csv.gz": "truncated",
        "noise.csv.gz": "cannot be read",
        "cut.csv": "truncated",
        "empty.csv": "is empty",
        "headed.csv": "holds no rows",
        "latin.csv": "cannot be read",
        "doubled.csv": "twice",
        "unknown.csv": "no known layout",
        "absent.csv": "missing",
    }


def test_an_unreadable_file_leaves_nothing_and_stops_nobody(
    lake: ParquetLake, tmp_path: Path
) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    reasons = _spoil(folder)
    shutil.copy(GOLDEN / "cboe_eod.csv", folder / "good.csv")
    (folder / "notes.md").write_text("not a table")
    report = ingest([folder, folder / "absent.csv"], lake)
    assert [file.name for file in report.files] == ["good.csv"]
    said = {Path(str(error.value)).name: error.reason for error in report.unreadable}
    assert said.keys() == reasons.keys()
    assert {name: said[name] for name in reasons if reasons[name] not in said[name]} == {}
    assert lake.read_reference("ingested_files")["name"].to_list() == ["good.csv"]
    assert _quotes(lake, MAY_13).index.to_list() == ["SPY190621P00281000"]
    assert not lake.has("archive_quotes", session=MAY_14)


@pytest.mark.parametrize("suffix", [".csv.gz", ".parquet", ".csv"])
def test_the_same_rows_come_from_every_kind_of_file(
    lake: ParquetLake, tmp_path: Path, suffix: str
) -> None:
    source = GOLDEN / "chain_next_session.csv"
    copy = tmp_path / f"copy{suffix}"
    if suffix == ".parquet":
        frame = pd.read_csv(source, parse_dates=["quote_date", "expiration"])
        frame.astype({"type": "category"}).to_parquet(copy)
    else:
        text = source.read_bytes().replace(b"\n", b"\r\n")
        copy.write_bytes(gzip.compress(text) if suffix == ".csv.gz" else b"\xef\xbb\xbf" + text)
    (file,) = ingest([copy], lake).files
    assert (file.rows, file.kept, file.sessions) == (3, 3, 2)
    expected = ParquetLake(tmp_path / "other")
    _ingest(expected, source.name)
    pd.testing.assert_frame_equal(_quotes(lake, MAY_14), _quotes(expected, MAY_14))


def test_progress_is_told_before_each_file(lake: ParquetLake) -> None:
    told: list[tuple[str, int, int]] = []
    paths = [GOLDEN / "rates.csv", GOLDEN / "absent.csv"]
    ingest(paths, lake, progress=lambda path, n, of: told.append((path.name, n, of)))
    assert told == [("rates.csv", 1, 2), ("absent.csv", 2, 2)]


def test_a_book_is_named_by_content_alone(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    shutil.copy(GOLDEN / "rates.csv", tmp_path / "a" / "one.csv")
    shutil.copy(GOLDEN / "bars.csv", tmp_path / "a" / "two.csv")
    shutil.copy(GOLDEN / "bars.csv", tmp_path / "b" / "first.csv")
    shutil.copy(GOLDEN / "rates.csv", tmp_path / "b" / "second.csv")
    name = archive_identity([tmp_path / "a"])
    assert name == archive_identity([tmp_path / "b" / "second.csv", tmp_path / "b" / "first.csv"])
    assert name.startswith("archive-")
    assert name != archive_identity([tmp_path / "a" / "one.csv"])


def test_companions_are_found_by_their_header() -> None:
    found = {path.name for path in companion_files(GOLDEN / "chain_rows.csv")}
    assert found == {"bars.csv", "QQQ.csv", "volatility.csv", "VIX_History.csv", "rates.csv"}


@pytest.mark.parametrize("name", ["spx_2019q2", "adr_2015q4", "spy_2021_slice", "vxx_2016_12"])
def test_real_chains_agree_with_an_independent_count(lake: ParquetLake, name: str) -> None:
    path = SHARED / f"chains_{name}.parquet"
    if not SHARED.is_dir():
        pytest.skip("../shared/data is not there")
    (file,) = ingest([path], lake).files
    with duckdb.connect() as counting:
        in_file = counting.execute(
            "select count(*), count(distinct quote_date), sum(volume), sum(bid), sum(ask), "
            "count(*) filter (bid > ask), count(*) filter (bid = ask and bid > 0), "
            "count(*) filter (bid = 0 and ask > 0) from read_parquet($path)",
            {"path": str(path)},
        ).fetchall()[0]
        in_lake = counting.execute(
            "select count(*), count(distinct session), sum(volume), sum(bid), sum(ask) "
            "from read_parquet($path, hive_partitioning = true)",
            {"path": f"{lake.root}/archive_quotes/*/part.parquet"},
        ).fetchall()[0]
    assert (file.rows, file.kept, file.sessions) == (in_file[0], in_file[0], in_file[1])
    assert in_lake == pytest.approx(in_file[:5])
    defects = file.defects
    assert defects.get("quote_crossed", 0) == in_file[5]
    assert defects.get("quote_locked", 0) == in_file[6]
    assert defects.get("quote_zero_bid", 0) == in_file[7]
    assert file.quarantined == {}


def test_real_previous_volume_agrees_with_an_independent_join(lake: ParquetLake) -> None:
    path = SHARED / "chains_vxx_2016_12.parquet"
    if not SHARED.is_dir():
        pytest.skip("../shared/data is not there")
    ingest([path], lake)
    calendar = TradingCalendar()
    sessions = calendar.sessions(date(2016, 12, 1), date(2016, 12, 30))
    pairs = pd.DataFrame({"day": sessions[1:], "before": sessions[:-1]}).astype("datetime64[us]")
    with duckdb.connect() as counting:
        counting.register("pairs", pairs)
        expected = counting.execute(
            "select count(*), sum(a.volume) from read_parquet($path) b join pairs "
            "on b.quote_date = pairs.day::date join read_parquet($path) a "
            "on a.quote_date = pairs.before::date and a.root = b.root and a.strike = b.strike "
            "and a.expiration = b.expiration and a.type = b.type",
            {"path": str(path)},
        ).fetchall()[0]
    previous = lake.read_range("archive_quotes", start=sessions[0], end=sessions[-1])
    known = previous["previous_volume"].dropna()
    assert (len(known), known.sum()) == expected


def test_real_series_agree_with_an_independent_count(lake: ParquetLake) -> None:
    if not SHARED.is_dir():
        pytest.skip("../shared/data is not there")
    names = ["bars_daily", "cboe_vol_indices", "fred_rates"]
    ingest([SHARED / f"{name}.parquet" for name in names], lake)
    with duckdb.connect() as counting:
        bars, vix, dff = (
            counting.execute(query, {"path": str(SHARED / f"{name}.parquet")}).fetchall()[0][0]
            for query, name in (
                ("select count(*) from read_parquet($path)", names[0]),
                ("select count(VIX) from read_parquet($path)", names[1]),
                ("select count(DFF) from read_parquet($path)", names[2]),
            )
        )
    assert len(lake.read_reference("daily_bars")) == bars
    stored = lake.read_reference("volatility_indices")["name"].eq("VIX").sum()
    # A handful of indices are dated on days when the exchange was closed.
    closed = len(lake.read_reference("quarantine"))
    assert vix - closed <= stored <= vix
    assert lake.read_reference("rates")["name"].eq("DFF").sum() == dff
