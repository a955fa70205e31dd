"""A roll from its proposal to the ledger, through the real client and a real exchange."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mahler_pipelines.decisions.approvals import DecisionOutcome, decide
from mahler_pipelines.decisions.proposing import Proposal, ProposalCode
from mahler_pipelines.decisions.recommendation import (
    DecisionVerdict,
    Recommendation,
    RecommendationStatus,
)
from mahler_pipelines.decisions.rolling import RollCode
from mahler_pipelines.errors import BadInput, LeaseHeld
from mahler_pipelines.exchange.control import ExchangeControl
from mahler_pipelines.exchange.faults import parse_faults
from mahler_pipelines.execution.account_view import GateRecheck, account_view, current_exposure
from mahler_pipelines.execution.closing import CloseStatus, close_trade
from mahler_pipelines.execution.desk import ExecutionDesk, ExecutionTerms
from mahler_pipelines.execution.invariants import open_value_usd, realised_usd
from mahler_pipelines.execution.ledger import ExecutionLedger, OrderPurpose, OrderRecord
from mahler_pipelines.execution.monitoring import watch
from mahler_pipelines.execution.positions import expected_positions
from mahler_pipelines.execution.reconciliation import reconcile, settle_working_orders
from mahler_pipelines.execution.repricing import NATURAL_AT_ONCE, WalkTerms
from mahler_pipelines.execution.roll_offers import offer_roll
from mahler_pipelines.execution.submission import (
    ExecutionOutcome,
    ExecutionRefusal,
    ExecutionStatus,
    execute,
)
from mahler_pipelines.execution.trades import ExitReason, Trade, TradeStatus
from mahler_pipelines.options.contracts import parse_occ
from mahler_pipelines.options.structures import CENT, Leg, Side, Structure
from mahler_pipelines.review.explaining import explain_subject
from mahler_pipelines.review.rows import trade_rows
from mahler_pipelines.risk.exit_terms import ExitTerms
from mahler_pipelines.risk.limits import RiskLimits
from mahler_pipelines.risk.trading_state import TradingState
from mahler_pipelines.storage.lake import ParquetLake
from mahler_pipelines.storage.ledger import SqlLedgerBook
from mahler_pipelines.strategies.limits import ScreenLimits
from tests.adapters.stages import MORNING, RICH, ExchangeStage, hand_made_stage
from tests.exchange.fakes import FAR, NEAR, HandMadeMarket, Quote, put
from tests.execution.fakes import Crash, FakeLake
from tests.execution.scenes import recommendation
from tests.execution.test_account_view import terms

SHORT, LONG, NEW_SHORT, NEW_LONG = put(95, NEAR), put(90, NEAR), put(95), put(90)
OLD = Structure(
    "bull_put_spread",
    (Leg(parse_occ(SHORT), Side.SELL), Leg(parse_occ(LONG), Side.BUY)),
)
START = MORNING.astimezone(UTC)
FEE = Decimal("0.65")
TERMS = terms(
    universe=("XYZ",),
    screen=ScreenLimits(dte_max=60),
    risk=RiskLimits(positions_per_symbol=1),
)
LAST_BEFORE_THE_ORDER = 4
LOST = {"kind": "fail", "status": 504, "executed": True}


class Rates(FakeLake):
    """A reference lake in which nobody put rates: the flat one of the terms counts."""

    def read_reference(self, table: str) -> pd.DataFrame:
        assert table == "rates"
        return pd.DataFrame()


class DyingBook:
    """The ledger of a process that is killed right after its n-th commit."""

    def __init__(self, book: SqlLedgerBook, commits: int) -> None:
        self._book, self._left = book, commits

    @contextmanager
    def transaction(self, account_id: str) -> Iterator[ExecutionLedger]:
        with self._book.transaction(account_id) as ledger:
            yield ledger
        self._left -= 1
        if self._left == 0:
            raise Crash

    def lease(self, name: str, **terms: Any) -> AbstractContextManager[None]:
        return self._book.lease(name, **terms)


@dataclass
class Rolling:
    """A desk that holds a put spread of the near expiration, opened through the exchange."""

    stage: ExchangeStage
    market: HandMadeMarket
    book: SqlLedgerBook
    lake: ParquetLake
    now: datetime = START

    def desk(self, **changes: Any) -> ExecutionDesk:
        made = ExecutionDesk(
            account_id="main",
            book=self.book,
            broker=self.stage.broker,
            market_data=self.stage.market,
            lake=self.lake,
            run_id="run-1",
            holder="holder-1",
            sleep=lambda _: None,
            terms=ExecutionTerms(
                walk=NATURAL_AT_ONCE, lease_seconds=30.0, fee_per_contract_usd=FEE
            ),
        )
        return replace(made, **changes)

    def open(self, contracts: int) -> Trade:
        """Open for 0.90, the natural credit, all at once."""
        shown = replace(
            recommendation(contracts=contracts, created=START),
            structure=OLD,
            target_credit=Decimal("1.00"),
            floor_credit=Decimal("0.85"),
            natural_credit=Decimal("0.90"),
            underlying_price=Decimal(100),
            quotes=tuple(
                replace(quote, symbol=symbol)
                for quote, symbol in zip(recommendation().quotes, (SHORT, LONG), strict=True)
            ),
        )
        with self.book.transaction("main") as ledger:
            ledger.add_recommendation(shown, at=START)
        self.approve(shown.id)
        assert self.run(shown.id).status is ExecutionStatus.EXECUTED
        return self.trades()[0]

    def later(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self.stage.advance(self.now)

    def offer(self, trade: Trade, *, to: date | None = None, **changes: Any) -> Proposal:
        limits = replace(TERMS, **changes)
        return offer_roll(trade.id, desk=self.desk(), terms=limits, reference=Rates(), to=to)

    def offered(self, trade: Trade) -> Recommendation:
        shown = self.offer(trade).recommendation
        assert shown is not None
        return shown

    def approve(self, identifier: str) -> DecisionOutcome:
        with self.book.transaction("main") as ledger:
            return decide(
                ledger,
                recommendation_id=identifier,
                verdict=DecisionVerdict.APPROVE,
                decided_by="anna",
                door="cli",
                at=self.now,
            ).outcome

    def run(self, identifier: str, **changes: Any) -> ExecutionOutcome:
        return execute(identifier, desk=self.desk(**changes), recheck=GateRecheck(TERMS))

    def approved_roll(self, trade: Trade) -> Recommendation:
        shown = self.offered(trade)
        assert self.approve(shown.id) is DecisionOutcome.RECORDED
        return shown

    def quote(self, **sides: Quote) -> None:
        """Change what is displayed, a second later: a market shows one quote at a time."""
        names = {"short": SHORT, "long": LONG, "new_short": NEW_SHORT, "new_long": NEW_LONG}
        self.market.overrides |= {names[name]: quote for name, quote in sides.items()}
        self.later(1)

    def fault(self, *rules: dict[str, Any]) -> None:
        control = ExchangeControl(self.stage.url)
        control.set_faults(parse_faults(json.dumps({"rules": rules}), source="test"))

    def trades(self) -> tuple[Trade, ...]:
        with self.book.reading("main") as ledger:
            return ledger.trades()

    def rolls(self) -> tuple[OrderRecord, ...]:
        with self.book.reading("main") as ledger:
            return ledger.orders(purpose=OrderPurpose.ROLL)

    def status(self, shown: Recommendation) -> tuple[RecommendationStatus, str]:
        with self.book.reading("main") as ledger:
            stored = ledger.recommendation(shown.id)
        assert stored is not None
        return stored.status, stored.status_reason

    def agrees(self) -> None:
        """Broker and ledger hold the same, and every cent is a realised or an open one."""
        held = {row.symbol: row.quantity for row in self.stage.broker.positions()}
        with self.book.reading("main") as ledger:
            assert expected_positions(ledger) == held
        assert reconcile(self.desk(), thorough=True) == ()
        assert self.stage.broker.open_orders() == ()
        with self.book.reading("main") as ledger:
            earned = realised_usd(ledger) + open_value_usd(ledger)
            fees = sum((FEE * fill.quantity for fill in ledger.fills()), Decimal(0))
        moved = (earned - fees).quantize(CENT)
        assert self.stage.broker.account().cash - RICH == moved


@pytest.fixture
def rolling(tmp_path: Path) -> Iterator[Rolling]:
    market = HandMadeMarket()
    market.overrides = {
        SHORT: Quote(2.00, 2.10, 20, 20),
        LONG: Quote(1.00, 1.10, 20, 20),
        NEW_SHORT: Quote(4.00, 4.10, 20, 20),
        NEW_LONG: Quote(1.90, 2.00, 20, 20),
    }
    book = SqlLedgerBook(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    with hand_made_stage(tmp_path, market, fee=FEE) as stage:
        made = Rolling(stage, market, book, ParquetLake(tmp_path / "lake"))
        assert reconcile(made.desk()) == ()
        made.later(1)
        yield made
    book.close()


def test_open_spread_is_rolled_in_one_order_of_four_legs(rolling: Rolling) -> None:
    """1.10 pays the old spread back and 2.00 comes in for the new one: 0.90 net, in one fill."""
    trade = rolling.open(3)
    shown = rolling.approved_roll(trade)
    assert (shown.target_credit, shown.floor_credit) == (Decimal("1.10"), Decimal("0.85"))
    assert rolling.run(shown.id).status is ExecutionStatus.EXECUTED
    (order,) = rolling.rolls()
    assert order.client_order_id == f"mahler-main-{shown.id}-roll-1"
    assert (order.rolls, order.quantity, str(order.limit_price)) == (trade.id, 3, "-0.90")
    assert {leg.symbol: leg.intent.value for leg in order.legs} == {
        SHORT: "buy_to_close",
        LONG: "sell_to_close",
        NEW_SHORT: "sell_to_open",
        NEW_LONG: "buy_to_open",
    }
    old, new = rolling.trades()
    assert (old.status, old.exit_reason) == (TradeStatus.CLOSED, ExitReason.ROLLED)
    assert (old.exit_debit, old.fees_usd) == (Decimal("1.10"), 12 * FEE)
    assert old.pnl_usd == Decimal("-60.00") - 12 * FEE
    assert (new.contracts, new.entry_credit, new.fees_usd) == (3, Decimal("2.00"), 6 * FEE)
    assert new.structure.expiration == FAR
    rolling.agrees()


def test_explanation_of_either_trade_has_the_order_that_rolled_it(rolling: Rolling) -> None:
    """Asked about the roll, its order or its trade the sheet is the roll's."""
    trade = rolling.open(1)
    shown = rolling.approved_roll(trade)
    rolling.run(shown.id)
    order = rolling.rolls()[0].client_order_id
    sheets = [
        explain_subject(rolling.book, rolling.lake, account_id="main", identifier=identifier)
        for identifier in (shown.id, order, rolling.trades()[1].id)
    ]
    for told in sheets:
        assert told is not None
        assert told["recommendation"]["rolls"] == trade.id
        assert [row["client_order_id"] for row in told["orders"]] == [order]
        assert told["runs"] == {"proposed": ["run-1"], "executed": ["run-1"], "closed": []}
    with rolling.book.reading("main") as ledger:
        rows = {row["id"]: row for row in trade_rows(ledger, rolling.trades())}
    assert rows[trade.id]["exit_reason"] == "rolled"
    assert Decimal(rows[trade.id]["exit_slippage"]) == Decimal("10.00")
    assert Decimal(rows[shown.id.replace("r-", "t-", 1)]["entry_slippage"]) == Decimal("10.00")


