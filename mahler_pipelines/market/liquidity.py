"""Whether a quote can be used, and what it costs to cross it."""

from datetime import datetime, timedelta

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mahler_pipelines.errors import BadInput
from mahler_pipelines.market.chains import QuoteDefect


def quote_defects(
    quotes: pd.DataFrame, *, as_of: datetime, max_age: timedelta | None
) -> "pd.Series[str]":
    """Return the first `QuoteDefect` of each row, or "" where the quote can be used.

    The order is missing (neither side), negative, one-sided (a side is absent or not finite, or
    nothing is asked), zero bid, crossed, locked, stale. With `max_age` a quote of unknown time is
    stale; without it age is not looked at. Raises `BadInput` when `as_of` has no zone.
    """
    if as_of.tzinfo is None:
        raise BadInput("as_of", as_of, "needs a time zone")
    bid, ask = _sides(quotes)
    no_bid, no_ask = ~np.isfinite(bid), ~np.isfinite(ask)
    stale = np.zeros(len(quotes), dtype=bool)
    if max_age is not None:
        fresh = quotes["quote_time"] >= pd.Timestamp(as_of) - max_age
        stale = ~fresh.to_numpy(dtype=bool, na_value=False)
    findings = {
        QuoteDefect.MISSING: no_bid & no_ask,
        QuoteDefect.NEGATIVE: (bid < 0) | (ask < 0),
        QuoteDefect.ONE_SIDED: no_bid | no_ask | (ask == 0),
        QuoteDefect.ZERO_BID: bid == 0,
        QuoteDefect.CROSSED: bid > ask,
        QuoteDefect.LOCKED: bid == ask,
        QuoteDefect.STALE: stale,
    }
    codes = np.select(list(findings.values()), range(1, len(findings) + 1), 0)
    texts = pd.array(["", *(defect.value for defect in findings)], dtype="str").take(codes)
    return pd.Series(texts, index=quotes.index, name="quote_defect")


def mid(quotes: pd.DataFrame) -> "pd.Series[float]":
    """Return (bid + ask) / 2 in USD per share; NaN unless bid >= 0 and ask > 0, both finite."""
    bid, ask = _sides(quotes)
    two_sided = (bid >= 0) & (ask > 0) & np.isfinite(bid) & np.isfinite(ask)
    return pd.Series(np.where(two_sided, 0.5 * (bid + ask), np.nan), index=quotes.index, name="mid")


def relative_spread(quotes: pd.DataFrame) -> "pd.Series[float]":
    """Return (ask - bid) / mid as a fraction; NaN where there is no mid."""
    bid, ask = _sides(quotes)
    middle = mid(quotes).to_numpy()
    known = np.isfinite(middle)
    spread = np.full(len(quotes), np.nan)
    spread[known] = (ask[known] - bid[known]) / middle[known]
    return pd.Series(spread, index=quotes.index, name="relative_spread")


def _sides(quotes: pd.DataFrame) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    bid = quotes["bid"].to_numpy(dtype=np.float64)
    ask = quotes["ask"].to_numpy(dtype=np.float64)
    return bid, ask
