"""The real client against the local exchange under faults: what each of them comes to.

A lost answer to a write is never repeated and its outcome is unknown; a read is repeated within
bounds; an order that was taken is found by its client order id.
"""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

import pandas as pd
import pytest

from mahler_pipelines.adapters.alpaca import AlpacaBroker, AlpacaMarketData
from mahler_pipelines.errors import (
    BrokerError,
    BrokerOutcomeUnknown,
    BrokerRefused,
    BrokerUnavailable,
)
from mahler_pipelines.exchange.control import ExchangeControl
from mahler_pipelines.exchange.faults import parse_faults
from mahler_pipelines.exchange.process import LocalExchange
from mahler_pipelines.execution.broker import OrderRequest, OrderStatus
from tests.adapters.recorded_alpaca import connection_to, order_of
from tests.adapters.stages import RICH, SIMULATED_MORNING

ATTEMPTS = 3
FROM, TO = SIMULATED_MORNING.date() + timedelta(days=20), SIMULATED_MORNING.date() + timedelta(60)
SNAPSHOTS = "/v1beta1/options/snapshots*"


@dataclass
class Desk:
    """The client as the desk has it, one that waits half a second, and the exchange's controls."""

    broker: AlpacaBroker
    hasty: AlpacaBroker
    market: AlpacaMarketData
    control: ExchangeControl
    chain: pd.DataFrame
    names: Iterator[int] = field(default_factory=count)
    _seen: int = 0

    def play(self, *rules: dict[str, Any]) -> None:
        """Put these rules in force, and forget what was asked before."""
        self.control.set_faults(parse_faults(json.dumps({"rules": rules}), source="test"))
        self._seen = len(self.rows())

    def rows(self) -> list[dict[str, Any]]:
        journal = self.control.journal(10_000)
        return [row for row in journal if not row["path"].startswith("/control")]

    def asked(self, method: str, path: str) -> list[tuple[Any, ...]]:
        """Status seen, status executed and fault of the requests to a path since `play`."""
        return [
            (row["status"], row["executed"], row["fault"])
            for row in self.rows()[self._seen :]
            if row["method"] == method and row["path"].partition("?")[0] == path
        ]

    def order(self) -> OrderRequest:
        """A credit spread for more than anyone pays: it rests."""
        puts = self.chain[self.chain["right"] == -1].sort_values(["expiration", "strike"])
        long, short = puts.iloc[0], puts.iloc[1]
        assert long["expiration"] == short["expiration"]
        width = Decimal(str(short["strike"])) - Decimal(str(long["strike"]))
        limit = (-width * Decimal("0.9")).quantize(Decimal("0.01"))
        name = f"fault-{next(self.names)}"
        return order_of(name, short["symbol"], long["symbol"], quantity=1, limit=limit)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    state = tmp_path_factory.mktemp("exchange")
    with LocalExchange("sim:7", state, start_at=SIMULATED_MORNING, starting_equity=RICH) as local:
        connection = replace(connection_to(local.url), read_attempts=ATTEMPTS)
        broker, market = AlpacaBroker(connection), AlpacaMarketData(connection)
        hasty = AlpacaBroker(replace(connection, answer_seconds=0.5))
        chain = market.chain("BRIO", expires_from=FROM, expires_to=TO)
        yield Desk(broker, hasty, market, local.control, chain)
        for client in (broker, hasty, market):
            client.close()


@pytest.fixture
def desk(running: Desk) -> Iterator[Desk]:
    yield running
    running.control.clear_faults()


UNKNOWN, REFUSED = BrokerOutcomeUnknown, BrokerRefused


def fail(status: int, **more: Any) -> dict[str, Any]:
    return {"kind": "fail", "status": status, **more}


def refuse(status: int, code: int | None = None, message: str = "no") -> dict[str, Any]:
    more = {} if code is None else {"code": code}
    return {"kind": "refuse", "status": status, "message": message, **more}


