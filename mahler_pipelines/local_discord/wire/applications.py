"""The application, its bot, its commands, and where the gateway is."""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mahler_pipelines.local_discord.commands import GLOBAL
from mahler_pipelines.local_discord.refusals import unknown_application, unknown_guild
from mahler_pipelines.local_discord.wire.requests import anything, discord_of


async def me(request: Request) -> Response:
    """GET /users/@me."""
    bot = discord_of(request).place.bot_user()
    return JSONResponse(bot | {"mfa_enabled": False, "locale": "en-US", "verified": True})


async def application(request: Request) -> Response:
    """GET /oauth2/applications/@me."""
    discord = discord_of(request)
    described: dict[str, Any] = {
        "id": discord.place.application_id,
        "name": "Mahler",
        "icon": None,
        "description": "A local Discord's application",
        "type": None,
        "bot": discord.place.bot_user(),
        "bot_public": False,
        "bot_require_code_grant": False,
        "verify_key": discord.key.public_hex,
        "flags": 0,
        "flags_new": "0",
        "redirect_uris": [],
        "interactions_endpoint_url": discord.endpoint.url,
        "role_connections_verification_url": None,
        "owner": next(iter(discord.place.people.values())).as_user(),
        "approximate_guild_count": 1,
        "approximate_user_install_count": 0,
        "approximate_user_authorization_count": 0,
        "explicit_content_filter": 0,
        "team": None,
        "eligible_oauth2_scopes": [],
    }
    return JSONResponse(described)


async def commands(request: Request) -> Response:
    """GET and PUT /applications/{id}/commands, and the same of a guild."""
    discord = discord_of(request)
    path = request.path_params
    if path["application_id"] != discord.place.application_id:
        raise unknown_application()
    scope = path.get("guild_id", GLOBAL)
    if scope not in (GLOBAL, discord.place.guild_id):
        raise unknown_guild()
    if request.method == "PUT":
        registered = discord.commands.overwrite(scope, await anything(request))
        discord.version += 1
        return JSONResponse(registered)
    return JSONResponse(discord.commands.listed(scope))


async def gateway(request: Request) -> Response:
    """GET /gateway."""
    return JSONResponse({"url": discord_of(request).gateway_url})


async def gateway_bot(request: Request) -> Response:
    """GET /gateway/bot."""
    limit = {"total": 1000, "remaining": 1000, "reset_after": 0, "max_concurrency": 1}
    url = discord_of(request).gateway_url
    return JSONResponse({"url": url, "shards": 1, "session_start_limit": limit})


_COMMANDS = "/applications/{application_id}"
ROUTES = [
    Route("/users/@me", me),
    Route("/oauth2/applications/@me", application),
    Route(_COMMANDS + "/commands", commands, methods=["GET", "PUT"]),
    Route(_COMMANDS + "/guilds/{guild_id}/commands", commands, methods=["GET", "PUT"]),
    Route("/gateway", gateway),
    Route("/gateway/bot", gateway_bot),
]
"""Routes under the base."""
