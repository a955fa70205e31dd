"""Reconciliation against the real exchange over HTTP: assigned early, closed by hand, orphaned."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

from mahler_pipelines.decisions.recommendation import (
    Decision,
    DecisionVerdict,
    RecommendationStatus,
)
from mahler_pipelines.execution.broker import OrderLeg, OrderRequest, PositionIntent
from mahler_pipelines.execution.broker_books import FindingKind, FindingStatus
from mahler_pipelines.execution.desk import ExecutionDesk
from mahler_pipelines.execution.invariants import open_value_usd, realised_usd
from mahler_pipelines.execution.reconciliation import reconcile, settle_working_orders
from mahler_pipelines.execution.repairs import repair
from mahler_pipelines.execution.submission import ExecutionStatus, execute
from mahler_pipelines.execution.trades import ExitReason, Trade, TradeStatus
from mahler_pipelines.market.sessions import NEW_YORK
from mahler_pipelines.options.contracts import parse_occ
from mahler_pipelines.options.structures import Leg, Side, Structure
from tests.adapters.stages import MORNING, RICH, ExchangeStage, exchange_stage
from tests.exchange.fakes import HandMadeMarket, Quote, call
from tests.execution.fakes import FakeBook, FakeLake
from tests.execution.scenes import accept, recommendation

SHORT, LONG = call(95), call(105)
CONTRACTS = 7
SPREAD = Structure(
    "bear_call_spread",
    (Leg(parse_occ(SHORT), Side.SELL), Leg(parse_occ(LONG), Side.BUY)),
)


@contextmanager
def traded(tmp_path: Path, market: HandMadeMarket) -> Iterator[tuple[ExchangeStage, ExecutionDesk]]:
    """A desk at the exchange that has opened seven spreads."""
    market.overrides |= {SHORT: Quote(5.00, 5.04), LONG: Quote(0.30, 0.40)}
    with exchange_stage(
        market, tmp_path, start_at=MORNING, underlying="XYZ", spread=(SHORT, LONG)
    ) as stage:
        desk = ExecutionDesk(
            account_id="main",
            book=FakeBook(),
            broker=stage.broker,
            market_data=stage.market,
            lake=FakeLake(),
            run_id="run-1",
            holder="holder-1",
            sleep=lambda _: None,
        )
        assert reconcile(desk) == ()
        # What is done at the very moment of the first look is not told from what was before.
        stage.advance(MORNING.replace(minute=1))
        _open(desk)
        yield stage, desk


def _open(desk: ExecutionDesk) -> None:
    now = desk.broker.clock().now
    shown = replace(
        recommendation(contracts=CONTRACTS, created=now),
        structure=SPREAD,
        floor_credit=Decimal("4.00"),
        target_credit=Decimal("4.60"),
    )
    with desk.transaction() as ledger:
        ledger.add_recommendation(shown, at=now)
        ledger.add_decision(
            Decision(shown.id, DecisionVerdict.APPROVE, "anna", "cli", now, shown.content_hash)
        )
        ledger.move_recommendation(
            shown.id,
            expected=RecommendationStatus.PENDING,
            to=RecommendationStatus.APPROVED,
            at=now,
        )
    outcome = execute(shown.id, desk=desk, recheck=accept)
    assert outcome.status is ExecutionStatus.EXECUTED, outcome


def trade_of(desk: ExecutionDesk) -> Trade:
    with desk.transaction() as ledger:
        (trade,) = ledger.trades()
    return trade


def assert_money_adds_up(stage: ExchangeStage, desk: ExecutionDesk, *, besides: Decimal) -> None:
    with desk.transaction() as ledger:
        total = realised_usd(ledger) + open_value_usd(ledger)
    assert stage.broker.account().cash - RICH - besides == total


def at(day: int, hour: int) -> datetime:
    return datetime(2026, 11, day, hour, 0, tzinfo=NEW_YORK)


def test_an_early_assignment_from_the_missing_leg_to_the_swept_shares(tmp_path: Path) -> None:
    dividend = Decimal("1.00")
    market = HandMadeMarket(paid={"XYZ": ((date(2026, 11, 3), dividend),)})
    with traded(tmp_path, market) as (stage, desk):
        stage.advance(at(2, 20))
        found = {row.subject: row.kind for row in reconcile(desk)}
        assert found.get("XYZ") is FindingKind.UNKNOWN_POSITION
        assert found[SHORT] in (FindingKind.MISSING_LEG, FindingKind.QUANTITY_DIFFERS)
        assert trade_of(desk).status is TradeStatus.OPEN, "the cause is not told before tomorrow"
        held = {row.symbol: row.quantity for row in stage.broker.positions()}
        assigned = CONTRACTS + held.get(SHORT, 0)
        assert held["XYZ"] == -100 * assigned
        stage.advance(at(3, 10))
        reconcile(desk)
        with desk.transaction() as ledger:
            causes = {row.subject: (row.kind, row.status) for row in ledger.findings()}
            lots = {lot.symbol: (lot.quantity, lot.average_price) for lot in ledger.holdings()}
            (swept,) = {row.id for row in ledger.findings() if row.subject == SHORT}
        assert causes[SHORT] == (FindingKind.ASSIGNED, FindingStatus.REPAIRED)
        assert causes["XYZ"] == (FindingKind.ASSIGNED, FindingStatus.REPAIRED)
        assert lots == {
            "XYZ": (-100 * assigned, Decimal("100.00")),
            LONG: (assigned, Decimal("0.40")),
        }, "called away at 95 with the 5.00 of the premium"
        for day in (3, 4):
            # Five hundred shares are on display: the rest is another order of the next day.
            stage.advance(at(day, 11))
            settle_working_orders(desk)
            repair(desk, swept, by="anna")
        assert "XYZ" not in {row.symbol for row in stage.broker.positions()}
        stage.advance(at(5, 10))
        assert reconcile(desk, thorough=True) == ()
        assert_money_adds_up(stage, desk, besides=-dividend * 100 * assigned)


def test_a_leg_closed_by_another_hand_ends_the_trade_and_leaves_the_other(tmp_path: Path) -> None:
    with traded(tmp_path, HandMadeMarket()) as (stage, desk):
        by_hand = OrderLeg(SHORT, Side.BUY, 1, PositionIntent.BUY_TO_CLOSE)
        stage.broker.submit(OrderRequest("by-hand", (by_hand,), CONTRACTS, Decimal("5.04")))
        assert reconcile(desk, thorough=True) == ()
        trade = trade_of(desk)
        assert (trade.status, trade.exit_reason) == (TradeStatus.CLOSED, ExitReason.LIQUIDATED)
        assert trade.exit_legs[0].price == Decimal("5.04")
        with desk.transaction() as ledger:
            (lot,) = ledger.holdings()
            (row,) = ledger.findings()
        assert (lot.symbol, lot.quantity, lot.average_price) == (LONG, 7, Decimal("0.40"))
        assert row.kind is FindingKind.LIQUIDATED
        assert_money_adds_up(stage, desk, besides=Decimal(0))


def test_an_order_that_the_desk_does_not_know_is_cancelled_on_request(tmp_path: Path) -> None:
    with traded(tmp_path, HandMadeMarket()) as (stage, desk):
        stage.broker.submit(replace(stage.resting("a-stranger"), limit_price=Decimal("-9.00")))
        (found,) = reconcile(desk)
        assert (found.kind, found.subject) == (FindingKind.ORPHANED_ORDER, "a-stranger")
        with desk.transaction() as ledger:
            (row,) = ledger.findings()
        assert repair(desk, row.id, by="anna").done
        assert stage.broker.open_orders() == ()
        assert reconcile(desk, thorough=True) == ()