WRITES: list[tuple[dict[str, Any], type[BrokerError], bool]] = [
    (refuse(403, 40310000), REFUSED, False),
    (refuse(422, 42210000), REFUSED, False),
    (refuse(401), REFUSED, False),
    (refuse(422, 40010001, "client_order_id must be unique"), UNKNOWN, False),
    ({"kind": "rate_limit"}, UNKNOWN, False),
    *((fail(status), UNKNOWN, False) for status in (500, 502, 503, 504)),
    *((fail(status, executed=True), UNKNOWN, True) for status in (500, 502, 504)),
    (fail(502, body="html"), UNKNOWN, False),
    (fail(504, body="empty", executed=True), UNKNOWN, True),
    ({"kind": "drop"}, UNKNOWN, False),
    ({"kind": "drop", "executed": True}, UNKNOWN, True),
    ({"kind": "truncate"}, UNKNOWN, True),
    ({"kind": "empty"}, UNKNOWN, True),
    ({"kind": "unknown_value", "field": "client_order_id", "value": "another"}, UNKNOWN, True),
    ({"kind": "unknown_value", "field": "qty", "value": "a few"}, UNKNOWN, True),
]


def named(case: tuple[dict[str, Any], object, bool]) -> str:
    return " ".join(str(value) for value in case[0].values())


@pytest.mark.parametrize(("fault", "outcome", "taken"), WRITES, ids=map(named, WRITES))
def test_a_write_is_sent_once_and_its_outcome_is_what_is_known(
    desk: Desk, fault: dict[str, Any], outcome: type[BrokerError], taken: bool
) -> None:
    order = desk.order()
    desk.play({"method": "POST", "fault": fault})
    with pytest.raises(outcome) as raised:
        desk.broker.submit(order)
    assert type(raised.value) is outcome
    posts = desk.asked("POST", "/v2/orders")
    assert [(row[1], row[2]) for row in posts] == [(200 if taken else None, fault["kind"])]
    found = desk.broker.order_by_client_id(order.client_order_id)
    assert (found is not None) is taken
    if found is not None:
        assert found.client_order_id == order.client_order_id
        assert found.status is OrderStatus.ACKNOWLEDGED


def test_a_504_after_accepting_leaves_one_order_that_is_found_by_its_id(desk: Desk) -> None:
    """The answer that alpaca-py would repeat by itself: the order must exist once."""
    order = desk.order()
    desk.play({"method": "POST", "nth": 1, "fault": fail(504, executed=True)})
    with pytest.raises(BrokerOutcomeUnknown) as raised:
        desk.broker.submit(order)
    assert raised.value.status == 504
    found = desk.broker.order_by_client_id(order.client_order_id)
    assert found is not None
    mine = [o for o in desk.broker.open_orders() if o.client_order_id == order.client_order_id]
    assert [one.id for one in mine] == [found.id]
    with pytest.raises(BrokerOutcomeUnknown) as again:
        desk.broker.submit(order)
    assert again.value.code == 40010001
    assert desk.asked("POST", "/v2/orders") == [(504, 200, "fail"), (422, 422, None)]


@pytest.mark.parametrize("executed", ["before", "after"])
def test_an_order_that_hangs_is_unknown_until_it_is_found(desk: Desk, executed: str) -> None:
    """Executed after the wait, it arrives when its sender has long given up."""
    order = desk.order()
    fault = {"kind": "hang", "seconds": 2.0, "executed": executed}
    desk.play({"method": "POST", "fault": fault})
    with pytest.raises(BrokerOutcomeUnknown, match="Timeout"):
        desk.hasty.submit(order)
    deadline = time.monotonic() + 30
    while desk.broker.order_by_client_id(order.client_order_id) is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert len(desk.asked("POST", "/v2/orders")) == 1


def test_a_status_of_tomorrow_is_unknown_and_kept_as_it_came(desk: Desk) -> None:
    order = desk.order()
    odd = {"kind": "unknown_value", "field": "status", "value": "under_review"}
    desk.play({"path": "/v2/orders*", "times": 2, "fault": odd})
    for seen in (desk.broker.submit(order), desk.broker.order_by_client_id(order.client_order_id)):
        assert seen is not None
        assert (seen.status, seen.broker_status) == (OrderStatus.UNKNOWN, "under_review")
    after = desk.broker.order_by_client_id(order.client_order_id)
    assert after is not None
    assert after.status is OrderStatus.ACKNOWLEDGED


@pytest.mark.parametrize("fault", [fail(504, executed=True), {"kind": "drop", "executed": True}])
def test_a_cancel_whose_answer_is_lost_is_not_repeated(desk: Desk, fault: dict[str, Any]) -> None:
    taken = desk.broker.submit(desk.order())
    desk.play({"method": "DELETE", "fault": fault})
    with pytest.raises(BrokerOutcomeUnknown):
        desk.broker.cancel(taken.id)
    assert [row[1] for row in desk.asked("DELETE", f"/v2/orders/{taken.id}")] == [204]
    found = desk.broker.order_by_client_id(taken.client_order_id)
    assert found is not None
    assert found.status is OrderStatus.CANCELLED


