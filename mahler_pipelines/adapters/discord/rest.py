"""Discord's REST interface as a `Notifier`: one channel, one bot, one request at a time.

A 429 was not taken and is sent again when its time has come, within `patience_seconds`. Whether a
request was taken that broke, or whose answer can't be read, is not known: reading and editing are
repeated, creating a message is left to the caller, who has the nonce. No error carries the token,
of the bot or of an interaction.
"""

import json
import logging
import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
)

from mahler_pipelines import __version__
from mahler_pipelines.adapters.discord.rate_limits import RateLimits, Route
from mahler_pipelines.cards.message import Message, Picture
from mahler_pipelines.cards.payload import message_payload
from mahler_pipelines.errors import BadInput
from mahler_pipelines.messaging.notifier import (
    NotifierError,
    NotifierOutcomeUnknown,
    NotifierRefused,
    NotifierUnavailable,
    Reaction,
    SentMessage,
)

REACTIONS_PER_PAGE = 100
MESSAGES_PER_PAGE = 100
MOST_PAGES = 50
ATTEMPTS = 3
"""Of what may be repeated: reading, editing, reacting."""
MOST_REFUSALS = 5
"""So many answers of 429 to one request end the patience, however short their waits."""

_LOOPBACK = ("http://127.0.0.1:", "http://localhost:")
_TOKEN_IN_PATH = re.compile(r"(/(?:webhooks|interactions)/\d+/)[^/\s?\"]+")

Read = TypeVar("Read")


def _without_token(text: str) -> str:
    return _TOKEN_IN_PATH.sub(r"\1…", text)


