"""Corporate actions over the wire: the market's cash dividends, and no others."""

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from mahler_pipelines.exchange.engine import Exchange, ExchangeTerms
from mahler_pipelines.exchange.wire.app import build_wire
from tests.exchange.fakes import OPENING, HandMadeMarket

KEYS = {"APCA-API-KEY-ID": "local-main", "APCA-API-SECRET-KEY": "local-secret"}
DAYS = [date(2026, 11, 3), date(2026, 11, 10), date(2026, 12, 2), date(2026, 12, 3)]


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    """Two payers; the exchange stands on 2 November, from where 30 days reach to 2 December."""
    market = HandMadeMarket(
        underlyings=("ABC", "XYZ"),
        paid={
            "ABC": ((DAYS[0], Decimal("0.11")), (DAYS[1], Decimal("0.12"))),
            "XYZ": tuple((day, Decimal("0.37")) for day in DAYS[1:]),
        },
    )
    exchange = Exchange(market, tmp_path, ExchangeTerms(start_at=OPENING))
    with TestClient(build_wire(exchange), headers=KEYS) as client:
        yield client


def asked(client: TestClient, **params: str) -> dict[str, Any]:
    answer = client.get("/v1/corporate-actions", params=params)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def named(found: dict[str, Any]) -> list[tuple[str, str]]:
    rows = found["corporate_actions"].get("cash_dividends", [])
    return [(row["symbol"], row["ex_date"][5:]) for row in rows]


ALL = [("ABC", "11-03"), ("ABC", "11-10"), ("XYZ", "11-10"), ("XYZ", "12-02")]


def test_declared_dividends_come_by_day_and_symbol(client: TestClient) -> None:
    span = {"start": "2026-11-01", "end": "2027-12-31"}
    assert named(asked(client, **span)) == ALL, "the last is not declared yet"
    assert named(asked(client, **span, sort="desc")) == ALL[::-1]
    assert named(asked(client, **span, symbols="XYZ,NONE")) == ALL[2:]
    assert named(asked(client, start="2026-11-10", end="2026-11-10")) == ALL[1:3]
    assert named(asked(client)) == [], "without days: today"
    row = asked(client, **span)["corporate_actions"]["cash_dividends"][0]
    assert row["rate"] == 0.11
    days = {row[name] for name in ("ex_date", "process_date", "record_date", "payable_date")}
    assert days == {"2026-11-03"}


def test_kinds_that_the_market_does_not_have_are_left_out(client: TestClient) -> None:
    span = {"start": "2026-11-01", "end": "2027-12-31"}
    assert named(asked(client, **span, types="cash_dividend,forward_split")) == ALL
    none = asked(client, **span, types="forward_split,reverse_split,spin_off,name_change")
    assert none == {"corporate_actions": {}, "next_page_token": None}
    assert asked(client, **span, cusips="037833100")["corporate_actions"] == {}


def test_pages_are_followed(client: TestClient) -> None:
    span = {"start": "2026-11-01", "end": "2027-12-31", "limit": "3"}
    first = asked(client, **span)
    rest = asked(client, **span, page_token=first["next_page_token"])
    assert named(first) + named(rest) == ALL
    assert rest["next_page_token"] is None


def test_ids_find_what_they_name(client: TestClient) -> None:
    rows = asked(client, start="2026-11-01", end="2026-12-31")["corporate_actions"]
    wanted = rows["cash_dividends"][2]["id"]
    assert named(asked(client, ids=wanted)) == [ALL[2]]
    assert (
        client.get("/v1/corporate-actions", params={"ids": wanted, "symbols": "XYZ"}).status_code
        == 400
    )


@pytest.mark.parametrize(
    "params",
    [
        {"types": "cash_dividends"},
        {"sort": "up"},
        {"limit": "1001"},
        {"page_token": "nothing"},
        {"start": "soon"},
        {"start": "2026-11-10", "end": "2026-11-09"},
    ],
)
def test_unreadable_questions_are_refused(client: TestClient, params: dict[str, str]) -> None:
    assert client.get("/v1/corporate-actions", params=params).status_code == 400
