"""Daily paths of every name: log-volatility, overnight gaps and sessions, over the whole horizon.

A market factor, a sector factor and the name's own factor carry Gaussian moves whose variance is
itself random (Student-t by mixing). Log-volatility reverts to its mean, one component for the
market and one per name (Scott 1987), and is correlated with the moves (leverage). Rare market
jumps lift volatility; quarterly reports open with a gap. The mixing variance is fixed for a
session, so its path given its close is exactly a Brownian bridge: what is seen before the close
tells no more about it than a path that was drawn forwards.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mahler_pipelines.exchange.simulated.horizon import Horizon
from mahler_pipelines.exchange.simulated.randomness import FloatArray, IntArray, KeyArray
from mahler_pipelines.exchange.simulated.shocks import (
    JUMP_FLOOR,
    JUMP_MEAN,
    JUMPS_PER_YEAR,
    SESSIONS_PER_YEAR,
    VOLATILITY_JUMP_FLOOR,
    VOLATILITY_JUMP_MEAN,
    FactorMoves,
    Shocks,
    draw_shocks,
)
from mahler_pipelines.exchange.simulated.universe import SECTORS, UNIVERSE, Underlying

OVERNIGHT = 0.25
"""Share of a day's variance that falls between close and open."""

MARKET_REVERSION, MARKET_SHOCK, MARKET_LEVERAGE = 0.020, 0.050, -0.72
OWN_REVERSION, OWN_SHOCK, OWN_LEVERAGE = 0.035, 0.052, -0.30
GROWTH, PULL = 0.04, 0.6
"""Log-prices return to a line that grows 4 % a year, at a rate of 0.6 a year, so that a book's
prices stay for years in the range that screens are set for; far off that is 0.2 % a day."""

QUARTER = 63
"""Sessions between two reports, and between two dividends."""

_JUMPS_PER_DAY = JUMPS_PER_YEAR / SESSIONS_PER_YEAR
_OWN_VARIANCE = OWN_SHOCK**2 / (1.0 - (1.0 - OWN_REVERSION) ** 2)


def _second_moment(floor: float, mean: float) -> float:
    return floor**2 + 2.0 * floor * mean + 2.0 * mean**2


_MARKET_VARIANCE = (
    MARKET_SHOCK**2 + _JUMPS_PER_DAY * _second_moment(VOLATILITY_JUMP_FLOOR, VOLATILITY_JUMP_MEAN)
) / (1.0 - (1.0 - MARKET_REVERSION) ** 2)


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """How a name's unit move is made of the factors (squares sum to one), by name.

    `log_market` is the loading of its log-volatility on the market's.
    """

    market: FloatArray
    sector: FloatArray
    own: FloatArray
    sector_index: IntArray
    log_market: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class DailyPaths:
    """Sessions in rows, names in columns; prices in USD, rounded to the cent.

    `drift` is the log drift of a session, `sigma` the annual volatility that drives it;
    `market_log` (sessions,) and `own_log` are log-volatility deviations at the open.
    """

    opens: FloatArray
    closes: FloatArray
    previous_closes: FloatArray
    drift: FloatArray
    sigma: FloatArray
    market_log: FloatArray
    own_log: FloatArray
    moves: FactorMoves
    share_volumes: FloatArray


def factor_weights() -> Weights:
    """Return the loadings of every name, from the universe's table."""
    market = np.array([name.beta for name in UNIVERSE])
    left = 1.0 - market**2
    wanted = np.array([name.sector_weight for name in UNIVERSE])
    sector = np.minimum(wanted, np.sqrt(0.9 * left))
    return Weights(
        market=market,
        sector=sector,
        own=np.sqrt(left - sector**2),
        sector_index=np.array([SECTORS.index(name.sector) for name in UNIVERSE]),
        log_market=0.55 + 0.5 * market,
    )


def volatility_level(log_deviation: FloatArray, log_market: FloatArray | float) -> FloatArray:
    """Return volatility over its long-run level; the mean of its square is one.

    `log_deviation` is the name's log-volatility deviation, its market part loaded by `log_market`.
    """
    centre = np.square(log_market) * _MARKET_VARIANCE + _OWN_VARIANCE
    return np.exp(log_deviation - centre)


def jump_variance(name: Underlying) -> float:
    """Return the annual variance that market jumps add to a name."""
    return JUMPS_PER_YEAR * _second_moment(JUMP_FLOOR, JUMP_MEAN) * _jump_beta(name) ** 2


def dividend_table(horizon: Horizon) -> FloatArray:
    """Return dividends per share by session and name, known for the whole horizon.

    Paid every 63 sessions, 20 sessions after the report; growing 4 % a year.
    """
    sessions = np.arange(len(horizon.days))
    table = np.zeros((len(sessions), len(UNIVERSE)))
    for column, name in enumerate(UNIVERSE):
        paid = sessions % QUARTER == (name.phase + 20) % QUARTER
        level = name.start_price * (1.0 + GROWTH * sessions / SESSIONS_PER_YEAR)
        table[:, column] = np.where(paid, np.round(name.dividend_yield / 4.0 * level, 2), 0.0)
    return table


