"""Exercise by request and do-not-exercise instructions, over the wire and what they book."""

from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from mahler_pipelines.exchange.engine import Exchange, ExchangeTerms
from mahler_pipelines.exchange.instruments import asset_id
from mahler_pipelines.exchange.market import SettlementValue
from mahler_pipelines.exchange.wire.app import build_wire
from mahler_pipelines.market.sessions import NEW_YORK
from tests.exchange.fakes import FAR, NEAR, OPENING, HandMadeMarket, call, put
from tests.exchange.orders import send, single

KEYS = {"APCA-API-KEY-ID": "local-main", "APCA-API-SECRET-KEY": "local-secret"}
EXPIRY_NOON = datetime(2026, 11, 20, 12, tzinfo=NEW_YORK)


@pytest.fixture
def market() -> HandMadeMarket:
    return HandMadeMarket(settlements={("XYZ", NEAR): SettlementValue(Decimal(103), "test")})


@pytest.fixture
def exchange(market: HandMadeMarket, tmp_path: Path) -> Exchange:
    return Exchange(market, tmp_path, ExchangeTerms(start_at=OPENING))


@pytest.fixture
def client(exchange: Exchange) -> Iterator[TestClient]:
    with TestClient(build_wire(exchange), headers=KEYS) as client:
        yield client


def positions(client: TestClient) -> dict[str, str]:
    return {row["symbol"]: row["qty"] for row in client.get("/v2/positions").json()}


def option_rows(client: TestClient) -> list[dict[str, Any]]:
    params = {"category": "non_trade_activity", "direction": "asc"}
    rows: list[dict[str, Any]] = client.get("/v2/account/activities", params=params).json()
    return rows


def refusal(client: TestClient, symbol: str, what: str = "exercise") -> tuple[int, int, str]:
    answer = client.post(f"/v2/positions/{symbol}/{what}")
    return answer.status_code, answer.json()["code"], answer.json()["message"]


def test_exercised_calls_become_shares_at_once_and_rows_the_next_day(
    client: TestClient, exchange: Exchange
) -> None:
    send(exchange, single(call(95), "buy", None, qty=3))
    cash = exchange.figures("main").cash
    answer = client.post(f"/v2/positions/{call(95)}/exercise")
    assert (answer.status_code, answer.content) == (200, b"")
    assert positions(client) == {"XYZ": "300"}
    assert exchange.figures("main").cash == cash - 28_500
    assert option_rows(client) == []
    exchange.advance(datetime(2026, 11, 3, 0, 5, tzinfo=NEW_YORK))
    exercised, stock = option_rows(client)
    assert (exercised["activity_type"], exercised["qty"]) == ("OPEXC", "-3")
    assert (exercised["net_amount"], exercised["date"]) == ("0", "2026-11-02")
    assert (stock["activity_type"], stock["qty"], stock["price"]) == ("OPTRD", "300", "95")
    assert stock["net_amount"] == "-28500.00"
    assert stock["group_id"] == exercised["group_id"]


def test_exercised_puts_put_out_shares_that_are_held(
    client: TestClient, exchange: Exchange
) -> None:
    send(exchange, single(put(105), "buy", None, qty=2))
    assert refusal(client, put(105))[:2] == (403, 40310000)
    send(exchange, single("XYZ", "buy", None, qty=250))
    selling = send(exchange, single("XYZ", "sell", "101.00", qty=100))
    assert refusal(client, put(105)) == (
        403,
        40310000,
        "insufficient underlying qty available for exercise (required: 200, available: 150)",
    )
    exchange.trading.cancel(selling)
    assert client.post(f"/v2/positions/{asset_id(put(105))}/exercise").status_code == 200
    assert positions(client) == {"XYZ": "50"}


def test_exercise_is_refused_where_buying_power_lacks(
    client: TestClient, exchange: Exchange
) -> None:
    send(exchange, single(call(95), "buy", None, qty=11))
    power = exchange.trading.standing("main").buying_power()
    assert refusal(client, call(95)) == (
        403,
        40310000,
        f"insufficient buying power for exercise (required: 104500.00, available: {power})",
    )
    assert positions(client) == {call(95): "11"}


