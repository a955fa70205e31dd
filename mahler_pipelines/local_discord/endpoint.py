"""An interactions endpoint: the handshake before it is taken, and signed requests to it."""

import asyncio
import functools
import http.client
import ipaddress
import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from mahler_pipelines.errors import BadInput
from mahler_pipelines.local_discord.keys import ApplicationKey

MOST_AT_ONCE = 64
_JSON = "application/json"


@dataclass(frozen=True, slots=True)
class EndpointAnswer:
    """What an endpoint answered."""

    status: int
    content_type: str
    body: bytes


class EndpointSilent(Exception):
    """An endpoint that gave no answer; says why."""


class Endpoint:
    """Sends signed interactions to the address in force, which is on this machine."""

    def __init__(self, key: ApplicationKey, url: str | None, *, seconds: float) -> None:
        self._key = key
        self._seconds = seconds
        self._threads = ThreadPoolExecutor(MOST_AT_ONCE, "endpoint")
        self.url = url

    def close(self) -> None:
        """Let the threads go."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def set(self, url: str | None, ping: dict[str, Any]) -> None:
        """Take an address once it has refused a bad signature and answered a good one.

        Raises `BadInput` with what it did wrong; the address before stays. None gives it up.
        """
        if url is not None:
            _require_loopback(url)
            await self._shake_hands(url, ping)
        self.url = url

    async def probe(self, ping: dict[str, Any]) -> bool:
        """Send a bad signature, as Discord does now and then; give the address up if it is taken.

        Returns whether the endpoint is still in force.
        """
        if self.url is None:
            return False
        try:
            await self._require_refusal(self.url, ping)
        except BadInput:
            self.url = None
        return self.url is not None

    async def send(self, url: str, payload: dict[str, Any]) -> EndpointAnswer:
        """Send an interaction; raise `EndpointSilent` without an answer in time."""
        body = json.dumps(payload).encode()
        timestamp = str(int(time.time()))
        return await self._post(url, body, self._key.headers(timestamp, body))

    async def _shake_hands(self, url: str, ping: dict[str, Any]) -> None:
        await self._require_refusal(url, ping)
        try:
            answer = await self.send(url, ping)
        except EndpointSilent as silent:
            raise BadInput("endpoint", url, str(silent)) from None
        if answer.status != 200 or answer.content_type.partition(";")[0] != _JSON:
            said = f"a PING was answered with {answer.status} {answer.content_type!r}"
            raise BadInput("endpoint", url, said)
        try:
            pong = json.loads(answer.body)
        except ValueError:
            raise BadInput("endpoint", url, "a PING was answered with no JSON") from None
        if not isinstance(pong, dict) or pong.get("type") != 1:
            raise BadInput("endpoint", url, f"a PING was answered with {pong!r}")

    async def _require_refusal(self, url: str, ping: dict[str, Any]) -> None:
        body = json.dumps(ping).encode()
        timestamp = str(int(time.time()))
        # Signed, but not over this body: what a forger could have overheard.
        headers = self._key.headers(timestamp, body + b" ")
        try:
            answer = await self._post(url, body, headers)
        except EndpointSilent as silent:
            raise BadInput("endpoint", url, str(silent)) from None
        if answer.status != 401:
            said = f"a bad signature was answered with {answer.status}, not 401"
            raise BadInput("endpoint", url, said)

    async def _post(self, url: str, body: bytes, headers: dict[str, str]) -> EndpointAnswer:
        posting = functools.partial(_post, url, body, headers, self._seconds)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._seconds):
                return await loop.run_in_executor(self._threads, posting)
        except TimeoutError:
            raise EndpointSilent(f"no answer within {self._seconds:g} s") from None
        except (OSError, http.client.HTTPException) as error:
            raise EndpointSilent(f"no answer: {error!r}") from None


def _post(url: str, body: bytes, headers: dict[str, str], seconds: float) -> EndpointAnswer:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=seconds)
    try:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        said = answer.getheader("Content-Type", "")
        return EndpointAnswer(answer.status, said, answer.read())
    finally:
        connection.close()


def _require_loopback(url: str) -> None:
    """Nothing leaves this machine: an endpoint elsewhere is refused."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise BadInput("endpoint", url, str(error)) from None
    if parts.scheme != "http":
        raise BadInput("endpoint", url, "is no http:// address")
    try:
        is_local = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_local = False
    if not is_local:
        raise BadInput("endpoint", url, "is not on this machine")
