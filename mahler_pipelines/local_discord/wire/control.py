"""Routes that steer the local Discord: people act, the endpoint is set, faults are played."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mahler_pipelines.errors import BadInput
from mahler_pipelines.local_discord.engine import LONGEST_JOURNAL, Discord
from mahler_pipelines.local_discord.faults import FaultBook, parse_faults
from mahler_pipelines.local_discord.interactions import Interaction
from mahler_pipelines.local_discord.people import CHANNEL_ID
from mahler_pipelines.local_discord.wire.requests import discord_of, view

_SPARE_SECONDS = 1.0


async def status(request: Request) -> Response:
    """GET /control/status."""
    return JSONResponse(discord_of(request).status())


async def endpoint(request: Request) -> Response:
    """PUT and DELETE /control/endpoint."""
    discord = discord_of(request)
    url = None if request.method == "DELETE" else _text(await _body(request), "url")
    await discord.set_endpoint(url)
    return JSONResponse({"endpoint": discord.endpoint.url})


async def probe(request: Request) -> Response:
    """POST /control/probe."""
    return JSONResponse({"held": await discord_of(request).probe()})


async def click(request: Request) -> Response:
    """POST /control/click."""
    discord = discord_of(request)
    body = await _body(request)
    values = body.get("values")
    if values is not None and not isinstance(values, list):
        raise BadInput("values", values, "is no list")
    one = discord.click(
        _text(body, "message"), _text(body, "custom_id"), _text(body, "user"), values
    )
    return await _outcome(discord, one, body)


async def submit(request: Request) -> Response:
    """POST /control/submit."""
    discord = discord_of(request)
    body = await _body(request)
    values = _table(body, "values")
    one = discord.submit(_text(body, "interaction"), values, _text(body, "user"))
    return await _outcome(discord, one, body)


async def command(request: Request) -> Response:
    """POST /control/command."""
    discord = discord_of(request)
    body = await _body(request)
    one = discord.command(_text(body, "name"), _table(body, "options"), _text(body, "user"))
    return await _outcome(discord, one, body)


async def react(request: Request) -> Response:
    """POST and DELETE /control/react."""
    discord = discord_of(request)
    body = await _body(request)
    message = discord.channels.find(_text(body, "message"))
    if message is None or message.seen_by is not None:
        raise BadInput("message", body["message"], "is not there")
    change = discord.react if request.method == "POST" else discord.unreact
    change(message, _text(body, "emoji"), discord.person(_text(body, "user")).id)
    return JSONResponse(view(request, message))


async def people(request: Request) -> Response:
    """POST /control/people."""
    body = await _body(request)
    roles = body.get("roles", [])
    if not isinstance(roles, list):
        raise BadInput("roles", roles, "is no list")
    person = discord_of(request).add_person(_text(body, "name"), [str(one) for one in roles])
    return JSONResponse({"id": person.id, "name": person.name, "roles": list(person.roles)})


async def messages(request: Request) -> Response:
    """GET /control/messages: what a person sees, ephemeral answers to them too."""
    discord = discord_of(request)
    who = request.query_params.get("user")
    person = None if who is None else discord.person(who).id
    found = discord.channels.seen(request.query_params.get("channel", CHANNEL_ID), person)
    return JSONResponse([view(request, one) for one in found[-_limit(request, 1000) :]])


async def interactions(request: Request) -> Response:
    """GET /control/interactions."""
    recent = discord_of(request).interactions.recent(_limit(request, LONGEST_JOURNAL))
    return JSONResponse([one.as_json() for one in recent])


async def journal(request: Request) -> Response:
    """GET /control/journal."""
    rows = list(discord_of(request).journal)
    return JSONResponse(rows[-_limit(request, LONGEST_JOURNAL) :])


async def faults(request: Request) -> Response:
    """GET, PUT and DELETE /control/faults."""
    discord = discord_of(request)
    if request.method == "PUT":
        discord.faults = parse_faults(await request.body(), source="body")
    elif request.method == "DELETE":
        discord.faults = FaultBook()
    return JSONResponse(discord.faults.as_json())


async def outage(request: Request) -> Response:
    """POST and DELETE /control/outage."""
    discord = discord_of(request)
    discord.set_outage(request.method == "POST")
    return JSONResponse({"outage": discord.is_out})


async def gateway(request: Request) -> Response:
    """POST /control/gateway: what Discord does to connections now and then."""
    discord = discord_of(request)
    body = await _body(request)
    does: dict[str, Callable[[], int]] = {
        "reconnect": discord.gateway.reconnect,
        "invalidate": lambda: discord.gateway.invalidate(resumable=False),
        "invalidate_resumable": lambda: discord.gateway.invalidate(resumable=True),
        "drop": discord.gateway.hang_up,
    }
    wanted = _text(body, "do")
    if wanted not in does:
        raise BadInput("do", wanted, f"is none of {', '.join(does)}")
    return JSONResponse({"told": does[wanted]()})


async def _outcome(discord: Discord, one: Interaction, body: dict[str, Any]) -> Response:
    """Answer once the interaction was answered or failed, unless the body says not to wait."""
    if body.get("wait", True):
        async with asyncio.timeout(discord.terms.first_answer_seconds + _SPARE_SECONDS):
            await one.done.wait()
    return JSONResponse(one.as_json())


async def _body(request: Request) -> dict[str, Any]:
    """Read an object."""
    try:
        read = json.loads(await request.body())
    except ValueError as error:
        raise BadInput("body", "", f"is no JSON: {error}") from None
    if not isinstance(read, dict):
        raise BadInput("body", read, "is no object")
    return read


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str):
        raise BadInput(name, value, "is no text")
    return value


def _table(body: dict[str, Any], name: str) -> dict[str, Any]:
    value = body.get(name, {})
    if not isinstance(value, dict):
        raise BadInput(name, value, "is no object")
    return value


def _limit(request: Request, largest: int) -> int:
    text = request.query_params.get("limit", "100")
    if not text.isdecimal() or not 1 <= int(text) <= largest:
        raise BadInput("limit", text, f"is no number from 1 to {largest}")
    return int(text)


ROUTES = [
    Route("/control/status", status),
    Route("/control/endpoint", endpoint, methods=["PUT", "DELETE"]),
    Route("/control/probe", probe, methods=["POST"]),
    Route("/control/click", click, methods=["POST"]),
    Route("/control/submit", submit, methods=["POST"]),
    Route("/control/command", command, methods=["POST"]),
    Route("/control/react", react, methods=["POST", "DELETE"]),
    Route("/control/people", people, methods=["POST"]),
    Route("/control/messages", messages),
    Route("/control/interactions", interactions),
    Route("/control/journal", journal),
    Route("/control/faults", faults, methods=["GET", "PUT", "DELETE"]),
    Route("/control/outage", outage, methods=["POST", "DELETE"]),
    Route("/control/gateway", gateway, methods=["POST"]),
]
"""Control routes; no other door of the application leads to a person's act."""
