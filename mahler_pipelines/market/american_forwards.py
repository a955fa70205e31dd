"""Forwards from American options: what early exercise is worth is taken out of prices first."""

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from mahler_pipelines.market.brackets import Floats, Indices
from mahler_pipelines.market.forwards import NEAREST_PAIRS, ChainArrays, Forwards, forwards
from mahler_pipelines.options import american, european

NEAREST_STRIKES: Final = NEAREST_PAIRS + 1
"""Per expiration and right, how many contracts around the forward lose their premium."""

_ROUNDS: Final = 3
_LAST_CHANGE: Final = 1e-6


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


def american_forwards(chain: ChainArrays, *, minimum_pairs: int) -> Forwards:
    """Return the forward of each group as `forwards` does, American groups without their premium.

    C - P of American options is not that of a forward: with the yield that a forward implies,
    prices near it are inverted and their early-exercise premium subtracted, which gives the next
    forward, until they agree. A price without an American volatility drops out. The volatilities
    of the first round do for the others: they move the premium by far less than the yield does.
    """
    found = forwards(chain, minimum_pairs=minimum_pairs)
    if not chain.american.any():
        return found
    near = _near(chain, found)
    volatility = american.implied_volatility(price=near.price, **_terms(near, found))
    for _ in range(_ROUNDS):
        relieved = _relieved(near, found, volatility)
        before, found = found, forwards(relieved, minimum_pairs=minimum_pairs)
        found = _kept(before, found, chain)
        with np.errstate(invalid="ignore"):
            change = np.abs(found.forward - before.forward) / chain.spot
        if not np.nanmax(change, initial=0.0) > _LAST_CHANGE:
            break
    return found


def _kept(before: Forwards, after: Forwards, chain: ChainArrays) -> Forwards:
    american = chain.american
    return Forwards(
        forward=np.where(american, after.forward, before.forward),
        pairs=np.where(american, after.pairs, before.pairs),
        source=np.where(american, after.source, before.source),
    )


def _near(chain: ChainArrays, found: Forwards) -> ChainArrays:
    """Return the rows of American groups nearest to their forward, of those that may speak."""
    rows = np.flatnonzero(chain.usable & chain.american[chain.group])
    distance = np.abs(chain.strike[rows] - found.forward[chain.group[rows]])
    order = np.lexsort((distance, chain.right[rows], chain.group[rows]))
    side = 2 * chain.group[rows] + (chain.right[rows] > 0)
    ordered = side[order]
    place = np.arange(ordered.size) - np.searchsorted(ordered, ordered, side="left")
    return _rows(chain, np.sort(rows[order[place < NEAREST_STRIKES]]))


def _rows(chain: ChainArrays, rows: Indices) -> ChainArrays:
    columns = {
        name: getattr(chain, name)[rows] for name in ("group", "right", "strike", "price", "usable")
    }
    return replace(chain, **columns)


def _terms(near: ChainArrays, found: Forwards) -> dict[str, Any]:
    with_carry, group = carry(near, found), near.group
    return {
        "right": near.right,
        "spot": with_carry.spot[group],
        "strike": near.strike,
        "years": near.years[group],
        "rate": near.rate[group],
        "dividend_yield": with_carry.dividend_yield[group],
    }


def _relieved(near: ChainArrays, found: Forwards, volatility: Floats) -> ChainArrays:
    """Return the rows with European prices: American ones less their premium."""
    solved = np.isfinite(volatility)
    terms = {name: values[solved] for name, values in _terms(near, found).items()}
    terms["volatility"] = volatility[solved]
    price = np.full(near.price.shape, np.nan)
    price[solved] = near.price[solved] - american.price(**terms) + european.price(**terms)
    return replace(near, price=price, usable=near.usable & solved)
