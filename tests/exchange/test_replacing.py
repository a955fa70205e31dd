"""Replacing and cancelling: what is refused, what is held meanwhile, and who wins a race."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from mahler_pipelines.exchange.changes import Change
from mahler_pipelines.exchange.engine import Exchange, ExchangeTerms
from mahler_pipelines.exchange.faults import parse_faults
from mahler_pipelines.exchange.orders import WireStatus
from mahler_pipelines.exchange.tickets import read_ticket
from mahler_pipelines.exchange.wire.app import build_wire
from mahler_pipelines.exchange.wire.errors import WireRefusal
from tests.exchange.fakes import OPENING, HandMadeMarket, Quote, call, put
from tests.exchange.orders import leg, send, single, spread

KEYS = {"APCA-API-KEY-ID": "local-main", "APCA-API-SECRET-KEY": "local-secret"}
ONE_CALL = call(105)
CREDIT_SPREAD = [leg(put(95), "sell", "open"), leg(put(90), "buy", "open")]


@pytest.fixture
def market() -> HandMadeMarket:
    return HandMadeMarket(overrides={ONE_CALL: Quote(2.00, 2.10)})


@pytest.fixture
def exchange(market: HandMadeMarket, tmp_path: Path) -> Exchange:
    return Exchange(market, tmp_path, ExchangeTerms(start_at=OPENING))


@contextmanager
def wire(exchange: Exchange, *faults: dict[str, Any]) -> Iterator[TestClient]:
    """The wire, with a fault for each cancel and replacement."""
    rules = [
        {"method": method, "path": "/v2/orders*", "fault": fault}
        for fault in faults
        for method in ("DELETE", "PATCH")
    ]
    plan = parse_faults(json.dumps({"rules": rules}), source="test")
    with TestClient(build_wire(exchange, faults=plan), headers=KEYS) as client:
        yield client


def rest(client: TestClient, **more: Any) -> str:
    """Send an order that rests for five contracts; return its id."""
    body = single(ONE_CALL, "buy", "1.50", qty=5) | more
    return str(client.post("/v2/orders", json=body).json()["id"])


def seen(client: TestClient, order_id: str) -> tuple[str, str]:
    """Status and filled quantity, as the account sees them."""
    row = client.get(f"/v2/orders/{order_id}").json()
    return row["status"], row["filled_qty"]


def refused(client: TestClient, order_id: str, **change: Any) -> tuple[int, str]:
    answer = client.patch(f"/v2/orders/{order_id}", json=change)
    assert answer.status_code >= 400, answer.json()
    return answer.status_code, answer.json()["message"]


# What can be replaced


def test_a_replacement_has_what_was_asked_for_and_the_rest_of_the_old(exchange: Exchange) -> None:
    with wire(exchange) as client:
        old = rest(client, type="stop_limit", stop_price="3.00")
        change = {"qty": "7", "stop_price": "3.10", "limit_price": "1.55", "time_in_force": "gtc"}
        new = client.patch(f"/v2/orders/{old}", json=change | {"client_order_id": "mine"}).json()
        assert {name: new[name] for name in change} == change | {"stop_price": "3.1"}
        assert (new["client_order_id"], new["replaces"]) == ("mine", old)
        assert (new["symbol"], new["side"], new["type"]) == (ONE_CALL, "buy", "stop_limit")
        before = client.get(f"/v2/orders/{old}").json()
        assert (before["status"], before["replaced_by"]) == ("replaced", new["id"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, "order parameters are not changed"),
        ({"limit_price": "1.5", "qty": 5}, "order parameters are not changed"),
        ({"client_order_id": "other"}, "order parameters are not changed"),
        ({"stop_price": "1"}, "limit orders must not have a stop price"),
        ({"limit_price": "0"}, "limit price must be > 0"),
        ({"limit_price": "1.505"}, "invalid limit_price"),
        ({"qty": "2.5"}, "qty must be integer"),
        ({"time_in_force": "ioc"}, "invalid time in force"),
        ({"notional": "5"}, "notional is not supported"),
        ({"trail": "5"}, "trail is not supported"),
    ],
)
def test_a_change_that_makes_no_sense_is_refused(
    exchange: Exchange, change: dict[str, Any], said: str
) -> None:
    with wire(exchange) as client:
        status, message = refused(client, rest(client), **change)
        assert status == 422
        assert said in message


def test_more_has_to_be_wanted_than_was_filled(exchange: Exchange, market: HandMadeMarket) -> None:
    market.overrides[ONE_CALL] = Quote(1.40, 1.50, ask_size=3)
    with wire(exchange) as client:
        old = rest(client)
        assert seen(client, old) == ("partially_filled", "3")
        assert refused(client, old, qty="3") == (422, "qty must be > filled_qty")
        new = client.patch(f"/v2/orders/{old}", json={"qty": "4"}).json()
        assert (new["qty"], new["filled_qty"]) == ("1", "0"), "what is left of the four"
        assert seen(client, old) == ("replaced", "3")


def test_only_resting_orders_are_replaced(exchange: Exchange) -> None:
    with wire(exchange) as client:
        old = rest(client)
        new = client.patch(f"/v2/orders/{old}", json={"qty": "6"}).json()["id"]
        assert refused(client, old, qty="7") == (422, "order already replaced")
        assert client.delete(f"/v2/orders/{new}").status_code == 204
        assert refused(client, new, qty="7")[1] == "cannot replace order in canceled status"
        done = rest(client, limit_price="2.10")
        assert refused(client, done, qty="7")[1] == "cannot replace order in filled status"
        several = client.post("/v2/orders", json=spread(CREDIT_SPREAD, "-4.50")).json()["id"]
        assert refused(client, several, qty="7") == (403, "replace mleg order is disabled")
        client.post("/control/clock", json={"to": "next_close"})
        waiting = rest(client)
        assert refused(client, waiting, qty="7")[1] == "cannot replace order in accepted status"


def test_an_order_on_its_first_answer_cannot_be_replaced(exchange: Exchange) -> None:
    order = exchange.trading.submit("main", read_ticket(single(ONE_CALL, "buy", "1.50")))
    with pytest.raises(WireRefusal, match="cannot replace order in pending_new status"):
        exchange.trading.replace(order, Change(quantity=2))
    exchange.close()


def test_a_triggered_stop_keeps_its_stop_price(exchange: Exchange) -> None:
    with wire(exchange) as client:
        old = rest(client, type="stop_limit", stop_price="1.90")
        assert refused(client, old, stop_price="1.80")[1].startswith("stop_price cannot be changed")
        new = client.patch(f"/v2/orders/{old}", json={"limit_price": "2.10"}).json()["id"]
        assert seen(client, new) == ("filled", "5"), "it needn't be triggered twice"


# Pending


def test_a_pending_cancel_takes_effect_once_it_was_seen(exchange: Exchange) -> None:
    with wire(exchange, {"kind": "pend"}) as client:
        order = rest(client)
        assert client.delete(f"/v2/orders/{order}").status_code == 204
        again = client.delete(f"/v2/orders/{order}")
        assert (again.status_code, again.json()["message"]) == (
            422,
            'order is already in "pending_cancel" state',
        )
        assert refused(client, order, qty="6")[1] == "cannot replace order in pending_cancel status"
        assert seen(client, order) == ("pending_cancel", "0")
        assert seen(client, order) == ("canceled", "0")


def test_a_pending_replacement_trades_only_when_the_old_order_is_gone(
    exchange: Exchange,
) -> None:
    with wire(exchange, {"kind": "pend"}) as client:
        old = rest(client)
        new = client.patch(f"/v2/orders/{old}", json={"limit_price": "2.20"}).json()
        assert new["status"] == "pending_new"
        assert exchange.store.positions("main") == (), "the new one is not at the market yet"
        chain = (422, "order chain not fully replaced")
        assert refused(client, new["id"], qty="9") == chain
        cancel = client.delete(f"/v2/orders/{new['id']}")
        assert (cancel.status_code, cancel.json()["message"]) == chain
        assert refused(client, old, qty="9")[1] == "cannot replace order in pending_replace status"
        client.post("/control/clock", json={"to": OPENING.replace(minute=31).isoformat()})
        assert seen(client, old) == ("replaced", "0")
        assert seen(client, new["id"]) == ("filled", "5")


@pytest.mark.parametrize(("price", "quantity", "held"), [("2.00", "5", 1000), ("0.50", "4", 750)])
def test_buying_power_holds_the_larger_of_the_two(
    exchange: Exchange, price: str, quantity: str, held: int
) -> None:
    with wire(exchange, {"kind": "pend"}) as client:
        before = Decimal(client.get("/v2/account").json()["options_buying_power"])
        old = rest(client)
        client.patch(f"/v2/orders/{old}", json={"limit_price": price, "qty": quantity})
        meanwhile = Decimal(client.get("/v2/account").json()["options_buying_power"])
        assert before - meanwhile == held
        seen(client, old)
        after = Decimal(client.get("/v2/account").json()["options_buying_power"])
        assert before - after == int(quantity) * 100 * Decimal(price)


def test_a_fill_before_a_pending_replacement_rejects_it(
    exchange: Exchange, market: HandMadeMarket
) -> None:
    """The 200 did not prove that it happened."""
    with wire(exchange, {"kind": "pend"}) as client:
        old = rest(client)
        answer = client.patch(f"/v2/orders/{old}", json={"limit_price": "1.60"})
        assert answer.status_code == 200
        market.overrides[ONE_CALL] = Quote(1.30, 1.45)
        client.post("/control/clock", json={"to": OPENING.replace(minute=31).isoformat()})
        assert seen(client, old) == ("filled", "5")
        rejected = client.get(f"/v2/orders/{answer.json()['id']}").json()
        assert (rejected["status"], rejected["filled_qty"]) == ("rejected", "0")
        assert rejected["failed_at"] is not None
        (held,) = client.get("/v2/positions").json()
        assert held["qty"] == "5", "never both"


def test_a_part_that_fills_before_a_pending_replacement_is_taken_off_it(
    exchange: Exchange, market: HandMadeMarket
) -> None:
    with wire(exchange, {"kind": "pend"}) as client:
        old = rest(client)
        new = client.patch(f"/v2/orders/{old}", json={"limit_price": "1.60"}).json()["id"]
        market.overrides[ONE_CALL] = Quote(1.30, 1.45, ask_size=2)
        client.post("/control/clock", json={"to": OPENING.replace(minute=31).isoformat()})
        assert seen(client, old) == ("replaced", "2")
        assert client.get(f"/v2/orders/{new}").json()["qty"] == "3"
        market.overrides[ONE_CALL] = Quote(1.30, 1.55)
        client.post("/control/clock", json={"to": OPENING.replace(minute=32).isoformat()})
        (held,) = client.get("/v2/positions").json()
        assert held["qty"] == "5"


def test_an_order_whose_replacement_was_withdrawn_rests_again(exchange: Exchange) -> None:
    """As the broker withdraws orders when it liquidates."""
    with wire(exchange, {"kind": "pend"}) as client:
        old = rest(client)
        new = client.patch(f"/v2/orders/{old}", json={"limit_price": "1.60"}).json()["id"]
        withdrawn = exchange.store.order(new)
        assert withdrawn is not None
        exchange.store.update_order(replace(withdrawn, status=WireStatus.CANCELED))
        assert seen(client, old)[0] == "pending_replace"
        assert seen(client, old) == ("new", "0")


def test_what_is_pending_at_the_close_has_taken_effect(exchange: Exchange) -> None:
    with wire(exchange, {"kind": "pend"}) as client:
        cancelled, replaced = rest(client), rest(client)
        client.delete(f"/v2/orders/{cancelled}")
        new = client.patch(f"/v2/orders/{replaced}", json={"limit_price": "1.60"}).json()["id"]
        client.post("/control/clock", json={"to": "next_close"})
        ended = [seen(client, one)[0] for one in (cancelled, replaced, new)]
        assert ended == ["canceled", "replaced", "expired"]


# Races


@pytest.mark.parametrize("answered", ["after", "before"])
def test_a_cancel_loses_to_a_whole_fill(exchange: Exchange, answered: str) -> None:
    with wire(exchange, {"kind": "fill_first", "answered": answered}) as client:
        order = rest(client)
        answer = client.delete(f"/v2/orders/{order}")
        assert answer.status_code == (422 if answered == "after" else 204)
        assert seen(client, order) == ("filled", "5")
        assert client.get(f"/v2/orders/{order}").json()["filled_avg_price"] == "1.5"


@pytest.mark.parametrize("answered", ["after", "before"])
def test_a_cancel_ends_what_a_part_fill_left(exchange: Exchange, answered: str) -> None:
    with wire(exchange, {"kind": "fill_first", "units": 2, "answered": answered}) as client:
        order = rest(client)
        assert client.delete(f"/v2/orders/{order}").status_code == 204
        assert seen(client, order) == ("canceled", "2")


@pytest.mark.parametrize("answered", ["after", "before"])
def test_a_replacement_loses_to_a_fill(exchange: Exchange, answered: str) -> None:
    with wire(exchange, {"kind": "fill_first", "answered": answered}) as client:
        order = rest(client)
        answer = client.patch(f"/v2/orders/{order}", json={"limit_price": "1.60"})
        assert seen(client, order) == ("filled", "5")
        if answered == "after":
            assert answer.json()["message"] == "cannot replace order in filled status"
        else:
            assert answer.status_code == 200
            assert seen(client, answer.json()["id"]) == ("rejected", "0")


def test_a_spread_that_fills_first_fills_at_exactly_its_limit(exchange: Exchange) -> None:
    """Ratios of 1:2 and an odd quantity: the legs' prices add up to the limit, and cash to both."""
    ratio = [leg(put(95), "sell", "open"), leg(put(90), "buy", "open", 2)]
    with wire(exchange, {"kind": "fill_first", "units": 3}) as client:
        order = client.post("/v2/orders", json=spread(ratio, "-1.37", qty=7)).json()["id"]
        assert client.delete(f"/v2/orders/{order}").status_code == 204
        ended = client.get(f"/v2/orders/{order}").json()
        assert (ended["status"], ended["filled_qty"]) == ("canceled", "3")
        assert ended["filled_avg_price"] == "-1.37"
        assert [row["filled_qty"] for row in ended["legs"]] == ["3", "6"]
        assert client.get("/v2/account").json()["cash"] == "100411"


