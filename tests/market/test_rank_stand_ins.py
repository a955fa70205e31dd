"""What a rank rests on where the own history is short: a volatility index, like with like."""

from collections.abc import Sequence
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mahler_pipelines.market.rank_stand_ins import rank_with_stand_ins
from mahler_pipelines.market.volatility_history import empty_history
from tests.market.volatility_cases import CALENDAR

TERMS: dict[str, Any] = {
    "stand_ins": {"SPX": "VIX"},
    "lookback": 252,
    "minimum": 20,
    "coverage": 0.8,
}


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
    found = rank_with_stand_ins(history, current, indices, **(TERMS | changes))
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


@pytest.mark.parametrize(("sessions", "own"), [(252, True), (251, True), (202, True), (201, False)])
def test_a_few_missing_sessions_do_not_hand_the_word_to_the_index(sessions: int, own: bool) -> None:
    """Four fifths of the lookback are enough: 201.6 of 252 sessions."""
    values = np.linspace(0.1, 0.3, 252)
    values[np.linspace(1, 250, 252 - sessions).astype(int)] = np.nan
    row = ranked(history_of(list(values)), now(0.2), index_of(RISING))
    assert row["iv_rank_basis"].startswith("30-day" if own else "VIX")
    assert row["sessions"] == (sessions if own else 252)


def test_full_coverage_asks_for_every_session() -> None:
    values = [0.1, 0.3] * 126
    for length, basis in ((252, "30-day"), (251, "VIX")):
        row = ranked(history_of(values[:length]), now(0.2), index_of(RISING), coverage=1.0)
        assert row["iv_rank_basis"].startswith(basis)


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
    found = rank_with_stand_ins(own, current, index_of(RISING), **TERMS).set_index("underlying")
    assert found.loc["AAA", "iv_rank"] == pytest.approx(50.0)
    assert "VIX" not in str(found.loc["AAA", "iv_rank_basis"])
    assert "VIX" in str(found.loc["SPX", "iv_rank_basis"])


def dtypes(frame: pd.DataFrame) -> dict[str, str]:
    return {str(name): str(dtype) for name, dtype in frame.dtypes.items()}


def test_partitions_have_the_same_dtypes_with_and_without_ranks() -> None:
    """Partitions of different days are read together."""
    full = rank_with_stand_ins(history_of([0.1, 0.3] * 50), now(0.2), index_of(RISING), **TERMS)
    blind = rank_with_stand_ins(empty_history(), now(float("nan")), NO_INDICES, **TERMS)
    none = rank_with_stand_ins(empty_history(), now(0.2).iloc[:0], NO_INDICES, **TERMS)
    assert dtypes(full) == dtypes(blind) == dtypes(none)
    assert (len(blind), len(none)) == (1, 0)
