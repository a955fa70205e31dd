"""What an analyst is told of an underlying's volatility, beside the candidate itself."""

from typing import Any

import pandas as pd

from mahler_pipelines.decisions.facts import percent

_METRIC_FACTS = {
    "realised_volatility_percent": "close_to_close",
    "volatility_premium_points": "volatility_risk_premium",
    "skew_25_delta_points": "skew_25_delta",
    "term_slope_points": "term_slope",
    "expected_move_percent": "straddle_move",
}
"""Fact -> column of `market.volatility_metrics`. A point is a percentage point of volatility."""


def volatility_facts(metrics: pd.DataFrame, regimes: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Return underlying -> further facts: its metrics (None where unknown) and its regime.

    `metrics` has `market.volatility_metrics.METRIC_COLUMNS`; `regimes` underlying and label, of
    which those without a label are left out.
    """
    facts: dict[str, dict[str, Any]] = {
        str(row["underlying"]): {
            fact: percent(row[column]) for fact, column in _METRIC_FACTS.items()
        }
        for row in metrics.to_dict("records")
    }
    known = regimes[regimes["label"].notna()]
    for name, label in zip(known["underlying"], known["label"], strict=True):
        facts.setdefault(str(name), {})["regime"] = str(label)
    return facts
