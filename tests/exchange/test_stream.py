"""The order stream: the real alpaca-py client against the exchange, and the frames themselves."""

import json
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgpack
import pytest
from alpaca.trading.enums import TradeEvent
from alpaca.trading.models import TradeUpdate
from alpaca.trading.stream import TradingStream
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.sync.connection import Connection

from mahler_pipelines.exchange.engine import Exchange, ExchangeTerms
from mahler_pipelines.exchange.market import SettlementValue
from mahler_pipelines.exchange.orders import WireStatus
from mahler_pipelines.exchange.streaming import OrderUpdate, updates_between
from mahler_pipelines.exchange.tickets import read_ticket
from mahler_pipelines.exchange.wire.app import build_wire
from mahler_pipelines.exchange.wire.errors import WireRefusal
from mahler_pipelines.exchange.wire.sockets import Outbox
from mahler_pipelines.market.sessions import NEW_YORK
from tests.exchange.fakes import NEAR, OPENING, HandMadeMarket, Quote, call, exchange_on, put
from tests.exchange.orders import leg, send, single, spread
from tests.exchange.serving import served as serving
from tests.exchange.streaming_clients import (
    MAIN,
    OTHER,
    PATIENCE,
    Served,
    listeners,
    order_stream,
    running,
    wait_until,
)

CREDIT_SPREAD = [leg(put(95), "sell", "open"), leg(put(90), "buy", "open")]
ONE_CALL = call(105)
LATER = OPENING + timedelta(minutes=5)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    market = HandMadeMarket()
    terms = ExchangeTerms(credentials=(MAIN, OTHER), start_at=OPENING)
    exchange = Exchange(market, tmp_path, terms)
    app = build_wire(exchange)
    with serving(app) as url:
        yield Served(url, app, exchange, market)


def place(served: Served, body: dict[str, Any], keys: Any = MAIN) -> dict[str, Any]:
    """Send an order by REST; return the answer."""
    return dict(served.client(keys).post("/orders", body))


def move(served: Served, to: datetime) -> None:
    """Move the exchange's clock over its wire."""
    served.client()._session.post(
        f"{served.url}/control/clock", json={"to": to.isoformat()}
    ).raise_for_status()


def happened(messages: list[dict[str, Any]]) -> list[str]:
    return [message["data"]["event"] for message in messages]


# The real client


def test_spread_is_heard_from_pending_to_filled_by_a_move_of_the_clock(served: Served) -> None:
    with order_stream(served) as listening:
        sent = place(served, spread(CREDIT_SPREAD, "-4.50", qty=2))
        assert happened(listening.next(2)) == ["pending_new", "new"]
        served.market.overrides[put(95)] = Quote(9.0, 9.1)
        move(served, LATER)
        (message,) = listening.next(1)
    told = message["data"]
    assert (told["event"], told["qty"], told["timestamp"]) == (
        "fill",
        "2",
        "2026-11-02T14:35:00.000000Z",
    )
    client = served.client()
    order = client.get_order_by_id(sent["id"])
    assert told["price"] == order["filled_avg_price"]
    assert float(told["price"]) < -4.5
    assert told["position_qtys"] == {put(95): "-2", put(90): "2"}
    assert [(row["symbol"], row["qty"], row["order_id"]) for row in told["legs"]] == [
        (row["symbol"], row["qty"], row["id"]) for row in order["legs"]
    ]
    fills = client.get("/account/activities", {"activity_types": "FILL"})
    assert {row["id"].partition("::")[2] for row in fills} == {
        row["execution_id"] for row in told["legs"]
    }
    parent = {"asset_id": "00000000-0000-0000-0000-000000000000", "side": "buy"}
    assert told["order"] == order | parent


def test_parts_of_a_single_order_are_heard_one_by_one_as_models(served: Served) -> None:
    served.market.overrides[ONE_CALL] = Quote(1.0, 1.1, ask_size=3)
    with order_stream(served, raw=False) as listening:
        sent = place(served, single(ONE_CALL, "buy", "1.10", qty=5))
        updates: list[TradeUpdate] = listening.next(3)
        served.market.overrides[ONE_CALL] = Quote(1.0, 1.1, ask_size=4)
        move(served, LATER)
        updates += listening.next(1)
    assert [update.event for update in updates] == [
        TradeEvent.PENDING_NEW,
        TradeEvent.NEW,
        TradeEvent.PARTIAL_FILL,
        TradeEvent.FILL,
    ]
    assert [(u.qty, u.price, u.position_qty) for u in updates] == [
        (None, None, None),
        (None, None, None),
        (3, 1.1, 3),
        (2, 1.1, 5),
    ]
    assert [str(u.order.filled_qty) for u in updates] == ["0", "0", "3", "5"]
    assert {str(u.order.id) for u in updates} == {sent["id"]}
    assert [u.timestamp for u in updates] == [OPENING, OPENING, OPENING, LATER]
    fills = served.client().get("/account/activities", {"direction": "asc"})
    assert [row["id"].partition("::")[2] for row in fills] == [
        str(u.execution_id) for u in updates[2:]
    ]


