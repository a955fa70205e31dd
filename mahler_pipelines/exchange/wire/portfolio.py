"""GET /v2/account/portfolio/history: an account's equity over time."""

import re
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from typing import Any, TypeVar

import pandas as pd
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mahler_pipelines.exchange.engine import Exchange
from mahler_pipelines.exchange.equity_history import (
    LONGEST_INTRADAY,
    History,
    Hours,
    Recorded,
    Series,
    Span,
    Timeframe,
    history,
)
from mahler_pipelines.exchange.wire.errors import not_found, unprocessable
from mahler_pipelines.exchange.wire.format import parse_day, parse_moment
from mahler_pipelines.exchange.wire.requests import account_of, exchange_of, is_true
from mahler_pipelines.market.sessions import NEW_YORK, TradingCalendar

DEFAULT_PERIOD = "1M"
_PERIOD = re.compile(r"([1-9]\d{0,3})([DWMA])\Z", re.ASCII)
_Word = TypeVar("_Word", bound=StrEnum)


async def get_history(request: Request) -> Response:
    """GET /v2/account/portfolio/history."""
    exchange, account = exchange_of(request), account_of(request)
    query = request.query_params
    if query.get("cashflow_types", "NONE") != "NONE":
        raise unprocessable("cashflow_types is not supported")
    resets = query.get("pnl_reset", "per_day")
    if resets not in ("per_day", "no_reset"):
        raise unprocessable(f"invalid pnl_reset: {resets}")
    span = _span(request, exchange)
    found = history(
        _recorded(exchange, account, span),
        span,
        exchange.terms.calendar,
        resets_daily=resets == "per_day",
    )
    known = exchange.store.account(account)
    if known is None:
        raise not_found("account not found")
    return JSONResponse(_history_json(found, span, float(exchange.equity(known))))


def _history_json(found: History, span: Span, equity: float) -> dict[str, Any]:
    """Write a history; an account without one has its equity as the base."""
    base = equity if found.base is None else float(found.base)
    as_of = {} if found.base_day is None else {"base_value_asof": found.base_day.isoformat()}
    return {
        "timestamp": [int(point.label.timestamp()) for point in found.points],
        "equity": [float(point.equity) for point in found.points],
        "profit_loss": [float(point.gain) for point in found.points],
        "profit_loss_pct": [point.gain_share for point in found.points],
        "base_value": base,
        **as_of,
        "timeframe": span.timeframe.value,
    }


def _recorded(exchange: Exchange, account: str, span: Span) -> Recorded:
    """Read what is kept of an account; the present of an open session is the last entry."""
    now, today = exchange.now, exchange.now.astimezone(NEW_YORK).date()
    start = datetime.combine(span.first, time(0), tzinfo=NEW_YORK)
    sessions = dict(exchange.store.equity_by_session(account, today))
    moments = dict(exchange.store.equity_between(account, start, now))
    known = exchange.store.account(account)
    if known is not None and exchange.timeline.is_open(now):
        sessions[today] = moments[now] = exchange.equity(known)
    days, at = sorted(sessions), sorted(moments)
    return Recorded(
        now,
        Series(days, [sessions[day] for day in days]),
        Series(at, [moments[moment] for moment in at]),
    )


def _span(request: Request, exchange: Exchange) -> Span:
    """Read which days are asked for, and in windows of what length."""
    query, calendar = request.query_params, exchange.terms.calendar
    first, last = _days(request, exchange)
    asked = (last - first) + timedelta(days=1)
    if "timeframe" in query:
        timeframe = _choice(Timeframe, query["timeframe"], "timeframe")
    elif asked < timedelta(days=7):
        timeframe = Timeframe.MINUTE
    else:
        timeframe = Timeframe.QUARTER if asked < timedelta(days=30) else Timeframe.DAY
    if timeframe is not Timeframe.DAY and asked > LONGEST_INTRADAY:
        raise unprocessable(f"timeframe {timeframe} is given for 30 days or less")
    hours = Hours.EXTENDED if is_true(request, "extended_hours") else Hours.MARKET
    if "intraday_reporting" in query:
        hours = _choice(Hours, query["intraday_reporting"], "intraday_reporting")
    return Span(max(first, calendar.first), last, timeframe, hours)


def _days(request: Request, exchange: Exchange) -> tuple[date, date]:
    """Read two of `start`, `end` and `period`; a period counts calendar days, the last included."""
    query = request.query_params
    if {"start", "end", "period"} <= set(query):
        raise unprocessable("only two of start, end and period can be specified")
    period = query.get("period", DEFAULT_PERIOD)
    if not _PERIOD.match(period):
        raise unprocessable(f"invalid period: {period}")
    present = _session_begun(exchange.terms.calendar, exchange.now)
    start = _day(query["start"], "start") if "start" in query else None
    if start is not None and "period" in query:
        return start, min(_shifted(start, period, 1) - timedelta(days=1), present)
    last = _last_day(request, exchange)
    if start is not None:
        return start, last
    return _shifted(last, period, -1) + timedelta(days=1), last


def _last_day(request: Request, exchange: Exchange) -> date:
    """The last session that has begun by the end: now, `end`, or the deprecated `date_end`."""
    query, calendar, end = request.query_params, exchange.terms.calendar, exchange.now
    if "end" in query:
        end = min(end, parse_moment(query["end"], "end"))
    elif "date_end" in query:
        day = parse_day(query["date_end"], "date_end")
        end = min(end, datetime.combine(day, time(23, 59), tzinfo=NEW_YORK))
    if end.astimezone(NEW_YORK).date() <= calendar.first:
        raise unprocessable("invalid end: before the first session")
    return _session_begun(calendar, end)


def _session_begun(calendar: TradingCalendar, moment: datetime) -> date:
    day = moment.astimezone(NEW_YORK).date()
    begun = calendar.is_session(day) and calendar.open(day) <= moment
    return day if begun else calendar.previous(day)


def _day(text: str, parameter: str) -> date:
    return parse_moment(text, parameter).astimezone(NEW_YORK).date()


def _shifted(day: date, period: str, sign: int) -> date:
    """Return the day that lies a period later (1) or earlier (-1)."""
    count, unit = sign * int(period[:-1]), period[-1]
    offsets = {
        "D": pd.DateOffset(days=count),
        "W": pd.DateOffset(weeks=count),
        "M": pd.DateOffset(months=count),
        "A": pd.DateOffset(years=count),
    }
    try:
        moved = pd.Timestamp(day) + offsets[unit]
    except (OverflowError, ValueError):
        raise unprocessable(f"invalid period: {period}") from None
    return moved.date()


def _choice(kind: type[_Word], text: str, parameter: str) -> _Word:
    try:
        return kind(text)
    except ValueError:
        raise unprocessable(f"invalid {parameter}: {text}") from None


ROUTES = [Route("/v2/account/portfolio/history", get_history)]
"""The route of the portfolio history."""