def test_offer_is_pending_with_its_card_and_binds_the_trade_it_rolls(rolling: Rolling) -> None:
    trade = rolling.open(2)
    shown = rolling.offered(trade)
    assert rolling.status(shown)[0] is RecommendationStatus.PENDING
    assert (shown.rolls, shown.contracts, shown.scan) == (trade.id, 2, "roll")
    assert replace(shown, rolls="t-other").content_hash != shown.content_hash
    assert "Rolls 2 of" in shown.thesis
    assert "XYZ 95/90 puts of 2026-11-20 to XYZ 95/90 puts of 2026-12-18" in shown.thesis
    assert "net credit is 1.10 a share (220.00 USD for all), never less than 0.85" in shown.thesis
    with rolling.book.reading("main") as ledger:
        cards = [row for row in ledger.outbox() if row["kind"] == "recommendation_card"]
    assert [card["payload"]["rolls"] for card in cards] == [None, trade.id]


def test_only_one_roll_of_a_trade_stands_at_a_time(rolling: Rolling) -> None:
    trade = rolling.open(1)
    first = rolling.offered(trade)
    refusal = rolling.offer(trade).refusal
    assert refusal is not None
    assert (refusal.code, refusal.value) == (RollCode.ROLL_IS_WAITING, first.id)
    rolling.later(31 * 60)
    assert rolling.approve(first.id) is DecisionOutcome.EXPIRED
    assert rolling.offered(trade).id not in (first.id, trade.recommendation_id)


