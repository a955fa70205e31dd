"""A client of the exchange's control routes: its clock, its status, its journal."""

import contextlib
import http.client
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
    """Steers the exchange that answers at `url`.

    Raises `BadInput` for what the exchange refuses, `BrokerUnavailable` when it gives no answer.
    """

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
                said = error.read().decode(errors="replace")
            if 400 <= error.code < 500:
                raise BadInput(path.removeprefix("/control/"), body, _message(said)) from None
            raise BrokerUnavailable(
                f"the exchange at {self.url} failed: {error.code} {_message(said)}",
                status=error.code,
            ) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            # A refused or reset connection, half an answer, or one that is no JSON.
            why = getattr(error, "reason", None) or repr(error)
            raise BrokerUnavailable(f"the exchange at {self.url} does not answer: {why}") from None


def _message(said: str) -> str:
    """The `message` of an error in the wire's form, else the text as it came."""
    try:
        told = json.loads(said)
    except ValueError:
        return said[:300]
    return str(told.get("message", said)) if isinstance(told, dict) else said[:300]
