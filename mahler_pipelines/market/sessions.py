"""Sessions of the New York Stock Exchange, and the moments of a session that matter to the desk.

exchange_calendars (XNYS) is read once, when the first question is asked. The range is fixed, so
that answers do not depend on the day they are asked; beyond what the exchange has published, future
holidays follow its rules.
"""

import warnings
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from mahler_pipelines.errors import BadInput, UnknownSession
from mahler_pipelines.market.chains import Scan

NEW_YORK = ZoneInfo("America/New_York")
"""The zone of the exchange: every schedule and session date is in it."""

FIRST_DAY = date(1990, 1, 1)
LAST_DAY = date(2035, 12, 31)

MORNING_SCAN = time(9, 35)
MIDDAY_SCAN = time(12, 0)
AFTERNOON_BEFORE_CLOSE = timedelta(minutes=30)
CLOSE_SCAN_BEFORE_CLOSE = timedelta(minutes=1)
EOD_AFTER_CLOSE = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class _Schedule:
    """Opens, closes and named holidays, read once from exchange_calendars."""

    days: tuple[date, ...]
    opens: dict[date, datetime]
    closes: dict[date, datetime]
    early: frozenset[date]
    holidays: dict[date, str]


@lru_cache(maxsize=4)
def _schedule(first: date, last: date) -> _Schedule:
    import exchange_calendars
    import pandas as pd

    with warnings.catch_warnings():
        # exchange_calendars 4.13 reads its own schedule in a way that pandas 3 will change; the
        # values it takes are UTC on both sides of that change.
        warnings.filterwarnings(
            "ignore", message="Series.values returning an ndarray that drops timezone information"
        )
        calendar = exchange_calendars.get_calendar("XNYS", start=str(first), end=str(last))
    days = tuple(stamp.date() for stamp in calendar.sessions)
    named: dict[date, str] = {}
    if calendar.regular_holidays is not None:
        series = calendar.regular_holidays.holidays(
            pd.Timestamp(first), pd.Timestamp(last), return_name=True
        )
        named = {stamp.date(): str(name) for stamp, name in series.items()}
    return _Schedule(
        days=days,
        opens=dict(zip(days, (s.to_pydatetime() for s in calendar.schedule["open"]), strict=True)),
        closes=dict(
            zip(days, (s.to_pydatetime() for s in calendar.schedule["close"]), strict=True)
        ),
        early=frozenset(stamp.date() for stamp in calendar.early_closes),
        holidays=named,
    )


@dataclass(frozen=True, slots=True)
class TradingCalendar:
    """Trading days of the exchange between `first` and `last`, both included.

    Moments are aware datetimes in UTC. Asking about a day that is not a session raises
    `UnknownSession`, which carries the day and why the exchange was closed.
    """

    first: date = field(default=FIRST_DAY)
    last: date = field(default=LAST_DAY)

    def is_session(self, day: date) -> bool:
        """Whether the exchange trades on this day; raises `UnknownSession` outside the range."""
        self._check_range(day)
        return day in self._schedule.opens

    def sessions(self, start: date, end: date) -> tuple[date, ...]:
        """Sessions from start to end, both included."""
        self._check_range(start)
        self._check_range(end)
        days = self._schedule.days
        return days[bisect_left(days, start) : bisect_right(days, end)]

    def previous(self, day: date) -> date:
        """Last session strictly before the day, which need not be a session."""
        self._check_range(day)
        return self._at(bisect_left(self._schedule.days, day) - 1, day)

    def next(self, day: date) -> date:
        """First session strictly after the day, which need not be a session."""
        self._check_range(day)
        return self._at(bisect_right(self._schedule.days, day), day)

    def offset(self, session: date, count: int) -> date:
        """Session that lies `count` sessions later (earlier when negative)."""
        self._check_session(session)
        return self._at(bisect_left(self._schedule.days, session) + count, session)

    def open(self, session: date) -> datetime:
        """Opening of the session."""
        self._check_session(session)
        return self._schedule.opens[session]

    def close(self, session: date) -> datetime:
        """Close of the session, early or not."""
        self._check_session(session)
        return self._schedule.closes[session]

    def is_early_close(self, session: date) -> bool:
        """Whether the session ends before 16:00."""
        self._check_session(session)
        return session in self._schedule.early

    def scan_time(self, session: date, scan: Scan) -> datetime | None:
        """Return when a scan looks at the market, or None where the session leaves it no market.

        Morning 09:35, midday 12:00, afternoon 30 minutes and close one minute before the close. A
        scan before a late open, at or after the close, or a midday that the afternoon has
        overtaken, has none.
        """
        opened, closed = self.open(session), self.close(session)
        afternoon = closed - AFTERNOON_BEFORE_CLOSE
        moment = {
            Scan.MORNING: _new_york(session, MORNING_SCAN),
            Scan.MIDDAY: _new_york(session, MIDDAY_SCAN),
            Scan.AFTERNOON: afternoon,
            Scan.CLOSE: closed - CLOSE_SCAN_BEFORE_CLOSE,
        }[scan]
        if not opened < moment < closed or (scan is Scan.MIDDAY and moment >= afternoon):
            return None
        return moment

    def eod_time(self, session: date) -> datetime:
        """Return 15 minutes after the close."""
        return self.close(session) + EOD_AFTER_CLOSE

    def session_of(self, moment: datetime) -> date:
        """Return the session on whose New York date the moment falls.

        Raises `UnknownSession` when the exchange is closed that day, `BadInput` without a zone.
        """
        if moment.tzinfo is None:
            raise BadInput("moment", moment, "needs a time zone")
        session = moment.astimezone(NEW_YORK).date()
        self._check_session(session)
        return session

    def session_date(self, moment: datetime) -> date | None:
        """Return the session on whose New York date the moment falls, or None on a closed day."""
        if moment.tzinfo is None:
            raise BadInput("moment", moment, "needs a time zone")
        day = moment.astimezone(NEW_YORK).date()
        return day if self.is_session(day) else None

    def closed_reason(self, day: date) -> str | None:
        """Say why the exchange is closed on a day; None on a session."""
        if self.is_session(day):
            return None
        if day.weekday() >= 5:
            return f"weekend ({day:%A})"
        name = self._schedule.holidays.get(day)
        return f"holiday ({name})" if name else "special closure"

    @property
    def _schedule(self) -> _Schedule:
        return _schedule(self.first, self.last)

    def _at(self, position: int, asked: date) -> date:
        days = self._schedule.days
        if not 0 <= position < len(days):
            raise UnknownSession("session", asked, f"the calendar is {self.first} to {self.last}")
        return days[position]

    def _check_range(self, day: date) -> None:
        # A datetime is a date to isinstance, but never equal to one: it would be found in no table.
        if isinstance(day, datetime):
            raise BadInput("day", day, "is a moment, not a date")
        if not self.first <= day <= self.last:
            raise UnknownSession("session", day, f"the calendar is {self.first} to {self.last}")

    def _check_session(self, session: date) -> None:
        if not self.is_session(session):
            reason = self.closed_reason(session)
            raise UnknownSession("session", session, f"the exchange is closed: {reason}")


def _new_york(session: date, at: time) -> datetime:
    return datetime.combine(session, at, tzinfo=NEW_YORK).astimezone(UTC)
