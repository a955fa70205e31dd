"""Early exercise on shares with cash dividends, by two classical approximations.

The spot is escrowed: it diffuses without the present value of the dividends until expiration
(Hull, Options, Futures and Other Derivatives, 10th ed., section 15.12). Puts add the premium of
Barone-Adesi & Whaley, "Efficient analytic approximation of American option values", Journal of
Finance 42 (1987), with cost of carry equal to the rate. Calls are worth at least their exercise
just before any ex-date (Black, Financial Analysts Journal, 1975), which is in `valuation`.
"""

from typing import Final

import numpy as np
from scipy.special import ndtr

from mahler_pipelines.exchange.simulated.randomness import FloatArray

_NEWTON_STEPS: Final = 8
_ROOT_TWO_PI: Final = float(np.sqrt(2.0 * np.pi))


def early_exercise_premium(
    *,
    spot: FloatArray,
    strike: FloatArray,
    years: FloatArray,
    rate: float,
    volatility: FloatArray,
) -> FloatArray:
    """Return what early exercise adds to a European put above its critical spot.

    Below the critical spot the premium lifts the put to intrinsic value, which is left to the
    caller: there this returns the premium at the critical spot. `rate` must be positive.
    """
    total = volatility * np.sqrt(years)
    exponent = _exponent(1.0 - np.exp(-rate * years), 2.0 * rate / volatility**2)
    critical = critical_ratio(years=years, rate=rate, volatility=volatility)
    d1 = (np.log(critical) + rate * years) / total + 0.5 * total
    scale = -critical / exponent * ndtr(d1)
    moneyness = np.maximum(spot / (strike * critical), 1.0)
    return np.asarray(strike * scale * moneyness**exponent)


def critical_ratio(*, years: FloatArray, rate: float, volatility: FloatArray) -> FloatArray:
    """Return spot over strike below which a put is exercised at once (Newton's method)."""
    total, discount = volatility * np.sqrt(years), np.exp(-rate * years)
    carry = 2.0 * rate / volatility**2
    exponent = _exponent(1.0 - discount, carry)
    perpetual = carry / (1.0 + carry)
    ratio = perpetual + (1.0 - perpetual) * np.exp((rate * years - 2.0 * total) / (1.0 - perpetual))
    for _ in range(_NEWTON_STEPS):
        d1 = (np.log(ratio) + rate * years) / total + 0.5 * total
        tail = ndtr(-d1)
        held = discount * ndtr(total - d1) - ratio * tail - ratio * (1.0 - tail) / exponent
        density = np.exp(-0.5 * np.square(d1)) / _ROOT_TWO_PI
        slope = -tail * (1.0 - 1.0 / exponent) - (1.0 + density / total) / exponent
        ratio = np.clip((1.0 - held + slope * ratio) / (1.0 + slope), perpetual, 1.0)
    return np.asarray(ratio)


def _exponent(accrued: FloatArray, carry: FloatArray) -> FloatArray:
    """The negative root of the quadratic equation, cost of carry equal to the rate."""
    return np.asarray(0.5 * (1.0 - carry - np.sqrt((carry - 1.0) ** 2 + 4.0 * carry / accrued)))
