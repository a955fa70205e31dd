"""The ledger's contract, held by SQLite and by a real PostgreSQL."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from mahler_pipelines.decisions.playbook import RuleStatus
from mahler_pipelines.decisions.recommendation import (
    TRANSITIONS,
    DecisionVerdict,
    RecommendationStatus,
)
from mahler_pipelines.decisions.thesis import ModelCall
from mahler_pipelines.errors import (
    BadInput,
    CorruptData,
    IllegalTransition,
    LeaseHeld,
    LedgerBusy,
    LedgerError,
    MissingData,
)
from mahler_pipelines.execution.broker import OrderStatus
from mahler_pipelines.execution.ledger import NEVER_SENT, OrderPurpose
from mahler_pipelines.execution.trades import ExitReason, TradeStatus
from mahler_pipelines.risk.trading_state import TradingState
from mahler_pipelines.storage.ledger import SqlLedger, SqlLedgerBook
from mahler_pipelines.storage.ledger_decisions import card_key
from tests.storage import samples
from tests.storage.samples import NOW, SESSION, later

PATHS: dict[RecommendationStatus, list[RecommendationStatus]] = {
    RecommendationStatus.PENDING: [],
    RecommendationStatus.APPROVED: [RecommendationStatus.APPROVED],
    RecommendationStatus.REJECTED: [RecommendationStatus.REJECTED],
    RecommendationStatus.EXPIRED: [RecommendationStatus.EXPIRED],
    RecommendationStatus.EXECUTING: [
        RecommendationStatus.APPROVED,
        RecommendationStatus.EXECUTING,
    ],
    RecommendationStatus.EXECUTED: [
        RecommendationStatus.APPROVED,
        RecommendationStatus.EXECUTING,
        RecommendationStatus.EXECUTED,
    ],
    RecommendationStatus.LAPSED: [RecommendationStatus.APPROVED, RecommendationStatus.LAPSED],
    RecommendationStatus.FAILED: [
        RecommendationStatus.APPROVED,
        RecommendationStatus.EXECUTING,
        RecommendationStatus.FAILED,
    ],
}


def lead_to(ledger: SqlLedger, identifier: str, status: RecommendationStatus) -> None:
    """Walk a new recommendation to a state by legal steps."""
    ledger.add_recommendation(samples.recommendation(identifier), at=NOW)
    found = RecommendationStatus.PENDING
    for step in PATHS[status]:
        assert ledger.move_recommendation(identifier, expected=found, to=step, at=later(1))
        found = step


def status_of(ledger: SqlLedger, identifier: str) -> RecommendationStatus:
    stored = ledger.recommendation(identifier)
    assert stored is not None
    return stored.status


# Recommendations and decisions


def test_recommendation_comes_back_equal_with_the_same_content_hash(book: SqlLedgerBook) -> None:
    """The hash covers the expiry's text with its UTC offset and every shown digit."""
    shown = samples.recommendation()
    with book.transaction("main") as ledger:
        assert ledger.add_recommendation(shown, at=NOW)
    with book.reading("main") as ledger:
        stored = ledger.recommendation("r-1")
    assert stored is not None
    assert stored.recommendation == shown
    assert stored.recommendation.content_hash == shown.content_hash
    assert stored.recommendation.expires_at.isoformat() == shown.expires_at.isoformat()
    assert (stored.status, stored.status_reason, stored.decision) == (
        RecommendationStatus.PENDING,
        "",
        None,
    )


def test_adding_a_recommendation_twice_changes_nothing(book: SqlLedgerBook) -> None:
    with book.transaction("main") as ledger:
        assert ledger.add_recommendation(samples.recommendation(), at=NOW)
        assert not ledger.add_recommendation(samples.recommendation(contracts=9), at=later(1))
        stored = ledger.recommendation("r-1")
        assert stored is not None
        assert stored.recommendation.contracts == 2
        assert len(ledger.outbox()) == 1


def test_a_recommendation_puts_its_card_in_the_outbox_once(book: SqlLedgerBook) -> None:
    shown = samples.recommendation()
    with book.transaction("main") as ledger:
        ledger.add_recommendation(shown, at=NOW)
        (message,) = ledger.outbox(undelivered_only=True)
        again = ledger.enqueue(kind="k", subject="s", payload={}, key=card_key("r-1"), at=NOW)
    assert message["key"] == card_key("r-1")
    assert message["subject"] == "r-1"
    assert message["payload"]["content_hash"] == shown.content_hash
    assert not again


def test_a_recommendation_of_wrong_types_is_refused(book: SqlLedgerBook) -> None:
    """A float where money belongs, and NaN, which JSON cannot say."""
    for changes in ({"floor_credit": 1.1}, {"confidence": float("nan")}):
        wrong = samples.recommendation()
        with pytest.raises(BadInput), book.transaction("main") as ledger:
            ledger.add_recommendation(replace(wrong, **changes), at=NOW)  # type: ignore[arg-type]
    with book.reading("main") as ledger:
        assert ledger.recommendations() == ()


