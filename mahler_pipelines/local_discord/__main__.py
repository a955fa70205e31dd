"""Run the local Discord: `python -m mahler_pipelines.local_discord --port P --state DIR`.

The bot's token is read from LOCAL_DISCORD_TOKEN, `local.bot.token` without it.
"""

import argparse
import os
import sys
from pathlib import Path

from mahler_pipelines.errors import MahlerError
from mahler_pipelines.local_discord.engine import Discord, DiscordTerms
from mahler_pipelines.local_discord.faults import read_faults
from mahler_pipelines.local_discord.limits import Allowance
from mahler_pipelines.local_discord.people import LOCAL_TOKEN, TOKEN_VARIABLE
from mahler_pipelines.local_discord.server import serve
from mahler_pipelines.local_discord.wire.app import build_wire


def main(arguments: list[str] | None = None) -> int:
    """Read the command line, serve until stopped, and return the exit code."""
    options = _parser().parse_args(arguments)
    if options.die_with_parent:
        from mahler_pipelines.local_discord.process import die_with_parent

        die_with_parent(options.die_with_parent)
    messages = Allowance(options.messages, options.window)
    terms = DiscordTerms(os.environ.get(TOKEN_VARIABLE, LOCAL_TOKEN), messages, options.per_second)
    try:
        faults = None if options.faults is None else read_faults(options.faults)
        discord = Discord(options.state, terms)
    except MahlerError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if faults is not None:
        discord.faults = faults
    serve(build_wire(discord), discord, options.state, port=options.port)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="mahler_pipelines.local_discord", description=__doc__)
    parser.add_argument("--state", required=True, type=Path, help="folder of messages and key")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free port")
    parser.add_argument(
        "--messages", type=_positive, default=5, help="messages per channel and window"
    )
    parser.add_argument("--window", type=float, default=5.0, metavar="SECONDS")
    parser.add_argument(
        "--per-second", type=_positive, default=50, help="requests of the bot in a second"
    )
    parser.add_argument("--faults", type=Path, metavar="FILE", help="JSON rules of faults to play")
    parser.add_argument("--die-with-parent", type=int, metavar="PID", help=argparse.SUPPRESS)
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not positive")
    return number


if __name__ == "__main__":
    raise SystemExit(main())
