"""The history of an account over the wire: kinds, days, orders, pages, and what fees look like."""

from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from mahler_pipelines.exchange.engine import Exchange, ExchangeTerms
from mahler_pipelines.exchange.market import SettlementValue
from mahler_pipelines.exchange.matching import FeeSchedule
from mahler_pipelines.exchange.wire.app import build_wire
from mahler_pipelines.market.sessions import NEW_YORK
from tests.exchange.fakes import NEAR, OPENING, HandMadeMarket, put
from tests.exchange.orders import leg, send, single, spread

KEYS = {"APCA-API-KEY-ID": "local-main", "APCA-API-SECRET-KEY": "local-secret"}


@pytest.fixture
def exchange(tmp_path: Path) -> Exchange:
    """A spread of three sold and expired between its strikes; shares delivered and a dividend."""
    market = HandMadeMarket(
        settlements={("XYZ", NEAR): SettlementValue(Decimal(93), "test")},
        paid={"XYZ": ((date(2026, 11, 24), Decimal("0.37")),)},
    )
    terms = ExchangeTerms(start_at=OPENING, fees=FeeSchedule(per_contract=Decimal("0.65")))
    exchange = Exchange(market, tmp_path, terms)
    legs = [leg(put(95, NEAR), "sell", "open"), leg(put(90, NEAR), "buy", "open")]
    send(exchange, spread(legs, "-0.10", qty=3))
    exchange.advance(datetime(2026, 11, 25, 12, tzinfo=NEW_YORK))
    return exchange


@pytest.fixture
def client(exchange: Exchange) -> Iterator[TestClient]:
    with TestClient(build_wire(exchange), headers=KEYS) as client:
        yield client


def asked(client: TestClient, path: str = "", **params: str) -> list[dict[str, Any]]:
    answer = client.get(f"/v2/account/activities{path}", params={"direction": "asc"} | params)
    assert answer.status_code == 200, answer.text
    rows: list[dict[str, Any]] = answer.json()
    return rows


def kinds(rows: list[dict[str, Any]]) -> list[str]:
    return [row["activity_type"] for row in rows]


HISTORY = ["FILL", "FILL", "FEE", "FEE", "OPASN", "OPTRD", "OPEXP", "DIV"]


def test_history_is_told_in_the_order_in_which_it_is_posted(client: TestClient) -> None:
    rows = asked(client)
    assert kinds(rows) == HISTORY
    assert kinds(asked(client, direction="desc")) == HISTORY[::-1]
    assert len({row["id"] for row in rows}) == len(rows)
    stamps = [row["id"][:17] for row in rows]
    assert stamps == sorted(stamps)


def test_kinds_and_categories_choose(client: TestClient) -> None:
    assert kinds(asked(client, activity_types="OPASN,OPTRD")) == ["OPASN", "OPTRD"]
    assert kinds(asked(client, "/FEE")) == ["FEE", "FEE"]
    assert kinds(asked(client, activity_types="MISC")) == HISTORY[2:-1]
    assert asked(client, activity_types="TRANS") == []
    assert kinds(asked(client, category="trade_activity")) == HISTORY[:2]
    assert kinds(asked(client, category="non_trade_activity")) == HISTORY[2:]
    for params in (
        {"category": "trade_activity", "activity_types": "FILL"},
        {"category": "all"},
        {"direction": "up"},
    ):
        answer = client.get("/v2/account/activities", params=params)
        assert (answer.status_code, answer.json()["code"]) == (422, 42210000)


def test_days_are_those_of_the_posting_in_utc(client: TestClient) -> None:
    assert kinds(asked(client, date="2026-11-02")) == HISTORY[:2]
    assert kinds(asked(client, date="2026-11-03")) == HISTORY[2:4]
    assert asked(client, date="2026-11-20") == [], "it happened then, and was posted a day later"
    assert kinds(asked(client, date="2026-11-21T00:00:00Z")) == HISTORY[4:7]
    assert kinds(asked(client, after="2026-11-21", until="2026-11-25")) == HISTORY[4:7]
    dividend = asked(client, after="2026-11-22")[0]
    assert (dividend["date"], dividend["created_at"][:10]) == ("2026-11-24", "2026-11-25")
    assert (dividend["qty"], dividend["per_share_amount"]) == ("300", "0.37")
    assert dividend["net_amount"] == "111.00"


def test_order_finds_its_fills(client: TestClient, exchange: Exchange) -> None:
    (order,) = exchange.store.orders("main")
    assert len(asked(client, order_id=order.id)) == 2
    (fill,) = asked(client, order_id=order.legs[1].id)
    assert (fill["symbol"], fill["order_id"]) == (put(90, NEAR), order.legs[1].id)
    assert asked(client, order_id="6ba7b810-9dad-11d1-80b4-00c04fd430c8") == []


def test_fees_are_rows_of_their_own_posted_the_next_day(client: TestClient) -> None:
    fees = asked(client, "/FEE")
    assert [row["net_amount"] for row in fees] == ["-1.95", "-1.95"]
    assert {row["symbol"] for row in fees} == {put(95, NEAR), put(90, NEAR)}
    assert {row["date"] for row in fees} == {"2026-11-02"}
    assert {row["status"] for row in fees} == {"executed"}


def test_pages_go_on_after_the_last_row_whatever_is_asked_next(client: TestClient) -> None:
    read: list[dict[str, Any]] = []
    while page := asked(client, page_size="3", **({"page_token": read[-1]["id"]} if read else {})):
        read += page
    assert kinds(read) == HISTORY
    rest = asked(client, page_token=read[1]["id"], activity_types="OPEXP,DIV")
    assert kinds(rest) == ["OPEXP", "DIV"], "the token was of another kind"
    back = asked(client, direction="desc", page_size="2", page_token=read[6]["id"])
    assert kinds(back) == ["OPTRD", "OPASN"]
    for params in ({"page_token": "20261102::x"}, {"page_size": "101"}, {"page_size": "0"}):
        assert client.get("/v2/account/activities", params=params).status_code == 400


def test_tail_of_the_history_shows_each_row_once(client: TestClient, exchange: Exchange) -> None:
    """Rows that are posted later come after the last one read: nothing is overtaken."""
    last = asked(client)[-1]["id"]
    send(exchange, single("XYZ", "sell", None, qty=137))
    exchange.advance(datetime(2026, 11, 25, 13, tzinfo=NEW_YORK))
    (first,) = asked(client, page_token=last)
    assert first["qty"] == "137"
    send(exchange, single(put(95), "sell", None, qty=1))
    exchange.advance(datetime(2026, 11, 27, 13, tzinfo=NEW_YORK))
    assert kinds(asked(client, page_token=first["id"])) == ["FILL", "FEE"]