def test_what_a_roll_costs_is_not_offered_and_the_reason_is_kept(rolling: Rolling) -> None:
    """Buying back for 4.10 what brings 2.00 elsewhere is a debit of 1.10: no roll."""
    trade = rolling.open(1)
    rolling.quote(short=Quote(4.90, 5.10, 20, 20))
    for strike in (100, 105, 110):
        rolling.market.overrides[put(strike)] = Quote(0.10, 0.20, 20, 20)
    refusal = rolling.offer(trade).refusal
    assert refusal is not None
    assert refusal.code is ProposalCode.CREDIT_BELOW_ONE_TICK
    with rolling.book.reading("main") as ledger:
        kinds = [event.kind for event in ledger.audit_events(subject=trade.id)]
        assert "roll_refused" in kinds
        assert len(ledger.recommendations()) == 1


def test_expiration_is_the_next_of_the_window_or_the_one_asked_for(rolling: Rolling) -> None:
    trade = rolling.open(1)
    refusal = rolling.offer(trade, screen=ScreenLimits(dte_max=45)).refusal
    assert refusal is not None
    assert refusal.code is RollCode.NO_LATER_EXPIRATION
    with pytest.raises(BadInput, match="not later than 2026-11-20"):
        rolling.offer(trade, to=NEAR)
    found = rolling.offer(trade, to=FAR, screen=ScreenLimits(dte_max=45)).recommendation
    assert found is not None
    assert found.structure.expiration == FAR


