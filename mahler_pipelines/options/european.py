"""European options on a spot with a continuous yield: price, greeks, implied volatility.

Black-Scholes-Merton (J. Hull, Options, Futures and Other Derivatives, 10th ed., chapters 15, 17
and 19). Every function broadcasts its keyword arguments as float64; years are ACT/365, rates and
yields continuous, volatility annual, all as fractions. NaN in gives NaN out.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr

from mahler_pipelines.errors import BadInput
from mahler_pipelines.options.black import LOG_SQRT_2PI, Floats, normalised_price
from mahler_pipelines.options.implied import NoVolatility, check_right, implied_volatility

__all__ = [
    "DAYS_PER_YEAR",
    "Greeks",
    "NoVolatility",
    "greeks",
    "implied_volatility",
    "price",
    "probability_below",
]

DAYS_PER_YEAR: Final = 365.0


@dataclass(frozen=True, slots=True, eq=False)
class Greeks:
    """Sensitivities per share of one long option, arrays of one shape.

    delta per dollar of spot, gamma per dollar squared, theta in dollars per calendar day, vega and
    rho in dollars per percentage point of volatility and of the rate.
    """

    delta: Floats
    gamma: Floats
    theta_per_day: Floats
    vega: Floats
    rho: Floats


def price(
    *,
    right: ArrayLike,
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    rate: ArrayLike,
    dividend_yield: ArrayLike,
    volatility: ArrayLike,
) -> Floats:
    """Return the price per share (Hull, eq. 17.4 and 17.5).

    The out-of-the-money side keeps its relative precision however small it is. Raises `BadInput`
    for a right other than +1 and -1, a spot or strike that is not positive, negative years or a
    negative volatility.
    """
    sign, spots, strikes, term, rates, yields, sigma = _arrays(
        right, spot, strike, years, rate, dividend_yield, volatility
    )
    x = np.log(spots / strikes) + (rates - yields) * term
    carried, discounted = spots * np.exp(-yields * term), strikes * np.exp(-rates * term)
    normalised = _normalised(-np.abs(x), sigma * np.sqrt(term))
    intrinsic = np.maximum(sign * (carried - discounted), 0.0)
    return np.asarray(intrinsic + np.sqrt(carried * discounted) * normalised)


def greeks(
    *,
    right: ArrayLike,
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    rate: ArrayLike,
    dividend_yield: ArrayLike,
    volatility: ArrayLike,
) -> Greeks:
    """Return the greeks (Hull, chapter 19, with yield: section 19.13 and table 19.6).

    At zero volatility or at expiry they are the limits from above: gamma and vega are zero, delta
    is a step (half of it at the kink). Raises as `price` does.
    """
    sign, spots, strikes, term, rates, yields, sigma = _arrays(
        right, spot, strike, years, rate, dividend_yield, volatility
    )
    root = np.sqrt(term)
    total = sigma * root
    forward_log = np.log(spots / strikes) + (rates - yields) * term
    d1 = _moneyness_over(forward_log, total) + 0.5 * total
    d2 = d1 - total
    carry, discount = np.exp(-yields * term), np.exp(-rates * term)
    with np.errstate(divide="ignore", invalid="ignore"):
        density = np.exp(-0.5 * np.square(d1) - LOG_SQRT_2PI)
        alive = total != 0
        gamma = np.where(alive, carry * density / (spots * total), 0.0)
        decay = np.where(alive, 0.5 * spots * carry * density * sigma / root, 0.0)
    vega = np.where(alive, spots * carry * density * root, 0.0)
    share_leg = sign * spots * carry * ndtr(sign * d1)
    cash_leg = sign * strikes * discount * ndtr(sign * d2)
    return Greeks(
        delta=np.asarray(sign * carry * ndtr(sign * d1)),
        gamma=np.asarray(gamma),
        theta_per_day=np.asarray((-decay - rates * cash_leg + yields * share_leg) / DAYS_PER_YEAR),
        vega=np.asarray(vega / 100.0),
        rho=np.asarray(term * cash_leg / 100.0),
    )


def probability_below(
    *,
    spot: ArrayLike,
    level: ArrayLike,
    years: ArrayLike,
    rate: ArrayLike,
    dividend_yield: ArrayLike,
    volatility: ArrayLike,
) -> Floats:
    """Return the risk-neutral probability that the terminal spot is below `level`.

    Lognormal: N(-d2) (Hull, section 15.3). A level of zero or less has probability zero.
    Raises `BadInput` for a spot that is not positive, negative years or a negative volatility.
    """
    levels = np.asarray(level, dtype=np.float64)
    _, spots, capped, term, rates, yields, sigma = _arrays(
        1.0, spot, np.where(levels <= 0, 1.0, levels), years, rate, dividend_yield, volatility
    )
    total = sigma * np.sqrt(term)
    forward_log = np.log(spots / capped) + (rates - yields) * term
    d2 = _moneyness_over(forward_log, total) - 0.5 * total
    return np.asarray(np.where(levels <= 0, 0.0, ndtr(-d2)))


def _arrays(right: ArrayLike, *values: ArrayLike) -> tuple[Floats, ...]:
    arrays = tuple(
        np.broadcast_arrays(*(np.asarray(value, dtype=np.float64) for value in (right, *values)))
    )
    sign, spots, strikes, term, _, _, sigma = arrays
    check_right(sign)
    bounds = (
        ("spot", spots, spots <= 0, "is not positive"),
        ("strike", strikes, strikes <= 0, "is not positive"),
        ("years", term, term < 0, "is negative"),
        ("volatility", sigma, sigma < 0, "is negative"),
    )
    for name, array, wrong, reason in bounds:
        if wrong.any():
            raise BadInput(name, float(array[wrong].flat[0]), reason)
    return arrays


def _normalised(x: Floats, total: Floats) -> Floats:
    valid = np.isfinite(x) & np.isfinite(total)
    result = np.full(x.shape, np.nan)
    result[valid] = normalised_price(x[valid], total[valid])
    return result


def _moneyness_over(forward_log: Floats, total: Floats) -> Floats:
    # ln(F/K) / s, with its limit where s is zero: a step, and zero exactly at the forward.
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = forward_log / total
    return np.where((total == 0) & (forward_log == 0), 0.0, ratio)
