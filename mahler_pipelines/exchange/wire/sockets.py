"""A websocket connection: what waits to be sent is bounded, and nobody waits for a slow reader."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import msgpack
from starlette.websockets import WebSocket, WebSocketDisconnect

_log = logging.getLogger(__name__)

MOST_WAITING = 10_000
"""Messages that may wait for one reader: more than one move of the clock brings about."""


@dataclass(slots=True)
class Streams:
    """What the streams of one exchange share.

    `option_accounts` are those that have an option stream: Alpaca gives each account one.
    """

    most_waiting: int = MOST_WAITING
    option_accounts: set[str] = field(default_factory=set)


class Unreadable(Exception):
    """A frame that is no message: neither JSON nor, where agreed, MessagePack."""


class Outbox:
    """Messages on their way to one reader, in order. Who falls too far behind is cut off."""

    def __init__(self, most_waiting: int = MOST_WAITING) -> None:
        self._waiting: asyncio.Queue[Any] = asyncio.Queue(most_waiting)
        self._closing = False
        self.overflowed = asyncio.Event()

    def put(self, message: Any) -> None:
        """Add a message without waiting; one that finds no room ends the connection."""
        if self._closing or self.overflowed.is_set():
            return
        try:
            self._waiting.put_nowait(message)
        except asyncio.QueueFull:
            self.overflowed.set()

    def close(self) -> None:
        """End the connection once everything that waits is sent."""
        self.put(None)
        self._closing = True

    async def take(self) -> Any:
        """Wait for the next message; None says that there is no more."""
        return await self._waiting.get()


def speaks_msgpack(websocket: WebSocket) -> bool:
    """Whether the client asked for MessagePack, by the header that Alpaca documents."""
    return websocket.headers.get("content-type", "") == "application/msgpack"


def write(message: Any, *, packed: bool) -> bytes:
    """Write a message as JSON or MessagePack; either goes out as a binary frame."""
    return bytes(msgpack.packb(message)) if packed else json.dumps(message).encode()


def read(frame: dict[str, Any], *, packed: bool) -> dict[str, Any]:
    """Read a frame: text is JSON, bytes are what was agreed; raise `Unreadable` for no object."""
    try:
        if packed and frame.get("bytes") is not None:
            message = msgpack.unpackb(frame["bytes"])
        else:
            message = json.loads(frame.get("text") or frame.get("bytes") or b"")
    except (ValueError, msgpack.UnpackException) as error:
        raise Unreadable(str(error)) from None
    if not isinstance(message, dict):
        raise Unreadable("no object")
    return message


async def converse(
    websocket: WebSocket,
    outbox: Outbox,
    hear: Callable[[dict[str, Any]], None],
    *,
    encode: Callable[[Any], bytes],
    beside: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """Hear frames, send what is in the outbox, until one side ends it or the reader is too slow.

    `beside` runs for as long as the connection does.
    """
    tasks = [
        asyncio.ensure_future(work)
        for work in (
            _listen(websocket, hear),
            _send(websocket, outbox, encode),
            outbox.overflowed.wait(),
            *([beside()] if beside is not None else []),
        )
    ]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    if outbox.overflowed.is_set():
        _log.warning("dropped a slow reader of %s", websocket.url.path)
    for task in done:
        task.result()


async def _listen(websocket: WebSocket, hear: Callable[[dict[str, Any]], None]) -> None:
    while True:
        frame = await websocket.receive()
        if frame["type"] == "websocket.disconnect":
            return
        hear(dict(frame))


async def _send(websocket: WebSocket, outbox: Outbox, encode: Callable[[Any], bytes]) -> None:
    try:
        while (message := await outbox.take()) is not None:
            await websocket.send_bytes(encode(message))
        await websocket.close()
    except WebSocketDisconnect:
        return
