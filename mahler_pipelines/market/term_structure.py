"""Volatility at the money per expiration, and at one constant maturity per underlying."""

from enum import StrEnum
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mahler_pipelines.market.brackets import (
    Floats,
    bracket,
    floats,
    mean_at,
    neighbours,
    take,
)
from mahler_pipelines.market.implied import group_codes

DAYS_PER_YEAR: Final = 365.0
NEAREST_STRIKE_WITHIN: Final = 0.02
"""A single strike stands for the money when it is this close to the forward, in log terms."""

WIDEST_BRACKET: Final = 0.25
"""Strikes further apart than this, in log terms, are not interpolated between."""

MINIMUM_DAYS: Final = 7.0
"""Expirations nearer than this do not speak for a constant maturity."""

FLAT_WITHIN_DAYS: Final = 10.0
"""How far from the target the only usable expiration may lie and still stand for it."""


class AtmMethod(StrEnum):
    """How a volatility at the money was found, or why there is none."""

    INTERPOLATED = "interpolated"
    NEAREST_STRIKE = "nearest_strike"
    NO_USABLE_QUOTE = "no_usable_quote"
    NOT_BRACKETED = "not_bracketed"
    STRIKES_TOO_FAR_APART = "strikes_too_far_apart"


class MaturityMethod(StrEnum):
    """How a constant-maturity volatility was found, or why there is none."""

    INTERPOLATED = "interpolated"
    FLAT_FROM_NEAR = "flat_from_near"
    FLAT_FROM_FAR = "flat_from_far"
    NO_USABLE_EXPIRATION = "no_usable_expiration"
    EXPIRATIONS_OUT_OF_BOUNDS = "expirations_out_of_bounds"


def atm_volatility(ivs: pd.DataFrame) -> pd.DataFrame:
    """Return one row per underlying and expiration (and session, where `ivs` has one).

    `ivs` is what `implied_volatilities` returns. At each strike the volatilities of call and put
    are averaged; the volatility at the forward is linear in strike between the two strikes around
    it. A forward outside the strikes takes the nearest one within 2 %. Where two roots share an
    expiration (SPX and SPXW) the one with more usable contracts speaks, then the later settlement.
    Columns: the keys, root, years, forward, forward_source, forward_pairs, strike_below,
    strike_above, contracts, atm_volatility (NaN where `atm_method` says why).
    """
    keys = expiration_keys(ivs)
    group, first, terms = group_codes(ivs[keys])
    kept = ["years", "forward", "forward_source", "forward_pairs"]
    result = pd.concat([terms, ivs[kept].iloc[first].reset_index(drop=True)], axis=1)
    rows = np.flatnonzero(usable_volatilities(ivs))
    usable, strike = group[rows], floats(ivs["strike"])[rows]
    volatility = floats(ivs["implied_volatility"])[rows]
    forward = floats(result["forward"])
    below, above = neighbours(group=usable, value=strike, target=forward)
    low = mean_at(below, group=usable, value=strike, of=volatility)
    high = mean_at(above, group=usable, value=strike, of=volatility)
    values, methods = _at_forward(forward, below, above, low, high)
    result["strike_below"], result["strike_above"] = below, above
    result["contracts"] = np.bincount(usable, minlength=len(terms))
    result["atm_volatility"] = values
    result["atm_method"] = pd.Series(methods, dtype="str")
    return _one_root(result, [key for key in keys if key != "root"])


def constant_maturity_volatility(
    atm: pd.DataFrame,
    *,
    days: float = 30.0,
    minimum_days: float = MINIMUM_DAYS,
    flat_within_days: float = FLAT_WITHIN_DAYS,
    column: str = "atm_volatility",
) -> pd.DataFrame:
    """Return one row per underlying (and session): volatility at `days` calendar days.

    `column` names the volatility of each expiration; others are as `atm_volatility` returns them.
    Linear in total variance between the expirations on either side of the target (CBOE, VIX
    White Paper), leaving out expirations nearer than `minimum_days`. With expirations on one side
    only, the volatility of the nearest stands in when it lies within `flat_within_days` of the
    target; otherwise NaN. Columns: the keys, days, implied_volatility, method (`MaturityMethod`),
    near_expiration, near_days, near_volatility, far_expiration, far_days, far_volatility.
    """
    keys = underlying_keys(atm)
    group, _, result = group_codes(atm[keys])
    span = floats(atm["years"]) * DAYS_PER_YEAR
    volatility = floats(atm[column])
    rows = np.flatnonzero(np.isfinite(volatility) & (span >= minimum_days))
    target = np.full(len(result), float(days))
    at = bracket(group=group[rows], value=span[rows], target=target)
    near = np.where(at.below >= 0, np.append(rows, -1)[at.below], -1)
    far = np.where(at.above >= 0, np.append(rows, -1)[at.above], -1)
    ends = (take(span, near), take(span, far), take(volatility, near), take(volatility, far))
    values, methods = _at_maturity(float(days), flat_within_days, *ends)
    result["days"] = target
    result["implied_volatility"] = values
    result["method"] = pd.Series(methods, dtype="str")
    expirations = atm["expiration"].to_numpy(dtype="datetime64[us]")
    for side, at_rows, at_days, at_volatility in (
        ("near", near, ends[0], ends[2]),
        ("far", far, ends[1], ends[3]),
    ):
        result[f"{side}_expiration"] = _dates(expirations, at_rows)
        result[f"{side}_days"] = at_days
        result[f"{side}_volatility"] = at_volatility
    return result.sort_values(keys, kind="stable", ignore_index=True)