READS = [
    {"kind": "rate_limit"},
    *(fail(status) for status in (500, 502, 503, 504)),
    fail(502, body="html"),
    fail(504, body="empty"),
    {"kind": "drop"},
    {"kind": "drop", "executed": True},
    {"kind": "truncate"},
    {"kind": "empty"},
]


@pytest.mark.parametrize("fault", READS, ids=lambda fault: " ".join(map(str, fault.values())))
def test_a_read_is_repeated_within_bounds(desk: Desk, fault: dict[str, Any]) -> None:
    rule = {"method": "GET", "path": "/v2/account", "fault": fault}
    desk.play({**rule, "times": ATTEMPTS - 1})
    assert desk.broker.account().cash == RICH
    assert [row[2] for row in desk.asked("GET", "/v2/account")] == [
        *[fault["kind"]] * (ATTEMPTS - 1),
        None,
    ]
    desk.play(rule)
    with pytest.raises(BrokerUnavailable):
        desk.broker.account()
    assert len(desk.asked("GET", "/v2/account")) == ATTEMPTS


def test_a_read_that_hangs_is_given_up_and_asked_again(desk: Desk) -> None:
    desk.play({"path": "/v2/account", "nth": 1, "fault": {"kind": "hang", "seconds": 600}})
    assert desk.hasty.account().cash == RICH
    assert [row[2] for row in desk.asked("GET", "/v2/account")][:2] == ["hang", None]


def test_a_refused_read_is_not_repeated(desk: Desk) -> None:
    desk.play({"path": "/v2/positions", "fault": refuse(403, 40310000)})
    with pytest.raises(BrokerUnavailable) as raised:
        desk.broker.positions()
    assert (raised.value.status, raised.value.code) == (403, 40310000)
    assert len(desk.asked("GET", "/v2/positions")) == 1


def test_only_alpacas_own_404_says_that_there_is_no_order(desk: Desk) -> None:
    order = desk.order()
    desk.broker.submit(order)
    path = "/v2/orders:by_client_order_id"
    desk.play({"path": path, "nth": 1, "fault": refuse(404)})
    with pytest.raises(BrokerUnavailable):
        desk.broker.order_by_client_id(order.client_order_id)
    assert desk.broker.order_by_client_id(order.client_order_id) is not None
    desk.play({"path": path, "nth": 1, "fault": refuse(404, 40410000)})
    assert desk.broker.order_by_client_id(order.client_order_id) is None


@pytest.mark.parametrize("fault", [{"kind": "truncate"}, {"kind": "drop"}, fail(502, body="html")])
def test_a_chain_is_whole_though_a_page_was_lost(desk: Desk, fault: dict[str, Any]) -> None:
    whole = desk.market.chain("BRIO", expires_from=FROM, expires_to=TO)
    desk.play({"path": SNAPSHOTS, "nth": 1, "fault": fault})
    again = desk.market.chain("BRIO", expires_from=FROM, expires_to=TO)
    assert desk.control.faults()["counts"][0]["met"] == 1
    pd.testing.assert_frame_equal(again, whole)


@pytest.mark.parametrize("state", ["stale", "crossed", "locked"])
def test_a_bad_quote_reaches_the_desk_as_it_was_shown(desk: Desk, state: str) -> None:
    symbol = desk.order().legs[0].symbol
    right = desk.market.option_quotes([symbol]).iloc[0]
    fault = {"kind": "quote", "symbol": symbol, "state": state, "seconds": 1800}
    desk.play({"path": SNAPSHOTS, "fault": fault})
    wrong = desk.market.option_quotes([symbol]).iloc[0]
    older = right["quote_time"] - wrong["quote_time"]
    assert older == timedelta(seconds=1800 if state == "stale" else 0)
    over = {"stale": right["bid"] - right["ask"], "crossed": 0.01, "locked": 0.0}[state]
    assert wrong["bid"] - wrong["ask"] == pytest.approx(over)


def test_a_jump_of_the_clock_is_seen_by_broker_and_market(desk: Desk) -> None:
    before: datetime = desk.broker.clock().now
    desk.play({"path": "/v2/clock", "nth": 2, "fault": {"kind": "clock_jump", "seconds": 90}})
    assert desk.broker.clock().now == before
    assert desk.market.now() == before + timedelta(seconds=90)
    assert desk.broker.clock().now == before + timedelta(seconds=90)
