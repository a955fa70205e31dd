"""A small Alpaca that misbehaves on request, on a loopback port of its own.

It answers what a test scripted, and remembers every request. Written on sockets rather than ASGI,
so that it can hang, hang up and stop in the middle of an answer.
"""

import contextlib
import json
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, unquote, urlsplit


class Manner(Enum):
    """How an answer is delivered."""

    PROPER = auto()
    HANG = auto()
    HANG_UP = auto()
    TRUNCATED = auto()


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as it arrived; `target` is path and query."""

    method: str
    target: str
    body: Any
    headers: dict[str, str]

    @property
    def path(self) -> str:
        return unquote(urlsplit(self.target).path)

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back: any JSON value, or bytes as they are."""

    body: Any = b""
    status: int = 200
    manner: Manner = Manner.PROPER

    @property
    def content(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


def refusal(status: int, code: int, message: str) -> Answer:
    """An error in Alpaca's own form."""
    return Answer({"code": code, "message": message}, status)


Script = Callable[[Seen], Answer]


@dataclass(slots=True)
class AlpacaDouble:
    """Answers by script: per method and path a list, whose last answer is repeated, or a function.

    The hanging requests are released when the double is closed.
    """

    seen: list[Seen] = field(default_factory=list)
    _scripts: dict[tuple[str, str], list[Answer] | Script] = field(default_factory=dict)
    _released: threading.Event = field(default_factory=threading.Event)
    _connections: list[socket.socket] = field(default_factory=list)
    _server: ThreadingHTTPServer | None = None
    _thread: threading.Thread | None = None

    def on(self, method: str, path: str, *answers: Answer) -> None:
        """Answer requests to a path one after the other, the last one again and again."""
        self._scripts[method, path] = list(answers)

    def on_call(self, method: str, path: str, script: Script) -> None:
        """Answer requests to a path by a function of the request."""
        self._scripts[method, path] = script

    def count(self, method: str, path: str) -> int:
        """How many requests came to a path."""
        return sum(1 for seen in self.seen if (seen.method, seen.path) == (method, path))

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def answer(self, seen: Seen) -> Answer:
        """Remember a request and say what is sent back."""
        self.seen.append(seen)
        script = self._scripts.get((seen.method, seen.path))
        if script is None:
            return refusal(404, 40410000, f"no script for {seen.method} {seen.path}")
        if not isinstance(script, list):
            return script(seen)
        return script.pop(0) if len(script) > 1 else script[0]

    def __enter__(self) -> Self:
        self._server = ThreadingHTTPServer(
            ("127.0.0.1", 0), _handler(self, self._connections, self._released)
        )
        self._server.daemon_threads = False
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        assert self._thread is not None
        self._released.set()
        self._server.shutdown()
        for connection in self._connections:
            # A kept-alive connection would hold its thread until it times out.
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._server.server_close()


def _handler(
    double: AlpacaDouble, connections: list[socket.socket], released: threading.Event
) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 5

        def setup(self) -> None:
            super().setup()
            connections.append(self.connection)

        def do_GET(self) -> None:
            self._respond()

        def do_POST(self) -> None:
            self._respond()

        def do_DELETE(self) -> None:
            self._respond()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Say nothing."""

        def _respond(self) -> None:
            sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = json.loads(sent) if sent else None
            answer = double.answer(Seen(self.command, self.path, body, dict(self.headers)))
            if answer.manner is Manner.HANG:
                released.wait(10)
            if answer.manner in (Manner.HANG, Manner.HANG_UP):
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            self._send(answer)

        def _send(self, answer: Answer) -> None:
            content = answer.content
            cut = answer.manner is Manner.TRUNCATED
            self.send_response(answer.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2] if cut else content)
            self.wfile.flush()
            if cut:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)

    return Handler
