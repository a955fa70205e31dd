"""The Alpaca adapter through the real alpaca-py, against an Alpaca that misbehaves."""

import importlib.util
import logging
import threading
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mahler_pipelines.adapters.alpaca import AlpacaBroker, AlpacaConnection, AlpacaMarketData
from mahler_pipelines.adapters.alpaca.errors import ErrorAnswer
from mahler_pipelines.errors import (
    BadInput,
    BrokerOutcomeUnknown,
    BrokerRefused,
    BrokerUnavailable,
)
from mahler_pipelines.execution.broker import (
    Broker,
    OrderLeg,
    OrderRequest,
    OrderStatus,
    PositionIntent,
)
from mahler_pipelines.market.chains import QUOTE_COLUMNS
from mahler_pipelines.market.data import BAR_COLUMNS, OPTION_BAR_COLUMNS, MarketData
from mahler_pipelines.options.structures import Side
from tests.doubles.alpaca import AlpacaDouble, Answer, Manner, Seen, refusal

GATE = Path(__file__).parents[2].parent / "shared" / "specs" / "gate.py"

SHORT_PUT = "SPY261218P00600000"
LONG_PUT = "SPY261218P00595000"
ORDERS = "/v2/orders"
BY_CLIENT_ID = "/v2/orders:by_client_order_id"


@pytest.fixture
def double() -> Iterator[AlpacaDouble]:
    with AlpacaDouble() as running:
        yield running
    violations = _violations(running.seen)
    assert violations == []


def _violations(requests: list[Seen]) -> list[str]:
    """Violations of Alpaca's published interface, where its files are at hand."""
    if not GATE.exists():
        return []
    found: list[str] = []
    for seen in requests:
        is_data = seen.path.startswith(("/v1beta1", "/v2/stocks"))
        name = "alpaca-market-data-api.json" if is_data else "alpaca-trading-api.overlay.json"
        found += _gate(name).request(seen.method, seen.target, seen.body)
    return found