def test_recommendations_come_oldest_first_by_status_and_session(book: SqlLedgerBook) -> None:
    with book.transaction("main") as ledger:
        ledger.add_recommendation(samples.recommendation("r-b", created_at=later(9)), at=NOW)
        ledger.add_recommendation(samples.recommendation("r-z"), at=NOW)
        ledger.add_recommendation(samples.recommendation("r-a"), at=NOW)
        other = samples.recommendation("r-c", session=date(2024, 1, 4), created_at=later(1440))
        ledger.add_recommendation(other, at=NOW)
        pending, approved = RecommendationStatus.PENDING, RecommendationStatus.APPROVED
        ledger.move_recommendation("r-b", expected=pending, to=approved, at=NOW)

        def ids(**filters: Any) -> list[str]:
            return [one.recommendation.id for one in ledger.recommendations(**filters)]

        assert ids() == ["r-z", "r-a", "r-b", "r-c"]
        assert ids(statuses=[approved]) == ["r-b"]
        assert ids(statuses=[pending], session=SESSION) == ["r-z", "r-a"]
        assert ids(statuses=[]) == []


@pytest.mark.parametrize("found", list(RecommendationStatus))
def test_every_transition_is_legal_or_refused(
    book: SqlLedgerBook, found: RecommendationStatus
) -> None:
    for to in RecommendationStatus:
        identifier = f"r-{to}"
        with book.transaction("main") as ledger:
            lead_to(ledger, identifier, found)
            if to in TRANSITIONS[found]:
                assert ledger.move_recommendation(
                    identifier, expected=found, to=to, at=later(2), reason="why"
                )
                stored = ledger.recommendation(identifier)
                assert stored is not None
                assert (stored.status, stored.status_reason) == (to, "why")
            else:
                with pytest.raises(IllegalTransition) as refused:
                    ledger.move_recommendation(identifier, expected=found, to=to, at=later(2))
                assert (refused.value.found, refused.value.wanted) == (found, to)
                assert status_of(ledger, identifier) == found


def test_a_guarded_update_finds_another_state(book: SqlLedgerBook) -> None:
    """Each legal step from a state the recommendation is not in answers False and does nothing."""
    steps = [(e, t) for e, t in product(RecommendationStatus, repeat=2) if t in TRANSITIONS[e]]
    with book.transaction("main") as ledger:
        lead_to(ledger, "r-1", RecommendationStatus.FAILED)
        before = ledger.audit_events()
        for expected, to in steps:
            assert not ledger.move_recommendation("r-1", expected=expected, to=to, at=later(3))
        assert status_of(ledger, "r-1") == RecommendationStatus.FAILED
        assert ledger.audit_events() == before


def test_what_is_not_there_is_missing(book: SqlLedgerBook) -> None:
    pending, approved = RecommendationStatus.PENDING, RecommendationStatus.APPROVED
    with book.transaction("main") as ledger:
        assert ledger.recommendation("r-9") is None
        assert ledger.order("o-9") is None
        assert ledger.trade("t-9") is None
        with pytest.raises(MissingData, match="r-9"):
            ledger.move_recommendation("r-9", expected=pending, to=approved, at=NOW)
        with pytest.raises(MissingData, match="r-9"):
            ledger.add_decision(samples.decision("r-9"))
        with pytest.raises(MissingData, match="o-9"):
            ledger.update_order(
                "o-9", expected=[OrderStatus.INTENDED], to=OrderStatus.FILLED, at=NOW
            )
        with pytest.raises(MissingData, match="t-9"):
            ledger.update_trade(samples.trade("t-9"), expected=TradeStatus.OPEN, at=NOW)
        with pytest.raises(MissingData, match="p-9"):
            ledger.decide_rule("p-9", status=RuleStatus.ADOPTED, at=NOW, by="ada")
        with pytest.raises(MissingData, match="k-9"):
            ledger.mark_delivered("k-9", at=NOW, receipt={})


def test_a_second_answer_is_refused_and_the_first_stays(book: SqlLedgerBook) -> None:
    reject = samples.decision(verdict=DecisionVerdict.REJECT, decided_by="bob", reason="no")
    with book.transaction("main") as ledger:
        ledger.add_recommendation(samples.recommendation(), at=NOW)
        ledger.add_decision(samples.decision())
        with pytest.raises(IllegalTransition, match="approve"):
            ledger.add_decision(reject)
        # The refusal leaves the transaction usable.
        stored = ledger.recommendation("r-1")
    assert stored is not None
    assert stored.decision == samples.decision()


def test_an_approval_of_other_content_is_refused(book: SqlLedgerBook) -> None:
    with book.transaction("main") as ledger:
        ledger.add_recommendation(samples.recommendation(), at=NOW)
        with pytest.raises(BadInput, match="content_hash"):
            ledger.add_decision(samples.decision(content_hash="0" * 64))
        stored = ledger.recommendation("r-1")
    assert stored is not None
    assert stored.decision is None


