"""Trading routes: account, clock, calendar, positions."""

from dataclasses import replace
from datetime import date
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mahler_pipelines.exchange.engine import Exchange
from mahler_pipelines.exchange.wire.errors import not_found, unprocessable
from mahler_pipelines.exchange.wire.format import (
    new_york_stamp,
    parse_day,
    parse_json_object,
)
from mahler_pipelines.exchange.wire.requests import account_of, exchange_of
from mahler_pipelines.exchange.wire.trading_views import (
    account_json,
    configuration_json,
    position_json,
)
from mahler_pipelines.market.sessions import NEW_YORK

LAST_CALENDAR_DAY = date(2029, 12, 31)
_HOUR_MINUTE = "%H:%M"
_CONFIGURABLE = {"max_options_trading_level": int, "suspend_trade": bool, "no_shorting": bool}


async def get_account(request: Request) -> Response:
    """GET /v2/account."""
    exchange, name = exchange_of(request), account_of(request)
    account = exchange.store.account(name)
    if account is None:
        raise not_found("account not found")
    return JSONResponse(account_json(account, exchange.figures(name)))


async def configurations(request: Request) -> Response:
    """GET and PATCH /v2/account/configurations."""
    exchange = exchange_of(request)
    account = exchange.store.account(account_of(request))
    if account is None:
        raise not_found("account not found")
    configuration = account.configuration
    if request.method == "PATCH":
        body = parse_json_object(await request.body())
        configuration = replace(configuration, **_configured(body))
        exchange.configure(account, configuration)
    return JSONResponse(configuration_json(configuration))


def _configured(body: dict[str, Any]) -> dict[str, Any]:
    """Read what is to be changed; null keeps, and what this exchange ignores is not looked at."""
    given = {name: body[name] for name in _CONFIGURABLE if body.get(name) is not None}
    for name, value in given.items():
        if type(value) is not _CONFIGURABLE[name]:
            raise unprocessable(f"invalid {name}")
    if given.get("max_options_trading_level", 0) not in range(4):
        raise unprocessable("invalid max_options_trading_level")
    return given


async def get_clock(request: Request) -> Response:
    """GET /v2/clock."""
    exchange = exchange_of(request)
    return JSONResponse(
        {
            "timestamp": new_york_stamp(exchange.now),
            "is_open": exchange.timeline.is_open(exchange.now),
            "next_open": new_york_stamp(exchange.timeline.next_open(exchange.now)),
            "next_close": new_york_stamp(exchange.timeline.next_close(exchange.now)),
        }
    )


async def get_calendar(request: Request) -> Response:
    """GET /v2/calendar."""
    calendar = exchange_of(request).terms.calendar
    start, end = request.query_params.get("start"), request.query_params.get("end")
    first = max(parse_day(start, "start") if start else calendar.first, calendar.first)
    last = min(parse_day(end, "end") if end else LAST_CALENDAR_DAY, LAST_CALENDAR_DAY)
    sessions = calendar.sessions(first, last) if first <= last else ()
    following = [*sessions[1:], *([calendar.next(sessions[-1])] if sessions else [])]
    return JSONResponse(
        [
            {
                "date": session.isoformat(),
                "open": calendar.open(session).astimezone(NEW_YORK).strftime(_HOUR_MINUTE),
                "close": calendar.close(session).astimezone(NEW_YORK).strftime(_HOUR_MINUTE),
                "session_open": "0400",
                "session_close": "2000",
                "settlement_date": settled.isoformat(),
            }
            for session, settled in zip(sessions, following, strict=True)
        ]
    )


async def get_positions(request: Request) -> Response:
    """GET /v2/positions."""
    exchange, account = exchange_of(request), account_of(request)
    return JSONResponse(_positions(exchange, account))


async def get_position(request: Request) -> Response:
    """GET /v2/positions/{symbol_or_asset_id}."""
    wanted = request.path_params["symbol"]
    for row in _positions(exchange_of(request), account_of(request)):
        if wanted in (row["symbol"], row["asset_id"]):
            return JSONResponse(row)
    raise not_found("position does not exist")


def _positions(exchange: Exchange, account: str) -> list[dict[str, Any]]:
    standing = exchange.trading.standing(account)
    return [
        position_json(position, held=standing.held_for_orders(position.symbol))
        for position in exchange.store.positions(account)
    ]


ROUTES = [
    Route("/v2/account", get_account),
    Route("/v2/account/configurations", configurations, methods=["GET", "PATCH"]),
    Route("/v2/clock", get_clock),
    Route("/v2/calendar", get_calendar),
    Route("/v2/positions", get_positions),
    Route("/v2/positions/{symbol}", get_position),
]
"""Routes of the trading host."""
