"""`mahler backfill`: a new book gets a history, and a session that has not closed is refused."""

import json
from datetime import date
from pathlib import Path

import pytest

from mahler_pipelines.market.rank_history import backfilled_history
from mahler_pipelines.market.sessions import TradingCalendar
from mahler_pipelines.orchestration.partitions import FIRST_SESSION
from mahler_pipelines.storage.lake import ParquetLake
from tests.cli.conftest import SESSION
from tests.cli.programs import mahler

SETTINGS = (
    *("--set", "universe=TUBA,ARIA"),
    *("--set", "screen.iv_lookback_sessions=70"),
)
"""More sessions than one run of a backfill takes, so that there are two."""
CALENDAR = TradingCalendar()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("backfilled")


def test_backfill_finds_what_a_rank_looks_back_on(home: Path) -> None:
    ended = mahler(home, *SETTINGS, "backfill", "--json")
    assert ended.code == 0, ended.err
    rows = {row["underlying"]: row for row in json.loads(ended.out)}
    assert set(rows) == {"TUBA", "ARIA"}
    for row in rows.values():
        assert (row["sessions"], row["with volatility"]) == (70, 70)
        assert 5 < row["lowest %"] <= row["latest %"] <= row["highest %"] < 200
        assert row["from"] == "option_bars 70"
    last = CALENDAR.previous(date.fromisoformat(SESSION))
    wanted = CALENDAR.sessions(CALENDAR.offset(last, -69), last)
    lake = ParquetLake(home / "books" / "sim-7" / "lake")
    kept = backfilled_history(lake, start=FIRST_SESSION, end=date.fromisoformat(SESSION))
    assert sorted(kept["session"].dt.date.unique()) == list(wanted)


@pytest.mark.parametrize(
    ("sessions", "reason"),
    [
        ("2025-02-27:2025-03-03", "the last session that has closed is 2025-02-28"),
        ("2009-01-05:2009-12-31", "no session from 2010-01-04 on"),
        ("soon", "not FIRST:LAST"),
    ],
)
def test_sessions_that_cannot_be_known_are_refused(home: Path, sessions: str, reason: str) -> None:
    ended = mahler(home, *SETTINGS, "backfill", "--sessions", sessions)
    assert ended.code == 1
    assert reason in ended.err
    assert len(ended.err.splitlines()) == 1
