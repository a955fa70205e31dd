"""Rank candidates: probability of profit, expected value, and one documented score.

The terminal price is lognormal around the forward, with the implied volatility of the short leg,
which is the quoted one next to the breakeven; where the chain implied no forward, the spot stands
for it. The score is the weighted mean of four parts, each between 0 and 1; a part that is not
available leaves the mean, it is not zero:

    probability of profit                                                     weight 0.40
    return on risk / 0.50, at most 1                                          weight 0.20
    natural credit / mid credit: what is left after crossing both spreads     weight 0.20
    IV rank / 100                                                             weight 0.20

The expected value is told but not scored. Under one lognormal it is the price of the skew rather
than of the trade: where the smile falls, calls are flattered and puts are wronged by it (measured
on SPX in 2019: +127 USD for a call spread at fair mids). It only breaks ties.
"""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

import numpy as np
import pandas as pd

from mahler_pipelines.errors import BadInput
from mahler_pipelines.options.european import DAYS_PER_YEAR, price, probability_below
from mahler_pipelines.options.structures import dollars
from mahler_pipelines.strategies.first_failures import FloatColumn
from mahler_pipelines.strategies.gates import EXCHANGE_ZONE, floats

SCORE_WEIGHTS: Final = {
    "probability_of_profit": 0.40,
    "return_on_risk": 0.20,
    "execution": 0.20,
    "iv_rank": 0.20,
}
"""Part of the score -> weight; they add up to one."""

FULL_RETURN_ON_RISK: Final = 0.50
SCORE_DECIMALS: Final = 9
CLOSE: Final = timedelta(hours=16)


def rank(candidates: pd.DataFrame, *, as_of: datetime) -> pd.DataFrame:
    """Return the candidates best first, with what they are ranked by.

    Adds `breakeven`, `probability_of_profit`, `return_on_risk` (mid credit over maximum loss),
    `expected_value_per_share` and `expected_value_usd` (of one contract, undiscounted, at the mid
    credit), `annualised` (return on risk over calendar days), `score` and `rank` from 1. Ties go
    to the higher expected value, then to the alphabet of the symbols. Raises `BadInput` for a time
    without zone.
    """
    if as_of.tzinfo is None:
        raise BadInput("as_of", as_of, "needs a time zone")
    ranked = candidates.copy()
    credit, width = floats(ranked, "credit_mid"), floats(ranked, "width")
    at_risk, days = width - credit, floats(ranked, "dte")
    terminal = _terminal(ranked, as_of)
    value = credit - _expected_payout(ranked, terminal)
    ranked["breakeven"] = floats(ranked, "short_strike") + floats(ranked, "right") * credit
    below = probability_below(level=floats(ranked, "breakeven"), **terminal)
    ranked["probability_of_profit"] = np.where(ranked["right"] > 0, below, 1.0 - below)
    ranked["return_on_risk"] = credit / at_risk
    ranked["expected_value_per_share"] = value
    ranked["expected_value_usd"] = value * float(dollars(Decimal(1), 1))
    ranked["annualised"] = ranked["return_on_risk"] * np.divide(
        DAYS_PER_YEAR, days, out=np.full(days.size, np.nan), where=days > 0
    )
    ranked["score"] = _score(ranked)
    ranked = ranked.sort_values(
        ["score", "expected_value_per_share", "short_symbol", "long_symbol"],
        ascending=[False, False, True, True],
        kind="stable",
        ignore_index=True,
    )
    ranked["rank"] = np.arange(1, len(ranked) + 1, dtype=np.int64)
    return ranked


def best(ranked: pd.DataFrame, *, per_underlying: int = 1, limit: int) -> pd.DataFrame:
    """Return the first `limit` rows with at most `per_underlying` of one underlying."""
    chosen = ranked.groupby("underlying", sort=False).head(per_underlying)
    return chosen.sort_values("rank").head(limit).reset_index(drop=True)


def years_to_close(expirations: pd.Series, as_of: datetime) -> FloatColumn:
    """Years (ACT/365) from `as_of` to 16:00 New York on each expiration, never below zero."""
    close = (expirations + pd.Timedelta(CLOSE)).dt.tz_localize(EXCHANGE_ZONE)
    seconds = (close - pd.Timestamp(as_of)).dt.total_seconds().to_numpy(np.float64)
    return np.maximum(seconds, 0.0) / (DAYS_PER_YEAR * 86_400.0)


def _terminal(ranked: pd.DataFrame, as_of: datetime) -> dict[str, FloatColumn]:
    """Describe each candidate's terminal price: a lognormal without drift around its forward."""
    forward, years = floats(ranked, "forward"), floats(ranked, "years")
    flat = np.zeros(forward.size)
    return {
        "spot": np.where(forward > 0, forward, floats(ranked, "underlying_price")),
        "years": np.where(years >= 0, years, years_to_close(ranked["expiration"], as_of)),
        "rate": flat,
        "dividend_yield": flat,
        "volatility": floats(ranked, "short_iv"),
    }


def _expected_payout(ranked: pd.DataFrame, terminal: dict[str, FloatColumn]) -> FloatColumn:
    # The expected payoff of an option is its undiscounted Black price (F. Black, 1976), so under
    # one lognormal the spread's is the difference of two prices at the same volatility.
    short, long = (
        price(right=floats(ranked, "right"), strike=floats(ranked, f"{role}_strike"), **terminal)
        for role in ("short", "long")
    )
    return np.asarray(short - long)


def _score(ranked: pd.DataFrame) -> FloatColumn:
    credit = floats(ranked, "credit_mid")
    parts = {
        "probability_of_profit": floats(ranked, "probability_of_profit"),
        "return_on_risk": floats(ranked, "return_on_risk") / FULL_RETURN_ON_RISK,
        "execution": floats(ranked, "credit_natural") / credit,
        "iv_rank": floats(ranked, "iv_rank") / 100.0,
    }
    values = np.column_stack([np.clip(parts[name], 0.0, 1.0) for name in SCORE_WEIGHTS])
    weights = np.where(np.isnan(values), 0.0, list(SCORE_WEIGHTS.values()))
    total = weights.sum(axis=1)
    weighted = np.where(np.isnan(values), 0.0, values * weights).sum(axis=1)
    score = np.divide(weighted, total, out=np.full(total.size, np.nan), where=total > 0)
    return np.asarray(np.round(score, SCORE_DECIMALS))
