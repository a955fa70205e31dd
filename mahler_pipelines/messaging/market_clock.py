"""The market's present, asked of the broker at most once in a while."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime

from mahler_pipelines.execution.broker import BrokerClock

MAX_AGE_SECONDS = 1.0


class MarketClock:
    """The broker's time, kept for `max_age_seconds` so that an answer seldom waits for the broker.

    `read` asks the broker, `seconds` is a clock that never goes back. Safe between threads.
    """

    def __init__(
        self,
        read: Callable[[], BrokerClock],
        *,
        seconds: Callable[[], float],
        max_age_seconds: float = MAX_AGE_SECONDS,
    ) -> None:
        self._read = read
        self._seconds = seconds
        self._max_age = max_age_seconds
        self._lock = threading.Lock()
        self._known: tuple[float, BrokerClock] | None = None

    def now(self) -> datetime:
        """The market's present in UTC; raise `BrokerUnavailable` when nobody can tell it."""
        with self._lock:
            if self._known is None or self._seconds() - self._known[0] > self._max_age:
                asked = self._seconds()
                self._known = (asked, self._read())
            return self._known[1].now.astimezone(UTC)
