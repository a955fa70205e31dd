"""`mahler serve`: Discord's doors, deliveries and the health of the desk."""

import logging
from typing import TYPE_CHECKING, Annotated

import typer

from mahler_pipelines.cli.context import load_desk
from mahler_pipelines.cli.services import LOOPBACK, stopped_by_signals
from mahler_pipelines.cli.terminal import console

if TYPE_CHECKING:
    from mahler_pipelines.web.serving import Door

PORT = 8080
_DOORS = {
    "http": "Discord asks {url}/discord/interactions",
    "gateway": "by Discord's gateway",
    "reactions": "by reactions, which the daemon polls",
    "off": "closed: no Discord is set up (docs/discord.md says how)",
}


def serve(
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0 picks a free one.")] = PORT,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = LOOPBACK,
    market: Annotated[str | None, typer.Option(help="sim:SEED or archive:PATH.")] = None,
) -> None:
    """Deliver cards to Discord, answer what is pressed there, and say how the desk is.

    It runs beside `mahler dev` or a daemon on the same book. Ctrl-C stops it.
    """
    from mahler_pipelines.web.serving import serve as serve_desk

    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("mahler_pipelines").setLevel(logging.INFO)
    desk = load_desk(market=market)

    def announce(url: str, door: "Door") -> None:
        console.print(f"[bold]{desk.paths.book}[/bold] is served; Ctrl-C stops it")
        console.print(f"  answers    {_DOORS[door].format(url=url)}")
        console.print(f"  health     {url}/health")

    with stopped_by_signals():
        serve_desk(desk, host=host, port=port, announce=announce)
