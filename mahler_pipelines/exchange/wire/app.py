"""Alpaca's wire in front of the exchange: one ASGI application for all of its REST hosts.

Handlers run on the event loop one after another, which is what serialises the exchange.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mahler_pipelines.exchange.clock import ClockRefusal
from mahler_pipelines.exchange.engine import Exchange
from mahler_pipelines.exchange.faults import NO_FAULTS, FaultPlan
from mahler_pipelines.exchange.faults_due import FaultBook
from mahler_pipelines.exchange.wire import (
    activities,
    closing,
    contracts,
    control,
    corporate_actions,
    exercises,
    option_stream,
    options,
    orders,
    portfolio,
    stocks,
    stream,
    trading,
)
from mahler_pipelines.exchange.wire.errors import INTERNAL, RATE_LIMITED, WireRefusal, unprocessable
from mahler_pipelines.exchange.wire.faults import Faulted
from mahler_pipelines.exchange.wire.record import Recorded, WireRecord, folder_of_environment
from mahler_pipelines.exchange.wire.sockets import Streams

REQUESTS_PER_MINUTE = 100_000
"""Alpaca allows 200; a desk that replays months in minutes needs more."""

JOURNAL_LENGTH = control.LONGEST_JOURNAL
_TICK_SECONDS = 0.25
_DATA_PATHS = ("/v1beta1/", "/v2/stocks/", "/v1/")


@dataclass(slots=True)
class RateLimit:
    """Requests of each account in the running minute of real time, market data apart."""

    per_minute: int
    seconds: Callable[[], float] = time.time
    minute_seconds: int = 60
    _minute: int = 0
    _counts: dict[tuple[str, bool], int] = field(default_factory=dict)

    def spend(self, account: str, path: str) -> dict[str, str]:
        """Count a request and return its headers; raise 429 beyond the limit."""
        minute = int(self.seconds()) // self.minute_seconds
        if minute != self._minute:
            self._minute, self._counts = minute, {}
        counted = (account, path.startswith(_DATA_PATHS))
        used = self._counts[counted] = self._counts.get(counted, 0) + 1
        headers = {
            "X-RateLimit-Limit": str(self.per_minute),
            "X-RateLimit-Remaining": str(max(0, self.per_minute - used)),
            "X-RateLimit-Reset": str((minute + 1) * self.minute_seconds),
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
    """Checks keys, counts requests, lets a running clock catch up, and keeps the journal.

    Admitted requests meet their faults here, in front of every route.
    """

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
        headers: dict[str, str] = {}
        entry = self._entry(scope)

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(headers)
                entry["status"] = message["status"]
            await send(message)

        journal: deque[dict[str, Any]] = scope["app"].state.journal
        if scope["path"].startswith("/control/"):
            await self._app(scope, receive, noting)
            journal.append(entry)
            return
        # Noted when it comes, so that a request that hangs is in the journal too.
        journal.append(entry)
        try:
            await self._serve(scope, receive, noting, entry=entry, headers=headers)
        except Exception:
            entry["status"] = 500  # What `_failed` answers, in front of this.
            raise

    async def _serve(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        *,
        entry: dict[str, Any],
        headers: dict[str, str],
    ) -> None:
        """Let the exchange answer, or the fault whose turn it is; refuse who is not admitted."""
        try:
            headers |= self._admit(scope, entry)
        except WireRefusal as refusal:
            headers |= refusal.headers if isinstance(refusal, RateLimited) else {}
            answer = JSONResponse(refusal.body, status_code=refusal.status)
            await answer(scope, receive, send)
            return
        faults: FaultBook = scope["app"].state.faults
        count = faults.meet(scope["method"], scope["path"])
        if count is None:
            await self._app(scope, receive, send)
            entry["executed"] = entry["status"]
            return
        # The scope tells it to what stands in front of this application, and judges its wire.
        entry["fault"] = scope["fault"] = count.rule.label
        scope["fault_kind"] = count.rule.fault.kind
        faulted = Faulted(self._app, self._exchange, scope, receive, send, entry, headers)
        await faulted.play(count)

    def _admit(self, scope: Scope, entry: dict[str, Any]) -> dict[str, str]:
        sent = Headers(scope=scope)
        account = self._exchange.authenticate(
            sent.get("APCA-API-KEY-ID", ""), sent.get("APCA-API-SECRET-KEY", "")
        )
        if account is None:
            raise WireRefusal(401, None, "unauthorized")
        scope["account"] = entry["account"] = account
        return self._limit.spend(account, scope["path"])

    def _entry(self, scope: Scope) -> dict[str, Any]:
        """A row of the journal: what was asked, what was done, and what the sender got to see."""
        query = scope["query_string"].decode("latin-1")
        return {
            "at": self._exchange.now.isoformat(),
            "received": datetime.now(UTC).isoformat(),
            "method": scope["method"],
            "path": scope["path"] + (f"?{query}" if query else ""),
            "status": None,
            "executed": None,
            "fault": None,
            "account": None,
        }


def build_wire(
    exchange: Exchange,
    *,
    limit: RateLimit | None = None,
    faults: FaultPlan = NO_FAULTS,
    record: Path | None = None,
) -> Starlette:
    """Return the application that serves an exchange; it closes the exchange when it shuts down.

    `record` is a folder for a record of its wire, if the environment does not name one.
    """
    limit = limit or RateLimit(REQUESTS_PER_MINUTE)
    folder = record or folder_of_environment()
    recorded = None if folder is None else WireRecord(folder)
    middleware = [Middleware(Gatekeeper, exchange=exchange, limit=limit)]
    if recorded is not None:
        middleware.insert(0, Middleware(Recorded, record=recorded))

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
            if recorded is not None:
                recorded.close()

    app = Starlette(
        routes=[
            *trading.ROUTES,
            *activities.ROUTES,
            *portfolio.ROUTES,
            *exercises.ROUTES,
            *orders.ROUTES,
            *closing.ROUTES,
            *contracts.ROUTES,
            *options.ROUTES,
            *stocks.ROUTES,
            *corporate_actions.ROUTES,
            *control.ROUTES,
            *stream.ROUTES,
            *option_stream.ROUTES,
        ],
        middleware=middleware,
        exception_handlers={
            WireRefusal: _refused,
            ClockRefusal: _clock_refused,
            HTTPException: _no_route,
            Exception: _failed,
        },
        lifespan=lifespan,
    )
    app.state.exchange = exchange
    app.state.streams = Streams()
    app.state.faults = FaultBook(faults)
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
