"""Random inputs of the daily recursion: normals, variance mixing, market jumps, report gaps.

Everything is drawn row by row, so that a longer horizon begins with the same sessions.
"""

from dataclasses import dataclass

import numpy as np

from mahler_pipelines.exchange.simulated.randomness import Draw, FloatArray, KeyArray, stream
from mahler_pipelines.exchange.simulated.universe import SECTORS, UNIVERSE

SESSIONS_PER_YEAR = 252.0
JUMPS_PER_YEAR = 2.5
JUMP_FLOOR, JUMP_MEAN = 0.010, 0.012
VOLATILITY_JUMP_FLOOR, VOLATILITY_JUMP_MEAN = 0.20, 0.12
"""A jump is the floor plus an exponential of this mean; down for price, up for log-volatility."""

_SESSION_FREEDOM, _OVERNIGHT_FREEDOM = 7.0, 4.5


@dataclass(frozen=True, slots=True, eq=False)
class FactorMoves:
    """Standard normal moves of every factor over one part of the day, and their variance mixing.

    Shapes: market (days,), sector (days, sectors), own (days, names); `*_volatility` are the
    shocks to log-volatility that are independent of price.
    """

    market: FloatArray
    market_volatility: FloatArray
    sector: FloatArray
    own: FloatArray
    own_volatility: FloatArray
    market_mix: FloatArray
    own_mix: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Shocks:
    """All random inputs: `jump` and `volatility_jump` are zero on days without a market jump."""

    night: FactorMoves
    session: FactorMoves
    jump: FloatArray
    volatility_jump: FloatArray
    surprise: FloatArray
    start: FloatArray


def draw_shocks(key: KeyArray, days: int) -> Shocks:
    """Draw the inputs of the first `days` sessions."""
    names = len(UNIVERSE)
    jumps = stream(key, Draw.DAILY_JUMPS).random((days, 3))
    happens = jumps[:, 0] < JUMPS_PER_YEAR / SESSIONS_PER_YEAR
    price, volatility = -np.log(1.0 - jumps[:, 1]), -np.log(1.0 - jumps[:, 2])
    return Shocks(
        night=_moves(key, days, part=0, freedom=_OVERNIGHT_FREEDOM),
        session=_moves(key, days, part=1, freedom=_SESSION_FREEDOM),
        jump=np.where(happens, JUMP_FLOOR + JUMP_MEAN * price, 0.0),
        volatility_jump=np.where(
            happens, VOLATILITY_JUMP_FLOOR + VOLATILITY_JUMP_MEAN * volatility, 0.0
        ),
        surprise=stream(key, Draw.DAILY_JUMPS, member=1).standard_normal((days, names)),
        start=stream(key, Draw.DAILY_START).standard_normal(1 + names),
    )


def _moves(key: KeyArray, days: int, *, part: int, freedom: float) -> FactorMoves:
    names, first = len(UNIVERSE), 2 + len(SECTORS)
    z = stream(key, Draw.DAILY_NORMALS, member=part).standard_normal((days, first + 2 * names))
    # Student-t by mixing: (nu - 2) / chi-squared has mean one.
    chi = stream(key, Draw.DAILY_MIXING, member=part).chisquare(freedom, (days, 1 + names))
    mix = (freedom - 2.0) / chi
    return FactorMoves(
        market=z[:, 0],
        market_volatility=z[:, 1],
        sector=z[:, 2:first],
        own=z[:, first : first + names],
        own_volatility=z[:, first + names :],
        market_mix=mix[:, 0],
        own_mix=mix[:, 1:],
    )
