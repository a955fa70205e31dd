"""Past volatilities through the graph: a first day has ranks, and the market is asked once."""

from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import dagster as dg
import pandas as pd
import pytest

from mahler_pipelines.market.chains import Scan
from mahler_pipelines.market.rank_history import BACKFILLED, backfilled_history
from mahler_pipelines.market.sessions import TradingCalendar
from mahler_pipelines.market.volatility_history import HISTORY_COLUMNS, HistorySource
from mahler_pipelines.orchestration.partitions import session_range_tags
from mahler_pipelines.storage.lake import ParquetLake
from tests.assets.conftest import Open
from tests.assets.desk import (
    QUIET,
    SESSION,
    UNIVERSE,
    PlayedDesk,
    at,
    failed_checks,
    first_failure,
    metadata,
    played,
    scan_at,
)

CALENDAR = TradingCalendar()
NAMES = UNIVERSE[:2]
LOOKBACK = CALENDAR.sessions(CALENDAR.offset(SESSION, -40), CALENDAR.previous(SESSION))
"""The sessions that the rank of these desks looks back on."""


@pytest.fixture
def fresh_desk(tmp_path: Path) -> Iterator[PlayedDesk]:
    """A desk on its first morning, with nothing in its book; two names make it quick."""
    with played(tmp_path, universe=list(NAMES)) as desk:
        desk.advance(scan_at(Scan.MORNING))
        yield desk


def backfill(desk: PlayedDesk, days: Sequence[date]) -> dg.ExecuteInProcessResult:
    """Run one part of a backfill: the job over a range of sessions."""
    return desk.definitions.resolve_job_def("volatility_backfill").execute_in_process(
        run_config=QUIET,
        instance=desk.instance,
        raise_on_error=False,
        tags=session_range_tags(days[0], days[-1]),
    )


def questions(desk: PlayedDesk, path: str) -> list[dict[str, list[str]]]:
    """What the exchange was asked at a path since it was started."""
    asked = [urlsplit(entry["path"]) for entry in desk.exchange.control.journal(1000)]
    return [parse_qs(url.query) for url in asked if url.path == path]


def ranks(desk: PlayedDesk, scan: Scan = Scan.MORNING) -> pd.DataFrame:
    return desk.desk.lake.read("iv_ranks", session=SESSION, scan=scan.value)


def test_a_backfilled_desk_has_ranks_at_its_first_scan_and_asks_nothing_more(
    fresh_desk: PlayedDesk,
) -> None:
    filled = backfill(fresh_desk, LOOKBACK)
    assert filled.success, first_failure(filled)
    assert failed_checks(filled) == []
    _each_session_is_a_partition_that_says_what_it_holds(fresh_desk, filled)
    bars = questions(fresh_desk, "/v1beta1/options/bars")
    listings = questions(fresh_desk, "/v2/options/contracts")
    assert bars
    scanned = fresh_desk.scan()
    assert scanned.success, first_failure(scanned)
    assert questions(fresh_desk, "/v1beta1/options/bars") == bars
    today = questions(fresh_desk, "/v2/options/contracts")[len(listings) :]
    assert {asked["expiration_date_gte"][0] for asked in today} == {str(SESSION)}
    assert metadata(scanned, "iv_history")["looked_up_now"] == 0
    found = ranks(fresh_desk)
    assert found["iv_rank"].between(0, 100).all()
    assert (found["sessions"] == len(LOOKBACK)).all()


def _each_session_is_a_partition_that_says_what_it_holds(
    desk: PlayedDesk, filled: dg.ExecuteInProcessResult
) -> None:
    """One run, forty partitions: the UI shows each of them as there, with its own numbers."""
    done = desk.instance.get_materialized_partitions(dg.AssetKey("past_volatilities"))
    assert done == {str(day) for day in LOOKBACK}
    shown = metadata(filled, "past_volatilities")
    assert shown["dagster/row_count"] == len(NAMES)
    assert shown["sources"] == {HistorySource.OPTION_BARS.value: len(NAMES)}
    rows = desk.desk.lake.read(BACKFILLED, session=LOOKBACK[3])
    assert sorted(rows["underlying"]) == sorted(NAMES)
    assert set(rows.columns) == set(HISTORY_COLUMNS) - {"session"}


def test_a_scan_asks_for_what_a_backfill_left_out(fresh_desk: PlayedDesk) -> None:
    later = LOOKBACK[25:]
    assert backfill(fresh_desk, later).success
    before = len(questions(fresh_desk, "/v1beta1/options/bars"))
    scanned = fresh_desk.scan()
    assert scanned.success, first_failure(scanned)
    asked = questions(fresh_desk, "/v1beta1/options/bars")[before:]
    spans = {(one["start"][0][:10], one["end"][0][:10]) for one in asked}
    day_after = LOOKBACK[24].replace(day=LOOKBACK[24].day + 1)
    firsts, ends = zip(*spans, strict=True)
    assert (min(firsts), max(ends)) == (str(LOOKBACK[0]), str(day_after))
    assert metadata(scanned, "iv_history")["looked_up_now"] == 25 * len(NAMES)
    assert ranks(fresh_desk)["iv_rank"].notna().all()


def test_without_a_backfill_the_first_scan_looks_everything_up(scanned_book: Path) -> None:
    book = next((scanned_book / "books").glob("sim-*"))
    lake = ParquetLake(book / "lake")
    history = lake.read("iv_history", session=SESSION, scan="morning")
    past = history[history["session"] < pd.Timestamp(SESSION)]
    assert len(past) == len(LOOKBACK) * len(UNIVERSE)
    assert set(past["source"]) == {HistorySource.OPTION_BARS}
    found = lake.read("iv_ranks", session=SESSION, scan="morning")
    assert (found["iv_rank"].notna() & (found["sessions"] == len(LOOKBACK))).all()


def test_a_session_that_has_not_closed_is_not_backfilled(fresh_desk: PlayedDesk) -> None:
    """It would be filled with part of a day, or with a day that nobody can know yet."""
    for days in ([*LOOKBACK[-2:], SESSION], [CALENDAR.next(SESSION)]):
        refused = backfill(fresh_desk, days)
        assert not refused.success
        assert "NotObservable" in first_failure(refused)
        assert f"the last session that has closed is {LOOKBACK[-1]}" in first_failure(refused)
    kept = backfilled_history(fresh_desk.desk.lake, start=LOOKBACK[0], end=SESSION)
    assert kept.empty


def test_a_scanned_session_is_backfilled_from_its_own_quotes(open_desk: Open) -> None:
    """Computing a history again must come to what the desk saw, not to closes of the tape."""
    desk = open_desk()
    desk.advance(at(16, 1))
    filled = backfill(desk, [SESSION])
    assert filled.success, first_failure(filled)
    again = desk.desk.lake.read(BACKFILLED, session=SESSION).set_index("underlying")
    assert set(again["source"]) == {HistorySource.SCAN}
    seen = desk.desk.lake.read("iv_history", session=SESSION, scan="morning")
    seen = seen[seen["session"] == pd.Timestamp(SESSION)].set_index("underlying")
    for column in ("implied_volatility", "term_slope"):
        assert again[column].to_numpy() == pytest.approx(seen.loc[again.index, column], abs=2e-4)
        assert seen[column].notna().all()
