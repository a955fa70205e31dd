"""Channels, their messages and reactions, and the guild they are in."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mahler_pipelines.local_discord.drafts import read_draft
from mahler_pipelines.local_discord.messages import Message
from mahler_pipelines.local_discord.refusals import unknown_guild, unknown_user
from mahler_pipelines.local_discord.wire.requests import (
    count,
    discord_of,
    snowflake,
    table,
    view,
)


async def get_channel(request: Request) -> Response:
    """GET /channels/{channel_id}."""
    discord = discord_of(request)
    channel_id = discord.channels.require(request.path_params["channel_id"])
    messages = discord.channels.seen(channel_id)
    channel = discord.place.channel(channel_id)
    channel["last_message_id"] = messages[-1].id if messages else None
    return JSONResponse(channel)


async def messages(request: Request) -> Response:
    """GET and POST /channels/{channel_id}/messages."""
    discord = discord_of(request)
    channel_id = discord.channels.require(request.path_params["channel_id"])
    if request.method == "POST":
        body, uploads = await table(request)
        draft = read_draft(body, uploads)
        return JSONResponse(view(request, discord.channels.create(channel_id, draft, uploads)))
    found = discord.channels.page(
        channel_id,
        limit=count(request, "limit", default=50, most=100),
        before=snowflake(request, "before"),
        after=snowflake(request, "after"),
        around=snowflake(request, "around"),
    )
    return JSONResponse([view(request, one) for one in found])


async def message(request: Request) -> Response:
    """GET, PATCH and DELETE /channels/{channel_id}/messages/{message_id}."""
    discord = discord_of(request)
    found = _message(request)
    if request.method == "DELETE":
        discord.channels.delete(found)
        return Response(status_code=204)
    if request.method == "PATCH":
        body, uploads = await table(request)
        draft = read_draft(body, uploads, second_version=found.second_version)
        found = discord.channels.edit(found, draft, uploads)
    return JSONResponse(view(request, found))


async def own_reaction(request: Request) -> Response:
    """PUT and DELETE …/reactions/{emoji}/@me."""
    discord = discord_of(request)
    change = discord.react if request.method == "PUT" else discord.unreact
    change(_message(request), request.path_params["emoji"], discord.place.application_id)
    return Response(status_code=204)


async def other_reaction(request: Request) -> Response:
    """DELETE …/reactions/{emoji}/{user_id}."""
    discord = discord_of(request)
    user_id = request.path_params["user_id"]
    if user_id not in discord.place.people:
        raise unknown_user()
    discord.unreact(_message(request), request.path_params["emoji"], user_id)
    return Response(status_code=204)


async def reactions(request: Request) -> Response:
    """GET and DELETE …/reactions/{emoji}: who reacted, by user id."""
    discord = discord_of(request)
    found = _message(request)
    emoji = request.path_params["emoji"]
    if request.method == "DELETE":
        discord.channels.unreact_all(found, emoji)
        return Response(status_code=204)
    limit = count(request, "limit", default=25, most=100)
    after = int(snowflake(request, "after") or 0)
    users = sorted(found.reactions.get(emoji, []), key=int)
    chosen = [one for one in users if int(one) > after][:limit]
    return JSONResponse([discord.place.user(one) for one in chosen])


async def all_reactions(request: Request) -> Response:
    """DELETE …/reactions."""
    discord_of(request).channels.unreact_all(_message(request))
    return Response(status_code=204)


async def guild(request: Request) -> Response:
    """GET /guilds/{guild_id} and its /roles."""
    discord = discord_of(request)
    if request.path_params["guild_id"] != discord.place.guild_id:
        raise unknown_guild()
    if request.url.path.endswith("/roles"):
        return JSONResponse(discord.place.role_list())
    return JSONResponse(discord.place.guild())


def _message(request: Request) -> Message:
    path = request.path_params
    return discord_of(request).channels.get(path["channel_id"], path["message_id"])


_MESSAGE = "/channels/{channel_id}/messages/{message_id}"
ROUTES = [
    Route("/channels/{channel_id}", get_channel),
    Route("/channels/{channel_id}/messages", messages, methods=["GET", "POST"]),
    Route(_MESSAGE, message, methods=["GET", "PATCH", "DELETE"]),
    Route(_MESSAGE + "/reactions", all_reactions, methods=["DELETE"]),
    Route(_MESSAGE + "/reactions/{emoji}", reactions, methods=["GET", "DELETE"]),
    Route(_MESSAGE + "/reactions/{emoji}/@me", own_reaction, methods=["PUT", "DELETE"]),
    Route(_MESSAGE + "/reactions/{emoji}/{user_id}", other_reaction, methods=["DELETE"]),
    Route("/guilds/{guild_id}", guild),
    Route("/guilds/{guild_id}/roles", guild),
]
"""Routes under the base."""
