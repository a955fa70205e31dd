"""The Mills ratio Y(z) = N(z)/n(z) from a table, for whole arrays in a few passes.

Y' = 1 + zY gives every derivative from the value, so that four terms of Taylor's series about the
nearest of the nodes, 1/1024 apart, reach the last digit. A volatility is found from the difference
Y(h+t) - Y(h-t), in which options of few days lose their digits. Here they are kept: a node holds
its value in two parts, value + rest, the rest from increments summed exactly, and the distance to a
node is taken as (h - node) + t.
"""

from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mahler_pipelines.options.black_scholes.black import mills, mills_difference

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

_LOWEST: Final = -15.5
_HIGHEST: Final = 3.5
_SMALLEST_HALF: Final = 1e-4
_PER_UNIT: Final = 1024
_FIRST: Final = -16 * _PER_UNIT
_LAST: Final = 4 * _PER_UNIT
_FIXED_POINT: Final = 2.0**100


@dataclass(frozen=True, slots=True, eq=False)
class MillsTable:
    """Y at the nodes, and what is missing there in float64."""

    value: Floats
    rest: Floats


@cache
def mills_table() -> MillsTable:
    """Compute the table (some milliseconds, once per process).

    The increments between nodes are right to the last digit each, and integers sum them exactly.
    """
    nodes = np.arange(_FIRST, _LAST + 1) / _PER_UNIT
    value = mills(nodes)
    half = np.full(nodes.size - 1, 0.5 / _PER_UNIT)
    steps = (mills_difference(nodes[:-1] + half, half) * _FIXED_POINT).tolist()
    sums = accumulate((int(step) for step in steps), initial=int(float(value[0]) * _FIXED_POINT))
    rounded = (value * _FIXED_POINT).tolist()
    rest = [exact - int(near) for exact, near in zip(sums, rounded, strict=True)]
    return MillsTable(value, np.array(rest, dtype=np.float64) / _FIXED_POINT)


def beyond_table(h: Floats, t: Floats) -> Flags | None:
    """Tell the rows in which h - t or h + t (t > 0) is off the table; None where there are none.

    So are a t too small to have its digits in a difference, and NaN.
    """
    low, high = h - t, h + t
    # A minimum or maximum is NaN where any row is, and then nothing compares.
    if low.min() >= _LOWEST and high.max() <= _HIGHEST and t.min() >= _SMALLEST_HALF:
        return None
    return ~((low >= _LOWEST) & (high <= _HIGHEST) & (t >= _SMALLEST_HALF))


def table_difference(table: MillsTable, h: Floats, t: Floats) -> Floats:
    """Return Y(h+t) - Y(h-t) for t > 0; nonsense beyond the table."""
    index, upper, above = _expand(table, h, t)
    above += table.rest.take(index, mode="clip")
    index, lower, below = _expand(table, h, -t)
    below += table.rest.take(index, mode="clip")
    upper -= lower
    above -= below
    upper += above
    return upper


def table_mills(table: MillsTable, h: Floats, t: Floats) -> Floats:
    """Return Y(h+t); nonsense beyond the table."""
    _, value, correction = _expand(table, h, t)
    value += correction
    return value


def _expand(table: MillsTable, h: Floats, t: Floats) -> tuple[NDArray[np.intp], Floats, Floats]:
    # The c are Y's derivatives over factorials: c(n+1) = (z c(n) + c(n-1)) / (n+1).
    nearest = np.rint((h + t) * _PER_UNIT)
    index = (nearest - _FIRST).astype(np.intp)
    z = nearest * (1.0 / _PER_UNIT)
    distance = (h - z) + t
    value = table.value.take(index, mode="clip")
    c1 = z * value + 1.0
    c2 = (z * c1 + value) * 0.5
    c3 = (z * c2 + c1) * (1.0 / 3.0)
    series = (z * c3 + c2) * 0.25
    for coefficient in (c3, c2, c1):
        series *= distance
        series += coefficient
    series *= distance
    return index, value, series
