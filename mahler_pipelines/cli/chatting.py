"""The chat of `mahler dev`: the real Discord where there are keys, else one on this machine."""

import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mahler_pipelines.cli.companions import Companions
from mahler_pipelines.cli.services import LOOPBACK, wait_until_it_answers
from mahler_pipelines.composition import ComposedDesk
from mahler_pipelines.settings import Mode

if TYPE_CHECKING:
    from mahler_pipelines.local_discord.process import LocalDiscord

_BY_HTTP = ("auto", "http")


@dataclass(frozen=True)
class Chat:
    """What a desk talks to; without `local` it is Discord itself."""

    local: "LocalDiscord | None"
    door: str

    @property
    def environment(self) -> Mapping[str, str]:
        """What every program of the desk has to be told, so that it speaks to this chat."""
        if self.local is None:
            return {}
        from mahler_pipelines.local_discord.people import CHANNEL_ID, GUILD_ID, YOU_ID

        return {
            **self.local.environment,
            "DISCORD_GUILD_ID": GUILD_ID,
            "DISCORD_CHANNEL_ID": CHANNEL_ID,
            "DISCORD_APPROVERS": YOU_ID,
        }

    def serve(self, held: Companions, *, port: int = 0) -> str:
        """Start `mahler serve` beside the others and return its address once it answers."""
        port = port or _free_port()
        held.start("serve", "mahler_pipelines", ["serve", "--port", str(port)])
        wait_until_it_answers(held, "serve", port, "/health/live")
        url = f"http://{LOOPBACK}:{port}"
        if self.local is not None and self.door in _BY_HTTP:
            self.local.control.set_endpoint(f"{url}/discord/interactions")
        return url


@contextmanager
def chat_of(desk: ComposedDesk) -> Iterator[Chat | None]:
    """Yield the desk's chat: a local one without keys, None where neither is wanted.

    A broker's desk has the real one or none. Raises `SettingsError` for keys of which some are
    missing.
    """
    from mahler_pipelines.web.serving import Door, door_in_use

    settings = desk.settings.discord
    if settings.bot_token is not None or settings.public_key is not None:
        door = door_in_use(settings)
        yield None if door is Door.OFF else Chat(None, door.value)
    elif desk.settings.mode is Mode.LOCAL and settings.door != "off":
        from mahler_pipelines.local_discord.process import LocalDiscord

        with LocalDiscord(desk.paths.discord) as local:
            yield Chat(local, settings.door)
    else:
        yield None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])
