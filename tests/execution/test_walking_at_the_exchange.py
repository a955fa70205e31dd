"""Walking through the real client: ledger, exchange and cash agree after every race."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from mahler_pipelines.decisions.recommendation import (
    Decision,
    DecisionVerdict,
    Recommendation,
    RecommendationStatus,
)
from mahler_pipelines.errors import LeaseHeld
from mahler_pipelines.exchange.control import ExchangeControl
from mahler_pipelines.exchange.faults import parse_faults
from mahler_pipelines.execution.desk import ExecutionDesk, ExecutionTerms
from mahler_pipelines.execution.ledger import OrderPurpose, OrderRecord
from mahler_pipelines.execution.reconciliation import reconcile, settle_working_orders
from mahler_pipelines.execution.repricing import WalkTerms
from mahler_pipelines.execution.submission import ExecutionOutcome, ExecutionStatus, execute
from mahler_pipelines.execution.trades import Trade
from mahler_pipelines.options.contracts import parse_occ
from mahler_pipelines.options.structures import Leg, Side, Structure
from mahler_pipelines.storage.ledger import SqlLedgerBook
from tests.adapters.stages import MORNING, RICH, ExchangeStage, hand_made_stage
from tests.exchange.fakes import HandMadeMarket, Quote, put
from tests.execution.fakes import FakeLake
from tests.execution.scenes import accept, recommendation

SHORT, LONG = put(95), put(90)
HALF = WalkTerms(start_fraction=Decimal("0.5"))
START = MORNING.astimezone(UTC)
LOST = {"kind": "fail", "status": 504, "executed": True}


def shown(*, contracts: int) -> Recommendation:
    """The 95/90 put spread of XYZ for 1.90 to 2.10: 2.00 natural, 2.10 at mid."""
    structure = Structure(
        "bull_put_spread",
        (Leg(parse_occ(SHORT), Side.SELL), Leg(parse_occ(LONG), Side.BUY)),
    )
    return replace(
        recommendation(contracts=contracts, created=START),
        structure=structure,
        target_credit=Decimal("2.10"),
        floor_credit=Decimal("1.90"),
        natural_credit=Decimal("2.00"),
        underlying_price=Decimal(100),
    )


@dataclass
class Walking:
    """A desk with a SQLite ledger whose broker is the exchange behind its real client."""

    stage: ExchangeStage
    market: HandMadeMarket
    book: SqlLedgerBook
    approved: Recommendation
    now: datetime = START

    def desk(self, **changes: Any) -> ExecutionDesk:
        made = ExecutionDesk(
            account_id="main",
            book=self.book,
            broker=self.stage.broker,
            market_data=self.stage.market,
            lake=FakeLake(),
            run_id="run-1",
            holder="holder-1",
            sleep=lambda _: None,
            terms=ExecutionTerms(walk=HALF, lease_seconds=30.0),
        )
        return replace(made, **changes)

    def later(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self.stage.advance(self.now)

    def step(self, seconds: float = 0.0, **changes: Any) -> ExecutionOutcome:
        if seconds:
            self.later(seconds)
        return execute(self.approved.id, desk=self.desk(**changes), recheck=accept)

    def quote(self, short: Quote, long: Quote) -> None:
        self.market.overrides |= {SHORT: short, LONG: long}

    def fault(self, *rules: dict[str, Any]) -> None:
        control = ExchangeControl(self.stage.url)
        control.set_faults(parse_faults(json.dumps({"rules": rules}), source="test"))

    def orders(self) -> tuple[OrderRecord, ...]:
        with self.book.reading("main") as ledger:
            return ledger.orders(purpose=OrderPurpose.OPEN)

    def status(self) -> RecommendationStatus:
        with self.book.reading("main") as ledger:
            stored = ledger.recommendation(self.approved.id)
        assert stored is not None
        return stored.status

    def settled(self) -> Trade:
        """The one trade, which the exchange's positions and cash bear out to the cent."""
        with self.book.reading("main") as ledger:
            (trade,) = ledger.trades()
            fills = ledger.fills()
        held = {row.symbol: row.quantity for row in self.stage.broker.positions()}
        assert held == {SHORT: -trade.contracts, LONG: trade.contracts}
        assert reconcile(self.desk()) == ()
        earned = self.stage.broker.account().cash - RICH
        assert abs(trade.entry_credit * 100 * trade.contracts - earned) < Decimal("0.005")
        assert all(fill.slippage is not None for fill in fills)
        assert self.stage.broker.open_orders() == ()
        return trade


