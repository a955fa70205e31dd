"""Regimes are learnt from the past only, and ordered by variance."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mahler_pipelines.errors import BadInput, CorruptData
from mahler_pipelines.market.regimes import (
    PROBABILITY_COLUMNS,
    NoRegime,
    Regime,
    RegimeModel,
    regimes,
)

LEVELS = {Regime.CALM: 0.08, Regime.NORMAL: 0.20, Regime.STRESSED: 0.60}


def _world(
    last: Regime, *, days: int = 120, name: str = "SPY"
) -> tuple[pd.DataFrame, pd.DataFrame, datetime]:
    """Four stretches of a known regime each, the last of them `last`."""
    generator = np.random.default_rng(5)
    order = [Regime.NORMAL, Regime.CALM, Regime.STRESSED, last]
    volatility = np.repeat([LEVELS[regime] for regime in order], days)
    closes = 100 * np.exp(np.cumsum(generator.normal(0, volatility / np.sqrt(252))))
    sessions = pd.bdate_range("2018-01-01", periods=len(closes)).astype("datetime64[us]")
    bars = pd.DataFrame({"underlying": name, "session": sessions, "close": closes, "volume": 1.0})
    for column in ("open", "high", "low"):
        bars[column] = closes
    implied = volatility * np.exp(generator.normal(0, 0.05, len(closes)))
    known = pd.DataFrame({"underlying": name, "session": sessions, "implied_volatility": implied})
    after = sessions[-1] + pd.Timedelta(days=1)
    return bars, known, datetime(after.year, after.month, after.day, 14, tzinfo=UTC)


@pytest.mark.parametrize("last", list(Regime))
def test_known_regime_is_recognised(last: Regime) -> None:
    bars, known, as_of = _world(last)
    row = regimes(bars, known, as_of=as_of).iloc[0]
    assert row["label"] == last
    assert row[f"probability_{last}"] == max(row[list(PROBABILITY_COLUMNS)])
    assert sum(row[list(PROBABILITY_COLUMNS)]) == pytest.approx(1.0)
    assert row["session"] == bars["session"].iloc[-1]
    assert row["features"] == "log_return,log_realised_volatility,log_implied_volatility"


def test_nothing_from_as_of_on_is_seen() -> None:
    """A crash on the day itself, already on disk in a replay, changes nothing."""
    bars, known, _ = _world(Regime.CALM)
    cut = bars["session"].iloc[-10]
    as_of = datetime(cut.year, cut.month, cut.day, 14, tzinfo=UTC)
    before = regimes(bars[bars["session"] < cut], known[known["session"] < cut], as_of=as_of)
    crash = bars.assign(close=bars["close"].where(bars["session"] < cut, 1.0))
    spike = known.assign(
        implied_volatility=known["implied_volatility"].where(known["session"] < cut, 9.0)
    )
    pd.testing.assert_frame_equal(before, regimes(crash, spike, as_of=as_of))
    assert before["session"].iloc[0] < cut


def test_same_inputs_give_the_same_answer() -> None:
    bars, known, as_of = _world(Regime.NORMAL)
    one = regimes(bars, known, as_of=as_of)
    two = regimes(bars.sample(frac=1, random_state=1), known, as_of=as_of)
    pd.testing.assert_frame_equal(one, two)
    assert one["regime_reason"].tolist() == [""]


def test_short_history_has_no_label() -> None:
    bars, known, as_of = _world(Regime.CALM)
    row = regimes(bars.tail(79), known, as_of=as_of).iloc[0]
    assert row["label"] is None
    assert row["regime_reason"] == NoRegime.TOO_FEW_SESSIONS
    assert row["sessions"] == 59
    assert row[list(PROBABILITY_COLUMNS)].isna().all()
    enough = regimes(bars.tail(79), known, as_of=as_of, model=RegimeModel(minimum_sessions=50))
    assert enough["label"].iloc[0] is not None


def test_underlying_without_a_past_is_still_answered() -> None:
    bars, known, as_of = _world(Regime.CALM)
    new = bars.tail(1).assign(underlying="NEW", session=pd.Timestamp(as_of.date()))
    table = regimes(pd.concat([bars, new]), known, as_of=as_of)
    assert table["underlying"].tolist() == ["NEW", "SPY"]
    assert table["regime_reason"].tolist() == [NoRegime.TOO_FEW_SESSIONS, ""]


def test_thin_implied_history_is_left_out_and_named() -> None:
    bars, known, as_of = _world(Regime.STRESSED)
    row = regimes(bars, known.tail(30), as_of=as_of).iloc[0]
    assert row["features"] == "log_return,log_realised_volatility"
    assert row["label"] == Regime.STRESSED
    none = regimes(bars, known.iloc[:0], as_of=as_of).iloc[0]
    assert none["features"] == "log_return,log_realised_volatility"


def test_feature_of_few_sessions_does_not_shrink_the_past() -> None:
    """The first term slopes of a new desk must not cost it nine tenths of its history."""
    bars, known, as_of = _world(Regime.STRESSED)
    young = known.assign(term_slope=[np.nan] * (len(known) - 70) + [-0.02] * 70)
    row = regimes(bars, young, as_of=as_of).iloc[0]
    assert "term_slope" not in row["features"]
    assert row["sessions"] == len(bars) - 20
    greedy = RegimeModel(feature_share=0.1)
    shrunk = regimes(bars, young, as_of=as_of, model=greedy).iloc[0]
    assert ("term_slope" in shrunk["features"], shrunk["sessions"]) == (True, 70)


@pytest.mark.parametrize("last", list(Regime))
def test_label_means_the_same_from_fit_to_fit(last: Regime) -> None:
    """Each session is labelled by a fit of its own, with ever more of the regime in its past."""
    bars, known, _ = _world(last)
    days = bars["session"].iloc[-60:-20]
    labels = [
        regimes(bars, known, as_of=datetime(day.year, day.month, day.day, 14, tzinfo=UTC))
        for day in days
    ]
    found = pd.concat(labels)
    assert (found["label"] == last).mean() >= 0.95
    order = found[list(PROBABILITY_COLUMNS)].to_numpy().argmax(axis=1)
    assert [list(Regime)[place] for place in order] == found["label"].to_list()


def test_refuses_a_naive_moment_and_doubled_sessions() -> None:
    bars, known, as_of = _world(Regime.CALM)
    with pytest.raises(BadInput, match="zone"):
        regimes(bars, known, as_of=as_of.replace(tzinfo=None))
    with pytest.raises(CorruptData):
        regimes(bars, pd.concat([known, known]), as_of=as_of)


def test_import_leaves_scikit_learn_out() -> None:
    """It takes 2.6 seconds, and most of what imports this module never fits anything."""
    script = "import sys, mahler_pipelines.market.regimes; print('sklearn' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"


@pytest.mark.parametrize(
    ("day", "expected"),
    [("2018-02-09", Regime.STRESSED), ("2020-03-20", Regime.STRESSED), ("2024-02-01", Regime.CALM)],
)
def test_regimes_of_the_real_spy(shared_data: Path, day: str, expected: Regime) -> None:
    """The volatility shock of 2018, the pandemic, and a quiet winter."""
    bars = pd.read_parquet(shared_data / "bars_daily.parquet").query(
        "source == 'heliar' and symbol == 'SPY'"
    )
    bars = bars.rename(columns={"symbol": "underlying", "date": "session"})
    bars["session"] = pd.to_datetime(bars["session"]).astype("datetime64[us]")
    vix = pd.read_parquet(shared_data / "cboe_vol_indices.parquet")
    known = pd.DataFrame(
        {
            "underlying": "SPY",
            "session": pd.to_datetime(vix["date"]).astype("datetime64[us]"),
            "implied_volatility": vix["VIX"] / 100,
            "term_slope": (vix["VIX3M"] - vix["VIX"]) / 100,
        }
    )
    row = regimes(bars, known, as_of=datetime.fromisoformat(f"{day}T14:00:00+00:00")).iloc[0]
    assert row["label"] == expected
    assert "term_slope" in row["features"]