class _WithoutTokens(logging.Filter):
    """httpx logs every address, and an interaction's token stands in its address."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = _without_token(record.getMessage())
        record.args = ()
        return True


logging.getLogger("httpx").addFilter(_WithoutTokens())


@dataclass(frozen=True, slots=True)
class DiscordConnection:
    """Where Discord is, which channel, and how patiently. `base_url` ends with the version."""

    bot_token: str = field(repr=False)
    application_id: str
    channel_id: str
    guild_id: str = ""
    base_url: str = "https://discord.com/api/v10"
    connect_seconds: float = 5.0
    answer_seconds: float = 10.0
    patience_seconds: float = 15.0


class _Wire(BaseModel):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)


class _User(_Wire):
    id: str = Field(pattern=r"^\d+$")
    bot: bool = False


class _WireMessage(_Wire):
    id: str
    channel_id: str
    author: _User
    timestamp: AwareDatetime


_USERS = TypeAdapter(list[_User])
_WIRE_MESSAGES = TypeAdapter(list[_WireMessage])


def _anything(body: Any) -> Any:
    return body


class DiscordRest:
    """A `Notifier` over HTTP; close it when done. Safe across threads."""

    def __init__(
        self,
        connection: DiscordConnection,
        *,
        sleep: Callable[[float], None] = time.sleep,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        if not connection.base_url.startswith(("https://", "http://")):
            raise BadInput("base_url", connection.base_url, "is no address")
        self._connection = connection
        self._sleep = sleep
        self._limits = RateLimits(seconds)
        timeout = httpx.Timeout(connection.answer_seconds, connect=connection.connect_seconds)
        self._client = httpx.Client(
            timeout=timeout,
            headers={"User-Agent": f"DiscordBot (mahler, {__version__})"},
            follow_redirects=False,
            # Loopback is never asked through a proxy.
            trust_env=not connection.base_url.startswith(_LOOPBACK),
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def send(self, message: Message, *, nonce: str) -> SentMessage:
        """Create a message; the same nonce within minutes finds the one that was created."""
        body = {**message_payload(message), "nonce": nonce, "enforce_nonce": True}
        return self._once("POST", self._messages, body, pictures=message.pictures, read=_sent)

    def edit(self, message_id: str, message: Message) -> SentMessage:
        """Replace what a message shows; its pictures stay unless the message brings others."""
        path = f"{self._messages}/{message_id}"
        body = message_payload(message)
        return self._again("PATCH", path, body, pictures=message.pictures, read=_sent)

    def recent(self, *, since: datetime) -> tuple[SentMessage, ...]:
        """The channel's messages from a moment on, newest first, all pages followed."""
        found: list[SentMessage] = []
        before = ""
        for _ in range(MOST_PAGES):
            path = f"{self._messages}?limit={MESSAGES_PER_PAGE}{before}"
            page = self._again("GET", path, read=_sent_list)
            found += [message for message in page if message.created_at >= since]
            if len(page) < MESSAGES_PER_PAGE or page[-1].created_at < since:
                return tuple(found)
            before = f"&before={page[-1].id}"
        raise NotifierOutcomeUnknown(f"more than {MOST_PAGES} pages of messages since {since}")

    def react(self, message_id: str, emoji: str) -> None:
        """Put the bot's own reaction under a message."""
        self._again("PUT", f"{self._reactions(message_id, emoji)}/@me")

    def reactions(self, message_id: str, emoji: str) -> tuple[Reaction, ...]:
        """Everybody but bots who reacted with this, all pages followed."""
        found: list[Reaction] = []
        after = "0"
        while True:
            query = f"?limit={REACTIONS_PER_PAGE}&after={after}"
            page = self._again("GET", self._reactions(message_id, emoji) + query, read=_users)
            found += [Reaction(user.id, emoji) for user in page if not user.bot]
            if len(page) < REACTIONS_PER_PAGE:
                return tuple(found)
            after = max((user.id for user in page), key=int)

    def answer(self, interaction_id: str, token: str, body: dict[str, Any]) -> None:
        """Give the first answer to an interaction that came by the gateway."""
        self._once("POST", f"/interactions/{interaction_id}/{quote(token, safe='')}/callback", body)

    def follow_up(self, token: str, message: Message) -> None:
        """Fill in the answer to an interaction that was put off; who sees it was said then."""
        webhook = f"/webhooks/{self._connection.application_id}/{quote(token, safe='')}"
        body = message_payload(message)
        self._again("PATCH", f"{webhook}/messages/@original", body, pictures=message.pictures)

    def register_commands(self, commands: Sequence[dict[str, Any]]) -> None:
        """Make these the guild's slash commands; without a guild, everybody's."""
        of = f"/guilds/{self._connection.guild_id}" if self._connection.guild_id else ""
        path = f"/applications/{self._connection.application_id}{of}/commands"
        self._again("PUT", path, list(commands))

    @property
    def _messages(self) -> str:
        return f"/channels/{self._connection.channel_id}/messages"

    def _reactions(self, message_id: str, emoji: str) -> str:
        return f"{self._messages}/{message_id}/reactions/{quote(emoji, safe='')}"

    def _again(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        pictures: Sequence[Picture] = (),
        read: Callable[[Any], Read] = _anything,
    ) -> Read:
        """Repeat what does the same when it is done twice."""
        for attempt in range(1, ATTEMPTS):
            try:
                return self._once(method, path, body, pictures=pictures, read=read)
            except NotifierOutcomeUnknown:
                self._sleep(0.5 * 2 ** (attempt - 1))
        return self._once(method, path, body, pictures=pictures, read=read)

    def _once(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        pictures: Sequence[Picture] = (),
        read: Callable[[Any], Read] = _anything,
    ) -> Read:
        """Send one request, again while it is answered with 429 and patience lasts."""
        route = Route.of(method, path)
        name = _without_token(f"{method} {path.partition('?')[0]}")
        waited, pause = 0.0, 0.0
        for _ in range(MOST_REFUSALS):
            waited = self._wait_turn(route, name, waited)
            try:
                answer = self._request(method, path, body, pictures, name)
            except NotifierError:
                self._limits.learn(route, {})
                raise
            self._limits.learn(route, answer.headers)
            if answer.status_code != httpx.codes.TOO_MANY_REQUESTS:
                return _read(answer, name, read)
            pause = _retry_after(answer)
            everything = answer.headers.get("X-RateLimit-Global", "").lower() == "true"
            self._limits.refused(route, retry_after=pause, everything=everything)
            if waited + pause > self._connection.patience_seconds:
                break
        raise NotifierUnavailable(f"{name}: 429, too many requests", retry_after=pause)

    def _wait_turn(self, route: Route, name: str, waited: float) -> float:
        """Sleep until this route's turn; return all that was waited, raise beyond the patience."""
        while wait := self._limits.wait_before(route):
            if waited + wait > self._connection.patience_seconds:
                raise NotifierUnavailable(f"{name}: its rate limit is used up", retry_after=wait)
            self._sleep(wait)
            waited += wait
        return waited

    def _request(
        self, method: str, path: str, body: Any, pictures: Sequence[Picture], name: str
    ) -> httpx.Response:
        headers = {}
        if not path.startswith(("/interactions/", "/webhooks/")):
            headers["Authorization"] = f"Bot {self._connection.bot_token}"
        url = self._connection.base_url + path
        failure: NotifierError
        try:
            return self._client.request(method, url, headers=headers, **_form(body, pictures))
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            failure = NotifierUnavailable(f"{name}: {type(error).__name__}")
        except httpx.RequestError as error:
            failure = NotifierOutcomeUnknown(f"{name}: {type(error).__name__}")
        # Raised out here: httpx's error has the request in it, and with it a token.
        raise failure


