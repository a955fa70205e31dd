"""The option stream: the real alpaca-py client sees quotes and trades as the clock moves."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgpack
import pytest
from websockets.sync.client import connect
from websockets.sync.connection import Connection

from mahler_pipelines.exchange.engine import Exchange, ExchangeTerms
from mahler_pipelines.exchange.wire.app import build_wire
from tests.exchange.fakes import OPENING, HandMadeMarket, Quote, call, put
from tests.exchange.serving import served as serving
from tests.exchange.streaming_clients import (
    MAIN,
    OTHER,
    PATIENCE,
    Served,
    option_stream,
    wait_until,
)

TWO = (put(95), call(105))
MINUTE = timedelta(minutes=1)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    market = HandMadeMarket()
    terms = ExchangeTerms(credentials=(MAIN, OTHER), start_at=OPENING)
    exchange = Exchange(market, tmp_path, terms)
    app = build_wire(exchange)
    with serving(app) as url:
        yield Served(url, app, exchange, market)


def move(served: Served, minutes: int) -> None:
    """Move the exchange's clock over its wire."""
    served.client()._session.post(
        f"{served.url}/control/clock", json={"seconds": 60 * minutes}
    ).raise_for_status()


@contextmanager
def talk(served: Served, feed: str = "opra") -> Iterator[Connection]:
    """A plain connection that has been greeted."""
    with connect(f"{served.sockets}/v1beta1/{feed}", proxy=None) as connection:
        assert hear(connection) == [{"T": "success", "msg": "connected"}]
        yield connection


def hear(connection: Connection) -> Any:
    frame = connection.recv(PATIENCE)
    assert isinstance(frame, bytes)
    return msgpack.unpackb(frame)


def answer(connection: Connection, **message: Any) -> Any:
    connection.send(msgpack.packb(message))
    return hear(connection)


def refusal(code: int, why: str) -> list[dict[str, Any]]:
    return [{"T": "error", "code": code, "msg": why}]


def auth(secret: str = MAIN.secret) -> dict[str, str]:
    return {"action": "auth", "key": MAIN.key_id, "secret": secret}


def test_real_client_sees_quotes_of_two_contracts_as_the_clock_moves(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="alpaca")
    with option_stream(served, *TWO) as listening:
        wait_until(lambda: "subscribed to quotes" in caplog.text, "the subscription")
        served.market.overrides = {TWO[0]: Quote(2.0, 2.1, 7, 8), TWO[1]: Quote(3.0, 3.2)}
        move(served, 1)
        quotes = {quote.symbol: quote for quote in listening.next(2)}
        assert {s: (q.bid_price, q.ask_price) for s, q in quotes.items()} == {
            TWO[0]: (2.0, 2.1),
            TWO[1]: (3.0, 3.2),
        }
        assert (quotes[TWO[0]].bid_size, quotes[TWO[0]].ask_size) == (7, 8)
        assert quotes[TWO[0]].timestamp == OPENING + MINUTE
        served.market.overrides[TWO[0]] = Quote(2.5, 2.6)
        move(served, 1)
        (only,) = listening.next(1)
        assert (only.symbol, only.bid_price, only.timestamp) == (TWO[0], 2.5, OPENING + 2 * MINUTE)
        assert listening.heard.empty()


def test_trades_are_told_when_the_last_price_changes(served: Served) -> None:
    with talk(served) as connection:
        answer(connection, **auth())
        answer(connection, action="subscribe", trades=[TWO[0]])
        served.market.overrides[TWO[0]] = Quote(2.0, 2.1)
        move(served, 1)
        (trade,) = hear(connection)
        assert (trade["T"], trade["S"], trade["p"], trade["x"]) == ("t", TWO[0], 2.0, "C")
        assert isinstance(trade["t"], msgpack.Timestamp)


