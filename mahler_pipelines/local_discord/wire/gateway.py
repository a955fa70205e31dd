"""The gateway: a websocket on which a bot identifies itself and hears numbered events."""

import asyncio
import json
import zlib
from typing import Any

from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from mahler_pipelines.local_discord.engine import Discord
from mahler_pipelines.local_discord.sessions import (
    GUILDS,
    HEARTBEAT,
    HEARTBEAT_ACK,
    HELLO,
    IDENTIFY,
    INVALID_SESSION,
    MEMBERS,
    PRESENCE,
    RESUME,
    Link,
    Session,
)

UNKNOWN_OPCODE, UNREADABLE, NOT_IDENTIFIED, WRONG_TOKEN, IDENTIFIED_TWICE = (
    4001, 4002, 4003, 4004, 4005,
)  # fmt: skip
_VOICE_STATE = 4
_FINISHED = (1000, 1001)
"""Codes by which a bot says that it will not resume."""


class _Conversation:
    """One connection: what the bot says, and which session it speaks for."""

    def __init__(self, discord: Discord) -> None:
        self._discord = discord
        self.link = Link()
        self.session: Session | None = None

    def hear(self, text: str) -> None:
        """Take a frame; what makes no sense ends the connection with Discord's code."""
        try:
            message = json.loads(text)
            operation, data = message["op"], message.get("d")
        except (ValueError, TypeError, KeyError):
            self.link.end(UNREADABLE)
            return
        if operation == HEARTBEAT:
            self.link.put({"op": HEARTBEAT_ACK})
        elif operation in (IDENTIFY, RESUME):
            self._enter(operation, data if isinstance(data, dict) else {})
        elif self.session is None:
            self.link.end(NOT_IDENTIFIED)
        elif operation not in (PRESENCE, _VOICE_STATE, MEMBERS):
            self.link.end(UNKNOWN_OPCODE)

    def _enter(self, operation: int, data: dict[str, Any]) -> None:
        token = str(data.get("token", "")).removeprefix("Bot ")
        if self.session is not None:
            self.link.end(IDENTIFIED_TWICE)
        elif token != self._discord.terms.token:
            self.link.end(WRONG_TOKEN)
        elif operation == IDENTIFY:
            self._identify(int(data.get("intents") or 0))
        else:
            self._resume(str(data.get("session_id")), int(data.get("seq") or 0))

    def _identify(self, intents: int) -> None:
        discord = self._discord
        self.session = discord.gateway.identify(self.link, intents)
        place = discord.place
        ready = {
            "v": 10,
            "user": place.bot_user() | {"mfa_enabled": False, "verified": True},
            "guilds": [{"id": place.guild_id, "unavailable": True}],
            "session_id": self.session.id,
            "resume_gateway_url": discord.gateway_url,
            "application": {"id": place.application_id, "flags": 0},
        }
        self.session.tell("READY", ready)
        if intents & GUILDS:
            self.session.tell("GUILD_CREATE", place.guild())

    def _resume(self, session_id: str, seen: int) -> None:
        self.session = self._discord.gateway.resume(self.link, session_id, seen)
        if self.session is None:
            self.link.put({"op": INVALID_SESSION, "d": False})
        else:
            self.session.tell("RESUMED", {})


async def serve(websocket: WebSocket) -> None:
    """Serve one connection; frames are text, or a zlib stream where the bot asks for one."""
    discord: Discord = websocket.app.state.discord
    if not discord.gateway.is_open:
        await websocket.close()
        return
    await websocket.accept()
    talk = _Conversation(discord)
    discord.gateway.enter(talk.link)
    interval = int(discord.terms.heartbeat_seconds * 1000)
    talk.link.put({"op": HELLO, "d": {"heartbeat_interval": interval}})
    compressed = websocket.query_params.get("compress") == "zlib-stream"
    writing = asyncio.ensure_future(_write(websocket, talk.link, compressed=compressed))
    code = 1006
    try:
        code = await _read(websocket, talk, writing)
    finally:
        discord.gateway.leave(talk.link, talk.session, finished=code in _FINISHED)
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)


async def _read(websocket: WebSocket, talk: _Conversation, writing: "asyncio.Future[None]") -> int:
    """Hear frames until one side ends it; return the code by which the bot left."""
    while True:
        reading = asyncio.ensure_future(websocket.receive())
        tasks: list[asyncio.Future[Any]] = [reading, writing]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if writing.done():
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            return 1006
        frame = reading.result()
        if frame["type"] == "websocket.disconnect":
            return int(frame.get("code") or 1006)
        talk.hear(frame.get("text") or (frame.get("bytes") or b"").decode("utf-8", "replace"))


async def _write(websocket: WebSocket, link: Link, *, compressed: bool) -> None:
    packer = zlib.compressobj()
    try:
        while not isinstance(message := await link.take(), int):
            text = json.dumps({"t": None, "s": None, "d": None} | message)
            if compressed:
                packed = packer.compress(text.encode()) + packer.flush(zlib.Z_SYNC_FLUSH)
                await websocket.send_bytes(packed)
            else:
                await websocket.send_text(text)
        await websocket.close(message)
    except (WebSocketDisconnect, RuntimeError):
        # It left while it was written to; reading says so too.
        return


ROUTES = [WebSocketRoute("/gateway", serve), WebSocketRoute("/gateway/", serve)]
"""The gateway's addresses; clients differ by a slash."""
