"""European options on a share with a continuous yield and cash dividends.

Black-Scholes-Merton (J. Hull, Options, Futures and Other Derivatives, 10th ed., chapters 15, 17
and 19). Every function broadcasts its keyword arguments as float64; years are ACT/365, rates and
yields continuous, volatility annual, all as fractions. NaN in gives NaN out.

`dividends` is a schedule as in `options.dividends`, in the escrowed model: the share without the
present value of the dividends up to expiration is lognormal, and `volatility` is that part's.
Large arrays are worked on in blocks by two threads; `threads` says how many instead.
"""

import math

import numpy as np
from numpy.typing import ArrayLike

from mahler_pipelines.errors import BadInput
from mahler_pipelines.options.black_scholes.black import LOG_SQRT_2PI, Floats, normalised_price
from mahler_pipelines.options.black_scholes.carried import carry, check_terms
from mahler_pipelines.options.black_scholes.greeks import (
    DAYS_PER_YEAR,
    Greeks,
    SecondOrderGreeks,
    greeks_of,
)
from mahler_pipelines.options.black_scholes.implied import (
    Implied,
    NoVolatility,
    implied,
    implied_volatility,
)
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
from mahler_pipelines.options.special_functions import ndtr

__all__ = [
    "DAYS_PER_YEAR",
    "Greeks",
    "Implied",
    "NoVolatility",
    "SecondOrderGreeks",
    "greeks",
    "implied",
    "implied_volatility",
    "price",
    "probability_below",
]


def price(
    *,
    right: ArrayLike,
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    rate: ArrayLike,
    dividend_yield: ArrayLike,
    volatility: ArrayLike,
    dividends: ArrayLike | DividendSchedule = (),
) -> Floats:
    """Return the price per share (Hull, eq. 17.4 and 17.5).

    The out-of-the-money side keeps its relative precision however small it is. Raises `BadInput`
    for a right other than +1 and -1, a spot or strike that is not positive, negative years or a
    negative volatility, and a spot that is not above the present value of its dividends.
    """
    above = _above_dividends(dividends, spot, years, rate, dividend_yield)
    columns, shape = flatten(right, above, strike, years, rate, dividend_yield, volatility)
    worth = np.empty(math.prod(shape))
    in_blocks(_fill_price, columns, (worth,), threads=None)
    return worth.reshape(shape)


def greeks(
    *,
    right: ArrayLike,
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    rate: ArrayLike,
    dividend_yield: ArrayLike,
    volatility: ArrayLike,
    dividends: ArrayLike | DividendSchedule = (),
    threads: int | None = None,
) -> Greeks:
    """Return the greeks (Hull, chapter 19, with yield: section 19.13 and table 19.6).

    At zero volatility or at expiry they are the limits from above: gamma and vega are zero, delta
    is a step (half of it at the kink). With dividends, theta and charm let them come nearer, and
    rho discounts them too. Raises as `price` does.
    """
    schedule = dividend_schedule(dividends)
    above = _above_dividends(schedule, spot, years, rate, dividend_yield)
    terms = (right, above, strike, years, rate, dividend_yield, volatility)
    slopes = (
        escrow_slopes(schedule, years=years, rate=rate, dividend_yield=dividend_yield)
        if len(schedule)
        else ()
    )
    columns, shape = flatten(*terms, *slopes)
    return greeks_of(columns, shape, threads=threads, checked=True)


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


def _above_dividends(
    dividends: ArrayLike | DividendSchedule,
    spot: ArrayLike,
    years: ArrayLike,
    rate: ArrayLike,
    dividend_yield: ArrayLike,
) -> ArrayLike:
    schedule = dividend_schedule(dividends)
    if not len(schedule):
        return spot
    spots = np.asarray(spot, dtype=np.float64)
    above = escrowed_spot(
        schedule, spot=spots, years=years, rate=rate, dividend_yield=dividend_yield
    )
    eaten = (above <= 0) & (spots > 0)
    if eaten.any():
        value = float(np.broadcast_to(spots, above.shape)[eaten].flat[0])
        raise BadInput("spot", value, "is not above the present value of its dividends")
    return above


def _arrays(right: ArrayLike, *values: ArrayLike) -> tuple[Floats, ...]:
    arrays = tuple(
        np.broadcast_arrays(*(np.asarray(value, dtype=np.float64) for value in (right, *values)))
    )
    sign, spots, strikes, term, _, _, sigma = arrays
    check_terms(sign, spots, strikes, term, sigma)
    return arrays


def _fill_price(columns: Columns, filled: Columns) -> None:
    right, spot, strike, years, rate, yields, volatility = columns
    check_terms(right, spot, strike, years, volatility)
    with np.errstate(all="ignore"):
        carried, total = carry(spot, strike, years, rate, yields), volatility * np.sqrt(years)
        h, half = -np.abs(carried.log_moneyness) / total, 0.5 * total
        density = np.exp(-0.5 * (h * h + half * half) - LOG_SQRT_2PI)
        normalised = density * table_difference(mills_table(), h, half)
        beyond = beyond_table(h, half)
        if beyond is not None:
            x, far = chosen(beyond, -np.abs(carried.log_moneyness), total)
            normalised[beyond] = _normalised(x, far)
        intrinsic = np.maximum(right * (carried.shares - carried.cash), 0.0)
        filled[0][:] = intrinsic + np.sqrt(carried.shares * carried.cash) * normalised


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
