"""Control routes of the local exchange. No keys: the server listens on loopback only.

    GET  /control/status    market, clock, rate, next open, close and scan, accounts, unsettled
    POST /control/clock     {"to": ISO moment} or {"to": "next_open" | "next_close" | "next_scan"}
                            or {"seconds": n} or {"rate": simulated seconds per real second}
    GET  /control/journal   the last requests, oldest first: ?limit=n
    GET  /control/faults    the fault plan in force, and how often each rule was met
    PUT  /control/faults    a new plan, with new counts; DELETE: no faults any more

Clock answers are the status after the move; 422 where the clock can't be put there.
"""

from datetime import datetime, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mahler_pipelines.errors import BadInput
from mahler_pipelines.exchange.engine import Exchange
from mahler_pipelines.exchange.faults import NO_FAULTS, parse_faults
from mahler_pipelines.exchange.faults_due import FaultBook
from mahler_pipelines.exchange.tickets import exact
from mahler_pipelines.exchange.wire.errors import unprocessable
from mahler_pipelines.exchange.wire.format import parse_count, parse_json_object
from mahler_pipelines.exchange.wire.requests import exchange_of

LONGEST_JOURNAL = 10_000


async def get_status(request: Request) -> Response:
    """GET /control/status."""
    return JSONResponse(exchange_of(request).status())


async def post_clock(request: Request) -> Response:
    """POST /control/clock."""
    exchange = exchange_of(request)
    body = parse_json_object(await request.body())
    if len(body) != 1:
        raise unprocessable("give one of: to, seconds, rate")
    if "to" in body:
        exchange.advance(_target(exchange, body["to"]))
    elif "seconds" in body:
        exchange.advance(exchange.now + timedelta(seconds=float(exact(body["seconds"], "seconds"))))
    elif "rate" in body:
        exchange.set_rate(float(exact(body["rate"], "rate")))
    else:
        raise unprocessable("give one of: to, seconds, rate")
    return JSONResponse(exchange.status())


async def get_journal(request: Request) -> Response:
    """GET /control/journal."""
    journal: list[dict[str, Any]] = list(request.app.state.journal)
    text = request.query_params.get("limit")
    limit = parse_count(text, "limit", default=100, largest=LONGEST_JOURNAL)
    return JSONResponse(journal[-limit:])


async def faults(request: Request) -> Response:
    """GET, PUT and DELETE /control/faults."""
    if request.method == "PUT":
        try:
            plan = parse_faults(await request.body(), source="body")
        except BadInput as error:
            raise unprocessable(error.reason) from None
        request.app.state.faults = FaultBook(plan)
    elif request.method == "DELETE":
        request.app.state.faults = FaultBook(NO_FAULTS)
    book: FaultBook = request.app.state.faults
    return JSONResponse(book.as_json())


def _target(exchange: Exchange, to: object) -> datetime:
    if to == "next_open":
        return exchange.timeline.next_open(exchange.now)
    if to == "next_close":
        return exchange.timeline.next_close(exchange.now)
    if to == "next_scan":
        return exchange.timeline.next_scan(exchange.now)[1]
    try:
        moment = datetime.fromisoformat(str(to))
    except ValueError:
        raise unprocessable(f"invalid to: {to}") from None
    if moment.tzinfo is None:
        raise unprocessable(f"invalid to: {to} needs a time zone")
    return moment


ROUTES = [
    Route("/control/status", get_status),
    Route("/control/clock", post_clock, methods=["POST"]),
    Route("/control/journal", get_journal),
    Route("/control/faults", faults, methods=["GET", "PUT", "DELETE"]),
]
"""Routes that steer the exchange."""
