"""`mahler serve`: the doors, the deliveries and the health of one desk, in one process."""

import gc
import logging
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from enum import StrEnum
from importlib import import_module

import uvicorn
from starlette.applications import Starlette

from mahler_pipelines.composition import ComposedDesk
from mahler_pipelines.errors import BadInput, BrokerError, SettingsError
from mahler_pipelines.messaging.commands import command_definitions
from mahler_pipelines.messaging.delivery import keep_delivering
from mahler_pipelines.messaging.notifier import Notifier, NotifierError
from mahler_pipelines.messaging.prompt_answers import PromptAnswers
from mahler_pipelines.settings import DiscordSettings, Mode
from mahler_pipelines.web.app import interactions_app
from mahler_pipelines.web.health import DeskHealth
from mahler_pipelines.web.signatures import Verifier

POLL_SECONDS = 1.0
GIVE_WAY_SECONDS = 1.0
STOP_SECONDS = 20.0
SWITCH_SECONDS = 0.001
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 2.0, 300.0

_log = logging.getLogger(__name__)


class Door(StrEnum):
    """How presses come in."""

    HTTP = "http"
    GATEWAY = "gateway"
    REACTIONS = "reactions"
    OFF = "off"


_IMPORTED_LATER = ("dagster", "matplotlib.backends.backend_agg")
"""Large packages that health and pictures import when they are first needed."""

_WHERE = {
    "public_key": "DISCORD_PUBLIC_KEY (developer portal, General Information)",
    "application_id": "DISCORD_APPLICATION_ID (developer portal, General Information)",
    "bot_token": "DISCORD_BOT_TOKEN (developer portal, Bot)",
    "channel_id": "DISCORD_CHANNEL_ID (in Discord, a right click on the channel)",
}


def door_in_use(settings: DiscordSettings) -> Door:
    """Decide `auto`, and see that everything the door needs is set.

    Raises `SettingsError` that names every missing setting and where to find its value.
    """
    if settings.door != "auto":
        door = Door(settings.door)
    elif settings.public_key:
        door = Door.HTTP
    else:
        door = Door.GATEWAY if settings.bot_token else Door.OFF
    if door is Door.OFF:
        return door
    needed = ["bot_token", "application_id", "channel_id"]
    needed += ["public_key"] if door is Door.HTTP else []
    missing = [_WHERE[name] for name in needed if not getattr(settings, name)]
    if missing:
        raise SettingsError("discord.door", door.value, f"needs {', '.join(missing)}")
    return door


def serve(
    desk: ComposedDesk, *, host: str, port: int, announce: Callable[[str, Door], None]
) -> None:
    """Serve until SIGTERM or SIGINT; `announce` is told the address once it answers.

    Two of them on one book are fine: interactions count once, and a lease lets one deliver. Raises
    `SettingsError` for what is missing, `BadInput` for a port that is taken, and what keeps the
    gateway's bot out.
    """
    door, public_key = door_in_use(desk.settings.discord), desk.settings.discord.public_key
    verifier = Verifier.of(public_key) if door is Door.HTTP and public_key else None
    listening = _listening(host, port)
    with ExitStack() as stack:
        stack.callback(listening.close)
        health = DeskHealth(
            terms=desk.terms,
            ledger=desk.ledger,
            lake=desk.lake,
            broker=lambda: desk.broker,
            dagster_home=desk.paths.dagster,
            is_local=desk.settings.mode is Mode.LOCAL,
        )
        stack.callback(health.close)
        _warm_up(desk)
        server = _Server(lambda url: announce(url, door))
        answers = _open_doors(desk, door, stack, server)
        server.serve_on(
            listening, interactions_app(answers=answers, verifier=verifier, health=health)
        )


def _warm_up(desk: ComposedDesk) -> None:
    """Do now what the first answers would wait for: imports, and the first connections."""
    for module in _IMPORTED_LATER:
        import_module(module)
    with desk.ledger.reading(desk.terms.account_id) as ledger:
        ledger.trading_state()
    with suppress(BrokerError):
        desk.market_clock.now()


def _open_doors(
    desk: ComposedDesk, door: Door, stack: ExitStack, server: "_Server"
) -> PromptAnswers | None:
    """Start what delivers and what hears, each until the stack is left; None with all closed."""
    if door is Door.OFF:
        return None
    notifier, stop = desk.notifier, threading.Event()
    answers = PromptAnswers(desk.handler)
    stack.callback(answers.close)
    # Drawing cards computes in this very process: people who press come first, for a second.
    courier = replace(desk.courier, give_way=lambda: answers.go_first(GIVE_WAY_SECONDS))
    begun = {
        "delivery": lambda: keep_delivering(courier, stop=stop, poll_seconds=POLL_SECONDS),
        "commands": lambda: _register(notifier, stop),
    }
    for name, work in begun.items():
        stack.enter_context(_thread(name, work, stop=stop.set, failed=server.fail))
    if door is Door.GATEWAY:
        from mahler_pipelines.adapters.discord.gateway import GatewayConnection, GatewayDoor

        settings = desk.settings.discord
        token = settings.bot_token.get_secret_value() if settings.bot_token else ""
        gateway = GatewayDoor(
            GatewayConnection(token, settings.base_url), answers=answers, notifier=notifier
        )
        stack.enter_context(_thread("gateway", gateway.run, stop=gateway.stop, failed=server.fail))
    return answers


def _register(notifier: Notifier, stop: threading.Event) -> None:
    """Make the slash commands known, as soon as Discord can be asked."""
    wait = FIRST_WAIT_SECONDS
    while not stop.is_set():
        try:
            notifier.register_commands(command_definitions())
        except NotifierError as error:
            _log.warning("the slash commands are not registered: %s", error)
        else:
            return
        stop.wait(wait)
        wait = min(wait * 2, LONGEST_WAIT_SECONDS)


@contextmanager
def _thread(
    name: str,
    work: Callable[[], None],
    *,
    stop: Callable[[], None],
    failed: Callable[[Exception], None],
) -> Iterator[None]:
    """Have work done beside the block, and have it stopped and waited for at its end."""

    def run() -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 whatever ends a part ends the program, in order
            failed(error)

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop()
        thread.join(STOP_SECONDS)


def _listening(host: str, port: int) -> socket.socket:
    """Take the port at once, so that a taken one is an error in words."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((host, port))
    except OSError as error:
        made.close()
        raise BadInput(
            "--port", port, f"cannot be used ({error.strerror}): choose another"
        ) from None
    return made


class _Server(uvicorn.Server):
    """Says where it listens once it answers, and ends when a part of the program fails."""

    def __init__(self, announce: Callable[[str], None]) -> None:
        super().__init__(uvicorn.Config("never.loaded:app", log_config=None))
        self._announce = announce
        self._failure: Exception | None = None

    def serve_on(self, listening: socket.socket, app: Starlette) -> None:
        """Serve until a signal; raise what a part of the program failed with."""
        self.config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            server_header=False,
            timeout_graceful_shutdown=5,
        )
        # What was imported stays: looking through it again and again would hold up answers. And
        # a thread that computes gives way sooner than after the usual five milliseconds.
        gc.collect()
        gc.freeze()
        sys.setswitchinterval(SWITCH_SECONDS)
        self.run(sockets=[listening])
        if self._failure is not None:
            raise self._failure

    def fail(self, error: Exception) -> None:
        """End, and raise this; from any thread."""
        self._failure = error
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen, and say where."""
        await super().startup(sockets)
        if self.started and sockets:
            host, port = sockets[0].getsockname()[:2]
            self._announce(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")