def test_gates_see_the_account_without_the_risk_that_is_rolled(rolling: Rolling) -> None:
    """One position a symbol: the roll passes, and while it works both of its halves count."""
    trade = rolling.open(3)
    rolling.quote(new_short=Quote(4.00, 4.10, 0, 0))
    shown = rolling.approved_roll(trade)
    assert rolling.run(shown.id).status is ExecutionStatus.WORKING
    with rolling.book.reading("main") as ledger:
        exposure = current_exposure(ledger)
        view = account_view(ledger, rolling.stage.broker.account(), at=rolling.now)
    assert [item.working for item in exposure.items] == [False, True]
    assert exposure.heat_usd == 3 * Decimal(410) + shown.max_loss_usd
    assert view.entries_today == 2
    assert shown.max_loss_usd == 3 * (Decimal(500) - Decimal(190))
    rolling.quote(new_short=Quote(4.00, 4.10, 20, 20))
    rolling.later(60)
    settle_working_orders(rolling.desk())
    with rolling.book.reading("main") as ledger:
        assert current_exposure(ledger).heat_usd == 3 * Decimal(300)
    rolling.agrees()


def test_filled_part_rolls_and_the_rest_stays_open(rolling: Rolling) -> None:
    """1 of 3: the new trade has 1, the old one 2, which then close by themselves."""
    trade = rolling.open(3)
    shown = rolling.approved_roll(trade)
    rolling.quote(new_short=Quote(4.00, 4.10, 1, 1))
    rolling.run(shown.id)
    rolling.quote(new_short=Quote(4.00, 4.10, 0, 0))
    with rolling.book.reading("main") as ledger:
        held = expected_positions(ledger)
    assert held == {SHORT: -2, LONG: 2, NEW_SHORT: -1, NEW_LONG: 1}
    rolling.later(31 * 60)
    settle_working_orders(rolling.desk())
    assert rolling.status(shown) == (
        RecommendationStatus.EXECUTED,
        "filled 1 of 3, the rest not_filled",
    )
    old, new = rolling.trades()
    assert (old.status, old.exit_reason, new.contracts) == (TradeStatus.OPEN, None, 1)
    rolling.agrees()
    rolling.quote(short=Quote(2.20, 2.30, 20, 20))
    assert close_trade(trade.id, ExitReason.MANUAL, desk=rolling.desk()).status is (
        CloseStatus.CLOSED
    )
    old, new = rolling.trades()
    assert (old.exit_reason, old.fees_usd) == (ExitReason.MANUAL, 12 * FEE)
    # Sold for 0.90; one unit bought back at 1.10 by the roll, two at 1.30 by the close.
    assert old.pnl_usd == Decimal("270.00") - Decimal("110.00") - Decimal("260.00") - 12 * FEE
    rolling.agrees()


