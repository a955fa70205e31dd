"""Chains made from known volatilities, so that tests can ask for them back."""

from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import Decimal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mahler_pipelines.market.chains import conform_quotes
from mahler_pipelines.market.sessions import TradingCalendar
from mahler_pipelines.market.volatility import expires_at
from mahler_pipelines.options import american, european
from mahler_pipelines.options.contracts import (
    ExerciseStyle,
    Right,
    exercise_style,
    occ_symbol,
    underlying_of,
)

CALENDAR = TradingCalendar()
YEAR_SECONDS = 365 * 86_400


def flat(level: float) -> Callable[[NDArray[np.float64], float], NDArray[np.float64]]:
    """Return a smile that is level everywhere."""
    return lambda strikes, _years: np.full(strikes.shape, level)


FLAT_AT_20 = flat(0.2)


def model_chain(
    root: str,
    *,
    spot: float,
    as_of: datetime,
    strikes: NDArray[np.float64],
    expirations: Sequence[date] = (date(2019, 6, 21), date(2019, 7, 19)),
    smile: Callable[[NDArray[np.float64], float], NDArray[np.float64]] = FLAT_AT_20,
    rate: float = 0.02,
    dividend_yield: float = 0.01,
    half_spread: float = 1e-9,
) -> pd.DataFrame:
    """Return a chain of calls and puts quoted around the root's own prices on this smile."""
    model = american if exercise_style(root) is ExerciseStyle.AMERICAN else european
    frames = []
    for expiration in expirations:
        moment = expires_at(root, expiration, calendar=CALENDAR)
        years = (moment - as_of).total_seconds() / YEAR_SECONDS
        for right in Right:
            fair = model.price(
                right=int(right),
                spot=spot,
                strike=strikes,
                years=years,
                rate=rate,
                dividend_yield=dividend_yield,
                volatility=smile(strikes, years),
            )
            symbols = [occ_symbol(root, expiration, right, Decimal(str(k))) for k in strikes]
            frames.append(
                pd.DataFrame(
                    {
                        "underlying": underlying_of(root),
                        "symbol": symbols,
                        "root": root,
                        "expiration": pd.Timestamp(expiration),
                        "right": int(right),
                        "strike": strikes,
                        "bid": fair - half_spread,
                        "ask": fair + half_spread,
                        "underlying_price": spot,
                        "quote_time": pd.Timestamp(as_of),
                    }
                )
            )
    return conform_quotes(pd.concat(frames, ignore_index=True))
