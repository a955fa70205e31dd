"""Stop and stop-limit orders: when they are taken, triggered, filled, changed and shown."""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from mahler_pipelines.exchange.engine import Exchange, ExchangeTerms
from mahler_pipelines.exchange.orders import Order, WireStatus
from mahler_pipelines.exchange.wire.errors import WireRefusal
from mahler_pipelines.exchange.wire.trading_views import order_json
from tests.exchange.fakes import OPENING, HandMadeMarket, Quote, call, exchange_on, put
from tests.exchange.orders import leg, send, single, spread

ONE_CALL = call(105)


def stop(side: str, price: str, *, limit: str | None = None, **more: Any) -> dict[str, Any]:
    """A stop, or with a limit a stop-limit, order of three contracts."""
    kind = "stop" if limit is None else "stop_limit"
    body = single(ONE_CALL, side, limit, qty=3) | {"type": kind, "stop_price": price}
    return body | more


@pytest.fixture
def market() -> HandMadeMarket:
    return HandMadeMarket(overrides={ONE_CALL: Quote(2.00, 2.10)})


@pytest.fixture
def exchange(market: HandMadeMarket, tmp_path: Path) -> Iterator[Exchange]:
    with exchange_on(market, tmp_path) as running:
        yield running


def show(exchange: Exchange, market: HandMadeMarket, bid: float, ask: float, minute: int) -> None:
    """Display another quote, and look at it."""
    market.overrides[ONE_CALL] = Quote(bid, ask)
    exchange.advance(OPENING.replace(minute=minute))


def again(exchange: Exchange, order: Order) -> Order:
    found = exchange.store.order(order.id)
    assert found is not None
    return found


def test_a_stop_to_buy_waits_for_the_bid_and_then_pays_the_ask(
    exchange: Exchange, market: HandMadeMarket
) -> None:
    order = send(exchange, stop("buy", "2.50"))
    assert (order.status, order.waits_for_stop) == (WireStatus.NEW, True)
    show(exchange, market, 2.40, 2.60, 31)
    assert again(exchange, order).filled_quantity == 0, "a wide ask triggers nothing"
    show(exchange, market, 2.50, 2.65, 32)
    filled = again(exchange, order)
    assert (filled.status, filled.average_price) == (WireStatus.FILLED, Decimal("2.65"))


def test_a_stop_to_sell_waits_for_the_ask_and_then_gets_the_bid(
    exchange: Exchange, market: HandMadeMarket
) -> None:
    send(exchange, single(ONE_CALL, "buy", None, qty=3))
    order = send(exchange, stop("sell", "1.50"))
    show(exchange, market, 1.20, 1.60, 31)
    assert again(exchange, order).status is WireStatus.NEW
    show(exchange, market, 1.30, 1.50, 32)
    filled = again(exchange, order)
    assert (filled.status, filled.average_price) == (WireStatus.FILLED, Decimal("1.30"))
    assert exchange.store.position("main", ONE_CALL) is None


def test_a_triggered_stop_limit_rests_at_its_limit_and_stays_triggered(
    exchange: Exchange, market: HandMadeMarket
) -> None:
    order = send(exchange, stop("buy", "2.50", limit="2.60"))
    show(exchange, market, 2.70, 2.80, 31)
    resting = again(exchange, order)
    assert (resting.status, resting.triggered_at) == (WireStatus.NEW, exchange.now)
    show(exchange, market, 2.30, 2.45, 32)
    filled = again(exchange, order)
    assert (filled.status, filled.average_price) == (WireStatus.FILLED, Decimal("2.45"))


@pytest.mark.parametrize(
    "quote", [Quote(2.60, 2.50), Quote(float("nan"), 2.60), Quote(0.0, 0.0)], ids=str
)
def test_an_unusable_quote_triggers_nothing(
    exchange: Exchange, market: HandMadeMarket, quote: Quote
) -> None:
    order = send(exchange, stop("buy", "2.50"))
    market.overrides[ONE_CALL] = quote
    exchange.advance(OPENING.replace(minute=31))
    assert again(exchange, order).waits_for_stop


def test_a_stop_that_is_met_already_trades_at_once(exchange: Exchange) -> None:
    assert send(exchange, stop("buy", "1.90")).status is WireStatus.FILLED


def test_a_trigger_survives_a_restart(market: HandMadeMarket, tmp_path: Path) -> None:
    terms = ExchangeTerms(start_at=OPENING)
    with exchange_on(market, tmp_path, terms) as first:
        order = send(first, stop("buy", "2.50", limit="2.60"))
        show(first, market, 2.70, 2.80, 31)
        triggered = again(first, order)
    with exchange_on(market, tmp_path, terms) as second:
        assert again(second, order) == triggered
        assert triggered.stop_price == Decimal("2.50")


def test_a_stop_may_be_sent_while_the_market_is_closed_and_expires_with_its_day(
    exchange: Exchange,
) -> None:
    exchange.advance(OPENING.replace(hour=17))
    order = send(exchange, stop("buy", "9.00"))
    assert order.status is WireStatus.ACCEPTED
    exchange.advance(datetime(2026, 11, 3, 17, tzinfo=OPENING.tzinfo))
    assert again(exchange, order).status is WireStatus.EXPIRED


def test_a_stop_of_shares_sells_what_is_held(exchange: Exchange) -> None:
    send(exchange, single("XYZ", "buy", None, qty=7))
    order = send(
        exchange, single("XYZ", "sell", None, qty=7) | {"type": "stop", "stop_price": "100.02"}
    )
    assert (order.status, order.average_price) == (WireStatus.FILLED, Decimal("99.98"))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (stop("buy", "2.50") | {"stop_price": None}, "require a stop price"),
        (stop("buy", "0"), "stop price must be > 0"),
        (stop("buy", "2.505"), "invalid stop_price 2.505"),
        (stop("buy", "2.50") | {"limit_price": "3"}, "stop orders must not have a limit"),
        (stop("buy", "2.50") | {"type": "stop_limit"}, "stop_limit orders require a limit"),
        (single(ONE_CALL, "buy", "2") | {"stop_price": "2"}, "limit orders must not have a stop"),
        (
            spread([leg(put(95), "sell", "open"), leg(put(90), "buy", "open")], None)
            | {"type": "stop", "stop_price": "1"},
            "stop is not supported for mleg",
        ),
    ],
)
def test_a_malformed_stop_is_refused(exchange: Exchange, body: dict[str, Any], said: str) -> None:
    with pytest.raises(WireRefusal, match=said) as raised:
        send(exchange, body)
    assert (raised.value.status, raised.value.code) == (422, 42210000)


def test_buying_power_is_held_for_the_stop_price(exchange: Exchange) -> None:
    before = exchange.figures("main").options_buying_power
    send(exchange, stop("buy", "2.50"))
    assert before - exchange.figures("main").options_buying_power == 750
    with pytest.raises(WireRefusal, match="insufficient options buying power"):
        send(exchange, stop("buy", "400"))


def test_the_wire_shows_the_stop_price_as_text_and_null_without_one(exchange: Exchange) -> None:
    shown = order_json(send(exchange, stop("buy", "2.50", limit="2.60")))
    assert (shown["type"], shown["stop_price"], shown["limit_price"]) == (
        "stop_limit",
        "2.5",
        "2.6",
    )
    assert order_json(send(exchange, single(ONE_CALL, "buy", "0.10")))["stop_price"] is None
