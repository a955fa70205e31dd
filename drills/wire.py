"""A misbehaving wire between a desk and the exchange: it loses requests, and answers."""

import http.client
import random
import socket
import threading
import time
from collections import Counter
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

HOST = "127.0.0.1"
WRITE_FAULT_SHARE = 0.2
READ_FAULT_SHARE = 0.01
SHARE_QUOTES, CLOCK = "/v2/stocks", "/v2/clock"
_HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "date"})
_ANSWER_SECONDS = 60.0


class Fault(StrEnum):
    """What the wire does to one request. The first three come after the exchange took it."""

    ANSWER_LOST = "answer lost"
    GATEWAY_TIMEOUT = "504 after it was taken"
    ANSWER_CUT = "answer cut in half"
    NEVER_ARRIVED = "request lost"
    UNAVAILABLE = "503, not passed on"

    @property
    def passes_on(self) -> bool:
        """Whether the exchange gets the request."""
        return self in (Fault.ANSWER_LOST, Fault.GATEWAY_TIMEOUT, Fault.ANSWER_CUT)


_STATUS = {Fault.GATEWAY_TIMEOUT: 504, Fault.UNAVAILABLE: 503}


class Wire:
    """Passes requests on to `target`; harms some of them while `harming` is set.

    Use as a context manager. `harmed` counts the faults by kind; `looked` is set when somebody
    has asked for share quotes and then for the clock, the last question before an intent; `sent_at`
    is when the first order since `forget` came by.
    """

    def __init__(self, target: str, *, seed: int) -> None:
        self.harming = False
        self.looked = threading.Event()
        self.sent_at: float | None = None
        self._quoted = False
        self.harmed: Counter[Fault] = Counter()
        self._random = random.Random(seed)  # noqa: S311 no secret
        self._lock = threading.Lock()
        self._server = _Server(self, urlsplit(target).netloc)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def port(self) -> int:
        """Where it listens, on loopback."""
        return int(self._server.server_address[1])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def forget(self) -> None:
        """Forget who has looked and sent."""
        self.looked.clear()
        self.sent_at, self._quoted = None, False

    def meet(self, method: str, path: str) -> Fault | None:
        """Note a request and draw what happens to it; mostly nothing."""
        if path.startswith(SHARE_QUOTES):
            self._quoted = True
        elif path == CLOCK and self._quoted:
            self.looked.set()
        if method == "POST" and self.sent_at is None:
            self.sent_at = time.monotonic()
        with self._lock:
            share = READ_FAULT_SHARE if method == "GET" else WRITE_FAULT_SHARE
            if not self.harming or self._random.random() >= share:
                return None
            drawn = self._random.choice(tuple(Fault))
            self.harmed[drawn] += 1
            return drawn


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, wire: Wire, target: str) -> None:
        self.wire, self.target = wire, target
        super().__init__((HOST, 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a killed process leaves its connections broken, which is the point."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body are two writes, and the second would wait 40 ms for the first to be confirmed.
    disable_nagle_algorithm = True
    server: _Server

    def _pass(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else None
        fault = self.server.wire.meet(self.command, self.path)
        status, headers, answer = 0, list[tuple[str, str]](), b""
        if fault is None or fault.passes_on:
            status, headers, answer = self._ask(body)
        if fault is None:
            self._answer(status, headers, answer)
        else:
            self._harm(fault, answer)

    do_GET = do_POST = do_DELETE = do_PATCH = _pass  # noqa: N815 the server's own names

    def _ask(self, body: bytes | None) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection(self.server.target, timeout=_ANSWER_SECONDS)
        try:
            sent = {name: value for name, value in self.headers.items() if name != "Host"}
            connection.request(self.command, self.path, body, sent)
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers:
            if name.lower() not in _HOP_BY_HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _harm(self, fault: Fault, body: bytes) -> None:
        if fault in _STATUS:
            self._answer(_STATUS[fault], [], b"")
            return
        self.close_connection = True
        if fault is Fault.ANSWER_CUT:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 its own name
        """Write nothing: a drill prints its table."""
