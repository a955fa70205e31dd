"""Option data routes: chains, snapshots, quotes, bars."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mahler_pipelines.exchange.engine import Exchange
from mahler_pipelines.exchange.instruments import option_contract
from mahler_pipelines.exchange.quotes import Chain
from mahler_pipelines.exchange.wire.bars import bars_answer
from mahler_pipelines.exchange.wire.format import bad_request, parse_count, parse_day
from mahler_pipelines.exchange.wire.option_views import Rows, quote_members, snapshots
from mahler_pipelines.exchange.wire.requests import (
    MOST_SYMBOLS,
    bar_sessions,
    exchange_of,
    last_completed_session,
    right_of,
    strike_of,
    symbols_of,
)


async def get_chain(request: Request) -> Response:
    """GET /v1beta1/options/snapshots/{underlying}."""
    exchange = exchange_of(request)
    limit = parse_count(request.query_params.get("limit"), "limit", default=100, largest=1000)
    underlying = request.path_params["underlying"]
    if underlying not in exchange.market.underlyings:
        return JSONResponse({"snapshots": {}, "next_page_token": None})
    chain = exchange.view.chain(underlying)
    rows = np.flatnonzero(_filter(chain, request))
    token = request.query_params.get("page_token")
    if token is not None:
        symbols = chain.columns["symbol"][rows]
        rows = rows[int(np.searchsorted(symbols.astype("U21"), token, side="right")) :]
    page = rows[:limit]
    following = chain.symbols[page[-1]] if len(rows) > limit else None
    return JSONResponse(
        {
            "snapshots": snapshots(exchange, underlying, chain, page),
            "next_page_token": following,
        }
    )


async def get_snapshots(request: Request) -> Response:
    """GET /v1beta1/options/snapshots?symbols=."""
    exchange = exchange_of(request)
    found: dict[str, Any] = {}
    for underlying, chain, rows in _chosen(exchange, symbols_of(request, most=MOST_SYMBOLS)):
        found.update(snapshots(exchange, underlying, chain, rows))
    return JSONResponse({"snapshots": found, "next_page_token": None})


async def get_latest_quotes(request: Request) -> Response:
    """GET /v1beta1/options/quotes/latest."""
    exchange = exchange_of(request)
    found: dict[str, Any] = {}
    for _, chain, rows in _chosen(exchange, symbols_of(request, most=MOST_SYMBOLS)):
        quotes = quote_members(chain, rows)
        found.update(
            (chain.symbols[row], quote)
            for row, quote in zip(rows, quotes, strict=True)
            if quote is not None
        )
    return JSONResponse({"quotes": found})


async def get_bars(request: Request) -> Response:
    """GET /v1beta1/options/bars: completed daily bars, by symbol and then by time."""
    exchange = exchange_of(request)
    symbols = symbols_of(request, most=MOST_SYMBOLS)
    limit = parse_count(request.query_params.get("limit"), "limit", default=1000, largest=10000)
    start, end = bar_sessions(request, exchange.now)
    end = min(end, last_completed_session(exchange))
    table = (
        exchange.market.option_daily_bars(symbols, start, end)
        if start <= end
        else pd.DataFrame({"symbol": []})
    )
    return bars_answer(table, "symbol", limit, request.query_params.get("page_token"))


def _chosen(exchange: Exchange, symbols: list[str]) -> list[tuple[str, Chain, Rows]]:
    """Chain and rows of the symbols that are quoted now, by underlying."""
    grouped: dict[str, list[str]] = {}
    for symbol in symbols:
        contract = option_contract(symbol)
        if contract is None:
            raise bad_request(f"invalid symbol: {symbol}")
        grouped.setdefault(contract.underlying, []).append(symbol)
    chosen = []
    for underlying in sorted(grouped.keys() & set(exchange.market.underlyings)):
        chain = exchange.view.chain(underlying)
        rows = [chain.rows[s] for s in grouped[underlying] if s in chain.rows]
        chosen.append((underlying, chain, np.array(rows, dtype=np.intp)))
    return chosen


def _filter(chain: Chain, request: Request) -> NDArray[np.bool_]:
    query, columns = request.query_params, chain.columns
    keep = np.ones(len(columns["symbol"]), dtype=bool)
    right = query.get("type")
    if right is not None:
        keep &= columns["right"] == right_of(right)
    if (root := query.get("root_symbol")) is not None:
        keep &= columns["root"] == root
    for parameter, text in query.items():
        if parameter in ("strike_price_gte", "strike_price_lte"):
            strike = strike_of(text, parameter)
            keep &= (
                columns["strike"] >= strike if parameter[-3] == "g" else columns["strike"] <= strike
            )
        elif parameter.startswith("expiration_date"):
            day = np.datetime64(parse_day(text, parameter))
            comparison = {
                "expiration_date_gte": np.greater_equal,
                "expiration_date_lte": np.less_equal,
            }
            keep &= comparison.get(parameter, np.equal)(columns["expiration"], day)
    return keep


ROUTES = [
    Route("/v1beta1/options/snapshots", get_snapshots),
    Route("/v1beta1/options/snapshots/{underlying}", get_chain),
    Route("/v1beta1/options/quotes/latest", get_latest_quotes),
    Route("/v1beta1/options/bars", get_bars),
]
"""Routes of option market data."""
