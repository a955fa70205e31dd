"""Routes of exercise: by request, and the instruction not to."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mahler_pipelines.exchange.exercise import do_not_exercise, exercise
from mahler_pipelines.exchange.wire.requests import account_of, exchange_of


async def post_exercise(request: Request) -> Response:
    """POST /v2/positions/{symbol_or_contract_id}/exercise: 200 without a body."""
    exchange = exchange_of(request)
    with exchange.store.transaction():
        exercise(exchange.clearing, account_of(request), request.path_params["symbol"])
    return Response(status_code=200)


async def post_do_not_exercise(request: Request) -> Response:
    """POST /v2/positions/{symbol_or_contract_id}/do-not-exercise: 200 without a body."""
    exchange = exchange_of(request)
    with exchange.store.transaction():
        do_not_exercise(exchange.clearing, account_of(request), request.path_params["symbol"])
    return Response(status_code=200)


ROUTES = [
    Route("/v2/positions/{symbol}/exercise", post_exercise, methods=["POST"]),
    Route("/v2/positions/{symbol}/do-not-exercise", post_do_not_exercise, methods=["POST"]),
]
"""Routes of exercise."""
