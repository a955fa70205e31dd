"""Serves the local Discord on loopback.

`python -m mahler_pipelines.local_discord --port P --state DIR` runs it as a program.
"""

import json
import os
import signal
import sys
import threading
from datetime import datetime
from pathlib import Path

import uvicorn
from starlette.applications import Starlette

from mahler_pipelines.local_discord.engine import Discord
from mahler_pipelines.local_discord.wire.connections import Connection

HOST = "127.0.0.1"
READY_FILE = "discord.json"


class _Server(uvicorn.Server):
    """Says where it listens as soon as it does, and takes that back when it stops."""

    def __init__(self, config: uvicorn.Config, state_dir: Path, discord: Discord) -> None:
        super().__init__(config)
        self._ready_file = state_dir / READY_FILE
        self._discord = discord

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        await super().startup(sockets)  # type: ignore[arg-type]
        if not self.started:
            return
        port = self.servers[0].sockets[0].getsockname()[1]
        self._discord.url = f"http://{HOST}:{port}"
        ready = {
            "port": port,
            "pid": os.getpid(),
            "started": datetime.now().astimezone().isoformat(),
            "public_key": self._discord.key.public_hex,
        }
        _write_atomically(self._ready_file, json.dumps(ready))
        sys.stdout.write(f"local Discord on http://{HOST}:{port}\n")
        sys.stdout.flush()

    async def shutdown(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        await super().shutdown(sockets)  # type: ignore[arg-type]
        self._ready_file.unlink(missing_ok=True)


def serve(app: Starlette, discord: Discord, state_dir: Path, *, port: int = 0) -> None:
    """Serve until SIGTERM or SIGINT; port 0 takes a free one, told in `discord.json`."""
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
    _Server(config, state_dir, discord).run()


def _leave(_signal: int, _frame: object) -> None:
    raise SystemExit(0)


def _write_atomically(path: Path, text: str) -> None:
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_text(text)
    temporary.replace(path)
