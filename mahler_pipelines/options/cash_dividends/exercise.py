"""American options on a share that pays discrete cash dividends: price and boundary.

Every function broadcasts its keyword arguments as float64; years are ACT/365, rates and yields
continuous, volatility annual, all as fractions. `dividends` are (years, amount) pairs as in
`options.dividends`, the same for every contract of a call; the yield comes on top. Values are
solved on two grids, of which one halves the other in the share and in time, and extrapolated
(L. Richardson: the scheme is of second order, so that a third of the difference is left).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mahler_pipelines.errors import BadInput
from mahler_pipelines.options import european
from mahler_pipelines.options.american_terms import (
    DividendModel,
    Terms,
    value_without_volatility,
)
from mahler_pipelines.options.black_scholes.black import Floats
from mahler_pipelines.options.cash_dividends.grid import Grid, grid_around, values_at
from mahler_pipelines.options.cash_dividends.induction import Induction, by_dividends
from mahler_pipelines.options.dividends import DividendSchedule, dividend_schedule

_BLOCK: Final = 2048
_QUIET: Final = 1e-6
_ROOT_ROWS: Final = (2, 5, 8)


def price(
    *,
    right: ArrayLike,
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    rate: ArrayLike,
    dividend_yield: ArrayLike,
    volatility: ArrayLike,
    dividends: ArrayLike | DividendSchedule,
    model: DividendModel = DividendModel.ESCROWED,
) -> Floats:
    """Return the price per share; NaN in gives NaN out.

    Without volatility it is the value of the best exercise on the way that is certain. Raises
    `BadInput` for a right other than +1 and -1, a spot or strike that is not positive, negative
    years or a negative volatility, where there are two exercise boundaries (a put with
    yield < rate < 0, a call with rate < yield < 0), dividends that are not (years, amount) pairs,
    and in the escrowed model a spot that is not above the present value of the dividends.
    """
    schedule = dividend_schedule(dividends)
    terms = Terms.broadcast(right, spot, strike, years, rate, dividend_yield, volatility).checked()
    flat = terms.flattened()
    check_diffusing(flat, schedule, model)
    return values(flat, schedule, model).reshape(terms.years.shape)


def exercise_boundary(
    *,
    right: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    rate: ArrayLike,
    dividend_yield: ArrayLike,
    volatility: ArrayLike,
    dividends: ArrayLike | DividendSchedule,
    model: DividendModel = DividendModel.ESCROWED,
) -> Floats:
    """Return the spot from which on exercise now is best (upwards for a call, downwards for a put).

    NaN where waiting is better at every spot within reach of the strike before expiration; the
    strike at expiration. Raises as `price` does.
    """
    schedule = dividend_schedule(dividends)
    terms = Terms.broadcast(
        right, strike, strike, years, rate, dividend_yield, volatility
    ).checked()
    flat = terms.flattened()
    check_diffusing(flat, schedule, model)
    boundary = np.where(flat.years == 0, flat.strike, np.nan)
    for which, part in blocks(flat, schedule):
        boundary[which] = _critical_spot(part, schedule, model)
    return boundary.reshape(terms.years.shape)


def check_diffusing(terms: Terms, schedule: DividendSchedule, model: DividendModel) -> None:
    """Raise `BadInput` where nothing of the share is left to diffuse."""
    gone = diffusing(terms, schedule, model) <= 0
    if gone.any():
        raise BadInput(
            "spot", float(terms.spot[gone][0]), "is not above the present value of its dividends"
        )


def diffusing(terms: Terms, schedule: DividendSchedule, model: DividendModel) -> Floats:
    """Return the part of the spot that is lognormal."""
    if model is DividendModel.SPOT:
        return terms.spot
    return np.asarray(terms.spot - terms.held_back(schedule))


def values(
    terms: Terms, schedule: DividendSchedule, model: DividendModel, *, roughly: bool = False
) -> Floats:
    """Return the price of contracts of one dimension whose inputs were checked.

    With `roughly` only the coarser grid is solved, in a fifth of the time: good to some cents.
    """
    result = np.full(terms.years.shape, np.nan)
    finite = terms.finite
    result[finite] = value_without_volatility(terms.at(finite), schedule)
    for which, part in blocks(terms, schedule):
        share = diffusing(part, schedule, model)
        grid = grid_around(part, share, schedule)
        if roughly:
            found, exercise = Induction(schedule, model, 1).values(part, grid)
            excess = values_at(found - exercise, grid, grid.levels(), share[None, :])[0]
            result[which] = part.right * (part.spot - part.strike) + excess
        else:
            result[which] = at_spot(part, schedule, model, grid).value
    return result


@dataclass(frozen=True, slots=True, eq=False)
class AtSpot:
    """Value, delta and gamma in the whole spot, and where exercise now is best."""

    value: Floats
    delta: Floats
    gamma: Floats
    exercised: NDArray[np.bool_]


def blocks(terms: Terms, schedule: DividendSchedule) -> Iterator[tuple[NDArray[np.intp], Terms]]:
    """Yield contracts that a grid can hold, in the order and the number that suit it."""
    usable = np.flatnonzero(terms.finite & (np.nan_to_num(terms.total_volatility) > _QUIET))
    ordered = usable[by_dividends(terms.at(usable), schedule)]
    for start in range(0, ordered.size, _BLOCK):
        which = ordered[start : start + _BLOCK]
        yield which, terms.at(which)


def at_spot(terms: Terms, schedule: DividendSchedule, model: DividendModel, grid: Grid) -> AtSpot:
    """Solve on the grid and on a finer one, and extrapolate what the spot sees."""
    share = diffusing(terms, schedule, model)
    coarse = _slopes_at(Induction(schedule, model, 1), terms, grid, share)
    fine = _slopes_at(Induction(schedule, model, 2), terms, grid.finer(), share)
    exercised = fine[0] <= 0
    excess, first, second = (
        np.where(exercised, 0.0, f + (f - c) / 3.0) for f, c in zip(fine, coarse, strict=True)
    )
    now = terms.right * (terms.spot - terms.strike)
    value = np.maximum(now + excess, terms.exercise_value)
    if model is DividendModel.ESCROWED:
        value = np.maximum(value, _european(terms, share))
    return AtSpot(
        value=np.asarray(value),
        delta=np.asarray(terms.right + first / share),
        gamma=np.asarray((second - first) / np.square(share)),
        exercised=exercised,
    )


def _european(terms: Terms, share: Floats) -> Floats:
    return european.price(
        right=terms.right,
        spot=share,
        strike=terms.strike,
        years=terms.years,
        rate=terms.rate,
        dividend_yield=terms.dividend_yield,
        volatility=terms.volatility,
    )


def _slopes_at(
    induction: Induction, terms: Terms, grid: Grid, share: Floats
) -> tuple[Floats, Floats, Floats]:
    """Return what waiting is worth above exercise, and its two slopes in the log of the share."""
    values_now, exercise = induction.values(terms, grid)
    excess, levels = values_now - exercise, grid.levels()
    first, second = np.zeros_like(excess), np.zeros_like(excess)
    first[1:-1] = (excess[2:] - excess[:-2]) / (2.0 * grid.step)
    second[1:-1] = (excess[2:] - 2.0 * excess[1:-1] + excess[:-2]) / np.square(grid.step)
    where = share[None, :]
    read = (values_at(column, grid, levels, where)[0] for column in (excess, first, second))
    return next(read), next(read), next(read)


def _critical_spot(terms: Terms, schedule: DividendSchedule, model: DividendModel) -> Floats:
    """Return the boundary on a fine grid about the strike, refined between nodes.

    The value leaves exercise like a parabola (smooth pasting), so that its root is nearly straight.
    """
    with np.errstate(all="ignore"):
        balance = np.abs(np.log(terms.rate / terms.dividend_yield))
    deeper = np.where(np.isfinite(balance), np.minimum(balance, 2.0), 0.0)
    share = diffusing(terms, schedule, model)
    grid = grid_around(terms, share, schedule, deeper=deeper).finer()
    values_now, exercise = Induction(schedule, model, 2).values(terms, grid)
    root = np.sqrt(np.maximum(values_now - exercise, 0.0))
    waiting = np.maximum(np.argmax(root > 0, axis=0), 1)
    rows = np.minimum(waiting + np.array(_ROOT_ROWS)[:, None], grid.cells)
    u, v, w = root[rows, np.arange(waiting.size)]
    with np.errstate(all="ignore"):
        # The place as a polynomial of the root, at a root of zero (Lagrange).
        place = rows[0] * v * w / ((u - v) * (u - w)) + rows[1] * u * w / ((v - u) * (v - w))
        place += rows[2] * u * v / ((w - u) * (w - v))
    place = np.clip(np.nan_to_num(place), waiting - 2.0, waiting + 1.0)
    critical = np.exp(grid.origin + place * grid.step)
    whole = critical + (terms.spot - share)
    never = (root[0] > 0) | (root[1] > 0) | (waiting >= grid.cells)
    return np.where(never, np.nan, whole)
