"""A trade's whole life on the real ledger: what the in-memory one can't show is here."""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from mahler_pipelines.decisions.recommendation import (
    Decision,
    DecisionVerdict,
    RecommendationStatus,
)
from mahler_pipelines.errors import BrokerOutcomeUnknown
from mahler_pipelines.execution.broker import OrderStatus
from mahler_pipelines.execution.desk import ExecutionDesk
from mahler_pipelines.execution.monitoring import watch
from mahler_pipelines.execution.reconciliation import reconcile
from mahler_pipelines.execution.submission import ExecutionStatus, execute
from mahler_pipelines.execution.trades import ExitReason, TradeStatus
from mahler_pipelines.risk.exit_terms import ExitTerms
from mahler_pipelines.storage.ledger import SqlLedgerBook
from tests.execution.fakes import activity
from tests.execution.scenes import (
    EXPIRATION,
    LONG,
    NOW,
    SHORT,
    Scene,
    accept,
    approved_scene,
    recommendation,
)
from tests.execution.test_expiry import AFTER_CLOSE

TRADE = "t-260112-mo-abcdef12"


@pytest.fixture
def book(tmp_path: Path) -> Iterator[SqlLedgerBook]:
    made = SqlLedgerBook(f"sqlite:///{tmp_path / 'ledger.db'}")
    made.upgrade()
    shown = recommendation()
    with made.transaction("main") as ledger:
        ledger.add_recommendation(shown, at=NOW)
        ledger.move_recommendation(
            shown.id,
            expected=RecommendationStatus.PENDING,
            to=RecommendationStatus.APPROVED,
            at=NOW,
        )
        ledger.add_decision(
            Decision(shown.id, DecisionVerdict.APPROVE, "anna", "cli", NOW, shown.content_hash)
        )
    yield made
    made.close()


def desk_of(scene: Scene, book: SqlLedgerBook) -> ExecutionDesk:
    return replace(scene.desk, book=book)


def test_life_from_unknown_outcome_over_a_partial_close_to_expiry(book: SqlLedgerBook) -> None:
    scene = approved_scene()
    desk = desk_of(scene, book)
    scene.broker.lose_answer = BrokerOutcomeUnknown("timed out")
    scene.broker.hidden_for = 1
    for _ in range(2):
        outcome = execute(recommendation().id, desk=desk, recheck=accept)
        assert outcome.status is ExecutionStatus.EXECUTED
    assert len(scene.broker.submitted) == 1
    assert reconcile(desk) == ()
    scene.later(minutes=5)
    scene.quote((1.00, 1.04), (0.56, 0.60))
    scene.fill_at("1.04", "0.56")
    scene.broker.fill_units = 1
    watch(desk, exits=ExitTerms())
    assert reconcile(desk) == ()
    scene.broker.end(f"mahler-main-{TRADE}-close-1", OrderStatus.EXPIRED)
    scene.at(AFTER_CLOSE)
    scene.broker.is_open = False
    scene.broker.held.clear()
    scene.broker.history = [
        activity(SHORT.symbol, kind="OPEXP", day=EXPIRATION, quantity=2),
        activity(LONG.symbol, kind="OPEXP", day=EXPIRATION, quantity=-2),
    ]
    report = watch(desk, exits=ExitTerms())
    assert [row.reason for row in report.expired] == [ExitReason.EXPIRED]
    with book.reading("main") as ledger:
        trade = ledger.trade(TRADE)
        fills = ledger.fills()
        kinds = {str(message["kind"]) for message in ledger.outbox()}
    assert trade is not None
    assert (trade.status, trade.pnl_usd) == (TradeStatus.CLOSED, Decimal("297.00"))
    assert scene.broker.cash - 100_000 == trade.pnl_usd
    assert len(fills) == 4
    assert {"trade_opened", "trade_closed"} <= kinds


def test_refused_conditions_leave_their_trace(book: SqlLedgerBook) -> None:
    scene = approved_scene()
    scene.broker.is_open = False
    outcome = execute(recommendation().id, desk=desk_of(scene, book), recheck=accept)
    assert outcome.status is ExecutionStatus.LAPSED
    with book.reading("main") as ledger:
        events = ledger.audit_events(subject=recommendation().id)
    assert events[-1].kind == "execution_refused"
    assert "market_closed" in str(events[-1].detail)


def test_dry_run_is_recorded(book: SqlLedgerBook) -> None:
    scene = approved_scene()
    desk = replace(desk_of(scene, book), dry_run=True)
    outcome = execute(recommendation().id, desk=desk, recheck=accept)
    assert outcome.status is ExecutionStatus.DRY_RUN
    assert outcome.order is not None
    assert outcome.order.status is OrderStatus.CANCELLED
