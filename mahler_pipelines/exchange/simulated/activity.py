"""How much the contracts trade: open interest and daily volume. Elementwise.

Interest is a hump around where the shares have been, higher at round strikes and in monthly
expirations, decaying with distance and tenor, growing while a contract ages. Volume follows it,
nearer to the money and to the present. Neither uses anything later than the previous close.
"""

import numpy as np
from scipy.special import ndtri

from mahler_pipelines.exchange.simulated.contracts import Contracts
from mahler_pipelines.exchange.simulated.intraday import elapsed_share
from mahler_pipelines.exchange.simulated.paths import DailyPaths
from mahler_pipelines.exchange.simulated.randomness import (
    Draw,
    FloatArray,
    IntArray,
    KeyArray,
    uniforms,
)
from mahler_pipelines.exchange.simulated.universe import UNIVERSE

VOLUME_EDGE = 2.4
_TURNOVER = 0.16
_MEMORY = 21.0
"""Sessions over which open interest forgets where the shares were."""


class Activity:
    """Open interest and volume of one seed's contracts."""

    def __init__(self, key: KeyArray, daily: DailyPaths) -> None:
        self._key = key
        self._previous = daily.previous_closes
        self._usual = _remembered(daily.previous_closes)

    def open_interest(self, name: int, contracts: Contracts, session: IntArray) -> FloatArray:
        """Return open interest through a session, whole contracts."""
        noise = self._noise(Draw.OPEN_INTEREST, contracts.code)
        age = 1.0 - np.exp(-(session - contracts.first_session + 2.0) / 10.0)
        kind = np.where(contracts.monthly, 1.0, 0.4)
        tens = np.isclose(contracts.strike % 10.0, 0.0)
        fives = np.isclose(contracts.strike % 5.0, 0.0)
        round_strike = np.where(tens, 1.5, np.where(fives, 1.2, 0.9))
        hump = self._hump(name, contracts, self._usual[session, name], session, reach=1.6)
        scale = UNIVERSE[name].option_interest * kind * round_strike * age * hump
        return np.asarray(np.floor(scale * np.exp(0.45 * noise)))

    def volume(self, name: int, contracts: Contracts, session: IntArray) -> FloatArray:
        """Return a session's whole volume; zero where the contract wasn't listed yet."""
        noise = self._noise(Draw.VOLUME, contracts.code, session)
        kind = np.where(contracts.monthly, 1.0, 0.55)
        spot = self._previous[session, name]
        hump = self._hump(name, contracts, spot, session, reach=1.1)
        inside = contracts.right * (spot - contracts.strike) > 0.0
        scale = UNIVERSE[name].option_interest * _TURNOVER * kind * hump
        scale = scale * np.where(inside, 0.35, 1.0)
        listed = session >= contracts.first_session
        return np.where(listed, np.floor(scale * np.exp(0.6 * noise)), 0.0)

    def volume_until(self, whole: FloatArray, step: int) -> FloatArray:
        """Return the volume traded until a step of the session."""
        # The share at the close is one up to rounding, which must not cost a contract.
        share = float(elapsed_share(np.array(step), VOLUME_EDGE))
        return np.floor(whole * share + 1e-9)

    def _hump(
        self,
        name: int,
        contracts: Contracts,
        centre: FloatArray,
        session: IntArray,
        *,
        reach: float,
    ) -> FloatArray:
        years = (contracts.expiry - session + 1.0) / 252.0
        spread = UNIVERSE[name].volatility * np.sqrt(years + 0.03)
        distance = np.log(contracts.strike / centre) / spread
        return np.asarray(np.exp(-np.abs(distance) / reach - years / 0.45))

    def _noise(self, draw: Draw, code: IntArray, session: IntArray | None = None) -> FloatArray:
        words = [code] if session is None else [code, session]
        return np.asarray(ndtri(uniforms(self._key, draw, words)))


def _remembered(previous: FloatArray) -> FloatArray:
    usual = previous.copy()
    for row in range(1, len(previous)):
        usual[row] += (1.0 - 1.0 / _MEMORY) * (usual[row - 1] - previous[row])
    return usual
