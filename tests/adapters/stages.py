"""Where the contract of `Broker` and `MarketData` is played: exchange, recorded answers, fake.

Every stage offers the same moves; what a move means at a real exchange (a quote of a certain size)
and at a recording (a scripted answer) is the stage's own business.
"""

import importlib.util
import json
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from starlette.applications import Starlette
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mahler_pipelines.adapters.alpaca import AlpacaBroker, AlpacaConnection, AlpacaMarketData
from mahler_pipelines.errors import BrokerRefused
from mahler_pipelines.exchange.engine import Exchange, ExchangeTerms
from mahler_pipelines.exchange.market import Market
from mahler_pipelines.exchange.wire import build_wire
from mahler_pipelines.execution.broker import (
    Broker,
    BrokerClock,
    OrderLeg,
    OrderRequest,
    PositionIntent,
)
from mahler_pipelines.market.data import MarketData
from mahler_pipelines.market.sessions import NEW_YORK
from mahler_pipelines.options.structures import Side
from tests.doubles.alpaca import AlpacaDouble, Answer, Seen, refusal
from tests.exchange.fakes import FAR, HandMadeMarket, Quote, put
from tests.exchange.serving import served
from tests.exchange.simulated_worlds import market_of
from tests.execution.fakes import FakeBroker, utc

SPECS = Path(__file__).parents[2].parent / "shared" / "specs"
MORNING = datetime(2026, 11, 2, 10, 0, tzinfo=NEW_YORK)
SIMULATED_MORNING = datetime(2025, 3, 3, 10, 0, tzinfo=NEW_YORK)
RICH = Decimal(10_000_000)
ORDERS, BY_CLIENT_ID = "/v2/orders", "/v2/orders:by_client_order_id"


@dataclass(frozen=True, slots=True)
class Exchanged:
    """One request and its answer."""

    method: str
    target: str
    body: Any
    status: int
    answer: Any


