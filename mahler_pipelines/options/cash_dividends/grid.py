"""Levels of a share on which American values are found, and the values read between them.

Grids are even in the logarithm of what diffuses. That of a put rises and that of a call falls: row
0 is always deepest in the money, where exercise begins. A column is a contract.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from mahler_pipelines.options.american_terms import Terms
from mahler_pipelines.options.black_scholes.black import Floats
from mahler_pipelines.options.dividends import DividendSchedule

CELLS: Final = 140
"""Cells of the coarser of two grids; the finer one halves them, and every time step."""
_REACH: Final = 4.0
_LOWEST_SHARE: Final = 0.02


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """Levels of the diffusing share, one column per contract: log of row 0, and signed step."""

    origin: Floats
    step: Floats
    cells: int = CELLS

    def finer(self) -> "Grid":
        """Return the grid with a node added in the middle of every cell."""
        return Grid(self.origin, 0.5 * self.step, 2 * self.cells)

    def levels(self) -> Floats:
        """Return the shares on the nodes, rows by contracts."""
        rows = np.arange(self.cells + 1, dtype=np.float64)[:, None]
        return np.asarray(np.exp(self.origin + rows * self.step))

    def rows_of(self, share: Floats) -> Floats:
        """Return where shares (broadcast over contracts) are, in rows; infinite for zero."""
        with np.errstate(divide="ignore"):
            return np.asarray((np.log(share) - self.origin) / self.step)


def grid_around(
    terms: Terms, diffusing: Floats, schedule: DividendSchedule, *, deeper: Floats | float = 0.0
) -> Grid:
    """Lay the coarse grid where the share may go, with the strike on a node.

    It spans four standard deviations about the way from now to expiration, dividends included, and
    `deeper` log units more on the side where exercise begins.
    """
    after_dividends = np.maximum(terms.spot - terms.held_back(schedule), _LOWEST_SHARE * terms.spot)
    drift = terms.carry * terms.years
    reach = _REACH * terms.total_volatility
    put = terms.right < 0
    low = np.log(np.minimum(diffusing, after_dividends)) - reach + np.minimum(drift, 0.0)
    high = np.log(diffusing) + reach + np.maximum(drift, 0.0)
    low, high = low - np.where(put, deeper, 0.0), high + np.where(put, 0.0, deeper)
    cell = (high - low) / CELLS
    log_strike = np.log(terms.strike)
    low = log_strike - np.round((log_strike - low) / cell) * cell
    return Grid(np.where(put, low, low + CELLS * cell), np.where(put, cell, -cell))


@dataclass(frozen=True, slots=True, eq=False)
class Sheet:
    """Contracts side by side on their grids: what is looked up at every step.

    `levels` are the diffusing shares, `base` what exercise pays on them alone, `exercise` what it
    pays at the moment the induction has come to; all rows by contracts.
    """

    terms: Terms
    grid: Grid
    levels: Floats
    base: Floats
    exercise: Floats

    @classmethod
    def of(cls, terms: Terms, grid: Grid) -> "Sheet":
        """Lay out contracts at their expiration."""
        levels = grid.levels()
        base = terms.right * (levels - terms.strike)
        return cls(terms, grid, levels, base, base.copy())

    def leading(self, count: int) -> "Sheet":
        """Return the first contracts; the arrays stay shared."""
        first = slice(0, count)
        grid = Grid(self.grid.origin[first], self.grid.step[first], self.grid.cells)
        tables = (table[:, first] for table in (self.levels, self.base, self.exercise))
        return Sheet(self.terms.at(first), grid, *tables)


def values_at(values: Floats, grid: Grid, levels: Floats, share: Floats) -> Floats:
    """Read values (rows by contracts) at shares (any rows by contracts), cubic in the logarithm.

    Outside the grid they are linear in the share.
    """
    position = grid.rows_of(share)
    inside = np.clip(position, 0.0, grid.cells)
    row = np.clip(np.floor(inside).astype(np.intp), 1, grid.cells - 2)
    t = inside - row
    flat, start = values.ravel(), row * values.shape[1] + np.arange(values.shape[1])
    left, here, right, far = (flat.take(start + k * values.shape[1]) for k in (-1, 0, 1, 2))
    bend = (2.0 - t) * left + 3.0 * (t - 1.0) * here - 3.0 * t * right + (t + 1.0) * far
    result = here + t * (right - here) + t * (t - 1.0) * bend / 6.0
    for outside, first, second in ((position < 0, 0, 1), (position > grid.cells, -2, -1)):
        slope = (values[second] - values[first]) / (levels[second] - levels[first])
        result = np.where(outside, values[first] + slope * (share - levels[first]), result)
    return np.asarray(result)
