"""What every route of the wire needs: the exchange, the account, and readable parameters."""

from datetime import date, datetime, time, timedelta
from typing import cast

from starlette.requests import Request

from mahler_pipelines.exchange.engine import Exchange
from mahler_pipelines.exchange.wire.format import bad_request, parse_moment
from mahler_pipelines.market.sessions import NEW_YORK
from mahler_pipelines.options.contracts import Right

MOST_SYMBOLS = 100


def exchange_of(request: Request) -> Exchange:
    """Return the exchange that this application serves."""
    return cast(Exchange, request.app.state.exchange)


def account_of(request: Request) -> str:
    """Return the account whose keys came with the request."""
    return cast(str, request.scope["account"])


def symbols_of(request: Request, *, most: int | None = None) -> list[str]:
    """Read the comma list `symbols`; refuse an absent or too long one with 400."""
    symbols = words(request, "symbols")
    if not symbols:
        raise bad_request("symbols is required")
    if most is not None and len(symbols) > most:
        raise bad_request(f"too many symbols: at most {most}")
    return symbols


def words(request: Request, parameter: str) -> list[str]:
    """Read a comma list, in order and without repeats; empty when absent."""
    text = request.query_params.get(parameter, "")
    return list(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))


def is_true(request: Request, parameter: str) -> bool:
    """Read a boolean as clients send it (true, True)."""
    return request.query_params.get(parameter, "").lower() == "true"


def bar_sessions(request: Request, now: datetime) -> tuple[date, date]:
    """Read `start` and `end` of daily bars as the days whose bars lie in between.

    A bar's time is the start of its New York day. Without `start` or `end`: today.
    """
    if request.query_params.get("timeframe") not in ("1Day", "1D", "Day"):
        raise bad_request("timeframe: this exchange has daily bars only (1Day)")
    first = _moment(request, "start") or datetime.combine(
        now.astimezone(NEW_YORK).date(), time(0), tzinfo=NEW_YORK
    )
    last = (_moment(request, "end") or now).astimezone(NEW_YORK)
    local = first.astimezone(NEW_YORK)
    start = local.date() if local.time() == time(0) else local.date() + timedelta(days=1)
    return start, last.date()


def last_completed_session(exchange: Exchange) -> date:
    """Return the last session whose close has passed."""
    calendar = exchange.terms.calendar
    today = exchange.now.astimezone(NEW_YORK).date()
    if calendar.is_session(today) and calendar.close(today) <= exchange.now:
        return today
    return calendar.previous(today)


def right_of(text: str) -> int:
    """Read `call` or `put` as the sign of a right; refuse anything else with 400."""
    if text not in ("call", "put"):
        raise bad_request(f"invalid type: {text}")
    return int(Right.CALL if text == "call" else Right.PUT)


def strike_of(text: str, parameter: str) -> float:
    """Read a strike; refuse what is no number with 400."""
    try:
        return float(text)
    except ValueError:
        raise bad_request(f"invalid {parameter}: {text}") from None


def _moment(request: Request, parameter: str) -> datetime | None:
    text = request.query_params.get(parameter)
    if text is None:
        return None
    if len(text) == len("YYYY-MM-DD"):
        day = parse_moment(text, parameter).date()
        return datetime.combine(day, time(0), tzinfo=NEW_YORK)
    return parse_moment(text, parameter)
