"""Find, in many groups at once, the two values on either side of a target."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Brackets:
    """Per group: rows of the last value <= target and of the first value above it, -1 if none."""

    below: Indices
    above: Indices


def bracket(*, group: Indices, value: Floats, target: Floats) -> Brackets:
    """Bracket each group's target among its values.

    `group` (codes 0..n-1) and `value` are per row, in any order; `target` is per group (n).
    """
    order = np.lexsort((value, group))
    sizes = np.bincount(group, minlength=target.size)
    starts = np.cumsum(sizes) - sizes
    under = np.bincount(group, weights=value <= target[group], minlength=target.size)
    count = under.astype(np.intp)
    padded = np.append(order, -1)
    below = np.where(count > 0, padded[starts + count - 1], -1)
    above = np.where(count < sizes, padded[starts + count], -1)
    return Brackets(below=below, above=above)


def neighbours(*, group: Indices, value: Floats, target: Floats) -> tuple[Floats, Floats]:
    """Return each group's largest value <= its target and smallest value above it, NaN if none.

    Shapes as in `bracket`; one pass, nothing is sorted.
    """
    under = value <= target[group]
    below = np.full(target.size, -np.inf)
    above = np.full(target.size, np.inf)
    np.maximum.at(below, group[under], value[under])
    np.minimum.at(above, group[~under], value[~under])
    below[np.isneginf(below)] = np.nan
    above[np.isposinf(above)] = np.nan
    return below, above


def mean_at(wanted: Floats, *, group: Indices, value: Floats, of: Floats) -> Floats:
    """Return the mean of `of` over each group's rows whose value is the wanted one, NaN if none."""
    rows = np.flatnonzero(value == wanted[group])
    total = np.bincount(group[rows], weights=of[rows], minlength=wanted.size)
    with np.errstate(invalid="ignore"):
        return np.asarray(total / np.bincount(group[rows], minlength=wanted.size))


def floats(values: ArrayLike) -> Floats:
    """Return a column as a float64 array."""
    return np.asarray(values, dtype=np.float64)


def take(values: Floats, rows: Indices) -> Floats:
    """Return the values at these rows, NaN where a row is -1."""
    return np.where(rows >= 0, np.append(values, np.nan)[rows], np.nan)


def group_median(*, group: Indices, value: Floats, groups: int) -> Floats:
    """Return the median of each group's values, NaN for an empty group."""
    order = np.lexsort((value, group))
    ordered = np.append(value[order], np.nan)
    sizes = np.bincount(group, minlength=groups)
    starts = np.cumsum(sizes) - sizes
    low = np.where(sizes > 0, starts + (sizes - 1) // 2, value.size)
    high = np.where(sizes > 0, starts + sizes // 2, value.size)
    return np.asarray(0.5 * (ordered[low] + ordered[high]))
