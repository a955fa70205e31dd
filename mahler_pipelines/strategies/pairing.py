"""Pairs of a chain: counted by arithmetic, built only where both legs are fit.

Legs of one group (underlying, root, expiration, right) are ordered from the furthest in the money
to the furthest out, so the longs of a short are the legs after it, and a group of n legs has
n(n-1)/2 pairs. A pair takes the code of its short leg, else of its long leg, else of a pair gate.
The first two need no pair to be built: a refused short takes all legs after it with it, a refused
long takes all fit shorts before it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mahler_pipelines.strategies.first_failures import CODE_INDEX, PASSED, BoolColumn, FloatColumn

IntColumn = NDArray[np.int64]
CODE_SLOTS = len(CODE_INDEX) + 1


@dataclass(frozen=True, slots=True, eq=False)
class LegGroups:
    """Groups of consecutive legs: the group of each leg, and where each group starts and ends."""

    of_leg: IntColumn
    start: IntColumn
    end: IntColumn

    @classmethod
    def from_keys(cls, *keys: IntColumn) -> "LegGroups":
        """Group consecutive legs of equal keys; the keys are sorted already."""
        rows = keys[0].size
        first = np.ones(rows, bool)
        first[1:] = False
        for key in keys:
            first[1:] |= key[1:] != key[:-1]
        start = np.flatnonzero(first).astype(np.int64)
        end = np.append(start[1:], rows).astype(np.int64)[: start.size]
        return cls(np.cumsum(first) - 1, start, end)

    @property
    def sizes(self) -> IntColumn:
        """Legs of each group."""
        return self.end - self.start

    @property
    def pairs(self) -> IntColumn:
        """Pairs of each group: n(n-1)/2."""
        return self.sizes * (self.sizes - 1) // 2


def refused_by_leg(groups: LegGroups, short_code: IntColumn, long_code: IntColumn) -> IntColumn:
    """Count the pairs that fall with a leg, per group (rows) and code index (columns).

    `short_code` and `long_code` are the first failing gate of each leg in either role.
    """
    legs = groups.of_leg.size
    longs_after = groups.end[groups.of_leg] - np.arange(legs) - 1
    fit_short = (short_code == PASSED).astype(np.int64)
    fit_before = np.concatenate([[0], np.cumsum(fit_short)])
    shorts_before = fit_before[:-1] - fit_before[groups.start[groups.of_leg]]
    by_short = _tally(groups, short_code, longs_after)
    by_long = _tally(groups, long_code, shorts_before)
    return by_short + by_long


def refused_by_pair_gate(groups: LegGroups, shorts: IntColumn, code: IntColumn) -> IntColumn:
    """Count built pairs by the pair gate that refused them, per group and code index."""
    return _count(groups, groups.of_leg[shorts], code, np.ones(code.size))


def fit_pairs(
    groups: LegGroups, fit_short: BoolColumn, fit_long: BoolColumn
) -> tuple[IntColumn, IntColumn]:
    """Return positions of short and long of every pair whose legs are both fit.

    A leg that is fit as a short must be fit as a long too.
    """
    fit = np.flatnonzero(fit_long)
    end = np.searchsorted(groups.of_leg[fit], groups.of_leg[fit], side="right")
    shorts = np.flatnonzero(fit_short[fit])
    longs_of_short = end[shorts] - shorts - 1
    repeated = np.repeat(shorts, longs_of_short)
    before = np.repeat(np.cumsum(longs_of_short) - longs_of_short, longs_of_short)
    longs = repeated + 1 + np.arange(repeated.size) - before
    return fit[repeated], fit[longs]


def _tally(groups: LegGroups, code: IntColumn, pairs: IntColumn) -> IntColumn:
    return _count(groups, groups.of_leg, code, pairs.astype(np.float64))


def _count(groups: LegGroups, group: IntColumn, code: IntColumn, weights: FloatColumn) -> IntColumn:
    refused = code != PASSED
    counts = np.bincount(
        group[refused] * CODE_SLOTS + code[refused],
        weights=weights[refused],
        minlength=groups.start.size * CODE_SLOTS,
    )
    return counts.astype(np.int64).reshape(-1, CODE_SLOTS)
