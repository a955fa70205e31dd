"""The normalised Black formula for an out-of-the-money option, accurate to the last digits.

With x = -|ln(F/K)| <= 0 and s = volatility * sqrt(years), the price of the out-of-the-money option
divided by discount * sqrt(F K) is

    b(x, s) = exp(x/2) N(x/s + s/2) - exp(-x/2) N(x/s - s/2).

Plain evaluation loses every digit for small s or far strikes. With h = x/s, t = s/2 and
Y(z) = N(z)/n(z) it is b = n(h) exp(-t^2/2) [Y(h+t) - Y(h-t)], and the difference in brackets is
well behaved (P. Jaeckel, "Let's Be Rational", Wilmott 2015, section 6).
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from mahler_pipelines.options.special_functions import erfcx, log_ndtr, ndtr

Floats = NDArray[np.float64]

LOG_SQRT_2PI: Final = 0.5 * float(np.log(2.0 * np.pi))
_SQRT_HALF_PI: Final = float(np.sqrt(0.5 * np.pi))
_SQRT_HALF: Final = float(np.sqrt(0.5))
_SERIES_BELOW: Final = 0.05
_ASYMPTOTIC_BELOW: Final = -200.0


def mills(z: Floats) -> Floats:
    """Return N(z)/n(z), the Mills ratio of the lower tail."""
    return np.asarray(_SQRT_HALF_PI * erfcx(-_SQRT_HALF * z), dtype=np.float64)


def mills_difference(h: Floats, t: Floats) -> Floats:
    """Return Y(h+t) - Y(h-t) without cancellation, for h <= 0 < t (1-d arrays).

    A Taylor series in t takes over where the difference would cancel.
    """
    series = t < _SERIES_BELOW
    if series.all():
        return _mills_series(h, t)
    difference = mills(h + t) - mills(h - t)
    if series.any():
        difference[series] = _mills_series(h[series], t[series])
    return difference


def _mills_series(h: Floats, t: Floats) -> Floats:
    # Y' = 1 + hY and Y(n+1) = h Y(n) + n Y(n-1); only odd derivatives survive.
    before, current = mills(h), np.ones_like(h)
    current += h * before
    square = t * t
    weight = 2.0 * t
    total = weight * current
    for order in (2, 4, 6, 8):
        before, current = current, h * current + (order - 1) * before
        before, current = current, h * current + order * before
        weight = weight * square / (order * (order + 1))
        total += weight * current
    far = h < _ASYMPTOTIC_BELOW
    if far.any():
        inverse = 1.0 / np.square(h[far])
        total[far] = 2.0 * t[far] * inverse * (1.0 - 3.0 * inverse)
    return total


def normalised_price(x: Floats, s: Floats) -> Floats:
    """Return b(x, s) for x <= 0 <= s; zero where s is zero."""
    result = np.zeros_like(x)
    live = s > 0
    if not live.all():
        result[live] = normalised_price(x[live], s[live])
        return result
    h, t = x / s, 0.5 * s
    high = (h + t > 0) & (t >= _SERIES_BELOW)
    low = ~high
    h_low, t_low = h[low], t[low]
    exponent = -0.5 * (np.square(h_low) + np.square(t_low)) - LOG_SQRT_2PI
    result[low] = np.exp(exponent) * mills_difference(h_low, t_low)
    half, h_high, t_high = 0.5 * x[high], h[high], t[high]
    result[high] = np.exp(half) * ndtr(h_high + t_high) - np.exp(log_ndtr(h_high - t_high) - half)
    return result
