"""Implied volatility: the inverse of the European price, with a reason wherever there is none."""

import math
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, Literal, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mahler_pipelines.options.black_scholes.black import LOG_SQRT_2PI, Floats
from mahler_pipelines.options.black_scholes.bracketed import (
    bracketed_total_volatility,
    householder_ratio,
)
from mahler_pipelines.options.black_scholes.carried import Carried, carry, check_right
from mahler_pipelines.options.black_scholes.greeks import Greeks, greeks_of
from mahler_pipelines.options.black_scholes.guess_table import first_guess, guess_table
from mahler_pipelines.options.black_scholes.mills_table import (
    beyond_table,
    mills_table,
    table_difference,
)
from mahler_pipelines.options.blocks import Columns, chosen, flatten, in_blocks
from mahler_pipelines.options.dividends import (
    DividendSchedule,
    dividend_schedule,
    escrow_slopes,
    escrowed_spot,
)

_LARGEST_STEP: Final = 2e-4


class NoVolatility(IntEnum):
    """Why a price has no implied volatility."""

    NONE = 0
    BELOW_INTRINSIC = 1
    ABOVE_MAXIMUM = 2
    NOT_FINITE = 3
    EXPIRED = 4
    NON_POSITIVE_INPUT = 5
    TWO_BOUNDARIES = 6


@dataclass(frozen=True, slots=True, eq=False)
class Implied:
    """What a price implies, arrays of one shape.

    `volatility` as a fraction and `greeks` at it, all NaN where `reason` (int8 codes of
    `NoVolatility`) is not 0.
    """

    volatility: Floats
    reason: NDArray[np.int8]
    greeks: Greeks


@overload
def implied_volatility(
    *,
    right: ArrayLike,
    price: ArrayLike,
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    rate: ArrayLike,
    dividend_yield: ArrayLike,
    with_reason: Literal[False] = False,
    dividends: ArrayLike | DividendSchedule = (),
    threads: int | None = None,
) -> Floats: ...


@overload
def implied_volatility(
    *,
    right: ArrayLike,
    price: ArrayLike,
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    rate: ArrayLike,
    dividend_yield: ArrayLike,
    with_reason: Literal[True],
    dividends: ArrayLike | DividendSchedule = (),
    threads: int | None = None,
) -> tuple[Floats, NDArray[np.int8]]: ...


def implied_volatility(
    *,
    right: ArrayLike,
    price: ArrayLike,
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    rate: ArrayLike,
    dividend_yield: ArrayLike,
    with_reason: bool = False,
    dividends: ArrayLike | DividendSchedule = (),
    threads: int | None = None,
) -> Floats | tuple[Floats, NDArray[np.int8]]:
    """Invert the European price; annualised volatility as a fraction, NaN where there is none.

    Arguments broadcast; `right` is +1 or -1, `years` ACT/365, rates continuous, `dividends` as in
    `options.dividends`. With `with_reason` also returns an int8 array of `NoVolatility` codes, 0
    exactly where the volatility is a number. A price at its discounted intrinsic value has no
    volatility (BELOW_INTRINSIC), nor has an option on a share worth no more than its dividends
    (NON_POSITIVE_INPUT). Raises `BadInput` for a right other than +1 and -1.

    In-the-money prices are turned into out-of-the-money ones by parity. A tabulated guess is within
    1e-4, and one Householder step of fourth order on the logarithm of the normalised price makes it
    exact; what the table does not reach is solved inside a shrinking bracket.
    """
    above, _ = _escrow(dividends, spot, years, rate, dividend_yield)
    terms = (right, price, above, strike, years, rate, dividend_yield)
    columns, shape = flatten(*terms)
    volatility, reasons = _invert(columns, shape, threads=threads)
    return (volatility, reasons) if with_reason else volatility


def implied(
    *,
    right: ArrayLike,
    price: ArrayLike,
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    rate: ArrayLike,
    dividend_yield: ArrayLike,
    dividends: ArrayLike | DividendSchedule = (),
    threads: int | None = None,
) -> Implied:
    """Return volatility, reasons and greeks in one call: `implied_volatility`, then `greeks` at it.

    Unlike `greeks` it refuses no row: what has no volatility has greeks of NaN and its reason.
    Raises `BadInput` for a right other than +1 and -1.
    """
    above, slopes = _escrow(dividends, spot, years, rate, dividend_yield)
    terms = (above, strike, years, rate, dividend_yield)
    columns, shape = flatten(right, price, *terms)
    volatility, reasons = _invert(columns, shape, threads=threads)
    columns, _ = flatten(right, *terms, volatility, *slopes)
    return Implied(volatility, reasons, greeks_of(columns, shape, threads=threads, checked=False))