def test_content_that_was_changed_in_the_database_is_corrupt(
    book: SqlLedgerBook, ledger_url: str
) -> None:
    with book.transaction("main") as ledger:
        ledger.add_recommendation(samples.recommendation(), at=NOW)
    engine = sa.create_engine(ledger_url)
    with engine.begin() as connection:
        text = "UPDATE recommendations SET content = replace(content, '1.10', '0.01')"
        connection.execute(sa.text(text))
    engine.dispose()
    with pytest.raises(CorruptData, match="r-1"), book.reading("main") as ledger:
        ledger.recommendation("r-1")


def test_pending_executions_are_approved_and_decided_oldest_decision_first(
    book: SqlLedgerBook,
) -> None:
    pending, approved = RecommendationStatus.PENDING, RecommendationStatus.APPROVED
    with book.transaction("main") as ledger:
        for place, name in enumerate(("r-1", "r-2", "r-3", "r-4", "r-5")):
            ledger.add_recommendation(samples.recommendation(name), at=NOW)
            if name != "r-5":  # approved without a decision: never to be executed
                ledger.add_decision(samples.decision(name, decided_at=later(10 - place)))
            if name != "r-4":
                ledger.move_recommendation(name, expected=pending, to=approved, at=NOW)
        ledger.add_order(samples.order("o-2", subject_id="r-2", status=OrderStatus.SUBMITTED))
        ledger.move_recommendation(
            "r-2", expected=approved, to=RecommendationStatus.EXECUTING, at=NOW
        )
    assert book.pending_executions("main") == ("r-3", "r-1")
    assert book.pending_executions("main", since=later(9)) == ("r-1",)
    assert book.pending_executions("other") == ()


@pytest.mark.parametrize(
    ("orders", "waits"),
    [
        ((), True),
        ((OrderStatus.INTENDED,), True),
        ((OrderStatus.REJECTED,), True),
        ((OrderStatus.REJECTED, OrderStatus.INTENDED), True),
        ((OrderStatus.SUBMITTED,), False),
        ((OrderStatus.UNKNOWN,), False),
        ((OrderStatus.ACKNOWLEDGED, OrderStatus.INTENDED), False),
        ((OrderStatus.CANCELLED,), False),
    ],
)
def test_what_a_dead_execution_never_sent_is_to_be_executed_again(
    book: SqlLedgerBook, orders: tuple[OrderStatus, ...], waits: bool
) -> None:
    """Unless any order of it may have left: such a one is asked after, never taken up again."""
    with book.transaction("main") as ledger:
        lead_to(ledger, "r-1", RecommendationStatus.EXECUTING)
        ledger.add_decision(samples.decision("r-1"))
        for place, status in enumerate(orders):
            reason = NEVER_SENT if status is OrderStatus.REJECTED else ""
            ledger.add_order(samples.order(f"o-{place}", status=status, status_reason=reason))
        ledger.add_order(samples.order("o-close", purpose=OrderPurpose.CLOSE, subject_id="t-1"))
    found = ("r-1",) if waits else ()
    assert book.pending_executions("main") == found
    with book.lease("broker-closing", account_id="main", holder="closing", seconds=60):
        assert book.pending_executions("main") == found
    with book.lease("broker", account_id="other", holder="another desk", seconds=60):
        assert book.pending_executions("main") == found
    with book.lease("broker", account_id="main", holder="at work", seconds=60):
        assert book.pending_executions("main") == ()


def test_a_refusal_of_the_broker_is_not_taken_up_again(book: SqlLedgerBook) -> None:
    with book.transaction("main") as ledger:
        lead_to(ledger, "r-1", RecommendationStatus.EXECUTING)
        ledger.add_decision(samples.decision("r-1"))
        ledger.add_order(samples.order(status=OrderStatus.REJECTED, status_reason="no power"))
    assert book.pending_executions("main") == ()


def test_a_dead_holders_lease_holds_nothing_back_once_it_has_expired(book: SqlLedgerBook) -> None:
    with book.transaction("main") as ledger:
        lead_to(ledger, "r-1", RecommendationStatus.EXECUTING)
        ledger.add_decision(samples.decision("r-1"))
        ledger.add_order(samples.order())
    with book.lease("broker", account_id="main", holder="dead", seconds=0.4):
        assert book.pending_executions("main") == ()
        deadline = time.monotonic() + 10
        while not book.pending_executions("main"):
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_pending_executions_do_not_wait_for_a_writer(book: SqlLedgerBook, ledger_url: str) -> None:
    impatient = SqlLedgerBook(ledger_url, timeout_seconds=0.1)
    with book.transaction("main") as ledger:
        lead_to(ledger, "r-1", RecommendationStatus.APPROVED)
        assert impatient.pending_executions("main") == ()
        with impatient.reading("main") as view:
            assert view.recommendations() == ()
    impatient.close()


# Model calls, playbook, trading state, outbox, audit


def test_model_calls_are_kept_with_everything(book: SqlLedgerBook) -> None:
    call = ModelCall("c-1", "claude", "m", "h", "{raw}", "end_turn", 10, 20, 1.25, "used")
    with book.transaction("main") as ledger:
        ledger.add_model_call(call, at=NOW, run_id="run-1")
        ledger.add_model_call(replace(call, candidate_id="c-2"), at=later(1), run_id="run-1")
        calls = ledger.model_calls()
        (first,) = ledger.model_calls(candidate_id="c-1")
    assert [one["candidate_id"] for one in calls] == ["c-1", "c-2"]
    assert first["raw_message"] == "{raw}"
    assert first["latency_seconds"] == 1.25
    assert (first["at"], first["run_id"]) == (NOW, "run-1")


