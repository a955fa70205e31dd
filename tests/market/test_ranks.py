"""IV rank and IV percentile: two different things, both within 0 and 100."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mahler_pipelines.errors import CorruptData
from mahler_pipelines.market.volatility import NoRank, iv_rank, rank_universe

TODAY = pd.Timestamp("2020-06-01")


def _history(underlying: str, values: list[float]) -> pd.DataFrame:
    sessions = pd.bdate_range(end=TODAY - pd.Timedelta(days=1), periods=len(values))
    return pd.DataFrame(
        {"underlying": underlying, "session": sessions, "implied_volatility": values}
    )


def _today(**values: float) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "underlying": list(values),
            "session": TODAY,
            "implied_volatility": list(values.values()),
        }
    )


def test_rank_and_percentile_differ() -> None:
    """One spike lifts the range and lowers the rank; the percentile hardly sees it."""
    found = iv_rank([0.10] * 50 + [0.12] * 49 + [0.50], 0.14)
    assert found.rank == pytest.approx(10.0)
    assert found.percentile == pytest.approx(99.0)
    assert (found.low, found.high, found.sessions) == (0.10, 0.50, 100)
    assert found.basis == "100 of 252 sessions"


def test_today_beyond_its_history_ranks_at_the_end() -> None:
    assert iv_rank(np.linspace(0.1, 0.2, 30), 0.3).rank == 100.0
    assert iv_rank(np.linspace(0.1, 0.2, 30), 0.05).rank == 0.0


def test_percentile_counts_strictly_below() -> None:
    assert iv_rank([0.1] * 10 + [0.2] * 20 + [0.3] * 10, 0.2).percentile == 25.0


def test_only_the_lookback_counts() -> None:
    found = iv_rank([0.9] * 100 + [0.1] * 126 + [0.2] * 126, 0.15)
    assert found.high == 0.2
    assert found.sessions == 252
    short = iv_rank([0.9] * 100 + [0.1] * 20 + [0.2] * 20, 0.15, lookback=40)
    assert (short.high, short.basis) == (0.2, "40 of 40 sessions")


def test_too_few_sessions_have_no_rank() -> None:
    found = iv_rank([0.1] * 19 + [float("nan")] * 50, 0.2)
    assert (found.rank, found.percentile, found.reason) == (None, None, NoRank.TOO_FEW_SESSIONS)
    assert found.sessions == 19
    assert iv_rank([0.1] * 20, 0.2).rank == 100.0
    assert iv_rank([], 0.2).reason is NoRank.TOO_FEW_SESSIONS


def test_flat_history_has_a_percentile_but_no_rank() -> None:
    found = iv_rank([0.2] * 60, 0.2)
    assert (found.rank, found.percentile, found.reason) == (None, 0.0, NoRank.FLAT_HISTORY)


def test_no_volatility_today_has_no_rank() -> None:
    found = iv_rank([0.1, 0.2] * 30, float("nan"))
    assert (found.rank, found.low, found.reason) == (None, None, NoRank.NO_CURRENT_VOLATILITY)


values = st.floats(0.01, 3) | st.just(float("nan"))


@given(st.lists(st.tuples(st.lists(values, max_size=60), values), min_size=1, max_size=5))
def test_universe_ranks_as_each_alone(cases: list[tuple[list[float], float]]) -> None:
    names = [f"U{number}" for number in range(len(cases))]
    history = pd.concat(
        [_history(name, past) for name, (past, _) in zip(names, cases, strict=True)]
    ).astype({"underlying": "str", "session": "datetime64[us]", "implied_volatility": "float64"})
    current = _today(**{name: now for name, (_, now) in zip(names, cases, strict=True)})
    table = rank_universe(history, current, lookback=40, minimum=10)
    assert table["underlying"].tolist() == names
    alone = [iv_rank(past, now, lookback=40, minimum=10) for past, now in cases]
    assert table["rank_reason"].tolist() == [one.reason for one in alone]
    assert table["sessions"].tolist() == [one.sessions for one in alone]
    for column, expected in (
        ("iv_rank", [np.nan if one.rank is None else one.rank for one in alone]),
        ("iv_percentile", [np.nan if one.percentile is None else one.percentile for one in alone]),
    ):
        assert table[column].tolist() == pytest.approx(expected, nan_ok=True)
        assert table[column].dropna().between(0, 100).all()


def test_later_sessions_are_not_looked_at() -> None:
    """Neither today's own row nor tomorrow's, which a replay has on disk."""
    past = _history("SPY", [0.1] * 30 + [0.2] * 30)
    ahead = pd.DataFrame(
        {
            "underlying": "SPY",
            "session": [TODAY, TODAY + pd.Timedelta(days=1)],
            "implied_volatility": [5.0, 9.0],
        }
    )
    table = rank_universe(pd.concat([past, ahead]), _today(SPY=0.15))
    assert table["high"].tolist() == [0.2]
    assert table["sessions"].tolist() == [60]
    assert table["since"].tolist() == [past["session"].iloc[0]]


def test_two_rows_of_one_session_are_corrupt() -> None:
    past = _history("SPY", [0.1] * 30)
    with pytest.raises(CorruptData, match="SPY"):
        rank_universe(pd.concat([past, past]), _today(SPY=0.15))


def test_order_of_the_history_does_not_matter() -> None:
    history = pd.concat(
        [_history("SPY", list(np.linspace(0.1, 0.3, 60))), _history("QQQ", [0.2, 0.5] * 20)]
    )
    shuffled = history.sample(frac=1.0, random_state=5, ignore_index=True)
    current = _today(QQQ=0.3, SPY=0.15)
    pd.testing.assert_frame_equal(
        rank_universe(shuffled, current, lookback=30), rank_universe(history, current, lookback=30)
    )


def test_one_underlying_may_be_ranked_on_many_days() -> None:
    """Each day in its own past, as a replay asks for it."""
    values = list(np.random.default_rng(3).uniform(0.1, 0.4, 120))
    history = _history("SPY", values)
    table = rank_universe(history, history, lookback=50, minimum=10)
    assert table["sessions"].tolist() == [min(place, 50) for place in range(120)]
    for place in (5, 10, 49, 50, 119):
        alone = iv_rank(values[:place], values[place], lookback=50, minimum=10)
        expected = np.nan if alone.rank is None else alone.rank
        assert table["iv_rank"][place] == pytest.approx(expected, nan_ok=True)
        assert table["rank_reason"][place] == alone.reason


def test_underlying_without_a_history_has_a_reason() -> None:
    table = rank_universe(_history("SPY", [0.1] * 30), _today(IWM=0.2))
    assert table["rank_reason"].tolist() == [NoRank.TOO_FEW_SESSIONS]
    assert table["sessions"].tolist() == [0]
    assert table["since"].isna().all()
    nobody = rank_universe(_history("SPY", []), _today(IWM=0.2))
    assert nobody["rank_reason"].tolist() == [NoRank.TOO_FEW_SESSIONS]
