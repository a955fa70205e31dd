"""The volatility of a scan in one row per underlying, through the real graph."""

from pathlib import Path
from typing import Any, cast

import dagster as dg
import numpy as np
import pytest

from mahler_pipelines.cli.desk_instance import open_instance
from mahler_pipelines.composition import compose
from mahler_pipelines.market.chains import Scan
from mahler_pipelines.market.volatility_metrics import METRIC_COLUMNS
from mahler_pipelines.orchestration.partitions import scan_key
from tests.assets.desk import SESSION, UNIVERSE, settings_of


def told(instance: dg.DagsterInstance, asset: str) -> dict[str, Any]:
    """Metadata of an asset's newest partition."""
    event = instance.get_latest_materialization_event(dg.AssetKey(asset))
    assert event is not None
    assert event.asset_materialization is not None
    assert event.asset_materialization.partition == scan_key(SESSION, Scan.MORNING)
    found = event.asset_materialization.metadata
    return {name: cast(Any, value).value for name, value in found.items()}


def test_scan_tells_every_underlyings_volatility(scanned_book: Path) -> None:
    lake = compose(settings_of(scanned_book)).lake
    metrics = lake.read("volatility_metrics", session=SESSION, scan="morning")
    assert list(metrics.columns) == list(METRIC_COLUMNS)
    assert metrics["underlying"].tolist() == list(UNIVERSE)
    for value, reason in (
        ("straddle_move", "move_reason"),
        ("yang_zhang", "realised_reason"),
        ("variance_risk_premium", "premium_reason"),
    ):
        assert (metrics[value].notna() == (metrics[reason] == "")).all(), value
    assert (metrics["put_25_delta"] > metrics["call_25_delta"]).all(), "the simulated skew"
    history = lake.read("iv_history", session=SESSION, scan="morning")
    today = history[history["session"] == history["session"].max()].set_index("underlying")
    ranked = today["implied_volatility"][list(UNIVERSE)].to_numpy()
    assert metrics["iv30"].to_numpy() == pytest.approx(ranked), "what the rank is taken of"
    bars = lake.read("underlying_bars", session=SESSION, scan="morning")
    closes = bars[bars["underlying"] == "TUBA"].sort_values("session")["close"].tail(22)
    returns = np.diff(np.log(closes.to_numpy()))
    expected = returns.std(ddof=1) * np.sqrt(252)
    assert metrics.set_index("underlying")["close_to_close"]["TUBA"] == pytest.approx(expected)


def test_graph_shows_the_surface_and_the_metrics(
    scanned_book: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = compose(settings_of(scanned_book)).paths.dagster
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    with open_instance(home) as instance:
        shown = told(instance, "volatility_metrics")
        surface = told(instance, "implied_volatilities")
    assert shown["dagster/row_count"] == len(UNIVERSE)
    assert shown["median_skew_25_delta"] > 0
    assert shown["with_premium"] == len(UNIVERSE)
    assert "| TUBA |" in shown["metrics"]
    for picture in (shown["premium"], surface["smile"], surface["term_structure"]):
        assert picture.startswith("![")
        assert len(picture) <= 150 * 1024