def test_the_playbook_is_what_was_in_force_at_the_moment(book: SqlLedgerBook) -> None:
    with book.transaction("main") as ledger:
        for name in ("p-1", "p-2", "p-3"):
            assert ledger.propose_rule(samples.rule(name))
        assert not ledger.propose_rule(samples.rule("p-1"))
        assert ledger.decide_rule("p-1", status=RuleStatus.ADOPTED, at=later(1), by="ada")
        assert ledger.decide_rule("p-2", status=RuleStatus.REFUSED, at=later(2), by="ada")
        assert ledger.decide_rule("p-3", status=RuleStatus.ADOPTED, at=later(3), by="ada")
        assert ledger.decide_rule("p-1", status=RuleStatus.RETIRED, at=later(4), by="ada")
        books = [ledger.playbook(as_of=later(minutes)) for minutes in (0, 1, 3, 4)]
        now = {rule.id: (rule.status, rule.decided_at) for rule in ledger.rules()}
        adopted = ledger.rules(statuses=[RuleStatus.ADOPTED])
    assert [[rule.id for rule in one.rules] for one in books] == [
        [],
        ["p-1"],
        ["p-1", "p-3"],
        ["p-3"],
    ]
    assert [one.version for one in books] == [0, 1, 2, 3]
    assert books[2].rules[0].status is RuleStatus.ADOPTED
    assert books[2].rules[0].decided_at == later(1)
    assert now == {
        "p-1": (RuleStatus.RETIRED, later(4)),
        "p-2": (RuleStatus.REFUSED, later(2)),
        "p-3": (RuleStatus.ADOPTED, later(3)),
    }
    assert [rule.id for rule in adopted] == ["p-3"]


def test_a_rule_is_decided_only_from_the_state_that_allows_it(book: SqlLedgerBook) -> None:
    adopt, refuse, retire = RuleStatus.ADOPTED, RuleStatus.REFUSED, RuleStatus.RETIRED
    with book.transaction("main") as ledger:
        ledger.propose_rule(samples.rule())
        assert not ledger.decide_rule("p-1", status=retire, at=NOW, by="ada")
        assert ledger.decide_rule("p-1", status=refuse, at=NOW, by="ada")
        for status in (adopt, refuse, retire):
            assert not ledger.decide_rule("p-1", status=status, at=NOW, by="ada")
        with pytest.raises(BadInput):
            ledger.decide_rule("p-1", status=RuleStatus.PROPOSED, at=NOW, by="ada")
        with pytest.raises(BadInput):
            ledger.propose_rule(samples.rule("p-2", status=adopt))


def test_trading_state_is_active_until_somebody_changes_it(book: SqlLedgerBook) -> None:
    with book.transaction("main") as ledger:
        assert ledger.trading_state() == (TradingState.ACTIVE, "")
        ledger.set_trading_state(TradingState.HALTED, reason="news", by="ada", at=NOW)
        ledger.set_trading_state(TradingState.REDUCING, reason="calmer", by="ada", at=later(1))
    with book.reading("main") as ledger:
        assert ledger.trading_state() == (TradingState.REDUCING, "calmer")
        changes = [(e.detail["from"], e.detail["to"]) for e in ledger.audit_events(subject="main")]
    assert changes == [("active", "halted"), ("halted", "reducing")]


def test_messages_are_delivered_once(book: SqlLedgerBook) -> None:
    with book.transaction("main") as ledger:
        assert ledger.enqueue(
            kind="alert",
            subject="s",
            payload={"usd": Decimal("1.10"), "on": SESSION},
            key="k-1",
            at=NOW,
        )
        assert not ledger.enqueue(kind="alert", subject="s", payload={}, key="k-1", at=NOW)
        ledger.enqueue(kind="alert", subject="s", payload={}, key="k-2", at=NOW)
        assert ledger.mark_undelivered("k-1", at=later(1), problem="timeout")
        assert ledger.outbox()[0]["problem"] == "timeout"
        assert ledger.mark_delivered("k-1", at=later(2), receipt={"message_id": "77"})
        assert not ledger.mark_delivered("k-1", at=later(3), receipt={})
        assert not ledger.mark_undelivered("k-1", at=later(3), problem="late")
        first, second = ledger.outbox()
        waiting = ledger.outbox(undelivered_only=True)
    assert first["payload"] == {"usd": "1.10", "on": "2024-01-03"}
    assert (first["attempts"], first["delivered_at"]) == (2, later(2))
    assert (first["receipt"], first["problem"]) == ({"message_id": "77"}, "")
    assert waiting == (second,)