def test_moves_through_many_moments_tell_where_the_clock_came_to_stand(served: Served) -> None:
    served.client().post(
        "/orders",
        {"symbol": TWO[1], "side": "buy", "qty": "1", "type": "limit", "limit_price": "0.05",
         "time_in_force": "day"},
    )  # fmt: skip
    with talk(served) as connection:
        answer(connection, **auth())
        answer(connection, action="subscribe", quotes=[TWO[0]])
        served.market.overrides[TWO[0]] = Quote(2.0, 2.1)
        move(served, 120)
        (quote,) = hear(connection)
        assert quote["t"].to_datetime() == OPENING + 120 * MINUTE
        # Nothing else was on its way: the next answer is that of the next question.
        assert answer(connection, action="unsubscribe", quotes=[TWO[0]])[0]["T"] == "subscription"


def test_subscriptions_add_up_and_can_be_ended(served: Served) -> None:
    with talk(served, "indicative") as connection:
        answer(connection, **auth())
        one = answer(connection, action="subscribe", quotes=[TWO[0]])
        assert one == [{"T": "subscription", "quotes": [TWO[0]], "trades": []}]
        both = answer(connection, action="subscribe", quotes=[TWO[1]], trades=[TWO[1]])
        assert both == [{"T": "subscription", "quotes": sorted(TWO), "trades": [TWO[1]]}]
        left = answer(connection, action="unsubscribe", quotes=[TWO[0]], trades=[TWO[1]])
        assert left == [{"T": "subscription", "quotes": [TWO[1]], "trades": []}]
        served.market.overrides = {symbol: Quote(2.0, 2.1) for symbol in TWO}
        move(served, 1)
        assert [row["S"] for row in hear(connection)] == [TWO[1]]


def test_what_cannot_be_done_is_an_error_with_alpacas_code(served: Served) -> None:
    with talk(served) as connection:
        subscribe = {"action": "subscribe", "quotes": [TWO[0]]}
        assert answer(connection, **subscribe) == refusal(401, "not authenticated")
        assert answer(connection, **auth("wrong")) == refusal(402, "auth failed")
        assert answer(connection, **auth()) == [{"T": "success", "msg": "authenticated"}]
        assert answer(connection, **auth()) == refusal(403, "already authenticated")
        assert answer(connection, action="dance") == refusal(400, "invalid syntax")
        assert answer(connection, action="subscribe", quotes="all") == refusal(
            400, "invalid syntax"
        )
        connection.send(b"\xc1")
        assert hear(connection) == refusal(400, "invalid syntax")
        bars = answer(connection, action="subscribe", bars=[TWO[0]])
        assert bars == refusal(410, "invalid subscribe action for this feed")
        star = answer(connection, action="subscribe", trades=["*"])
        assert star == refusal(413, "star subscription is not allowed for option quotes")


def test_an_account_has_one_option_stream_at_a_time(served: Served) -> None:
    with talk(served) as first:
        answer(first, **auth())
        with talk(served) as second:
            assert answer(second, **auth()) == refusal(406, "connection limit exceeded")
        with talk(served) as stranger:
            other = {"action": "auth", "key": OTHER.key_id, "secret": OTHER.secret}
            assert answer(stranger, **other)[0]["T"] == "success"
    wait_until(lambda: not served.app.state.streams.option_accounts, "both gave theirs back")
    with talk(served) as again:
        assert answer(again, **auth())[0]["T"] == "success"


def test_what_is_displayed_when_a_client_subscribes_is_no_news(served: Served) -> None:
    with talk(served) as connection:
        answer(connection, **auth())
        answer(connection, action="subscribe", quotes=list(TWO), trades=list(TWO))
        served.market.overrides[TWO[0]] = Quote(2.0, 2.1)
        move(served, 1)
        assert [(row["S"], row["T"]) for row in hear(connection)] == [(TWO[0], "q"), (TWO[0], "t")]


def test_contracts_that_are_not_listed_are_never_told(served: Served) -> None:
    with talk(served) as connection:
        answer(connection, **auth())
        answer(connection, action="subscribe", quotes=["NOSUCH", call(105, root="ABC"), TWO[0]])
        served.market.overrides[TWO[0]] = Quote(2.0, 2.1)
        move(served, 1)
        assert [row["S"] for row in hear(connection)] == [TWO[0]]
