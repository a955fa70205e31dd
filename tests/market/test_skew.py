"""The 25-delta skew against smiles whose wings are known."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from mahler_pipelines.market.rates import RateCurve
from mahler_pipelines.market.skew import WingMethod, skew_25_delta, wing_volatility
from mahler_pipelines.market.term_structure import MaturityMethod
from mahler_pipelines.market.volatility import atm_volatility, implied_volatilities
from tests.market.volatility_cases import CALENDAR, flat, model_chain

AS_OF = datetime(2019, 6, 3, 19, 59, tzinfo=UTC)
STRIKES = np.arange(80.0, 121.0, 0.5)


def _skewed(strikes: NDArray[np.float64], _years: float) -> NDArray[np.float64]:
    return 0.22 - 0.25 * np.log(strikes / 100.0)


def _valued(quotes: pd.DataFrame) -> pd.DataFrame:
    return implied_volatilities(
        quotes, as_of=AS_OF, rates=RateCurve.flat(0.02), dividend_yields={}, calendar=CALENDAR
    )


def _hand(*rows: tuple[int, float, float]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One expiration 30 days ahead: (right, delta, volatility) of each quote, and its money."""
    terms: dict[str, Any] = {
        "underlying": "XYZ",
        "root": "XYZ",
        "expiration": pd.Timestamp("2019-07-03"),
    }
    ivs = pd.DataFrame(list(rows), columns=["right", "delta", "implied_volatility"])
    ivs = ivs.assign(**terms, strike=100.0, quote_defect="")
    atm = pd.DataFrame([{**terms, "years": 30 / 365, "atm_volatility": 0.2}])
    return ivs, atm


def test_wings_lie_where_the_smile_has_its_25_delta_strikes() -> None:
    """Found again from the model: the strike whose delta is 25 has that volatility."""
    valued = _valued(model_chain("XYZ", spot=100.0, as_of=AS_OF, strikes=STRIKES, smile=_skewed))
    wings = wing_volatility(valued, atm_volatility(valued))
    for _, row in wings.iterrows():
        own = valued[valued["expiration"] == row["expiration"]]
        for right, name in ((-1, "put"), (1, "call")):
            side = own[own["right"] == right].sort_values("strike")
            size = side["delta"].abs().to_numpy()
            order = np.argsort(size)
            strike = np.interp(0.25, size[order], side["strike"].to_numpy()[order])
            truth = _skewed(np.array([strike]), 0.0)[0]
            assert row[f"{name}_volatility"] == pytest.approx(truth, abs=1e-4)
            assert row[f"{name}_method"] == WingMethod.INTERPOLATED


def test_skew_of_a_level_smile_is_nothing_and_of_a_falling_one_positive() -> None:
    level = _valued(model_chain("XYZ", spot=100.0, as_of=AS_OF, strikes=STRIKES, smile=flat(0.3)))
    row = skew_25_delta(level, atm_volatility(level)).iloc[0]
    assert row["skew"] == pytest.approx(0.0, abs=1e-5)
    falling = _valued(model_chain("XYZ", spot=100.0, as_of=AS_OF, strikes=STRIKES, smile=_skewed))
    row = skew_25_delta(falling, atm_volatility(falling)).iloc[0]
    assert row["skew"] == row["put_volatility"] - row["call_volatility"]
    assert 0.01 < row["skew"] < 0.05
    assert row["method"] == MaturityMethod.INTERPOLATED
    assert (row["near_expiration"], row["far_expiration"]) == (
        pd.Timestamp("2019-06-21"),
        pd.Timestamp("2019-07-19"),
    )
    assert row["expirations"] == 2


def test_skew_is_linear_in_delta_between_two_quotes() -> None:
    ivs, atm = _hand((-1, -0.20, 0.30), (-1, -0.35, 0.24), (1, 0.25, 0.18), (1, 0.60, 0.20))
    wings = wing_volatility(ivs, atm).iloc[0]
    assert wings["put_volatility"] == pytest.approx(0.28)
    assert wings["call_volatility"] == pytest.approx(0.18)
    row = skew_25_delta(ivs, atm).iloc[0]
    assert row["skew"] == pytest.approx(0.10)


