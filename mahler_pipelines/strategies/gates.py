"""The gates of the screen, level by level, each over whole columns."""

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from mahler_pipelines.errors import CorruptData
from mahler_pipelines.market.chains import QuoteDefect
from mahler_pipelines.market.regimes import Regime
from mahler_pipelines.strategies.first_failures import FirstFailures, FloatColumn
from mahler_pipelines.strategies.limits import ScreenLimits
from mahler_pipelines.strategies.refusals import RefusalCode

EXCHANGE_ZONE = ZoneInfo("America/New_York")

PRICE_DECIMALS = 9
"""Differences of binary prices are compared at this precision, so that 1.15 - 0.85 is 0.30."""


def exact(prices: FloatColumn) -> FloatColumn:
    """Remove binary noise from sums and ratios of prices before they meet a limit."""
    return np.round(prices, PRICE_DECIMALS)


def floats(table: pd.DataFrame, column: str) -> FloatColumn:
    """Return a column as float64 with NaN where nothing is known."""
    return table[column].to_numpy(dtype=np.float64, na_value=np.nan)


def days_to_expiry(expirations: pd.Series, as_of: datetime) -> FloatColumn:
    """Calendar days from the exchange's date at `as_of` to each expiration."""
    today = np.datetime64(as_of.astimezone(EXCHANGE_ZONE).date(), "D")
    days = expirations.to_numpy().astype("datetime64[D]") - today
    return days.astype(np.float64)


def underlying_failures(
    underlyings: pd.DataFrame, listed: FloatColumn, limits: ScreenLimits
) -> FirstFailures:
    """Ask chain, price, share volume, share spread, IV rank and regime, in that order.

    `listed` is the number of contracts of each underlying in the chain.
    """
    failures = FirstFailures(len(underlyings))
    price = floats(underlyings, "price")
    failures.refuse(listed == 0, RefusalCode.CHAIN_EMPTY, value=listed, limit=1)
    failures.refuse(~(price > 0), RefusalCode.UNDERLYING_PRICE_MISSING, value=price, limit=np.nan)
    failures.refuse_outside(
        price,
        limits.underlying_price_min,
        limits.underlying_price_max,
        RefusalCode.UNDERLYING_PRICE_OUT_OF_RANGE,
    )
    failures.refuse_not_above(
        floats(underlyings, "share_volume"),
        limits.share_volume_min,
        too_low=RefusalCode.SHARE_VOLUME_TOO_LOW,
        not_available=RefusalCode.SHARE_VOLUME_NOT_AVAILABLE,
        policy=limits.share_volume_not_available,
    )
    failures.refuse_not_below(
        exact(floats(underlyings, "share_spread")),
        limits.share_spread_max,
        too_high=RefusalCode.SHARE_SPREAD_TOO_WIDE,
        not_available=RefusalCode.SHARE_SPREAD_NOT_AVAILABLE,
        policy=limits.share_spread_not_available,
    )
    failures.refuse_not_above(
        floats(underlyings, "iv_rank"),
        limits.iv_rank_min,
        too_low=RefusalCode.IV_RANK_TOO_LOW,
        not_available=RefusalCode.IV_RANK_NOT_AVAILABLE,
        policy=limits.iv_rank_not_available,
    )
    failures.refuse_not_below(
        _probability_of(limits.regimes_refused, underlyings),
        limits.regime_probability if limits.regimes_refused else None,
        too_high=RefusalCode.REGIME_REFUSED,
        not_available=RefusalCode.REGIME_NOT_AVAILABLE,
        policy=limits.regime_not_available,
    )
    return failures


def _probability_of(regimes: Sequence[Regime], underlyings: pd.DataFrame) -> FloatColumn:
    """Probability that each underlying is in one of these regimes; NaN where nobody knows."""
    columns = underlyings[[f"probability_{regime}" for regime in regimes]]
    return exact(columns.sum(axis=1, skipna=False).to_numpy(np.float64))


def expiration_failures(dte: FloatColumn, limits: ScreenLimits) -> FirstFailures:
    """Ask the days to expiry, inclusive on both sides."""
    failures = FirstFailures(dte.size)
    failures.refuse_outside(dte, limits.dte_min, limits.dte_max, RefusalCode.DTE_OUT_OF_RANGE)
    return failures