def test_every_change_leaves_an_audit_event_in_order(book: SqlLedgerBook) -> None:
    with book.transaction("main") as ledger:
        ledger.add_recommendation(samples.recommendation(), at=NOW)
        ledger.add_decision(samples.decision())
        ledger.add_order(samples.order())
        ledger.add_fills([samples.fill()])
        ledger.open_trade(samples.trade())
        ledger.add_marks([samples.mark()])
        ledger.put_performance(samples.performance())
        ledger.add_reflection(samples.reflection())
        ledger.audit("note", "r-1", {"text": "by hand"}, at=later(60))
    with book.reading("main") as ledger:
        events = ledger.audit_events()
        mine = ledger.audit_events(subject="r-1")
    assert [event.kind for event in events] == [
        "recommendation_added",
        "message_queued",
        "decision_added",
        "order_added",
        "fill_added",
        "trade_opened",
        "trade_marked",
        "performance_put",
        "reflection_added",
        "note",
    ]
    assert [event.id for event in events] == sorted(event.id for event in events)
    assert mine[-1].detail == {"text": "by hand"}
    assert mine[-1].at == later(60)


# Orders, fills, trades, marks


def test_order_comes_back_equal_and_is_added_once(book: SqlLedgerBook) -> None:
    market = samples.order("o-2", limit_price=None, intended_at=later(-1), mid_at_submission=None)
    with book.transaction("main") as ledger:
        assert ledger.add_order(samples.order())
        assert not ledger.add_order(samples.order(quantity=9))
        assert ledger.add_order(market)
        assert ledger.order("o-1") == samples.order()
        assert ledger.orders() == (market, samples.order())


def test_orders_are_found_by_status_purpose_subject_and_time(book: SqlLedgerBook) -> None:
    close = samples.order(
        "o-2", purpose=OrderPurpose.CLOSE, subject_id="t-1", intended_at=later(30)
    )
    with book.transaction("main") as ledger:
        ledger.add_order(samples.order())
        ledger.add_order(close)
        assert ledger.orders(purpose=OrderPurpose.CLOSE) == (close,)
        assert ledger.orders(subject_id="r-1") == (samples.order(),)
        assert ledger.orders(intended_from=later(30)) == (close,)
        assert ledger.orders(statuses=[OrderStatus.UNKNOWN]) == ()
        assert len(ledger.orders(statuses=[OrderStatus.INTENDED, OrderStatus.UNKNOWN])) == 2


def test_update_order_is_guarded_and_keeps_what_is_not_named(book: SqlLedgerBook) -> None:
    with book.transaction("main") as ledger:
        ledger.add_order(samples.order())
        assert ledger.update_order(
            "o-1",
            expected=[OrderStatus.INTENDED],
            to=OrderStatus.ACKNOWLEDGED,
            at=later(1),
            broker_order_id="b-1",
        )
        assert not ledger.update_order(
            "o-1", expected=[OrderStatus.INTENDED], to=OrderStatus.UNKNOWN, at=later(2)
        )
        assert ledger.update_order(
            "o-1",
            expected=[OrderStatus.ACKNOWLEDGED, OrderStatus.UNKNOWN],
            to=OrderStatus.FILLED,
            at=later(3),
            reason="filled",
            filled_quantity=2,
            average_fill_price=Decimal("-1.2550"),
        )
        found = ledger.order("o-1")
    assert found == samples.order(
        status=OrderStatus.FILLED,
        status_reason="filled",
        broker_order_id="b-1",
        filled_quantity=2,
        average_fill_price=Decimal("-1.255"),
    )


def test_cancel_is_intended_once_an_order_lives_and_never_after(book: SqlLedgerBook) -> None:
    with book.transaction("main") as ledger:
        ledger.add_order(samples.order())
        assert ledger.intend_cancel("o-1", reason="next_step", at=later(1))
        found = ledger.order("o-1")
        assert found == samples.order(cancel_reason="next_step")
        assert ledger.audit_events(subject="o-1")[-1].kind == "cancel_intended"
        ledger.update_order(
            "o-1", expected=[OrderStatus.INTENDED], to=OrderStatus.CANCELLED, at=later(2)
        )
        assert not ledger.intend_cancel("o-1", reason="again", at=later(3))
        with pytest.raises(MissingData):
            ledger.intend_cancel("o-9", reason="next_step", at=later(3))


def test_fill_keeps_its_mid_and_slippage(book: SqlLedgerBook) -> None:
    fill = samples.fill(
        ask=Decimal("2.24"), mid=Decimal("2.17"), slippage=Decimal("0.02"), quoted_at=later(2)
    )
    with book.transaction("main") as ledger:
        ledger.add_order(samples.order())
        ledger.add_fills([fill])
        assert ledger.fills() == (fill,)


def test_fills_are_added_once_and_need_their_order(book: SqlLedgerBook) -> None:
    second = samples.fill("f-2", filled_at=NOW, bid=None)
    with book.transaction("main") as ledger:
        ledger.add_order(samples.order())
        assert ledger.add_fills([samples.fill()]) == 1
        assert ledger.add_fills([samples.fill(), second]) == 1
        assert ledger.fills() == (second, samples.fill())
        assert ledger.fills(client_order_id="o-9") == ()
    with pytest.raises(LedgerError), book.transaction("main") as ledger:
        ledger.add_fills([samples.fill("f-3", client_order_id="o-9")])


