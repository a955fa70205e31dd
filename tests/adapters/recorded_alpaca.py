"""The real client against answers as Alpaca writes them, without an exchange behind them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from mahler_pipelines.adapters.alpaca import AlpacaBroker, AlpacaConnection, AlpacaMarketData
from mahler_pipelines.execution.broker import (
    Broker,
    OrderLeg,
    OrderRequest,
    PositionIntent,
)
from mahler_pipelines.market.data import MarketData
from mahler_pipelines.options.structures import Side
from tests.adapters.wire_record import Exchanged, violations
from tests.doubles.alpaca import AlpacaDouble, Answer, Seen, refusal

ORDERS, BY_CLIENT_ID = "/v2/orders", "/v2/orders:by_client_order_id"


def order_of(
    name: str, short: str, long: str, *, quantity: int, limit: Decimal, opens: bool = True
) -> OrderRequest:
    """Open (or close) a credit spread for a net price: a credit is negative."""
    sold, bought = (short, long) if opens else (long, short)
    intents = (
        (PositionIntent.SELL_TO_OPEN, PositionIntent.BUY_TO_OPEN)
        if opens
        else (PositionIntent.SELL_TO_CLOSE, PositionIntent.BUY_TO_CLOSE)
    )
    legs = (
        OrderLeg(sold, Side.SELL, 1, intents[0]),
        OrderLeg(bought, Side.BUY, 1, intents[1]),
    )
    return OrderRequest(name, legs, quantity, limit)


def connection_to(url: str) -> AlpacaConnection:
    """Ask an address with the keys of the local account, impatiently."""
    return AlpacaConnection(
        key_id="local-main",
        secret_key="local-secret",
        trading_url=url,
        data_url=url,
        read_attempts=2,
        first_wait_seconds=0.001,
    )


class RecordedAlpaca(AlpacaDouble):
    """A double that keeps its answers as well."""

    kept: list[Exchanged]

    def answer(self, seen: Seen) -> Answer:
        given = super().answer(seen)
        body = given.body if given.body != b"" else None
        self.kept.append(Exchanged(seen.method, seen.target, seen.body, given.status, body))
        return given


@dataclass
class RecordedStage:
    """The real client against answers as Alpaca writes them."""

    double: RecordedAlpaca
    broker: Broker
    market: MarketData
    short: str = "SPY261218P00600000"
    long: str = "SPY261218P00595000"
    keeps_history: bool = True
    working: list[dict[str, Any]] = field(default_factory=list)
    history: list[dict[str, Any]] = field(default_factory=list)
    held: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.double.on("GET", "/v2/clock", Answer(CLOCK))
        self.double.on("GET", "/v2/account", Answer(ACCOUNT))
        self.double.on("GET", BY_CLIENT_ID, refusal(404, 40410000, "order not found"))
        self.double.on_call("GET", ORDERS, lambda _: Answer(self.working))
        self.double.on_call("GET", "/v2/positions", lambda _: Answer(self.held))
        self.double.on_call("GET", "/v2/account/activities", self._activities)

    def opening(self, name: str, quantity: int) -> OrderRequest:
        order = self._order(name, quantity, "-1.25")
        self._take(order, filled=quantity, prices=("3.40", "2.15"))
        self.held = [
            _position(self.short, "short", f"-{quantity}", "3.40"),
            _position(self.long, "long", f"{quantity}", "2.15"),
        ]
        return order

    def closing(self, name: str, quantity: int) -> OrderRequest:
        order = self._order(name, quantity, "1.30", opens=False)
        self._take(order, filled=quantity, prices=("2.10", "3.40"))
        self.held = []
        return order

    def resting(self, name: str) -> OrderRequest:
        order = self._order(name, 1, "-2.00")
        self._take(order, filled=0, prices=("3.40", "2.15"))
        self.working = [_order_json(order, status="new")]
        path = f"{ORDERS}/{self.working[0]['id']}"
        gone = _order_json(order, status="canceled")

        def cancel(_: Seen) -> Answer:
            if not self.working:
                return refusal(422, 42210000, "order is not cancelable")
            self.working = []
            self.double.on("GET", BY_CLIENT_ID, Answer(gone))
            return Answer(status=204)

        self.double.on_call("DELETE", path, cancel)
        return order

    def oversized(self, name: str) -> tuple[OrderRequest, int]:
        order = self._order(name, 5, "-1.25")
        self._take(order, filled=2, prices=("3.40", "2.15"), status="partially_filled")
        return order, 2

    def refused(self, name: str) -> OrderRequest:
        self.double.on("POST", ORDERS, refusal(403, 40310000, "insufficient options buying power"))
        return self._order(name, 1, "-1.25")

    def _order(self, name: str, quantity: int, limit: str, *, opens: bool = True) -> OrderRequest:
        return order_of(
            name, self.short, self.long, quantity=quantity, limit=Decimal(limit), opens=opens
        )

    def _take(
        self, order: OrderRequest, *, filled: int, prices: tuple[str, str], status: str = "filled"
    ) -> None:
        self.double.on(
            "POST",
            ORDERS,
            Answer(_order_json(order, status="pending_new")),
            refusal(422, 40010001, "client_order_id must be unique"),
        )
        seen = _order_json(order, status=status if filled else "new", filled=filled, prices=prices)
        self.double.on("GET", BY_CLIENT_ID, Answer(seen))
        for leg, price in zip(order.legs, prices, strict=True) if filled else ():
            self.history.append(_fill_json(len(self.history) + 1, leg, filled, price))

    def _activities(self, seen: Seen) -> Answer:
        after = seen.query.get("after", "")
        return Answer([row for row in self.history if row["transaction_time"] > after])


@contextmanager
def recorded_stage() -> Iterator[RecordedStage]:
    """Answers in Alpaca's words, without an exchange behind them."""
    double = RecordedAlpaca()
    double.kept = []
    with double:
        connection = connection_to(double.url)
        broker, market = AlpacaBroker(connection), AlpacaMarketData(connection)
        yield RecordedStage(double, broker, market)
        broker.close()
        market.close()
    assert violations(double.kept) == []


