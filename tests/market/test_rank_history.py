"""What an IV rank rests on: filled once, never looking ahead, and honest about where it is from."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mahler_pipelines.market.chains import Scan
from mahler_pipelines.market.data import OPTION_BAR_COLUMNS
from mahler_pipelines.market.rank_history import (
    FROM_OPTION_BARS,
    FROM_SCAN,
    HISTORY_COLUMNS,
    NOTHING,
    earlier_today,
    empty_history,
    fill_history,
    latest_history,
    rank_with_stand_ins,
)
from mahler_pipelines.options.contracts import Right, occ_symbol
from mahler_pipelines.options.european import price
from mahler_pipelines.storage.lake import ParquetLake
from tests.market.volatility_cases import CALENDAR

SESSIONS = CALENDAR.sessions(date(2026, 1, 5), date(2026, 1, 30))
LATER = CALENDAR.sessions(date(2026, 2, 2), date(2026, 2, 6))
EXPIRATIONS = [date(2026, 1, 9) + timedelta(weeks=week) for week in range(16)]
VOLATILITY = {"AAA": 0.25, "BBB": 0.40}
LISTING = ["symbol", "root", "expiration", "right", "strike"]


@dataclass
class OptionBars:
    """A market of two names with flat volatilities; CCC has shares and no options.

    Keeps every question; the name may be asked from several threads.
    """

    listed: list[tuple[str, bool]] = field(default_factory=list)
    asked: list[tuple[date, date]] = field(default_factory=list)
    without: frozenset[date] = frozenset()
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def now(self) -> datetime:
        raise NotImplementedError

    def chain(self, underlying: str, *, expires_from: date, expires_to: date) -> pd.DataFrame:
        raise NotImplementedError

    def option_quotes(self, symbols: Sequence[str]) -> pd.DataFrame:
        raise NotImplementedError

    def stock_quotes(self, underlyings: Sequence[str]) -> pd.DataFrame:
        raise NotImplementedError

    def daily_bars(self, underlyings: Sequence[str], *, start: date, end: date) -> pd.DataFrame:
        raise NotImplementedError

    def listed_contracts(
        self, underlying: str, *, expires_from: date, expires_to: date, active: bool
    ) -> pd.DataFrame:
        with self._lock:
            self.listed.append((underlying, active))
        rows = [
            (
                occ_symbol(underlying, expiration, right, Decimal(strike)),
                underlying,
                expiration,
                int(right),
                strike,
            )
            for expiration in EXPIRATIONS
            for right in Right
            for strike in range(80, 121, 5)
            if underlying in VOLATILITY
            and expires_from <= expiration <= expires_to
            # Most contracts are in one listing; on the border both have them.
            and (active == (expiration > date(2026, 1, 30)) or expiration == date(2026, 2, 6))
        ]
        frame = pd.DataFrame(rows, columns=LISTING)
        dtypes = {"symbol": "str", "root": "str", "expiration": "datetime64[us]"}
        return frame.astype({**dtypes, "right": "int8", "strike": "float64"})

    def option_daily_bars(self, symbols: Sequence[str], *, start: date, end: date) -> pd.DataFrame:
        with self._lock:
            self.asked.append((start, end))
        days = [day for day in CALENDAR.sessions(start, end) if day not in self.without]
        pairs = pd.MultiIndex.from_product([list(symbols), days], names=["symbol", "session"])
        frame = pairs.to_frame(index=False).astype({"symbol": "str", "session": "datetime64[us]"})
        parts = frame["symbol"].str.extract(r"^([A-Z]+)(\d{6})([CP])(\d{8})$")
        expiration = pd.to_datetime(parts[1], format="%y%m%d")
        frame["close"] = price(
            right=parts[2].map({"C": 1, "P": -1}).to_numpy(),
            spot=100.0,
            strike=parts[3].astype("float64").to_numpy() / 1000,
            years=(expiration - frame["session"]).dt.days.to_numpy() / 365,
            rate=0.04,
            dividend_yield=0.0,
            volatility=parts[0].map(VOLATILITY).to_numpy(dtype=float),
        )
        alive = frame[expiration >= frame["session"]]
        return alive.assign(volume=1.0)[list(OPTION_BAR_COLUMNS)].reset_index(drop=True)


def shares(*names: str, sessions: Sequence[date] = (*SESSIONS, *LATER)) -> pd.DataFrame:
    rows = [(name, day, 100.0) for name in names for day in sessions]
    frame = pd.DataFrame(rows, columns=["underlying", "session", "close"])
    return frame.astype({"underlying": "str", "session": "datetime64[us]", "close": "float64"})


def filled(
    market: OptionBars,
    known: pd.DataFrame | None = None,
    *,
    names: Sequence[str] = ("AAA", "BBB"),
    sessions: Sequence[date] = SESSIONS,
    bars: pd.DataFrame | None = None,
) -> pd.DataFrame:
    return fill_history(
        empty_history() if known is None else known,
        market,
        shares("AAA", "BBB", "CCC") if bars is None else bars,
        underlyings=names,
        sessions=sessions,
        rate=0.04,
    )


def dtypes(frame: pd.DataFrame) -> dict[str, str]:
    return {str(name): str(dtype) for name, dtype in frame.dtypes.items()}


def test_a_cold_start_finds_the_volatility_of_every_session() -> None:
    history = filled(OptionBars())
    assert list(history.columns) == list(HISTORY_COLUMNS)
    assert dtypes(history) == dtypes(empty_history())
    assert len(history) == 2 * len(SESSIONS)
    assert set(history["source"]) == {FROM_OPTION_BARS}
    expected = history["underlying"].map(VOLATILITY).to_numpy(dtype=float)
    np.testing.assert_allclose(history["implied_volatility"], expected, atol=0.01)


def test_only_what_is_missing_is_asked_for() -> None:
    market = OptionBars()
    known = filled(market)
    market.asked.clear()
    market.listed.clear()
    later = filled(market, known, sessions=[*SESSIONS, *LATER])
    assert market.asked == [(LATER[0], LATER[-1])] * 2
    kept = later[later["session"] < pd.Timestamp(LATER[0])].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept, known)


def test_what_is_known_is_not_asked_for_at_all() -> None:
    market = OptionBars()
    known = filled(market)
    market.asked.clear()
    market.listed.clear()
    again = filled(market, known.sample(frac=1, random_state=1))
    assert (market.asked, market.listed) == ([], [])
    pd.testing.assert_frame_equal(again, known)


def test_a_hole_in_the_middle_is_asked_for_alone() -> None:
    market = OptionBars()
    known = filled(market)
    hole = (known["underlying"] == "BBB") & (known["session"] == pd.Timestamp(SESSIONS[7]))
    market.asked.clear()
    market.listed.clear()
    again = filled(market, known[~hole])
    assert market.asked == [(SESSIONS[7], SESSIONS[7])]
    assert {name for name, _ in market.listed} == {"BBB"}
    pd.testing.assert_frame_equal(again, known)


@pytest.mark.parametrize("names", [("CCC",), ("AAA", "CCC")])
def test_sessions_without_bars_are_asked_for_once(names: tuple[str, ...]) -> None:
    """A name without options would otherwise cost 252 sessions of questions at every scan."""
    market = OptionBars()
    known = filled(market, names=names)
    nothing = known[known["underlying"] == "CCC"]
    assert len(nothing) == len(SESSIONS)
    assert nothing["implied_volatility"].isna().all()
    assert set(nothing["source"]) == {NOTHING}
    assert dtypes(known) == dtypes(empty_history())
    market.listed.clear()
    pd.testing.assert_frame_equal(filled(market, known, names=names), known)
    assert market.listed == []


def test_a_session_the_market_has_no_closes_of_stays_without_a_value() -> None:
    market = OptionBars(without=frozenset({SESSIONS[3]}))
    known = filled(market, names=("AAA",)).set_index("session")
    row = known.loc[pd.Timestamp(SESSIONS[3])]
    assert np.isnan(row["implied_volatility"])
    assert row["source"] == NOTHING
    assert (known["source"] == FROM_OPTION_BARS).sum() == len(SESSIONS) - 1


def test_a_session_without_a_share_close_has_no_volatility() -> None:
    bars = shares("AAA", sessions=SESSIONS[5:])
    known = filled(OptionBars(), names=("AAA",), bars=bars)
    assert (known["source"] == NOTHING).to_list() == [True] * 5 + [False] * (len(SESSIONS) - 5)


def test_what_a_scan_saw_is_never_replaced() -> None:
    own = pd.DataFrame(
        {
            "underlying": ["AAA", "AAA"],
            "session": pd.to_datetime([SESSIONS[0], SESSIONS[1]]).astype("datetime64[us]"),
            "implied_volatility": [0.5, np.nan],
            "source": [FROM_SCAN, FROM_SCAN],
        }
    ).astype(dtypes(empty_history()))
    known = filled(OptionBars(), own, names=("AAA",))
    assert known["source"].to_list()[:2] == [FROM_SCAN, FROM_SCAN]
    assert known["implied_volatility"].iloc[0] == 0.5
    assert np.isnan(known["implied_volatility"].iloc[1])


def test_no_sessions_and_no_names_are_nothing_to_do() -> None:
    assert filled(OptionBars(), sessions=[]).empty
    assert dtypes(filled(OptionBars(), names=())) == dtypes(empty_history())


# Ranks


def history_of(
    values: Sequence[float], name: str = "SPX", *, until: date = date(2026, 6, 30)
) -> pd.DataFrame:
    """One value a session, the last of them on the session before `until`."""
    days = CALENDAR.sessions(date(2024, 1, 2), CALENDAR.previous(until))[-len(values) :]
    return pd.DataFrame(
        {
            "underlying": pd.Series([name] * len(values), dtype="str"),
            "session": pd.to_datetime(pd.Series(days)).astype("datetime64[us]"),
            "implied_volatility": np.asarray(values, dtype=float),
        }
    )


def index_of(values: Sequence[float], *, until: date = date(2026, 6, 30)) -> pd.DataFrame:
    frame = history_of(values, "VIX", until=until)
    return frame.rename(columns={"underlying": "name", "implied_volatility": "close"})


def now(value: float, name: str = "SPX", session: date = date(2026, 6, 30)) -> pd.DataFrame:
    frame = history_of([value], name, until=CALENDAR.next(session))
    assert frame["session"].iloc[0] == pd.Timestamp(session)
    return frame


def ranked(
    history: pd.DataFrame, current: pd.DataFrame, indices: pd.DataFrame, **changes: Any
) -> dict[str, Any]:
    terms: dict[str, Any] = {"stand_ins": {"SPX": "VIX"}, "lookback": 252, "minimum": 20}
    found = rank_with_stand_ins(history, current, indices, **(terms | changes))
    assert len(found) == len(current)
    return {str(key): value for key, value in found.to_dict("records")[0].items()}


NO_INDICES = pd.DataFrame()
RISING = list(np.linspace(10.0, 30.0, 300))


def test_own_history_is_preferred_once_it_is_long_enough() -> None:
    own = history_of([0.1] * 126 + [0.3] * 126)
    row = ranked(own, now(0.2), index_of(RISING))
    assert (row["iv_rank"], row["sessions"]) == (pytest.approx(50.0), 252)
    assert row["iv_rank_basis"] == "30-day at-the-money volatility over 252 of 252 sessions"
    assert (row["low"], row["high"], row["iv30"]) == (0.1, 0.3, 0.2)


def test_a_shorter_history_leaves_the_word_to_the_index() -> None:
    own = history_of([0.1, 0.3] * 50)
    row = ranked(own, now(0.2), index_of(RISING))
    assert row["sessions"] == 252
    assert row["iv_rank"] == 100.0  # the index's last close is its highest
    assert row["iv30"] == 0.2  # which is still the underlying's own volatility
    assert row["iv_rank_basis"] == "VIX close of 2026-06-29 over 252 of 252 sessions"


def test_the_index_is_ranked_in_its_own_past_before_the_scan() -> None:
    """Its close of the scan's own session is not known at the scan, nor is any later one."""
    known = index_of([*RISING[:-1], 12.0])
    row = ranked(empty_history(), now(0.2), known)
    future = index_of([99.0, 5.0, 99.0], until=date(2026, 7, 3))
    assert future["session"].min() == pd.Timestamp("2026-06-30")
    again = ranked(empty_history(), now(0.2), pd.concat([known, future], ignore_index=True))
    assert again == row
    closes = known["close"].to_numpy()[-253:]
    low, high = closes.min(), closes.max()
    assert row["iv_rank"] == pytest.approx(100 * (12.0 - low) / (high - low))
    assert row["iv_percentile"] == pytest.approx(100 * np.mean(closes[:-1] < 12.0))