@cache
def _gate(name: str) -> Any:
    spec = importlib.util.spec_from_file_location("specs_gate", GATE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with warnings.catch_warnings():
        # The gate leaves the file that it reads to be closed by the collector.
        warnings.simplefilter("ignore", ResourceWarning)
        return module.Gate(str(GATE.parent / name))


def _connection(double: AlpacaDouble) -> AlpacaConnection:
    return AlpacaConnection(
        key_id="key",
        secret_key="hush",
        trading_url=double.url,
        data_url=double.url,
        answer_seconds=0.4,
        read_attempts=3,
        first_wait_seconds=0.001,
        longest_wait_seconds=0.01,
    )


@pytest.fixture
def broker(double: AlpacaDouble) -> Iterator[AlpacaBroker]:
    made = AlpacaBroker(_connection(double))
    yield made
    made.close()


@pytest.fixture
def market(double: AlpacaDouble) -> Iterator[AlpacaMarketData]:
    made = AlpacaMarketData(_connection(double))
    yield made
    made.close()


def _spread(client_order_id: str = "mahler-1") -> OrderRequest:
    return OrderRequest(
        client_order_id=client_order_id,
        legs=(
            OrderLeg(SHORT_PUT, Side.SELL, 1, PositionIntent.SELL_TO_OPEN),
            OrderLeg(LONG_PUT, Side.BUY, 1, PositionIntent.BUY_TO_OPEN),
        ),
        quantity=2,
        limit_price=Decimal("-1.25"),
    )


def _single(side: Side, price: str | None) -> OrderRequest:
    intent = PositionIntent.BUY_TO_CLOSE if side is Side.BUY else PositionIntent.SELL_TO_CLOSE
    limit = None if price is None else Decimal(price)
    return OrderRequest("one", (OrderLeg(SHORT_PUT, side, 1, intent),), 1, limit)


def _order_json(**changes: Any) -> dict[str, Any]:
    """A multi-leg order as Alpaca answers it: the parent has empty strings where it has nothing."""
    order: dict[str, Any] = {
        "id": "61e69015-8549-4bfd-b9c3-01e75843f47d",
        "client_order_id": "mahler-1",
        "status": "accepted",
        "symbol": "",
        "side": "",
        "asset_class": "",
        "order_class": "mleg",
        "qty": "2",
        "filled_qty": "0",
        "filled_avg_price": None,
        "limit_price": "-1.25",
        "submitted_at": "2026-11-20T15:00:00.123456789Z",
        "filled_at": None,
        "a_field_of_tomorrow": {"x": 1},
        "legs": [
            {"symbol": SHORT_PUT, "side": "sell", "qty": "2", "filled_qty": "0", "type": ""},
            {"symbol": LONG_PUT, "side": "buy", "qty": "2", "filled_qty": "0", "type": ""},
        ],
    }
    return order | changes


def test_both_satisfy_their_ports(broker: AlpacaBroker, market: AlpacaMarketData) -> None:
    as_broker: Broker = broker
    as_market: MarketData = market
    assert as_broker is broker
    assert as_market is market


def test_the_secret_is_not_printed() -> None:
    assert "hush" not in repr(AlpacaConnection(key_id="key", secret_key="hush"))


def test_a_spread_is_sent_with_every_number_as_text(
    double: AlpacaDouble, broker: AlpacaBroker
) -> None:
    """A float on the wire would turn 0.1 + 0.2 into 0.30000000000000004 dollars."""
    double.on("POST", ORDERS, Answer(_order_json()))
    taken = broker.submit(_spread())
    assert double.seen[0].body == {
        "order_class": "mleg",
        "qty": "2",
        "type": "limit",
        "limit_price": "-1.25",
        "time_in_force": "day",
        "client_order_id": "mahler-1",
        "legs": [
            {
                "symbol": SHORT_PUT,
                "ratio_qty": "1",
                "side": "sell",
                "position_intent": "sell_to_open",
            },
            {
                "symbol": LONG_PUT,
                "ratio_qty": "1",
                "side": "buy",
                "position_intent": "buy_to_open",
            },
        ],
    }
    assert double.seen[0].headers["APCA-API-KEY-ID"] == "key"
    assert taken.status is OrderStatus.ACKNOWLEDGED
    assert taken.broker_status == "accepted"
    assert taken.limit_price == Decimal("-1.25")
    assert taken.submitted_at == datetime(2026, 11, 20, 15, 0, 0, 123456, tzinfo=UTC)
    assert taken.raw["a_field_of_tomorrow"] == {"x": 1}


def test_a_single_leg_has_a_positive_price_on_the_wire_and_a_signed_one_here(
    double: AlpacaDouble, broker: AlpacaBroker
) -> None:
    answer = _order_json(
        client_order_id="one",
        symbol=SHORT_PUT,
        side="sell",
        order_class="simple",
        legs=None,
        status="filled",
        qty="1",
        filled_qty="1",
        limit_price="1.25",
        filled_avg_price="1.30",
    )
    double.on("POST", ORDERS, Answer(answer))
    taken = broker.submit(_single(Side.SELL, "-1.25"))
    body = double.seen[0].body
    assert (body["limit_price"], body["side"], body["position_intent"]) == (
        "1.25",
        "sell",
        "sell_to_close",
    )
    assert "legs" not in body
    assert taken.limit_price == Decimal("-1.25")
    assert taken.average_fill_price == Decimal("-1.30")
    assert [(fill.side, fill.price) for fill in taken.fills] == [(Side.SELL, Decimal("1.30"))]


def test_a_market_order_has_no_price(double: AlpacaDouble, broker: AlpacaBroker) -> None:
    answer = _order_json(client_order_id="one", symbol=SHORT_PUT, side="buy", legs=None)
    double.on("POST", ORDERS, Answer(answer))
    broker.submit(_single(Side.BUY, None))
    assert double.seen[0].body["type"] == "market"
    assert "limit_price" not in double.seen[0].body


@pytest.mark.parametrize(
    "order",
    [
        OrderRequest("x", (), 1, None),
        OrderRequest("", _single(Side.BUY, "1").legs, 1, None),
        OrderRequest("x" * 129, _single(Side.BUY, "1").legs, 1, None),
        OrderRequest("x", _single(Side.BUY, "1").legs, 0, None),
        _single(Side.BUY, "-1"),
        _single(Side.SELL, "1"),
        OrderRequest(
            "x",
            tuple(
                OrderLeg(symbol, Side.BUY, 2, PositionIntent.BUY_TO_OPEN)
                for symbol in (SHORT_PUT, LONG_PUT)
            ),
            1,
            Decimal(1),
        ),
        OrderRequest("x", _single(Side.BUY, "1").legs * 2, 1, Decimal(1)),
    ],
)
def test_an_order_that_cannot_be_meant_is_not_sent(
    double: AlpacaDouble, broker: AlpacaBroker, order: OrderRequest
) -> None:
    with pytest.raises(BadInput):
        broker.submit(order)
    assert double.seen == []


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (refusal(403, 40310000, "insufficient options buying power"), BrokerRefused),
        (refusal(422, 42210000, "invalid limit_price"), BrokerRefused),
        (Answer({"message": "forbidden."}, 403), BrokerRefused),
        (Answer(b"", 401), BrokerRefused),
        (Answer(b"<html>no", 400), BrokerRefused),
        (refusal(422, 40010001, "client_order_id must be unique"), BrokerOutcomeUnknown),
        (refusal(409, 40910000, "conflict"), BrokerOutcomeUnknown),
        (Answer(b"", 422), BrokerOutcomeUnknown),
        (Answer(b"", 408), BrokerOutcomeUnknown),
        (refusal(429, 42910000, "rate limit exceeded"), BrokerOutcomeUnknown),
        (Answer(b"", 500), BrokerOutcomeUnknown),
        (Answer(b"<html>", 502), BrokerOutcomeUnknown),
        (Answer(b"", 504), BrokerOutcomeUnknown),
        (Answer(b"", 302), BrokerOutcomeUnknown),
        (Answer(b""), BrokerOutcomeUnknown),
        (Answer(b"not json"), BrokerOutcomeUnknown),
        (Answer({"id": "only"}), BrokerOutcomeUnknown),
        (Answer(_order_json(client_order_id="another")), BrokerOutcomeUnknown),
        (Answer(_order_json(), manner=Manner.TRUNCATED), BrokerOutcomeUnknown),
        (Answer(manner=Manner.HANG_UP), BrokerOutcomeUnknown),
        (Answer(manner=Manner.HANG), BrokerOutcomeUnknown),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_submit_ends_in_a_refusal_or_in_the_unknown_after_one_request(
    double: AlpacaDouble, broker: AlpacaBroker, answer: Answer, error: type[Exception]
) -> None:
    """alpaca-py itself would repeat a POST after 429 and 504 and so could send two orders."""
    double.on("POST", ORDERS, answer)
    with pytest.raises(error) as raised:
        broker.submit(_spread())
    assert type(raised.value) is error
    assert double.count("POST", ORDERS) == 1


def test_a_refusal_keeps_status_and_code(double: AlpacaDouble, broker: AlpacaBroker) -> None:
    double.on("POST", ORDERS, refusal(403, 40310000, "insufficient options buying power"))
    with pytest.raises(BrokerRefused, match="insufficient options buying power") as raised:
        broker.submit(_spread())
    assert (raised.value.status, raised.value.code) == (403, 40310000)


def test_a_server_that_is_not_there_leaves_the_outcome_unknown() -> None:
    with AlpacaDouble() as gone:
        connection = _connection(gone)
    broker = AlpacaBroker(connection)
    with pytest.raises(BrokerOutcomeUnknown):
        broker.submit(_spread())
    with pytest.raises(BrokerUnavailable):
        broker.clock()
    broker.close()


def test_an_order_taken_behind_a_504_is_found_by_its_id(
    double: AlpacaDouble, broker: AlpacaBroker
) -> None:
    double.on("POST", ORDERS, Answer(b"", 504))
    double.on("GET", BY_CLIENT_ID, Answer(_order_json(status="new")))
    with pytest.raises(BrokerOutcomeUnknown):
        broker.submit(_spread())
    found = broker.order_by_client_id("mahler-1")
    assert found is not None
    assert found.status is OrderStatus.ACKNOWLEDGED
    assert double.seen[-1].query == {"client_order_id": "mahler-1"}


def test_only_alpacas_own_404_says_that_there_is_no_order(
    double: AlpacaDouble, broker: AlpacaBroker
) -> None:
    double.on("GET", BY_CLIENT_ID, refusal(404, 40410000, "order not found"))
    assert broker.order_by_client_id("mahler-1") is None
    double.on("GET", BY_CLIENT_ID, Answer(b"<html>404", 404))
    with pytest.raises(BrokerUnavailable):
        broker.order_by_client_id("mahler-1")


def test_an_order_found_without_its_legs_is_read_again_with_them(
    double: AlpacaDouble, broker: AlpacaBroker
) -> None:
    filled = _order_json(
        status="filled",
        filled_qty="2",
        filled_avg_price="1.25",
        legs=[
            {"symbol": SHORT_PUT, "side": "sell", "filled_qty": "2", "filled_avg_price": "3.40"},
            {"symbol": LONG_PUT, "side": "buy", "filled_qty": "2", "filled_avg_price": "2.15"},
        ],
    )
    double.on("GET", BY_CLIENT_ID, Answer(filled | {"legs": None}))
    double.on("GET", f"{ORDERS}/{filled['id']}", Answer(filled))
    found = broker.order_by_client_id("mahler-1")
    assert found is not None
    assert found.status is OrderStatus.FILLED
    assert [(fill.symbol, fill.quantity, fill.price) for fill in found.fills] == [
        (SHORT_PUT, 2, Decimal("3.40")),
        (LONG_PUT, 2, Decimal("2.15")),
    ]
    # The parent's price came without a sign: the legs say that it was a credit.
    assert found.average_fill_price == Decimal("-1.25")


@pytest.mark.parametrize(
    ("status", "filled", "expected"),
    [
        ("new", "0", OrderStatus.ACKNOWLEDGED),
        ("pending_cancel", "1", OrderStatus.PARTIALLY_FILLED),
        ("partially_filled", "1", OrderStatus.PARTIALLY_FILLED),
        ("filled", "2", OrderStatus.FILLED),
        ("canceled", "1", OrderStatus.CANCELLED),
        ("expired", "0", OrderStatus.EXPIRED),
        ("rejected", "0", OrderStatus.REJECTED),
        ("replaced", "0", OrderStatus.REPLACED),
    ],
)
def test_statuses_are_translated(
    double: AlpacaDouble, broker: AlpacaBroker, status: str, filled: str, expected: OrderStatus
) -> None:
    double.on("GET", BY_CLIENT_ID, Answer(_order_json(status=status, filled_qty=filled)))
    found = broker.order_by_client_id("mahler-1")
    assert found is not None
    assert found.status is expected


@pytest.mark.parametrize("status", ["vaporised", None, ""])
def test_a_status_we_do_not_know_is_unknown_and_logged(
    double: AlpacaDouble,
    broker: AlpacaBroker,
    caplog: pytest.LogCaptureFixture,
    status: str | None,
) -> None:
    double.on("GET", BY_CLIENT_ID, Answer(_order_json(status=status, submitted_at=None)))
    with caplog.at_level(logging.WARNING):
        found = broker.order_by_client_id("mahler-1")
    assert found is not None
    assert found.status is OrderStatus.UNKNOWN
    assert "not one we know" in caplog.text


def test_cancel_asks_once(double: AlpacaDouble, broker: AlpacaBroker) -> None:
    path = f"{ORDERS}/61e69015-8549-4bfd-b9c3-01e75843f47d"
    double.on("DELETE", path, Answer(b"", 204), refusal(422, 42210000, "not cancelable"))
    broker.cancel("61e69015-8549-4bfd-b9c3-01e75843f47d")
    with pytest.raises(BrokerRefused):
        broker.cancel("61e69015-8549-4bfd-b9c3-01e75843f47d")
    assert double.count("DELETE", path) == 2


def _clock_json() -> dict[str, Any]:
    return {
        "timestamp": "2026-11-20T15:30:00.987654321-05:00",
        "is_open": True,
        "next_open": "2026-11-23T09:30:00-05:00",
        "next_close": "2026-11-20T16:00:00-05:00",
    }


@pytest.mark.parametrize(
    "bad",
    [
        refusal(429, 42910000, "rate limit exceeded"),
        Answer(b"", 500),
        Answer(b"", 503),
        Answer(b"", 504),
        Answer(b""),
        Answer(b"{half"),
        Answer(_clock_json(), manner=Manner.TRUNCATED),
        Answer(manner=Manner.HANG_UP),
        Answer(manner=Manner.HANG),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_read_is_repeated_after_a_passing_failure(
    double: AlpacaDouble, broker: AlpacaBroker, bad: Answer
) -> None:
    double.on("GET", "/v2/clock", bad, Answer(_clock_json()))
    assert broker.clock().now == datetime(2026, 11, 20, 20, 30, 0, 987654, tzinfo=UTC)
    assert double.count("GET", "/v2/clock") == 2


def test_a_read_gives_up_within_bounds(double: AlpacaDouble, broker: AlpacaBroker) -> None:
    double.on("GET", "/v2/clock", refusal(429, 42910000, "rate limit exceeded"))
    with pytest.raises(BrokerUnavailable) as raised:
        broker.clock()
    assert (raised.value.status, raised.value.code) == (429, 42910000)
    assert double.count("GET", "/v2/clock") == 3


@pytest.mark.parametrize("answer", [Answer({"message": "unauthorized"}, 401), Answer(b"", 403)])
def test_a_read_that_is_not_permitted_is_not_repeated(
    double: AlpacaDouble, broker: AlpacaBroker, answer: Answer
) -> None:
    double.on("GET", "/v2/clock", answer)
    with pytest.raises(BrokerUnavailable):
        broker.clock()
    assert double.count("GET", "/v2/clock") == 1


def test_an_answer_of_another_shape_names_the_field(
    double: AlpacaDouble, broker: AlpacaBroker
) -> None:
    double.on("GET", "/v2/clock", Answer(_clock_json() | {"next_close": "soon"}))
    with pytest.raises(BrokerUnavailable, match="next_close"):
        broker.clock()


def _account_json(**changes: Any) -> dict[str, Any]:
    account = {
        "id": "a1",
        "status": "ACTIVE",
        "equity": "100000.10",
        "last_equity": "99000",
        "cash": "90000",
        "options_buying_power": "80000.5",
        "options_approved_level": 3,
        "options_trading_level": 2,
        "trading_blocked": False,
    }
    return account | changes


def test_the_account_is_read_to_the_cent(double: AlpacaDouble, broker: AlpacaBroker) -> None:
    double.on("GET", "/v2/account", Answer(_account_json()))
    account = broker.account()
    assert account.equity == Decimal("100000.10")
    assert account.options_level == 2
    assert not account.trading_blocked
    double.on("GET", "/v2/account", Answer(_account_json(account_blocked=True)))
    assert broker.account().trading_blocked


def test_buying_power_that_is_missing_is_not_taken_for_zero(
    double: AlpacaDouble, broker: AlpacaBroker
) -> None:
    account = _account_json()
    del account["options_buying_power"]
    double.on("GET", "/v2/account", Answer(account))
    with pytest.raises(BrokerUnavailable, match="options_buying_power"):
        broker.account()


@pytest.mark.parametrize("qty", ["-2", "2"])
def test_a_short_position_is_negative_whatever_the_wire_says(
    double: AlpacaDouble, broker: AlpacaBroker, qty: str
) -> None:
    """Sources disagree on the sign of qty; the side is what counts."""
    short = {
        "symbol": SHORT_PUT,
        "qty": qty,
        "side": "short",
        "asset_class": "us_option",
        "avg_entry_price": "3.4",
        "current_price": None,
    }
    long = {"symbol": "SPY", "qty": "100", "avg_entry_price": "600", "current_price": "601.5"}
    double.on("GET", "/v2/positions", Answer([short, long]))
    first, second = broker.positions()
    assert (first.quantity, first.is_option, first.current_price) == (-2, True, None)
    assert (second.quantity, second.is_option) == (100, False)


def test_all_open_orders_are_read_page_by_page(double: AlpacaDouble, broker: AlpacaBroker) -> None:
    everything = [
        _order_json(id=f"{n:08d}-0000-4000-8000-000000000000", client_order_id=f"m-{n}")
        for n in range(501)
    ]

    def page(seen: Seen) -> Answer:
        after = seen.query.get("after_order_id")
        start = 0 if after is None else [order["id"] for order in everything].index(after) + 1
        return Answer(everything[start : start + int(seen.query["limit"])])

    double.on_call("GET", ORDERS, page)
    assert len(broker.open_orders()) == 501
    assert double.count("GET", ORDERS) == 2
    assert double.seen[0].query["nested"] == "True"


def test_a_page_that_comes_twice_is_an_error_not_a_loop(
    double: AlpacaDouble, broker: AlpacaBroker
) -> None:
    rows = [{"id": str(n), "activity_type": "FEE", "date": "2026-11-20"} for n in range(100)]
    double.on("GET", "/v2/account/activities", Answer(rows))
    with pytest.raises(BrokerUnavailable, match="twice"):
        broker.activities()


def test_activities_are_read_to_the_last_page_with_their_signs(
    double: AlpacaDouble, broker: AlpacaBroker
) -> None:
    fill = {
        "id": "1",
        "activity_type": "FILL",
        "transaction_time": "2026-11-21T00:30:00Z",
        "symbol": SHORT_PUT,
        "side": "sell",
        "qty": "2",
        "price": "3.40",
        "order_id": "o1",
    }
    rows = [fill] + [
        {"id": str(n), "activity_type": "FEE", "date": "2026-11-20", "net_amount": "-0.05"}
        for n in range(2, 101)
    ]
    last = [
        {"id": "101", "activity_type": "OPXRC", "date": "2026-12-18", "symbol": LONG_PUT}
        | {"qty": "-2", "net_amount": "0"},
        {"id": "102", "activity_type": "NEWKIND", "date": "2026-12-18", "status": "executed"},
    ]

    def page(seen: Seen) -> Answer:
        return Answer(last if seen.query.get("page_token") == "100" else rows)

    double.on_call("GET", "/v2/account/activities", page)
    found = broker.activities(after=datetime(2026, 11, 1, tzinfo=UTC))
    assert double.seen[0].query["after"] == "2026-11-01T00:00:00Z"
    assert len(found) == 102
    first = found[0]
    assert (first.kind, first.quantity, first.net_amount) == ("FILL", Decimal(-2), Decimal(680))
    assert first.day == date(2026, 11, 20)  # half past seven in the evening in New York
    assert (found[100].kind, found[100].quantity) == ("OPEXC", Decimal(-2))
    assert (found[101].kind, found[101].symbol) == ("NEWKIND", "")


def test_each_thread_has_a_client_of_its_own(double: AlpacaDouble, broker: AlpacaBroker) -> None:
    """One requests session is not safe across threads."""
    double.on("GET", "/v2/clock", Answer(_clock_json()))
    clients: list[int] = []

    def ask() -> None:
        broker.clock()
        clients.append(id(broker._clients.trading()))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(clients)) == 3


def test_a_proxy_of_the_environment_does_not_catch_the_local_exchange(
    double: AlpacaDouble, broker: AlpacaBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    double.on("GET", "/v2/clock", Answer(_clock_json()))
    assert broker.clock().is_open


@pytest.mark.parametrize("body", ["", "<html>", "[]", '"text"', '{"message": "x"}', '{"code":"y"}'])
def test_any_error_body_can_be_read(body: str) -> None:
    answer = ErrorAnswer.of(500, body)
    assert answer.code is None
    assert str(answer)


# Market data


def _snapshot(bid: float, ask: float, **more: Any) -> dict[str, Any]:
    quote = {"t": "2026-11-20T20:29:59.123456789Z", "bp": bid, "bs": 5, "ap": ask, "as": 7}
    return {"latestQuote": quote, **more}


def _stock(symbol: str = "SPY", bid: float = 600.0, ask: float = 600.1) -> dict[str, Any]:
    quote = {"t": "2026-11-20T20:29:59Z", "bp": bid, "ap": ask}
    trade = {"t": "2026-11-20T20:29:58Z", "p": 600.02}
    return {symbol: {"latestQuote": quote, "latestTrade": trade}}


def _contract(symbol: str, **more: Any) -> dict[str, Any]:
    return {"symbol": symbol, "multiplier": "100", "size": "100", "underlying_symbol": "SPY"} | more


def _script_chain(
    double: AlpacaDouble, snapshots: list[dict[str, Any]], contracts: list[dict[str, Any]]
) -> None:
    def paged(name: str, pages: list[Any]) -> Callable[[Seen], Answer]:
        def script(seen: Seen) -> Answer:
            number = int(seen.query.get("page_token", "0"))
            token = str(number + 1) if number + 1 < len(pages) else None
            return Answer({name: pages[number], "next_page_token": token})

        return script

    double.on_call("GET", "/v1beta1/options/snapshots/SPY", paged("snapshots", snapshots))
    double.on_call("GET", "/v1beta1/options/snapshots", paged("snapshots", snapshots))
    double.on_call("GET", "/v2/options/contracts", paged("option_contracts", [contracts]))
    double.on("GET", "/v2/stocks/snapshots", Answer(_stock()))


NOVEMBER, DECEMBER = date(2026, 11, 20), date(2026, 12, 31)


def test_a_chain_joins_snapshots_listings_and_the_share(
    double: AlpacaDouble, market: AlpacaMarketData
) -> None:
    bars = {"dailyBar": {"v": 42}, "prevDailyBar": {"v": 17}, "latestTrade": {"p": 3.3}}
    unlisted = "SPYW261218C00600000"
    _script_chain(
        double,
        [
            {SHORT_PUT: _snapshot(3.4, 3.5, **bars, greeks={"delta": -0.3})},
            {unlisted: {"latestQuote": None}, "SPY1261218C00600000": _snapshot(1, 2)},
        ],
        [
            _contract(SHORT_PUT, open_interest="1234"),
            _contract(LONG_PUT, open_interest=""),
            _contract("SPY1261218C00600000", multiplier="100", size="50"),
        ],
    )
    chain = market.chain("SPY", expires_from=NOVEMBER, expires_to=DECEMBER)
    assert {name: str(dtype) for name, dtype in chain.dtypes.items()} == QUOTE_COLUMNS
    assert chain["symbol"].to_list() == [LONG_PUT, SHORT_PUT, unlisted]
    row = chain.set_index("symbol").loc[SHORT_PUT]
    assert (row["bid"], row["ask"], row["bid_size"], row["ask_size"]) == (3.4, 3.5, 5, 7)
    assert (row["last"], row["volume"], row["previous_volume"]) == (3.3, 42, 17)
    assert (row["open_interest"], row["strike"], row["right"]) == (1234, 600, -1)
    assert row["underlying_price"] == pytest.approx(600.05)
    assert row["quote_time"] == pd.Timestamp("2026-11-20T20:29:59.123456Z")
    # A listed contract without a snapshot, and a snapshot without members, have no numbers.
    others = chain.loc[chain["symbol"] != SHORT_PUT]
    numbers = ["bid", "ask", "last", "volume", "previous_volume", "open_interest"]
    assert others[numbers].isna().all(axis=None)
    assert others["quote_time"].isna().all()
    assert double.count("GET", "/v1beta1/options/snapshots/SPY") == 2


def test_a_chain_without_contracts_is_empty(double: AlpacaDouble, market: AlpacaMarketData) -> None:
    _script_chain(double, [{}], [])
    chain = market.chain("SPY", expires_from=NOVEMBER, expires_to=DECEMBER)
    assert chain.empty
    assert list(chain.columns) == list(QUOTE_COLUMNS)


def test_a_page_token_that_points_to_itself_is_an_error(
    double: AlpacaDouble, market: AlpacaMarketData
) -> None:
    page = {"snapshots": {SHORT_PUT: {}}, "next_page_token": "again"}
    double.on("GET", "/v1beta1/options/snapshots/SPY", Answer(page))
    with pytest.raises(BrokerUnavailable, match="points to itself"):
        market.chain("SPY", expires_from=NOVEMBER, expires_to=DECEMBER)


def test_index_roots_come_back_under_their_index(
    double: AlpacaDouble, market: AlpacaMarketData
) -> None:
    monthly, weekly = "SPX261218P06000000", "SPXW261218P06000000"
    double.on(
        "GET",
        "/v1beta1/options/snapshots",
        Answer({"snapshots": {monthly: _snapshot(10, 11), weekly: _snapshot(10, 12)}}),
    )
    double.on("GET", "/v2/options/contracts", Answer({"option_contracts": []}))
    # An index has a level and no two sides.
    double.on("GET", "/v2/stocks/snapshots", Answer({"SPX": {"latestTrade": {"p": 6000.5}}}))
    quotes = market.option_quotes([monthly, weekly])
    assert quotes["underlying"].to_list() == ["SPX", "SPX"]
    assert quotes["root"].to_list() == ["SPX", "SPXW"]
    assert quotes["underlying_price"].to_list() == [6000.5, 6000.5]
    assert double.count("GET", "/v2/options/contracts") == 1


def test_option_quotes_are_asked_a_hundred_at_a_time_and_unknown_ones_are_left_out(
    double: AlpacaDouble, market: AlpacaMarketData
) -> None:
    symbols = [f"SPY261218P{strike:05d}000" for strike in range(500, 650)]

    def some(seen: Seen) -> Answer:
        asked = seen.query["symbols"].split(",")
        known = {name: _snapshot(1, 1.1) for name in asked if name != symbols[-1]}
        return Answer({"snapshots": known, "next_page_token": None})

    double.on_call("GET", "/v1beta1/options/snapshots", some)
    listing = [_contract(name, open_interest="10") for name in symbols]
    double.on("GET", "/v2/options/contracts", Answer({"option_contracts": listing}))
    double.on("GET", "/v2/stocks/snapshots", Answer(_stock()))
    quotes = market.option_quotes(symbols)
    assert len(quotes) == 149
    assert (quotes["open_interest"] == 10).all()
    assert double.count("GET", "/v1beta1/options/snapshots") == 2
    assert market.option_quotes([]).empty


def test_an_unknown_share_does_not_take_the_others_along(
    double: AlpacaDouble, market: AlpacaMarketData
) -> None:
    def some(seen: Seen) -> Answer:
        if "NOPE" in seen.query["symbols"]:
            return refusal(400, 40010000, "invalid symbol: NOPE")
        return Answer(_stock(bid=0, ask=600.1))

    double.on_call("GET", "/v2/stocks/snapshots", some)
    quotes = market.stock_quotes(["NOPE", "SPY"])
    assert quotes["underlying"].to_list() == ["SPY"]
    assert np.isnan(quotes["bid"].iloc[0])
    assert quotes["last"].iloc[0] == 600.02
    assert market.stock_quotes([]).empty


def test_daily_bars_leave_out_the_session_that_still_runs(
    double: AlpacaDouble, market: AlpacaMarketData
) -> None:
    days = ["2026-11-18T05:00:00Z", "2026-11-19T05:00:00Z", "2026-11-20T05:00:00Z"]
    bars = [{"t": day, "o": 1, "h": 2, "l": 0.5, "c": 1.5, "v": 10} for day in days]

    def page(seen: Seen) -> Answer:
        second = seen.query.get("page_token") == "p2"
        part = bars[2:] if second else bars[:2]
        return Answer({"bars": {"SPY": part}, "next_page_token": None if second else "p2"})

    double.on_call("GET", "/v2/stocks/bars", page)
    double.on("GET", "/v2/clock", Answer(_clock_json()))
    found = market.daily_bars(["SPY"], start=date(2026, 11, 18), end=date(2026, 11, 20))
    assert list(found.columns) == list(BAR_COLUMNS)
    assert found["session"].to_list() == [pd.Timestamp("2026-11-18"), pd.Timestamp("2026-11-19")]
    assert str(found["session"].dtype) == "datetime64[us]"
    assert double.seen[0].query["end"] == "2026-11-21T00:00:00Z"


def test_option_bars_may_be_missing(double: AlpacaDouble, market: AlpacaMarketData) -> None:
    double.on("GET", "/v1beta1/options/bars", Answer({"bars": None, "next_page_token": None}))
    found = market.option_daily_bars([SHORT_PUT], start=NOVEMBER, end=DECEMBER)
    assert found.empty
    assert list(found.columns) == list(OPTION_BAR_COLUMNS)


def test_expired_contracts_are_asked_for_as_inactive(
    double: AlpacaDouble, market: AlpacaMarketData
) -> None:
    double.on("GET", "/v2/options/contracts", Answer({"option_contracts": [_contract(LONG_PUT)]}))
    found = market.listed_contracts("SPY", expires_from=NOVEMBER, expires_to=DECEMBER, active=False)
    assert double.seen[0].query["status"] == "inactive"
    assert list(found.columns) == ["symbol", "root", "expiration", "right", "strike"]
    assert found["expiration"].to_list() == [pd.Timestamp("2026-12-18")]


def test_the_present_is_the_brokers(double: AlpacaDouble, market: AlpacaMarketData) -> None:
    double.on("GET", "/v2/clock", Answer(_clock_json()))
    assert market.now() == datetime(2026, 11, 20, 20, 30, 0, 987654, tzinfo=UTC)


def test_a_chain_of_two_thousand_contracts_is_read_whole(
    double: AlpacaDouble, market: AlpacaMarketData
) -> None:
    symbols = [f"SPY261218{r}{strike:05d}000" for r in "CP" for strike in range(1, 1001)]
    bar = {"t": "2026-11-20T05:00:00Z", "o": 1, "h": 1, "l": 1, "c": 1, "v": 5, "n": 1, "vw": 1}
    more = {"dailyBar": bar, "prevDailyBar": bar, "minuteBar": bar, "latestTrade": {"p": 1.0}}
    pages = [
        {name: _snapshot(1, 1.1, **more) for name in symbols[at : at + 1000]} for at in (0, 1000)
    ]
    _script_chain(double, pages, [_contract(name, open_interest="9") for name in symbols])
    chain = market.chain("SPY", expires_from=NOVEMBER, expires_to=DECEMBER)
    assert len(chain) == 2000
    assert chain["symbol"].is_unique