def test_entries_count_recommendations_of_the_new_york_day_that_were_not_refused(
    book: SqlLedgerBook,
) -> None:
    evening = datetime(2024, 1, 4, 4, 59, tzinfo=UTC)  # 23:59 in New York on the third
    orders = (
        samples.order("o-1"),
        samples.order("o-2", intended_at=later(1)),  # a second attempt at r-1
        samples.order("o-3", subject_id="r-2", intended_at=evening),
        samples.order("o-4", subject_id="r-3", intended_at=evening + timedelta(minutes=1)),
        samples.order("o-5", subject_id="r-4", status=OrderStatus.REJECTED),
        samples.order("o-6", subject_id="t-1", purpose=OrderPurpose.CLOSE),
    )
    with book.transaction("main") as ledger:
        assert ledger.entries_on(SESSION) == 0
        for order in orders:
            ledger.add_order(order)
        assert ledger.entries_on(SESSION) == 2
        assert ledger.entries_on(SESSION, besides="r-1") == 1
        assert ledger.entries_on(date(2024, 1, 4)) == 1


def test_trade_comes_back_equal_through_its_life(book: SqlLedgerBook) -> None:
    opened = samples.trade()
    closing = replace(opened, status=TradeStatus.CLOSING)
    closed = replace(
        closing,
        status=TradeStatus.CLOSED,
        exit_time=later(90),
        exit_debit=Decimal("0.60"),
        exit_reason=ExitReason.PROFIT_TARGET,
        exit_legs=(
            samples.leg_price(samples.LONG, "0.30"),
            samples.leg_price(samples.SHORT, "0.90"),
        ),
        fees_usd=Decimal("5.2096"),
        pnl_usd=Decimal("124.79"),
    )
    with book.transaction("main") as ledger:
        assert ledger.open_trade(opened)
        assert not ledger.open_trade(opened)
        assert ledger.trade("t-1") == opened
        assert ledger.update_trade(closing, expected=TradeStatus.OPEN, at=later(80))
        assert not ledger.update_trade(closed, expected=TradeStatus.OPEN, at=later(90))
        assert ledger.trade("t-1") == closing
        assert ledger.update_trade(closed, expected=TradeStatus.CLOSING, at=later(90))
        assert ledger.trade("t-1") == closed


def test_trades_are_found_by_status_underlying_and_close(book: SqlLedgerBook) -> None:
    early = samples.trade("t-2", entry_time=NOW)
    closed = samples.trade(
        "t-3", entry_time=later(2), status=TradeStatus.CLOSED, exit_time=later(60)
    )
    with book.transaction("main") as ledger:
        for trade in (samples.trade(), early, closed):
            ledger.open_trade(trade)
        assert ledger.trades() == (early, samples.trade(), closed)
        assert ledger.trades(statuses=[TradeStatus.CLOSED]) == (closed,)
        assert ledger.trades(closed_from=later(60)) == (closed,)
        assert ledger.trades(closed_from=later(61)) == ()
        assert ledger.trades(underlying="QQQ") == ()


def test_marks_are_one_per_trade_and_moment(book: SqlLedgerBook) -> None:
    problem = samples.mark(
        marked_at=later(15),
        cost_to_close=None,
        natural_cost_to_close=None,
        unrealised_pnl_usd=None,
        underlying_price=None,
        problem="quote_missing",
    )
    with book.transaction("main") as ledger:
        ledger.open_trade(samples.trade())
        ledger.add_marks([problem, samples.mark()])
        ledger.add_marks([samples.mark(dte=99)])
        assert ledger.marks() == (samples.mark(), problem)
        assert ledger.marks(trade_id="t-1", from_=later(15)) == (problem,)
        assert ledger.marks(trade_id="t-9") == ()


# Review


def test_performance_replaces_the_row_of_a_session(book: SqlLedgerBook) -> None:
    second = samples.performance(date(2024, 1, 4))
    better = samples.performance(equity=Decimal("100001.00"))
    with book.transaction("main") as ledger:
        ledger.put_performance(second)
        ledger.put_performance(samples.performance())
        ledger.put_performance(better)
        assert ledger.performance() == (better, second)
        assert ledger.performance(start=date(2024, 1, 4)) == (second,)
        assert ledger.performance(end=SESSION) == (better,)


def test_reflections_are_added_once(book: SqlLedgerBook) -> None:
    with book.transaction("main") as ledger:
        ledger.open_trade(samples.trade())
        assert ledger.add_reflection(samples.reflection())
        assert not ledger.add_reflection(samples.reflection(text="other"))
        assert ledger.reflections(trade_id="t-1") == (samples.reflection(),)
        assert ledger.reflections(trade_id="t-2") == ()


# Exactness


@pytest.mark.parametrize(
    "amount",
    ["0.1", "-0.005", "1E+3", "0", "1234567890123456789.123456789012345678", "0.30000000000000004"],
)
def test_money_is_exact(book: SqlLedgerBook, amount: str) -> None:
    value = Decimal(amount)
    with book.transaction("main") as ledger:
        ledger.open_trade(samples.trade(fees_usd=value))
        ledger.put_performance(samples.performance(equity=value, drawdown=value))
        found = ledger.trade("t-1")
        (day,) = ledger.performance()
    assert found is not None
    assert found.fees_usd == day.equity == day.drawdown == value