def test_an_index_with_less_than_the_own_history_does_not_stand_in() -> None:
    own = history_of([0.1, 0.3] * 50)
    row = ranked(own, now(0.2), index_of(RISING[:60]))
    assert row["sessions"] == 100
    assert row["iv_rank_basis"].startswith("30-day at-the-money volatility over 100 of 252")


@pytest.mark.parametrize(
    "indices",
    [
        NO_INDICES,
        index_of(RISING).assign(name="VXN"),
        index_of(RISING, until=date(2026, 6, 1)),
        index_of([10.0] * 10, until=date(2026, 6, 30)).assign(close=np.nan),
    ],
    ids=["absent", "another index", "a month old", "without values"],
)
def test_without_a_recent_index_a_short_history_has_no_rank(indices: pd.DataFrame) -> None:
    """An index that ended weeks ago says nothing of today."""
    row = ranked(history_of([0.1, 0.3] * 5), now(0.2), indices)
    assert np.isnan(row["iv_rank"])
    assert (row["rank_reason"], row["sessions"]) == ("too_few_sessions", 10)


def test_a_missing_close_of_the_index_is_passed_over() -> None:
    """A hole in the last row would else rank nothing where the day before could be ranked."""
    known = index_of([*RISING[:-1], np.nan])
    row = ranked(empty_history(), now(0.2), known)
    assert row["iv_rank"] == 100.0
    assert row["iv_rank_basis"].startswith("VIX close of 2026-06-26 over")


