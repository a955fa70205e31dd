"""Volatility and greeks of every contract of a chain, each by the model of its exercise style."""

from dataclasses import dataclass
from types import ModuleType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mahler_pipelines.market.brackets import Floats
from mahler_pipelines.market.carry import contract_terms
from mahler_pipelines.market.forwards import ChainArrays, Forwards
from mahler_pipelines.options import american, european
from mahler_pipelines.options.black_scholes.implied import NoVolatility

GREEKS: Final = ("delta", "gamma", "theta_per_day", "vega", "rho")


@dataclass(frozen=True, slots=True, eq=False)
class ContractVolatilities:
    """Per row: the implied volatility, NaN where the `NoVolatility` code in `reason` is not 0."""

    volatility: Floats
    reason: NDArray[np.int8]


def contract_volatilities(chain: ChainArrays, implied: Forwards) -> ContractVolatilities:
    """Invert every price: American groups as such, with the carry that their forward implies."""
    volatility = np.empty(chain.price.size)
    reason = np.zeros(chain.price.size, dtype=np.int8)
    for model, rows in _by_model(chain):
        volatility[rows], reason[rows] = model.implied_volatility(
            price=chain.price[rows], **contract_terms(chain, implied, rows), with_reason=True
        )
    return ContractVolatilities(volatility, reason)


def contract_greeks(
    chain: ChainArrays, implied: Forwards, found: ContractVolatilities
) -> dict[str, Floats]:
    """Return the `GREEKS` per row, in the units of `european.Greeks`; NaN without volatility."""
    columns = {name: np.full(chain.price.size, np.nan) for name in GREEKS}
    solved = found.reason == NoVolatility.NONE
    for model, rows in _by_model(chain):
        good = np.flatnonzero(_mask(rows, chain.price.size) & solved)
        terms = contract_terms(chain, implied, good)
        greeks = model.greeks(**terms, volatility=found.volatility[good])
        for name, column in columns.items():
            column[good] = getattr(greeks, name)
    return columns


def _by_model(chain: ChainArrays) -> list[tuple[ModuleType, slice | NDArray[np.bool_]]]:
    exercised = chain.american[chain.group]
    if exercised.all():
        return [(american, slice(None))] if exercised.size else []
    if not exercised.any():
        return [(european, slice(None))]
    return [(american, exercised), (european, ~exercised)]


def _mask(rows: slice | NDArray[np.bool_], size: int) -> NDArray[np.bool_]:
    return np.ones(size, dtype=bool) if isinstance(rows, slice) else rows
