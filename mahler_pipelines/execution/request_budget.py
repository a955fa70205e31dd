"""The broker's rate limit as the desk speaks of it: whose request goes first, and the port.

A broker counts the requests of an account, whichever process sends them. The desk counts them too,
so that a scan of many chains waits for itself and an order waits for nothing.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Api(StrEnum):
    """What a broker counts apart."""

    TRADING = "trading"
    DATA = "data"


class Urgency(StrEnum):
    """How much of the budget a request may use."""

    ORDER = "order"
    """Sends, changes or cancels an order: all of it."""
    LOOK = "look"
    """What a close or an approval asks before it acts: all but half of what is reserved."""
    SCAN = "scan"
    """Chains, listings and bars, many at once: nothing of what is reserved."""


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """Requests in any minute; None counts none. `reserved` is the share that scans leave alone."""

    trading: int | None
    data: int | None
    reserved: float

    def of(self, api: Api) -> int | None:
        """Requests of this kind in any minute."""
        return self.trading if api is Api.TRADING else self.data

    def kept_from(self, urgency: Urgency, api: Api) -> int:
        """How many requests are left for more urgent ones; one is always allowed."""
        limit = self.of(api) or 1
        kept = {Urgency.ORDER: 0.0, Urgency.LOOK: self.reserved / 2, Urgency.SCAN: self.reserved}
        return min(round(limit * kept[urgency]), limit - 1)


@dataclass(frozen=True, slots=True)
class Turn:
    """Whether a request may go now.

    `wait_seconds` is 0 when it may, else when asking again makes sense. `left` is what remains
    afterwards for the most urgent; `at` is the moment by the budget's own clock.
    """

    wait_seconds: float
    left: int
    at: float

    @property
    def is_mine(self) -> bool:
        """Whether the request may go."""
        return self.wait_seconds == 0


class RequestBudget(Protocol):
    """The requests that all processes of a book send together. No call waits for a turn."""

    def take(self, api: Api, urgency: Urgency) -> Turn:
        """Count a request, or say how long to wait."""
        ...

    def learn(self, api: Api, turn: Turn, *, remaining: int, reset_seconds: float) -> None:
        """Heed what the broker said: so many requests remain until its count begins anew."""
        ...
