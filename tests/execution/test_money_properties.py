"""Money: whatever happens to positions, cash change = realised P/L + open value, to the cent.

The machine trades, is assigned, exercised, liquidated and run out in any order, with any contract
counts. The broker's side is an account of its own that knows prices and quantities alone; the
ledger's side is the booking that the desk runs.
"""

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mahler_pipelines.decisions.recommendation import Recommendation, RecommendationStatus
from mahler_pipelines.execution.booking import closing_fills
from mahler_pipelines.execution.broker import BrokerActivity, BrokerOrder, OrderStatus
from mahler_pipelines.execution.broker_books import FindingStatus
from mahler_pipelines.execution.intents import closing_intent, opening_intent, order_request
from mahler_pipelines.execution.invariants import open_value_usd, realised_usd
from mahler_pipelines.execution.ledger import OrderRecord
from mahler_pipelines.execution.positions import expected_positions
from mahler_pipelines.execution.reconciliation import reconcile
from mahler_pipelines.execution.repairs import repair
from mahler_pipelines.execution.sending import settle_report
from mahler_pipelines.execution.trades import ExitReason, Trade, TradeStatus
from mahler_pipelines.options.contracts import OptionContract, Right
from mahler_pipelines.options.structures import Leg, Side, Structure
from tests.execution.fakes import FakeBroker
from tests.execution.scenes import EXPIRATION, NOW, Scene, quote_table, recommendation

MILLIONTH = Decimal("0.000001")


LATER = date(2026, 3, 20)


def contract(right: Right, strike: int, expiration: date = EXPIRATION) -> OptionContract:
    return OptionContract("SPY", expiration, right, Decimal(strike))


def vertical(
    name: str,
    right: Right,
    sold: int,
    bought: int,
    ratio: int = 1,
    *,
    expiration: date = EXPIRATION,
) -> Structure:
    return Structure(
        name,
        (
            Leg(contract(right, sold, expiration), Side.SELL),
            Leg(contract(right, bought, expiration), Side.BUY, ratio),
        ),
    )


STRUCTURES = (
    vertical("bull_put_spread", Right.PUT, 580, 575),
    vertical("bull_put_spread", Right.PUT, 585, 575),
    vertical("bear_call_spread", Right.CALL, 620, 625),
    vertical("bull_put_spread", Right.PUT, 580, 575, expiration=LATER),
    vertical("bear_call_spread", Right.CALL, 625, 630, expiration=LATER),
    vertical("put_backspread", Right.PUT, 580, 570, ratio=2),
    Structure(
        "iron_condor",
        (
            Leg(contract(Right.PUT, 575), Side.BUY),
            Leg(contract(Right.PUT, 580), Side.SELL),
            Leg(contract(Right.CALL, 620), Side.SELL),
            Leg(contract(Right.CALL, 625), Side.BUY),
        ),
    ),
)
SYMBOLS = sorted({symbol for structure in STRUCTURES for symbol in structure.symbols})
LEGS = {leg.contract.symbol: leg.contract for one in STRUCTURES for leg in one.legs}

CENTS = st.integers(1, 2_000).map(lambda cents: Decimal(cents) / 100)
UNITS = st.one_of(st.integers(1, 9), st.integers(100, 700))
STEPS = st.lists(UNITS, min_size=1, max_size=3)


def _beside(held: Structure) -> list[Structure]:
    """What a roll may open: nothing that shares a contract with what it closes."""
    return [one for one in STRUCTURES if not set(one.symbols) & set(held.symbols)]


class WireBroker(FakeBroker):
    """Reports averages as a wire does: rounded to a millionth."""

    def order_by_client_id(self, client_order_id: str) -> BrokerOrder | None:
        order = super().order_by_client_id(client_order_id)
        if order is None:
            return None
        fills = tuple(replace(fill, price=fill.price.quantize(MILLIONTH)) for fill in order.fills)
        return replace(order, fills=fills)


