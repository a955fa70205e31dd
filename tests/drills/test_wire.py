"""The wire does to a request what it says, and the exchange gets it or not accordingly."""

import http.client
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from drills.wire import HOST, Fault, Wire


class Counting(BaseHTTPRequestHandler):
    """Answers a POST with ten bytes, and counts it."""

    taken = 0

    def do_POST(self) -> None:
        Counting.taken += 1
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "10")
        self.end_headers()
        self.wfile.write(b"0123456789")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 its own name
        pass


@pytest.fixture
def target() -> Iterator[str]:
    """An exchange that only counts."""
    Counting.taken = 0
    with HTTPServer((HOST, 0), Counting) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://{HOST}:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def post(wire: Wire) -> tuple[int, bytes] | None:
    """What a client gets of one POST; None for a connection that breaks without an answer."""
    connection = http.client.HTTPConnection(HOST, wire.port, timeout=10)
    try:
        connection.request("POST", "/v2/orders", b"{}")
        answer = connection.getresponse()
        return answer.status, answer.read()
    except http.client.IncompleteRead as cut:
        return 200, cut.partial
    except (http.client.RemoteDisconnected, ConnectionError):
        return None
    finally:
        connection.close()


def test_good_wire_passes_everything_on(target: str) -> None:
    with Wire(target, seed=1) as wire:
        assert [post(wire) for _ in range(30)] == [(200, b"0123456789")] * 30
        assert wire.sent_at is not None
    assert Counting.taken == 30
    assert not wire.harmed


@pytest.mark.parametrize(
    ("fault", "got"),
    [
        (Fault.ANSWER_LOST, None),
        (Fault.GATEWAY_TIMEOUT, (504, b"")),
        (Fault.ANSWER_CUT, (200, b"01234")),
        (Fault.NEVER_ARRIVED, None),
        (Fault.UNAVAILABLE, (503, b"")),
    ],
)
def test_fault_is_what_it_says(
    target: str, monkeypatch: pytest.MonkeyPatch, fault: Fault, got: tuple[int, bytes] | None
) -> None:
    with Wire(target, seed=1) as wire:
        monkeypatch.setattr(wire, "meet", lambda *_: fault)
        assert post(wire) == got
    assert Counting.taken == fault.passes_on


def test_every_fault_is_drawn(target: str) -> None:
    with Wire(target, seed=1) as wire:
        wire.harming = True
        drawn = [wire.meet("POST", "/v2/orders") for _ in range(200)]
    assert set(drawn) == {None, *Fault}
    assert wire.harmed.total() == sum(fault is not None for fault in drawn)


def test_look_is_seen_when_the_clock_is_asked_after_share_quotes(target: str) -> None:
    with Wire(target, seed=1) as wire:
        wire.meet("GET", "/v2/clock")
        assert not wire.looked.is_set()
        wire.meet("GET", "/v2/stocks/snapshots?symbols=SPY")
        wire.meet("GET", "/v2/clock")
        assert wire.looked.is_set()
        wire.forget()
        assert not wire.looked.is_set()
