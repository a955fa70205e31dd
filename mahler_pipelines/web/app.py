"""The web application: `POST /discord/interactions`, `GET /health`, `GET /health/live`."""

import json
import logging
import time
from collections.abc import Callable
from typing import Any

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mahler_pipelines.messaging.answer import PONG
from mahler_pipelines.messaging.interaction import InteractionKind, read_interaction
from mahler_pipelines.messaging.prompt_answers import PromptAnswers
from mahler_pipelines.web.signatures import Verifier

HTTP_DOOR = "discord-http"
BODY_LIMIT = 256 * 1024
"""Bytes of an interaction: a modal's longest texts are far below."""

_log = logging.getLogger(__name__)


def interactions_app(
    *,
    answers: PromptAnswers | None,
    verifier: Verifier | None,
    health: Callable[[], dict[str, Any]],
    seconds: Callable[[], float] = time.time,
) -> Starlette:
    """Make the application; without answers and a verifier it has no interactions.

    `seconds` is the machine's clock, by which a signature's timestamp is stale.
    """
    routes = [
        Route("/health/live", _live, methods=["GET"]),
        Route("/health", _health(health), methods=["GET"]),
    ]
    if answers is not None and verifier is not None:
        endpoint = _interactions(answers, verifier, seconds)
        routes.append(Route("/discord/interactions", endpoint, methods=["POST"]))
    return Starlette(routes=routes)


async def _live(_request: Request) -> Response:
    return JSONResponse({"status": "live"})


def _health(health: Callable[[], dict[str, Any]]) -> Callable[[Request], Any]:
    async def endpoint(_request: Request) -> Response:
        found = await run_in_threadpool(health)
        return JSONResponse(found, status_code=200 if found["status"] == "ok" else 503)

    return endpoint


def _interactions(
    answers: PromptAnswers, verifier: Verifier, seconds: Callable[[], float]
) -> Callable[[Request], Any]:
    async def endpoint(request: Request) -> Response:
        body = await _body(request)
        if body is None:
            return _said(413, "too large")
        forged = verifier.forged(request.headers, body, now=seconds())
        if forged is not None:
            _log.warning("an interaction was refused: %s", forged)
            return _said(401, "invalid request signature")
        try:
            interaction = read_interaction(json.loads(body))
        except (ValueError, RecursionError) as error:
            _log.warning("an interaction cannot be read: %s", type(error).__name__)
            return _said(400, "not an interaction")
        if interaction.kind is InteractionKind.PING:
            return JSONResponse(PONG.body())
        answer = await answers.answer(interaction, door=HTTP_DOOR)
        task = BackgroundTask(answers.finish, interaction, answer) if answer.later else None
        return JSONResponse(answer.body(), background=task)

    return endpoint


async def _body(request: Request) -> bytes | None:
    """The whole body; None once it is too large, and b"" of a sender who went away."""
    read = bytearray()
    try:
        async for chunk in request.stream():
            read += chunk
            if len(read) > BODY_LIMIT:
                return None
    except ClientDisconnect:
        return b""
    return bytes(read)


def _said(status: int, message: str) -> Response:
    return JSONResponse({"message": message}, status_code=status)
