"""Messages of a stream on their way to the outbox, as the fault plan lets them through.

What a client asked for is always answered; only news meets faults.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.websockets import WebSocket

from mahler_pipelines.exchange.faults import StreamDrop, StreamDuplicate, StreamReorder
from mahler_pipelines.exchange.faults_due import FaultBook
from mahler_pipelines.exchange.wire.connections import cut
from mahler_pipelines.exchange.wire.sockets import Outbox

LONGEST_HELD_SECONDS = 2.0
"""How long a message that is told too late waits for the one that it lets pass."""


@dataclass(slots=True)
class Mishaps:
    """Puts news into an outbox: once, twice, in the wrong order, or cuts the connection."""

    faults: Callable[[], FaultBook]
    path: str
    outbox: Outbox
    cut: Callable[[], None]
    _held: list[Any] = field(default_factory=list)

    @classmethod
    def of(cls, websocket: WebSocket, outbox: Outbox) -> "Mishaps":
        """Stand between a connection's news and its outbox; the plan in force may change."""
        state, scope = websocket.app.state, websocket.scope
        return cls(lambda: state.faults, scope["path"], outbox, lambda: cut(scope))

    def put(self, message: Any) -> None:
        """Tell a message, or do with it what the fault whose turn it is says."""
        count = self.faults().meet_message(self.path)
        match None if count is None else count.rule.fault:
            case StreamDrop():
                self.cut()
            case StreamDuplicate():
                self._tell(message)
                self._tell(message)
            case StreamReorder() if not self._held:
                self._held.append(message)
                asyncio.get_running_loop().call_later(LONGEST_HELD_SECONDS, self._release)
            case _:
                self._tell(message)

    def _tell(self, message: Any) -> None:
        self.outbox.put(message)
        self._release()

    def _release(self) -> None:
        """Tell what was held back: after the message that came next, or after a while."""
        held, self._held = self._held, []
        for message in held:
            self.outbox.put(message)