def test_shares_that_cover_short_calls_are_not_put_out(
    client: TestClient, exchange: Exchange
) -> None:
    send(exchange, single("XYZ", "buy", None, qty=100))
    send(exchange, single(call(110), "sell", None, qty=1))
    send(exchange, single(put(105), "buy", None, qty=1))
    assert "available: 0" in refusal(client, put(105))[2]
    send(exchange, single(call(110, NEAR), "buy", None, qty=1))
    uncovered = (403, 40310000, "account not eligible to trade uncovered option contracts")
    assert refusal(client, put(105)) == uncovered, "the long call ends before the short one"


def test_only_contracts_that_no_order_holds_are_exercised(
    client: TestClient, exchange: Exchange
) -> None:
    send(exchange, single(call(95), "buy", None, qty=5))
    send(exchange, single(call(95), "sell", "30.00", qty=2))
    assert client.post(f"/v2/positions/{call(95)}/exercise").status_code == 200
    assert positions(client) == {call(95): "2", "XYZ": "300"}
    assert refusal(client, call(95))[:2] == (403, 40310000)


@pytest.mark.parametrize("what", ["exercise", "do-not-exercise"])
def test_requests_about_nothing_are_refused_in_alpacas_words(
    client: TestClient, exchange: Exchange, what: str
) -> None:
    send(exchange, single(put(90), "sell", None, qty=1))
    send(exchange, single("XYZ", "buy", None, qty=10))
    nothing = (403, 40310000, "no available position for the specified contract")
    assert refusal(client, call(95), what) == nothing
    assert refusal(client, asset_id(call(95)), what) == nothing
    status, code, message = refusal(client, put(90), what)
    assert (status, code) == (403, 40310001)
    assert "short position" in message
    assert refusal(client, "XYZ", what) == (422, 42210000, "invalid symbol")


def test_exercise_waits_from_the_close_until_midnight(
    client: TestClient, exchange: Exchange
) -> None:
    send(exchange, single(call(95), "buy", None, qty=1))
    exchange.advance(datetime(2026, 11, 2, 16, tzinfo=NEW_YORK))
    assert refusal(client, call(95))[:2] == (422, 42210000)
    exchange.advance(datetime(2026, 11, 2, 23, 59, tzinfo=NEW_YORK))
    assert refusal(client, call(95))[:2] == (422, 42210000)
    exchange.advance(datetime(2026, 11, 3, 0, 0, tzinfo=NEW_YORK))
    assert client.post(f"/v2/positions/{call(95)}/exercise").status_code == 200


def test_index_options_are_exercised_at_expiry_only(client: TestClient, exchange: Exchange) -> None:
    symbol = call(95, FAR, "SPXW")
    send(exchange, single(symbol, "buy", None, qty=1))
    assert refusal(client, symbol)[:2] == (422, 42210000)


def test_do_not_exercise_lets_a_long_option_lapse(client: TestClient, exchange: Exchange) -> None:
    send(exchange, single(call(95, NEAR), "buy", None, qty=3))
    assert refusal(client, call(95, NEAR), "do-not-exercise")[:2] == (422, 42210000), "not today"
    exchange.advance(EXPIRY_NOON)
    answer = client.post(f"/v2/positions/{call(95, NEAR)}/do-not-exercise")
    assert (answer.status_code, answer.content) == (200, b"")
    assert refusal(client, call(95, NEAR))[:2] == (422, 42210000), "the instruction stands"
    cash = exchange.figures("main").cash
    exchange.advance(datetime(2026, 11, 21, 12, tzinfo=NEW_YORK))
    assert positions(client) == {}
    assert exchange.figures("main").cash == cash
    (lapsed,) = option_rows(client)
    assert (lapsed["activity_type"], lapsed["qty"], lapsed["date"]) == (
        "OPEXP",
        "-3",
        date(2026, 11, 20).isoformat(),
    )
    assert lapsed["description"] == "not exercised, as instructed"


def test_instruction_ends_with_the_position(client: TestClient, exchange: Exchange) -> None:
    send(exchange, single(call(95, NEAR), "buy", None, qty=1))
    exchange.advance(EXPIRY_NOON)
    client.post(f"/v2/positions/{call(95, NEAR)}/do-not-exercise")
    send(exchange, single(call(95, NEAR), "sell", None, qty=1))
    send(exchange, single(call(95, NEAR), "buy", None, qty=1))
    exchange.advance(datetime(2026, 11, 20, 16, tzinfo=NEW_YORK))
    assert positions(client) == {"XYZ": "100"}
