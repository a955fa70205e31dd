"""Implied volatility: the inverse of the European price, with a reason wherever there is none."""

from enum import IntEnum
from typing import Final, Literal, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri

from mahler_pipelines.errors import BadInput
from mahler_pipelines.options.black import LOG_SQRT_2PI, Floats, mills_difference, normalised_price

_MAX_ITERATIONS: Final = 64
_LAST_STEP: Final = 3e-6
_D1_AT_MAXIMUM: Final = 10.0


class NoVolatility(IntEnum):
    """Why a price has no implied volatility."""

    NONE = 0
    BELOW_INTRINSIC = 1
    ABOVE_MAXIMUM = 2
    NOT_FINITE = 3
    EXPIRED = 4
    NON_POSITIVE_INPUT = 5


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
) -> Floats | tuple[Floats, NDArray[np.int8]]:
    """Invert the European price; annualised volatility as a fraction, NaN where there is none.

    Arguments broadcast; `right` is +1 or -1, `years` ACT/365, rates continuous. With
    `with_reason` also returns an int8 array of `NoVolatility` codes, 0 exactly where the
    volatility is a number. A price at its discounted intrinsic value has no volatility
    (BELOW_INTRINSIC). Raises `BadInput` for a right other than +1 and -1.

    In-the-money prices are turned into out-of-the-money ones by parity; then Householder steps on
    the logarithm of the normalised price, kept inside a shrinking bracket (P. Jaeckel, "By
    Implication", Wilmott 2006, for the first guess).
    """
    inputs = np.broadcast_arrays(
        *(np.asarray(a, dtype=np.float64) for a in (right, price, spot, strike, years)),
        *(np.asarray(a, dtype=np.float64) for a in (rate, dividend_yield)),
    )
    shape = inputs[0].shape
    sign, paid, spots, strikes, term, rates, yields = (np.ravel(a) for a in inputs)
    check_right(sign)
    with np.errstate(all="ignore"):
        x = np.log(spots / strikes) + (rates - yields) * term
        carried, discounted = spots * np.exp(-yields * term), strikes * np.exp(-rates * term)
        time_value = paid - np.maximum(sign * (carried - discounted), 0.0)
        normalised = time_value / np.sqrt(carried * discounted)
        x = -np.abs(x)
        reasons = _reasons(paid, spots, strikes, term, x, normalised)
    volatility = np.full(paid.shape, np.nan)
    good = reasons == NoVolatility.NONE
    total = _total_volatility(x[good], normalised[good])
    volatility[good] = total / np.sqrt(term[good])
    if with_reason:
        return volatility.reshape(shape), reasons.reshape(shape)
    return volatility.reshape(shape)


def check_right(right: Floats) -> None:
    """Raise `BadInput` when a right is neither +1 nor -1."""
    wrong = np.abs(right) != 1.0
    if wrong.any():
        raise BadInput("right", float(right[wrong].flat[0]), "neither +1 (call) nor -1 (put)")


def _reasons(
    paid: Floats, spots: Floats, strikes: Floats, term: Floats, x: Floats, normalised: Floats
) -> NDArray[np.int8]:
    finite = np.isfinite(paid) & np.isfinite(spots) & np.isfinite(strikes) & np.isfinite(term)
    positive = (paid > 0) & (spots > 0) & (strikes > 0)
    conditions = [
        ~finite,
        ~positive,
        term <= 0,
        ~np.isfinite(x) | ~np.isfinite(normalised),
        normalised <= 0,
        normalised >= np.exp(0.5 * x),
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


def _first_guess(x: Floats, beta: Floats, ceiling: Floats) -> Floats:
    # Both branches are exact where beta is the price at the inflection point s = sqrt(2|x|).
    half = np.sqrt(-0.5 * x)
    at_inflection = normalised_price(x, 2.0 * half)
    with np.errstate(all="ignore"):
        low = -x / np.sqrt(-0.5 * x - 2.0 * np.log(beta / at_inflection))
        maximum = np.exp(0.5 * x)
        share = (maximum - beta) / (maximum - at_inflection)
        high = -2.0 * ndtri(share * ndtr(-half))
    guess = np.where(beta < at_inflection, low, high)
    usable = np.isfinite(guess) & (guess > 0) & (guess < ceiling)
    return np.where(usable, guess, 0.5 * ceiling)


def _total_volatility(x: Floats, beta: Floats) -> Floats:
    """Solve b(x, s) = beta for s, where 0 < beta < exp(x/2) and x <= 0."""
    ceiling = _D1_AT_MAXIMUM + np.sqrt(_D1_AT_MAXIMUM**2 - 2.0 * x)
    total = _first_guess(x, beta, ceiling)
    log_beta = np.log(beta)
    active = np.arange(x.size)
    floor = np.zeros_like(x)
    for _ in range(_MAX_ITERATIONS):
        if not active.size:
            break
        s = total[active]
        step, below = _householder_step(x[active], s, log_beta[active])
        floor[active] = np.where(below, s, floor[active])
        ceiling[active] = np.where(below, ceiling[active], s)
        proposed = s + step
        inside = (proposed > floor[active]) & (proposed < ceiling[active])
        # Convergence is of fourth order: what a step this small leaves is below rounding.
        done = np.abs(step) <= _LAST_STEP * s
        middle = 0.5 * (floor[active] + ceiling[active])
        total[active] = np.where(inside | done, proposed, middle)
        active = active[~done]
    return total


def _householder_step(x: Floats, s: Floats, log_beta: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the third-order step of ln b(s) - ln beta, and where the root lies above s."""
    h, t = x / s, 0.5 * s
    difference = mills_difference(h, t)
    square = np.square(h)
    miss = np.log(difference) - 0.5 * (square + t * t) - LOG_SQRT_2PI - log_beta
    slope = 1.0 / difference
    curvature = square / s - 0.5 * t
    third = np.square(curvature) - 3.0 * square / np.square(s) - 0.25
    gamma = curvature - slope
    delta = third - 3.0 * curvature * slope + 2.0 * slope * slope
    newton = -miss * difference
    denominator = 1.0 + newton * (gamma + newton * delta / 6.0)
    ratio = (1.0 + 0.5 * gamma * newton) / denominator
    # Far from the root the higher orders mislead; a plain Newton step is always safe there.
    step = newton * np.where((ratio > 0.2) & (ratio < 5.0), ratio, 1.0)
    return step, miss < 0
