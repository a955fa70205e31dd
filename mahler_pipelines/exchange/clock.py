"""The exchange's own clock: it stands where it was left, and never runs backwards.

It advances on request, or at a rate of simulated seconds per real second (0 stands). The moments
at which the exchange has something to do on the way are `session_moments`.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum

from mahler_pipelines.errors import BadInput
from mahler_pipelines.exchange.market import Market
from mahler_pipelines.market.chains import Scan
from mahler_pipelines.market.sessions import NEW_YORK, TradingCalendar
from mahler_pipelines.options.contracts import OptionContract, SettlementKind, settlement_kind


class ClockRefusal(BadInput):
    """A moment, or a rate, to which the exchange's clock can't be put."""


class ExchangeClock:
    """A moment, and how fast it moves.

    `real_seconds` is a monotonic source, asked only while the rate is positive.
    """

    def __init__(
        self,
        now: datetime,
        *,
        rate: float = 0.0,
        real_seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._now = _aware(now)
        self._real_seconds = real_seconds
        self._since = real_seconds()
        self._rate = 0.0
        self.set_rate(rate)

    @property
    def now(self) -> datetime:
        """Where the clock stands, in UTC."""
        return self._now

    @property
    def rate(self) -> float:
        """Simulated seconds per real second."""
        return self._rate

    def set_rate(self, rate: float) -> None:
        """Change how fast the clock moves from now on; negative is refused."""
        if not 0 <= rate < float("inf"):
            raise ClockRefusal("rate", rate, "not zero or positive")
        self._rate = rate
        self._since = self._real_seconds()

    def due(self) -> datetime:
        """Return where the rate would have the clock stand; does not move it."""
        if not self._rate:
            return self._now
        return self._now + timedelta(seconds=self._rate * (self._real_seconds() - self._since))

    def stand_at(self, moment: datetime) -> None:
        """Put the clock on a moment that is not before the present."""
        moment = _aware(moment)
        if moment < self._now:
            raise ClockRefusal("to", moment.isoformat(), f"before {self._now.isoformat()}")
        self._now = moment
        self._since = self._real_seconds()


class Moment(StrEnum):
    """What happens at a moment on the way."""

    OPEN = "open"
    LOOK = "look"
    SWEEP = "sweep"
    CLOSE = "close"


LOOK_EVERY = timedelta(minutes=15)
"""How often resting orders meet the quotes of a continuous market that is passed over."""

SWEEPS_BEFORE_CLOSE = tuple(timedelta(minutes=minutes) for minutes in (45, 30, 15))
"""When the broker looks at what expires today; each is a look too. 15:15 is the first usually."""


def last_trading_day(contract: OptionContract, calendar: TradingCalendar) -> date:
    """Last session of a contract: the one before, if it settles open or expires on no session."""
    opening = settlement_kind(contract.root) is SettlementKind.CASH_ON_OPEN
    if opening or not calendar.is_session(contract.expiration):
        return calendar.previous(contract.expiration)
    return contract.expiration


@dataclass(frozen=True, slots=True)
class Timeline:
    """The moments of a market, and to which of them the clock may be put."""

    market: Market
    calendar: TradingCalendar

    def check(self, moment: datetime) -> None:
        """Raise `ClockRefusal` for a moment outside the market's sessions.

        A market of one snapshot per session knows trading days only; a session that its data leaves
        out (a hole) is one of them.
        """
        day = moment.astimezone(NEW_YORK).date()
        first, last = self.market.sessions()
        if not first <= day <= last:
            raise ClockRefusal("to", moment.isoformat(), f"the market has {first} to {last}")
        if self.market.snapshot_only and not self.calendar.is_session(day):
            reason = self.calendar.closed_reason(day)
            raise ClockRefusal("to", moment.isoformat(), f"no session: {reason}")

    def between(self, start: datetime, end: datetime) -> Iterator[tuple[datetime, Moment]]:
        """Opens, looks, sweeps and closes in (start, end], in order."""
        for session in self.calendar.sessions(_day(start), _day(end)):
            for moment, kind in self._of_session(session):
                if start < moment <= end:
                    yield moment, kind

    def is_open(self, moment: datetime) -> bool:
        """Whether the market trades at the moment."""
        day = _day(moment)
        if not self.calendar.is_session(day):
            return False
        return self.calendar.open(day) <= moment < self.calendar.close(day)

    def next_open(self, moment: datetime) -> datetime:
        """First opening strictly after the moment."""
        return self._next(moment, self.calendar.open)

    def next_close(self, moment: datetime) -> datetime:
        """First close strictly after the moment."""
        return self._next(moment, self.calendar.close)

    def next_scan(self, moment: datetime) -> tuple[Scan, datetime]:
        """First scan strictly after the moment; a market of snapshots has the close only."""
        day = _day(moment)
        session = day if self.calendar.is_session(day) else self.calendar.next(day)
        scans = (Scan.CLOSE,) if self.market.snapshot_only else tuple(Scan)
        while True:
            for scan in scans:
                at = self.calendar.scan_time(session, scan)
                if at is not None and at > moment:
                    return scan, at
            session = self.calendar.next(session)

    def _next(self, moment: datetime, of: Callable[[date], datetime]) -> datetime:
        day = _day(moment)
        if self.calendar.is_session(day) and of(day) > moment:
            return of(day)
        return of(self.calendar.next(day))

    def sweeps(self, session: date) -> tuple[datetime, ...]:
        """When the broker sweeps; half way from the snapshot to the close where there is one."""
        closed = self.calendar.close(session)
        if self.market.snapshot_only:
            taken = self.market.snapshot_time(session)
            return (taken + (closed - taken) / 2,)
        return tuple(closed - before for before in SWEEPS_BEFORE_CLOSE)

    def _of_session(self, session: date) -> Iterator[tuple[datetime, Moment]]:
        opened, closed = self.calendar.open(session), self.calendar.close(session)
        yield opened, Moment.OPEN
        sweeps = self.sweeps(session)
        for at in sorted({*self._looks(session), *sweeps}):
            yield at, Moment.SWEEP if at in sweeps else Moment.LOOK
        yield closed, Moment.CLOSE

    def _looks(self, session: date) -> Iterator[datetime]:
        if self.market.snapshot_only:
            yield self.market.snapshot_time(session)
            return
        look, closed = self.calendar.open(session) + LOOK_EVERY, self.calendar.close(session)
        while look < closed:
            yield look
            look += LOOK_EVERY


def session_on_or_after(calendar: TradingCalendar, day: date) -> date:
    """Return the day itself when the exchange trades on it, else the next session."""
    return day if calendar.is_session(day) else calendar.next(day)


def _day(moment: datetime) -> date:
    return moment.astimezone(NEW_YORK).date()


def _aware(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ClockRefusal("to", moment.isoformat(), "needs a time zone")
    return moment.astimezone(UTC)