CLOCK = {
    "timestamp": "2026-11-20T10:00:00.123456789-05:00",
    "is_open": True,
    "next_open": "2026-11-23T09:30:00-05:00",
    "next_close": "2026-11-20T16:00:00-05:00",
}
ACCOUNT = {
    "id": "c0ffee00-0000-4000-8000-000000000001",
    "status": "ACTIVE",
    "currency": "USD",
    "equity": "100000.10",
    "last_equity": "99999.90",
    "cash": "100000.10",
    "options_buying_power": "50000.05",
    "options_approved_level": 3,
    "options_trading_level": 3,
    "trading_blocked": False,
    "account_blocked": False,
}


def _order_json(
    order: OrderRequest,
    *,
    status: str,
    filled: int = 0,
    prices: tuple[str, str] = ("0", "0"),
) -> dict[str, Any]:
    """An order as Alpaca answers it: a multi-leg parent has empty strings where it has nothing."""
    net = sum(
        (leg.side.sign * Decimal(price) for leg, price in zip(order.legs, prices, strict=True)),
        Decimal(0),
    )
    shared: dict[str, Any] = {"time_in_force": "day", "created_at": "2026-11-20T15:00:00Z"}
    shared["status"] = status
    legs = [
        shared
        | {
            "id": f"61e69015-8549-4bfd-b9c3-01e75843f4{number:02d}",
            "client_order_id": f"leg-{number}",
            "symbol": leg.symbol,
            "side": leg.side.value,
            "position_intent": leg.intent.value,
            "ratio_qty": "1",
            "qty": str(order.quantity),
            "filled_qty": str(filled),
            "filled_avg_price": price if filled else None,
            "asset_class": "us_option",
            "order_class": "mleg",
            "type": "",
            "notional": None,
        }
        for number, (leg, price) in enumerate(zip(order.legs, prices, strict=True))
    ]
    return shared | {
        "id": "61e69015-8549-4bfd-b9c3-01e75843f47d",
        "client_order_id": order.client_order_id,
        "symbol": "",
        "side": "",
        "asset_class": "",
        "order_class": "mleg",
        "type": "limit",
        "notional": None,
        "qty": str(order.quantity),
        "filled_qty": str(filled),
        "filled_avg_price": str(net) if filled else None,
        "limit_price": str(order.limit_price),
        "submitted_at": "2026-11-20T15:00:00.123456789Z",
        "filled_at": "2026-11-20T15:00:01Z" if filled else None,
        "legs": legs,
    }


def _position(symbol: str, side: str, quantity: str, price: str) -> dict[str, Any]:
    amount = str(Decimal(quantity) * Decimal(price) * 100)
    return {
        "asset_id": "61e69015-8549-4bfd-b9c3-01e75843f4aa",
        "symbol": symbol,
        "exchange": "",
        "asset_class": "us_option",
        "avg_entry_price": price,
        "qty": quantity,
        "qty_available": quantity,
        "side": side,
        "market_value": amount,
        "cost_basis": amount,
        "unrealized_pl": "0",
        "unrealized_plpc": "0",
        "unrealized_intraday_pl": "0",
        "unrealized_intraday_plpc": "0",
        "current_price": price,
        "lastday_price": price,
        "change_today": "0",
        "asset_marginable": False,
    }


def _fill_json(number: int, leg: OrderLeg, quantity: int, price: str) -> dict[str, Any]:
    return {
        "id": f"20261120100000{number:03d}::61e69015-8549-4bfd-b9c3-01e75843f47d",
        "activity_type": "FILL",
        "transaction_time": f"2026-11-20T15:00:{number:02d}Z",
        "type": "fill",
        "symbol": leg.symbol,
        "side": leg.side.value,
        "qty": str(quantity),
        "cum_qty": str(quantity),
        "leaves_qty": "0",
        "price": price,
        "order_id": "61e69015-8549-4bfd-b9c3-01e75843f47d",
        "order_status": "filled",
    }