@pytest.mark.parametrize("commits", range(1, 8))
def test_roll_that_is_killed_anywhere_is_done_once(rolling: Rolling, commits: int) -> None:
    """After each commit on the way: one order and one new trade, or a recorded reason for none.

    Killed between the fourth, which says that the order leaves, and the order itself, the roll ends
    once the broker has not had it for two minutes.
    """
    trade = rolling.open(3)
    shown = rolling.approved_roll(trade)
    try:
        rolling.run(shown.id, book=DyingBook(rolling.book, commits))
    except Crash:
        rolling.later(40)
    for _ in range(3):
        settle_working_orders(rolling.desk())
        if rolling.status(shown)[0] in (
            RecommendationStatus.APPROVED,
            RecommendationStatus.EXECUTING,
        ):
            rolling.run(shown.id)
        rolling.later(150)
    if commits == LAST_BEFORE_THE_ORDER:
        assert rolling.status(shown) == (RecommendationStatus.FAILED, "not_at_broker")
        assert [one.status for one in rolling.trades()] == [TradeStatus.OPEN]
        rolling.agrees()
        return
    assert rolling.status(shown)[0] is RecommendationStatus.EXECUTED
    assert [order.filled_quantity for order in rolling.rolls() if not order.never_left] == [3]
    old, new = rolling.trades()
    assert (old.exit_reason, new.contracts) == (ExitReason.ROLLED, 3)
    rolling.agrees()


def test_lost_answer_is_asked_after_and_never_sent_again(rolling: Rolling) -> None:
    trade = rolling.open(3)
    shown = rolling.approved_roll(trade)
    rolling.fault({"method": "POST", "nth": 1, "fault": LOST})
    assert rolling.run(shown.id).status is ExecutionStatus.EXECUTED
    assert len(rolling.rolls()) == 1
    rolling.agrees()


def test_refusal_of_the_exchange_ends_the_roll_and_leaves_the_trade(rolling: Rolling) -> None:
    trade = rolling.open(3)
    shown = rolling.approved_roll(trade)
    refused = {"kind": "refuse", "status": 403, "code": 40310000, "message": "no spreads today"}
    rolling.fault({"method": "POST", "nth": 1, "fault": refused})
    assert rolling.run(shown.id).status is ExecutionStatus.FAILED
    assert "no spreads today" in rolling.status(shown)[1]
    assert [one.status for one in rolling.trades()] == [TradeStatus.OPEN]
    rolling.agrees()