def test_cancelled_replaced_and_expired_orders_are_heard(served: Served) -> None:
    client = served.client()
    with order_stream(served) as listening:
        first = place(served, single(ONE_CALL, "buy", "0.20"))
        client.cancel_order_by_id(first["id"])
        assert happened(listening.next(3)) == ["pending_new", "new", "canceled"]
        second = place(served, single(ONE_CALL, "buy", "0.30"))
        third = client.patch(f"/orders/{second['id']}", {"limit_price": "0.40"})
        told = listening.next(5)
        assert [(m["data"]["event"], m["data"]["order"]["id"]) for m in told] == [
            ("pending_new", second["id"]),
            ("new", second["id"]),
            ("pending_new", third["id"]),
            ("replaced", second["id"]),
            ("new", third["id"]),
        ]
        assert told[3]["data"]["order"]["replaced_by"] == third["id"]
        move(served, OPENING.replace(hour=16, minute=0))
        (expired,) = listening.next(1)
        assert (expired["data"]["event"], expired["data"]["order"]["id"]) == (
            "expired",
            third["id"],
        )


def test_order_sent_outside_the_session_is_accepted_and_new_at_the_open(served: Served) -> None:
    move(served, OPENING.replace(hour=18))
    with order_stream(served) as listening:
        place(served, single(ONE_CALL, "buy", "0.20"))
        assert happened(listening.next(1)) == ["accepted"]
        move(served, OPENING + timedelta(days=1))
        assert happened(listening.next(1)) == ["new"]


def test_several_clients_hear_their_account_and_nobody_elses(served: Served) -> None:
    with (
        order_stream(served) as one,
        order_stream(served) as two,
        order_stream(served, OTHER) as stranger,
    ):
        mine = place(served, single(ONE_CALL, "buy", "0.20"))
        theirs = place(served, single(ONE_CALL, "buy", "0.20"), OTHER)
        for listening, order in ((one, mine), (two, mine), (stranger, theirs)):
            assert {m["data"]["order"]["id"] for m in listening.next(2)} == {order["id"]}
    assert [one.heard.qsize(), two.heard.qsize(), stranger.heard.qsize()] == [0, 0, 0]


def test_client_comes_back_after_a_dropped_connection_and_nothing_is_replayed(
    served: Served,
) -> None:
    with order_stream(served) as listening:
        first = place(served, single(ONE_CALL, "buy", "0.20"))
        assert len(listening.next(2)) == 2
        listening.drop()
        wait_until(lambda: listeners(served, "main") == 0, "the drop was noticed")
        served.client().cancel_order_by_id(first["id"])
        wait_until(lambda: listeners(served, "main") == 1, "listening again")
        second = place(served, single(ONE_CALL, "buy", "0.20"))
        assert {m["data"]["order"]["id"] for m in listening.next(2)} == {second["id"]}


