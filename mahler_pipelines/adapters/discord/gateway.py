"""The gateway door: interactions come over a connection that this machine opened.

discord.py keeps the connection (heartbeats, resuming, reconnecting). Its public event for raw
messages gives an interaction exactly as the HTTP door gets it, so both read it by one model; its
own buttons, views and command trees are not used, and a button of an earlier process is answered
like any other. Answers go by our own REST client.
"""

import asyncio
import json
import logging
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import discord
import httpx
import yarl
from discord.gateway import DiscordWebSocket
from discord.http import Route

from mahler_pipelines.errors import BadInput, MahlerError
from mahler_pipelines.messaging.answer import Answer
from mahler_pipelines.messaging.interaction import Interaction, InteractionKind, read_interaction
from mahler_pipelines.messaging.notifier import Notifier, NotifierError
from mahler_pipelines.messaging.prompt_answers import PromptAnswers

GATEWAY_DOOR = "discord-gateway"
DISCORD = "https://discord.com/api/v10"
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 1.0, 60.0
_ANSWER_SECONDS = 10.0
_INTERACTION_EVENT = "INTERACTION_CREATE"

_log = logging.getLogger(__name__)

# At debug level discord.py writes whole messages down, and with them the tokens of interactions.
logging.getLogger("discord").setLevel(logging.INFO)


class GatewayRefused(MahlerError):
    """Discord does not let this bot in, and would not the next time either."""


@dataclass(frozen=True, slots=True)
class GatewayConnection:
    """Who connects, and where. `base_url` is that of REST, which knows where the gateway is."""

    bot_token: str = field(repr=False)
    base_url: str = DISCORD


class GatewayDoor:
    """Hears interactions and has them answered; `run` it on a thread of its own.

    `notifier` gives first answers. discord.py knows one Discord per process, so all doors of a
    process speak to the same.
    """

    def __init__(
        self,
        connection: GatewayConnection,
        *,
        answers: PromptAnswers,
        notifier: Notifier,
        first_wait_seconds: float = FIRST_WAIT_SECONDS,
    ) -> None:
        self._connection = connection
        self._answers = answers
        self._notifier = notifier
        self._first_wait_seconds = first_wait_seconds
        self._stopping = threading.Event()
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped: asyncio.Event | None = None

    def run(self) -> None:
        """Stay connected until `stop`; raise `GatewayRefused` when Discord refuses the bot."""
        asyncio.run(self._run())

    def stop(self) -> None:
        """Leave, from any thread; `run` then returns once what was pressed is answered."""
        self._stopping.set()
        if self._loop is not None and self._stopped is not None:
            self._loop.call_soon_threadsafe(self._stopped.set)

    def wait_until_ready(self, timeout_seconds: float) -> bool:
        """Whether the bot has been let in within the time."""
        return self._ready.wait(timeout_seconds)

    async def _run(self) -> None:
        self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        if self._stopping.is_set():
            return
        wait = self._first_wait_seconds
        while not self._stopped.is_set():
            try:
                await self._stay_connected()
            except (OSError, aiohttp.ClientError, discord.HTTPException, httpx.HTTPError) as error:
                # discord.py comes back by itself, except where it was never let in.
                _log.warning("the gateway is not there: %s", type(error).__name__)
                await _either(self._stopped.wait(), asyncio.sleep(wait))
                wait = min(wait * 2, LONGEST_WAIT_SECONDS)

    async def _stay_connected(self) -> None:
        """Log in and listen until stopped; raise what keeps discord.py from being let in."""
        base = self._connection.base_url.rstrip("/")
        if base != DISCORD:
            gateway = await asyncio.to_thread(_gateway_of, base)
            Route.BASE, DiscordWebSocket.DEFAULT_GATEWAY = base, yarl.URL(gateway)
        client = _Listener(self._hear, self._ready.set, proxy=_proxy(base))
        assert self._stopped is not None  # noqa: S101 set by who calls this
        async with client:
            try:
                await _either(client.start(self._connection.bot_token), self._stopped.wait())
            except discord.LoginFailure:
                raise GatewayRefused(
                    "Discord does not know the bot's token: set DISCORD_BOT_TOKEN to what the "
                    "developer portal shows under Bot"
                ) from None
            except discord.ConnectionClosed as error:
                raise GatewayRefused(f"Discord closed the gateway with {error.code}") from None
            await client.answered()

    async def _hear(self, raw: object) -> None:
        """Have one interaction answered, at once and, where that was put off, in full."""
        try:
            interaction = read_interaction(raw)
        except BadInput as error:
            _log.warning("an interaction cannot be read: %s", error)
            return
        if interaction.kind is InteractionKind.PING:
            return
        answer = await self._answers.answer(interaction, door=GATEWAY_DOOR)
        if await self._answers.tell(lambda: self._tell(interaction, answer)):
            await self._answers.finish(interaction, answer)

    def _tell(self, interaction: Interaction, answer: Answer) -> bool:
        try:
            self._notifier.answer(interaction.id, interaction.token, answer.body())
        except NotifierError as error:
            # What was decided is in the ledger, and the card will show it.
            _log.warning("the answer to interaction %s was not taken: %s", interaction.id, error)
            return False
        return True


class _Listener(discord.Client):
    """discord.py's client without a cache, views or commands: raw interactions are handed on."""

    def __init__(
        self,
        hear: Callable[[object], Coroutine[Any, Any, None]],
        ready: Callable[[], None],
        *,
        proxy: str | None,
    ) -> None:
        # Interactions need no intent; `enable_debug_events` is what raw messages come by.
        super().__init__(
            intents=discord.Intents.none(), enable_debug_events=True, proxy=proxy, max_messages=None
        )
        self._hear = hear
        self._tell_ready = ready
        self._asked: set[asyncio.Task[None]] = set()

    async def on_connect(self) -> None:
        """Say that the gateway lets interactions through; `on_ready` would wait for guilds."""
        self._tell_ready()

    async def on_socket_raw_receive(self, message: str) -> None:
        """Hand an interaction on; discord.py gives every message as text, already unpacked."""
        if _INTERACTION_EVENT not in message:
            return
        event = json.loads(message)
        if event.get("t") == _INTERACTION_EVENT:
            task = asyncio.ensure_future(self._hear(event.get("d")))
            self._asked.add(task)
            task.add_done_callback(self._asked.discard)

    async def answered(self) -> None:
        """Wait until what was heard is answered."""
        if self._asked:
            await asyncio.wait(self._asked, timeout=_ANSWER_SECONDS)


def _gateway_of(base_url: str) -> str:
    """Ask another Discord than the usual one where its gateway is."""
    answer = httpx.get(
        f"{base_url}/gateway", timeout=_ANSWER_SECONDS, trust_env=_proxy(base_url) is not None
    )
    return str(answer.raise_for_status().json()["url"])


def _proxy(base_url: str) -> str | None:
    """The proxy that the environment names for this address, if any."""
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    if host in ("127.0.0.1", "localhost") or proxy_bypass(host):
        return None
    return getproxies().get(parts.scheme)


async def _either(*waited_for: Coroutine[Any, Any, object]) -> None:
    """Wait for the first of several, end the others, and raise what the first raised."""
    tasks = [asyncio.ensure_future(one) for one in waited_for]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()