def _escrow(
    dividends: ArrayLike | DividendSchedule,
    spot: ArrayLike,
    years: ArrayLike,
    rate: ArrayLike,
    dividend_yield: ArrayLike,
) -> tuple[ArrayLike, tuple[Floats, ...]]:
    """Return the part of the spot that moves, and the slopes that its greeks need."""
    schedule = dividend_schedule(dividends)
    if not len(schedule):
        return spot, ()
    terms = {"years": years, "rate": rate, "dividend_yield": dividend_yield}
    return escrowed_spot(schedule, spot=spot, **terms), escrow_slopes(schedule, **terms)


def _invert(
    columns: Columns, shape: tuple[int, ...], *, threads: int | None
) -> tuple[Floats, NDArray[np.int8]]:
    guess_table()
    mills_table()
    size = math.prod(shape)
    volatility, reasons = np.empty(size), np.zeros(size, dtype=np.int8)
    in_blocks(_fill, columns, (volatility, reasons), threads=threads)
    return volatility.reshape(shape), reasons.reshape(shape)


def _fill(columns: Columns, filled: tuple[NDArray[Any], ...]) -> None:
    """Fill volatility and reason of a block."""
    right, paid, spot, strike, years, rate, yields = columns
    volatility, reasons = filled
    check_right(right)
    with np.errstate(all="ignore"):
        carried = carry(spot, strike, years, rate, yields)
        time_value = paid - np.maximum(right * (carried.shares - carried.cash), 0.0)
        share = time_value / np.minimum(carried.shares, carried.cash)
        beta = time_value / np.sqrt(carried.shares * carried.cash)
        distance = np.abs(carried.log_moneyness)
        if _all_good(spot, years, distance, share):
            total = _total_volatility(distance, share, beta)
            np.divide(total, np.sqrt(years), out=volatility)
            return
        reasons[:] = _reasons(paid, spot, strike, years, carried, share)
        good = reasons == NoVolatility.NONE
        volatility[:] = np.nan
        if good.any():
            distance, share, beta, years = chosen(good, distance, share, beta, years)
            volatility[good] = _total_volatility(distance, share, beta) / np.sqrt(years)


def _all_good(spot: Floats, years: Floats, distance: Floats, share: Floats) -> bool:
    # A minimum or maximum is NaN where any row is, and then nothing compares.
    positive = spot.min() > 0 and years.min() > 0 and share.min() > 0
    return bool(positive and share.max() < 1 and distance.max() < np.inf)


def _reasons(
    paid: Floats,
    spot: Floats,
    strike: Floats,
    years: Floats,
    carried: Carried,
    share: Floats,
) -> NDArray[np.int8]:
    finite = np.isfinite(paid) & np.isfinite(spot) & np.isfinite(strike) & np.isfinite(years)
    conditions = [
        ~finite,
        ~((paid > 0) & (spot > 0) & (strike > 0)),
        years <= 0,
        ~(np.isfinite(carried.log_moneyness) & np.isfinite(share)),
        share <= 0,
        share >= 1,
    ]
    codes = [
        NoVolatility.NOT_FINITE,
        NoVolatility.NON_POSITIVE_INPUT,
        NoVolatility.EXPIRED,
        NoVolatility.NOT_FINITE,
        NoVolatility.BELOW_INTRINSIC,
        NoVolatility.ABOVE_MAXIMUM,
    ]
    return np.select(conditions, [np.int8(code) for code in codes], np.int8(0)).astype(np.int8)


def _total_volatility(distance: Floats, share: Floats, beta: Floats) -> Floats:
    """Solve b(-distance, s) = beta for s, where `share` is beta over the largest price."""
    total = first_guess(guess_table(), distance, share)
    h, half = -distance / total, 0.5 * total
    difference = table_difference(mills_table(), h, half)
    found = np.exp(-0.5 * (h * h + half * half) - LOG_SQRT_2PI) * difference
    slope = difference / total
    newton = -np.log(found / beta) * slope
    ratio = householder_ratio(h, half, slope, newton)
    sure = np.abs(newton) <= _LARGEST_STEP
    beyond = beyond_table(h, half)
    if beyond is not None:
        sure &= ~beyond
    total += total * newton * ratio
    if not sure.all():
        x, price = chosen(~sure, -distance, beta)
        total[~sure] = bracketed_total_volatility(x, price)
    return total
