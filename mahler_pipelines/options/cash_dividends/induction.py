"""Backward induction of American values through discrete cash dividends.

Between ex-dates the Black-Scholes equation is stepped on a grid, all contracts side by side. On an
ex-date the value just before is V(S - D) just after, or exercise if that is worth more (M.
Vellekoop, J. Nieuwenhuis, "Efficient Pricing of Derivatives on Assets with Discrete Dividends",
Applied Mathematical Finance 13, 2006). In the escrowed model V doesn't move and only the exercise
value does.
"""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mahler_pipelines.options import european
from mahler_pipelines.options.american_terms import DividendModel, Terms
from mahler_pipelines.options.black_scholes.black import Floats
from mahler_pipelines.options.cash_dividends.brennan_schwartz import System, linear_ends, solve
from mahler_pipelines.options.cash_dividends.grid import Grid, Sheet, values_at
from mahler_pipelines.options.dividends import DividendSchedule

_STEPS: Final = 32
_FEWEST_STEPS: Final = 6
_KINK_AT_NODE: Final = 1.0 / 12.0


class Induction:
    """Values of contracts from their expirations back to now, through the dividends of each.

    Contracts come in the order of `by_dividends`, so that those that an ex-date concerns lead.
    `fineness` multiplies the number of time steps.
    """

    def __init__(self, schedule: DividendSchedule, model: DividendModel, fineness: int) -> None:
        self._ahead, self._amounts = schedule.years.tolist(), schedule.amounts.tolist()
        self._schedule, self._model, self._fineness = schedule, model, fineness

    def values(self, terms: Terms, grid: Grid) -> tuple[Floats, Floats]:
        """Return the American values now and the exercise values, rows by contracts."""
        sheet = Sheet.of(terms, grid)
        counts = dividends_before(terms, self._schedule)
        last_ex_date = np.append(0.0, self._schedule.years)[counts]
        values = self._last_period(sheet, last_ex_date)
        for number in range(int(counts.max(initial=0)), 0, -1):
            concerned = int(np.count_nonzero(counts >= number))
            part = sheet.leading(concerned)
            paid = self._before_ex_date(part, values[:, :concerned], number - 1)
            end = np.full(concerned, self._ahead[number - 1])
            start = np.full(concerned, self._ahead[number - 2] if number > 1 else 0.0)
            steps = self._steps_to(number - 1)
            values[:, :concerned] = self._between_dates(part, paid, start, end, number - 1, steps)
        return values, sheet.exercise

    def _last_period(self, sheet: Sheet, start: Floats) -> Floats:
        """Step to the last ex-dates; the European value's error, known there, is taken off."""
        terms = sheet.terms
        payoff = np.maximum(sheet.base, 0.0)
        both = np.concatenate([payoff, payoff], axis=1)
        steps, after_all = self._fineness * _STEPS, len(self._ahead)
        both = self._between_dates(sheet, both, start, terms.years, after_all, steps)
        american, on_grid = np.split(both, 2, axis=1)
        exact = european.price(
            right=terms.right,
            spot=sheet.levels,
            strike=terms.strike,
            years=np.maximum(terms.years - start, 0.0),
            rate=terms.rate,
            dividend_yield=terms.dividend_yield,
            volatility=terms.volatility,
        )
        better = np.maximum(american - on_grid + exact, sheet.exercise)
        return np.where(american <= sheet.exercise, sheet.exercise, better)

    def _between_dates(
        self, sheet: Sheet, values: Floats, start: Floats, end: Floats, later: int, steps: int
    ) -> Floats:
        """Step from `end` back to `start`, in steps that grow with distance from `end`.

        The columns of the sheet may be exercised; a second set beside them may not. Distances are
        (k/n)^2 of the period (P. Forsyth, K. Vetzal, SIAM J. Sci. Comput. 23, 2002, on why steps
        must be small behind a kink).
        """
        copies = values.shape[1] // sheet.levels.shape[1]
        before: Floats | None = None
        for step in range(1, steps + 1):
            length = (end - start) * ((2 * step - 1) / steps**2)
            self._exercise_at(sheet, end - (end - start) * (step / steps) ** 2, later)
            growth = (2 * step - 1) / (2 * step - 3) if before is not None else 0.0
            system = System.of(sheet, length, growth, copies)
            ends = linear_ends(sheet, values, length, copies)
            known = system.known(values, before)
            solve(system, known, ends, sheet.exercise)
            before, values = values, known
        return values

    def _steps_to(self, dividend: int) -> int:
        """Return the steps of the period before an ex-date, by its share of the time to it.

        It depends on the schedule alone, so that a price doesn't depend on its company in a call.
        """
        last = self._ahead[dividend - 1] if dividend else 0.0
        share = 1.0 - last / self._ahead[dividend]
        return max(_FEWEST_STEPS, round(_STEPS * math.sqrt(share))) * self._fineness

    def _exercise_at(self, sheet: Sheet, moment: Floats, later: int) -> None:
        """Set the exercise values at a moment that dividends from number `later` on still follow.

        In the escrowed model exercise brings the diffusing part and the dividends still to come.
        """
        if self._model is DividendModel.SPOT:
            return
        terms = sheet.terms
        still = np.zeros_like(terms.years)
        for ahead, amount in zip(self._ahead[later:], self._amounts[later:], strict=True):
            worth = amount * np.exp(-terms.carry * (ahead - moment))
            still += np.where(ahead <= terms.years, worth, 0.0)
        np.add(sheet.base, terms.right * still, out=sheet.exercise)

    def _before_ex_date(self, sheet: Sheet, values: Floats, dividend: int) -> Floats:
        """Return the values just before an ex-date from those just after."""
        held = values
        if self._model is DividendModel.SPOT:
            fallen = np.maximum(sheet.levels - self._amounts[dividend], 0.0)
            held = values_at(values - sheet.base, sheet.grid, sheet.levels, fallen)
            held += sheet.terms.right * (fallen - sheet.terms.strike)
        moment = np.full_like(sheet.terms.years, self._ahead[dividend])
        self._exercise_at(sheet, moment, dividend)
        return _better_of(held, sheet.exercise)


def dividends_before(terms: Terms, schedule: DividendSchedule) -> NDArray[np.intp]:
    """Return how many dividends come before each expiration or at it."""
    return np.searchsorted(schedule.years, terms.years, side="right")


def by_dividends(terms: Terms, schedule: DividendSchedule) -> NDArray[np.intp]:
    """Return the order of contracts in which those with more dividends come first."""
    return np.argsort(-dividends_before(terms, schedule), kind="stable")


def _better_of(held: Floats, exercise: Floats) -> Floats:
    """Return the larger, with the kink between two nodes brought to the order of the scheme.

    Sampled on nodes a kink is wrong by an area of its slope times h^2 (1/12 - t(1-t)/2), t its
    place in the cell (the Euler-Maclaurin formula); the two nodes beside it take that up.
    """
    better = np.maximum(held, exercise)
    gain = exercise - held
    crossing = (gain[:-1] > 0) & (gain[1:] <= 0)
    column, contract = np.nonzero(crossing)
    change = gain[column, contract] - gain[column + 1, contract]
    t = gain[column, contract] / change
    area = change * (0.5 * t * (1.0 - t) - _KINK_AT_NODE)
    better[column, contract] -= (1.0 - t) * area
    better[column + 1, contract] -= t * area
    return better
