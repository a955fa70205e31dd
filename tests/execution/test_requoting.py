"""An approval lapses as the market moves, and the trade is offered anew: on the real ledger."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mahler_pipelines.decisions.approvals import DecisionOutcome, decide
from mahler_pipelines.decisions.recommendation import DecisionVerdict, RecommendationStatus
from mahler_pipelines.decisions.terms import ApprovalTerms
from mahler_pipelines.execution.account_view import GateRecheck
from mahler_pipelines.execution.recommending import Requoting
from mahler_pipelines.execution.submission import ExecutionOutcome, ExecutionStatus, execute
from mahler_pipelines.risk.limits import RiskLimits
from mahler_pipelines.risk.trading_state import TradingState
from mahler_pipelines.storage.ledger import SqlLedgerBook
from tests.execution.fakes import Crash, FakeLake
from tests.execution.scenes import NOW, Scene, approved_scene, recommendation
from tests.execution.test_account_view import terms

SHOWN = recommendation()
OFFER = f"{SHOWN.id}-q1"


class Rates(FakeLake):
    """A reference lake in which nobody put rates: the flat one of the terms counts."""

    def read_reference(self, table: str) -> pd.DataFrame:
        assert table == "rates"
        return pd.DataFrame()


@pytest.fixture
def book(tmp_path: Path) -> Iterator[SqlLedgerBook]:
    made = SqlLedgerBook(f"sqlite:///{tmp_path / 'ledger.db'}")
    made.upgrade()
    with made.transaction("main") as ledger:
        ledger.add_recommendation(SHOWN, at=NOW)
    yield made
    made.close()


def yes(book: SqlLedgerBook, identifier: str, *, minutes: float = 1) -> DecisionOutcome:
    with book.transaction("main") as ledger:
        return decide(
            ledger,
            recommendation_id=identifier,
            verdict=DecisionVerdict.APPROVE,
            decided_by="anna",
            door="cli",
            at=NOW + timedelta(minutes=minutes),
        ).outcome


def moved_scene() -> Scene:
    """The short put is bid 4.30: the natural credit of 1.35 is above the band that was shown."""
    scene = approved_scene()
    scene.quote((4.30, 4.40), (2.90, 2.95), spot=598.0)
    return scene


def run(
    book: SqlLedgerBook,
    scene: Scene,
    identifier: str = SHOWN.id,
    *,
    approval: ApprovalTerms | None = None,
    risk: RiskLimits | None = None,
    lake: FakeLake | None = None,
) -> ExecutionOutcome:
    found = terms(approval=approval or ApprovalTerms(), risk=risk or RiskLimits())
    return execute(
        identifier,
        desk=replace(scene.desk, book=book),
        recheck=GateRecheck(found),
        offer=Requoting(found, lake or Rates(), "run-7"),
    )


def messages(book: SqlLedgerBook, kind: str) -> dict[str, dict[str, Any]]:
    with book.reading("main") as ledger:
        found = [row for row in ledger.outbox() if row["kind"] == kind]
    return {row["subject"]: row["payload"] for row in found}


def test_a_moved_market_lapses_the_approval_and_offers_the_trade_anew(book: SqlLedgerBook) -> None:
    assert yes(book, SHOWN.id) is DecisionOutcome.RECORDED
    outcome = run(book, moved_scene())
    assert (outcome.status, outcome.reason) == (ExecutionStatus.LAPSED, "credit_above_band")
    with book.reading("main") as ledger:
        lapsed, offer = ledger.recommendation(SHOWN.id), ledger.recommendation(OFFER)
        events = {e.kind: e.detail for e in ledger.audit_events(subject=SHOWN.id)}
    assert lapsed is not None
    assert offer is not None
    assert offer.status is RecommendationStatus.PENDING
    assert offer.decision is None
    made = offer.recommendation
    assert (made.requotes, made.structure, made.thesis) == (SHOWN.id, SHOWN.structure, SHOWN.thesis)
    assert (made.natural_credit, made.underlying_price) == (Decimal("1.35"), Decimal("598.00"))
    assert made.content_hash != SHOWN.content_hash
    assert (made.run_id, made.snapshot_hash) == ("run-7", outcome.snapshot_hash)
    assert all(gate["passed"] == "true" for gate in made.gates)
    assert messages(book, "not_executed")[SHOWN.id]["offered"] == OFFER
    card = messages(book, "recommendation_card")[OFFER]
    assert (card["requotes"], card["content_hash"]) == (SHOWN.id, made.content_hash)
    assert events["execution_refused"]["offered"] == OFFER


def test_the_offer_waits_for_a_person_and_then_is_sent_at_its_own_band(book: SqlLedgerBook) -> None:
    yes(book, SHOWN.id)
    scene = moved_scene()
    run(book, scene)
    assert book.pending_executions("main") == ()
    assert run(book, scene, OFFER).status is ExecutionStatus.NOT_APPROVED
    assert scene.broker.submitted == []
    assert yes(book, OFFER, minutes=3) is DecisionOutcome.RECORDED
    assert book.pending_executions("main") == (OFFER,)
    scene.fill_at("4.30", "2.95")
    assert run(book, scene, OFFER).status is ExecutionStatus.EXECUTED
    (sent,) = scene.broker.submitted
    assert sent.client_order_id.startswith(f"mahler-main-{OFFER}-open")
    with book.reading("main") as ledger:
        (trade,) = ledger.trades()
    assert (trade.recommendation_id, trade.entry_credit) == (OFFER, Decimal("1.35"))


def test_a_second_lapse_in_the_chain_offers_nothing_more(book: SqlLedgerBook) -> None:
    yes(book, SHOWN.id)
    scene = moved_scene()
    run(book, scene)
    yes(book, OFFER, minutes=3)
    scene.quote((4.60, 4.70), (2.90, 2.95), spot=596.0)
    assert run(book, scene, OFFER).status is ExecutionStatus.LAPSED
    with book.reading("main") as ledger:
        assert len(ledger.recommendations()) == 2
        events = ledger.audit_events(subject=OFFER)
    (kept,) = [event.detail for event in events if event.kind == "requote_refused"]
    assert "requoted_often_enough" in kept["refusal"]
    assert messages(book, "not_executed")[OFFER]["offered"] is None


def test_no_offer_where_more_than_the_market_stands_against_it(book: SqlLedgerBook) -> None:
    """Halted, or too late: another question would meet the same answer."""
    yes(book, SHOWN.id)
    with book.transaction("main") as ledger:
        ledger.set_trading_state(TradingState.HALTED, reason="storm", by="anna", at=NOW)
    assert run(book, moved_scene()).status is ExecutionStatus.LAPSED
    with book.reading("main") as ledger:
        assert len(ledger.recommendations()) == 1


def test_a_gate_that_fails_beside_the_market_keeps_the_offer_back(book: SqlLedgerBook) -> None:
    yes(book, SHOWN.id)
    scene = moved_scene()
    scene.broker.cash = Decimal(100)
    outcome = run(book, scene)
    assert {"credit_above_band", "gate_failed"} <= {row.code for row in outcome.refusals}
    with book.reading("main") as ledger:
        assert len(ledger.recommendations()) == 1


def test_what_is_too_large_for_the_account_now_is_kept_as_refused(book: SqlLedgerBook) -> None:
    yes(book, SHOWN.id)
    run(book, moved_scene(), risk=RiskLimits(risk_per_trade=Decimal("0.001")))
    with book.reading("main") as ledger:
        assert len(ledger.recommendations()) == 1
        events = ledger.audit_events(subject=SHOWN.id)
    (kept,) = [event.detail for event in events if event.kind == "requote_refused"]
    assert "size_below_one_contract" in kept["refusal"]


def test_a_crash_leaves_lapse_and_offer_or_neither(book: SqlLedgerBook) -> None:
    """One transaction: killed before it commits, the next run does both."""

    class Dies(Rates):
        def read_reference(self, table: str) -> pd.DataFrame:
            raise Crash(table)

    yes(book, SHOWN.id)
    with pytest.raises(Crash):
        run(book, moved_scene(), lake=Dies())
    with book.reading("main") as ledger:
        (only,) = ledger.recommendations()
    assert only.status is RecommendationStatus.APPROVED
    run(book, moved_scene())
    with book.reading("main") as ledger:
        assert [row.status for row in ledger.recommendations()] == [
            RecommendationStatus.LAPSED,
            RecommendationStatus.PENDING,
        ]


def test_no_offers_by_setting(book: SqlLedgerBook) -> None:
    yes(book, SHOWN.id)
    run(book, moved_scene(), approval=ApprovalTerms(requotes=0))
    with book.reading("main") as ledger:
        assert len(ledger.recommendations()) == 1


def test_an_answer_to_what_lapsed_is_pointed_to_the_offer(book: SqlLedgerBook) -> None:
    yes(book, SHOWN.id)
    run(book, moved_scene())
    with book.transaction("main") as ledger:
        again = decide(
            ledger,
            recommendation_id=SHOWN.id,
            verdict=DecisionVerdict.APPROVE,
            decided_by="ben",
            door="discord",
            at=NOW + timedelta(minutes=5),
        )
    assert f"now lapsed (credit_above_band), offered anew as {OFFER}" in again.message
