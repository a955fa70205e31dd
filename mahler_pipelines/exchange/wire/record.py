"""A record of the wire: every request with its answer, one JSON line each.

Where `EXCHANGE_RECORD` names a folder, or `--record` does, each exchange writes a file of its own
there. No keys are in it: of the headers only the sender's name and the limits of the answer.
"""

import json
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO
from uuid import uuid4

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mahler_pipelines.exchange.wire.arrival import arrived

FOLDER_VARIABLE = "EXCHANGE_RECORD"
LONGEST_BODY = 32_768
"""Bytes of an answer that is always kept; longer ones are chains, alike in form."""

LONG_ONES_KEPT = 2
"""How many longer answers of each route and status are kept whole."""

MOST_BYTES = 256 * 1024 * 1024
"""Size at which a file ends, with a last line that says so."""


def folder_of_environment() -> Path | None:
    """Return the folder that the environment names, if any."""
    named = os.environ.get(FOLDER_VARIABLE)
    return Path(named) if named else None


@dataclass(slots=True)
class WireRecord:
    """One exchange's file; it is made when the first line is written."""

    folder: Path
    most_bytes: int = MOST_BYTES
    _file: TextIO | None = None
    _written: int = 0
    _long: Counter[tuple[Any, ...]] = field(default_factory=Counter)

    def write(self, row: dict[str, Any]) -> None:
        """Append a line, until the file is full."""
        if self._written > self.most_bytes:
            return
        line = json.dumps(row)
        self._written += len(line)
        full = "" if self._written <= self.most_bytes else json.dumps({"full": True}) + "\n"
        self._open().write(line + "\n" + full)
        self._open().flush()

    def keeps(self, body: bytearray, *route: object) -> bool:
        """Whether an answer is kept whole: a short one always, of long ones the first few."""
        if len(body) <= LONGEST_BODY:
            return True
        self._long[route] += 1
        return self._long[route] <= LONG_ONES_KEPT

    def close(self) -> None:
        """Close the file, if there is one."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self) -> TextIO:
        if self._file is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            name = f"exchange-{os.getpid()}-{uuid4().hex[:8]}.jsonl"
            self._file = (self.folder / name).open("w", encoding="utf-8")
        return self._file


class Recorded:
    """Middleware in front of everything, so that refusals and faults are in the record too."""

    def __init__(self, app: ASGIApp, *, record: WireRecord) -> None:
        self._app = app
        self._record = record

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and write what came and went; control routes are left out."""
        if scope["type"] != "http" or scope["path"].startswith("/control/"):
            await self._app(scope, receive, send)
            return
        answered, start = bytearray(), dict[str, Any]()
        # Read here: what is refused at the door, or hangs up, is otherwise not read at all.
        sent, receive = await arrived(receive)

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
            answered.extend(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            self._record.write(self._row(scope, sent, start, answered))

    def _row(
        self, scope: Scope, sent: bytes, start: dict[str, Any], answered: bytearray
    ) -> dict[str, Any]:
        query, status = scope["query_string"].decode("latin-1"), start.get("status")
        route = getattr(scope.get("endpoint"), "__name__", scope["path"])
        kept = self._record.keeps(answered, scope["method"], route, status)
        headers = Headers(raw=start.get("headers", []))
        return {
            "method": scope["method"],
            "target": scope["path"] + (f"?{query}" if query else ""),
            "agent": Headers(scope=scope).get("user-agent", ""),
            "sent": sent.decode("utf-8", "replace"),
            "status": status,
            "limits": sorted(name for name in headers if name.startswith("x-ratelimit-")),
            "answered": answered.decode("utf-8", "replace") if kept else None,
            "bytes": len(answered),
            "fault": scope.get("fault"),
            "kind": scope.get("fault_kind"),
        }
