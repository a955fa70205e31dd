"""Greeks of American options on a share that pays discrete cash dividends."""

from dataclasses import replace
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mahler_pipelines.options import european
from mahler_pipelines.options.american_terms import (
    DividendModel,
    Terms,
    value_without_volatility,
)
from mahler_pipelines.options.black_scholes.black import Floats
from mahler_pipelines.options.cash_dividends.exercise import (
    AtSpot,
    at_spot,
    blocks,
    check_diffusing,
    diffusing,
)
from mahler_pipelines.options.cash_dividends.grid import Grid, grid_around
from mahler_pipelines.options.dividends import DividendSchedule, dividend_schedule
from mahler_pipelines.options.european import DAYS_PER_YEAR, Greeks, SecondOrderGreeks

_VOLATILITY_STEP: Final = 0.01
_CURVATURE_STEP: Final = 0.05
_RATE_STEP: Final = 1e-3


def greeks(
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
) -> Greeks:
    """Return the greeks; where exercise now is best they are those of the share.

    Delta and gamma are slopes along the grid, theta is what the Black-Scholes equation leaves
    (time passes and ex-dates come nearer), vega and rho are central differences on one grid.
    Where years or volatility are too small for a grid, those of the European option on the
    escrowed spot stand in. Raises as
    `dividend_exercise.price` does.
    """
    schedule = dividend_schedule(dividends)
    terms = Terms.broadcast(right, spot, strike, years, rate, dividend_yield, volatility).checked()
    flat = terms.flattened()
    check_diffusing(flat, schedule, model)
    found = (column.reshape(terms.years.shape) for column in _greeks_on_grid(flat, schedule, model))
    later = partial(_second_order, flat, terms.years.shape, schedule, model)
    return Greeks(next(found), next(found), next(found), next(found), next(found), later)


def _greeks_on_grid(
    terms: Terms, schedule: DividendSchedule, model: DividendModel
) -> tuple[Floats, ...]:
    """Return delta, gamma, theta per day, vega and rho of contracts of one dimension."""
    standing, exercised = european_greeks(terms, schedule), _certainly_exercised(terms, schedule)
    others = (standing.gamma, standing.theta_per_day, standing.vega, standing.rho)
    found = (
        np.where(exercised, terms.right, standing.delta),
        *(np.where(exercised, 0.0, column) for column in others),
    )
    for which, part in blocks(terms, schedule):
        share = diffusing(part, schedule, model)
        grid = grid_around(part, share, schedule)
        spot = at_spot(part, schedule, model, grid)
        drift = part.carry * part.spot * spot.delta
        spread = 0.5 * np.square(part.volatility * share) * spot.gamma
        theta = np.where(spot.exercised, 0.0, part.rate * spot.value - drift - spread)
        columns = (
            spot.delta,
            spot.gamma,
            theta / DAYS_PER_YEAR,
            *_bumped(part, schedule, model, grid),
        )
        for whole, column in zip(found, columns, strict=True):
            whole[which] = column
    return found


def _bumped(
    terms: Terms, schedule: DividendSchedule, model: DividendModel, grid: Grid
) -> tuple[Floats, Floats]:
    """Return vega and rho per point from prices on one grid, so that its error cancels."""
    step = _VOLATILITY_STEP * terms.volatility

    def value(changed: Terms) -> Floats:
        return at_spot(changed, schedule, model, grid).value

    louder = value(replace(terms, volatility=terms.volatility + step))
    quieter = value(replace(terms, volatility=terms.volatility - step))
    dearer = value(replace(terms, rate=terms.rate + _RATE_STEP))
    cheaper = value(replace(terms, rate=terms.rate - _RATE_STEP))
    vega = (louder - quieter) / (200.0 * step)
    return np.asarray(vega), np.asarray((dearer - cheaper) / (200.0 * _RATE_STEP))


def _certainly_exercised(terms: Terms, schedule: DividendSchedule) -> NDArray[np.bool_]:
    """Return where no wait on the path without volatility brings more than exercise now."""
    with np.errstate(invalid="ignore"):
        now = terms.exercise_value
        return np.asarray((now > 0) & (now >= value_without_volatility(terms, schedule)))


def _second_order(
    terms: Terms, shape: tuple[int, ...], schedule: DividendSchedule, model: DividendModel
) -> SecondOrderGreeks:
    """Return vanna, volga and charm by differences of prices and deltas on one grid."""
    standing, exercised = european_greeks(terms, schedule), _certainly_exercised(terms, schedule)
    columns = (standing.vanna, standing.volga, standing.charm_per_day)
    found = tuple(np.where(exercised, 0.0, column) for column in columns)
    for which, part in blocks(terms, schedule):
        grid = grid_around(part, diffusing(part, schedule, model), schedule)
        for whole, column in zip(found, _cross_slopes(part, schedule, model, grid), strict=True):
            whole[which] = column
    vanna, volga, charm = (column.reshape(shape) for column in found)
    return SecondOrderGreeks(vanna, volga, charm)


def _cross_slopes(
    terms: Terms, schedule: DividendSchedule, model: DividendModel, grid: Grid
) -> tuple[Floats, Floats, Floats]:
    step = _CURVATURE_STEP * terms.volatility
    # Half a day either way, and never past an ex-date or an expiration.
    soonest = min([1.0 / DAYS_PER_YEAR, float(terms.years.min()), *schedule.years.tolist()])
    wait = 0.5 * soonest

    def solved(volatility: Floats, passed: float) -> AtSpot:
        moved = DividendSchedule(schedule.years - passed, schedule.amounts)
        changed = replace(terms, volatility=volatility, years=terms.years - passed)
        return at_spot(changed, moved, model, grid)

    middle = solved(terms.volatility, 0.0)
    louder, quieter = solved(terms.volatility + step, 0.0), solved(terms.volatility - step, 0.0)
    later, sooner = solved(terms.volatility, wait), solved(terms.volatility, -wait)
    vanna = (louder.delta - quieter.delta) / (200.0 * step)
    volga = (louder.value - 2.0 * middle.value + quieter.value) / np.square(100.0 * step)
    charm = (later.delta - sooner.delta) / (2.0 * wait * DAYS_PER_YEAR)
    return np.asarray(vanna), np.asarray(volga), np.asarray(charm)


def european_greeks(terms: Terms, schedule: DividendSchedule) -> Greeks:
    """Return the greeks of European options on the escrowed spot, without its own growth."""
    left = np.maximum(terms.spot - terms.held_back(schedule), np.finfo(np.float64).tiny)
    return european.greeks(
        right=terms.right,
        spot=np.where(np.isfinite(left), left, np.nan),
        strike=terms.strike,
        years=terms.years,
        rate=terms.rate,
        dividend_yield=terms.dividend_yield,
        volatility=terms.volatility,
    )
