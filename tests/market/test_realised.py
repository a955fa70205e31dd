"""Realised volatility: each estimator finds the volatility of a known path."""

import numpy as np
import pandas as pd
import pytest

from mahler_pipelines.market.volatility import RealisedEstimator, realised_volatility


def _paths(volatilities: dict[str, float], *, days: int = 1_500, steps: int = 200) -> pd.DataFrame:
    """Daily bars of finely sampled lognormal paths without a gap at night."""
    generator = np.random.default_rng(3)
    frames = []
    for name, volatility in volatilities.items():
        moves = generator.normal(0.0, volatility / np.sqrt(252 * steps), (days, steps))
        levels = 100.0 * np.exp(np.cumsum(moves.ravel())).reshape(days, steps)
        opens = np.concatenate([[100.0], levels[:-1, -1]])
        frames.append(
            pd.DataFrame(
                {
                    "underlying": name,
                    "session": pd.bdate_range("2015-01-01", periods=days).astype("datetime64[us]"),
                    "open": opens,
                    "high": np.maximum(levels.max(axis=1), opens),
                    "low": np.minimum(levels.min(axis=1), opens),
                    "close": levels[:, -1],
                    "volume": 1.0,
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


@pytest.mark.parametrize("estimator", list(RealisedEstimator))
def test_estimator_finds_the_volatility_of_each_path(estimator: RealisedEstimator) -> None:
    """A range of discrete samples falls a little short of the true range, hence 8 %."""
    bars = _paths({"CALM": 0.1, "WILD": 0.6}).sample(frac=1.0, random_state=2)
    found = realised_volatility(bars, window=1_000, estimator=estimator)
    last = found.groupby("underlying")["realised_volatility"].last()
    assert last["CALM"] == pytest.approx(0.1, rel=0.08)
    assert last["WILD"] == pytest.approx(0.6, rel=0.08)


def test_window_fills_before_there_is_a_number() -> None:
    found = realised_volatility(_paths({"A": 0.2, "B": 0.2}, days=30, steps=5), window=20)
    known = found.groupby("underlying")["realised_volatility"].apply(lambda v: v.notna().sum())
    assert known.tolist() == [10, 10]
    assert list(found.columns) == ["underlying", "session", "realised_volatility"]


def test_close_to_close_is_the_sample_deviation() -> None:
    bars = _paths({"A": 0.3}, days=40, steps=5)
    returns = np.diff(np.log(bars["close"].to_numpy()))[-20:]
    found = realised_volatility(bars, window=20)["realised_volatility"].iloc[-1]
    assert found == pytest.approx(returns.std(ddof=1) * np.sqrt(252))


def test_yang_zhang_by_hand() -> None:
    """Two opening jumps and no range in between: only the overnight variance is left."""
    bars = pd.DataFrame(
        {
            "underlying": "A",
            "session": pd.bdate_range("2020-01-01", periods=4).astype("datetime64[us]"),
            "open": [100.0, 102.0, 101.0, 104.0],
            "high": [100.0, 102.0, 101.0, 104.0],
            "low": [100.0, 102.0, 101.0, 104.0],
            "close": [100.0, 102.0, 101.0, 104.0],
            "volume": 1.0,
        }
    )
    found = realised_volatility(bars, window=3, estimator=RealisedEstimator.YANG_ZHANG)
    jumps = np.diff(np.log([100.0, 102.0, 101.0, 104.0]))
    assert found["realised_volatility"].iloc[-1] == pytest.approx(np.sqrt(jumps.var(ddof=1) * 252))