@pytest.mark.parametrize("amount", [1.5, Decimal("NaN"), Decimal("Infinity"), 2])
def test_money_that_is_no_finite_decimal_is_refused(book: SqlLedgerBook, amount: Any) -> None:
    with pytest.raises(BadInput, match="Decimal"), book.transaction("main") as ledger:
        ledger.open_trade(samples.trade(fees_usd=amount))


def test_moments_come_back_aware_and_in_utc(book: SqlLedgerBook) -> None:
    tokyo = timezone(timedelta(hours=9))
    moment = datetime(2024, 1, 3, 23, 35, 0, 1, tzinfo=tokyo)
    with book.transaction("main") as ledger:
        ledger.add_order(samples.order(intended_at=moment))
        ledger.add_order(samples.order("o-2", intended_at=moment + timedelta(microseconds=1)))
        found = [order.intended_at for order in ledger.orders()]
        assert (
            ledger.orders(intended_from=moment + timedelta(microseconds=1))[0].client_order_id
            == "o-2"
        )
    assert found[0] == moment
    assert all(one.utcoffset() == timedelta(0) for one in found)
    with pytest.raises(BadInput, match="time zone"), book.transaction("main") as ledger:
        ledger.add_order(samples.order("o-3", intended_at=moment.replace(tzinfo=None)))


# Units of work


def test_an_exception_rolls_everything_back(book: SqlLedgerBook) -> None:

    def fail_halfway() -> None:
        with book.transaction("main") as ledger:
            ledger.add_recommendation(samples.recommendation(), at=NOW)
            ledger.add_order(samples.order())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_halfway()
    with book.reading("main") as ledger:
        assert ledger.recommendations() == ()
        assert ledger.orders() == ()
        assert ledger.outbox() == ()
        assert ledger.audit_events() == ()


def test_a_reading_view_refuses_every_write(book: SqlLedgerBook) -> None:
    with book.transaction("main") as ledger:
        ledger.add_recommendation(samples.recommendation(), at=NOW)
        ledger.open_trade(samples.trade())
    with book.reading("main") as view:
        writes: list[Callable[[], object]] = [
            lambda: view.add_recommendation(samples.recommendation("r-2"), at=NOW),
            lambda: view.move_recommendation(
                "r-1",
                expected=RecommendationStatus.PENDING,
                to=RecommendationStatus.APPROVED,
                at=NOW,
            ),
            lambda: view.add_decision(samples.decision()),
            lambda: view.propose_rule(samples.rule()),
            lambda: view.set_trading_state(TradingState.HALTED, reason="", by="", at=NOW),
            lambda: view.enqueue(kind="k", subject="s", payload={}, key="k", at=NOW),
            lambda: view.audit("k", "s", {}, at=NOW),
            lambda: view.add_order(samples.order()),
            lambda: view.open_trade(samples.trade("t-2")),
            lambda: view.update_trade(samples.trade(), expected=TradeStatus.OPEN, at=NOW),
            lambda: view.add_marks([samples.mark()]),
            lambda: view.put_performance(samples.performance()),
            lambda: view.add_reflection(samples.reflection()),
        ]
        for write in writes:
            with pytest.raises(LedgerError, match="read-only"):
                write()


def test_a_reading_view_is_of_one_moment(book: SqlLedgerBook) -> None:
    with book.transaction("main") as ledger:
        ledger.add_order(samples.order())
    with book.reading("main") as view:
        assert len(view.orders()) == 1
        with book.transaction("main") as ledger:
            ledger.add_order(samples.order("o-2"))
        assert len(view.orders()) == 1
    with book.reading("main") as view:
        assert len(view.orders()) == 2


def test_accounts_do_not_see_each_other(book: SqlLedgerBook) -> None:
    """The same ids may stand in two accounts of one book."""
    with book.transaction("main") as ledger:
        ledger.add_recommendation(samples.recommendation(), at=NOW)
        ledger.add_decision(samples.decision())
        ledger.add_order(samples.order())
        ledger.add_fills([samples.fill()])
        ledger.open_trade(samples.trade())
        ledger.add_marks([samples.mark()])
        ledger.put_performance(samples.performance())
        ledger.add_reflection(samples.reflection())
        ledger.propose_rule(samples.rule())
        ledger.set_trading_state(TradingState.HALTED, reason="x", by="ada", at=NOW)
    with book.transaction("other") as ledger:
        assert ledger.account_id == "other"
        found: list[tuple[Any, ...]] = [
            ledger.recommendations(),
            ledger.orders(),
            ledger.fills(),
            ledger.trades(),
            ledger.marks(),
            ledger.performance(),
            ledger.reflections(),
            ledger.rules(),
            ledger.outbox(),
            ledger.audit_events(),
            ledger.model_calls(),
        ]
        assert found == [()] * len(found)
        assert ledger.trading_state() == (TradingState.ACTIVE, "")
        assert ledger.entries_on(SESSION) == 0
        assert ledger.add_order(samples.order(account_id="other"))
        pending, approved = RecommendationStatus.PENDING, RecommendationStatus.APPROVED
        with pytest.raises(MissingData):
            ledger.move_recommendation("r-1", expected=pending, to=approved, at=NOW)
        with pytest.raises(BadInput, match="account_id"):
            ledger.add_order(samples.order("o-2"))
    with pytest.raises(BadInput), book.transaction(""):
        pass


