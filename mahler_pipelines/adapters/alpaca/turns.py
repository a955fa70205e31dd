"""Waiting for a turn of the request budget, and telling it what Alpaca says of its own count.

Alpaca answers with `X-RateLimit-Limit`, `-Remaining` and `-Reset` (unix seconds), and with 429
where nothing remains.
"""

import logging
import math
import random
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import MappingProxyType
from typing import Final

from mahler_pipelines.errors import BrokerUnavailable
from mahler_pipelines.execution.request_budget import Api, RequestBudget, Turn, Urgency

_log = logging.getLogger(__name__)

TOO_MANY_REQUESTS = 429

LONGEST_WAITS: Final[Mapping[Urgency, float]] = MappingProxyType(
    {Urgency.ORDER: 5.0, Urgency.LOOK: 20.0, Urgency.SCAN: 75.0}
)
"""Seconds: a scan outlasts a minute's count; an order and its looks stay within their lease."""

SILENT_PAUSE_SECONDS = 5.0
"""How long a 429 that does not say when there are more holds everyone back."""

_JITTER_SECONDS = 0.02


class Turns:
    """Turns of one connection. Without a budget every request may go at once."""

    def __init__(
        self,
        budget: RequestBudget | None,
        longest_waits: Mapping[Urgency, float] = LONGEST_WAITS,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._budget = budget
        self._longest = longest_waits
        self._sleep = sleep

    def wait(self, api: Api, urgency: Urgency, *, what: str) -> Turn | None:
        """Return this request's turn, None where none is needed.

        Raises `BrokerUnavailable` for a read whose turn does not come in time. A write is sent
        without one: the broker decides.
        """
        if self._budget is None:
            return None
        give_up = time.monotonic() + self._longest[urgency]
        while not (turn := self._budget.take(api, urgency)).is_mine:
            rest = give_up - time.monotonic()
            if rest <= 0:
                return self._too_late(turn, urgency, what)
            # Those that wait for the same moment do not all ask at once.
            pause = turn.wait_seconds + random.uniform(0, _JITTER_SECONDS)  # noqa: S311
            self._sleep(min(pause, rest))
        return turn

    def learn(self, api: Api, turn: Turn | None, status: int, headers: Mapping[str, str]) -> None:
        """Tell the budget what an answer says of Alpaca's count."""
        if self._budget is None or turn is None:
            return
        remaining = _number(headers.get("X-RateLimit-Remaining"))
        reset = _seconds_to_reset(headers)
        if status == TOO_MANY_REQUESTS:
            # The end of its minute may have passed on the way.
            seconds = SILENT_PAUSE_SECONDS if reset is None else max(reset, 1.0)
            self._budget.learn(api, turn, remaining=0, reset_seconds=seconds)
        elif remaining is not None and reset is not None:
            self._budget.learn(api, turn, remaining=int(remaining), reset_seconds=reset)

    def _too_late(self, turn: Turn, urgency: Urgency, what: str) -> Turn:
        seconds = self._longest[urgency]
        if urgency is Urgency.ORDER:
            _log.warning("%s is sent without a turn after %.1f s of waiting", what, seconds)
            return turn
        raise BrokerUnavailable(
            f"{what}: the request budget is used up; no turn in {seconds:g} s,"
            f" the next in {turn.wait_seconds:.0f} s"
        )


def _seconds_to_reset(headers: Mapping[str, str]) -> float | None:
    """Seconds until Alpaca counts anew, by Alpaca's own clock where the answer is dated."""
    reset = _number(headers.get("X-RateLimit-Reset"))
    if reset is None:
        return _number(headers.get("Retry-After"))
    try:
        answered = parsedate_to_datetime(headers.get("Date", ""))
    except ValueError:
        answered = datetime.now(UTC)
    return reset - answered.timestamp()


def _number(text: str | None) -> float | None:
    try:
        value = math.nan if text is None else float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
