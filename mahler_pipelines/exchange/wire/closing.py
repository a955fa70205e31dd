"""Routes that close positions at the market: one, a part of one, or all."""

from collections.abc import Sequence
from decimal import ROUND_DOWN, Decimal
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mahler_pipelines.exchange.accounts import Position
from mahler_pipelines.exchange.engine import Exchange
from mahler_pipelines.exchange.instruments import asset_id
from mahler_pipelines.exchange.orders import OrderKind, TimeInForce
from mahler_pipelines.exchange.tickets import Ticket, TicketLeg, exact, whole
from mahler_pipelines.exchange.wire.errors import WireRefusal, not_found, unprocessable
from mahler_pipelines.exchange.wire.orders import cancel_all
from mahler_pipelines.exchange.wire.requests import account_of, exchange_of, is_true
from mahler_pipelines.exchange.wire.trading_views import order_json
from mahler_pipelines.options.structures import Side


async def delete_position(request: Request) -> Response:
    """DELETE /v2/positions/{symbol_or_asset_id}: answers with the market order that closes it."""
    exchange, wanted = exchange_of(request), request.path_params["symbol"]
    for position in exchange.store.positions(account_of(request)):
        if wanted in (position.symbol, asset_id(position.symbol)):
            return JSONResponse(_close(exchange, position, _quantity(request, position)))
    raise not_found("position does not exist")


async def delete_positions(request: Request) -> Response:
    """DELETE /v2/positions: an order, or a refusal, for each; shorts first, which longs cover."""
    exchange, account = exchange_of(request), account_of(request)
    if is_true(request, "cancel_orders"):
        cancel_all(exchange, account)
    rows = [
        _closed(exchange, position) for position in _shorts_first(exchange.store.positions(account))
    ]
    return JSONResponse(rows, status_code=207)


def _shorts_first(positions: Sequence[Position]) -> list[Position]:
    return sorted(positions, key=lambda position: position.quantity > 0)


def _closed(exchange: Exchange, position: Position) -> dict[str, Any]:
    """Close a position; the row of the answer carries its order, or the body of the refusal."""
    try:
        order = _close(exchange, position, abs(position.quantity))
    except WireRefusal as refusal:
        return {"symbol": position.symbol, "status": refusal.status, "body": refusal.body}
    return {"symbol": position.symbol, "status": 200, "body": order}


def _close(exchange: Exchange, position: Position, quantity: int) -> dict[str, Any]:
    side = Side.SELL if position.quantity > 0 else Side.BUY
    leg = TicketLeg(position.symbol, side, 1, None)
    ticket = Ticket(None, False, OrderKind.MARKET, TimeInForce.DAY, quantity, None, (leg,))
    with exchange.store.transaction():
        order = exchange.trading.submit(position.account, ticket)
    answer = order_json(order)
    exchange.trading.attempt(order)
    return answer


def _quantity(request: Request, position: Position) -> int:
    """Read `qty`, or `percentage` rounded down to whole contracts; without either, all of it."""
    query, held = request.query_params, abs(position.quantity)
    if "qty" in query and "percentage" in query:
        raise unprocessable("only one of qty or percentage is accepted")
    if "qty" in query:
        return whole(query["qty"], "qty")
    if "percentage" not in query:
        return held
    share = exact(query["percentage"], "percentage")
    if not 0 < share <= 100:
        raise unprocessable("percentage must be between 0 and 100")
    part = (held * share / Decimal(100)).to_integral_value(ROUND_DOWN)
    if not part:
        raise unprocessable("percentage of the position is less than one contract")
    return int(part)


ROUTES = [
    Route("/v2/positions", delete_positions, methods=["DELETE"]),
    Route("/v2/positions/{symbol}", delete_position, methods=["DELETE"]),
]
"""Routes that close positions."""
