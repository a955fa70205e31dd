"""What a contract is worth in the model: surface, dividends, early exercise. Elementwise.

Every function takes arrays over contracts, each with its own moment, so that one chain now and
many contracts at many closes are the same computation.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from mahler_pipelines.exchange.simulated.american import early_exercise_premium
from mahler_pipelines.exchange.simulated.contracts import Contracts
from mahler_pipelines.exchange.simulated.horizon import SECONDS_PER_YEAR, Horizon
from mahler_pipelines.exchange.simulated.intraday import VARIANCE_EDGE, elapsed_share
from mahler_pipelines.exchange.simulated.paths import dividend_table, report_table
from mahler_pipelines.exchange.simulated.randomness import FloatArray, IntArray
from mahler_pipelines.exchange.simulated.surface import (
    atm_total_variance,
    total_variance,
    variance_years,
)
from mahler_pipelines.exchange.simulated.universe import UNIVERSE
from mahler_pipelines.options.european import price

RISK_FREE_RATE: Final = 0.04
"""Continuous annual rate at which the simulated market discounts."""

_SHORTEST_YEARS: Final = 60.0 / SECONDS_PER_YEAR
_ORIGIN: Final = 1.7e9
_EX_DATES_AHEAD: Final = 5


@dataclass(frozen=True, slots=True, eq=False)
class Instants:
    """Where each row stands: arrays that broadcast against the contracts."""

    session: IntArray
    step: IntArray
    seconds: FloatArray
    spot: FloatArray
    variance: FloatArray

    def take(self, rows: IntArray) -> "Instants":
        """Return the instants of row numbers, which may repeat."""
        return Instants(
            session=self.session[rows],
            step=self.step[rows],
            seconds=self.seconds[rows],
            spot=self.spot[rows],
            variance=self.variance[rows],
        )


class NameValuation:
    """Model values of one name's contracts."""

    def __init__(self, name: int, horizon: Horizon) -> None:
        self._name = UNIVERSE[name]
        self._closes = horizon.closes
        dividends = dividend_table(horizon)[:, name]
        paid = np.flatnonzero(dividends)
        self._ex_times = horizon.opens[paid]
        discounted = dividends[paid] * _discount(self._ex_times)
        self._paid_before = np.concatenate([[0.0], np.cumsum(discounted)])
        self._report_times = horizon.opens[np.flatnonzero(report_table(horizon)[:, name])]

    def values(self, at: Instants, contracts: Contracts) -> FloatArray:
        """Return the American value per share, never below what exercise now would give."""
        state = self._state(at, contracts)
        right, strike = contracts.right, contracts.strike
        european = price(
            right=right,
            spot=state.escrowed,
            strike=strike,
            years=state.years,
            rate=RISK_FREE_RATE,
            dividend_yield=0.0,
            volatility=state.volatility,
        )
        calls, puts = np.flatnonzero(right > 0), np.flatnonzero(right < 0)
        value = european.copy()
        held = european[puts] + early_exercise_premium(
            spot=state.escrowed[puts],
            strike=strike[puts],
            years=state.years[puts],
            rate=RISK_FREE_RATE,
            volatility=state.volatility[puts],
        )
        value[puts] = np.maximum(held, strike[puts] - state.escrowed[puts])
        value[calls] = np.maximum(european[calls], state.spot[calls] - strike[calls])
        return self._with_dividend_capture(state, contracts, value)

    def volatilities(self, at: Instants, contracts: Contracts) -> FloatArray:
        """Return the surface's volatility of each contract, per calendar year (ACT/365)."""
        return self._state(at, contracts).volatility

    def total_variances(self, at: Instants, expiry: IntArray) -> FloatArray:
        """Return the total variance at the forward for each expiration."""
        session, variance, step, seconds = np.broadcast_arrays(
            at.session, at.variance, at.step, at.seconds
        )
        reports = np.searchsorted(self._report_times, self._closes[expiry], side="right")
        reports = reports - np.searchsorted(self._report_times, seconds, side="right")
        return atm_total_variance(
            self._name,
            variance=variance,
            years=variance_years(expiry - session, elapsed_share(step, VARIANCE_EDGE)),
            reports=reports.astype(np.float64),
        )

    def _state(self, at: Instants, contracts: Contracts) -> "_State":
        shape = contracts.strike.shape
        closes = self._closes[contracts.expiry]
        years = np.maximum((closes - at.seconds) / SECONDS_PER_YEAR, _SHORTEST_YEARS)
        paid = np.searchsorted(self._ex_times, at.seconds, side="right")
        due = np.searchsorted(self._ex_times, closes, side="right")
        pending = self._paid_before[due] - self._paid_before[paid]
        escrowed = at.spot - pending / _discount(at.seconds)
        log_moneyness = np.log(contracts.strike / escrowed) - RISK_FREE_RATE * years
        theta = self.total_variances(at, contracts.expiry)
        total = total_variance(self._name, log_moneyness=log_moneyness, theta=theta)
        return _State(
            spot=np.broadcast_to(at.spot, shape),
            escrowed=np.broadcast_to(escrowed, shape),
            seconds=np.broadcast_to(at.seconds, shape),
            years=np.broadcast_to(years, shape),
            volatility=np.sqrt(total / years),
            paid=np.broadcast_to(paid, shape),
            due=np.broadcast_to(due, shape),
        )

    def _with_dividend_capture(
        self, state: "_State", contracts: Contracts, value: FloatArray
    ) -> FloatArray:
        """Let calls be exercised just before any of the next ex-dates (Black 1975)."""
        calls = contracts.right > 0
        for ahead in range(_EX_DATES_AHEAD):
            rows = np.flatnonzero(calls & (state.paid + ahead < state.due))
            if not len(rows):
                break
            ex_date = state.paid[rows] + ahead
            seconds = state.seconds[rows]
            before = self._paid_before[ex_date] - self._paid_before[state.paid[rows]]
            captured = price(
                right=1.0,
                spot=state.spot[rows] - before / _discount(seconds),
                strike=contracts.strike[rows],
                years=(self._ex_times[ex_date] - seconds) / SECONDS_PER_YEAR,
                rate=RISK_FREE_RATE,
                dividend_yield=0.0,
                volatility=state.volatility[rows],
            )
            value[rows] = np.maximum(value[rows], captured)
        return value


@dataclass(frozen=True, slots=True, eq=False)
class _State:
    """Rows of one computation: dividends are counted from `paid` up to, without, `due`."""

    spot: FloatArray
    escrowed: FloatArray
    seconds: FloatArray
    years: FloatArray
    volatility: FloatArray
    paid: IntArray
    due: IntArray


def _discount(seconds: FloatArray) -> FloatArray:
    """Discount factor to an arbitrary common origin."""
    return np.exp(-RISK_FREE_RATE / SECONDS_PER_YEAR * (seconds - _ORIGIN))
