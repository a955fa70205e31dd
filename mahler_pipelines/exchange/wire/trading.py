"""Trading routes: account, clock, calendar, orders, positions, activities."""

from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mahler_pipelines.exchange.activities import Activity, ActivityKind
from mahler_pipelines.exchange.engine import Exchange
from mahler_pipelines.exchange.instruments import option_contract
from mahler_pipelines.exchange.orders import Order, TimeInForce
from mahler_pipelines.exchange.tickets import (
    TicketLeg,
    exact,
    read_client_id,
    read_price,
    read_ticket,
    whole,
)
from mahler_pipelines.exchange.wire.errors import not_found, unprocessable
from mahler_pipelines.exchange.wire.format import (
    bad_request,
    new_york_stamp,
    parse_count,
    parse_day,
    parse_json_object,
    parse_moment,
)
from mahler_pipelines.exchange.wire.requests import account_of, exchange_of, is_true, words
from mahler_pipelines.exchange.wire.trading_views import (
    account_json,
    configuration_json,
    leg_json,
    order_json,
    position_json,
)
from mahler_pipelines.market.sessions import NEW_YORK

LAST_CALENDAR_DAY = date(2029, 12, 31)
_HOUR_MINUTE = "%H:%M"


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
        level = body.get("max_options_trading_level")
        if level is not None and level not in (0, 1, 2, 3):
            raise unprocessable("invalid max_options_trading_level")
        changed = {
            name: body[name]
            for name in ("max_options_trading_level", "suspend_trade", "no_shorting")
            if body.get(name) is not None
        }
        if any(
            not isinstance(changed.get(n, False), bool) for n in ("suspend_trade", "no_shorting")
        ):
            raise unprocessable("invalid configuration")
        configuration = replace(configuration, **changed)
        exchange.configure(account, configuration)
    return JSONResponse(configuration_json(configuration))


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


async def post_order(request: Request) -> Response:
    """POST /v2/orders: answer as accepted, then try to fill."""
    exchange = exchange_of(request)
    ticket = read_ticket(parse_json_object(await request.body()))
    with exchange.store.transaction():
        order = exchange.trading.submit(account_of(request), ticket)
    answer = order_json(order)
    exchange.trading.attempt(order)
    return JSONResponse(answer)


async def get_orders(request: Request) -> Response:
    """GET /v2/orders."""
    query = request.query_params
    status = query.get("status", "open")
    if status not in ("open", "closed", "all"):
        raise bad_request(f"invalid status: {status}")
    limit = parse_count(query.get("limit"), "limit", default=50, largest=500)
    is_open = {"open": True, "closed": False, "all": None}[status]
    orders = exchange_of(request).store.orders(account_of(request), is_open=is_open)
    found = [order for order in _between(orders, request) if _is_wanted(order, request)]
    if query.get("direction", "desc") == "desc":
        found.reverse()
    nested = is_true(request, "nested")
    rows: list[dict[str, Any]] = []
    for order in found[:limit]:
        rows.append(order_json(order, nested=nested))
        if order.multileg and not nested:
            rows.extend(leg_json(order, leg) for leg in order.legs)
    return JSONResponse(rows)


async def get_order(request: Request) -> Response:
    """GET /v2/orders/{order_id}: the order, or the leg whose id it is."""
    order, wanted = _own_order(request), request.path_params["order_id"]
    legs = [leg for leg in order.legs if leg.id == wanted]
    return JSONResponse(leg_json(order, legs[0]) if legs else order_json(order))


async def get_order_by_client_id(request: Request) -> Response:
    """GET /v2/orders:by_client_order_id."""
    client_order_id = request.query_params.get("client_order_id", "")
    exchange = exchange_of(request)
    order = exchange.store.order_by_client_id(account_of(request), client_order_id)
    if order is None:
        raise not_found(f"order not found for {client_order_id}")
    return JSONResponse(order_json(order))


async def patch_order(request: Request) -> Response:
    """PATCH /v2/orders/{order_id}."""
    exchange, order = exchange_of(request), _own_order(request)
    body = parse_json_object(await request.body())
    legs = tuple(TicketLeg(leg.symbol, leg.side, leg.ratio, leg.intent) for leg in order.terms)
    price = body.get("limit_price")
    tif = body.get("time_in_force")
    if tif is not None and tif not in set(TimeInForce):
        raise unprocessable("invalid time in force")
    new = exchange.trading.replace(
        order,
        quantity=None if body.get("qty") is None else whole(body["qty"], "qty"),
        limit_price=None
        if price is None
        else read_price(
            exact(price, "limit_price"), order.kind, legs=legs, multileg=order.multileg
        ),
        time_in_force=None if tif is None else TimeInForce(tif),
        client_order_id=read_client_id(body.get("client_order_id")),
    )
    answer = order_json(new)
    exchange.trading.attempt(new)
    return JSONResponse(answer)


async def delete_order(request: Request) -> Response:
    """DELETE /v2/orders/{order_id}."""
    order = _own_order(request)
    if order.id != request.path_params["order_id"]:
        raise unprocessable(f'leg order is already in "{order.status}" state')
    exchange_of(request).trading.cancel(order)
    return Response(status_code=204)


