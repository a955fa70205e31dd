"""GET /v2/account/activities: an account's history, by kind, time and order, in pages."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mahler_pipelines.exchange.activities import Activity, ActivityKind
from mahler_pipelines.exchange.wire.errors import unprocessable
from mahler_pipelines.exchange.wire.format import bad_request, parse_count, parse_moment
from mahler_pipelines.exchange.wire.requests import account_of, exchange_of, words

CATEGORIES = ("trade_activity", "non_trade_activity")
_LARGEST_PAGE = 100
_APART_FROM_MISC = ("FILL", "DIV")


async def get_activities(request: Request) -> Response:
    """GET /v2/account/activities and /v2/account/activities/{activity_type}."""
    exchange, query = exchange_of(request), request.query_params
    direction = query.get("direction", "desc")
    if direction not in ("asc", "desc"):
        raise unprocessable(f"invalid direction: {direction}")
    rows = list(exchange.store.activities(account_of(request), until=exchange.now))
    if direction == "desc":
        rows.reverse()
    rows = _after(rows, query.get("page_token"))
    kinds = _kinds(request)
    chosen = [row for row in rows if row.kind.value in kinds and _is_chosen(row, request)]
    size = parse_count(
        query.get("page_size"), "page_size", default=_LARGEST_PAGE, largest=_LARGEST_PAGE
    )
    return JSONResponse([row.body for row in chosen[:size]])


def _kinds(request: Request) -> set[str]:
    """Read the kinds that are asked for; MISC is all but fills and dividends, TRANS is none here.

    A kind that this exchange never writes finds nothing.
    """
    one = request.path_params.get("activity_type")
    asked = [one] if one else words(request, "activity_types")
    if asked and request.query_params.get("category"):
        raise unprocessable("category can't be used with activity_types")
    every = {kind.value for kind in ActivityKind}
    if not asked:
        return every
    misc = every.difference(_APART_FROM_MISC) if "MISC" in asked else set()
    return misc | set(asked)


def _after(rows: Sequence[Activity], token: str | None) -> list[Activity]:
    """Rows after the one whose id is the token, whatever the page before was chosen by."""
    if token is None:
        return list(rows)
    ids = [row.id for row in rows]
    if token not in ids:
        raise bad_request("invalid page_token")
    return list(rows[ids.index(token) + 1 :])


def _is_chosen(row: Activity, request: Request) -> bool:
    query = request.query_params
    category, order_id = query.get("category"), query.get("order_id")
    if category and category not in CATEGORIES:
        raise unprocessable(f"invalid category: {category}")
    if category and (category == "trade_activity") is not (row.kind is ActivityKind.FILL):
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
    """Whether a row was created on a day in UTC."""
    start = parse_moment(text, "date").replace(hour=0, minute=0, second=0, microsecond=0)
    return start <= created_at < start + timedelta(days=1)


ROUTES = [
    Route("/v2/account/activities", get_activities),
    Route("/v2/account/activities/{activity_type}", get_activities),
]
"""Routes of an account's history."""
