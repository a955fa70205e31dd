"""Order routes: sent, listed, looked at, replaced, cancelled."""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mahler_pipelines.exchange.changes import Change
from mahler_pipelines.exchange.engine import Exchange
from mahler_pipelines.exchange.instruments import option_contract
from mahler_pipelines.exchange.orders import Order, TimeInForce
from mahler_pipelines.exchange.tickets import (
    TicketLeg,
    read_client_id,
    read_price,
    read_stop,
    read_ticket,
    whole,
)
from mahler_pipelines.exchange.wire.errors import WireRefusal, not_found, unprocessable
from mahler_pipelines.exchange.wire.format import (
    bad_request,
    parse_count,
    parse_json_object,
    parse_moment,
)
from mahler_pipelines.exchange.wire.requests import account_of, exchange_of, is_true, words
from mahler_pipelines.exchange.wire.trading_views import leg_json, order_json

NOT_CANCELABLE = 500
"""Status of an order in the answer to DELETE /v2/orders that can't be cancelled any more."""


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
    for name, known in _CHOICES.items():
        if query.get(name) is not None and query[name] not in known:
            raise bad_request(f"invalid {name}: {query[name]}")
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
    _seen(exchange_of(request), *found[:limit])
    return JSONResponse(rows)


async def get_order(request: Request) -> Response:
    """GET /v2/orders/{order_id}: the order, or the leg whose id it is."""
    order, wanted = _own_order(request), request.path_params["order_id"]
    legs = [leg for leg in order.legs if leg.id == wanted]
    answer = leg_json(order, legs[0]) if legs else order_json(order)
    _seen(exchange_of(request), order)
    return JSONResponse(answer)


async def get_order_by_client_id(request: Request) -> Response:
    """GET /v2/orders:by_client_order_id."""
    client_order_id = request.query_params.get("client_order_id", "")
    exchange = exchange_of(request)
    order = exchange.store.order_by_client_id(account_of(request), client_order_id)
    if order is None:
        raise not_found(f"order not found for {client_order_id}")
    answer = order_json(order)
    _seen(exchange, order)
    return JSONResponse(answer)


async def patch_order(request: Request) -> Response:
    """PATCH /v2/orders/{order_id}: the new order; the old one may have filled before it."""
    exchange, order = exchange_of(request), _own_order(request)
    change = _read_change(parse_json_object(await request.body()), order)
    new = exchange.trading.replace(order, change, pends=_pends(request))
    answer = order_json(new)
    exchange.trading.attempt(new)
    return JSONResponse(answer)


def _read_change(body: dict[str, Any], order: Order) -> Change:
    """Read what is to be different, by the rules of the order's type; null is no change."""
    for name in ("notional", "trail"):
        if body.get(name) is not None:
            raise unprocessable(f"{name} is not supported for options trading")
    legs = tuple(TicketLeg(leg.symbol, leg.side, leg.ratio, leg.intent) for leg in order.terms)
    limit, stop, tif = (body.get(n) for n in ("limit_price", "stop_price", "time_in_force"))
    if tif is not None and tif not in set(TimeInForce):
        raise unprocessable("invalid time in force")
    return Change(
        None if body.get("qty") is None else whole(body["qty"], "qty"),
        None
        if limit is None
        else read_price(limit, order.kind, legs=legs, multileg=order.multileg),
        None if stop is None else read_stop(stop, order.kind, symbol=legs[0].symbol),
        None if tif is None else TimeInForce(tif),
        read_client_id(body.get("client_order_id")),
    )


async def delete_order(request: Request) -> Response:
    """DELETE /v2/orders/{order_id}: 204 says that the cancel was asked for."""
    order = _own_order(request)
    if order.id != request.path_params["order_id"]:
        raise unprocessable(f'leg order is already in "{order.status}" state')
    exchange_of(request).trading.cancel(order, pends=_pends(request))
    return Response(status_code=204)


async def delete_orders(request: Request) -> Response:
    """DELETE /v2/orders: a status for each open order, 500 where it can't be cancelled."""
    exchange = exchange_of(request)
    rows = cancel_all(exchange, account_of(request), pends=_pends(request))
    return JSONResponse(rows, status_code=207)


def cancel_all(exchange: Exchange, account: str, *, pends: bool = False) -> list[dict[str, Any]]:
    """Cancel every open order of an account; return the rows of the answer."""
    rows: list[dict[str, Any]] = []
    with exchange.store.transaction():
        for order in exchange.store.orders(account, is_open=True):
            try:
                exchange.trading.cancel(order, pends=pends)
            except WireRefusal:
                rows.append({"id": order.id, "status": NOT_CANCELABLE})
            else:
                rows.append({"id": order.id, "status": 200})
    return rows


def _pends(request: Request) -> bool:
    """Whether a fault keeps what is asked for from taking effect at once."""
    return bool(request.scope.get("pends"))


def _seen(exchange: Exchange, *orders: Order) -> None:
    """Let pending changes of orders take effect, once an answer has shown them as pending."""
    for order in orders:
        if order.status.is_pending_change:
            exchange.trading.take_effect(order)


_CHOICES = {
    "status": ("open", "closed", "all"),
    "direction": ("asc", "desc"),
    "side": ("buy", "sell"),
}


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


ROUTES = [
    Route("/v2/orders", post_order, methods=["POST"]),
    Route("/v2/orders", get_orders, methods=["GET"]),
    Route("/v2/orders", delete_orders, methods=["DELETE"]),
    Route("/v2/orders:by_client_order_id", get_order_by_client_id),
    Route("/v2/orders/{order_id}", get_order, methods=["GET"]),
    Route("/v2/orders/{order_id}", patch_order, methods=["PATCH"]),
    Route("/v2/orders/{order_id}", delete_order, methods=["DELETE"]),
]
"""Routes of orders."""
