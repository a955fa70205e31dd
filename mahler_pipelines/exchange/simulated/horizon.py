"""The sessions that a simulated market knows, and where a moment falls among them."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache

import numpy as np

from mahler_pipelines.errors import BadInput
from mahler_pipelines.exchange.simulated.randomness import FloatArray, IntArray
from mahler_pipelines.market.sessions import NEW_YORK, TradingCalendar

FIRST_SESSION = date(2023, 1, 3)
FIRST_TRADABLE = date(2024, 3, 1)
LAST_SESSION = date(2027, 12, 31)
_CALENDAR_END = date(2029, 1, 31)
"""Expirations reach a year beyond the last session."""

STEPS = 390
"""Steps of a session's path: one a minute, or 13 in seven minutes on an early close."""

SECONDS_PER_YEAR = 365.0 * 86_400.0
_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Moment:
    """Where an instant falls: the session that last opened, and the step reached in it.

    `seconds` is the age of the quotes since the epoch: the instant itself while the market is
    open, the close afterwards. `today` is the New York date, as days since the epoch.
    """

    session: int
    step: int
    seconds: float
    today: int


@dataclass(frozen=True, slots=True, eq=False)
class Horizon:
    """Sessions in order; days and seconds count from the epoch, the latter in UTC."""

    days: IntArray
    opens: FloatArray
    closes: FloatArray
    tradable: int

    def index(self, day: date) -> int | None:
        """Return the index of a session, or None where the exchange is closed."""
        ordinal = day_number(day)
        found = int(np.searchsorted(self.days, ordinal))
        return found if found < self.tradable and self.days[found] == ordinal else None

    def calendar_index(self, day: date) -> int:
        """Return the index of a session also beyond the last tradable one, or -1."""
        ordinal = day_number(day)
        found = int(np.searchsorted(self.days, ordinal))
        return found if found < len(self.days) and self.days[found] == ordinal else -1

    def span(self, start: date, end: date) -> tuple[int, int]:
        """Return the half-open index range of the sessions in [start, end]."""
        first = int(np.searchsorted(self.days[: self.tradable], day_number(start)))
        last = int(np.searchsorted(self.days[: self.tradable], day_number(end), side="right"))
        return first, max(first, last)

    def locate(self, when: datetime) -> Moment | None:
        """Place an instant; None before the first open. Raises `BadInput` without a zone."""
        if when.tzinfo is None:
            raise BadInput("when", when, "needs a time zone")
        seconds = when.timestamp()
        session = int(np.searchsorted(self.opens[: self.tradable], seconds, side="right")) - 1
        if session < 0:
            return None
        opened, closed = float(self.opens[session]), float(self.closes[session])
        minutes, minute = (closed - opened) / 60.0, (min(seconds, closed) - opened) // 60.0
        return Moment(
            session=session,
            step=int(minute * STEPS / minutes),
            seconds=min(seconds, closed),
            today=day_number(when.astimezone(NEW_YORK).date()),
        )


def day_number(day: date) -> int:
    """Return the days since the epoch."""
    return (day - _EPOCH).days


def day_of(number: int) -> date:
    """Return the date of a day number."""
    return date.fromordinal(_EPOCH.toordinal() + int(number))


def instant(seconds: float) -> datetime:
    """Return the UTC datetime of seconds since the epoch."""
    return datetime.fromtimestamp(seconds, tz=UTC)


@lru_cache(maxsize=1)
def horizon() -> Horizon:
    """Return the sessions of the New York Stock Exchange that the simulation spans."""
    calendar = TradingCalendar()
    sessions = calendar.sessions(FIRST_SESSION, _CALENDAR_END)
    days = np.array([day_number(day) for day in sessions], dtype=np.int64)
    opens = np.array([calendar.open(day).timestamp() for day in sessions])
    closes = np.array([calendar.close(day).timestamp() for day in sessions])
    tradable = int(np.searchsorted(days, day_number(LAST_SESSION), side="right"))
    return Horizon(days=days, opens=opens, closes=closes, tradable=tradable)