def _form(body: Any, pictures: Sequence[Picture]) -> Mapping[str, Any]:
    """JSON, or a form with the JSON and the pictures in it."""
    if body is None:
        return {}
    if not pictures:
        return {"json": body}
    attachments = [
        {"id": str(number), "filename": picture.name, "description": picture.description[:1024]}
        for number, picture in enumerate(pictures)
    ]
    files: list[tuple[str, tuple[str | None, bytes, str]]] = [
        (
            "payload_json",
            (None, json.dumps({**body, "attachments": attachments}).encode(), "application/json"),
        )
    ]
    files += [
        (f"files[{number}]", (picture.name, picture.png, "image/png"))
        for number, picture in enumerate(pictures)
    ]
    return {"files": files}


def _read(answer: httpx.Response, name: str, read: Callable[[Any], Read]) -> Read:
    """What the answer says. Raises for every status of failure, and for an unusable answer."""
    status = answer.status_code
    if status >= httpx.codes.INTERNAL_SERVER_ERROR:
        raise NotifierOutcomeUnknown(f"{name}: {status}")
    body, broken = _json(answer)
    if answer.is_success:
        if broken:
            raise NotifierOutcomeUnknown(f"{name}: {status} with a broken answer")
        try:
            return read(body)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(map(str, first["loc"])) or "body"
            said = f"{place}: {first['msg']}"
        raise NotifierOutcomeUnknown(f"{name}: {status} with an unusable answer, {said}")
    refusal = body if isinstance(body, dict) else {}
    code = refusal.get("code")
    text = f"{name}: {status} {_refusal(refusal)}".strip()
    raise NotifierRefused(text, status=status, code=code if isinstance(code, int) else 0)


def _json(answer: httpx.Response) -> tuple[Any, bool]:
    """The body, None where there is none; and whether it can't be read."""
    try:
        return (answer.json() if answer.content else None), False
    except ValueError:
        return None, True


def _refusal(said: dict[str, Any]) -> str:
    """Discord's words, and of an invalid form the first place that is wrong."""
    place: list[str] = []
    inner: Any = said.get("errors")
    while isinstance(inner, dict) and inner and "_errors" not in inner:
        name, inner = next(iter(inner.items()))
        place.append(str(name))
    wrong = f" ({'.'.join(place)})" if place else ""
    return (str(said.get("message", "")) + wrong)[:200]


def _retry_after(answer: httpx.Response) -> float:
    """Seconds that a 429 asks for: its body, else its header, else a second."""
    body, _ = _json(answer)
    said = body.get("retry_after") if isinstance(body, dict) else None
    for value in (said, answer.headers.get("Retry-After")):
        try:
            seconds = float(value)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            continue
        if math.isfinite(seconds) and seconds >= 0:
            return seconds
    return 1.0


def _sent(raw: Any) -> SentMessage:
    wire = _WireMessage.model_validate(raw)
    return SentMessage(wire.id, wire.channel_id, wire.author.id, wire.timestamp, dict(raw))


def _sent_list(raw: Any) -> tuple[SentMessage, ...]:
    _WIRE_MESSAGES.validate_python(raw)
    return tuple(_sent(one) for one in raw)


def _users(raw: Any) -> list[_User]:
    return _USERS.validate_python(raw)
