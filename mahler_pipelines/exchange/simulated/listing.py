"""Which contracts are listed when: expirations by schedule, strikes around the spot since listing.

Weekly expirations are listed seven weeks ahead, monthly ones (third Friday) half a year, quarterly
ones (March, June, September, December) a year; an expiration on a holiday moves a session earlier.
A strike is listed for good once a previous close has come near enough to it.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from mahler_pipelines.exchange.simulated.contracts import Contracts, contract_codes
from mahler_pipelines.exchange.simulated.horizon import Horizon, day_of
from mahler_pipelines.exchange.simulated.paths import DailyPaths
from mahler_pipelines.exchange.simulated.randomness import FloatArray, IntArray
from mahler_pipelines.exchange.simulated.universe import UNIVERSE

_WEEKLY_DAYS, _MONTHLY_DAYS, _QUARTERLY_DAYS = 49, 182, 364
_STRIKE_STEPS = ((22.5, 0.5), (45.0, 1.0), (110.0, 2.5), (225.0, 5.0), (450.0, 10.0))
_WIDEST_STEP = 20.0


@dataclass(frozen=True, slots=True)
class Expiration:
    """An expiration day: index of its session, and what kinds of cycle it belongs to."""

    session: int
    monthly: bool
    quarterly: bool


@dataclass(frozen=True, slots=True)
class _Tier:
    days_ahead: int
    reach: float
    coarseness: float


_WEEKLY = _Tier(_WEEKLY_DAYS, 0.16, 1.0)
_MONTHLY = _Tier(_MONTHLY_DAYS, 0.30, 1.0)
_QUARTERLY = _Tier(_QUARTERLY_DAYS, 0.35, 2.0)


def expirations(horizon: Horizon) -> tuple[Expiration, ...]:
    """Return every expiration day within the horizon's calendar, in order."""
    found: dict[int, Expiration] = {}
    first, last = int(horizon.days[0]), int(horizon.days[-1])
    # The epoch was a Thursday, so Fridays are the days with remainder one.
    for friday in range(first + (1 - first) % 7, last + 1, 7):
        day = day_of(friday)
        session = int(np.searchsorted(horizon.days, friday, side="right")) - 1
        monthly = 15 <= day.day <= 21
        quarterly = monthly and day.month % 3 == 0
        found[session] = Expiration(session=session, monthly=monthly, quarterly=quarterly)
    return tuple(found.values())


def strike_step(spot: float) -> float:
    """Return the distance between strikes for a spot."""
    return next((step for below, step in _STRIKE_STEPS if spot < below), _WIDEST_STEP)


class Listing:
    """Contracts of every name of one seed."""

    def __init__(self, horizon: Horizon, daily: DailyPaths) -> None:
        self._horizon = horizon
        self._previous = daily.previous_closes
        self.expirations = expirations(horizon)
        self._sessions = np.array([each.session for each in self.expirations], dtype=np.int64)
        self._by_session = {each.session: each for each in self.expirations}
        self._cached = lru_cache(maxsize=4096)(self._contracts)

    def expiration(self, session: int) -> Expiration | None:
        """Return the expiration that falls on a session, if one does."""
        return self._by_session.get(session)

    def between(self, first: int, last: int) -> tuple[Expiration, ...]:
        """Return expirations on sessions first to last, both included."""
        low, high = np.searchsorted(self._sessions, [first, last + 1])
        return self.expirations[low:high]

    def listed_expirations(self, name: int, session: int) -> tuple[Expiration, ...]:
        """Return the expirations of a name that are listed in a session."""
        ahead = int(self._horizon.days[session]) + _QUARTERLY_DAYS
        last = int(np.searchsorted(self._horizon.days, ahead, side="right")) - 1
        return tuple(
            each
            for each in self.between(session, last)
            if any(self._entry(each, tier) <= session for tier in _tiers(name, each))
        )

    def contracts(self, name: int, expiration: Expiration) -> Contracts:
        """Return every contract ever listed for an expiration: calls, then puts, by strike."""
        return self._cached(name, expiration)

    def listed(self, name: int, session: int) -> Contracts:
        """Return the contracts of a name that are listed in a session."""
        parts = [self.contracts(name, each) for each in self.listed_expirations(name, session)]
        everything = Contracts.joined(parts)
        return everything.take(everything.first_session <= session)

    def _entry(self, expiration: Expiration, tier: _Tier) -> int:
        day = self._horizon.days[expiration.session] - tier.days_ahead
        return int(np.searchsorted(self._horizon.days, day))

    def _contracts(self, name: int, expiration: Expiration) -> Contracts:
        first_listed = self._first_listed(name, expiration)
        ordered = sorted(first_listed)
        count = len(ordered)
        strike = np.tile(np.array(ordered, dtype=np.float64), 2)
        right = np.repeat(np.array([1, -1], dtype=np.int64), count)
        expiry = np.full(2 * count, expiration.session, dtype=np.int64)
        sessions = np.array([first_listed[each] for each in ordered], dtype=np.int64)
        return Contracts(
            expiry=expiry,
            right=right,
            strike=strike,
            first_session=np.tile(sessions, 2),
            monthly=np.full(2 * count, expiration.monthly),
            code=contract_codes(name, expiry, right, strike),
        )

    def _first_listed(self, name: int, expiration: Expiration) -> dict[float, int]:
        """Strike to the session on which it is listed, over the whole life of an expiration."""
        last = min(expiration.session, self._horizon.tradable - 1)
        first_listed: dict[float, int] = {}
        for tier in _tiers(name, expiration):
            entry = self._entry(expiration, tier)
            if entry > last:
                continue
            strikes, waits = _tier_strikes(self._previous[entry : last + 1, name], tier)
            for strike, wait in zip(strikes.tolist(), waits.tolist(), strict=True):
                first_listed[strike] = min(first_listed.get(strike, last), entry + wait)
        return first_listed


def _tiers(name: int, expiration: Expiration) -> tuple[_Tier, ...]:
    weekly = (_WEEKLY,) if UNIVERSE[name].weeklies else ()
    monthly = (_MONTHLY,) if expiration.monthly else ()
    quarterly = (_QUARTERLY,) if expiration.quarterly else ()
    return weekly + monthly + quarterly


def _tier_strikes(previous: FloatArray, tier: _Tier) -> tuple[FloatArray, IntArray]:
    """Grid strikes within reach of the closes so far, and how many sessions that took."""
    step = strike_step(float(previous[0])) * tier.coarseness
    lows = np.minimum.accumulate(previous) * (1.0 - tier.reach)
    highs = np.maximum.accumulate(previous) * (1.0 + tier.reach)
    numbers = np.arange(max(1, np.ceil(lows[-1] / step)), np.floor(highs[-1] / step) + 1)
    strikes = np.round(numbers * step, 3)
    by_low = np.searchsorted(-lows, -strikes, side="left")
    by_high = np.searchsorted(highs, strikes, side="left")
    return strikes, np.maximum(by_low, by_high).astype(np.int64)
