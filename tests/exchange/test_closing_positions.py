"""Closing positions by their own routes, and what orders are listed by."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from mahler_pipelines.exchange.engine import Exchange, ExchangeTerms
from mahler_pipelines.exchange.wire.app import build_wire
from tests.exchange.fakes import OPENING, HandMadeMarket, call, put
from tests.exchange.orders import leg, single, spread

KEYS = {"APCA-API-KEY-ID": "local-main", "APCA-API-SECRET-KEY": "local-secret"}
SHORT, LONG = put(95), put(90)
CREDIT_SPREAD = [leg(SHORT, "sell", "open"), leg(LONG, "buy", "open")]


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    exchange = Exchange(HandMadeMarket(), tmp_path, ExchangeTerms(start_at=OPENING))
    with TestClient(build_wire(exchange), headers=KEYS) as client:
        yield client


def held(client: TestClient) -> dict[str, str]:
    return {row["symbol"]: row["qty"] for row in client.get("/v2/positions").json()}


def test_a_position_is_closed_at_the_market_whole_or_in_part(client: TestClient) -> None:
    client.post("/v2/orders", json=single(call(105), "buy", None, qty=7))
    asset = client.get(f"/v2/positions/{call(105)}").json()["asset_id"]
    order = client.delete(f"/v2/positions/{asset}", params={"qty": "2"}).json()
    assert (order["side"], order["qty"], order["type"]) == ("sell", "2", "market")
    assert order["position_intent"] == "sell_to_close"
    assert held(client) == {call(105): "5"}
    client.delete(f"/v2/positions/{call(105)}", params={"percentage": "50"})
    assert held(client) == {call(105): "3"}, "half of five, in whole contracts"
    client.delete(f"/v2/positions/{call(105)}")
    assert held(client) == {}


@pytest.mark.parametrize(
    ("params", "status", "said"),
    [
        ({"qty": "8"}, 403, "insufficient qty available for order (requested: 8, available: 7)"),
        ({"qty": "1.5"}, 422, "qty must be integer for options trading"),
        ({"qty": "1", "percentage": "5"}, 422, "only one of qty or percentage is accepted"),
        ({"percentage": "101"}, 422, "percentage must be between 0 and 100"),
        ({"percentage": "14"}, 422, "percentage of the position is less than one contract"),
    ],
)
def test_a_close_that_makes_no_sense_is_refused(
    client: TestClient, params: dict[str, str], status: int, said: str
) -> None:
    client.post("/v2/orders", json=single(call(105), "buy", None, qty=7))
    answer = client.delete(f"/v2/positions/{call(105)}", params=params)
    assert (answer.status_code, answer.json()["message"]) == (status, said)
    assert held(client) == {call(105): "7"}


def test_a_long_leg_that_covers_a_short_one_cannot_be_closed_alone(client: TestClient) -> None:
    client.post("/v2/orders", json=spread(CREDIT_SPREAD, "-0.50", qty=3))
    answer = client.delete(f"/v2/positions/{call(100)}")
    assert (answer.status_code, answer.json()["code"]) == (404, 40410000)
    short = client.delete(f"/v2/positions/{SHORT}").json()
    assert (short["side"], short["position_intent"]) == ("buy", "buy_to_close")
    assert held(client) == {LONG: "3"}


def test_every_position_is_closed_shorts_first(client: TestClient) -> None:
    client.post("/v2/orders", json=spread(CREDIT_SPREAD, "-0.50", qty=3))
    client.post("/v2/orders", json=single("XYZ", "buy", None, qty=11))
    resting = client.post(
        "/v2/orders", json=single(LONG, "sell", "90", qty=1, position_intent="sell_to_close")
    ).json()
    answer = client.delete("/v2/positions")
    assert answer.status_code == 207
    rows = {row["symbol"]: row for row in answer.json()}
    assert answer.json()[0]["symbol"] == SHORT
    assert rows[SHORT]["status"] == rows["XYZ"]["status"] == 200
    assert rows[SHORT]["body"]["qty"] == "3"
    assert (rows[LONG]["status"], rows[LONG]["body"]["code"]) == (403, 40310000)
    assert held(client) == {LONG: "3"}, "one of it is held for an order"
    assert client.delete("/v2/positions", params={"cancel_orders": "true"}).status_code == 207
    assert client.get(f"/v2/orders/{resting['id']}").json()["status"] == "canceled"
    assert held(client) == {}


def test_nothing_is_closed_while_the_market_is_closed(client: TestClient) -> None:
    client.post("/v2/orders", json=single(call(105), "buy", None, qty=7))
    client.post("/control/clock", json={"to": "next_close"})
    answer = client.delete(f"/v2/positions/{call(105)}")
    assert (answer.status_code, answer.json()["code"]) == (422, 42210000)


def test_orders_are_listed_by_what_is_asked(client: TestClient) -> None:
    bodies = {
        "spread": spread(CREDIT_SPREAD, "-4.50"),
        "call": single(call(105), "buy", "0.10"),
        "shares": single("XYZ", "buy", "50.00", qty=3),
    }
    ids = {client.post("/v2/orders", json=body).json()["id"]: name for name, body in bodies.items()}
    client.post("/v2/orders", json=single("XYZ", "buy", None, qty=5))

    def listed(**params: str) -> set[str]:
        answer = client.get("/v2/orders", params={"nested": "true"} | params)
        assert answer.status_code == 200, answer.json()
        return {ids.get(row["id"], "filled") for row in answer.json()}

    assert listed() == {"spread", "call", "shares"}
    assert listed(status="closed") == {"filled"}
    assert listed(status="all", asset_class="us_equity") == {"shares", "filled"}
    assert listed(asset_class="us_option") == {"spread", "call"}
    assert listed(side="buy") == {"call", "shares"}
    assert listed(side="sell") == set(), "a multi-leg parent has no side"
    assert listed(symbols=f"{SHORT},{call(105)}") == {"spread", "call"}
    flat = client.get("/v2/orders", params={"symbols": SHORT}).json()
    assert [row["symbol"] for row in flat] == ["", SHORT, LONG], "not nested: parent, then legs"
    for wrong in ({"status": "odd"}, {"direction": "up"}, {"side": "both"}, {"limit": "501"}):
        assert client.get("/v2/orders", params=wrong).status_code == 400, wrong


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_options_trading_level": 4},
        {"max_options_trading_level": True},
        {"max_options_trading_level": 2.0},
        {"suspend_trade": "yes"},
        {"no_shorting": 1},
    ],
)
def test_a_configuration_of_another_type_is_refused(
    client: TestClient, wrong: dict[str, object]
) -> None:
    before = client.get("/v2/account/configurations").json()
    answer = client.patch("/v2/account/configurations", json=wrong)
    assert (answer.status_code, answer.json()["code"]) == (422, 42210000)
    assert client.get("/v2/account/configurations").json() == before


def test_a_configuration_is_kept_and_null_keeps_what_there_is(client: TestClient) -> None:
    sent = {"max_options_trading_level": 2, "suspend_trade": None, "no_shorting": True}
    said = client.patch("/v2/account/configurations", json=sent).json()
    assert (said["max_options_trading_level"], said["no_shorting"]) == (2, True)
    assert said["suspend_trade"] is False
    assert client.get("/v2/account").json()["options_trading_level"] == 2