def test_market_that_left_the_band_lapses_the_roll(rolling: Rolling) -> None:
    """The old spread is dearer: the net at natural is 0.70, and 0.85 was approved."""
    trade = rolling.open(3)
    shown = rolling.approved_roll(trade)
    rolling.quote(short=Quote(2.20, 2.30, 20, 20))
    assert rolling.run(shown.id).status is ExecutionStatus.LAPSED
    assert rolling.status(shown)[1] == "credit_below_floor"
    assert rolling.rolls() == ()
    assert [one.status for one in rolling.trades()] == [TradeStatus.OPEN]
    assert rolling.offered(trade).floor_credit == Decimal("0.66")


def test_second_answer_and_second_run_roll_nothing_more(rolling: Rolling) -> None:
    trade = rolling.open(1)
    shown = rolling.approved_roll(trade)
    assert rolling.approve(shown.id) is DecisionOutcome.ALREADY_DECIDED

    def run(number: int) -> str:
        try:
            return rolling.run(shown.id, holder=f"holder-{number}").status
        except LeaseHeld:
            return "held"

    with ThreadPoolExecutor(4) as pool:
        results = set(pool.map(run, range(4)))
    assert results <= {ExecutionStatus.EXECUTED, "held"}
    assert len(rolling.rolls()) == 1
    rolling.agrees()


@pytest.mark.parametrize("state", [TradingState.HALTED, TradingState.REDUCING])
def test_roll_opens_risk_and_needs_an_active_desk(rolling: Rolling, state: TradingState) -> None:
    trade = rolling.open(1)
    shown = rolling.approved_roll(trade)
    with rolling.book.transaction("main") as ledger:
        ledger.set_trading_state(state, reason="test", by="anna", at=rolling.now)
    assert rolling.run(shown.id).status is ExecutionStatus.LAPSED
    assert rolling.status(shown)[1] == ExecutionRefusal.TRADING_STATE_FORBIDS
    refusal = rolling.offer(trade).refusal
    assert refusal is not None
    assert (refusal.code, refusal.value) == (ProposalCode.GATES_FAILED, "trading_state")


def test_close_ends_a_working_roll_first(rolling: Rolling) -> None:
    """One unit rolled already: the cancel is confirmed, that unit booked, the other two closed."""
    trade = rolling.open(3)
    shown = rolling.approved_roll(trade)
    rolling.quote(new_short=Quote(4.00, 4.10, 1, 1))
    rolling.run(shown.id)
    outcome = close_trade(trade.id, ExitReason.STOP_LOSS, desk=rolling.desk())
    assert outcome.status is CloseStatus.CLOSED
    assert [order.cancel_reason for order in rolling.rolls()] == ["trade_is_closed"]
    old, new = rolling.trades()
    assert (old.exit_reason, new.contracts) == (ExitReason.STOP_LOSS, 1)
    rolling.agrees()


def test_close_waits_for_the_end_of_a_roll_that_it_cannot_confirm(rolling: Rolling) -> None:
    trade = rolling.open(3)
    rolling.quote(new_short=Quote(4.00, 4.10, 0, 0))
    rolling.run(rolling.approved_roll(trade).id)
    rolling.fault({"method": "DELETE", "fault": {"kind": "fail", "status": 504}})
    outcome = close_trade(trade.id, ExitReason.STOP_LOSS, desk=rolling.desk())
    assert outcome.status is CloseStatus.WORKING
    assert len(rolling.stage.broker.open_orders()) == 1
    rolling.fault()
    again = close_trade(trade.id, ExitReason.STOP_LOSS, desk=rolling.desk())
    assert again.status is CloseStatus.CLOSED
    rolling.agrees()


