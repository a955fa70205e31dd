"""What the request budget costs: a request with it against a request without, and a turn alone.

    python benchmarks/rate_budget.py

Requests go to a bare server on loopback, the quickest broker there could be: with a real one, 20 to
200 ms away, the budget's share is smaller still. The file holds a full minute of requests. Then
several processes take turns in one file at once. Prints medians and ratios.
"""

import http.server
import multiprocessing as mp
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path

from mahler_pipelines.adapters.alpaca.client import AlpacaClients, AlpacaConnection
from mahler_pipelines.execution.request_budget import Api, RequestLimits, Urgency
from mahler_pipelines.storage.request_budget import SharedRequestBudget

RUNS = 400
FULL = 180
LIMITS = RequestLimits(trading=1_000_000, data=1_000_000, reserved=0.2)
PROCESSES = 4


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder, answering() as url:
        path = Path(folder) / "requests.sqlite"
        budget = SharedRequestBudget(path, LIMITS)
        with closing(budget):
            counted = _reader(url, budget)
            plain = _reader(url, None)
            for _ in range(FULL):
                budget.take(Api.TRADING, Urgency.SCAN)
            walls, works = _medians(plain, counted)
            turns, _ = _medians(lambda: budget.take(Api.DATA, Urgency.SCAN), lambda: None)
        crowd = _crowd(path)
    print("us                                        wall  processor")
    for place, name in enumerate(("without a budget", "with it")):
        print(f"a request {name:22} {walls[place] * 1e6:13.0f} {works[place] * 1e6:10.0f}")
    print(f"  ratio {walls[1] / walls[0]:38.2f} {works[1] / works[0]:10.2f}")
    print(f"a turn alone {turns[0] * 1e6:33.0f}")
    print(f"a turn while {PROCESSES} processes take theirs {crowd * 1e6:11.0f}  (mean)")


def _reader(url: str, budget: SharedRequestBudget | None) -> Callable[[], object]:
    connection = AlpacaConnection("key", "secret", trading_url=url, data_url=url, budget=budget)
    clients = AlpacaClients(connection)
    return lambda: clients.read(clients.trading(), "/clock")


def _medians(
    first: Callable[[], object], second: Callable[[], object]
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Seconds by the wall and by this process's work, of both calls, taken by turns."""
    walls: tuple[list[float], list[float]] = ([], [])
    works: tuple[list[float], list[float]] = ([], [])
    for call in (first, second):
        call()
    for _ in range(RUNS):
        for call, wall, work in zip((first, second), walls, works, strict=True):
            started, worked = time.perf_counter(), time.process_time()
            call()
            wall.append(time.perf_counter() - started)
            work.append(time.process_time() - worked)
    median = statistics.median
    return (median(walls[0]), median(walls[1])), (median(works[0]), median(works[1]))


def _crowd(path: Path) -> float:
    """Mean seconds of a turn in each of several processes, from when all of them take turns."""
    context = mp.get_context("spawn")
    ready, times = context.Barrier(PROCESSES), context.Queue()
    children = [
        context.Process(target=_take_turns, args=(path, ready, times)) for _ in range(PROCESSES)
    ]
    for child in children:
        child.start()
    means = [times.get() for _ in children]
    for child in children:
        child.join()
    return statistics.mean(means)


def _take_turns(path: Path, ready: Barrier, times: "mp.Queue[float]") -> None:
    with closing(SharedRequestBudget(path, LIMITS)) as budget:
        budget.take(Api.DATA, Urgency.SCAN)
        ready.wait()
        started = time.perf_counter()
        for _ in range(RUNS):
            budget.take(Api.DATA, Urgency.SCAN)
        times.put((time.perf_counter() - started) / RUNS)


@contextmanager
def answering() -> Iterator[str]:
    """Serve one small answer from a process of its own; yield its address."""
    context = mp.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_answer, args=(there,), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{here.recv()}"
    finally:
        process.kill()
        process.join()


def _answer(pipe: Connection) -> None:
    class Answer(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body leave together

        def do_GET(self) -> None:
            body = b'{"is_open": true}'
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("X-RateLimit-Remaining", "999999")
            self.send_header("X-RateLimit-Reset", str(int(time.time()) + 30))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing is worth a line."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    pipe.send(server.server_port)
    server.serve_forever()


if __name__ == "__main__":
    main()
