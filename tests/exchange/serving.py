"""The exchange's application behind a real socket on loopback, in a thread of the test."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.applications import Starlette

from mahler_pipelines.exchange.wire.connections import Connection


@contextmanager
def served(app: Starlette) -> Iterator[str]:
    """Serve an application on a free port; yield its address without a trailing slash."""
    config = uvicorn.Config(app, host="127.0.0.1", port=0, http=Connection, log_level="error")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started:
        assert thread.is_alive(), "the server ended"
        assert time.monotonic() < deadline, "the server did not start"
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
