"""Alpaca's wire in front of the exchange: one ASGI application for all of its REST hosts.

Handlers run on the event loop one after another, which is what serialises the exchange.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mahler_pipelines.exchange.clock import ClockRefusal
from mahler_pipelines.exchange.engine import Exchange
from mahler_pipelines.exchange.wire import contracts, control, options, stocks, trading
from mahler_pipelines.exchange.wire.errors import INTERNAL, RATE_LIMITED, WireRefusal, unprocessable

REQUESTS_PER_MINUTE = 100_000
"""Alpaca allows 200; a desk that replays months in minutes needs more."""

JOURNAL_LENGTH = 1000
_TICK_SECONDS = 0.25


@dataclass(slots=True)
class RateLimit:
    """Requests of each account in the running minute of real time."""

    per_minute: int
    seconds: Callable[[], float] = time.time
    _minute: int = 0
    _counts: dict[str, int] = field(default_factory=dict)

    def spend(self, account: str) -> dict[str, str]:
        """Count a request and return its headers; raise 429 beyond the limit."""
        minute = int(self.seconds()) // 60
        if minute != self._minute:
            self._minute, self._counts = minute, {}
        used = self._counts[account] = self._counts.get(account, 0) + 1
        headers = {
            "X-RateLimit-Limit": str(self.per_minute),
            "X-RateLimit-Remaining": str(max(0, self.per_minute - used)),
            "X-RateLimit-Reset": str((minute + 1) * 60),
        }
        if used > self.per_minute:
            raise RateLimited(headers)
        return headers


class RateLimited(WireRefusal):
    """Too many requests in this minute; carries the headers that say when there are more."""

    def __init__(self, headers: dict[str, str]) -> None:
        super().__init__(429, RATE_LIMITED, "rate limit exceeded")
        self.headers = headers


class Gatekeeper:
    """Checks keys, counts requests, lets a running clock catch up, and keeps the journal."""

    def __init__(self, app: ASGIApp, *, exchange: Exchange, limit: RateLimit) -> None:
        self._app = app
        self._exchange = exchange
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it here."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        self._exchange.catch_up()
        extra: dict[str, str] = {}

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(extra)
                self._note(scope, message["status"])
            await send(message)

        try:
            if not scope["path"].startswith("/control/"):
                extra = self._admit(scope)
        except WireRefusal as refusal:
            extra = refusal.headers if isinstance(refusal, RateLimited) else {}
            answer = JSONResponse(refusal.body, status_code=refusal.status)
            await answer(scope, receive, noting)
            return
        await self._app(scope, receive, noting)

    def _admit(self, scope: Scope) -> dict[str, str]:
        headers = Headers(scope=scope)
        account = self._exchange.authenticate(
            headers.get("APCA-API-KEY-ID", ""), headers.get("APCA-API-SECRET-KEY", "")
        )
        if account is None:
            raise WireRefusal(401, None, "unauthorized")
        scope["account"] = account
        return self._limit.spend(account)

    def _note(self, scope: Scope, status: int) -> None:
        query = scope["query_string"].decode("latin-1")
        journal: deque[dict[str, object]] = scope["app"].state.journal
        journal.append(
            {
                "at": self._exchange.now.isoformat(),
                "method": scope["method"],
                "path": scope["path"] + (f"?{query}" if query else ""),
                "status": status,
                "account": scope.get("account"),
            }
        )


def build_wire(exchange: Exchange, *, limit: RateLimit | None = None) -> Starlette:
    """Return the application that serves an exchange; it closes the exchange when it shuts down."""
    limit = limit or RateLimit(REQUESTS_PER_MINUTE)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        ticking = asyncio.create_task(_tick(exchange))
        try:
            yield
        finally:
            ticking.cancel()
            with suppress(asyncio.CancelledError):
                await ticking
            exchange.close()

    app = Starlette(
        routes=[
            *trading.ROUTES,
            *contracts.ROUTES,
            *options.ROUTES,
            *stocks.ROUTES,
            *control.ROUTES,
        ],
        middleware=[Middleware(Gatekeeper, exchange=exchange, limit=limit)],
        exception_handlers={
            WireRefusal: _refused,
            ClockRefusal: _clock_refused,
            HTTPException: _no_route,
            Exception: _failed,
        },
        lifespan=lifespan,
    )
    app.state.exchange = exchange
    app.state.journal = deque(maxlen=JOURNAL_LENGTH)
    return app


async def _tick(exchange: Exchange) -> None:
    """Let a running clock act between requests."""
    while True:
        await asyncio.sleep(_TICK_SECONDS)
        exchange.catch_up()


async def _refused(_: Request, error: Exception) -> Response:
    refusal = error if isinstance(error, WireRefusal) else unprocessable(str(error))
    return JSONResponse(refusal.body, status_code=refusal.status)


async def _clock_refused(_: Request, error: Exception) -> Response:
    return JSONResponse(unprocessable(str(error)).body, status_code=422)


async def _no_route(_: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    code = status * 100_000 + 10_000
    return JSONResponse({"code": code, "message": "endpoint not found."}, status_code=status)


async def _failed(_: Request, __: Exception) -> Response:
    """Answer as Alpaca does; Starlette raises the error again, so that the server logs it."""
    body = {"code": INTERNAL, "message": "internal server error occurred"}
    return JSONResponse(body, status_code=500)