def test_a_race_that_cannot_be_is_not_counted(exchange: Exchange) -> None:
    """Only a cancel or replacement of an open order with a limit has a fill to lose against."""
    with wire(exchange, {"kind": "fill_first"}) as client:
        stop = rest(client, type="stop", limit_price=None, stop_price="9.00")
        assert client.delete(f"/v2/orders/{stop}").status_code == 204
        assert client.delete("/v2/orders").status_code == 207
        counts = client.get("/control/faults").json()["counts"]
        assert [count["met"] for count in counts] == [0, 0]


def test_all_orders_are_cancelled_with_a_status_for_each(exchange: Exchange) -> None:
    with wire(exchange) as client:
        first, second = rest(client), rest(client)
        order = exchange.store.order(second)
        assert order is not None
        exchange.trading.cancel(order, pends=True)
        answer = client.delete("/v2/orders")
        assert answer.status_code == 207
        assert answer.json() == [{"id": first, "status": 200}, {"id": second, "status": 500}]


def test_cancelled_by_hand_is_at_once(exchange: Exchange) -> None:
    """Where the market stands still nothing is pending, unless a fault says so."""
    order = send(exchange, single(ONE_CALL, "buy", "1.50"))
    assert exchange.trading.cancel(order).status is WireStatus.CANCELED
    exchange.close()