def test_a_lock_that_stays_is_busy(book: SqlLedgerBook, ledger_url: str) -> None:
    impatient = SqlLedgerBook(ledger_url, timeout_seconds=0.1)
    with book.transaction("main") as ledger:
        ledger.add_order(samples.order())
    with book.transaction("main"), pytest.raises(LedgerBusy), impatient.transaction("main"):
        pass
    with impatient.transaction("main") as ledger:
        assert len(ledger.orders()) == 1
    impatient.close()


def test_a_second_transaction_waits_and_then_sees_the_first(book: SqlLedgerBook) -> None:
    """The lock is taken before anything is read: the second counts what the first wrote."""
    counted: list[int] = []

    def count() -> None:
        with book.transaction("main") as ledger:
            counted.append(ledger.entries_on(SESSION))

    with book.transaction("main"):
        pass  # the account exists, so that PostgreSQL has only its row to lock
    with book.transaction("main") as ledger:
        waiting = threading.Thread(target=count)
        waiting.start()
        waiting.join(0.2)
        assert waiting.is_alive()
        ledger.add_order(samples.order())
    waiting.join(10)
    assert counted == [1]


# Leases


def test_a_lease_is_held_by_one_at_a_time(book: SqlLedgerBook) -> None:
    with book.lease("broker", account_id="main", holder="run-1", seconds=60):
        with (
            pytest.raises(LeaseHeld, match=r"run-1 until \d{4}-\d\d-\d\dT"),
            book.lease("broker", account_id="main", holder="run-2", seconds=60),
        ):
            pass
        with book.lease("broker", account_id="other", holder="run-3", seconds=60):
            pass
        with book.lease("discord", account_id="main", holder="run-3", seconds=60):
            pass
    with book.lease("broker", account_id="main", holder="run-2", seconds=60):
        pass


def test_a_lease_is_released_when_the_block_fails(book: SqlLedgerBook) -> None:
    with (
        pytest.raises(ZeroDivisionError),
        book.lease("broker", account_id="main", holder="run-1", seconds=60),
    ):
        raise ZeroDivisionError
    with book.lease("broker", account_id="main", holder="run-2", seconds=60):
        pass


def test_a_late_holder_does_not_release_the_lease_of_the_next(book: SqlLedgerBook) -> None:
    """The first holder outlives its lease; the second, of the same name, keeps its own."""
    first = book.lease("broker", account_id="main", holder="run-1", seconds=0.05)
    first.__enter__()
    threading.Event().wait(0.1)
    with book.lease("broker", account_id="main", holder="run-1", seconds=60):
        first.__exit__(None, None, None)
        with (
            pytest.raises(LeaseHeld),
            book.lease("broker", account_id="main", holder="run-2", seconds=60),
        ):
            pass


def test_a_lease_lasts_for_a_while(book: SqlLedgerBook) -> None:
    with (
        pytest.raises(BadInput),
        book.lease("broker", account_id="main", holder="run-1", seconds=0),
    ):
        pass


# Engines


@pytest.mark.parametrize(
    "url", ["postgresql://h/db", "postgresql+psycopg://h/db", "mysql://h/db", "nonsense"]
)
def test_another_driver_is_refused_without_its_password(url: str) -> None:
    book = SqlLedgerBook(url.replace("//h", "//user:secret@h"))
    with pytest.raises(BadInput) as refused:
        book.upgrade()
    assert "secret" not in str(refused.value)


def test_a_server_that_is_not_there_is_a_ledger_error(tmp_path: Path) -> None:
    book = SqlLedgerBook(f"postgresql+psycopg2://user:secret@/db?host={tmp_path}")
    with pytest.raises(LedgerError) as refused, book.reading("main"):
        pass
    assert "secret" not in str(refused.value)


def test_a_damaged_file_is_corrupt(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite").write_bytes(b"this is no database" * 100)
    with (
        pytest.raises(CorruptData),
        SqlLedgerBook(f"sqlite:///{tmp_path}/ledger.sqlite").reading("m"),
    ):
        pass


def test_a_new_sqlite_ledger_is_made_with_its_folder_in_wal_mode(tmp_path: Path) -> None:
    path = tmp_path / "books" / "sim-7" / "ledger.sqlite"
    book = SqlLedgerBook(f"sqlite:///{path}")
    assert not path.exists()
    with book.transaction("main") as ledger:
        assert ledger.orders() == ()
    book.close()
    engine = sa.create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
    engine.dispose()


def test_a_closed_book_opens_again(book: SqlLedgerBook) -> None:
    with book.transaction("main") as ledger:
        ledger.add_order(samples.order())
    book.close()
    with book.reading("main") as ledger:
        assert ledger.order("o-1") == samples.order()
