"""Share routes: bars, snapshots, quotes.

An index has a level and no quote: its snapshot carries `latestTrade` only.
"""

from datetime import date, timedelta
from typing import Any

import pandas as pd
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mahler_pipelines.exchange.engine import Exchange
from mahler_pipelines.exchange.market import StockQuote
from mahler_pipelines.exchange.wire.bars import bars_answer
from mahler_pipelines.exchange.wire.format import day_stamp, parse_count, utc_stamp
from mahler_pipelines.exchange.wire.option_views import bar
from mahler_pipelines.exchange.wire.requests import (
    bar_sessions,
    exchange_of,
    last_completed_session,
    symbols_of,
)
from mahler_pipelines.market.sessions import NEW_YORK

_LOOK_BACK = timedelta(days=10)


async def get_bars(request: Request) -> Response:
    """GET /v2/stocks/bars: completed daily bars, by symbol and then by time."""
    exchange = exchange_of(request)
    limit = parse_count(request.query_params.get("limit"), "limit", default=1000, largest=10000)
    start, end = bar_sessions(request, exchange.now)
    end = min(end, last_completed_session(exchange))
    tables = [_bars(exchange, symbol, start, end) for symbol in symbols_of(request)]
    table = pd.concat(tables, ignore_index=True)
    return bars_answer(table, "underlying", limit, request.query_params.get("page_token"))


async def get_snapshots(request: Request) -> Response:
    """GET /v2/stocks/snapshots: a bare object by symbol."""
    exchange = exchange_of(request)
    found = {symbol: _snapshot(exchange, symbol) for symbol in symbols_of(request)}
    return JSONResponse({symbol: row for symbol, row in found.items() if row is not None})


async def get_latest_quotes(request: Request) -> Response:
    """GET /v2/stocks/quotes/latest: an index has none."""
    exchange = exchange_of(request)
    quotes = {}
    for symbol in symbols_of(request):
        stock = exchange.view.stock(symbol)
        quote = None if stock is None else _quote(stock)
        if quote is not None:
            quotes[symbol] = quote
    return JSONResponse({"quotes": quotes})


def _bars(exchange: Exchange, symbol: str, start: date, end: date) -> pd.DataFrame:
    return exchange.market.daily_bars(symbol, start, max(start, end)).loc[
        lambda table: pd.to_datetime(table["session"]) <= pd.Timestamp(end)
    ]


def _snapshot(exchange: Exchange, symbol: str) -> dict[str, Any] | None:
    stock = exchange.view.stock(symbol)
    if stock is None:
        return None
    stamp = utc_stamp(stock.time)
    trade = {"t": stamp, "x": "V", "p": stock.last, "s": 1, "c": [" "], "i": 1, "z": "A"}
    members: dict[str, Any] = {"latestTrade": trade, "latestQuote": _quote(stock)}
    end = last_completed_session(exchange)
    recent = _bars(exchange, symbol, end - _LOOK_BACK, end)
    today = pd.Timestamp(exchange.now.astimezone(NEW_YORK).date())
    past = recent.loc[pd.to_datetime(recent["session"]) < today]
    members["dailyBar"] = _last_bar(recent.loc[pd.to_datetime(recent["session"]) == today])
    members["prevDailyBar"] = _last_bar(past)
    return {name: value for name, value in members.items() if value is not None}


def _last_bar(bars: pd.DataFrame) -> dict[str, Any] | None:
    if bars.empty:
        return None
    last = bars.iloc[-1]
    prices = (float(last["open"]), float(last["high"]), float(last["low"]), float(last["close"]))
    volume = 0 if pd.isna(last["volume"]) else int(last["volume"])
    return bar(day_stamp(pd.Timestamp(last["session"]).date()), prices, volume)


def _quote(stock: StockQuote) -> dict[str, Any] | None:
    if stock.bid is None or stock.ask is None:
        return None
    return {
        "t": utc_stamp(stock.time),
        "bx": "V",
        "bp": stock.bid,
        "bs": stock.bid_size,
        "ax": "V",
        "ap": stock.ask,
        "as": stock.ask_size,
        "c": ["R"],
        "z": "A",
    }


ROUTES = [
    Route("/v2/stocks/bars", get_bars),
    Route("/v2/stocks/snapshots", get_snapshots),
    Route("/v2/stocks/quotes/latest", get_latest_quotes),
]
"""Routes of share data."""