@pytest.mark.parametrize(
    ("puts", "method"),
    [
        ([], WingMethod.NO_USABLE_QUOTE),
        ([(-1, -0.30, 0.3), (-1, -0.45, 0.3)], WingMethod.NOT_BRACKETED),
        ([(-1, -0.10, 0.3)], WingMethod.NOT_BRACKETED),
        ([(-1, -0.10, 0.3), (-1, -0.35, 0.3)], WingMethod.DELTAS_TOO_FAR_APART),
    ],
)
def test_wing_that_cannot_be_read_says_why(
    puts: list[tuple[int, float, float]], method: WingMethod
) -> None:
    ivs, atm = _hand(*puts, (1, 0.24, 0.2), (1, 0.26, 0.2))
    row = wing_volatility(ivs, atm).iloc[0]
    assert np.isnan(row["put_volatility"])
    assert row["put_method"] == method
    assert row["call_volatility"] == pytest.approx(0.2)
    skew = skew_25_delta(ivs, atm).iloc[0]
    assert np.isnan(skew["skew"])
    assert np.isnan(skew["call_volatility"]), "both wings rest on the same expirations"
    assert skew["method"] == MaturityMethod.NO_USABLE_EXPIRATION
    assert skew["expirations"] == 0


def test_refused_quotes_do_not_speak() -> None:
    ivs, atm = _hand((-1, -0.25, 0.3), (1, 0.25, 0.2), (-1, -0.25, 9.0))
    ivs.loc[2, "quote_defect"] = "quote_crossed"
    assert skew_25_delta(ivs, atm).iloc[0]["skew"] == pytest.approx(0.1)


def test_many_underlyings_are_each_as_alone() -> None:
    chains = [
        model_chain(f"U{letter}", spot=100.0, as_of=AS_OF, strikes=STRIKES, smile=flat(level))
        for letter, level in (("A", 0.2), ("B", 0.4))
    ]
    together = _valued(pd.concat(chains, ignore_index=True))
    found = skew_25_delta(together, atm_volatility(together))
    assert found["underlying"].tolist() == ["UA", "UB"]
    assert found["put_volatility"].to_numpy() == pytest.approx([0.2, 0.4], abs=1e-4)
    alone = _valued(chains[1])
    pd.testing.assert_series_equal(
        found.iloc[1], skew_25_delta(alone, atm_volatility(alone)).iloc[0], check_names=False
    )


def test_skew_of_spx_is_that_of_an_index(shared_data: Path) -> None:
    """Puts dearer on every session; steepest in the fall of early May, as the SPX's smile was."""
    chains = pd.read_parquet(shared_data / "chains_spx_2019q2.parquet")
    found = {}
    for day in (date(2019, 4, 26), date(2019, 5, 8), date(2019, 7, 12)):
        rows = chains[chains["quote_date"] == day]
        rows = rows.drop(columns=["iv", "delta", "gamma"]).rename(
            columns={"symbol": "underlying", "underlying": "underlying_price"}
        )
        quotes = rows.assign(
            expiration=pd.to_datetime(rows["expiration"]).astype("datetime64[us]"),
            right=np.where(rows["type"] == "C", 1, -1),
        )
        valued = implied_volatilities(
            quotes,
            as_of=CALENDAR.close(day) - timedelta(minutes=1),
            rates=RateCurve.flat(0.024),
            dividend_yields={"SPX": 0.019},
            calendar=CALENDAR,
        )
        row = skew_25_delta(valued, atm_volatility(valued)).iloc[0]
        assert row["method"] == MaturityMethod.INTERPOLATED
        assert row["expirations"] >= 20
        found[day] = float(row["skew"])
    assert min(found.values()) > 0.03
    assert max(found, key=lambda day: found[day]) == date(2019, 5, 8)
