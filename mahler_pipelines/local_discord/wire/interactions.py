"""Answers to interactions: the callback, and the webhook that its token opens."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mahler_pipelines.local_discord.interactions import Callback, told
from mahler_pipelines.local_discord.wire.requests import discord_of, table, view

_TRUE = ("true", "1")
"""Discord takes both; discord.py writes 1."""


async def callback(request: Request) -> Response:
    """POST /interactions/{id}/{token}/callback."""
    discord = discord_of(request)
    path = request.path_params
    body, uploads = await table(request)
    one = discord.interactions.find(path["interaction_id"], path["token"])
    discord.interactions.answer(one, body, uploads)
    discord.version += 1
    if request.query_params.get("with_response", "") not in _TRUE:
        return Response(status_code=204)
    shown = None if one.callback is Callback.MODAL else one.response_id
    message = None if shown is None else discord.channels.find(shown)
    return JSONResponse(told(one, message, None if message is None else view(request, message)))


async def follow_up(request: Request) -> Response:
    """POST /webhooks/{application_id}/{token}."""
    discord = discord_of(request)
    path = request.path_params
    one = discord.interactions.by_token(path["application_id"], path["token"])
    body, uploads = await table(request)
    return JSONResponse(view(request, discord.interactions.follow_up(one, body, uploads)))


async def response(request: Request) -> Response:
    """GET, PATCH and DELETE /webhooks/{application_id}/{token}/messages/{message_id}."""
    discord = discord_of(request)
    path = request.path_params
    one = discord.interactions.by_token(path["application_id"], path["token"])
    found = discord.interactions.response(one, path["message_id"])
    if request.method == "DELETE":
        discord.channels.delete(found)
        return Response(status_code=204)
    if request.method == "PATCH":
        body, uploads = await table(request)
        found = discord.interactions.edit(found, body, uploads)
    return JSONResponse(view(request, found))


ROUTES = [
    Route("/interactions/{interaction_id}/{token}/callback", callback, methods=["POST"]),
    Route("/webhooks/{application_id}/{token}", follow_up, methods=["POST"]),
    Route(
        "/webhooks/{application_id}/{token}/messages/{message_id}",
        response,
        methods=["GET", "PATCH", "DELETE"],
    ),
]
"""Routes under the base."""
