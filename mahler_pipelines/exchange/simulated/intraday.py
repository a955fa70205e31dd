"""What happens inside a session: bridges of the factors from open to close, step by step.

A step's price and volatility are functions of (seed, name, session, step) alone.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from mahler_pipelines.exchange.simulated.horizon import STEPS
from mahler_pipelines.exchange.simulated.paths import (
    MARKET_LEVERAGE,
    MARKET_SHOCK,
    OVERNIGHT,
    OWN_LEVERAGE,
    OWN_SHOCK,
    DailyPaths,
    factor_weights,
    leveraged,
    volatility_level,
)
from mahler_pipelines.exchange.simulated.randomness import (
    Draw,
    FloatArray,
    IntArray,
    KeyArray,
    stream,
)
from mahler_pipelines.exchange.simulated.shocks import SESSIONS_PER_YEAR
from mahler_pipelines.exchange.simulated.universe import SECTORS, UNIVERSE

VARIANCE_EDGE = 1.5
"""How much livelier the open and the close are than midday."""

_MARKET, _SECTOR, _OWN = 0, 1, 1 + len(SECTORS)


@dataclass(frozen=True, slots=True, eq=False)
class SessionPath:
    """One name through one session; arrays of STEPS + 1, from the open to the close."""

    prices: FloatArray
    variances: FloatArray


def elapsed_share(step: FloatArray | IntArray, edge: float) -> FloatArray:
    """Return the share of a session's activity until a step.

    U-shaped: density proportional to 1 + edge (2u - 1)^2 in the session's time u.
    """
    u = np.asarray(step, dtype=np.float64) / STEPS
    return np.asarray((u + edge * ((2.0 * u - 1.0) ** 3 + 1.0) / 6.0) / (1.0 + edge / 3.0))


@lru_cache(maxsize=1)
def _clock() -> FloatArray:
    return elapsed_share(np.arange(STEPS + 1), VARIANCE_EDGE)


class Intraday:
    """Paths inside the sessions of one seed."""

    def __init__(self, key: KeyArray, daily: DailyPaths) -> None:
        self._key = key
        self._daily = daily
        self._weights = factor_weights()
        self._cached = lru_cache(maxsize=256)(self._session_path)

    def session_path(self, name: int, session: int) -> SessionPath:
        """Return one name's prices and instantaneous variances at every step."""
        return self._cached(name, session)

    def prices(self, name: int, sessions: IntArray) -> FloatArray:
        """Return prices in cents of one name, shape (sessions, STEPS + 1)."""
        daily, w, moves = self._daily, self._weights, self._daily.moves
        sector = int(w.sector_index[name])
        market = self._bridge(Draw.PATH_PRICE, _MARKET, sessions, moves.market[sessions])
        voice = self._bridge(
            Draw.PATH_PRICE, _SECTOR + sector, sessions, moves.sector[sessions, sector]
        )
        own = self._bridge(Draw.PATH_PRICE, _OWN + name, sessions, moves.own[sessions, name])
        common = w.market[name] * market + w.sector[name] * voice
        unit = common * np.sqrt(moves.market_mix[sessions])[:, None]
        unit += w.own[name] * own * np.sqrt(moves.own_mix[sessions, name])[:, None]
        scale = daily.sigma[sessions, name] * np.sqrt((1.0 - OVERNIGHT) / SESSIONS_PER_YEAR)
        log_move = scale[:, None] * unit + daily.drift[sessions, name][:, None] * _clock()
        path: FloatArray = np.round(daily.opens[sessions, name][:, None] * np.exp(log_move), 2)
        path[:, -1] = daily.closes[sessions, name]
        return path

    def opening_variances(self, name: int, sessions: IntArray) -> FloatArray:
        """Return instantaneous annual variance at the opens."""
        nothing = np.zeros(len(sessions))
        return self._variance(name, sessions, nothing, nothing)

    def closing_variances(self, name: int, sessions: IntArray) -> FloatArray:
        """Return instantaneous annual variance at the closes."""
        moves = self._daily.moves
        market = leveraged(
            moves.market[sessions], moves.market_volatility[sessions], MARKET_LEVERAGE
        )
        own = leveraged(
            moves.own[sessions, name], moves.own_volatility[sessions, name], OWN_LEVERAGE
        )
        return self._variance(name, sessions, market, own)

    def _session_path(self, name: int, session: int) -> SessionPath:
        sessions = np.array([session])
        moves = self._daily.moves

        def along(draw: Draw, factor: int, end: FloatArray) -> FloatArray:
            path: FloatArray = self._bridge(draw, factor, sessions, end)[0]
            return path

        market = leveraged(
            along(Draw.PATH_PRICE, _MARKET, moves.market[sessions]),
            along(Draw.PATH_VOLATILITY, _MARKET, moves.market_volatility[sessions]),
            MARKET_LEVERAGE,
        )
        own = leveraged(
            along(Draw.PATH_PRICE, _OWN + name, moves.own[sessions, name]),
            along(Draw.PATH_VOLATILITY, _OWN + name, moves.own_volatility[sessions, name]),
            OWN_LEVERAGE,
        )
        variances = self._variance(name, sessions, market, own)
        return SessionPath(prices=self.prices(name, sessions)[0], variances=variances)

    def _variance(
        self, name: int, sessions: IntArray, market: FloatArray, own: FloatArray
    ) -> FloatArray:
        """Variance after unit shocks since the open, to the market's part and the name's."""
        share = np.sqrt(1.0 - OVERNIGHT)
        market_log = self._daily.market_log[sessions] + MARKET_SHOCK * share * market
        own_log = self._daily.own_log[sessions, name] + OWN_SHOCK * share * own
        loading = float(self._weights.log_market[name])
        level = volatility_level(loading * market_log + own_log, loading)
        return np.square(UNIVERSE[name].volatility * level)

    def _bridge(self, draw: Draw, factor: int, sessions: IntArray, end: FloatArray) -> FloatArray:
        """Brownian paths in the session's clock that end on the factor's daily move."""
        noise = np.empty((len(sessions), STEPS))
        for row, session in enumerate(sessions):
            generator = stream(self._key, draw, member=factor, session=int(session))
            generator.standard_normal(out=noise[row])
        clock = _clock()
        free = np.zeros((len(sessions), STEPS + 1))
        np.cumsum(noise * np.sqrt(np.diff(clock)), axis=1, out=free[:, 1:])
        path = free + clock * (end - free[:, -1])[:, None]
        path[:, -1] = end
        return path
