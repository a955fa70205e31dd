"""The implied variance surface of a name: SSVI over a mean-reverting forward variance curve.

Gatheral & Jacquier, "Arbitrage-free SVI volatility surfaces", Quantitative Finance 14 (2014): with
phi(theta) = eta theta^-gamma (1 + theta)^(gamma - 1), gamma in (0, 1/2) and eta (1 + |rho|) <= 2
there is no static arbitrage while theta grows with expiration, which a positive forward variance
ensures. Time for variance is counted in sessions (a night is a quarter of one), so that the last
hours before expiration carry what the paths really move.
"""

from typing import Final

import numpy as np

from mahler_pipelines.exchange.simulated.paths import OVERNIGHT, jump_variance
from mahler_pipelines.exchange.simulated.randomness import FloatArray
from mahler_pipelines.exchange.simulated.shocks import SESSIONS_PER_YEAR
from mahler_pipelines.exchange.simulated.universe import Underlying

GAMMA: Final = 0.45
VARIANCE_REVERSION: Final = 5.5
"""Annual rate at which forward variance returns to its long-run level."""

_NO_VARIANCE: Final = 1e-10


def variance_years(sessions_between: FloatArray, elapsed: FloatArray) -> FloatArray:
    """Return time to expiration in trading years.

    `sessions_between` is how many sessions later the expiration closes; `elapsed` the share of
    today's session variance that has passed.
    """
    remaining = sessions_between + (1.0 - OVERNIGHT) * (1.0 - elapsed)
    return np.asarray(remaining / SESSIONS_PER_YEAR)


def atm_total_variance(
    name: Underlying, *, variance: FloatArray, years: FloatArray, reports: FloatArray
) -> FloatArray:
    """Return theta, the total variance at the forward.

    `variance` is the instantaneous variance, `years` from `variance_years`, `reports` the number
    of reports before expiration. The name's premium lifts it over what the paths realise.
    """
    level = name.volatility**2
    pulled = -np.expm1(-VARIANCE_REVERSION * years) / VARIANCE_REVERSION
    expected = level * years + (variance - level) * pulled
    expected = expected + jump_variance(name) * years + reports * name.earnings_move**2
    return np.maximum(name.premium**2 * expected, _NO_VARIANCE)


def total_variance(name: Underlying, *, log_moneyness: FloatArray, theta: FloatArray) -> FloatArray:
    """Return w(k, theta), k = ln(strike / forward) (Gatheral & Jacquier, eq. 4.1)."""
    rho = name.skew
    scaled = curvature(name, theta) * log_moneyness
    root = np.sqrt(np.square(scaled + rho) + 1.0 - rho**2)
    return np.asarray(0.5 * theta * (1.0 + rho * scaled + root))


def curvature(name: Underlying, theta: FloatArray) -> FloatArray:
    """Return phi(theta) (Gatheral & Jacquier, eq. 4.5)."""
    return np.asarray(name.curvature * theta**-GAMMA * (1.0 + theta) ** (GAMMA - 1.0))
