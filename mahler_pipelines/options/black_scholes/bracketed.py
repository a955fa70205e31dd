"""The sure way from a normalised price to total volatility: steps inside a shrinking bracket."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from mahler_pipelines.options.black_scholes.black import (
    LOG_SQRT_2PI,
    Floats,
    mills_difference,
    normalised_price,
)
from mahler_pipelines.options.special_functions import ndtr, ndtri

_MAX_ITERATIONS: Final = 64
_LAST_STEP: Final = 3e-6
_D1_AT_MAXIMUM: Final = 10.0


def bracketed_total_volatility(x: Floats, beta: Floats) -> Floats:
    """Solve b(x, s) = beta for s, where 0 < beta < exp(x/2) and x <= 0 (columns).

    The first guess is P. Jaeckel's ("By Implication", Wilmott 2006); Householder steps on the
    logarithm of the price follow, and a step that leaves the bracket is replaced by its middle.
    """
    ceiling = _D1_AT_MAXIMUM + np.sqrt(_D1_AT_MAXIMUM**2 - 2.0 * x)
    total = _guess(x, beta, ceiling)
    log_beta = np.log(beta)
    active = np.arange(x.size)
    floor = np.zeros_like(x)
    for _ in range(_MAX_ITERATIONS):
        if not active.size:
            break
        s = total[active]
        step, below = _safe_step(x[active], s, log_beta[active])
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


def _guess(x: Floats, beta: Floats, ceiling: Floats) -> Floats:
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


def _safe_step(x: Floats, s: Floats, log_beta: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the step towards ln b(s) = ln beta, and where the root lies above s."""
    h, t = x / s, 0.5 * s
    difference = mills_difference(h, t)
    miss = np.log(difference) - 0.5 * (np.square(h) + t * t) - LOG_SQRT_2PI - log_beta
    newton = -miss * difference / s
    ratio = householder_ratio(h, t, difference / s, newton)
    # Far from the root the higher orders mislead; a plain Newton step is always safe there.
    step = s * newton * np.where((ratio > 0.2) & (ratio < 5.0), ratio, 1.0)
    return step, miss < 0


def householder_ratio(h: Floats, t: Floats, slope: Floats, newton: Floats) -> Floats:
    """Return the third-order Householder step on ln b as a multiple of Newton's.

    `slope` is d ln s / d ln b = (Y(h+t) - Y(h-t)) / s, and `newton` Newton's step over s
    (P. Jaeckel, "Let's Be Rational", Wilmott 2015, equation 4.8 for the order).
    """
    square, half_square = h * h, t * t
    inverse = 1.0 / slope
    curvature = square - half_square
    third = curvature * curvature - 3.0 * square - half_square
    gamma = curvature - inverse
    delta = third + inverse * (2.0 * inverse - 3.0 * curvature)
    ratio = 0.5 * gamma * newton + 1.0
    ratio /= newton * (gamma + newton * delta * (1.0 / 6.0)) + 1.0
    return ratio
