"""What an IV rank rests on: filled once, never looking ahead, and honest about where it is from."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mahler_pipelines.market.chains import Scan
from mahler_pipelines.market.past_volatility import PastMarket
from mahler_pipelines.market.rank_history import (
    BACKFILLED,
    FilledHistory,
    earlier_today,
    fill_history,
    known_history,
    latest_history,
)
from mahler_pipelines.market.volatility_history import (
    HISTORY_COLUMNS,
    HistorySource,
    best_known,
    empty_history,
)
from mahler_pipelines.storage.lake import ParquetLake
from tests.market.past_markets import LATER, SESSIONS, VOLATILITY, OptionBars, shares


@pytest.fixture
def lake(tmp_path: Path) -> ParquetLake:
    return ParquetLake(tmp_path)


@dataclass
class Desk:
    """A lake and a market, and the history that is made of them."""

    lake: ParquetLake
    market: OptionBars = field(default_factory=OptionBars)

    def fill(
        self,
        known: pd.DataFrame | None = None,
        *,
        names: Sequence[str] = ("AAA", "BBB"),
        sessions: Sequence[date] = SESSIONS,
        bars: pd.DataFrame | None = None,
    ) -> pd.DataFrame:
        return self.filled(known, names=names, sessions=sessions, bars=bars).rows

    def filled(
        self,
        known: pd.DataFrame | None,
        *,
        names: Sequence[str],
        sessions: Sequence[date],
        bars: pd.DataFrame | None = None,
    ) -> FilledHistory:
        return fill_history(
            empty_history() if known is None else known,
            PastMarket(self.lake, self.lake, self.market, rates=pd.DataFrame(), flat_rate=0.04),
            shares("AAA", "BBB", "CCC") if bars is None else bars,
            underlyings=names,
            sessions=sessions,
        )

    def forget_questions(self) -> None:
        self.market.asked.clear()
        self.market.listed.clear()


@pytest.fixture
def desk(lake: ParquetLake) -> Desk:
    return Desk(lake)


def dtypes(frame: pd.DataFrame) -> dict[str, str]:
    return {str(name): str(dtype) for name, dtype in frame.dtypes.items()}


def test_a_cold_start_finds_the_volatility_of_every_session(desk: Desk) -> None:
    history = desk.fill()
    assert dtypes(history) == dict(HISTORY_COLUMNS)
    assert len(history) == 2 * len(SESSIONS)
    assert set(history["source"]) == {HistorySource.OPTION_BARS}
    assert history["term_slope"].isna().all(), "closes near 30 days say nothing of 90"
    expected = history["underlying"].map(VOLATILITY).to_numpy(dtype=float)
    np.testing.assert_allclose(history["implied_volatility"], expected, atol=0.001)


def test_only_what_is_missing_is_asked_for(desk: Desk) -> None:
    known = desk.fill()
    desk.forget_questions()
    later = desk.filled(known, names=("AAA", "BBB"), sessions=[*SESSIONS, *LATER])
    firsts, lasts = zip(*desk.market.asked, strict=True)
    assert (min(firsts), max(lasts)) == (LATER[0], LATER[-1])
    assert later.looked_for == 2 * len(LATER)
    kept = later.rows[later.rows["session"] < pd.Timestamp(LATER[0])].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept, known)


def test_what_is_known_is_not_asked_for_at_all(desk: Desk) -> None:
    known = desk.fill()
    desk.forget_questions()
    again = desk.fill(known.sample(frac=1, random_state=1))
    assert (desk.market.asked, desk.market.listed) == ([], [])
    pd.testing.assert_frame_equal(again, known)


def test_a_hole_in_the_middle_is_asked_for_alone(desk: Desk) -> None:
    known = desk.fill()
    hole = (known["underlying"] == "BBB") & (known["session"] == pd.Timestamp(SESSIONS[7]))
    desk.forget_questions()
    again = desk.fill(known[~hole])
    assert desk.market.asked == [(SESSIONS[7], SESSIONS[7])]
    assert {name for name, _ in desk.market.listed} == {"BBB"}
    pd.testing.assert_frame_equal(again, known)


@pytest.mark.parametrize("names", [("CCC",), ("AAA", "CCC")])
def test_sessions_without_bars_are_asked_for_once(desk: Desk, names: tuple[str, ...]) -> None:
    """A name without options would otherwise cost 252 sessions of questions at every scan."""
    known = desk.fill(names=names)
    nothing = known[known["underlying"] == "CCC"]
    assert len(nothing) == len(SESSIONS)
    assert nothing["implied_volatility"].isna().all()
    assert set(nothing["source"]) == {HistorySource.NONE}
    assert dtypes(known) == dtypes(empty_history())
    desk.forget_questions()
    pd.testing.assert_frame_equal(desk.fill(known, names=names), known)
    assert desk.market.listed == []


def test_a_session_the_market_has_no_closes_of_stays_without_a_value(lake: ParquetLake) -> None:
    desk = Desk(lake, OptionBars(without=frozenset({SESSIONS[3]})))
    known = desk.fill(names=("AAA",)).set_index("session")
    found = known.loc[pd.Timestamp(SESSIONS[3])]
    assert np.isnan(found["implied_volatility"])
    assert found["source"] == HistorySource.NONE
    assert (known["source"] == HistorySource.OPTION_BARS).sum() == len(SESSIONS) - 1


def test_a_session_without_a_share_close_has_no_volatility(desk: Desk) -> None:
    known = desk.fill(names=("AAA",), bars=shares("AAA", sessions=SESSIONS[5:]))
    lost = (known["source"] == HistorySource.NONE).to_list()
    assert lost == [True] * 5 + [False] * (len(SESSIONS) - 5)


def test_what_a_scan_saw_is_never_replaced(desk: Desk) -> None:
    own = pd.concat([row(SESSIONS[0], 0.5), row(SESSIONS[1], np.nan)])
    known = desk.fill(own, names=("AAA",))
    assert known["source"].to_list()[:2] == [HistorySource.SCAN] * 2
    assert known["implied_volatility"].iloc[0] == 0.5
    assert np.isnan(known["implied_volatility"].iloc[1])


def test_no_sessions_and_no_names_are_nothing_to_do(desk: Desk) -> None:
    assert desk.fill(sessions=[]).empty
    assert dtypes(desk.fill(names=())) == dtypes(empty_history())


# Which of two rows counts


@pytest.mark.parametrize(
    ("first", "second", "kept"),
    [
        ((0.2, HistorySource.OPTION_BARS), (0.3, HistorySource.SCAN), 0.3),
        ((0.2, HistorySource.OPTION_BARS), (0.3, HistorySource.ARCHIVE), 0.3),
        ((0.2, HistorySource.SCAN), (0.3, HistorySource.ARCHIVE), 0.2),
        ((0.2, HistorySource.SCAN), (0.3, HistorySource.SCAN), 0.2),
        ((np.nan, HistorySource.SCAN), (0.3, HistorySource.OPTION_BARS), 0.3),
        ((np.nan, HistorySource.NONE), (0.3, HistorySource.OPTION_BARS), 0.3),
    ],
)
def test_a_volatility_goes_before_none_and_a_chain_before_closes(
    first: tuple[float, HistorySource], second: tuple[float, HistorySource], kept: float
) -> None:
    found = best_known(row(SESSIONS[0], *first), row(SESSIONS[0], *second))
    assert found["implied_volatility"].to_list() == [kept]


def test_a_table_without_a_term_slope_reads_as_one_that_does_not_know_it() -> None:
    older = row(SESSIONS[0], 0.2).drop(columns="term_slope")
    assert best_known(older)["term_slope"].isna().all()
    assert dtypes(best_known(older)) == dict(HISTORY_COLUMNS)


# What is in the lake already


def row(
    session: date,
    value: float,
    source: HistorySource = HistorySource.SCAN,
    *,
    name: str = "AAA",
    term_slope: float = np.nan,
) -> pd.DataFrame:
    """A history of one row."""
    values = [(name, pd.Timestamp(session), value, term_slope, source.value)]
    return pd.DataFrame(values, columns=list(HISTORY_COLUMNS)).astype(dict(HISTORY_COLUMNS))


def write(lake: ParquetLake, session: date, scan: Scan, value: float) -> None:
    lake.write("iv_history", row(session, value), session=session, scan=scan.value)


def backfill(lake: ParquetLake, *rows: pd.DataFrame) -> None:
    for one in rows:
        session = one["session"].iloc[0].date()
        lake.write(BACKFILLED, one.drop(columns="session"), session=session)


def test_the_newest_partition_is_the_history(lake: ParquetLake) -> None:
    scans = [scan.value for scan in Scan]
    assert dtypes(latest_history(lake, "iv_history", sessions=SESSIONS, scans=scans)) == dtypes(
        empty_history()
    )
    write(lake, SESSIONS[0], Scan.CLOSE, 0.1)
    write(lake, SESSIONS[2], Scan.MORNING, 0.2)
    write(lake, SESSIONS[2], Scan.MIDDAY, 0.3)
    found = latest_history(lake, "iv_history", sessions=SESSIONS[:4], scans=scans)
    assert found["implied_volatility"].to_list() == [0.3]
    earlier = latest_history(lake, "iv_history", sessions=SESSIONS[:2], scans=scans)
    assert earlier["implied_volatility"].to_list() == [0.1]


def test_a_later_scan_takes_what_the_first_of_the_session_computed(lake: ParquetLake) -> None:
    day = SESSIONS[0]

    def of(scan: Scan) -> list[float] | None:
        found = earlier_today(lake, "iv_history", session=day, before=scan)
        return None if found is None else found["implied_volatility"].to_list()

    assert of(Scan.CLOSE) is None
    write(lake, day, Scan.MIDDAY, 0.2)
    write(lake, day, Scan.AFTERNOON, 0.3)
    assert of(Scan.MORNING) is None
    assert of(Scan.MIDDAY) is None
    assert of(Scan.AFTERNOON) == [0.2]
    assert of(Scan.CLOSE) == [0.2]


def test_a_desk_that_rested_for_weeks_still_finds_its_history(lake: ParquetLake) -> None:
    """Ten sessions without a scan must not cost the market a year of questions."""
    write(lake, SESSIONS[0], Scan.AFTERNOON, 0.2)
    known = known_history(lake, sessions=SESSIONS, until=LATER[0])
    assert known["implied_volatility"].to_list() == [0.2]


def test_backfilled_sessions_join_those_that_scans_carry(lake: ParquetLake) -> None:
    bars = HistorySource.OPTION_BARS
    backfill(lake, row(SESSIONS[0], 0.1, bars), row(SESSIONS[1], 0.3, bars))
    write(lake, SESSIONS[1], Scan.AFTERNOON, 0.2)
    known = known_history(lake, sessions=SESSIONS, until=LATER[0])
    assert known["implied_volatility"].to_list() == [0.1, 0.2]
    assert known["source"].to_list() == [bars, HistorySource.SCAN]
    assert dtypes(known) == dict(HISTORY_COLUMNS)


def test_backfilling_again_replaces_what_was_carried(lake: ParquetLake) -> None:
    bars = HistorySource.OPTION_BARS
    lake.write("iv_history", row(SESSIONS[0], 0.1, bars), session=SESSIONS[1], scan="morning")
    backfill(lake, row(SESSIONS[0], 0.15, bars))
    known = known_history(lake, sessions=SESSIONS, until=LATER[0])
    assert known["implied_volatility"].to_list() == [0.15]


def test_nothing_from_the_asking_session_on_is_known(lake: ParquetLake) -> None:
    """A later session can be in the lake already, in a replay or after a backfill."""
    backfill(lake, row(LATER[0], 0.4), row(SESSIONS[0], 0.1))
    both = pd.concat([row(LATER[0], 0.4), row(SESSIONS[1], 0.2)])
    lake.write("iv_history", both, session=LATER[0], scan="morning")
    known = known_history(lake, sessions=SESSIONS, until=LATER[0])
    assert known["implied_volatility"].to_list() == [0.1, 0.2]


def test_a_backfill_leaves_nothing_to_ask(desk: Desk) -> None:
    found = desk.fill()
    backfill(desk.lake, *(of_one for _, of_one in found.groupby("session")))
    desk.forget_questions()
    known = known_history(desk.lake, sessions=SESSIONS, until=LATER[0])
    again = desk.filled(known, names=("AAA", "BBB"), sessions=SESSIONS)
    assert again.looked_for == 0
    assert (desk.market.asked, desk.market.listed) == ([], [])
    pd.testing.assert_frame_equal(again.rows, found)
