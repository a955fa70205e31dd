"""A client of the exchange's control routes: its clock, status, journal and faults."""

import contextlib
import http.client
import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mahler_pipelines.errors import BadInput, BrokerUnavailable
from mahler_pipelines.exchange.faults import FaultPlan

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

    def faults(self) -> dict[str, Any]:
        """Return the plan in force, and per rule how many requests it matched and met."""
        return dict(self._ask("/control/faults"))

    def set_faults(self, plan: FaultPlan) -> dict[str, Any]:
        """Put a fault plan in force; counts begin anew."""
        return dict(self._ask("/control/faults", plan.model_dump(mode="json"), method="PUT"))

    def clear_faults(self) -> dict[str, Any]:
        """Let every request be answered as it should be."""
        return dict(self._ask("/control/faults", method="DELETE"))

    def _ask(
        self, path: str, body: dict[str, Any] | None = None, *, method: str | None = None
    ) -> Any:
        """Ask with GET, or POST where there is a body, unless a method is given."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(  # noqa: S310 loopback
            self.url + path, data=data, method=method
        )
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
