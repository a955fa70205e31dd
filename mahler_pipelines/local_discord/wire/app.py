"""One ASGI application for all of it: REST, the gateway, control routes, files and the page."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount

from mahler_pipelines.errors import BadInput
from mahler_pipelines.local_discord.engine import Discord
from mahler_pipelines.local_discord.page import routes as page
from mahler_pipelines.local_discord.refusals import Refused, no_route
from mahler_pipelines.local_discord.wire import (
    applications,
    channels,
    control,
    gateway,
    interactions,
)
from mahler_pipelines.local_discord.wire.gatekeeper import BASE, Gatekeeper


def build_wire(discord: Discord) -> Starlette:
    """Return the application that serves a local Discord, and closes it when it shuts down."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        try:
            yield
        finally:
            discord.close()

    app = Starlette(
        routes=[
            Mount(
                BASE,
                routes=[*channels.ROUTES, *interactions.ROUTES, *applications.ROUTES],
            ),
            *gateway.ROUTES,
            *control.ROUTES,
            *page.ROUTES,
        ],
        middleware=[
            # A page of elsewhere whose name leads to this machine is turned away.
            Middleware(
                TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"], www_redirect=False
            ),
            Middleware(Gatekeeper, discord=discord),
        ],
        exception_handlers={
            Refused: _refused,
            BadInput: _bad_input,
            HTTPException: _no_route,
            Exception: _failed,
        },
        lifespan=lifespan,
    )
    app.state.discord = discord
    return app


async def _refused(_: Request, error: Exception) -> Response:
    refused = error if isinstance(error, Refused) else Refused(500, 0, str(error))
    return JSONResponse(refused.body, status_code=refused.status)


async def _bad_input(_: Request, error: Exception) -> Response:
    """Control routes say what a person cannot do."""
    return JSONResponse({"message": str(error)}, status_code=422)


async def _no_route(_: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    return JSONResponse(no_route(status).body, status_code=status)


async def _failed(_: Request, __: Exception) -> Response:
    """Answer as Discord does; Starlette raises the error again, so that the server logs it."""
    return JSONResponse({"message": "500: Internal Server Error", "code": 0}, status_code=500)