def test_trade_that_is_being_closed_is_not_rolled(rolling: Rolling) -> None:
    trade = rolling.open(3)
    shown = rolling.approved_roll(trade)
    rolling.quote(short=Quote(2.00, 2.10, 0, 0))
    close_trade(trade.id, ExitReason.PROFIT_TARGET, desk=rolling.desk())
    rolling.quote(short=Quote(2.00, 2.10, 20, 20))
    assert rolling.run(shown.id).status is ExecutionStatus.LAPSED
    assert rolling.status(shown)[1] == ExecutionRefusal.ROLLED_TRADE_CHANGED
    refusal = rolling.offer(trade).refusal
    assert refusal is not None
    assert refusal.code is RollCode.TRADE_NOT_OPEN


def test_look_closes_at_the_stop_what_a_roll_is_working_on(rolling: Rolling) -> None:
    trade = rolling.open(3)
    rolling.quote(new_short=Quote(4.00, 4.10, 0, 0))
    rolling.run(rolling.approved_roll(trade).id)
    rolling.quote(short=Quote(4.40, 4.50, 20, 20))
    report = watch(rolling.desk(), exits=ExitTerms())
    assert [one.exit_reason for one in report.exits] == [ExitReason.STOP_LOSS]
    (old,) = rolling.trades()
    assert (old.status, old.exit_reason) == (TradeStatus.CLOSED, ExitReason.STOP_LOSS)
    rolling.agrees()


def test_units_of_two_attempts_are_one_new_trade(rolling: Rolling) -> None:
    """One at 0.90, two at 0.95 net: gates are asked again in between, for the two alone."""
    trade = rolling.open(3)
    shown = rolling.approved_roll(trade)
    walking = ExecutionTerms(
        walk=WalkTerms(start_fraction=Decimal(1)), lease_seconds=30.0, fee_per_contract_usd=FEE
    )
    rolling.quote(new_short=Quote(4.00, 4.10, 1, 1))
    assert rolling.run(shown.id, terms=walking).status is ExecutionStatus.WORKING
    rolling.quote(new_short=Quote(4.05, 4.15, 20, 20))
    rolling.later(30)
    assert rolling.run(shown.id, terms=walking).status is ExecutionStatus.EXECUTED
    assert sum(order.filled_quantity for order in rolling.rolls()) == 3
    old, new = rolling.trades()
    assert (old.exit_reason, old.exit_debit) == (ExitReason.ROLLED, Decimal("1.10"))
    assert (new.contracts, new.fees_usd) == (3, 6 * FEE)
    assert new.entry_credit * 3 == pytest.approx(Decimal("6.10"))
    rolling.agrees()


def test_closed_market_makes_no_offer(rolling: Rolling) -> None:
    trade = rolling.open(1)
    rolling.later(7 * 3600)
    refusal = rolling.offer(trade).refusal
    assert refusal is not None
    assert refusal.code is RollCode.MARKET_CLOSED


def test_limit_of_a_roll_walks_within_the_net_band(rolling: Rolling) -> None:
    """From half way between the net mid 1.10 and the natural 0.90, never below 0.85."""
    trade = rolling.open(3)
    shown = rolling.approved_roll(trade)
    walking = ExecutionTerms(walk=WalkTerms(start_fraction=Decimal("0.5")), lease_seconds=30.0)
    statuses = [rolling.run(shown.id, terms=walking).status]
    while statuses[-1] is ExecutionStatus.WORKING:
        rolling.later(30)
        statuses.append(rolling.run(shown.id, terms=walking).status)
    assert statuses[-1] is ExecutionStatus.EXECUTED
    limits = [-order.limit_price for order in rolling.rolls() if order.limit_price is not None]
    assert limits[0] == Decimal("1.00")
    assert limits == sorted(limits, reverse=True)
    assert Decimal("0.85") <= limits[-1] <= Decimal("0.90")
    rolling.agrees()
