"""What an account was worth over time, as a series of windows: the portfolio history.

The exchange keeps an account's equity where its clock comes to stand within a session, minute by
minute, and at every close. Between two such moments nothing is known, and the last one stands.
A day is labelled 20:00 New York, where its extended hours end; shorter windows by their beginning.
Profit and loss of a day is against the day before, of a shorter window against the previous close.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Generic, TypeVar

from mahler_pipelines.market.sessions import NEW_YORK, TradingCalendar

EXTENDED_FROM, EXTENDED_TO = time(4), time(20)
"""New York hours of the whole session, on an early close too."""

LONGEST_INTRADAY = timedelta(days=31)
"""The calendar days over which windows shorter than a day are given."""

_SHARE_PLACES = 4


class Timeframe(StrEnum):
    """How long a window is."""

    MINUTE = "1Min"
    FIVE_MINUTES = "5Min"
    QUARTER = "15Min"
    HOUR = "1H"
    DAY = "1D"

    @property
    def length(self) -> timedelta:
        """The window's length; a day is a session."""
        minutes = {"1Min": 1, "5Min": 5, "15Min": 15, "1H": 60, "1D": 24 * 60}
        return timedelta(minutes=minutes[self.value])


class Hours(StrEnum):
    """Which windows of a day are given."""

    MARKET = "market_hours"
    EXTENDED = "extended_hours"
    CONTINUOUS = "continuous"


@dataclass(frozen=True, slots=True)
class Span:
    """The days that are asked for, first and last, and the windows in them."""

    first: date
    last: date
    timeframe: Timeframe
    hours: Hours = Hours.MARKET


Key = TypeVar("Key", date, datetime)


@dataclass(frozen=True, slots=True)
class Series(Generic[Key]):
    """Equity by day or by moment, ascending; keys and values are of equal length."""

    keys: Sequence[Key]
    values: Sequence[Decimal]

    def before(self, key: Key) -> tuple[Key, Decimal] | None:
        """The last entry before a key, None before the first."""
        place = bisect_left(self.keys, key)
        return (self.keys[place - 1], self.values[place - 1]) if place else None


@dataclass(frozen=True, slots=True)
class Recorded:
    """What is known of an account: the last equity of each session, and moments in between.

    Nothing is known later than `now`.
    """

    now: datetime
    sessions: Series[date]
    moments: Series[datetime]


@dataclass(frozen=True, slots=True)
class Point:
    """One window: its label, the equity at its end, and what that is compared with."""

    label: datetime
    equity: Decimal
    base: Decimal

    @property
    def gain(self) -> Decimal:
        """Dollars gained on the base."""
        return self.equity - self.base

    @property
    def gain_share(self) -> float:
        """Gain as a part of the base; 0 on no base."""
        return round(float(self.gain / self.base), _SHARE_PLACES) if self.base else 0.0


@dataclass(frozen=True, slots=True)
class History:
    """A series of points; `base_day` is the session whose close is `base`, None without one."""

    points: tuple[Point, ...]
    base: Decimal | None
    base_day: date | None


def history(
    recorded: Recorded, span: Span, calendar: TradingCalendar, *, resets_daily: bool = True
) -> History:
    """Return what is known of the windows of a span.

    `resets_daily` compares windows within a day with the close before that day; without it all are
    compared with the close before the first.
    """
    if span.timeframe is Timeframe.DAY:
        return _by_session(recorded, span)
    values = [
        (label, equity)
        for label in _labels(span, calendar)
        if label <= recorded.now and (equity := _value(recorded, label, span.timeframe)) is not None
    ]
    if not values:
        return History((), None, None)
    base_day, base = _base(recorded, values[0][0].date(), values[0][1])
    points = []
    for label, equity in values:
        before = recorded.sessions.before(label.date()) if resets_daily else None
        points.append(Point(label, equity, base if before is None else before[1]))
    return History(tuple(points), base, base_day)


def _by_session(recorded: Recorded, span: Span) -> History:
    values = [
        (session, equity)
        for session, equity in zip(recorded.sessions.keys, recorded.sessions.values, strict=True)
        if span.first <= session <= span.last
    ]
    if not values:
        return History((), None, None)
    base_day, base = _base(recorded, values[0][0], values[0][1])
    points, before = [], base
    for session, equity in values:
        label = datetime.combine(session, EXTENDED_TO, tzinfo=NEW_YORK)
        points.append(Point(label, equity, before))
        before = equity
    return History(tuple(points), base, base_day)


def _base(recorded: Recorded, day: date, first: Decimal) -> tuple[date | None, Decimal]:
    """The close before a day; a new account has none, and starts from its first value."""
    return recorded.sessions.before(day) or (None, first)


def _value(recorded: Recorded, label: datetime, timeframe: Timeframe) -> Decimal | None:
    """Equity at the end of a window; before a day's first moment the close before it stands."""
    known = recorded.moments.before(label + timeframe.length)
    if known is not None:
        return known[1]
    before = recorded.sessions.before(label.date())
    return None if before is None else before[1]


def _labels(span: Span, calendar: TradingCalendar) -> Iterator[datetime]:
    """Beginnings of the windows, in New York time, the end of each day's hours included."""
    if span.hours is Hours.CONTINUOUS:
        start = datetime.combine(span.first, time(0), tzinfo=NEW_YORK)
        end = datetime.combine(span.last + timedelta(days=1), time(0), tzinfo=NEW_YORK)
        yield from _grid(start, end - span.timeframe.length, span.timeframe)
        return
    for session in calendar.sessions(span.first, span.last):
        if span.hours is Hours.MARKET:
            hours = calendar.open(session), calendar.close(session)
        else:
            hours = (
                datetime.combine(session, EXTENDED_FROM, tzinfo=NEW_YORK),
                datetime.combine(session, EXTENDED_TO, tzinfo=NEW_YORK),
            )
        yield from _grid(*hours, span.timeframe)


def _grid(start: datetime, end: datetime, timeframe: Timeframe) -> Iterator[datetime]:
    label = start
    while label <= end:
        yield label.astimezone(NEW_YORK)
        label += timeframe.length