def report_table(horizon: Horizon) -> NDArray[np.bool_]:
    """Return whether a name opens on its quarterly report, by session and name."""
    sessions = np.arange(len(horizon.days))[:, None]
    phases = np.array([name.phase for name in UNIVERSE])
    reports = np.array([name.earnings_move > 0 for name in UNIVERSE])
    return np.asarray((sessions % QUARTER == phases) & reports)


def daily_paths(key: KeyArray, horizon: Horizon) -> DailyPaths:
    """Generate every session of every name from the seed's key."""
    days = horizon.tradable
    shocks, w = draw_shocks(key, days), factor_weights()
    market_log, own_log = _log_volatilities(shocks)
    base = np.array([name.volatility for name in UNIVERSE])
    deviation = w.log_market * market_log[:, None] + own_log
    sigma = base * volatility_level(deviation, w.log_market)
    root_day = sigma / np.sqrt(SESSIONS_PER_YEAR)
    gap = root_day * np.sqrt(OVERNIGHT) * _unit_moves(shocks.night, w) + _jumps(shocks)
    moved = np.array([name.earnings_move for name in UNIVERSE]) * shocks.surprise
    gap = gap + np.where(report_table(horizon)[:days], moved, 0.0)
    unit = _unit_moves(shocks.session, w)
    move = root_day * np.sqrt(1.0 - OVERNIGHT) * unit
    opens, closes, previous, drift = _levels(gap, move, dividend_table(horizon))
    activity = np.exp(0.25 * shocks.session.own_volatility + 0.35 * deviation)
    usual = np.array([name.share_volume for name in UNIVERSE])
    return DailyPaths(
        opens=opens,
        closes=closes,
        previous_closes=previous,
        drift=drift,
        sigma=sigma,
        market_log=market_log,
        own_log=own_log,
        moves=shocks.session,
        share_volumes=np.floor(usual * activity * (0.75 + 0.3 * np.abs(unit))),
    )


def leveraged(price: FloatArray, free: FloatArray, leverage: float) -> FloatArray:
    """Return a unit shock to log-volatility correlated with the price's unit move."""
    return np.asarray(leverage * price + np.sqrt(1.0 - leverage**2) * free)


def _unit_moves(moves: FactorMoves, w: Weights) -> FloatArray:
    market_scale = np.sqrt(moves.market_mix)[:, None]
    common = w.market * moves.market[:, None] + w.sector * moves.sector[:, w.sector_index]
    return np.asarray(common * market_scale + w.own * moves.own * np.sqrt(moves.own_mix))


def _log_volatilities(shocks: Shocks) -> tuple[FloatArray, FloatArray]:
    """Log-volatility deviations at each open, market (days,) and names (days, names)."""

    def shock(moves: FactorMoves, share: float) -> tuple[FloatArray, FloatArray]:
        market = leveraged(moves.market, moves.market_volatility, MARKET_LEVERAGE)
        own = leveraged(moves.own, moves.own_volatility, OWN_LEVERAGE)
        return MARKET_SHOCK * np.sqrt(share) * market, OWN_SHOCK * np.sqrt(share) * own

    market_night, own_night = shock(shocks.night, OVERNIGHT)
    market_day, own_day = shock(shocks.session, 1.0 - OVERNIGHT)
    expected_jump = _JUMPS_PER_DAY * (VOLATILITY_JUMP_FLOOR + VOLATILITY_JUMP_MEAN)
    market_night = market_night + shocks.volatility_jump - expected_jump
    market_log, own_log = np.empty_like(market_night), np.empty_like(own_night)
    market = float(shocks.start[0]) * np.sqrt(_MARKET_VARIANCE)
    own = shocks.start[1:] * np.sqrt(_OWN_VARIANCE)
    for day in range(len(market_log)):
        market = (1.0 - MARKET_REVERSION) * market + market_night[day]
        own = (1.0 - OWN_REVERSION) * own + own_night[day]
        market_log[day], own_log[day] = market, own
        market, own = market + market_day[day], own + own_day[day]
    return market_log, own_log


def _jump_beta(name: Underlying) -> float:
    # A market jump is sized for a name of 16 % volatility that is all market.
    return name.beta * name.volatility / 0.16


def _jumps(shocks: Shocks) -> FloatArray:
    """Market jumps by name, compensated on average."""
    betas = np.array([_jump_beta(name) for name in UNIVERSE])
    expected = _JUMPS_PER_DAY * (JUMP_FLOOR + JUMP_MEAN)
    return betas * (expected - shocks.jump)[:, None]


def _levels(
    gap: FloatArray, move: FloatArray, dividends: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Opens, closes, previous closes and each session's log drift."""
    opens, closes, previous, drifts = (np.empty_like(gap) for _ in range(4))
    price = np.array([name.start_price for name in UNIVERSE])
    line = np.log(price) + GROWTH / SESSIONS_PER_YEAR * np.arange(len(gap))[:, None]
    growth = np.exp(gap)
    for day in range(len(gap)):
        drifts[day] = (PULL * (line[day] - np.log(price)) + GROWTH) / SESSIONS_PER_YEAR
        previous[day] = price
        opens[day] = np.round(price * growth[day] - dividends[day], 2)
        price = np.round(opens[day] * np.exp(move[day] + drifts[day]), 2)
        closes[day] = price
    return opens, closes, previous, drifts
