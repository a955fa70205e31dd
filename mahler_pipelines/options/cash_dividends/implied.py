"""Implied volatility of American options on a share that pays discrete cash dividends."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final, Literal, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mahler_pipelines.options import european
from mahler_pipelines.options.american_terms import (
    DividendModel,
    Terms,
    volatility_reasons,
)
from mahler_pipelines.options.black_scholes.black import Floats
from mahler_pipelines.options.black_scholes.implied import NoVolatility
from mahler_pipelines.options.cash_dividends.exercise import diffusing, values
from mahler_pipelines.options.cash_dividends.greeks import european_greeks
from mahler_pipelines.options.dividends import DividendSchedule, dividend_schedule

_Function = Callable[[NDArray[np.intp], Floats], Floats]

_MOST_TOTAL_VOLATILITY: Final = 6.0
_ROUGH: Final = 1e-4
_EXACT: Final = 1e-8
_NARROWEST: Final = 1e-9
_MOST_ITERATIONS: Final = 60


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
    dividends: ArrayLike | DividendSchedule,
    model: DividendModel = DividendModel.ESCROWED,
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
    dividends: ArrayLike | DividendSchedule,
    model: DividendModel = DividendModel.ESCROWED,
    with_reason: Literal[True],
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
    dividends: ArrayLike | DividendSchedule,
    model: DividendModel = DividendModel.ESCROWED,
    with_reason: bool,
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
    dividends: ArrayLike | DividendSchedule,
    model: DividendModel = DividendModel.ESCROWED,
    with_reason: bool = False,
) -> Floats | tuple[Floats, NDArray[np.int8]]:
    """Invert `dividend_exercise.price`; annualised volatility as a fraction, NaN where none is.

    Arguments broadcast. With `with_reason` also returns an int8 array of `NoVolatility` codes, 0
    exactly where the volatility is a number. A price at or below what exercise is certain to bring
    has none (BELOW_INTRINSIC), nor has one that takes more than 6 / sqrt(years) (ABOVE_MAXIMUM),
    nor one in the escrowed model where dividends eat the spot (NON_POSITIVE_INPUT). Raises
    `BadInput` for a right other than +1 and -1 and for dividends that are not pairs.

    The European volatility of the price starts safeguarded secant steps, first on the coarser grid
    alone, then on both.
    """
    schedule = dividend_schedule(dividends)
    shaped = Terms.broadcast(
        right, spot, strike, years, rate, dividend_yield, np.zeros(np.shape(price))
    )
    paid = np.ravel(np.broadcast_to(np.asarray(price, dtype=np.float64), shaped.years.shape))
    terms = shaped.flattened()
    volatility, reasons = _inverted(terms, paid, schedule, model)
    shape = shaped.years.shape
    if with_reason:
        return volatility.reshape(shape), reasons.reshape(shape)
    return volatility.reshape(shape)


def _inverted(
    terms: Terms, paid: Floats, schedule: DividendSchedule, model: DividendModel
) -> tuple[Floats, NDArray[np.int8]]:
    with np.errstate(all="ignore"):
        moving = diffusing(terms, schedule, model)
    reasons = volatility_reasons(terms, paid, schedule, diffusing=moving)
    good = np.flatnonzero(reasons == NoVolatility.NONE)
    volatility = np.full(paid.shape, np.nan)
    if good.size:
        found = _solve(terms.at(good), paid[good], schedule, model)
        volatility[good] = found
        reasons[good[np.isnan(found)]] = NoVolatility.ABOVE_MAXIMUM
        low = good[found <= _NARROWEST]
        reasons[low], volatility[low] = NoVolatility.BELOW_INTRINSIC, np.nan
    return volatility, reasons


def _solve(terms: Terms, paid: Floats, schedule: DividendSchedule, model: DividendModel) -> Floats:
    """Return volatilities of prices that have one below the largest; NaN where it is above."""

    def miss(which: NDArray[np.intp], volatility: Floats, *, roughly: bool) -> Floats:
        asked = replace(terms.at(which), volatility=volatility)
        return (values(asked, schedule, model, roughly=roughly) - paid[which]) / asked.strike

    ceiling = _MOST_TOTAL_VOLATILITY / np.sqrt(terms.years)
    guess, slope = _european_guess(terms, paid, schedule, ceiling)
    near = _Secant(guess, slope, ceiling)
    near.run(lambda which, at: miss(which, at, roughly=True), _ROUGH)
    exact = _Secant(np.minimum(near.at, 0.99 * ceiling), near.slope, ceiling)
    exact.run(lambda which, at: miss(which, at, roughly=False), _EXACT)
    beyond = exact.at >= ceiling * (1.0 - 1e-6)
    return np.where(beyond, np.nan, exact.at)


def _european_guess(
    terms: Terms, paid: Floats, schedule: DividendSchedule, ceiling: Floats
) -> tuple[Floats, Floats]:
    """Return where the European price is the one paid, and its slope there over the strike."""
    left = np.maximum(terms.spot - terms.held_back(schedule), 0.01 * terms.spot)
    guess = european.implied_volatility(
        right=terms.right,
        price=paid,
        spot=left,
        strike=terms.strike,
        years=terms.years,
        rate=terms.rate,
        dividend_yield=terms.dividend_yield,
    )
    guess = np.where(np.isnan(guess), 0.1 * ceiling, np.minimum(guess, 0.9 * ceiling))
    slope = european_greeks(replace(terms, volatility=guess), schedule).vega / terms.strike
    return guess, np.asarray(100.0 * slope)


class _Secant:
    """Roots of rising functions, element by element, kept between zero and a ceiling.

    A step that leaves the bracket, or a function that is flat (exercise now is best at every
    smaller volatility), is answered by halving.
    """

    def __init__(self, start: Floats, slope: Floats, ceiling: Floats) -> None:
        self.at, self.slope = start.copy(), slope.copy()
        self._low, self._high = np.zeros_like(start), ceiling.copy()

    def run(self, function: _Function, tolerance: float) -> None:
        """Step until each miss is within the tolerance or its bracket is closed."""
        active = np.arange(self.at.size)
        last_at, last_miss = np.full_like(self.at, np.nan), np.full_like(self.at, np.nan)
        for _ in range(_MOST_ITERATIONS):
            at = self.at[active]
            miss = function(active, at)
            above = miss > 0
            self._high[active] = np.where(above, at, self._high[active])
            self._low[active] = np.where(above, self._low[active], at)
            with np.errstate(all="ignore"):
                slope = (miss - last_miss[active]) / (at - last_at[active])
            rising = np.isfinite(slope) & (slope > 0)
            self.slope[active] = np.where(rising, slope, self.slope[active])
            last_at[active], last_miss[active] = at, miss
            low, high = self._low[active], self._high[active]
            open_still = (np.abs(miss) > tolerance) & (high - low > _NARROWEST * high)
            active = active[open_still]
            if not active.size:
                return
            self.at[active] = self._next(active, miss[open_still])

    def _next(self, active: NDArray[np.intp], miss: Floats) -> Floats:
        low, high = self._low[active], self._high[active]
        with np.errstate(all="ignore"):
            proposed = self.at[active] - miss / self.slope[active]
        inside = np.isfinite(proposed) & (proposed > low) & (proposed < high)
        return np.where(inside, proposed, 0.5 * (low + high))
