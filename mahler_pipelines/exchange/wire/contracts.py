"""Contract routes: the list of contracts, and one of them."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mahler_pipelines.exchange.engine import Exchange
from mahler_pipelines.exchange.increments import is_in_penny_program
from mahler_pipelines.exchange.instruments import asset_id, option_contract
from mahler_pipelines.exchange.quotes import MarketView
from mahler_pipelines.exchange.wire.errors import not_found
from mahler_pipelines.exchange.wire.format import bad_request, number, parse_count, parse_day
from mahler_pipelines.exchange.wire.requests import (
    exchange_of,
    is_true,
    last_completed_session,
    right_of,
    strike_of,
    words,
)
from mahler_pipelines.market.sessions import NEW_YORK
from mahler_pipelines.options.contracts import (
    SHARES_PER_CONTRACT,
    OptionContract,
    Right,
    exercise_style,
)


async def get_contracts(request: Request) -> Response:
    """GET /v2/options/contracts."""
    exchange, query = exchange_of(request), request.query_params
    today = exchange.now.astimezone(NEW_YORK).date()
    status = query.get("status", "active")
    if status not in ("active", "inactive"):
        raise bad_request(f"invalid status: {status}")
    limit = parse_count(query.get("limit"), "limit", default=100, largest=10000)
    first, last = _expirations(request, today)
    tables = [
        _contracts(exchange, underlying, status, first, last)
        for underlying in words(request, "underlying_symbols") or exchange.market.underlyings
        if underlying in exchange.market.underlyings
    ]
    table = pd.concat(tables) if tables else pd.DataFrame({"symbol": []})
    table = _narrow(table, request).sort_values("symbol", kind="stable")
    if (token := query.get("page_token")) is not None:
        table = table.loc[table["symbol"] > token]
    page = table.iloc[:limit]
    return JSONResponse(
        {
            "option_contracts": _contract_rows(exchange, page),
            "next_page_token": page["symbol"].iloc[-1] if len(table) > limit else None,
        }
    )


async def get_contract(request: Request) -> Response:
    """GET /v2/options/contracts/{symbol_or_id}."""
    wanted = request.path_params["symbol_or_id"]
    exchange = exchange_of(request)
    rows = _contract_rows(exchange, _one_contract(exchange, wanted))
    if not rows:
        raise not_found(f"option contract not found for {wanted}")
    return JSONResponse(rows[0])


def _expirations(request: Request, today: date) -> tuple[date, date]:
    """Range of expirations asked for; without any, up to the coming weekend."""
    query = request.query_params
    if (exactly := query.get("expiration_date")) is not None:
        day = parse_day(exactly, "expiration_date")
        return day, day
    low, high = query.get("expiration_date_gte"), query.get("expiration_date_lte")
    first = parse_day(low, "expiration_date_gte") if low else date.min
    weekend = today + timedelta(days=6 - today.weekday())
    return first, parse_day(high, "expiration_date_lte") if high else weekend


def _contracts(
    exchange: Exchange, underlying: str, status: str, first: date, last: date
) -> pd.DataFrame:
    if status == "active":
        table = exchange.market.listed_contracts(underlying, exchange.now)
    else:
        last = min(last, last_completed_session(exchange))
        earliest = max(first, exchange.market.sessions()[0])
        table = exchange.market.expired_contracts(underlying, earliest, last)
    days = pd.to_datetime(table["expiration"])
    kept = (days >= pd.Timestamp(max(first, pd.Timestamp.min.date() + timedelta(days=1)))) & (
        days <= pd.Timestamp(last)
    )
    return table.loc[kept]


def _narrow(table: pd.DataFrame, request: Request) -> pd.DataFrame:
    query = request.query_params
    if table.empty:
        return table
    keep = np.ones(len(table), dtype=bool)
    if (right := query.get("type")) is not None:
        keep &= (table["right"] == right_of(right)).to_numpy()
    if (root := query.get("root_symbol")) is not None:
        keep &= (table["root"] == root).to_numpy()
    if "ppind" in query:
        in_program = [_in_penny_program(symbol) for symbol in table["symbol"].tolist()]
        keep &= np.array(in_program) == is_true(request, "ppind")
    if (low := query.get("strike_price_gte")) is not None:
        keep &= (table["strike"] >= strike_of(low, "strike_price_gte")).to_numpy()
    if (high := query.get("strike_price_lte")) is not None:
        keep &= (table["strike"] <= strike_of(high, "strike_price_lte")).to_numpy()
    return table.loc[keep]


def _in_penny_program(symbol: str) -> bool:
    contract = option_contract(symbol)
    return contract is not None and is_in_penny_program(contract)


def _one_contract(exchange: Exchange, wanted: str) -> pd.DataFrame:
    """The row of a symbol or id: looked for among what is listed, then among what has expired."""
    contract = option_contract(wanted)
    underlyings = exchange.market.underlyings if contract is None else (contract.underlying,)
    for underlying in set(underlyings) & set(exchange.market.underlyings):
        listed = exchange.market.listed_contracts(underlying, exchange.now)
        if contract is not None and contract.expiration <= last_completed_session(exchange):
            day = contract.expiration
            listed = exchange.market.expired_contracts(underlying, day, day)
        keys = listed["symbol"] if contract is not None else listed["symbol"].map(asset_id)
        if (keys == wanted).any():
            return listed.loc[keys == wanted]
    return pd.DataFrame({"symbol": []})


@dataclass(frozen=True, slots=True)
class _Days:
    """What a page of contracts is dated by."""

    today: date
    completed: date
    before: str


def _contract_rows(exchange: Exchange, table: pd.DataFrame) -> list[dict[str, Any]]:
    if table.empty:
        return []
    today = exchange.now.astimezone(NEW_YORK).date()
    before = exchange.terms.calendar.previous(today).isoformat()
    days = _Days(today, last_completed_session(exchange), before)
    return [
        _contract_json(contract, interest, close, days)
        for symbol, interest, close in zip(
            table["symbol"].tolist(),
            table["open_interest"].tolist(),
            table["close"].tolist(),
            strict=True,
        )
        if (contract := option_contract(symbol)) is not None
    ]


def _contract_json(
    contract: OptionContract, interest: float, close: float, days: _Days
) -> dict[str, Any]:
    """Write a contract; open interest and close are yesterday's, and absent when not known."""
    is_over = contract.expiration <= days.completed
    kind = "call" if contract.right is Right.CALL else "put"
    row: dict[str, Any] = {
        "id": asset_id(contract.symbol),
        "symbol": contract.symbol,
        "name": f"{contract.underlying} {contract.expiration:%b %d %Y} {contract.strike:f} {kind}",
        "status": "inactive" if is_over else "active",
        "tradable": not is_over and MarketView.trades_on(contract.symbol, days.today),
        "expiration_date": contract.expiration.isoformat(),
        "root_symbol": contract.root,
        "underlying_symbol": contract.underlying,
        "underlying_asset_id": asset_id(contract.underlying),
        "type": kind,
        "style": exercise_style(contract.root).value,
        "strike_price": number(contract.strike),
        "multiplier": str(SHARES_PER_CONTRACT),
        "size": str(SHARES_PER_CONTRACT),
        "ppind": is_in_penny_program(contract),
    }
    if np.isfinite(interest):
        row |= {"open_interest": str(int(interest)), "open_interest_date": days.before}
    if np.isfinite(close):
        row |= {"close_price": str(close), "close_price_date": days.before}
    return row


ROUTES = [
    Route("/v2/options/contracts", get_contracts),
    Route("/v2/options/contracts/{symbol_or_id}", get_contract),
]
"""Routes of the list of contracts."""
