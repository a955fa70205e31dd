"""Forward prices that the options themselves imply, and what stands in where they imply none."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mahler_pipelines.market.brackets import Floats, Indices, group_median

NEAREST_PAIRS: Final = 7
"""How many call-put pairs around the forward its estimate rests on, at most."""

_BASIS_LIMIT: Final = 0.05
_BASIS_LIMIT_PER_YEAR: Final = 0.10


class ForwardSource(StrEnum):
    """Where a forward was taken from."""

    PARITY = "parity"
    CARRY = "carry"
    CARRY_WITHOUT_YIELD = "carry_without_yield"


@dataclass(frozen=True, slots=True, eq=False)
class ChainArrays:
    """Option prices of many expirations as flat arrays.

    Per row: `group` (code of the expiration), `right`, `strike`, `price` (NaN where there is none)
    and `usable` (may speak for the forward). Per group: `spot`, `years`, `rate` (continuous),
    `carry_yield` (NaN where unknown) and `american` (may be exercised before expiration).
    """

    group: Indices
    right: Floats
    strike: Floats
    price: Floats
    usable: NDArray[np.bool_]
    spot: Floats
    years: Floats
    rate: Floats
    carry_yield: Floats
    american: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Forwards:
    """Per group: the forward, how many pairs it rests on, and its `ForwardSource` value."""

    forward: Floats
    pairs: Indices
    source: NDArray[np.str_]

    def dividend_yield(self, chain: ChainArrays) -> Floats:
        """Return the continuous yield that each forward implies, r - ln(F/S)/T; NaN at expiry."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(chain.rate - np.log(self.forward / chain.spot) / chain.years)


@dataclass(frozen=True, slots=True, eq=False)
class ParityPairs:
    """Calls and puts of one strike, at most `NEAREST_PAIRS` per group: their rows in the chain."""

    group: Indices
    call: Indices
    put: Indices


def nearest_pairs(chain: ChainArrays) -> ParityPairs:
    """Return the usable pairs with the smallest |C - P|, which are those nearest the forward."""
    rows = np.flatnonzero(chain.usable)
    order = rows[np.lexsort((chain.strike[rows], chain.group[rows]))]
    group, strike, right = chain.group[order], chain.strike[order], chain.right[order]
    same = (group[1:] == group[:-1]) & (strike[1:] == strike[:-1])
    first = np.flatnonzero(same & (right[1:] != right[:-1]))
    one, other = order[first], order[first + 1]
    is_call = right[first] > 0
    call, put = np.where(is_call, one, other), np.where(is_call, other, one)
    distance = np.abs(chain.price[call] - chain.price[put])
    around = _around_least(chain.group[call], distance)
    nearest = around[np.lexsort((distance[around], chain.group[call[around]]))]
    group = chain.group[call[nearest]]
    place = np.arange(group.size) - np.searchsorted(group, group, side="left")
    chosen = nearest[place < NEAREST_PAIRS]
    return ParityPairs(chain.group[call[chosen]], call[chosen], put[chosen])


def _around_least(group: Indices, distance: Floats) -> Indices:
    """Return the rows next to each group's least distance; groups in order, strikes in theirs.

    |C - P| falls and rises with the strike, so that the nearest pairs stand together.
    """
    if not group.size:
        return np.empty(0, dtype=np.intp)
    starts = np.flatnonzero(np.append(True, group[1:] != group[:-1]))
    ends = np.append(starts[1:], group.size)
    least = np.repeat(np.minimum.reduceat(distance, starts), ends - starts)
    hits = np.flatnonzero(distance == least)
    middle = hits[np.searchsorted(hits, starts)]
    window = middle[:, None] + np.arange(1 - NEAREST_PAIRS, NEAREST_PAIRS)
    inside = (window >= starts[:, None]) & (window < ends[:, None])
    return np.asarray(window[inside])


def forwards_of_pairs(
    chain: ChainArrays, pairs: ParityPairs, difference: Floats, *, minimum_pairs: int
) -> Forwards:
    """Return the forward of each group from put-call parity, else from carry.

    `difference` is C - P of each pair as European options, NaN where it does not speak. The median
    of K + exp(rT)(C - P) (Hull, eq. 17.3; CBOE's VIX method takes the single nearest). Fewer pairs
    than `minimum_pairs`, or a forward further from carry than 5 % plus 10 % a year, falls back to
    spot exp((r - q)T), with q = 0 where the yield is unknown; the source says which.
    """
    growth = np.exp(chain.rate * chain.years)
    known = np.isfinite(chain.carry_yield)
    carry = chain.spot * growth * np.exp(-np.where(known, chain.carry_yield, 0.0) * chain.years)
    speaks = np.isfinite(difference)
    group = pairs.group[speaks]
    implied = chain.strike[pairs.call[speaks]] + growth[group] * difference[speaks]
    count = np.bincount(group, minlength=growth.size)
    parity = group_median(group=group, value=implied, groups=growth.size)
    with np.errstate(invalid="ignore", divide="ignore"):
        basis = np.abs(np.log(parity / carry))
    limit = _BASIS_LIMIT + _BASIS_LIMIT_PER_YEAR * np.maximum(chain.years, 0.0)
    accepted = (count >= minimum_pairs) & (basis <= limit)
    fallback = np.where(known, ForwardSource.CARRY.value, ForwardSource.CARRY_WITHOUT_YIELD.value)
    return Forwards(
        forward=np.where(accepted, parity, carry),
        pairs=np.where(accepted, count, 0),
        source=np.where(accepted, ForwardSource.PARITY.value, fallback),
    )
