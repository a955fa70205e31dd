"""Serves the local exchange on loopback.

`python -m mahler_pipelines.exchange --market sim:7 --state DIR` runs it as a program.
"""

import json
import os
import signal
import sys
import threading
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import uvicorn
from starlette.applications import Starlette

from mahler_pipelines.errors import BadInput
from mahler_pipelines.exchange.accounts import LOCAL_CREDENTIALS, Credentials
from mahler_pipelines.exchange.engine import Exchange, ExchangeTerms
from mahler_pipelines.exchange.faults import NO_FAULTS, FaultPlan
from mahler_pipelines.exchange.increments import Increments
from mahler_pipelines.exchange.market import Market
from mahler_pipelines.exchange.matching import FeeSchedule
from mahler_pipelines.exchange.wire.app import REQUESTS_PER_MINUTE, RateLimit, build_wire
from mahler_pipelines.exchange.wire.connections import Connection

HOST = "127.0.0.1"
READY_FILE = "exchange.json"
DEFAULT_EQUITY = Decimal(100_000)


def open_market(text: str, *, name: str | None = None) -> Market:
    """Open `sim:SEED` or `archive:LAKE_ROOT`; raise `BadInput` for anything else."""
    kind, _, rest = text.partition(":")
    if kind == "sim" and rest.isascii() and rest.isdigit():
        from mahler_pipelines.exchange.simulated import SimulatedMarket

        return SimulatedMarket(int(rest))
    if kind == "archive" and rest:
        from mahler_pipelines.exchange.archive import ArchivedMarket

        return ArchivedMarket(Path(rest), name=name)
    raise BadInput("market", text, "neither sim:SEED nor archive:LAKE_ROOT")


def build_app(
    market: Market,
    state_dir: Path,
    *,
    accounts: Sequence[Credentials] = (LOCAL_CREDENTIALS,),
    start_at: datetime | None = None,
    starting_equity: Decimal = DEFAULT_EQUITY,
    fees: FeeSchedule | None = None,
    faults: FaultPlan = NO_FAULTS,
    requests_per_minute: int = REQUESTS_PER_MINUTE,
    increments: Increments = Increments.PENNY,
    record: Path | None = None,
) -> Starlette:
    """Return the application of an exchange whose state lives in a folder.

    `start_at` and `starting_equity` apply to what the folder does not know yet.
    """
    terms = ExchangeTerms(
        credentials=tuple(accounts),
        starting_equity=starting_equity,
        start_at=start_at,
        fees=fees or FeeSchedule(),
        increments=increments,
    )
    limit = RateLimit(requests_per_minute)
    exchange = Exchange(market, state_dir, terms)
    return build_wire(exchange, limit=limit, faults=faults, record=record)


class _Server(uvicorn.Server):
    """Says where it listens as soon as it does, and takes that back when it stops."""

    def __init__(self, config: uvicorn.Config, ready_file: Path) -> None:
        super().__init__(config)
        self._ready_file = ready_file

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        await super().startup(sockets)  # type: ignore[arg-type]
        if not self.started:
            return
        port = self.servers[0].sockets[0].getsockname()[1]
        ready = {
            "port": port,
            "pid": os.getpid(),
            "started": datetime.now().astimezone().isoformat(),
        }
        _write_atomically(self._ready_file, json.dumps(ready))
        sys.stdout.write(f"exchange listening on http://{HOST}:{port}\n")
        sys.stdout.flush()

    async def shutdown(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        await super().shutdown(sockets)  # type: ignore[arg-type]
        self._ready_file.unlink(missing_ok=True)


def serve(app: Starlette, state_dir: Path, *, port: int = 0) -> None:
    """Serve until SIGTERM or SIGINT; port 0 takes a free one, told in `exchange.json`."""
    config = uvicorn.Config(
        app,
        host=HOST,
        port=port,
        http=Connection,
        # A forwarded address would hide the connection that a fault closes.
        proxy_headers=False,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=3,
    )
    if threading.current_thread() is threading.main_thread():
        # uvicorn shuts down gracefully and then raises the signal again for the handler before it.
        for stop in (signal.SIGTERM, signal.SIGINT):
            signal.signal(stop, _leave)
    _Server(config, state_dir / READY_FILE).run()


def _leave(_signal: int, _frame: object) -> None:
    raise SystemExit(0)


def _write_atomically(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_text(text)
    temporary.replace(path)
