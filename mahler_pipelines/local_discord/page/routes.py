"""The page, its pieces and the files of messages."""

from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from mahler_pipelines.local_discord.engine import Discord
from mahler_pipelines.local_discord.messages import Message
from mahler_pipelines.local_discord.page.markup import render
from mahler_pipelines.local_discord.people import CHANNEL_ID, YOU_ID, Person
from mahler_pipelines.local_discord.wire.requests import discord_of

_HERE = Path(__file__).parent
_SHOWN = 100
_SAFE = {
    # No script, style or picture of elsewhere: a message can't make a browser leave the machine.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';"
        " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def _environment() -> Environment:
    loader = FileSystemLoader(_HERE / "templates")
    made = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["clock"] = lambda text: datetime.fromisoformat(text).astimezone().strftime("%H:%M")
    made.filters["kilobytes"] = lambda size: f"{max(size / 1024, 0.1):,.1f} kB"
    made.filters["colour"] = lambda number: f"#{number:06x}"
    made.tests["local"] = lambda url: urlsplit(url).path.startswith("/attachments/")
    made.filters["local_path"] = lambda url: urlsplit(url).path
    return made


_TEMPLATES = _environment()


async def page(request: Request) -> Response:
    """GET /: the page, as the chosen person sees it."""
    discord = discord_of(request)
    text = _TEMPLATES.get_template("page.html").render(
        person=_person(discord, request),
        people=[
            (one, [discord.place.roles[role] for role in one.roles])
            for one in discord.place.people.values()
        ],
        channel=discord.place.channels[CHANNEL_ID],
        messages=_messages(discord, _person(discord, request)),
    )
    return HTMLResponse(text, headers=_SAFE)


async def messages(request: Request) -> Response:
    """GET /page/messages?user=ID&since=VERSION: the messages, or 204 where nothing changed."""
    discord = discord_of(request)
    if request.query_params.get("since") == str(discord.version):
        return Response(status_code=204, headers=_SAFE)
    text = _messages(discord, _person(discord, request))
    return HTMLResponse(text, headers=_SAFE | {"X-Version": str(discord.version)})


async def commands(request: Request) -> Response:
    """GET /page/commands: what can be called."""
    return JSONResponse(discord_of(request).commands.offered(), headers=_SAFE)


async def attachment(request: Request) -> Response:
    """GET /attachments/{channel_id}/{attachment_id}/{filename}: only pictures are shown."""
    path = request.path_params
    found = discord_of(request).channels.file(path["channel_id"], path["attachment_id"])
    if found is None:
        return PlainTextResponse("This content is no longer available.", 404)
    one, content = found
    is_picture = one.content_type.startswith("image/")
    headers = {
        "Content-Disposition": "inline" if is_picture else "attachment",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'",
    }
    return Response(content, media_type=one.content_type, headers=headers)


def _person(discord: Discord, request: Request) -> Person:
    found = discord.place.find(request.query_params.get("user", YOU_ID))
    return found or discord.place.people[YOU_ID]


def _messages(discord: Discord, person: Person) -> str:
    seen = discord.channels.seen(CHANNEL_ID, person.id)[-_SHOWN:]
    return _TEMPLATES.get_template("messages.html").render(
        messages=[_shown(discord, one, person) for one in seen],
        failure=discord.interactions.failures.get((None, person.id)),
        markup=lambda text: render(text, discord.place),
        person=person,
    )


def _shown(discord: Discord, message: Message, person: Person) -> dict[str, Any]:
    """A message as the template reads it: Discord's object, and what this person sees of it."""
    shown = message.view(discord.place, discord.url)
    return shown | {
        "is_ephemeral": message.seen_by is not None,
        "is_loading": bool(message.flags & 128),
        "is_pinging": message.mention_everyone
        or person.id in message.mentions
        or bool(set(person.roles) & set(message.mention_roles)),
        "hides_embeds": bool(message.flags & 4),
        "failure": discord.interactions.failures.get((message.id, person.id)),
        "chips": [
            {"emoji": emoji, "count": len(users), "mine": person.id in users}
            for emoji, users in message.reactions.items()
        ],
    }


ROUTES = [
    Route("/", page),
    Route("/page/messages", messages),
    Route("/page/commands", commands),
    Route("/attachments/{channel_id}/{attachment_id}/{filename}", attachment),
    Mount("/page/static", StaticFiles(directory=_HERE / "static")),
]
"""What a browser asks for."""
