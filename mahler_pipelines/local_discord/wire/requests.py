"""What handlers read of a request."""

from typing import Any

from starlette.requests import Request

from mahler_pipelines.local_discord.bodies import read_answer, read_body
from mahler_pipelines.local_discord.drafts import Upload
from mahler_pipelines.local_discord.engine import Discord
from mahler_pipelines.local_discord.messages import Message
from mahler_pipelines.local_discord.refusals import Form


def discord_of(request: Request) -> Discord:
    """Return the local Discord that serves a request."""
    served: Discord = request.app.state.discord
    return served


def view(request: Request, message: Message) -> dict[str, Any]:
    """Return Discord's message object."""
    discord = discord_of(request)
    return message.view(discord.place, discord.url)


async def table(request: Request) -> tuple[dict[str, Any], dict[int, Upload]]:
    """Return a body that has to be an object, and its files."""
    return read_answer(request.headers.get("content-type", ""), await request.body())


async def anything(request: Request) -> Any:
    """Return a body's JSON."""
    return read_body(request.headers.get("content-type", ""), await request.body())[0]


def count(request: Request, name: str, *, default: int, most: int) -> int:
    """Read a number of the query from 1 on; raise 50035."""
    text = request.query_params.get(name)
    if text is None:
        return default
    form = Form()
    number = int(text) if text.isdecimal() and len(text) < 10 else text
    read = form.number(number, (name,), least=1, most=most)
    form.require()
    return read or default


def snowflake(request: Request, name: str) -> str | None:
    """Read an id of the query; raise 50035."""
    text = request.query_params.get(name)
    if text is not None and not (text.isdecimal() and len(text) <= 20):
        form = Form()
        said = f'Value "{text}" is not snowflake.'
        form.wrong((name,), "NUMBER_TYPE_COERCE", said)
        form.require()
    return text