def term_slope(
    atm: pd.DataFrame, *, near_days: float = 30.0, far_days: float = 90.0
) -> pd.DataFrame:
    """Return one row per underlying (and session): far less near constant-maturity volatility.

    In volatility, so that 0.01 is one point; positive where the term structure rises (contango).
    NaN unless both maturities have a volatility. Columns: the keys, near_volatility, near_method,
    far_volatility, far_method (`MaturityMethod`), term_slope.
    """
    keys = underlying_keys(atm)
    near, far = (constant_maturity_volatility(atm, days=days) for days in (near_days, far_days))
    slope = near[keys].copy()
    for side, found in (("near", near), ("far", far)):
        slope[f"{side}_volatility"] = found["implied_volatility"]
        slope[f"{side}_method"] = found["method"]
    slope["term_slope"] = slope["far_volatility"] - slope["near_volatility"]
    return slope


def usable_volatilities(ivs: pd.DataFrame) -> NDArray[np.bool_]:
    """Return which rows may speak: a volatility was found, in a quote without a defect."""
    clean = (ivs["quote_defect"] == "").to_numpy(dtype=bool)
    return np.asarray(clean & np.isfinite(floats(ivs["implied_volatility"])))


def underlying_keys(frame: pd.DataFrame) -> list[str]:
    """Return the columns that name an underlying, and its session where the frame has several."""
    return ["session", "underlying"] if "session" in frame.columns else ["underlying"]


def expiration_keys(frame: pd.DataFrame) -> list[str]:
    """Return the columns that name one root's expiration."""
    return [*underlying_keys(frame), "root", "expiration"]


def _at_forward(
    forward: Floats, below: Floats, above: Floats, low: Floats, high: Floats
) -> tuple[Floats, NDArray[np.str_]]:
    bracketed = np.isfinite(below) & np.isfinite(above)
    single_strike = np.where(np.isfinite(below), below, above)
    single = np.where(np.isfinite(below), low, high)
    with np.errstate(divide="ignore", invalid="ignore"):
        weight = (forward - below) / (above - below)
        narrow = np.log(above / below) <= WIDEST_BRACKET
        close = np.abs(np.log(single_strike / forward)) <= NEAREST_STRIKE_WITHIN
    between = low + weight * (high - low)
    conditions = [bracketed & narrow, bracketed, close, np.isfinite(single)]
    methods = [
        AtmMethod.INTERPOLATED.value,
        AtmMethod.STRIKES_TOO_FAR_APART.value,
        AtmMethod.NEAREST_STRIKE.value,
        AtmMethod.NOT_BRACKETED.value,
    ]
    values = np.select([conditions[0], ~bracketed & close], [between, single], np.nan)
    return values, np.select(conditions, methods, AtmMethod.NO_USABLE_QUOTE.value)


def _one_root(atm: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    atm["found"] = np.isfinite(atm["atm_volatility"])
    ranked = atm.sort_values(["found", "contracts", "years"], ascending=False, kind="stable")
    kept = ranked.drop_duplicates(keys).drop(columns="found")
    return kept.sort_values(keys, kind="stable", ignore_index=True)


def _at_maturity(
    days: float, flat_within: float, near: Floats, far: Floats, at_near: Floats, at_far: Floats
) -> tuple[Floats, NDArray[np.str_]]:
    has_near, has_far = np.isfinite(near), np.isfinite(far)
    weight = (days - near) / (far - near)
    variance = (1.0 - weight) * np.square(at_near) * near + weight * np.square(at_far) * far
    with np.errstate(invalid="ignore"):
        between = np.sqrt(variance / days)
    exact = near == days
    conditions = [
        exact | (has_near & has_far),
        has_near & (days - near <= flat_within),
        has_far & ~has_near & (far - days <= flat_within),
        has_near | has_far,
    ]
    methods = [
        MaturityMethod.INTERPOLATED.value,
        MaturityMethod.FLAT_FROM_NEAR.value,
        MaturityMethod.FLAT_FROM_FAR.value,
        MaturityMethod.EXPIRATIONS_OUT_OF_BOUNDS.value,
    ]
    values = np.select(
        [exact, conditions[0], conditions[1], conditions[2]],
        [at_near, between, at_near, at_far],
        np.nan,
    )
    return values, np.select(conditions, methods, MaturityMethod.NO_USABLE_EXPIRATION.value)


def _dates(expirations: NDArray[np.datetime64], rows: NDArray[np.intp]) -> NDArray[np.datetime64]:
    padded = np.append(expirations, np.datetime64("NaT", "us"))
    return padded[rows]
