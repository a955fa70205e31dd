"""What an analyst is told of volatility: percentages and points, None where nothing is known."""

import numpy as np
import pandas as pd

from mahler_pipelines.decisions.volatility_facts import volatility_facts

METRICS = pd.DataFrame(
    {
        "underlying": ["ABC", "XYZ"],
        "close_to_close": [0.2213, np.nan],
        "volatility_risk_premium": [-0.0105, np.nan],
        "skew_25_delta": [0.0451, 0.03],
        "term_slope": [0.0, -0.0204],
        "straddle_move": [0.0317, np.nan],
    }
)
REGIMES = pd.DataFrame({"underlying": ["ABC", "NEW", "XYZ"], "label": ["calm", "stressed", None]})


def test_metrics_are_told_in_percent_and_points() -> None:
    facts = volatility_facts(METRICS, REGIMES)
    assert facts["ABC"] == {
        "realised_volatility_percent": 22.13,
        "volatility_premium_points": -1.05,
        "skew_25_delta_points": 4.51,
        "term_slope_points": 0.0,
        "expected_move_percent": 3.17,
        "regime": "calm",
    }


def test_what_is_not_known_is_none_and_no_label_is_no_regime() -> None:
    facts = volatility_facts(METRICS, REGIMES)
    assert facts["XYZ"]["volatility_premium_points"] is None
    assert facts["XYZ"]["skew_25_delta_points"] == 3.0
    assert "regime" not in facts["XYZ"]
    assert facts["NEW"] == {"regime": "stressed"}