@pytest.fixture
def walking(tmp_path: Path) -> Iterator[Walking]:
    market, approved = HandMadeMarket(), shown(contracts=3)
    book = SqlLedgerBook(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    with book.transaction("main") as ledger:
        ledger.add_recommendation(approved, at=START)
        ledger.add_decision(
            Decision(
                approved.id, DecisionVerdict.APPROVE, "anna", "cli", START, approved.content_hash
            )
        )
        ledger.move_recommendation(
            approved.id,
            expected=RecommendationStatus.PENDING,
            to=RecommendationStatus.APPROVED,
            at=START,
        )
    with hand_made_stage(tmp_path, market) as stage:
        yield Walking(stage, market, book, approved)
    book.close()


def test_walk_ends_where_the_exchange_meets_it(walking: Walking) -> None:
    """2.05, 2.01, 1.97: the natural 2.00 is met by the third attempt and pays 2.00."""
    assert walking.step().status is ExecutionStatus.WORKING
    assert walking.step(30).status is ExecutionStatus.WORKING
    assert walking.step(30).status is ExecutionStatus.EXECUTED
    assert [str(order.limit_price) for order in walking.orders()] == ["-2.05", "-2.01", "-1.97"]
    assert (walking.settled().contracts, walking.settled().entry_credit) == (3, Decimal("2.00"))


def test_partial_fills_of_two_attempts_at_different_prices_are_one_trade(walking: Walking) -> None:
    walking.step()
    walking.step(30)
    walking.quote(Quote(4.00, 4.10, 1, 1), Quote(1.90, 2.00, 1, 1))
    assert walking.step(30).status is ExecutionStatus.WORKING
    walking.quote(Quote(3.95, 4.05, 20, 20), Quote(1.90, 2.00, 20, 20))
    assert walking.step(30).status is ExecutionStatus.EXECUTED
    assert [order.filled_quantity for order in walking.orders()] == [0, 0, 1, 2]
    assert [order.quantity for order in walking.orders()] == [3, 3, 3, 2]
    trade = walking.settled()
    assert (trade.contracts, round(trade.entry_credit * 3, 4)) == (3, Decimal("5.90"))


class Racing:
    """The broker, with something happening at the exchange just before a cancel arrives there."""

    def __init__(self, walking: Walking, happening: Callable[[], None]) -> None:
        self._broker, self._happening = walking.stage.broker, happening

    def __getattr__(self, name: str) -> Any:
        return getattr(self._broker, name)

    def cancel(self, order_id: str) -> None:
        self._happening()
        self._broker.cancel(order_id)


@pytest.mark.parametrize("size", [20, 2])
def test_order_that_is_filled_while_it_is_cancelled_is_not_opened_twice(
    walking: Walking, size: int
) -> None:
    """Wholly or in part: a better market meets the resting order before the cancel does."""
    walking.step()

    def better() -> None:
        walking.quote(Quote(4.06, 4.10, size, size), Quote(1.90, 2.00, size, size))
        walking.later(1)
        walking.quote(Quote(4.00, 4.10, 0, 0), Quote(1.90, 2.00, 0, 0))

    outcome = walking.step(30, broker=Racing(walking, better))
    orders = walking.orders()
    if size == 20:
        assert (outcome.status, len(orders)) == (ExecutionStatus.EXECUTED, 1)
    else:
        assert (outcome.status, len(orders)) == (ExecutionStatus.WORKING, 2)
        assert [order.quantity for order in orders] == [3, 1]
        walking.step(90)
        walking.step(300)
    assert walking.settled().contracts == min(size, 3)


def test_lost_answer_to_a_cancel_and_to_the_next_attempt(walking: Walking) -> None:
    """504 after the exchange took both: one cancel, one new order, and the walk goes on."""
    walking.step()
    walking.fault(
        {"method": "DELETE", "nth": 1, "fault": LOST}, {"method": "POST", "nth": 1, "fault": LOST}
    )
    assert walking.step(30).status is ExecutionStatus.WORKING
    assert [str(order.limit_price) for order in walking.orders()] == ["-2.05", "-2.01"]
    assert len(walking.stage.broker.open_orders()) == 1
    walking.fault()
    assert walking.step(30).status is ExecutionStatus.EXECUTED
    assert walking.settled().contracts == 3


def test_cancel_that_never_arrives_is_asked_again_at_the_next_call(walking: Walking) -> None:
    walking.step()
    walking.fault({"method": "DELETE", "fault": {"kind": "fail", "status": 504}})
    assert walking.step(30).status is ExecutionStatus.WORKING
    assert len(walking.orders()) == 1
    walking.fault()
    walking.step(5)
    assert [str(order.limit_price) for order in walking.orders()] == ["-2.05", "-2.01"]


def test_two_runs_of_one_step_send_one_attempt(walking: Walking) -> None:
    """The second finds the lease held, or the step taken."""
    walking.step()
    walking.later(30)

    def run(number: int) -> str:
        try:
            return walking.step(holder=f"holder-{number}").status
        except LeaseHeld:
            return "held"

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(run, range(4)))
    assert ExecutionStatus.WORKING in results
    assert len(walking.orders()) == 2
    assert len(walking.stage.broker.open_orders()) == 1


def test_walk_that_is_over_leaves_nothing_at_the_exchange(walking: Walking) -> None:
    walking.quote(Quote(4.00, 4.10, 0, 0), Quote(1.90, 2.00, 0, 0))
    walking.step()
    for seconds in (30, 90, 180):
        walking.step(seconds)
    assert walking.status() is RecommendationStatus.LAPSED
    assert walking.stage.broker.open_orders() == ()
    assert walking.stage.broker.account().cash == RICH
    assert reconcile(walking.desk()) == ()


def test_walk_left_behind_is_ended_by_a_look(walking: Walking) -> None:
    walking.step()
    walking.later(31 * 60)
    settle_working_orders(walking.desk())
    assert walking.status() is RecommendationStatus.LAPSED
    assert walking.stage.broker.open_orders() == ()
