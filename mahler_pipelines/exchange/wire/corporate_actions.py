"""GET /v1/corporate-actions: the market's cash dividends; it knows of no other corporate action."""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mahler_pipelines.exchange.engine import Exchange
from mahler_pipelines.exchange.instruments import asset_id
from mahler_pipelines.exchange.wire.format import bad_request, parse_count, parse_day
from mahler_pipelines.exchange.wire.requests import exchange_of, words
from mahler_pipelines.market.sessions import NEW_YORK

DIVIDEND_NOTICE = timedelta(days=30)
"""How long before its ex-date a dividend is declared."""

ACTION_TYPES = frozenset(
    {
        "reverse_split",
        "forward_split",
        "unit_split",
        "cash_dividend",
        "stock_dividend",
        "spin_off",
        "cash_merger",
        "stock_merger",
        "stock_and_cash_merger",
        "redemption",
        "name_change",
        "worthless_removal",
        "rights_distribution",
        "partial_call",
        "reorganization",
    }
)
"""What Alpaca lists; kinds of which there are none are left out of the answer."""

_FILTERS = ("symbols", "cusips", "types", "start", "end", "region")


async def get_corporate_actions(request: Request) -> Response:
    """GET /v1/corporate-actions, in pages, by process date and then by symbol."""
    query = request.query_params
    sort = query.get("sort", "asc")
    if sort not in ("asc", "desc"):
        raise bad_request(f"invalid sort: {sort}")
    rows = sorted(_chosen(request), key=lambda row: (row["process_date"], row["symbol"]))
    if sort == "desc":
        rows.reverse()
    limit = parse_count(query.get("limit"), "limit", default=100, largest=1000)
    start = _page_start(rows, query.get("page_token"))
    page = rows[start : start + limit]
    actions = {"cash_dividends": page} if page else {}
    more = start + limit < len(rows)
    return JSONResponse(
        {"corporate_actions": actions, "next_page_token": page[-1]["id"] if more else None}
    )


def _chosen(request: Request) -> list[dict[str, Any]]:
    """Cash dividends that are asked for and declared; nothing here has a CUSIP but its absence."""
    exchange, query = exchange_of(request), request.query_params
    today = exchange.now.astimezone(NEW_YORK).date()
    ids = set(words(request, "ids"))
    if ids and any(name in query for name in _FILTERS):
        raise bad_request("ids can't be combined with other filters")
    if ids:
        return [row for row in _dividends(exchange, date.min, date.max) if row["id"] in ids]
    types = set(words(request, "types"))
    if unknown := types - ACTION_TYPES:
        raise bad_request(f"invalid types: {', '.join(sorted(unknown))}")
    if (types and "cash_dividend" not in types) or words(request, "cusips"):
        return []
    start = parse_day(query["start"], "start") if "start" in query else today
    end = parse_day(query["end"], "end") if "end" in query else max(today, start)
    if end < start:
        raise bad_request("end should not be before start")
    symbols = set(words(request, "symbols"))
    found = _dividends(exchange, start, end)
    return [row for row in found if not symbols or row["symbol"] in symbols]


def _dividends(exchange: Exchange, start: date, end: date) -> Iterator[dict[str, Any]]:
    """Every dividend declared by now, whose process date lies in [start, end]."""
    declared = exchange.now.astimezone(NEW_YORK).date() + DIVIDEND_NOTICE
    for symbol in exchange.market.underlyings:
        for ex_date, per_share in exchange.market.dividends(symbol, start, min(end, declared)):
            yield _dividend(symbol, ex_date, float(per_share))


def _page_start(rows: list[dict[str, Any]], token: str | None) -> int:
    """Return where the page after the row whose id is the token begins."""
    if token is None:
        return 0
    for place, row in enumerate(rows):
        if row["id"] == token:
            return place + 1
    raise bad_request("invalid page_token")


def _dividend(symbol: str, ex_date: date, rate: float) -> dict[str, Any]:
    """This exchange pays on the ex-date, which is the record date where trades settle in a day."""
    day = ex_date.isoformat()
    return {
        "id": asset_id(f"dividend {symbol} {ex_date}"),
        "symbol": symbol,
        "cusip": "",
        "rate": rate,
        "special": False,
        "foreign": False,
        "process_date": day,
        "ex_date": day,
        "record_date": day,
        "payable_date": day,
    }


ROUTES = [Route("/v1/corporate-actions", get_corporate_actions)]
"""The route of corporate actions."""