class Account(RuleBasedStateMachine):
    """A desk beside a broker that does what it likes."""

    @initialize()
    def begin(self) -> None:
        self.scene = Scene(broker=WireBroker(NOW))
        self.scene.market.quotes = quote_table(dict.fromkeys(SYMBOLS, (1.0, 1.1)))
        self.scene.market.levels = {"SPY": 600.0}
        self.unposted: list[BrokerActivity] = []
        self.count = 0
        reconcile(self.scene.desk)
        self.scene.later(minutes=1)

    @rule(
        structure=st.sampled_from(STRUCTURES),
        steps=STEPS,
        prices=st.lists(CENTS, min_size=12, max_size=12),
        rest=UNITS,
    )
    def open(
        self, structure: Structure, steps: list[int], prices: list[Decimal], rest: int
    ) -> None:
        """Open in steps at other prices each, of which the last may never fill."""
        self.count += 1
        shown = replace(
            recommendation(contracts=sum(steps) + rest),
            id=f"r-{self.count}",
            structure=structure,
        )
        self._fill(self._executing(shown), steps, prices, over=rest % 2 == 0)

    @precondition(lambda self: self._open_trades())
    @rule(data=st.data(), prices=st.lists(CENTS, min_size=8, max_size=8), roll=st.booleans())
    def close_or_roll(self, data: Any, prices: list[Decimal], roll: bool) -> None:
        """Close a part of a trade in two steps; a roll opens another at once."""
        trade = data.draw(st.sampled_from(self._open_trades()))
        left = self._left(trade)
        units = data.draw(st.integers(1, left))
        with self.scene.book.transaction("main") as ledger:
            attempts = ledger.orders(subject_id=trade.id)
            record = closing_intent(
                trade,
                attempt=len(attempts) + 1,
                quantity=left,
                limit_price=Decimal(9),
                mid=None,
                at=NOW,
                run_id="run",
            )
        first = data.draw(st.integers(0, units - 1))
        self._fill(record, [step for step in (first, units - first) if step], prices, over=True)
        if roll:
            self.open(data.draw(st.sampled_from(STRUCTURES)), [units], prices + prices[:4], 1)

    @precondition(lambda self: self._open_trades())
    @rule(data=st.data(), prices=st.lists(CENTS, min_size=12, max_size=12))
    def roll(self, data: Any, prices: list[Decimal]) -> None:
        """Move a part of a trade in one order, in two steps; the rest of it stays open."""
        trade = data.draw(st.sampled_from(self._open_trades()))
        new = data.draw(st.sampled_from(_beside(trade.structure)))
        wanted = data.draw(st.integers(1, self._left(trade)))
        filled = data.draw(st.integers(0, wanted))
        first = data.draw(st.integers(0, filled))
        self.count += 1
        shown = replace(
            recommendation(contracts=wanted),
            id=f"r-{self.count}",
            structure=new,
            rolls=trade.id,
        )
        record = self._executing(shown, rolled=trade.structure)
        self._fill(record, [step for step in (first, filled - first) if step], prices, over=False)
        moved = self.scene.book.rows.trades.get(f"t-{self.count}")
        assert (moved.contracts if moved else 0) == filled
        rolled = self.scene.book.rows.trades[trade.id]
        if rolled.status is TradeStatus.CLOSED:
            assert (rolled.exit_reason, filled) == (ExitReason.ROLLED, wanted)

    @precondition(lambda self: self._held_options())
    @rule(data=st.data(), post=st.booleans())
    def deliver(self, data: Any, post: bool) -> None:
        """Assign a short or exercise a long option early, some or all of its contracts."""
        symbol = data.draw(st.sampled_from(self._held_options()))
        held = self.scene.broker.held[symbol]
        count = data.draw(st.integers(1, abs(held)))
        self._deliver(symbol, count if held > 0 else -count)
        self._end_of_day(post)

    @precondition(lambda self: self._held_options())
    @rule(data=st.data(), price=CENTS)
    def liquidate(self, data: Any, price: Decimal) -> None:
        """An order that is not ours ends a part of an option position."""
        symbol = data.draw(st.sampled_from(self._held_options()))
        held = self.scene.broker.held[symbol]
        count = data.draw(st.integers(1, abs(held)))
        self.count += 1
        quantity = -count if held > 0 else count
        self.scene.broker.by_another_hand(symbol, quantity, str(price), row=f"f{self.count}")
        reconcile(self.scene.desk)

    @precondition(lambda self: self.scene.broker.held.get("SPY"))
    @rule(data=st.data(), price=st.integers(30_000, 90_000))
    def sell_shares(self, data: Any, price: int) -> None:
        """Another hand gets rid of shares, perhaps before their assignment is posted."""
        held = self.scene.broker.held["SPY"]
        count = data.draw(st.integers(1, abs(held)))
        self.count += 1
        self.scene.broker.by_another_hand(
            "SPY", -count if held > 0 else count, str(Decimal(price) / 100), row=f"f{self.count}"
        )
        reconcile(self.scene.desk)

    @precondition(lambda self: self._held_options())
    @rule(level=st.integers(560, 640))
    def run_out(self, level: int) -> None:
        """The expiration passes: in the money is delivered, the rest is worthless."""
        for symbol in self._held_options():
            held, terms = self.scene.broker.held[symbol], LEGS[symbol]
            if terms.right * (level - terms.strike) > 0:
                self._deliver(symbol, held)
                continue
            self._row("OPEXP", symbol, -held)
            self.scene.broker.hold(symbol, -held, Decimal(0))
        self._end_of_day(True)

    @rule()
    def post(self) -> None:
        """What happened the day before is in the history now."""
        self._end_of_day(True)

    @invariant()
    def money_adds_up(self) -> None:
        if not hasattr(self, "scene"):
            return
        broker = self.scene.broker
        with self.scene.book.transaction("main") as ledger:
            findings = ledger.findings(statuses=[FindingStatus.OPEN])
            broken = [row for row in findings if row.kind.value == "invariant"]
            assert not broken, broken
            if self.unposted:
                return
            unexplained = [row for row in findings if row.kind.value != "unpaired_short"]
            assert not unexplained, unexplained
            held = {symbol: count for symbol, count in broker.held.items() if count}
            assert expected_positions(ledger) == held
            total = realised_usd(ledger) + open_value_usd(ledger)
            assert (broker.cash - 100_000 - total).quantize(Decimal("0.01")) == 0
            for trade in ledger.trades(statuses=[TradeStatus.CLOSED]):
                assert trade.exit_reason is not None or ledger.orders(subject_id=trade.id)

    def _executing(self, shown: Recommendation, *, rolled: Structure | None = None) -> OrderRecord:
        with self.scene.book.transaction("main") as ledger:
            ledger.add_recommendation(shown, at=NOW)
            for before, after in (
                (RecommendationStatus.PENDING, RecommendationStatus.APPROVED),
                (RecommendationStatus.APPROVED, RecommendationStatus.EXECUTING),
            ):
                ledger.move_recommendation(shown.id, expected=before, to=after, at=NOW)
        return opening_intent(
            shown,
            attempt=1,
            limit_price=Decimal(-1),
            mid=None,
            at=NOW,
            run_id="run",
            rolled=rolled,
        )

    def _fill(
        self, record: OrderRecord, steps: list[int], prices: list[Decimal], *, over: bool
    ) -> None:
        desk, broker = self.scene.desk, self.scene.broker
        wanted = sum(steps) if over else record.quantity
        record = replace(record, quantity=max(wanted, sum(steps)), status=OrderStatus.SUBMITTED)
        with desk.transaction() as ledger:
            ledger.add_order(record)
        broker.fill_units = 0
        broker.submit(order_request(record))
        drawn = iter(prices)
        for units in steps:
            broker.prices = {leg.symbol: next(drawn) for leg in record.legs}
            broker.fill(record.client_order_id, units)
            self._report(record)
        if sum(steps) < record.quantity:
            broker.end(record.client_order_id, OrderStatus.EXPIRED)
            self._report(record)

    def _report(self, record: OrderRecord) -> None:
        desk = self.scene.desk
        order = self.scene.broker.order_by_client_id(record.client_order_id)
        assert order is not None
        settle_report(desk, record, order)

    def _deliver(self, symbol: str, held: int) -> None:
        """Take a signed part of a position off, against shares at the strike."""
        terms, broker = LEGS[symbol], self.scene.broker
        shares = terms.right * held * 100
        broker.hold(symbol, -held, Decimal(0))
        broker.hold("SPY", shares, terms.strike)
        self._row("OPASN" if held < 0 else "OPEXC", symbol, -held)
        self._row("OPTRD", "SPY", shares, price=terms.strike)

    def _row(self, kind: str, symbol: str, quantity: int, *, price: Decimal | None = None) -> None:
        self.count += 1
        self.unposted.append(
            BrokerActivity(
                id=f"n{self.count}",
                kind=kind,
                day=self.scene.broker.now.date(),
                symbol=symbol,
                quantity=Decimal(quantity),
                price=price,
                net_amount=-quantity * price if price is not None else Decimal(0),
                order_id=None,
                raw={"status": "executed", "group_id": None},
            )
        )

    def _end_of_day(self, post: bool) -> None:
        if post:
            self.scene.later(days=1)
            self.scene.broker.history += self.unposted
            self.unposted = []
        reconcile(self.scene.desk)
        if post:
            self._adopt_what_is_left()

    def _adopt_what_is_left(self) -> None:
        """Shares sold beyond what there was are another hand's: a person takes them over."""
        for row in list(self.scene.book.rows.findings.values()):
            if row.status is FindingStatus.OPEN and row.subject == "SPY":
                assert repair(self.scene.desk, row.id, by="anna").done
        reconcile(self.scene.desk)

    def _open_trades(self) -> list[Trade]:
        if not hasattr(self, "scene") or self.unposted:
            return []
        rows = self.scene.book.rows.trades.values()
        return [trade for trade in rows if trade.status is not TradeStatus.CLOSED]

    def _left(self, trade: Trade) -> int:
        with self.scene.book.transaction("main") as ledger:
            return trade.contracts - closing_fills(ledger, trade)[0]

    def _held_options(self) -> list[str]:
        if not hasattr(self, "scene"):
            return []
        held = self.scene.broker.held
        return [symbol for symbol in SYMBOLS if held.get(symbol)]


Account.TestCase.settings = settings(
    max_examples=50,
    stateful_step_count=14,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestMoney = Account.TestCase
