"""What the screen knows of each underlying: price, share liquidity, volatility rank."""

from collections.abc import Sequence
from datetime import datetime

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mahler_pipelines.market.regimes import PROBABILITY_COLUMNS
from mahler_pipelines.market.sessions import NEW_YORK


def underlying_table(
    universe: Sequence[str],
    *,
    share_quotes: pd.DataFrame,
    chains: pd.DataFrame,
    bars: pd.DataFrame,
    ranks: pd.DataFrame,
    regimes: pd.DataFrame,
    volume_sessions: int,
) -> pd.DataFrame:
    """Return one row per underlying with the columns the screen needs; NaN where unknown.

    `price` is the mid of the share quote, else its last, else the chain's own underlying price (a
    price of zero or less is none);
    `share_spread` is relative to the mid; `share_volume` the mean of the last `volume_sessions`
    completed daily bars, NaN with fewer bars than that; the probabilities of `regimes` come along.
    """
    table = pd.DataFrame({"underlying": pd.Series(sorted(set(universe)), dtype="str")})
    shares = share_quotes.set_index("underlying").reindex(table["underlying"])
    bid, ask = shares["bid"].to_numpy(float), shares["ask"].to_numpy(float)
    two_sided = (bid > 0) & (ask >= bid)
    mid = np.where(two_sided, (bid + ask) / 2, np.nan)
    in_chain = (
        chains.groupby("underlying")["underlying_price"].median().reindex(table["underlying"])
    )
    price = np.where(two_sided, mid, _positive(shares["last"].to_numpy(float)))
    table["price"] = np.where(np.isfinite(price), price, _positive(in_chain.to_numpy(float)))
    table["share_spread"] = np.where(two_sided, (ask - bid) / mid, np.nan)
    table["share_volume"] = (
        _mean_volume(bars, volume_sessions).reindex(table["underlying"]).to_numpy(float)
    )
    columns = ["underlying", "iv_rank", "iv_percentile", "iv_rank_basis", "iv30"]
    table = table.merge(ranks[columns], on="underlying", how="left")
    known = regimes.set_index("underlying")[list(PROBABILITY_COLUMNS)].astype("float64")
    table = table.join(known, on="underlying")
    table["iv_rank_basis"] = (
        table["iv_rank_basis"].fillna("no volatility at this scan").astype("str")
    )
    return table


def uses_previous_volume(as_of: datetime) -> bool:
    """Whether option volume still means the previous session's: until noon in New York."""
    return as_of.astimezone(NEW_YORK).hour < 12


def _positive(prices: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(prices > 0, prices, np.nan)


def _mean_volume(bars: pd.DataFrame, sessions: int) -> "pd.Series[float]":
    last = bars.sort_values("session").groupby("underlying").tail(sessions)
    grouped = last.groupby("underlying")["volume"]
    return grouped.mean().where(grouped.count() >= sessions)
