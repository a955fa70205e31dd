"""Volatility as the desk speaks of it: one door to the modules that compute it.

Per contract (`implied`), per expiration and at a constant maturity (`term_structure`), against its
own history (`ranks`), from history alone (`iv_history`), as it was realised (`realised`), and all
of an underlying in one row (`volatility_metrics`).
"""

from mahler_pipelines.market.forwards import ForwardSource
from mahler_pipelines.market.implied import IV_COLUMNS, expires_at, implied_volatilities
from mahler_pipelines.market.iv_history import historical_constant_maturity, near_money_symbols
from mahler_pipelines.market.ranks import NoRank, VolatilityRank, iv_rank, rank_universe
from mahler_pipelines.market.realised import RealisedEstimator, realised_volatility
from mahler_pipelines.market.term_structure import (
    AtmMethod,
    MaturityMethod,
    atm_volatility,
    constant_maturity_volatility,
)

__all__ = [
    "IV_COLUMNS",
    "AtmMethod",
    "ForwardSource",
    "MaturityMethod",
    "NoRank",
    "RealisedEstimator",
    "VolatilityRank",
    "atm_volatility",
    "constant_maturity_volatility",
    "expires_at",
    "historical_constant_maturity",
    "implied_volatilities",
    "iv_rank",
    "near_money_symbols",
    "rank_universe",
    "realised_volatility",
]
