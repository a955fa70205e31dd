"""Sessions of the gateway: numbered events, kept for who comes back to resume."""

import asyncio
import secrets
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

DISPATCH, HEARTBEAT, IDENTIFY, PRESENCE, RESUME, RECONNECT = 0, 1, 2, 3, 6, 7
MEMBERS, INVALID_SESSION, HELLO, HEARTBEAT_ACK = 8, 9, 10, 11
GUILDS, GUILD_MESSAGES, GUILD_REACTIONS = 1 << 0, 1 << 9, 1 << 10
"""Intents: what a bot asks to hear of. Interactions come unasked."""

MOST_KEPT = 1000
RESUMABLE_SECONDS = 300.0


class Link:
    """One connection: what is to be sent on it, in order; `ended` is the code it closes with."""

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[dict[str, Any] | int] = asyncio.Queue()

    def put(self, message: dict[str, Any]) -> None:
        """Send a message after those that wait."""
        self._waiting.put_nowait(message)

    def end(self, code: int) -> None:
        """Close with a code once everything before is sent."""
        self._waiting.put_nowait(code)

    async def take(self) -> dict[str, Any] | int:
        """Wait for the next message, or the code to close with."""
        return await self._waiting.get()


@dataclass(slots=True)
class Session:
    """A bot that identified itself. `link` is None while it is away."""

    id: str
    intents: int
    link: Link | None
    last: int = 0
    left: float = 0.0
    kept: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=MOST_KEPT))

    def tell(self, event: str, data: Any) -> None:
        """Number an event, keep it, and send it where somebody listens."""
        self.last += 1
        message = {"op": DISPATCH, "t": event, "s": self.last, "d": data}
        self.kept.append(message)
        if self.link is not None:
            self.link.put(message)

    def replay(self, seen: int) -> bool:
        """Send what came after a number; return whether all of it is still kept."""
        missed = [message for message in self.kept if message["s"] > seen]
        if seen > self.last or len(missed) < self.last - seen or self.link is None:
            return False
        for message in missed:
            self.link.put(message)
        return True


class Gateway:
    """All sessions. A session that left can be resumed for minutes; then it is forgotten."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._sessions: dict[str, Session] = {}
        self._links: set[Link] = set()
        self.is_open = True

    @property
    def listening(self) -> int:
        """How many bots are connected and identified."""
        return sum(session.link is not None for session in self._sessions.values())

    def enter(self, link: Link) -> None:
        """Note a connection that has not said yet who it is."""
        self._links.add(link)

    def identify(self, link: Link, intents: int) -> Session:
        """Begin a session."""
        session = Session(secrets.token_hex(16), intents, link)
        self._sessions[session.id] = session
        return session

    def resume(self, link: Link, session_id: str, seen: int) -> Session | None:
        """Give a session its new connection and what it missed; None where it is lost."""
        self._forget()
        session = self._sessions.get(session_id)
        if session is None:
            return None
        if session.link is not None:
            session.link.end(4000)
        session.link = link
        if not session.replay(seen):
            del self._sessions[session_id]
            return None
        return session

    def leave(self, link: Link, session: Session | None, *, finished: bool) -> None:
        """Note the end of a connection; a session that its bot finished can't be resumed."""
        self._links.discard(link)
        if session is None or session.link is not link:
            return
        session.link, session.left = None, self._seconds()
        if finished:
            self._sessions.pop(session.id, None)

    def tell(self, event: str, data: Any, *, intent: int = 0) -> int:
        """Tell an event to every session that asked for it; return how many are connected."""
        self._forget()
        told = [one for one in self._sessions.values() if not intent or one.intents & intent]
        for session in told:
            session.tell(event, data)
        return sum(session.link is not None for session in told)

    def reconnect(self) -> int:
        """Ask every bot to connect anew and resume; return how many were asked."""
        return self._send({"op": RECONNECT, "d": None})

    def invalidate(self, *, resumable: bool) -> int:
        """Say that sessions are invalid; return how many bots were told."""
        told = self._send({"op": INVALID_SESSION, "d": resumable})
        if not resumable:
            self._sessions.clear()
        return told

    def hang_up(self, code: int = 4000) -> int:
        """Close every connection with a code; return how many there were."""
        for link in self._links:
            link.end(code)
        return len(self._links)

    def _send(self, message: dict[str, Any]) -> int:
        links = [one.link for one in self._sessions.values() if one.link is not None]
        for link in links:
            link.put(message)
        return len(links)

    def _forget(self) -> None:
        """Drop sessions that nobody came back to."""
        now = self._seconds()
        for session in list(self._sessions.values()):
            if session.link is None and now - session.left > RESUMABLE_SECONDS:
                del self._sessions[session.id]