def test_wrong_keys_keep_the_real_client_out(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    stream = TradingStream("local-main", "guess", url_override=f"{served.sockets}/stream")
    with running(stream, stream.subscribe_trade_updates):
        wait_until(lambda: "failed to authenticate" in caplog.text, "the refusal")
        assert not stream._running
        assert listeners(served, "main") == 0
    assert "guess" not in caplog.text


# The frames


def talk(served: Served, *, packed: bool = False) -> Connection:
    """A plain connection to the stream."""
    headers = {"Content-Type": "application/msgpack"} if packed else None
    return connect(f"{served.sockets}/stream", additional_headers=headers, proxy=None)


def answer(connection: Connection, message: object) -> Any:
    """Send a message as JSON text and read the JSON of the binary frame that answers."""
    connection.send(message if isinstance(message, str) else json.dumps(message))
    frame = connection.recv(PATIENCE)
    assert isinstance(frame, bytes)
    return json.loads(frame)


def hear_out(connection: Connection, *, at_most: int) -> None:
    """Read what is left; a connection that was cut raises before there is that much."""
    for _ in range(at_most):
        connection.recv(PATIENCE)


def keys(secret: str = "local-secret") -> dict[str, Any]:
    return {"action": "authenticate", "data": {"key_id": "local-main", "secret_key": secret}}


def listen(*streams: str) -> dict[str, Any]:
    return {"action": "listen", "data": {"streams": list(streams)}}


def authorization(status: str, action: str) -> dict[str, Any]:
    return {"stream": "authorization", "data": {"status": status, "action": action}}


def test_strangers_are_unauthorized_and_may_try_again(served: Served) -> None:
    with talk(served) as connection:
        assert answer(connection, listen("trade_updates")) == authorization(
            "unauthorized", "listen"
        )
        assert answer(connection, keys("wrong")) == authorization("unauthorized", "authenticate")
        assert answer(connection, listen("trade_updates"))["data"]["status"] == "unauthorized"
        assert listeners(served, "main") == 0
        assert answer(connection, keys()) == authorization("authorized", "authenticate")
        connection.send(json.dumps(keys()).encode())  # JSON may come in binary frames too
        assert json.loads(connection.recv(PATIENCE)) == authorization("authorized", "authenticate")
        short = {"action": "auth", "key": "local-main", "secret": "local-secret"}
        assert answer(connection, short) == authorization("authorized", "auth")


def test_listening_is_to_exactly_the_streams_that_were_named(served: Served) -> None:
    with talk(served) as connection:
        answer(connection, keys())
        heard = answer(connection, listen("trade_updates", "account_updates"))
        assert heard == {"stream": "listening", "data": {"streams": ["trade_updates"]}}
        assert answer(connection, listen("trade_updates")) == heard
        assert listeners(served, "main") == 1
        assert answer(connection, listen())["data"] == {"streams": []}
        assert listeners(served, "main") == 0


def test_new_keys_end_what_the_old_ones_listened_to(served: Served) -> None:
    with talk(served) as connection:
        answer(connection, keys())
        answer(connection, listen("trade_updates"))
        answer(connection, keys("wrong"))
        place(served, single(ONE_CALL, "buy", "0.20"))
        assert answer(connection, listen()) == authorization("unauthorized", "listen")


def test_a_client_that_asks_for_messagepack_gets_it(served: Served) -> None:
    with talk(served, packed=True) as connection:
        for message in (keys(), listen("trade_updates")):
            connection.send(msgpack.packb(message))
            connection.recv(PATIENCE)
        place(served, single(ONE_CALL, "buy", "0.20"))
        told = msgpack.unpackb(connection.recv(PATIENCE))
        assert told["stream"] == "trade_updates"
        assert told["data"]["order"]["symbol"] == ONE_CALL


@pytest.mark.parametrize(
    "frame", ["{", "[]", json.dumps({"action": "dance"}), json.dumps({"action": "listen"})]
)
def test_a_frame_that_makes_no_sense_is_an_error_and_the_end(served: Served, frame: str) -> None:
    with talk(served) as connection:
        assert answer(connection, frame)["action"] == "error"
        with pytest.raises(ConnectionClosed):
            connection.recv(PATIENCE)


def test_slow_reader_is_dropped_and_the_others_hear_everything(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    """It does not read: its few kilobytes of socket buffers fill up, then what may wait for it."""
    served.app.state.streams.most_waiting = 100
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    host, port = served.url.removeprefix("http://").split(":")
    raw.connect((host, int(port)))
    url = f"{served.sockets}/stream"
    with (
        order_stream(served) as listening,
        connect(url, sock=raw, compression=None, max_queue=1, close_timeout=0.1) as idle,
    ):
        answer(idle, keys())
        answer(idle, listen("trade_updates"))
        sent = 0
        while listeners(served, "main") == 2:
            order = place(served, spread(CREDIT_SPREAD, "-4.50"))
            served.client().cancel_order_by_id(order["id"])
            assert happened(listening.next(3)) == ["pending_new", "new", "canceled"]
            sent += 3
            assert sent < 20_000, "nobody was dropped"
        with pytest.raises(ConnectionClosed):
            hear_out(idle, at_most=sent - 100)
    assert caplog.messages.count("dropped a slow reader of /stream") == 1


def test_ten_thousand_messages_may_wait_for_a_reader() -> None:
    outbox = Outbox()
    for number in range(10_000):
        outbox.put(number)
    assert not outbox.overflowed.is_set()
    outbox.put(10_000)
    assert outbox.overflowed.is_set()


def test_stopping_the_exchange_ends_its_streams(tmp_path: Path) -> None:
    exchange = Exchange(HandMadeMarket(), tmp_path, ExchangeTerms(start_at=OPENING))
    app = build_wire(exchange)
    with serving(app) as url:
        connection = talk(Served(url, app, exchange, HandMadeMarket()))
        answer(connection, keys())
        answer(connection, listen("trade_updates"))
    with pytest.raises(ConnectionClosed) as ended, connection:
        connection.recv(PATIENCE)
    assert ended.value.rcvd is not None
    assert ended.value.rcvd.code == 1012


# What is told, without a wire


def test_what_is_rolled_back_is_not_told(tmp_path: Path) -> None:
    heard: list[OrderUpdate] = []
    with exchange_on(HandMadeMarket(), tmp_path) as exchange:
        with exchange.feed.orders("main", heard.append):
            with suppress(ZeroDivisionError), exchange.store.transaction():
                send(exchange, single(ONE_CALL, "buy", "0.20"))
                raise ZeroDivisionError
            assert heard == []
            assert exchange.store.orders() == ()
            order = send(exchange, single(ONE_CALL, "buy", "0.20"))
        assert [(told.event, told.order.id) for told in heard] == [
            ("pending_new", order.id),
            ("new", order.id),
        ]
        assert exchange.store.orders() == (order,)
        exchange.trading.cancel(order)
    assert len(heard) == 2


def test_several_orders_of_one_step_are_told_with_the_holding_after_each(tmp_path: Path) -> None:
    heard: list[OrderUpdate] = []
    market = HandMadeMarket()
    with exchange_on(market, tmp_path) as exchange:
        for quantity in (1, 2):
            send(exchange, single(ONE_CALL, "buy", "1.10", qty=quantity))
        market.overrides[ONE_CALL] = Quote(1.0, 1.1)
        with exchange.feed.orders("main", heard.append):
            exchange.advance(LATER)
    assert [(told.event, told.units, told.fills[0].position) for told in heard] == [
        ("fill", 1, 1),
        ("fill", 2, 3),
    ]


def test_net_price_of_a_ratio_spread_is_that_of_one_unit(tmp_path: Path) -> None:
    heard: list[OrderUpdate] = []
    legs = [leg(put(95), "sell", "open", 2), leg(put(100), "buy", "open", 3)]
    with exchange_on(HandMadeMarket(), tmp_path) as exchange:
        with exchange.feed.orders("main", heard.append):
            order = send(exchange, spread(legs, None, qty=4))
        assert order.status is WireStatus.FILLED
    assert [told.event for told in heard] == ["pending_new", "new", "fill"]
    assert (heard[-1].units, heard[-1].net_price) == (4, order.average_price)


@pytest.mark.parametrize("status", list(WireStatus))
def test_every_state_that_an_order_comes_to_is_an_event_that_alpaca_knows(
    tmp_path: Path, status: WireStatus
) -> None:
    with exchange_on(HandMadeMarket(), tmp_path) as exchange:
        ticket = read_ticket(single(ONE_CALL, "buy", "0.20", qty=2))
        before = exchange.trading.submit("main", ticket)
    filled = {WireStatus.FILLED: 2, WireStatus.PARTIALLY_FILLED: 1}.get(status, 0)
    after = replace(before, status=status, filled_quantity=filled)
    events = [TradeEvent(update.event).value for update in updates_between(before, after)]
    assert events == {
        before.status: [],
        WireStatus.FILLED: ["new", "fill"],
        WireStatus.PARTIALLY_FILLED: ["new", "partial_fill"],
    }.get(status, [status.value])


def test_refused_orders_expirations_and_deliveries_are_not_told(tmp_path: Path) -> None:
    """On the broker too, what happens without an order is found in positions and activities."""
    heard: list[OrderUpdate] = []
    market = HandMadeMarket(settlements={("XYZ", NEAR): SettlementValue(Decimal(93), "test")})
    with exchange_on(market, tmp_path) as exchange:
        legs = [leg(put(95, NEAR), "sell", "open"), leg(put(90, NEAR), "buy", "open")]
        send(exchange, spread(legs, "-0.50"))
        with exchange.feed.orders("main", heard.append):
            with pytest.raises(WireRefusal):
                send(exchange, single(ONE_CALL, "sell", "1.00"))
            exchange.advance(datetime(2026, 11, 21, 9, tzinfo=NEW_YORK))
        assert [row.symbol for row in exchange.store.positions()] == ["XYZ"]
    assert heard == []
