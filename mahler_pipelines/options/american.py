"""American options on a share with a continuous yield and cash dividends.

Without dividends: the European price plus the premium of `options.early_exercise`. With `dividends`
(a schedule as in `options.dividends`, the same for all contracts of a call): the grids of
`options.cash_dividends`, in the model that `model` names. Every function broadcasts its keyword
arguments as float64; years are ACT/365, rates and yields continuous, volatility annual, all as
fractions. Large arrays are worked on in blocks by two threads; `threads` says how many instead.
"""

from typing import Any, Final, Literal, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mahler_pipelines.options.american_terms import DividendModel, Terms
from mahler_pipelines.options.black_scholes.carried import check_right
from mahler_pipelines.options.black_scholes.greeks import Greeks
from mahler_pipelines.options.black_scholes.implied import NoVolatility
from mahler_pipelines.options.blocks import Columns, flatten, in_blocks
from mahler_pipelines.options.cash_dividends import exercise as dividend_exercise
from mahler_pipelines.options.cash_dividends import greeks as dividend_greeks
from mahler_pipelines.options.cash_dividends import implied as dividend_implied
from mahler_pipelines.options.dividends import DividendSchedule, dividend_schedule
from mahler_pipelines.options.early_exercise import values as american_values
from mahler_pipelines.options.early_exercise.implied import fill_volatilities

__all__ = [
    "DividendModel",
    "Greeks",
    "NoVolatility",
    "exercise_boundary",
    "greeks",
    "implied_volatility",
    "price",
    "price_and_vega",
]

Floats = NDArray[np.float64]

_ESCROWED: Final = DividendModel.ESCROWED


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
    model: DividendModel = _ESCROWED,
    threads: int | None = None,
) -> Floats:
    """Return the price per share; NaN in gives NaN out.

    Without volatility or time it is the value of the best exercise that is certain. Raises
    `BadInput` for a right other than +1 and -1, a spot or strike that is not positive, negative
    years or a negative volatility, and where both rates are negative in such an order that there
    are two exercise boundaries (a put with yield < rate < 0, a call with rate < yield < 0).
    """
    terms = (right, spot, strike, years, rate, dividend_yield, volatility)
    schedule = _felt(dividends, years)
    if len(schedule):
        return dividend_exercise.price(**_named(terms), dividends=schedule, model=model)
    columns, shape = _checked(terms)
    found = np.empty(int(np.prod(shape)))
    in_blocks(american_values.fill_prices, columns, (found,), threads=threads)
    return found.reshape(shape)


def price_and_vega(
    *,
    right: ArrayLike,
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    rate: ArrayLike,
    dividend_yield: ArrayLike,
    volatility: ArrayLike,
    threads: int | None = None,
) -> tuple[Floats, Floats]:
    """Return the price, and the vega in dollars per point, in little more time than the price.

    For solvers that take steps in volatility. Raises as `price` does.
    """
    terms = (right, spot, strike, years, rate, dividend_yield, volatility)
    columns, shape = _checked(terms)
    found, vega = np.empty((2, int(np.prod(shape))))
    in_blocks(american_values.fill_prices, columns, (found, vega), threads=threads)
    return found.reshape(shape), vega.reshape(shape)


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
    model: DividendModel = _ESCROWED,
    threads: int | None = None,
) -> Greeks:
    """Return the greeks; where exercise now is best they are those of the share.

    Raises as `price` does.
    """
    terms = (right, spot, strike, years, rate, dividend_yield, volatility)
    schedule = _felt(dividends, years)
    if len(schedule):
        return dividend_greeks.greeks(**_named(terms), dividends=schedule, model=model)
    columns, shape = _checked(terms)
    return american_values.greeks_of(columns, shape, threads=threads)


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
    model: DividendModel = _ESCROWED,
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
    model: DividendModel = _ESCROWED,
    threads: int | None = None,
) -> tuple[Floats, NDArray[np.int8]]: ...


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
    with_reason: bool,
    dividends: ArrayLike | DividendSchedule = (),
    model: DividendModel = _ESCROWED,
    threads: int | None = None,
) -> Floats | tuple[Floats, NDArray[np.int8]]: ...


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
    model: DividendModel = _ESCROWED,
    threads: int | None = None,
) -> Floats | tuple[Floats, NDArray[np.int8]]:
    """Invert the American price; annualised volatility as a fraction, NaN where there is none.

    With `with_reason` also returns an int8 array of `NoVolatility` codes, 0 exactly where the
    volatility is a number. A price at or below what exercise is worth without any volatility has
    none (BELOW_INTRINSIC). Raises `BadInput` for a right other than +1 and -1.
    """
    terms = (right, price, spot, strike, years, rate, dividend_yield)
    schedule = _felt(dividends, years)
    if len(schedule):
        names = ("right", "price", "spot", "strike", "years", "rate", "dividend_yield")
        return dividend_implied.implied_volatility(
            **dict(zip(names, terms, strict=True)),
            dividends=schedule,
            model=model,
            with_reason=with_reason,
        )
    columns, shape = flatten(*terms)
    check_right(columns[0])
    volatility = np.empty(int(np.prod(shape)))
    reason = np.zeros(volatility.size, dtype=np.int8)
    in_blocks(fill_volatilities, columns, (volatility, reason), threads=threads)
    volatility, reason = volatility.reshape(shape), reason.reshape(shape)
    return (volatility, reason) if with_reason else volatility


def exercise_boundary(
    *,
    right: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    rate: ArrayLike,
    dividend_yield: ArrayLike,
    volatility: ArrayLike,
    spot: ArrayLike | None = None,
    dividends: ArrayLike | DividendSchedule = (),
    model: DividendModel = _ESCROWED,
) -> Floats:
    """Return the spot at which exercise now becomes best: at or below for a put, above for a call.

    Zero for a put and infinite for a call that no spot makes worth exercising now; the strike at
    expiration. `spot` takes part in broadcasting only, so that one set of terms does for all
    functions. Raises as `price` does.
    """
    around = strike if spot is None else np.broadcast_arrays(strike, spot)[0]
    terms = (right, strike, around, years, rate, dividend_yield, volatility)
    schedule = _felt(dividends, years)
    if len(schedule):
        named = _named(terms)
        named.pop("spot")
        found = dividend_exercise.exercise_boundary(**named, dividends=schedule, model=model)
        right, *others = np.broadcast_arrays(*(np.asarray(term, np.float64) for term in terms))
        known = np.isfinite(others).all(axis=0)
        return np.where(np.isnan(found) & known, np.where(right < 0, 0.0, np.inf), found)
    columns, shape = _checked(terms)
    boundary = np.empty(int(np.prod(shape)))
    in_blocks(american_values.fill_boundaries, columns, (boundary,), threads=None)
    return boundary.reshape(shape)


def _felt(dividends: ArrayLike | DividendSchedule, years: ArrayLike) -> DividendSchedule:
    """Return the schedule, empty when no contract lives to its first ex-date."""
    schedule = dividend_schedule(dividends)
    term = np.asarray(years, dtype=np.float64)
    if len(schedule) and not (term >= schedule.years[0]).any():
        return dividend_schedule(())
    return schedule


def _named(terms: tuple[ArrayLike, ...]) -> dict[str, Any]:
    names = ("right", "spot", "strike", "years", "rate", "dividend_yield", "volatility")
    return dict(zip(names, terms, strict=True))


def _checked(terms: tuple[ArrayLike, ...]) -> tuple[Columns, tuple[int, ...]]:
    columns, shape = flatten(*terms)
    Terms.broadcast(*columns).checked()
    return columns, shape
