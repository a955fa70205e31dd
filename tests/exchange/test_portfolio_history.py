"""The portfolio history: windows, labels, bases, and what the exchange records for it."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from mahler_pipelines.exchange.engine import Exchange, ExchangeTerms
from mahler_pipelines.exchange.equity_history import (
    Hours,
    Recorded,
    Series,
    Span,
    Timeframe,
    history,
)
from mahler_pipelines.exchange.wire.app import build_wire
from mahler_pipelines.market.sessions import NEW_YORK
from tests.exchange.fakes import CALENDAR, OPENING, HandMadeMarket, Quote, call
from tests.exchange.orders import send, single

KEYS = {"APCA-API-KEY-ID": "local-main", "APCA-API-SECRET-KEY": "local-secret"}
THURSDAY, FRIDAY, MONDAY = date(2026, 11, 5), date(2026, 11, 6), date(2026, 11, 9)


def at(day: date, hour: int, minute: int = 0) -> datetime:
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=NEW_YORK)


RECORDED = Recorded(
    now=at(MONDAY, 11),
    sessions=Series([THURSDAY, FRIDAY, MONDAY], [Decimal(1000), Decimal(1010), Decimal(1005)]),
    moments=Series(
        [at(FRIDAY, 10), at(FRIDAY, 15, 59), at(FRIDAY, 16), at(MONDAY, 10, 20)],
        [Decimal(1002), Decimal(1008), Decimal(1010), Decimal(1005)],
    ),
)


def shown(span: Span, **more: bool) -> dict[datetime, tuple[int, int]]:
    found = history(RECORDED, span, CALENDAR, **more)
    return {point.label: (int(point.equity), int(point.gain)) for point in found.points}


def test_days_gain_on_the_day_before() -> None:
    """A day is labelled at the end of its extended hours; its first base is the close before."""
    found = history(RECORDED, Span(FRIDAY, MONDAY, Timeframe.DAY), CALENDAR)
    assert shown(Span(FRIDAY, MONDAY, Timeframe.DAY)) == {
        at(FRIDAY, 20): (1010, 10),
        at(MONDAY, 20): (1005, -5),
    }
    assert (found.base, found.base_day) == (Decimal(1000), THURSDAY)
    assert [point.gain_share for point in found.points] == [0.01, -0.005]
    new = history(RECORDED, Span(date(2026, 11, 1), FRIDAY, Timeframe.DAY), CALENDAR)
    assert (new.base, new.base_day, new.points[0].gain) == (Decimal(1000), None, Decimal(0))


def test_windows_of_a_day_gain_on_the_close_before_it() -> None:
    hours = shown(Span(FRIDAY, MONDAY, Timeframe.HOUR))
    assert list(hours) == [
        *(at(FRIDAY, hour, 30) for hour in range(9, 16)),
        at(MONDAY, 9, 30),
        at(MONDAY, 10, 30),
    ]
    assert hours[at(FRIDAY, 9, 30)] == (1002, 2), "what it was worth at the end of the window"
    assert hours[at(FRIDAY, 15, 30)] == (1010, 10)
    assert hours[at(MONDAY, 9, 30)] == (1005, -5)
    total = shown(Span(FRIDAY, MONDAY, Timeframe.HOUR), resets_daily=False)
    assert total[at(MONDAY, 9, 30)] == (1005, 5)


def test_window_ends_before_the_next_begins() -> None:
    quarters = shown(Span(FRIDAY, FRIDAY, Timeframe.QUARTER))
    assert len(quarters) == 27
    assert quarters[at(FRIDAY, 9, 45)] == (1000, 0), "nothing known yet: the close before stands"
    assert quarters[at(FRIDAY, 15, 45)] == (1008, 8)
    assert quarters[at(FRIDAY, 16)] == (1010, 10)


def test_hours_say_which_windows_there_are() -> None:
    extended = shown(Span(FRIDAY, MONDAY, Timeframe.HOUR, Hours.EXTENDED))
    assert [label.hour for label in extended if label.date() == FRIDAY] == list(range(4, 21))
    always = shown(Span(FRIDAY, MONDAY, Timeframe.HOUR, Hours.CONTINUOUS))
    assert len(always) == 24 * 3 + 12
    assert always[at(date(2026, 11, 7), 3)] == (1010, 0)


def test_nothing_known_is_nothing_shown() -> None:
    empty = Recorded(at(MONDAY, 11), Series([], []), Series([], []))
    for timeframe in Timeframe:
        found = history(empty, Span(FRIDAY, MONDAY, timeframe), CALENDAR)
        assert (found.points, found.base) == ((), None)


@pytest.fixture
def market() -> HandMadeMarket:
    return HandMadeMarket()


@pytest.fixture
def exchange(market: HandMadeMarket, tmp_path: Path) -> Exchange:
    return Exchange(market, tmp_path, ExchangeTerms(start_at=OPENING))


@pytest.fixture
def client(exchange: Exchange) -> Iterator[TestClient]:
    with TestClient(build_wire(exchange), headers=KEYS) as client:
        yield client


def asked(client: TestClient, **params: str) -> dict[str, Any]:
    answer = client.get("/v2/account/portfolio/history", params=params)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_every_close_passed_over_and_the_present_are_in_the_history(
    client: TestClient, exchange: Exchange, market: HandMadeMarket
) -> None:
    send(exchange, single(call(100), "buy", None, qty=3))
    exchange.advance(at(THURSDAY, 12))
    market.overrides[call(100)] = Quote(9.0, 9.2)
    exchange.advance(at(FRIDAY, 12))
    found = asked(client, period="1W")
    assert found["timeframe"] == "15Min"
    found = asked(client, period="1W", timeframe="1D")
    labels = [datetime.fromtimestamp(stamp, NEW_YORK) for stamp in found["timestamp"]]
    assert labels == [at(date(2026, 11, day), 20) for day in range(2, 7)]
    account = exchange.store.account("main")
    assert account is not None
    assert found["equity"][-2:] == [float(account.last_equity), float(exchange.equity(account))]
    premium = (Decimal("9.1") - Decimal("6.1")) * 300
    assert found["equity"][3] == float(100_000 + premium)
    assert sum(found["profit_loss"]) == pytest.approx(found["equity"][-1] - found["base_value"])
    assert "base_value_asof" not in found
    later = asked(client, period="2D", timeframe="1D")
    assert (later["base_value_asof"], later["base_value"]) == ("2026-11-04", found["equity"][2])


def test_minutes_at_which_the_clock_stood_are_in_the_history(
    client: TestClient, exchange: Exchange, market: HandMadeMarket
) -> None:
    send(exchange, single(call(100), "buy", None, qty=3))
    exchange.advance(at(date(2026, 11, 2), 10))
    market.overrides[call(100)] = Quote(9.0, 9.2)
    exchange.advance(at(date(2026, 11, 2), 11))
    found = asked(client, period="1D", timeframe="1Min")
    assert len(found["timestamp"]) == 91, "from the opening to now"
    by_label = dict(zip(found["timestamp"], found["equity"], strict=True))
    assert by_label[int(at(date(2026, 11, 2), 10, 59).timestamp())] == 99_985.0
    assert by_label[int(at(date(2026, 11, 2), 11).timestamp())] == 100_900.0


def test_new_account_is_worth_what_it_has(client: TestClient) -> None:
    found = asked(client)
    assert (found["timeframe"], found["equity"], found["profit_loss"]) == ("1D", [100_000.0], [0.0])
    assert found["base_value"] == 100_000.0
    assert asked(client, end="2026-10-01T00:00:00Z", period="1W")["equity"] == []


def test_two_of_start_end_and_period_say_which_days(client: TestClient, exchange: Exchange) -> None:
    exchange.advance(at(date(2026, 11, 30), 12))

    def days(**params: str) -> tuple[int, int, int]:
        found = asked(client, timeframe="1D", **params)
        stamps = [datetime.fromtimestamp(stamp, NEW_YORK).day for stamp in found["timestamp"]]
        return stamps[0], stamps[-1], len(stamps)

    assert days() == (2, 30, 20), "a month, of which the account saw the most"
    assert days(period="7D", end="2026-11-19T23:00:00Z") == (13, 19, 5)
    assert days(start="2026-11-09T05:00:00Z", period="1W") == (9, 13, 5)
    assert days(start="2026-11-24T15:00:00Z") == (24, 30, 4)
    assert days(start="2026-11-09T05:00:00Z", end="2026-11-11T05:00:00Z") == (9, 10, 2)
    assert days(date_end="2026-11-14", period="1D") == (13, 13, 1)
    assert days(start="2026-11-24T15:00:00Z", period="1A") == (24, 30, 4)


@pytest.mark.parametrize(
    "params",
    [
        {"start": "2026-11-02T00:00:00Z", "end": "2026-11-03T00:00:00Z", "period": "1D"},
        {"period": "0D"},
        {"period": "1Y"},
        {"period": "9999A"},
        {"timeframe": "2Min"},
        {"timeframe": "1Min", "period": "2M"},
        {"pnl_reset": "never"},
        {"intraday_reporting": "sometimes"},
        {"cashflow_types": "ALL"},
        {"end": "1980-01-01T00:00:00Z"},
    ],
)
def test_questions_that_have_no_answer_are_refused(
    client: TestClient, params: dict[str, str]
) -> None:
    answer = client.get("/v2/account/portfolio/history", params=params)
    assert (answer.status_code, answer.json()["code"]) == (422, 42210000)
    lost = client.get("/v2/account/portfolio/history", params={"start": "yesterday"})
    assert lost.status_code == 400


def test_windows_of_minutes_reach_over_a_month_and_no_further(
    client: TestClient, exchange: Exchange
) -> None:
    exchange.advance(at(date(2026, 12, 10), 12))
    month = asked(client, timeframe="15Min")
    assert datetime.fromtimestamp(month["timestamp"][0], NEW_YORK).date() == date(2026, 11, 11)
    start = (exchange.now - timedelta(days=32)).isoformat()
    answer = client.get(
        "/v2/account/portfolio/history", params={"timeframe": "15Min", "start": start}
    )
    assert answer.status_code == 422