async def delete_orders(request: Request) -> Response:
    """DELETE /v2/orders."""
    exchange = exchange_of(request)
    orders = exchange.store.orders(account_of(request), is_open=True)
    with exchange.store.transaction():
        for order in orders:
            exchange.trading.cancel(order)
    return JSONResponse([{"id": order.id, "status": 200} for order in orders], status_code=207)


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


async def get_activities(request: Request) -> Response:
    """GET /v2/account/activities and /v2/account/activities/{activity_type}."""
    exchange, query = exchange_of(request), request.query_params
    rows = exchange.store.activities(account_of(request), until=exchange.now)
    one_kind = request.path_params.get("activity_type")
    kinds = {one_kind} if one_kind else set(words(request, "activity_types"))
    chosen = [row for row in rows if not kinds or row.kind.value in kinds]
    chosen = [row for row in chosen if _is_chosen(row, request)]
    if query.get("direction", "desc") == "desc":
        chosen.reverse()
    size = parse_count(query.get("page_size"), "page_size", default=100, largest=100)
    ids = [row.id for row in chosen]
    token = query.get("page_token")
    if token is not None and token not in ids:
        raise bad_request("invalid page_token")
    start = 0 if token is None else ids.index(token) + 1
    return JSONResponse([row.body for row in chosen[start : start + size]])


def _positions(exchange: Exchange, account: str) -> list[dict[str, Any]]:
    standing = exchange.trading.standing(account)
    return [
        position_json(position, held=standing.held_for_orders(position.symbol))
        for position in exchange.store.positions(account)
    ]


def _own_order(request: Request) -> Order:
    order = exchange_of(request).store.order(request.path_params["order_id"])
    if order is None or order.account != account_of(request):
        raise not_found(f"order not found for {request.path_params['order_id']}")
    return order


def _between(orders: tuple[Order, ...], request: Request) -> list[Order]:
    """Orders of the time, or after or before the order, that was asked for."""
    query = request.query_params
    after, until = query.get("after"), query.get("until")
    kept = list(orders)
    if after is not None:
        moment = parse_moment(after, "after")
        kept = [order for order in kept if order.created_at > moment]
    if until is not None:
        moment = parse_moment(until, "until")
        kept = [order for order in kept if order.created_at < moment]
    for parameter, is_after in (("after_order_id", True), ("before_order_id", False)):
        anchor = query.get(parameter)
        if anchor is None:
            continue
        if after is not None or until is not None:
            raise unprocessable(f"{parameter} can't be combined with after or until")
        every = exchange_of(request).store.orders(account_of(request))
        place = {order.id: row for row, order in enumerate(every)}
        if anchor not in place:
            raise not_found(f"order not found for {anchor}")
        kept = [o for o in kept if (place[o.id] > place[anchor]) is is_after and o.id != anchor]
    return kept


def _is_wanted(order: Order, request: Request) -> bool:
    symbols, side = set(words(request, "symbols")), request.query_params.get("side")
    if side and (order.multileg or order.legs[0].terms.side.value != side):
        return False
    classes = set(words(request, "asset_class")) - {"all"}
    mine: set[str] = set()
    for leg in order.terms:
        contract = option_contract(leg.symbol)
        mine |= {leg.symbol} if contract is None else {leg.symbol, contract.underlying}
    is_option = option_contract(order.terms[0].symbol) is not None
    if classes and ("us_option" if is_option else "us_equity") not in classes:
        return False
    return not symbols or bool(symbols & mine)


def _is_chosen(row: Activity, request: Request) -> bool:
    query = request.query_params
    category, order_id = query.get("category"), query.get("order_id")
    is_trade = row.kind is ActivityKind.FILL
    if category and (category == "trade_activity") is not is_trade:
        return False
    if order_id and order_id not in (row.order_id, row.leg_id):
        return False
    if (day := query.get("date")) and not _on_day(row.created_at, day):
        return False
    if (after := query.get("after")) and row.created_at <= parse_moment(after, "after"):
        return False
    until = query.get("until")
    return not until or row.created_at < parse_moment(until, "until")


def _on_day(created_at: datetime, text: str) -> bool:
    start = parse_moment(text, "date").replace(hour=0, minute=0, second=0, microsecond=0)
    return start <= created_at < start + timedelta(days=1)


ROUTES = [
    Route("/v2/account", get_account),
    Route("/v2/account/configurations", configurations, methods=["GET", "PATCH"]),
    Route("/v2/account/activities", get_activities),
    Route("/v2/account/activities/{activity_type}", get_activities),
    Route("/v2/clock", get_clock),
    Route("/v2/calendar", get_calendar),
    Route("/v2/orders", post_order, methods=["POST"]),
    Route("/v2/orders", get_orders, methods=["GET"]),
    Route("/v2/orders", delete_orders, methods=["DELETE"]),
    Route("/v2/orders:by_client_order_id", get_order_by_client_id),
    Route("/v2/orders/{order_id}", get_order, methods=["GET"]),
    Route("/v2/orders/{order_id}", patch_order, methods=["PATCH"]),
    Route("/v2/orders/{order_id}", delete_order, methods=["DELETE"]),
    Route("/v2/positions", get_positions),
    Route("/v2/positions/{symbol}", get_position),
]
"""Routes of the trading host."""