def leg_failures(legs: pd.DataFrame, limits: ScreenLimits, *, as_of: datetime) -> FirstFailures:
    """Ask what every leg must pass: quote, open interest, option volume, spread, delta.

    The option volume is the column `gated_volume`.
    """
    failures = FirstFailures(len(legs))
    _refuse_defects(failures, legs, limits, as_of=as_of)
    failures.refuse_not_above(
        floats(legs, "open_interest"),
        limits.open_interest_min,
        too_low=RefusalCode.OPEN_INTEREST_TOO_LOW,
        not_available=RefusalCode.OPEN_INTEREST_NOT_AVAILABLE,
        policy=limits.open_interest_not_available,
    )
    failures.refuse_not_above(
        floats(legs, "gated_volume"),
        limits.option_volume_min,
        too_low=RefusalCode.OPTION_VOLUME_TOO_LOW,
        not_available=RefusalCode.OPTION_VOLUME_NOT_AVAILABLE,
        policy=limits.option_volume_not_available,
    )
    _refuse_wide_spreads(failures, legs, limits)
    delta = floats(legs, "delta")
    failures.refuse(np.isnan(delta), RefusalCode.DELTA_NOT_AVAILABLE, value=np.nan, limit=np.nan)
    return failures


def _refuse_wide_spreads(failures: FirstFailures, legs: pd.DataFrame, limits: ScreenLimits) -> None:
    if limits.option_spread_max is None:
        return
    mid = floats(legs, "mid")
    width = floats(legs, "ask") - floats(legs, "bid")
    spread = exact(np.divide(width, mid, out=np.full(mid.size, np.nan), where=mid > 0))
    failing = ~(spread < limits.option_spread_max)
    failures.refuse(
        failing, RefusalCode.OPTION_SPREAD_TOO_WIDE, value=spread, limit=limits.option_spread_max
    )


def _refuse_defects(
    failures: FirstFailures, legs: pd.DataFrame, limits: ScreenLimits, *, as_of: datetime
) -> None:
    bid, ask, mid = floats(legs, "bid"), floats(legs, "ask"), floats(legs, "mid")
    defect = legs["quote_defect"].to_numpy(dtype=object)
    found = set(pd.unique(legs["quote_defect"])) - {""}
    unknown = found - set(QuoteDefect)
    if unknown:
        raise CorruptData(f"quote_defect holds {sorted(map(str, unknown))}, which are no defects")
    for name in sorted(found - {QuoteDefect.STALE}):
        crossing = name in (QuoteDefect.CROSSED, QuoteDefect.LOCKED)
        value = ask - bid if crossing else np.fmin(bid, ask)
        failures.refuse(defect == name, RefusalCode(name), value=value, limit=0.0)
    unusable = ~(np.isfinite(bid) & np.isfinite(ask) & np.isfinite(mid))
    failures.refuse(unusable, RefusalCode.QUOTE_MISSING, value=np.nan, limit=0.0)
    age = (pd.Timestamp(as_of) - legs["quote_time"]).dt.total_seconds().to_numpy(np.float64)
    oldest = limits.max_quote_age_seconds
    stale = defect == QuoteDefect.STALE.value
    if oldest is not None:
        stale = stale | ~(age <= oldest)
    failures.refuse(
        stale, RefusalCode.QUOTE_STALE, value=age, limit=np.nan if oldest is None else oldest
    )


def short_failures(
    legs: pd.DataFrame, general: FirstFailures, limits: ScreenLimits
) -> FirstFailures:
    """Ask what a short leg must pass besides: its absolute delta, inclusive on both sides."""
    failures = general.rows(np.arange(len(legs)))
    failures.refuse_outside(
        np.abs(floats(legs, "delta")),
        limits.short_delta_min,
        limits.short_delta_max,
        RefusalCode.SHORT_DELTA_OUT_OF_RANGE,
    )
    return failures


def pair_failures(
    *,
    width: FloatColumn,
    credit_mid: FloatColumn,
    credit_natural: FloatColumn,
    limits: ScreenLimits,
) -> FirstFailures:
    """Ask width, natural credit, mid credit, and that the credit stays below the width."""
    failures = FirstFailures(width.size)
    failures.refuse_outside(
        width, limits.width_min, limits.width_max, RefusalCode.WIDTH_OUT_OF_RANGE
    )
    failures.refuse(
        ~(credit_natural > 0),
        RefusalCode.NATURAL_CREDIT_NOT_POSITIVE,
        value=credit_natural,
        limit=0.0,
    )
    if limits.credit_min is not None:
        failures.refuse(
            ~(credit_mid >= limits.credit_min),
            RefusalCode.CREDIT_TOO_LOW,
            value=credit_mid,
            limit=limits.credit_min,
        )
    failures.refuse(
        ~(credit_mid < width), RefusalCode.CREDIT_EXCEEDS_WIDTH, value=credit_mid, limit=width
    )
    return failures
