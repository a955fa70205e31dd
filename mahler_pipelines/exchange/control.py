"""A client of the exchange's control routes: its clock, its status, its journal."""

import contextlib
import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mahler_pipelines.errors import BadInput, BrokerUnavailable

_ANSWER_SECONDS = 600.0
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Loopback is never asked through a proxy."""


@dataclass(frozen=True, slots=True)
class ExchangeControl:
    """Steers the exchange that answers at `url`."""

    url: str

    def status(self) -> dict[str, Any]:
        """Return what `GET /control/status` says."""
        return dict(self._ask("/control/status"))

    def now(self) -> datetime:
        """Where the clock stands."""
        return datetime.fromisoformat(self.status()["now"])

    def advance_to(self, moment: datetime) -> dict[str, Any]:
        """Put the clock on a moment and return the status there; the present is no move.

        Raises `BadInput` where the exchange refuses: the past, or no session of the market.
        """
        return dict(self._ask("/control/clock", {"to": moment.isoformat()}))

    def set_rate(self, rate: float) -> dict[str, Any]:
        """Let the clock move by simulated seconds per real second; 0 stands."""
        return dict(self._ask("/control/clock", {"rate": rate}))

    def journal(self, limit: int = 100) -> list[dict[str, Any]]:
        """Return the last requests, oldest first."""
        return list(self._ask(f"/control/journal?limit={limit}"))

    def _ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data)  # noqa: S310 loopback
        try:
            with _DIRECT.open(request, timeout=_ANSWER_SECONDS) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with contextlib.closing(error):
                message = json.loads(error.read())["message"]
            raise BadInput("clock", body, message) from None
        except urllib.error.URLError as error:
            raise BrokerUnavailable(
                f"the exchange at {self.url} does not answer: {error.reason}"
            ) from None
