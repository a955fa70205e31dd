"""Markets and moments that the tests of the simulated market share."""

from datetime import date, datetime, timedelta
from functools import lru_cache

import numpy as np

from mahler_pipelines.exchange.simulated import SimulatedMarket
from mahler_pipelines.exchange.simulated.horizon import horizon, instant
from mahler_pipelines.exchange.simulated.valuation import Instants

SEEDS = (1, 7, 2024)
ORDINARY = date(2024, 9, 12)
EARLY_CLOSE = date(2024, 11, 29)
SAMPLED = (date(2023, 6, 1), ORDINARY, date(2025, 5, 20), date(2026, 7, 8))


@lru_cache(maxsize=4)
def market_of(seed: int) -> SimulatedMarket:
    """One market per seed for the whole run; tests of determinism make their own."""
    return SimulatedMarket(seed)


def after_open(session: date, minutes: float) -> datetime:
    """A moment some minutes after the open."""
    index = horizon().index(session)
    assert index is not None
    return instant(float(horizon().opens[index])) + timedelta(minutes=minutes)


def instant_of(market: SimulatedMarket, name: int, session: date, step: int) -> Instants:
    """The state of one name at a step of a session, as the valuation takes it."""
    index = horizon().index(session)
    assert index is not None
    path = market._intraday.session_path(name, index)
    opened, closed = horizon().opens[index], horizon().closes[index]
    return Instants(
        session=np.array([index]),
        step=np.array([step]),
        seconds=np.array([opened + step / 390 * (closed - opened)]),
        spot=path.prices[step : step + 1],
        variance=path.variances[step : step + 1],
    )
