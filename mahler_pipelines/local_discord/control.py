"""A client of the local Discord's control routes: people act, faults are played."""

import contextlib
import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import Any

from mahler_pipelines.errors import BadInput, MahlerError

_ANSWER_SECONDS = 30.0
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Loopback is never asked through a proxy."""


class DiscordUnavailable(MahlerError):
    """The local Discord gave no usable answer."""


@dataclass(frozen=True, slots=True)
class DiscordControl:
    """Steers the local Discord that answers at `url`.

    What a person does is answered with its interaction, once that was answered or failed; with
    `wait=False` at once. Raises `BadInput` for what is refused, `DiscordUnavailable` without an
    answer.
    """

    url: str

    def status(self) -> dict[str, Any]:
        """Return addresses, the public key, people, channels and how it goes."""
        return dict(self._ask("GET", "status"))

    def set_endpoint(self, url: str) -> None:
        """Shake hands with an interactions endpoint; from then on the gateway hears none."""
        self._ask("PUT", "endpoint", {"url": url})

    def clear_endpoint(self) -> None:
        """Send interactions to the gateway."""
        self._ask("DELETE", "endpoint")

    def probe(self) -> bool:
        """Send the endpoint a bad signature; return whether it is still in force."""
        return bool(self._ask("POST", "probe", {})["held"])

    def click(
        self,
        message: str,
        custom_id: str,
        user: str = "you",
        *,
        values: list[str] | None = None,
        wait: bool = True,
    ) -> dict[str, Any]:
        """Click a button, or choose from a select."""
        body = {"message": message, "custom_id": custom_id, "user": user, "wait": wait}
        return dict(
            self._ask("POST", "click", body | ({} if values is None else {"values": values}))
        )

    def submit(
        self, interaction: str, values: dict[str, str], user: str = "you", *, wait: bool = True
    ) -> dict[str, Any]:
        """Send the modal that an interaction opened."""
        body = {"interaction": interaction, "values": values, "user": user, "wait": wait}
        return dict(self._ask("POST", "submit", body))

    def command(
        self,
        name: str,
        options: dict[str, Any] | None = None,
        user: str = "you",
        *,
        wait: bool = True,
    ) -> dict[str, Any]:
        """Call a slash command; words after the first are subcommands."""
        body = {"name": name, "options": options or {}, "user": user, "wait": wait}
        return dict(self._ask("POST", "command", body))

    def react(self, message: str, emoji: str, user: str = "you") -> dict[str, Any]:
        """Add a reaction and return the message."""
        body = {"message": message, "emoji": emoji, "user": user}
        return dict(self._ask("POST", "react", body))

    def unreact(self, message: str, emoji: str, user: str = "you") -> dict[str, Any]:
        """Take a reaction back and return the message."""
        body = {"message": message, "emoji": emoji, "user": user}
        return dict(self._ask("DELETE", "react", body))

    def add_person(self, name: str, roles: list[str] | None = None) -> dict[str, Any]:
        """Let somebody in, with roles by id or name; return them with their id."""
        return dict(self._ask("POST", "people", {"name": name, "roles": roles or []}))

    def messages(self, user: str | None = None, *, limit: int = 100) -> list[dict[str, Any]]:
        """Return what a person sees in the desk's channel, oldest first."""
        query = {"limit": str(limit)} | ({} if user is None else {"user": user})
        return list(self._ask("GET", f"messages?{urllib.parse.urlencode(query)}"))

    def interactions(self, limit: int = 100) -> list[dict[str, Any]]:
        """Return the last interactions, oldest first."""
        return list(self._ask("GET", f"interactions?limit={limit}"))

    def journal(self, limit: int = 100) -> list[dict[str, Any]]:
        """Return the last REST requests with their answers, oldest first."""
        return list(self._ask("GET", f"journal?limit={limit}"))

    def set_faults(self, plan: dict[str, Any]) -> dict[str, Any]:
        """Put a fault plan in force; counts begin anew."""
        return dict(self._ask("PUT", "faults", plan))

    def faults(self) -> dict[str, Any]:
        """Return the plan in force, and per rule how many requests it matched and met."""
        return dict(self._ask("GET", "faults"))

    def clear_faults(self) -> None:
        """Let every request be answered as it should be."""
        self._ask("DELETE", "faults")

    def begin_outage(self) -> None:
        """Answer every request with 503, and let nobody onto the gateway."""
        self._ask("POST", "outage", {})

    def end_outage(self) -> None:
        """Be there again."""
        self._ask("DELETE", "outage")

    def gateway(self, do: str) -> int:
        """Disturb connections: `reconnect`, `invalidate`, `invalidate_resumable` or `drop`."""
        return int(self._ask("POST", "gateway", {"do": do})["told"])

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(  # noqa: S310 loopback
            f"{self.url}/control/{path}",
            data=data,
            method=method,
            headers={"Content-Type": "application/json"},
        )
        try:
            with _DIRECT.open(request, timeout=_ANSWER_SECONDS) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with contextlib.closing(error):
                said = error.read().decode(errors="replace")[:300]
            if 400 <= error.code < 500:
                raise BadInput(path, body, said) from None
            raise DiscordUnavailable(f"{self.url} failed: {error.code} {said}") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            why = getattr(error, "reason", None) or repr(error)
            raise DiscordUnavailable(f"{self.url} does not answer: {why}") from None