@cache
def _gate(name: str) -> Any:
    spec = importlib.util.spec_from_file_location("specs_gate", SPECS / "gate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # it leaves the files it reads open
        return module.Gate(str(SPECS / name))


def violations(exchanged: list[Exchanged]) -> list[str]:
    """What the published specification says against requests and answers; [] where it is absent.

    Answers of 400 and above are left out: the published files describe hardly any.
    """
    if not (SPECS / "gate.py").exists():
        return []
    found: list[str] = []
    for one in exchanged:
        if one.target.startswith("/control/"):
            continue
        is_data = one.target.startswith(("/v1beta1", "/v2/stocks"))
        gate = _gate(
            "alpaca-market-data-api.json" if is_data else "alpaca-trading-api.overlay.json"
        )
        place = f"{one.method} {one.target}"
        found += [f"{place}: {e}" for e in gate.request(one.method, one.target, one.body)]
        if one.status < 400:
            errors = gate.response(one.method, one.target, one.status, one.answer)
            found += [f"{place} answer: {error}" for error in errors]
    return found


class Recorder:
    """Middleware that keeps every request with its answer."""

    def __init__(self, app: ASGIApp, *, kept: list[Exchanged]) -> None:
        self._app = app
        self._kept = kept

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        sent, answered, status = bytearray(), bytearray(), [0]

        async def reading() -> Message:
            message = await receive()
            sent.extend(message.get("body", b""))
            return message

        async def noting(message: Message) -> None:
            status[0] = message.get("status", status[0])
            answered.extend(message.get("body", b""))
            await send(message)

        await self._app(scope, reading, noting)
        query = scope["query_string"].decode()
        target = scope["path"] + (f"?{query}" if query else "")
        self._kept.append(
            Exchanged(scope["method"], target, _json(sent), status[0], _json(answered))
        )


def _json(content: bytes | bytearray) -> Any:
    return json.loads(bytes(content)) if content else None


class BrokerStage(Protocol):
    """A place where one spread can be opened and closed."""

    broker: Broker
    short: str
    long: str
    keeps_history: bool

    def opening(self, name: str, quantity: int) -> OrderRequest:
        """An opening order at the natural credit, all of which fills at once."""
        ...

    def closing(self, name: str, quantity: int) -> OrderRequest:
        """A closing order at the natural debit, all of which fills at once."""
        ...

    def resting(self, name: str) -> OrderRequest:
        """An opening order for more than the market pays."""
        ...

    def oversized(self, name: str) -> tuple[OrderRequest, int]:
        """An opening order for more than is displayed, and how many units are displayed."""
        ...

    def refused(self, name: str) -> OrderRequest:
        """An order that is refused for good."""
        ...


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


@dataclass
class ExchangeStage:
    """The real client against the local exchange, over HTTP."""

    url: str
    exchange: Exchange
    broker: AlpacaBroker
    market: AlpacaMarketData
    kept: list[Exchanged]
    underlying: str
    short: str
    long: str
    keeps_history: bool = True

    def opening(self, name: str, quantity: int) -> OrderRequest:
        return self._order(name, quantity, limit=-self._natural_credit())

    def closing(self, name: str, quantity: int) -> OrderRequest:
        sides = self._sides()
        limit = sides[self.short][1] - sides[self.long][0]
        return self._order(name, quantity, limit=limit, opens=False)

    def resting(self, name: str) -> OrderRequest:
        return self._order(name, 1, limit=-(self._natural_credit() + Decimal("0.50")))

    def oversized(self, name: str) -> tuple[OrderRequest, int]:
        quotes = self.market.option_quotes([self.short, self.long]).set_index("symbol")
        units = int(min(quotes.loc[self.short, "bid_size"], quotes.loc[self.long, "ask_size"]))
        assert units > 0
        return self._order(name, units + 3, limit=-self._natural_credit()), units

    def refused(self, name: str) -> OrderRequest:
        return replace(self.opening(name, 1), quantity=1_000_000)

    def advance(self, moment: datetime) -> None:
        """Move the clock, as its control route does: on the thread that serves."""
        from mahler_pipelines.exchange.control import ExchangeControl

        ExchangeControl(self.url).advance_to(moment)

    def _natural_credit(self) -> Decimal:
        sides = self._sides()
        return sides[self.short][0] - sides[self.long][1]

    def _sides(self) -> dict[str, tuple[Decimal, Decimal]]:
        quotes = self.market.option_quotes([self.short, self.long])
        return {
            row.symbol: (Decimal(str(row.bid)), Decimal(str(row.ask)))
            for row in quotes.itertuples(index=False)
        }

    def _order(
        self, name: str, quantity: int, *, limit: Decimal, opens: bool = True
    ) -> OrderRequest:
        return order_of(name, self.short, self.long, quantity=quantity, limit=limit, opens=opens)


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


@contextmanager
def exchange_stage(
    market: Market, state_dir: Path, *, start_at: datetime, underlying: str, spread: tuple[str, str]
) -> Iterator[ExchangeStage]:
    """Serve an exchange on this market in a thread; check all of its wire at the end."""
    terms = ExchangeTerms(start_at=start_at, starting_equity=RICH)
    kept: list[Exchanged] = []
    app: Starlette = build_wire(Exchange(market, state_dir, terms))
    exchange = app.state.exchange
    app.add_middleware(Recorder, kept=kept)
    with served(app) as url:
        broker, data = AlpacaBroker(connection_to(url)), AlpacaMarketData(connection_to(url))
        yield ExchangeStage(url, exchange, broker, data, kept, underlying, *spread)
        broker.close()
        data.close()
    assert violations(kept) == []


@contextmanager
def hand_made_stage(
    state_dir: Path, market: HandMadeMarket | None = None
) -> Iterator[ExchangeStage]:
    """A dozen contracts with quotes that a person can add up: 95/90 puts of XYZ, 20 on display."""
    made = market or HandMadeMarket()
    short, long = put(95), put(90)
    made.overrides.setdefault(short, Quote(4.00, 4.10, 20, 20))
    made.overrides.setdefault(long, Quote(1.90, 2.00, 35, 20))
    with exchange_stage(
        made, state_dir, start_at=MORNING, underlying="XYZ", spread=(short, long)
    ) as stage:
        yield stage


@contextmanager
def simulated_stage(state_dir: Path) -> Iterator[ExchangeStage]:
    """The simulated market of seed 7, and the put spread with the largest displayed size."""
    market = market_of(7)
    quotes = market.quotes("BRIO", SIMULATED_MORNING)
    puts = quotes[
        (quotes["right"] == -1)
        & (quotes["strike"] < 0.97 * quotes["underlying_price"])
        & (quotes["bid"] > 0.2)
        & (quotes["expiration"].dt.date > date(2025, 3, 20))
    ].sort_values(["expiration", "strike"])
    below = puts.groupby("expiration").shift(1)
    pays = puts[(puts["bid"] - below["ask"] > 0.05) & (below["ask_size"] > 0)]
    best = pays["bid_size"].idxmax()
    spread = (str(puts.loc[best, "symbol"]), str(below.loc[best, "symbol"]))
    with exchange_stage(
        market, state_dir, start_at=SIMULATED_MORNING, underlying="BRIO", spread=spread
    ) as stage:
        yield stage


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
    broker: AlpacaBroker
    market: AlpacaMarketData
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
        self.double.on(
            "POST", ORDERS, refusal(403, 40310000, "insufficient options buying power")
        )
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


class FakeStage:
    """The hand-written broker of the execution tests."""

    short, long = put(95), put(90)
    keeps_history = False  # its history is what a test writes into it

    def __init__(self) -> None:
        self.fake = FakeBroker(utc(2026, 11, 2))
        self.broker: Broker = self.fake

    def opening(self, name: str, quantity: int) -> OrderRequest:
        self._fill_at("4.00", "2.00", None)
        return self._order(name, quantity, "-2.00")

    def closing(self, name: str, quantity: int) -> OrderRequest:
        self._fill_at("4.10", "1.90", None)
        return self._order(name, quantity, "2.20", opens=False)

    def resting(self, name: str) -> OrderRequest:
        self._fill_at("4.00", "2.00", 0)
        return self._order(name, 1, "-2.50")

    def oversized(self, name: str) -> tuple[OrderRequest, int]:
        self._fill_at("4.00", "2.00", 2)
        return self._order(name, 5, "-2.00"), 2

    def refused(self, name: str) -> OrderRequest:
        self.fake.refusal = BrokerRefused("no buying power", status=403, code=40310000)
        return self._order(name, 1, "-2.00")

    def _fill_at(self, short: str, long: str, units: int | None) -> None:
        self.fake.prices = {self.short: Decimal(short), self.long: Decimal(long)}
        self.fake.fill_units = units

    def _order(self, name: str, quantity: int, limit: str, *, opens: bool = True) -> OrderRequest:
        return order_of(
            name, self.short, self.long, quantity=quantity, limit=Decimal(limit), opens=opens
        )


@contextmanager
def broker_stage(kind: str, state_dir: Path) -> Iterator[BrokerStage]:
    """The stage of this name."""
    with ExitStack() as stack:
        if kind == "hand-made exchange":
            yield stack.enter_context(hand_made_stage(state_dir))
        elif kind == "simulated exchange":
            yield stack.enter_context(simulated_stage(state_dir))
        elif kind == "recorded answers":
            yield stack.enter_context(recorded_stage())
        else:
            yield FakeStage()


def market_of_stage(stage: BrokerStage) -> MarketData:
    """The market data beside a broker that has some."""
    assert isinstance(stage, ExchangeStage | RecordedStage)
    return stage.market


def is_aware(clock: BrokerClock) -> bool:
    """Whether every moment of a clock is in UTC."""
    return all(moment.tzinfo is UTC for moment in (clock.now, clock.next_open, clock.next_close))


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
    shared = {"time_in_force": "day", "created_at": "2026-11-20T15:00:00Z", "status": status}
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
