"""Forwards out of American prices: the carry comes back that made them."""

from datetime import UTC, date, datetime

import numpy as np
import pytest

from mahler_pipelines.market.forwards import ForwardSource
from mahler_pipelines.market.rates import RateCurve
from mahler_pipelines.market.volatility import implied_volatilities
from tests.market.volatility_cases import CALENDAR, flat, model_chain

AS_OF = datetime(2019, 5, 20, 17, tzinfo=UTC)
EXPIRATIONS = (date(2019, 5, 31), date(2019, 9, 20), date(2020, 1, 17), date(2021, 1, 15))
RATE = 0.05


@pytest.mark.parametrize("dividend_yield", [-0.01, 0.0, 0.02, 0.05, 0.08])
@pytest.mark.parametrize("volatility", [0.15, 0.5])
def test_the_yield_that_made_american_prices_is_found(
    dividend_yield: float, volatility: float
) -> None:
    """From days to years; parity of the raw prices is off by up to two percent of spot."""
    chain = model_chain(
        "XYZ",
        spot=100.0,
        as_of=AS_OF,
        strikes=np.arange(70.0, 131.0, 2.5),
        expirations=EXPIRATIONS,
        smile=flat(volatility),
        rate=RATE,
        dividend_yield=dividend_yield,
    )
    found = implied_volatilities(
        chain, as_of=AS_OF, rates=RateCurve.flat(RATE), dividend_yields={}, calendar=CALENDAR
    )
    terms = found.groupby("expiration").first()
    assert (terms["forward_source"] == ForwardSource.PARITY).all()
    expected = 100.0 * np.exp((RATE - dividend_yield) * terms["years"].to_numpy())
    assert terms["forward"].to_numpy() == pytest.approx(expected, rel=2e-5)
    assert terms["dividend_yield"].to_numpy() == pytest.approx(dividend_yield, abs=5e-4)
    outside = found["right"] * (found["strike"] - found["forward"]) > 0
    seen = found[outside & (found["mid"] > 0.01)]
    assert len(seen) > 40
    assert seen["implied_volatility"].to_numpy() == pytest.approx(volatility, abs=2e-4)


def test_a_spot_that_lags_moves_the_spot_and_not_the_yield() -> None:
    """Options of a share at 101 beside a last trade of 100: no yield of minus fifty percent."""
    chain = model_chain(
        "XYZ",
        spot=101.0,
        as_of=AS_OF,
        strikes=np.arange(90.0, 111.0, 1.0),
        expirations=(date(2019, 5, 24),),
        smile=flat(0.3),
        rate=RATE,
        dividend_yield=0.0,
    )
    late = chain.assign(underlying_price=100.0)
    found = implied_volatilities(
        late, as_of=AS_OF, rates=RateCurve.flat(RATE), dividend_yields={}, calendar=CALENDAR
    )
    outside = found["right"] * (found["strike"] - found["forward"]) > 0
    seen = found[outside & (found["mid"] > 0.05)]
    assert len(seen) > 10
    assert seen["implied_volatility"].to_numpy() == pytest.approx(0.3, abs=2e-3)


def test_european_roots_are_left_as_they_are() -> None:
    chain = model_chain(
        "SPX",
        spot=100.0,
        as_of=AS_OF,
        strikes=np.arange(80.0, 121.0, 2.5),
        expirations=EXPIRATIONS,
        smile=flat(0.2),
        rate=RATE,
        dividend_yield=0.02,
    )
    found = implied_volatilities(
        chain, as_of=AS_OF, rates=RateCurve.flat(RATE), dividend_yields={}, calendar=CALENDAR
    )
    solved = found["iv_reason"] == ""
    assert solved.mean() > 0.9
    values = found.loc[solved & (found["mid"] > 0.01), "implied_volatility"]
    assert values.to_numpy() == pytest.approx(0.2, abs=1e-6)
