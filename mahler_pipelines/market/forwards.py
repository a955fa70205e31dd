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


def forwards(chain: ChainArrays, *, minimum_pairs: int) -> Forwards:
    """Return the forward of each group from put-call parity, else from carry.

    Parity holds for European options: `american_forwards` makes American prices such before.
    The median of K + exp(rT)(C - P) over the `NEAREST_PAIRS` usable pairs with the
    smallest |C - P| (Hull, eq. 17.3; CBOE's VIX method takes the single smallest). Fewer than
    `minimum_pairs`, or a forward further from carry than 5 % plus 10 % a year, falls back to
    spot exp((r - q)T), with q = 0 where the yield is unknown; the source says which.
    """
    growth = np.exp(chain.rate * chain.years)
    known = np.isfinite(chain.carry_yield)
    carry = chain.spot * growth * np.exp(-np.where(known, chain.carry_yield, 0.0) * chain.years)
    parity, pairs = _parity(chain, growth)
    with np.errstate(invalid="ignore", divide="ignore"):
        basis = np.abs(np.log(parity / carry))
    limit = _BASIS_LIMIT + _BASIS_LIMIT_PER_YEAR * np.maximum(chain.years, 0.0)
    accepted = (pairs >= minimum_pairs) & (basis <= limit)
    fallback = np.where(known, ForwardSource.CARRY.value, ForwardSource.CARRY_WITHOUT_YIELD.value)
    return Forwards(
        forward=np.where(accepted, parity, carry),
        pairs=np.where(accepted, pairs, 0),
        source=np.where(accepted, ForwardSource.PARITY.value, fallback),
    )


def _parity(chain: ChainArrays, growth: Floats) -> tuple[Floats, Indices]:
    rows = np.flatnonzero(chain.usable)
    order = rows[np.lexsort((chain.right[rows], chain.strike[rows], chain.group[rows]))]
    group, strike, right = chain.group[order], chain.strike[order], chain.right[order]
    same = (group[1:] == group[:-1]) & (strike[1:] == strike[:-1])
    paired = np.flatnonzero(same & (right[:-1] < 0) & (right[1:] > 0))
    group, strike = group[paired], strike[paired]
    difference = chain.price[order[paired + 1]] - chain.price[order[paired]]
    nearest = np.lexsort((np.abs(difference), group))
    group, strike, difference = group[nearest], strike[nearest], difference[nearest]
    place = np.arange(group.size) - np.searchsorted(group, group, side="left")
    near = place < NEAREST_PAIRS
    group = group[near]
    implied = strike[near] + growth[group] * difference[near]
    count = np.bincount(group, minlength=growth.size)
    return group_median(group=group, value=implied, groups=growth.size), count
