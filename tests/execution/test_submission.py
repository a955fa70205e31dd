"""Submission: exactly one order per approval, whatever happens in between."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pandas as pd
import pytest

from mahler_pipelines.decisions.recommendation import Recommendation, RecommendationStatus
from mahler_pipelines.errors import (
    BrokerOutcomeUnknown,
    BrokerRefused,
    BrokerUnavailable,
    CorruptData,
    LeaseHeld,
    MissingData,
)
from mahler_pipelines.execution.broker import OrderStatus
from mahler_pipelines.execution.ledger import ExecutionLedger
from mahler_pipelines.execution.reconciliation import settle_working_orders
from mahler_pipelines.execution.submission import (
    ExecutionRefusal,
    ExecutionStatus,
    Moment,
    execute,
)
from mahler_pipelines.execution.trades import TradeStatus
from mahler_pipelines.risk.trading_state import TradingState
from mahler_pipelines.strategies.refusals import Refusal
from tests.execution.fakes import Crash, FakeMarket
from tests.execution.scenes import LONG, NOW, SHORT, accept, approved_scene

CLIENT_ID = "mahler-main-r-260112-mo-abcdef12-open-1"


def test_approved_recommendation_becomes_one_credit_order_and_a_trade() -> None:
    scene = approved_scene()
    outcome = scene.execute()
    assert outcome.status is ExecutionStatus.EXECUTED
    (order,) = scene.broker.submitted
    assert order.client_order_id == CLIENT_ID
    assert order.limit_price == Decimal("-1.15")
    assert [leg.intent.value for leg in order.legs] == ["sell_to_open", "buy_to_open"]
    trade = scene.trade()
    assert outcome.trade_id == trade.id == "t-260112-mo-abcdef12"
    assert (trade.contracts, trade.entry_credit) == (3, Decimal("1.15"))
    assert [(leg.bid, leg.ask) for leg in trade.entry_legs] == [
        (Decimal("4.10"), Decimal("4.20")),
        (Decimal("2.90"), Decimal("2.95")),
    ]
    assert {leg.snapshot for leg in trade.entry_legs} == set(scene.lake.snapshots)
    assert scene.lake.pointers_moved == 0
    assert scene.status() is RecommendationStatus.EXECUTED
    assert f"trade_opened:{trade.id}" in scene.book.rows.outbox


def test_executing_twice_submits_once() -> None:
    scene = approved_scene()
    scene.execute()
    again = scene.execute()
    assert again.status is ExecutionStatus.EXECUTED
    assert again.trade_id == scene.trade().id
    assert len(scene.broker.submitted) == 1


@pytest.mark.parametrize("commits", range(1, 6))
def test_crash_after_any_commit_is_recovered_without_a_second_order(commits: int) -> None:
    """Whatever transaction the process dies behind, the next call ends with one order."""
    scene = approved_scene()
    scene.book.commits, scene.book.crash_after = 0, commits
    with pytest.raises(Crash):
        scene.execute()
    outcome = scene.execute()
    if outcome.status is ExecutionStatus.UNKNOWN:
        # Marked as submitted and not seen: only time can tell that it never left.
        assert scene.broker.submitted == []
        scene.later(minutes=3)
        settle_working_orders(scene.desk)
        assert scene.status() is RecommendationStatus.FAILED
        assert scene.reason() == "not_at_broker"
        return
    assert outcome.status is ExecutionStatus.EXECUTED
    assert len(scene.broker.submitted) == len(scene.broker.book) == 1
    assert scene.trade().contracts == 3


def test_crash_while_the_broker_answers_is_recovered_from_the_broker() -> None:
    scene = approved_scene()
    scene.broker.lose_answer = Crash()
    with pytest.raises(Crash):
        scene.execute()
    assert scene.book.rows.orders[CLIENT_ID].status is OrderStatus.SUBMITTED
    outcome = scene.execute()
    assert outcome.status is ExecutionStatus.EXECUTED
    assert len(scene.broker.submitted) == 1
    assert len(scene.book.rows.fills) == 2


def test_intent_that_never_left_is_taken_up_again_under_a_new_attempt() -> None:
    scene = approved_scene()
    scene.book.commits, scene.book.crash_after = 0, 3
    with pytest.raises(Crash):
        scene.execute()
    assert scene.book.rows.orders[CLIENT_ID].status is OrderStatus.INTENDED
    outcome = scene.execute()
    assert outcome.status is ExecutionStatus.EXECUTED
    assert [order.client_order_id[-1] for order in scene.broker.submitted] == ["2"]
    first = scene.book.rows.orders[CLIENT_ID]
    assert (first.status, first.status_reason) == (OrderStatus.REJECTED, "never_sent")


@pytest.mark.parametrize("commits", range(1, 6))
def test_crash_while_taking_up_an_intent_loses_no_approval(commits: int) -> None:
    """Found by the kill drill: a second crash, and then nobody asks for the execution again."""
    scene = approved_scene()
    for deaths in (3, commits):
        scene.book.commits, scene.book.crash_after = 0, deaths
        with pytest.raises(Crash):
            scene.execute()
    scene.later(minutes=40)
    settle_working_orders(scene.desk)
    assert scene.status() in (
        RecommendationStatus.EXECUTED,
        RecommendationStatus.FAILED,
        RecommendationStatus.LAPSED,
    )
    assert scene.reason()
    assert len(scene.broker.book) == (scene.status() is RecommendationStatus.EXECUTED)


def test_silent_market_while_taking_up_an_intent_loses_no_approval(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scene = approved_scene()
    scene.book.commits, scene.book.crash_after = 0, 3
    with pytest.raises(Crash):
        scene.execute()

    def silent(_: Sequence[str]) -> pd.DataFrame:
        raise BrokerUnavailable("no quotes")

    monkeypatch.setattr(scene.market, "option_quotes", silent)
    with pytest.raises(BrokerUnavailable):
        scene.execute()
    assert scene.book.rows.orders[CLIENT_ID].status is OrderStatus.INTENDED
    scene.later(minutes=40)
    settle_working_orders(scene.desk)
    assert (scene.status(), scene.reason()) == (RecommendationStatus.FAILED, "never_sent")


def test_unknown_outcome_that_the_broker_then_knows_is_executed() -> None:
    scene = approved_scene()
    scene.broker.lose_answer = BrokerOutcomeUnknown("timed out")
    scene.broker.hidden_for = 2
    outcome = scene.execute()
    assert outcome.status is ExecutionStatus.EXECUTED
    assert scene.slept == [0.5, 0.5, 0.5]
    assert len(scene.broker.submitted) == 1


def test_unknown_outcome_stays_unknown_until_the_grace_has_passed() -> None:
    """An order still on its way must not be declared absent, nor sent again."""
    scene = approved_scene()
    scene.broker.drop = BrokerOutcomeUnknown("timed out")
    outcome = scene.execute()
    assert outcome.status is ExecutionStatus.UNKNOWN
    assert scene.status() is RecommendationStatus.EXECUTING
    assert scene.book.rows.orders[CLIENT_ID].status is OrderStatus.UNKNOWN
    scene.later(seconds=60)
    assert scene.execute().status is ExecutionStatus.UNKNOWN
    scene.later(seconds=61)
    (settled,) = settle_working_orders(scene.desk)
    assert settled.after is OrderStatus.REJECTED
    assert scene.status() is RecommendationStatus.FAILED
    assert scene.reason() == "not_at_broker"
    assert len(scene.broker.submitted) == 1


def test_unanswered_questions_leave_the_outcome_unknown() -> None:
    scene = approved_scene()
    scene.broker.lose_answer = BrokerOutcomeUnknown("timed out")
    scene.broker.unavailable = [BrokerUnavailable("502") for _ in range(4)]
    assert scene.execute().status is ExecutionStatus.UNKNOWN
    assert scene.execute().status is ExecutionStatus.EXECUTED
    assert len(scene.broker.submitted) == 1


def test_refusal_fails_the_recommendation_with_the_brokers_words() -> None:
    scene = approved_scene()
    scene.broker.refusal = BrokerRefused("insufficient options buying power", status=403)
    outcome = scene.execute()
    assert outcome.status is ExecutionStatus.FAILED
    assert outcome.reason == "broker_refused: insufficient options buying power"
    assert scene.book.rows.orders[CLIENT_ID].status is OrderStatus.REJECTED
    assert not scene.book.rows.trades
    assert "not_executed:r-260112-mo-abcdef12" in scene.book.rows.outbox


def test_refusal_as_duplicate_is_read_as_the_order_that_is_there() -> None:
    scene = approved_scene()
    scene.broker.lose_answer = BrokerRefused("must be unique", status=422, code=40010001)
    assert scene.execute().status is ExecutionStatus.EXECUTED


def test_resting_order_works_until_it_fills() -> None:
    scene = approved_scene()
    scene.broker.fill_units = 0
    assert scene.execute().status is ExecutionStatus.WORKING
    assert scene.book.rows.orders[CLIENT_ID].status is OrderStatus.ACKNOWLEDGED
    scene.later(minutes=5)
    scene.quote((4.00, 4.10), (2.80, 2.85))
    scene.broker.fill(CLIENT_ID, 3)
    settle_working_orders(scene.desk)
    assert scene.status() is RecommendationStatus.EXECUTED
    assert scene.trade().entry_legs[0].bid == Decimal("4.00"), "set against quotes of the fill"


def test_resting_order_is_cancelled_and_lapses_when_the_approval_expires() -> None:
    scene = approved_scene()
    scene.broker.fill_units = 0
    scene.execute()
    scene.later(minutes=10)
    settle_working_orders(scene.desk)
    assert scene.broker.cancelled == []
    scene.later(minutes=20)
    settle_working_orders(scene.desk)
    assert len(scene.broker.cancelled) == 1
    assert (scene.status(), scene.reason()) == (RecommendationStatus.LAPSED, "not_filled")


def test_partial_fill_becomes_a_trade_of_what_was_filled() -> None:
    scene = approved_scene(contracts=5)
    scene.broker.fill_units = 1
    assert scene.execute().status is ExecutionStatus.WORKING
    assert not scene.book.rows.trades
    scene.later(minutes=5)
    scene.fill_at("4.20", "2.95")
    scene.broker.fill(CLIENT_ID, 1)
    settle_working_orders(scene.desk)
    scene.later(minutes=30)
    settle_working_orders(scene.desk)
    trade = scene.trade()
    assert (trade.contracts, trade.entry_credit) == (2, Decimal("1.20"))
    assert scene.status() is RecommendationStatus.EXECUTED
    steps = [fill for fill in scene.book.rows.fills.values() if fill.symbol == SHORT.symbol]
    assert [(fill.quantity, fill.price) for fill in steps] == [
        (1, Decimal("4.10")),
        (1, Decimal("4.20")),
    ]


def test_cancel_that_loses_against_a_fill_opens_the_trade() -> None:
    scene = approved_scene()
    scene.broker.fill_units = 0
    scene.execute()
    scene.broker.cancel_fills = 3
    scene.broker.cancel_refusal = BrokerRefused("order is already filled", status=422)
    scene.later(minutes=40)
    settle_working_orders(scene.desk)
    assert scene.trade().contracts == 3
    assert any(event.kind == "cancel_refused" for event in scene.book.rows.audit)


def test_cancel_not_yet_confirmed_keeps_the_order_working() -> None:
    scene = approved_scene()
    scene.broker.fill_units = 0
    scene.execute()
    scene.broker.cancel_is_slow = True
    scene.later(minutes=40)
    (settled,) = settle_working_orders(scene.desk)
    assert settled.after is OrderStatus.ACKNOWLEDGED
    assert scene.status() is RecommendationStatus.EXECUTING


@pytest.mark.parametrize(
    ("natural", "limit"),
    [
        ((4.10, 2.95), "-1.15"),
        ((4.30, 2.95), "-1.20"),
        ((4.00, 2.95), "-1.10"),
        ((4.128, 2.95), "-1.17"),
    ],
)
def test_limit_is_the_natural_credit_inside_the_approved_band(
    natural: tuple[float, float], limit: str
) -> None:
    """Never below the floor, never above the target, rounded to the tick towards less credit."""
    scene = approved_scene()
    short_bid, long_ask = natural
    scene.quote((short_bid, short_bid + 0.1), (2.90, long_ask))
    scene.broker.fill_units = 0
    scene.execute()
    assert scene.broker.submitted[0].limit_price == Decimal(limit)


def test_expired_recommendation_is_not_executed() -> None:
    scene = approved_scene()
    scene.later(minutes=28)
    outcome = scene.execute()
    assert outcome.status is ExecutionStatus.EXPIRED
    assert [refusal.code for refusal in outcome.refusals] == [
        ExecutionRefusal.RECOMMENDATION_EXPIRED
    ]
    assert (scene.broker.submitted, scene.market.asked) == ([], 0)


def test_decision_for_other_content_is_not_executed() -> None:
    scene = approved_scene(content_hash="f" * 64)
    outcome = scene.execute()
    assert outcome.status is ExecutionStatus.LAPSED
    assert [refusal.code for refusal in outcome.refusals] == [ExecutionRefusal.CONTENT_HASH_DIFFERS]
    assert scene.broker.submitted == []


@pytest.mark.parametrize("state", [TradingState.HALTED, TradingState.REDUCING])
def test_no_opening_while_trading_is_not_active(state: TradingState) -> None:
    scene = approved_scene()
    scene.book.rows.state = (state, "the owner said so")
    outcome = scene.execute()
    assert outcome.status is ExecutionStatus.LAPSED
    assert outcome.refusals[0].code is ExecutionRefusal.TRADING_STATE_FORBIDS
    assert scene.broker.submitted == []


def test_closed_market_lapses() -> None:
    scene = approved_scene()
    scene.broker.is_open = False
    assert scene.execute().reason == "market_closed"
    assert scene.status() is RecommendationStatus.LAPSED


@pytest.mark.parametrize(
    ("short", "problem"),
    [((float("nan"), 4.2), "quote_one_sided"), ((4.3, 4.2), "quote_crossed")],
)
def test_unusable_quote_lapses_with_its_defect(short: tuple[float, float], problem: str) -> None:
    scene = approved_scene()
    scene.quote(short, (2.90, 2.95))
    (refusal,) = scene.execute().refusals
    assert (refusal.code, refusal.value) == (ExecutionRefusal.QUOTE_NOT_USABLE, problem)
    assert scene.broker.submitted == []


def test_unknown_underlying_price_lapses() -> None:
    scene = approved_scene()
    scene.market.levels = {}
    scene.market.quotes["underlying_price"] = float("nan")
    (refusal,) = scene.execute().refusals
    assert refusal.code is ExecutionRefusal.UNDERLYING_PRICE_NOT_AVAILABLE


def test_recheck_sees_the_moment_inside_the_transaction_and_can_stop_it() -> None:
    scene = approved_scene()
    seen: list[tuple[Decimal, Decimal, Decimal]] = []
    drifted = Refusal(ExecutionRefusal.QUOTE_NOT_USABLE, "drift")

    def refuse(_: ExecutionLedger, __: Recommendation, moment: Moment, /) -> tuple[Refusal, ...]:
        seen.append((moment.natural_credit, moment.mid_credit, moment.underlying_price))
        assert not scene.book.rows.orders
        return (drifted,)

    outcome = execute("r-260112-mo-abcdef12", desk=scene.desk, recheck=refuse)
    assert outcome.refusals == (drifted,)
    assert seen == [(Decimal("1.15"), Decimal("1.225"), Decimal("600.00"))]
    assert scene.status() is RecommendationStatus.LAPSED
    assert any(event.kind == "execution_refused" for event in scene.book.rows.audit)


def test_halt_between_the_quotes_and_the_intent_stops_the_order() -> None:
    """Limits are read again inside the write transaction."""
    scene = approved_scene()

    class HaltingMarket(FakeMarket):
        def option_quotes(self, symbols: Sequence[str]) -> pd.DataFrame:
            scene.book.rows.state = (TradingState.HALTED, "now")
            return super().option_quotes(symbols)

    halting = HaltingMarket(scene.market.time)
    halting.quotes, halting.levels = scene.market.quotes, scene.market.levels
    scene.market = halting
    assert scene.execute().status is ExecutionStatus.LAPSED
    assert scene.broker.submitted == []


def test_dry_run_writes_the_intent_and_sends_nothing() -> None:
    scene = approved_scene()
    scene.dry_run = True
    outcome = scene.execute()
    assert outcome.status is ExecutionStatus.DRY_RUN
    record = scene.book.rows.orders[CLIENT_ID]
    assert (record.status, record.status_reason) == (OrderStatus.CANCELLED, "dry_run")
    assert record.limit_price == Decimal("-1.15")
    assert (scene.broker.submitted, scene.status()) == ([], RecommendationStatus.LAPSED)


def test_pending_recommendation_is_left_alone() -> None:
    scene = approved_scene()
    stored = scene.book.rows.recommendations["r-260112-mo-abcdef12"]
    scene.book.rows.recommendations["r-260112-mo-abcdef12"] = replace(
        stored, status=RecommendationStatus.PENDING
    )
    assert scene.execute().status is ExecutionStatus.NOT_APPROVED
    assert scene.status() is RecommendationStatus.PENDING


def test_another_holder_of_the_lease_is_not_disturbed() -> None:
    scene = approved_scene()
    scene.book.holders["broker"] = "another"
    with pytest.raises(LeaseHeld):
        scene.execute()
    assert scene.status() is RecommendationStatus.APPROVED


def test_unknown_recommendation_is_an_error() -> None:
    scene = approved_scene()
    with pytest.raises(MissingData, match="r-nope"):
        execute("r-nope", desk=scene.desk, recheck=accept)


def test_report_that_contradicts_the_order_is_corrupt() -> None:
    scene = approved_scene()
    scene.broker.fill_units = 0
    scene.execute()
    scene.broker.fill(CLIENT_ID, 3)
    order = scene.broker.book[CLIENT_ID]
    scene.broker.book[CLIENT_ID] = replace(order, fills=order.fills[:1])
    with pytest.raises(CorruptData, match="legs"):
        settle_working_orders(scene.desk)
    assert not scene.book.rows.trades


def test_fees_are_booked_per_contract_and_leg() -> None:
    scene = approved_scene()
    scene.terms = replace(scene.terms, fee_per_contract_usd=Decimal("0.65"))
    scene.execute()
    assert scene.trade().fees_usd == Decimal("3.90")
    assert scene.trade().status is TradeStatus.OPEN


def test_outcome_is_read_by_the_brokers_clock() -> None:
    scene = approved_scene()
    scene.execute()
    record = scene.book.rows.orders[CLIENT_ID]
    assert record.intended_at == NOW + timedelta(minutes=2)
    assert scene.trade().entry_legs[1].symbol == LONG.symbol
