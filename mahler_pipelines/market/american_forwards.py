"""Forwards from American options: what early exercise is worth is taken out of prices first."""

from typing import Final

import numpy as np

from mahler_pipelines.market.brackets import Floats, Indices, group_median
from mahler_pipelines.market.carry import contract_terms
from mahler_pipelines.market.forwards import (
    ChainArrays,
    Forwards,
    forwards_of_pairs,
    nearest_pairs,
)
from mahler_pipelines.options import american, european

_MOST_ROUNDS: Final = 10
_LARGEST_STEP: Final = 0.3
_LAST_CHANGE: Final = 1e-5
"""Of spot: a tenth of a cent on a share of 100, far below what any quote resolves."""


def american_forwards(chain: ChainArrays, *, minimum_pairs: int) -> Forwards:
    """Return the forward of each group from parity or carry, American groups without premium.

    C - P of American options is not that of a forward: with the yield that a forward implies,
    prices near it are inverted and their early-exercise premium subtracted, which gives the next
    forward, until they agree: at once for weeks, after some rounds for years. A price without an
    American volatility drops out.
    """
    pairs = nearest_pairs(chain)
    difference = chain.price[pairs.call] - chain.price[pairs.put]
    found = forwards_of_pairs(chain, pairs, difference, minimum_pairs=minimum_pairs)
    at = np.flatnonzero(chain.american[pairs.group])
    rows = np.stack([pairs.call[at], pairs.put[at]])
    volatility = _first_volatility(chain, found, rows)
    paid = difference.copy()
    for _ in range(_MOST_ROUNDS):
        if not at.size:
            break
        premium, volatility = _premium(chain, found, rows, volatility)
        difference[at] = paid[at] - (premium[0] - premium[1])
        before = found
        found = forwards_of_pairs(chain, pairs, difference, minimum_pairs=minimum_pairs)
        moved = np.abs(found.forward - before.forward) > _LAST_CHANGE * chain.spot
        going = moved[pairs.group[at]]
        at, rows, volatility = at[going], rows[:, going], volatility[:, going]
    return found


def _first_volatility(chain: ChainArrays, found: Forwards, rows: Indices) -> Floats:
    """Return the European volatility, from which the American one is some steps away.

    Where there is none, the median of the expiration's others. NaN for a price at or below what
    exercise now brings.
    """
    terms, paid = contract_terms(chain, found, rows), chain.price[rows]
    above = paid > terms["right"] * (terms["spot"] - terms["strike"])
    guess = european.implied_volatility(price=paid, **terms)
    known, group = np.isfinite(guess), chain.group[rows]
    usual = group_median(group=group[known], value=guess[known], groups=chain.spot.size)
    return np.where(above, np.where(known, guess, usual[group]), np.nan)


def _premium(
    chain: ChainArrays, found: Forwards, rows: Indices, volatility: Floats
) -> tuple[Floats, Floats]:
    """Return what early exercise is worth in each row, and the next volatility; shaped as `rows`.

    Both are NaN where there is no volatility. The volatility takes a Newton step towards the price,
    from which it also drifts when the yield moves.
    """
    solved = np.isfinite(volatility)
    terms = contract_terms(chain, found, rows[solved])
    sigma = volatility[solved]
    value, vega = american.price_and_vega(**terms, volatility=sigma)
    worth, following = np.full(rows.shape, np.nan), volatility.copy()
    worth[solved] = value - european.price(**terms, volatility=sigma)
    with np.errstate(divide="ignore", invalid="ignore"):
        step = (chain.price[rows[solved]] - value) / (100.0 * vega)
    step = np.clip(step, -_LARGEST_STEP * sigma, _LARGEST_STEP * sigma)
    following[solved] = sigma + np.where(np.isfinite(step), step, -_LARGEST_STEP * sigma)
    return worth, following
