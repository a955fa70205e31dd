"""The wings of the smile: volatility at 25 delta on both sides, and how much dearer puts are."""

from enum import StrEnum
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mahler_pipelines.market.brackets import Floats, floats, mean_at, neighbours
from mahler_pipelines.market.implied import group_codes
from mahler_pipelines.market.term_structure import (
    constant_maturity_volatility,
    expiration_keys,
    underlying_keys,
    usable_volatilities,
)

WING_DELTA: Final = 0.25
WIDEST_DELTAS: Final = 0.20
"""Quotes further apart than this in delta are not interpolated between."""


class WingMethod(StrEnum):
    """How the volatility of a wing was found, or why there is none."""

    INTERPOLATED = "interpolated"
    NO_USABLE_QUOTE = "no_usable_quote"
    NOT_BRACKETED = "not_bracketed"
    DELTAS_TOO_FAR_APART = "deltas_too_far_apart"


def wing_volatility(
    ivs: pd.DataFrame, atm: pd.DataFrame, *, delta: float = WING_DELTA
) -> pd.DataFrame:
    """Return the rows of `atm` with the volatility of a put and of a call of this delta added.

    `ivs` is what `implied_volatilities` returns, `atm` what `atm_volatility` makes of it: the root
    that speaks for the money speaks for the wings. On each side the volatility is linear in delta
    between the two usable quotes around it, no more than `WIDEST_DELTAS` apart. Adds
    put_volatility, put_method, call_volatility and call_method (`WingMethod`, which says why a
    volatility is NaN).
    """
    keys = expiration_keys(ivs)
    group, _, terms = group_codes(ivs[keys])
    rows = np.flatnonzero(usable_volatilities(ivs) & np.isfinite(floats(ivs["delta"])))
    # Puts and calls of an expiration are two groups side by side.
    call = floats(ivs["right"])[rows] > 0
    side = 2 * group[rows] + call
    size = np.abs(floats(ivs["delta"]))[rows]
    volatility = floats(ivs["implied_volatility"])[rows]
    below, above = neighbours(group=side, value=size, target=np.full(2 * len(terms), delta))
    low = mean_at(below, group=side, value=size, of=volatility)
    high = mean_at(above, group=side, value=size, of=volatility)
    values, methods = _at_delta(delta, below, above, low, high)
    wings = terms.copy()
    for offset, name in enumerate(("put", "call")):
        wings[f"{name}_volatility"] = values[offset::2]
        wings[f"{name}_method"] = pd.Series(methods[offset::2], dtype="str")
    return atm.merge(wings, on=keys, how="left")


def skew_25_delta(ivs: pd.DataFrame, atm: pd.DataFrame, *, days: float = 30.0) -> pd.DataFrame:
    """Return one row per underlying (and session): put less call volatility at 25 delta.

    At `days` calendar days: each wing is brought to that maturity as the money is (linear in total
    variance), from the expirations that have both wings, so that both rest on the same ones. In
    volatility, so that 0.01 is one point; positive where puts are dearer. Columns: the keys,
    put_volatility, call_volatility, skew (NaN where `method`, a `MaturityMethod`, says why),
    near_expiration, far_expiration, expirations (how many have both wings).
    """
    wings = wing_volatility(ivs, atm)
    keys = underlying_keys(wings)
    both = np.isfinite(wings["put_volatility"]) & np.isfinite(wings["call_volatility"])
    put, call = (
        constant_maturity_volatility(
            wings.assign(wing=wings[f"{side}_volatility"].where(both)), days=days, column="wing"
        )
        for side in ("put", "call")
    )
    skew = put[keys].assign(
        put_volatility=put["implied_volatility"], call_volatility=call["implied_volatility"]
    )
    skew["skew"] = skew["put_volatility"] - skew["call_volatility"]
    for name in ("method", "near_expiration", "far_expiration"):
        skew[name] = put[name]
    counted = both.groupby([wings[key] for key in keys], sort=False).sum().rename("expirations")
    return skew.join(counted.astype("int64"), on=keys)


def _at_delta(
    delta: float, below: Floats, above: Floats, low: Floats, high: Floats
) -> tuple[Floats, NDArray[np.str_]]:
    bracketed = np.isfinite(below) & np.isfinite(above)
    # A quote at exactly this delta needs no neighbour.
    exact = below == delta
    with np.errstate(invalid="ignore"):
        narrow = above - below <= WIDEST_DELTAS
        between = low + (delta - below) / (above - below) * (high - low)
    conditions = [exact, bracketed & narrow, bracketed, np.isfinite(below) | np.isfinite(above)]
    methods = [
        WingMethod.INTERPOLATED.value,
        WingMethod.INTERPOLATED.value,
        WingMethod.DELTAS_TOO_FAR_APART.value,
        WingMethod.NOT_BRACKETED.value,
    ]
    values = np.select(conditions[:2], [low, between], np.nan)
    return values, np.select(conditions, methods, WingMethod.NO_USABLE_QUOTE.value)
