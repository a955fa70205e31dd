"""An answer that is kept before it is sent, so that it can be noted, spoiled or lost."""

import json
from dataclasses import dataclass, field
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send


@dataclass(slots=True)
class KeptAnswer:
    """A status, headers and a whole body."""

    status: int = 500
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""

    @classmethod
    def of(cls, status: int, body: Any = None) -> "KeptAnswer":
        """Return an answer of JSON, or of text where the body is one; None has no body."""
        if body is None:
            return cls(status)
        if isinstance(body, str):
            return cls(status, [(b"content-type", b"text/html")], body.encode())
        return cls(status, [(b"content-type", b"application/json")], json.dumps(body).encode())

    def json(self) -> Any:
        """Return the body as JSON, None where it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    def add(self, headers: dict[str, str]) -> None:
        """Set headers beside those it has."""
        MutableHeaders(raw=self.headers).update(headers)

    async def send(self, send: Send, *, half: bool = False) -> None:
        """Send it, or half of its body under the length of the whole."""
        length = (b"content-length", str(len(self.body)).encode())
        kept = [pair for pair in self.headers if pair[0].lower() != b"content-length"]
        headers = kept if self.status == 204 else [*kept, length]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        body = self.body[: len(self.body) // 2] if half else self.body
        await send({"type": "http.response.body", "body": body, "more_body": half})


async def whole_body(receive: Receive, most: int) -> bytes | None:
    """Read a request's body; None where it is longer than `most` bytes, or its sender left."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        if len(body) > most:
            return None
        if not message.get("more_body", False):
            return bytes(body)


async def ask(app: ASGIApp, scope: Scope, body: bytes) -> KeptAnswer:
    """Let an application answer a request whose body was read already."""
    kept = KeptAnswer()
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return pending.pop() if pending else {"type": "http.disconnect"}

    async def keep(message: Message) -> None:
        if message["type"] == "http.response.start":
            kept.status = message["status"]
            kept.headers = list(message["headers"])
        kept.body += message.get("body", b"")

    await app(scope, receive, keep)
    return kept
