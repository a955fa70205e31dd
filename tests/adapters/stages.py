"""Where the contract of `Broker` and `MarketData` is played: exchange, recorded answers, fake.

Every stage offers the same moves; what a move means at a real exchange (a quote of a certain size)
and at a recording (a scripted answer) is the stage's own business.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Protocol

from starlette.applications import Starlette

from mahler_pipelines.adapters.alpaca import AlpacaBroker, AlpacaMarketData
from mahler_pipelines.errors import BrokerRefused
from mahler_pipelines.exchange.control import ExchangeControl
from mahler_pipelines.exchange.engine import Exchange, ExchangeTerms
from mahler_pipelines.exchange.market import Market
from mahler_pipelines.exchange.matching import FeeSchedule
from mahler_pipelines.exchange.wire.app import build_wire
from mahler_pipelines.execution.broker import Broker, BrokerClock, OrderRequest
from mahler_pipelines.market.data import MarketData
from mahler_pipelines.market.sessions import NEW_YORK
from tests.adapters.recorded_alpaca import connection_to, order_of, recorded_stage
from tests.adapters.wire_record import Exchanged, Recorder, violations
from tests.exchange.fakes import HandMadeMarket, Quote, put
from tests.exchange.serving import served
from tests.exchange.simulated_worlds import market_of
from tests.execution.fakes import FakeBroker, utc

MORNING = datetime(2026, 11, 2, 10, 0, tzinfo=NEW_YORK)
SIMULATED_MORNING = datetime(2025, 3, 3, 10, 0, tzinfo=NEW_YORK)
RICH = Decimal(10_000_000)


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


@dataclass
class ExchangeStage:
    """The real client against the local exchange, over HTTP."""

    url: str
    exchange: Exchange
    broker: Broker
    market: MarketData
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
        units = int(min(quotes["bid_size"][self.short], quotes["ask_size"][self.long]))
        assert units > 0
        return self._order(name, units + 3, limit=-self._natural_credit()), units

    def refused(self, name: str) -> OrderRequest:
        return replace(self.opening(name, 1), quantity=1_000_000)

    def advance(self, moment: datetime) -> None:
        """Move the clock by its control route."""
        ExchangeControl(self.url).advance_to(moment)

    def _natural_credit(self) -> Decimal:
        sides = self._sides()
        return sides[self.short][0] - sides[self.long][1]

    def _sides(self) -> dict[str, tuple[Decimal, Decimal]]:
        quotes = self.market.option_quotes([self.short, self.long])
        sides = zip(quotes["symbol"], quotes["bid"], quotes["ask"], strict=True)
        return {str(name): (Decimal(str(bid)), Decimal(str(ask))) for name, bid, ask in sides}

    def _order(
        self, name: str, quantity: int, *, limit: Decimal, opens: bool = True
    ) -> OrderRequest:
        return order_of(name, self.short, self.long, quantity=quantity, limit=limit, opens=opens)


@contextmanager
def exchange_stage(
    market: Market,
    state_dir: Path,
    *,
    start_at: datetime,
    underlying: str,
    spread: tuple[str, str],
    fee: Decimal = Decimal(0),
) -> Iterator[ExchangeStage]:
    """Serve an exchange on this market in a thread; check all of its wire at the end."""
    fees = FeeSchedule(per_contract=fee)
    terms = ExchangeTerms(start_at=start_at, starting_equity=RICH, fees=fees)
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
    state_dir: Path, market: HandMadeMarket | None = None, *, fee: Decimal = Decimal(0)
) -> Iterator[ExchangeStage]:
    """A dozen contracts with quotes that a person can add up: 95/90 puts of XYZ, 20 on display."""
    made = market or HandMadeMarket()
    short, long = put(95), put(90)
    made.overrides.setdefault(short, Quote(4.00, 4.10, 20, 20))
    made.overrides.setdefault(long, Quote(1.90, 2.00, 35, 20))
    with exchange_stage(
        made, state_dir, start_at=MORNING, underlying="XYZ", spread=(short, long), fee=fee
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


def is_aware(clock: BrokerClock) -> bool:
    """Whether every moment of a clock is in UTC."""
    return all(moment.tzinfo is UTC for moment in (clock.now, clock.next_open, clock.next_close))
