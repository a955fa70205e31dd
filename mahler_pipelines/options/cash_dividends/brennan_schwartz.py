"""One implicit time step of American values: a tridiagonal system solved with early exercise.

The Black-Scholes equation in the logarithm of the share, by central differences and the two-step
backward differentiation formula. Exercise is enforced inside the solution of the system (M.
Brennan, E. Schwartz, "The Valuation of American Put Options", Journal of Finance 32, 1977; when
this is exact: P. Jaillet, D. Lamberton, B. Lapeyre, Acta Applicandae Mathematicae 21, 1990).
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from mahler_pipelines.options.black_scholes.black import Floats
from mahler_pipelines.options.cash_dividends.grid import Sheet

_FEW: Final = 8


@dataclass(frozen=True, slots=True, eq=False)
class System:
    """One implicit step, factored: (1 - up E)(1 - down E^-1) v = known, E the shift by a row.

    The coefficients don't depend on the row, so that neither do the factors (the Wiener-Hopf form
    of the tridiagonal matrix); they are one number per column.
    """

    up: Floats
    down: Floats
    weight: Floats
    weight_before: Floats | None

    @classmethod
    def of(cls, sheet: Sheet, length: Floats, growth: float, copies: int) -> "System":
        """Return BDF2 where this step is `growth` times the one before, implicit Euler for 0."""
        terms, grid = sheet.terms, sheet.grid
        variance = np.square(terms.volatility)
        convection = 0.5 * (terms.carry - 0.5 * variance) / grid.step
        # Never less diffusion than convection: otherwise values would oscillate.
        diffusion = np.maximum(0.5 * variance / np.square(grid.step), np.abs(convection))
        to_next = length * (diffusion + convection)
        to_last = length * (diffusion - convection)
        own = (1.0 + 2.0 * growth) / (1.0 + growth)
        centre = own + to_next + to_last + terms.rate * length
        pivot = 0.5 * (centre + np.sqrt(np.square(centre) - 4.0 * to_next * to_last))
        before = -growth * growth / (1.0 + growth)
        columns = (to_next / pivot, to_last / pivot, (1.0 + growth) / pivot, before / pivot)
        up, down, weight, weight_before = (_beside(c, copies) for c in columns)
        return cls(up, down, weight, weight_before if growth else None)

    def known(self, values: Floats, before: Floats | None) -> Floats:
        """Return the right-hand side from the values of the last two moments."""
        known = np.asarray(values * self.weight)
        if before is not None and self.weight_before is not None:
            before *= self.weight_before
            known += before
        return known


def linear_ends(
    sheet: Sheet, values: Floats, length: Floats, copies: int
) -> tuple[Floats, Floats, Floats]:
    """Return the new values of rows 0, -2 and -1, where the old ones are linear in the share.

    Cash there is discounted at the rate, the share at the yield; exercise may be worth more.
    """
    terms, levels = sheet.terms, sheet.levels
    american = terms.years.size
    cash, held = np.exp(-terms.rate * length), np.exp(-terms.dividend_yield * length)
    ends = []
    for row, first, second in ((0, 0, 1), (-2, -2, -1), (-1, -2, -1)):
        near, width = _beside(levels[first], copies), levels[second] - levels[first]
        slope = (values[second] - values[first]) / _beside(width, copies)
        at_zero = values[first] - slope * near
        end = at_zero * _beside(cash, copies) + slope * _beside(levels[row] * held, copies)
        np.maximum(end[:american], sheet.exercise[row], out=end[:american])
        ends.append(end)
    return ends[0], ends[1], ends[2]


def _beside(column: Floats, copies: int) -> Floats:
    return column if copies == 1 else np.concatenate([column] * copies)


def solve(
    system: System, known: Floats, ends: tuple[Floats, Floats, Floats], exercise: Floats
) -> None:
    """Turn the right-hand side into the new values, in place (Brennan and Schwartz, 1977)."""
    if known.shape[1] <= _FEW:
        _solve_few(system, known, ends, exercise)
        return
    rows, floors = list(known), list(exercise)
    american = exercise.shape[1]
    scratch = np.empty_like(rows[0])
    first, last_but_one, last = ends
    rows[-1][:] = last - system.down * last_but_one
    for row, following in zip(rows[-2:0:-1], rows[:1:-1], strict=True):
        np.multiply(following, system.up, out=scratch)
        np.add(row, scratch, out=row)
    rows[0][:] = first
    for row, deeper, floor in zip(rows[1:], rows[:-1], floors[1:], strict=True):
        np.multiply(deeper, system.down, out=scratch)
        np.add(row, scratch, out=row)
        np.maximum(row[:american], floor, out=row[:american])


def _solve_few(
    system: System, known: Floats, ends: tuple[Floats, Floats, Floats], exercise: Floats
) -> None:
    """Do what `solve` does in plain numbers: for few columns a row is too short for numpy."""
    never = [-math.inf] * known.shape[0]
    for column in range(known.shape[1]):
        up, down = float(system.up[column]), float(system.down[column])
        first, last_but_one, last = (float(end[column]) for end in ends)
        values = known[:, column].tolist()
        may = column < exercise.shape[1]
        floors = exercise[:, column].tolist() if may else never
        values[-1] = value = last - down * last_but_one
        for row in range(len(values) - 2, 0, -1):
            values[row] = value = values[row] + value * up
        values[0] = value = first
        for row in range(1, len(values)):
            value = values[row] + value * down
            value = max(value, floors[row])
            values[row] = value
        known[:, column] = values
