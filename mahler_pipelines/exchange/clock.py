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
    CLOSE = "close"


LOOK_EVERY = timedelta(minutes=15)
"""How often resting orders meet the quotes of a continuous market that is passed over."""


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
        """Opens, looks and closes in (start, end], in order."""
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

    def _of_session(self, session: date) -> Iterator[tuple[datetime, Moment]]:
        opened, closed = self.calendar.open(session), self.calendar.close(session)
        yield opened, Moment.OPEN
        if self.market.snapshot_only:
            yield self.market.snapshot_time(session), Moment.LOOK
        else:
            look = opened + LOOK_EVERY
            while look < closed:
                yield look, Moment.LOOK
                look += LOOK_EVERY
        yield closed, Moment.CLOSE


def session_on_or_after(calendar: TradingCalendar, day: date) -> date:
    """Return the day itself when the exchange trades on it, else the next session."""
    return day if calendar.is_session(day) else calendar.next(day)


def _day(moment: datetime) -> date:
    return moment.astimezone(NEW_YORK).date()


def _aware(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ClockRefusal("to", moment.isoformat(), "needs a time zone")
    return moment.astimezone(UTC)