def test_names_without_a_stand_in_keep_their_own_basis() -> None:
    own = pd.concat([history_of([0.1, 0.3] * 15, name) for name in ("SPX", "AAA")])
    current = pd.concat([now(0.2, "AAA"), now(0.2, "SPX")], ignore_index=True)
    found = rank_with_stand_ins(
        own, current, index_of(RISING), stand_ins={"SPX": "VIX"}, lookback=252, minimum=20
    ).set_index("underlying")
    assert found.loc["AAA", "iv_rank"] == pytest.approx(50.0)
    assert "VIX" not in str(found.loc["AAA", "iv_rank_basis"])
    assert "VIX" in str(found.loc["SPX", "iv_rank_basis"])


def test_partitions_have_the_same_dtypes_with_and_without_ranks() -> None:
    """Partitions of different days are read together."""
    terms: dict[str, Any] = {"stand_ins": {"SPX": "VIX"}, "lookback": 252, "minimum": 20}
    full = rank_with_stand_ins(history_of([0.1, 0.3] * 50), now(0.2), index_of(RISING), **terms)
    blind = rank_with_stand_ins(empty_history(), now(float("nan")), NO_INDICES, **terms)
    none = rank_with_stand_ins(empty_history(), now(0.2).iloc[:0], NO_INDICES, **terms)
    assert dtypes(full) == dtypes(blind) == dtypes(none)
    assert (len(blind), len(none)) == (1, 0)


# What is in the lake already


@pytest.fixture
def lake(tmp_path: Path) -> ParquetLake:
    return ParquetLake(tmp_path)


def write(lake: ParquetLake, session: date, scan: Scan, value: float) -> None:
    lake.write("iv_history", now(value, session=session), session=session, scan=scan.value)


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
