"""Faults of streams, heard by the real alpaca-py clients: twice, out of order, cut off."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mahler_pipelines.errors import BadInput
from mahler_pipelines.exchange.control import ExchangeControl
from mahler_pipelines.exchange.engine import Exchange, ExchangeTerms
from mahler_pipelines.exchange.faults import FaultPlan, parse_faults
from mahler_pipelines.exchange.faults_due import FaultBook
from mahler_pipelines.exchange.wire.app import build_wire
from tests.exchange.fakes import OPENING, HandMadeMarket, Quote, call
from tests.exchange.orders import single
from tests.exchange.serving import served as serving
from tests.exchange.streaming_clients import (
    MAIN,
    OTHER,
    Listening,
    Served,
    listeners,
    option_stream,
    order_stream,
    wait_until,
)

ONE_CALL = call(105)
ORDERS, OPTIONS = "/stream", "/v1beta1/indicative"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    market = HandMadeMarket(overrides={ONE_CALL: Quote(2.00, 2.10)})
    exchange = Exchange(
        market, tmp_path, ExchangeTerms(credentials=(MAIN, OTHER), start_at=OPENING)
    )
    app = build_wire(exchange)
    with serving(app) as url:
        yield Served(url, app, exchange, market)


def plan_of(*rules: dict[str, Any]) -> FaultPlan:
    return parse_faults(json.dumps({"rules": rules}), source="test")


def play(served: Served, *rules: dict[str, Any]) -> None:
    ExchangeControl(served.url).set_faults(plan_of(*rules))


def counts(served: Served) -> list[tuple[int, int]]:
    answer = served.client()._session.get(f"{served.url}/control/faults").json()
    return [(count["matched"], count["met"]) for count in answer["counts"]]


def rest(served: Served, name: str) -> str:
    """Send an order that rests: pending_new, then new."""
    body = single(ONE_CALL, "buy", "0.10", client_order_id=name)
    return str(served.client().post("/orders", body)["id"])


def heard(listening: Listening, count: int) -> list[tuple[str, str]]:
    """Client id and event of the next messages."""
    return [
        (message["data"]["order"]["client_order_id"], message["data"]["event"])
        for message in listening.next(count)
    ]


def show(served: Served, bid: float, ask: float, moment: datetime) -> None:
    served.market.overrides[ONE_CALL] = Quote(bid, ask)
    ExchangeControl(served.url).advance_to(moment)


# Orders


def test_an_event_is_heard_twice(served: Served) -> None:
    play(served, {"path": ORDERS, "nth": 2, "fault": {"kind": "stream_duplicate"}})
    with order_stream(served) as listening:
        rest(served, "a")
        (pending, new, again) = listening.next(3)
        assert new == again, "with the same execution id"
        assert new["data"]["execution_id"] != pending["data"]["execution_id"]
        rest(served, "b")
        assert heard(listening, 2) == [("b", "pending_new"), ("b", "new")]


def test_an_event_is_heard_after_the_one_that_follows_it(served: Served) -> None:
    """The same requests are told in the same wrong order, whenever they are sent."""
    play(served, {"path": ORDERS, "every": 3, "fault": {"kind": "stream_reorder"}})
    with order_stream(served) as listening:
        for name in ("a", "b", "c"):
            rest(served, name)
        assert heard(listening, 6) == [
            ("a", "pending_new"),
            ("a", "new"),
            ("b", "new"),
            ("b", "pending_new"),
            ("c", "pending_new"),
            ("c", "new"),
        ]
    assert counts(served) == [(6, 2)]


def test_an_event_that_nothing_follows_is_late_and_not_lost(served: Served) -> None:
    play(served, {"path": ORDERS, "nth": 2, "fault": {"kind": "stream_reorder"}})
    with order_stream(served) as listening:
        rest(served, "a")
        assert heard(listening, 2) == [("a", "pending_new"), ("a", "new")]


def test_a_connection_is_cut_and_what_was_not_told_is_never_told(served: Served) -> None:
    play(served, {"path": ORDERS, "nth": 3, "fault": {"kind": "stream_drop"}})
    with order_stream(served) as listening:
        rest(served, "a")
        assert heard(listening, 2) == [("a", "pending_new"), ("a", "new")]
        rest(served, "b")
        wait_until(lambda: listeners(served, "main") == 0, "cut")
        # The client connects again by itself, and has to ask for what it missed.
        wait_until(lambda: listeners(served, "main") == 1, "back")
        rest(served, "c")
        assert heard(listening, 2) == [("c", "pending_new"), ("c", "new")]
    status = served.client().get("/orders:by_client_order_id", {"client_order_id": "b"})["status"]
    assert status == "new"


def test_each_client_meets_its_faults_in_the_order_of_what_is_told(served: Served) -> None:
    """Two listeners of one account: what the first is told counts before what the second is."""
    play(served, {"path": ORDERS, "nth": 2, "fault": {"kind": "stream_duplicate"}})
    with order_stream(served) as first, order_stream(served) as second:
        rest(served, "a")
        assert heard(second, 3) == [("a", "pending_new"), ("a", "pending_new"), ("a", "new")]
        assert heard(first, 2) == [("a", "pending_new"), ("a", "new")]


def test_a_lost_race_is_told(served: Served) -> None:
    """A cancel that came too late: pending, filled, rejected."""
    play(
        served,
        {"path": "/v2/orders*", "method": "DELETE", "fault": {"kind": "pend"}},
        {"path": "/v2/orders*", "method": "PATCH", "fault": {"kind": "pend"}},
    )
    client = served.client()
    with order_stream(served) as listening:
        order, other = rest(served, "a"), rest(served, "b")
        heard(listening, 4)
        client.cancel_order_by_id(order)
        client.patch(f"/orders/{other}", {"limit_price": "0.20", "client_order_id": "c"})
        assert heard(listening, 3) == [
            ("a", "pending_cancel"),
            ("c", "pending_new"),
            ("b", "pending_replace"),
        ]
        show(served, 0.05, 0.10, OPENING + timedelta(minutes=1))
        assert heard(listening, 5) == [
            ("a", "fill"),
            ("a", "order_cancel_rejected"),
            ("b", "fill"),
            ("b", "order_replace_rejected"),
            ("c", "rejected"),
        ]


# Quotes


def told(served: Served, messages: int) -> None:
    """Wait until so many messages have met the plan: a move that is not told yet may be none."""
    wait_until(lambda: counts(served)[0][0] == messages, "told")


def subscribed(caplog: pytest.LogCaptureFixture, times: int) -> None:
    """Wait until the real client has been told of its subscription so often."""
    wait_until(lambda: caplog.text.count("subscribed to quotes") >= times, "the subscription")


def test_quotes_arrive_twice_and_out_of_order(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="alpaca")
    play(
        served,
        {"path": OPTIONS, "nth": 1, "fault": {"kind": "stream_duplicate"}},
        {"path": OPTIONS, "nth": 2, "fault": {"kind": "stream_reorder"}},
    )
    with option_stream(served, ONE_CALL) as listening:
        subscribed(caplog, 1)
        for minute, bid in enumerate((1.00, 1.10, 1.20), start=1):
            show(served, bid, round(bid + 0.10, 2), OPENING + timedelta(minutes=minute))
            told(served, minute)
        bids = [quote.bid_price for quote in listening.next(4)]
        assert bids == [1.00, 1.00, 1.20, 1.10]


def test_an_option_stream_that_was_cut_comes_back_with_its_subscription(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="alpaca")
    play(served, {"path": OPTIONS, "nth": 1, "fault": {"kind": "stream_drop"}})
    with option_stream(served, ONE_CALL) as listening:
        subscribed(caplog, 1)
        show(served, 1.00, 1.10, OPENING + timedelta(minutes=1))
        subscribed(caplog, 2)
        assert counts(served) == [(1, 1)]
        show(served, 1.30, 1.40, OPENING + timedelta(minutes=2))
        assert listening.next(1)[0].bid_price == 1.30


# The plan


def test_requests_and_messages_do_not_count_for_each_other() -> None:
    book = FaultBook(
        plan_of({"fault": {"kind": "drop"}}, {"fault": {"kind": "stream_drop"}, "every": 2})
    )
    assert book.meet("GET", "/stream") is not None
    assert [book.meet_message(ORDERS) is not None for _ in range(4)] == [False, True, False, True]
    assert [count["matched"] for count in book.as_json()["counts"]] == [1, 4]


def test_a_message_has_no_method() -> None:
    with pytest.raises(BadInput, match="a stream's messages have no method"):
        plan_of({"method": "GET", "fault": {"kind": "stream_duplicate"}})
