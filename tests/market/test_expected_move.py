"""The expected move: one sigma to the next expiration, and the straddle that prices it."""

from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mahler_pipelines.market.expected_move import NoMove, expected_moves
from mahler_pipelines.market.rates import RateCurve
from mahler_pipelines.market.volatility import atm_volatility, implied_volatilities
from tests.market.volatility_cases import CALENDAR, flat, model_chain

AS_OF = datetime(2019, 6, 3, 19, 59, tzinfo=UTC)
STRIKES = np.arange(90.0, 111.0, 1.0)
WEEKLIES = (date(2019, 6, 7), date(2019, 6, 14), date(2019, 6, 21))


def _valued(quotes: pd.DataFrame) -> pd.DataFrame:
    return implied_volatilities(
        quotes, as_of=AS_OF, rates=RateCurve.flat(0.02), dividend_yields={}, calendar=CALENDAR
    )


def _chain(level: float = 0.2) -> pd.DataFrame:
    return model_chain(
        "XYZ",
        spot=100.0,
        as_of=AS_OF,
        strikes=STRIKES,
        expirations=WEEKLIES,
        smile=flat(level),
        dividend_yield=0.02,
    )


def _move(valued: pd.DataFrame, **arguments: float) -> dict[Any, Any]:
    found: dict[Any, Any] = (
        expected_moves(valued, atm_volatility(valued), **arguments).iloc[0].to_dict()
    )
    return found


def test_move_is_that_to_the_first_expiration_a_week_ahead() -> None:
    row = _move(_valued(_chain()))
    assert row["expiration"] == pd.Timestamp("2019-06-14")
    assert row["days"] == pytest.approx(11.0, abs=0.01)
    assert row["sigma_move"] == pytest.approx(0.2 * np.sqrt(row["days"] / 365), abs=1e-6)
    assert row["move_reason"] == NoMove.NONE
    sooner = _move(_valued(_chain()), after_days=1.0)
    assert sooner["expiration"] == pd.Timestamp("2019-06-07")


@pytest.mark.parametrize("level", [0.1, 0.3, 0.6])
def test_straddle_is_the_mean_absolute_move(level: float) -> None:
    """sqrt(2 / pi) of a sigma at the money: 0.798 of it."""
    row = _move(_valued(_chain(level)))
    assert row["straddle_strike"] == 100.0
    assert row["straddle_move"] / row["sigma_move"] == pytest.approx(np.sqrt(2 / np.pi), rel=2e-3)


def test_straddle_takes_the_nearest_strike_with_both_sides() -> None:
    valued = _valued(_chain())
    valued.loc[(valued["strike"] == 100.0) & (valued["right"] == 1), "quote_defect"] = "quote_stale"
    assert _move(valued)["straddle_strike"] in (99.0, 101.0)


def test_without_a_straddle_there_is_still_a_sigma() -> None:
    valued = _valued(_chain())
    valued.loc[valued["right"] == 1, "quote_defect"] = "quote_one_sided"
    row = _move(valued)
    assert row["move_reason"] == NoMove.NO_STRADDLE
    assert np.isnan(row["straddle_move"])
    assert row["sigma_move"] > 0


def test_far_strikes_are_no_straddle_at_the_money() -> None:
    valued = _valued(_chain())
    far = valued[(valued["strike"] - 100.0).abs() >= 3.0]
    assert _move(far)["move_reason"] == NoMove.NO_STRADDLE


def test_without_an_expiration_ahead_there_is_no_move() -> None:
    row = _move(_valued(_chain()), after_days=60.0)
    assert row["move_reason"] == NoMove.NO_EXPIRATION
    assert pd.isna(row["expiration"])
    assert np.isnan(row["sigma_move"])


def test_each_underlying_has_its_own_move() -> None:
    two = pd.concat([_chain(0.4), _chain(0.1).assign(underlying="ABC", root="ABC")])
    valued = _valued(two.reset_index(drop=True))
    found = expected_moves(valued, atm_volatility(valued))
    assert found["underlying"].tolist() == ["ABC", "XYZ"]
    assert found["volatility"].to_numpy() == pytest.approx([0.1, 0.4], abs=1e-6)
    ratio = found["straddle_move"] / found["sigma_move"]
    assert ratio.to_numpy() == pytest.approx(np.sqrt(2 / np.pi), rel=2e-3)
