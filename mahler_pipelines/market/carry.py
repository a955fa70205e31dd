"""Spot and yield that the prices of a chain are read with, from the forwards it implies."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mahler_pipelines.market.brackets import Floats, Indices
from mahler_pipelines.market.forwards import ChainArrays, Forwards

Rows = slice | Indices | NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Carry:
    """Per group: the spot and the continuous yield that American prices are read with.

    Both together give the group's forward. A forward above what the rate earns would need a yield
    below minus the rate, which no share has: it is a late or early spot, and the spot is moved.
    """

    spot: Floats
    dividend_yield: Floats


def carry(chain: ChainArrays, implied: Forwards) -> Carry:
    """Split each forward into spot and yield, the yield at least -|rate|."""
    held = np.maximum(implied.dividend_yield(chain), -np.abs(chain.rate))
    spot = implied.forward * np.exp((held - chain.rate) * chain.years)
    return Carry(np.where(chain.years > 0, spot, chain.spot), held)


def contract_terms(chain: ChainArrays, implied: Forwards, rows: Rows) -> dict[str, Any]:
    """Return what the doors of `options` ask of these contracts, but for price or volatility."""
    with_carry, group = carry(chain, implied), chain.group[rows]
    return {
        "right": chain.right[rows],
        "spot": with_carry.spot[group],
        "strike": chain.strike[rows],
        "years": chain.years[group],
        "rate": chain.rate[group],
        "dividend_yield": with_carry.dividend_yield[group],
    }
