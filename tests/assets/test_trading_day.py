"""A trading day through the graph, on a real exchange over a real wire: what may go wrong does."""

import json
from datetime import date
from decimal import Decimal
from pathlib import Path

import dagster as dg
import pytest

from mahler_pipelines.decisions.approvals import DecisionOutcome
from mahler_pipelines.decisions.recommendation import DecisionVerdict, RecommendationStatus
from mahler_pipelines.execution.broker import OrderStatus
from mahler_pipelines.execution.desk import OPENING_LEASE
from mahler_pipelines.execution.ledger import OrderPurpose
from mahler_pipelines.execution.trades import ExitReason, TradeStatus
from mahler_pipelines.market.chains import Scan
from mahler_pipelines.orchestration.partitions import session_key
from mahler_pipelines.orchestration.sensors import reconciliation_sensor
from mahler_pipelines.risk.trading_state import TradingState
from tests.assets.conftest import Open
from tests.assets.desk import (
    ACCOUNT,
    SESSION,
    CrashedAfterSubmitting,
    PlayedDesk,
    at,
    copied,
    failed_checks,
    first_failure,
    metadata,
    played,
    scan_at,
)

STARTING_CASH = Decimal(100_000)


def first_pending(desk: PlayedDesk) -> str:
    return desk.pending()[0].id


def approved(desk: PlayedDesk) -> str:
    key = first_pending(desk)
    assert desk.approve(key).outcome is DecisionOutcome.RECORDED
    return key


def status(desk: PlayedDesk, key: str) -> RecommendationStatus:
    return desk.stored(key).status


def reconciliation_asks(desk: PlayedDesk) -> bool:
    """Whether the sensor would start a look now."""
    resources = {
        "ledger": desk.desk.ledger,
        "broker": desk.desk.broker,
        "terms": desk.desk.terms,
    }
    with dg.build_sensor_context(desk.instance, resources=resources) as context:
        return isinstance(reconciliation_sensor(context), dg.RunRequest)


def test_whole_day_from_scan_to_summary(open_desk: Open) -> None:
    """One approved, one rejected, one left: the day ends with one trade, all accounted for."""
    desk = open_desk()
    yes, no, left = (one.id for one in desk.pending())
    desk.approve(yes)
    desk.answer(no, DecisionVerdict.REJECT, reason="too close to earnings")
    assert desk.execute_approved() == [yes]
    (trade,) = desk.trades()
    assert trade.recommendation_id == yes
    shown = desk.stored(yes).recommendation
    assert trade.entry_credit >= shown.floor_credit

    desk.advance(scan_at(Scan.MIDDAY))
    watched = desk.watch()
    assert metadata(watched, ACCOUNT, "positions")["dagster/row_count"] == 1
    assert failed_checks(watched) == []
    midday = desk.scan(Scan.MIDDAY)
    assert midday.success, first_failure(midday)
    assert failed_checks(midday) == []
    assert status(desk, left) is RecommendationStatus.EXPIRED
    assert desk.approve(left).outcome is DecisionOutcome.EXPIRED

    desk.advance(at(16, 15))
    summary = desk.summary()
    assert summary.success, first_failure(summary)
    assert failed_checks(summary) == []
    money = desk.desk.broker.account()
    with desk.desk.ledger.reading(ACCOUNT) as book:
        (day,) = book.performance()
    assert (day.session, day.open_trades, day.trades_opened) == (SESSION, 1, 1)
    assert day.equity == money.equity
    assert money.cash == STARTING_CASH + trade.entry_credit * trade.contracts * 100
    followed = desk.desk.lake.read(f"{ACCOUNT}.counterfactuals", session=SESSION)
    assert {no, left} <= set(followed["recommendation_id"])
    assert yes not in set(followed["recommendation_id"])
    assert status(desk, no) is RecommendationStatus.REJECTED
    assert desk.orders_posted() == 1


def test_every_number_leads_back_to_stored_quotes(open_desk: Open) -> None:
    """Recommendation, fill and mark each name the snapshot they were made from."""
    desk = open_desk()
    lake, key = desk.desk.lake, approved(desk)
    desk.execute_approved()
    desk.advance(at(9, 40))
    desk.watch()
    with desk.desk.ledger.reading(ACCOUNT) as book:
        fills, marks = book.fills(), book.marks()
    shown = desk.stored(key).recommendation
    snapshot = lake.snapshot(content_hash=shown.snapshot_hash)
    assert lake.snapshot(session=SESSION, scan="morning").content_hash == shown.snapshot_hash
    assert snapshot.as_of == shown.created_at
    quotes = snapshot.quotes.set_index("symbol")
    for quote in shown.quotes:
        seen = quotes.loc[quote.symbol]
        assert (float(quote.bid), float(quote.ask)) == (seen["bid"], seen["ask"])
    assert {fill.symbol for fill in fills} == set(shown.structure.symbols)
    for fill in fills:
        assert fill.snapshot is not None
        seen = lake.snapshot(content_hash=fill.snapshot).quotes.set_index("symbol").loc[fill.symbol]
        assert fill.bid is not None
        assert fill.ask is not None
        assert (float(fill.bid), float(fill.ask)) == (seen["bid"], seen["ask"])
    (mark,) = marks
    assert mark.snapshot_hash is not None
    held = lake.snapshot(content_hash=mark.snapshot_hash)
    assert held.as_of == mark.marked_at
    assert set(shown.structure.symbols) <= set(held.quotes["symbol"])
    assert desk.stored(key).recommendation.run_id in {r.run_id for r in desk.instance.get_runs()}


def test_rejected_recommendation_is_never_sent(open_desk: Open) -> None:
    desk = open_desk()
    key = first_pending(desk)
    desk.answer(key, DecisionVerdict.REJECT, reason="no")
    assert desk.approve(key).outcome is DecisionOutcome.ALREADY_DECIDED
    assert desk.execute_approved() == []
    result = desk.execute(key)
    assert metadata(result, ACCOUNT, "orders")["status"] == "not_approved"
    assert status(desk, key) is RecommendationStatus.REJECTED
    assert desk.orders_posted() == 0


def test_clicking_twice_sends_one_order(open_desk: Open) -> None:
    """Two answers, two ticks and two runs by hand: one order at the exchange."""
    desk = open_desk()
    key = approved(desk)
    again = desk.approve(key)
    assert again.outcome is DecisionOutcome.ALREADY_DECIDED
    assert "already answered: approve by tester" in again.message
    assert desk.execute_approved() == [key]
    assert desk.execute_approved() == []
    repeated = desk.execute(key)
    assert repeated.success, first_failure(repeated)
    assert metadata(repeated, ACCOUNT, "orders")["status"] == "executed"
    assert desk.orders_posted() == 1
    assert len(desk.trades()) == len(desk.orders()) == 1


def test_rejecting_after_approving_changes_nothing(open_desk: Open) -> None:
    desk = open_desk()
    key = approved(desk)
    late = desk.answer(key, DecisionVerdict.REJECT)
    assert late.outcome is DecisionOutcome.ALREADY_DECIDED
    assert late.decision is not None
    assert late.decision.verdict is DecisionVerdict.APPROVE
    assert desk.execute_approved() == [key]
    assert status(desk, key) is RecommendationStatus.EXECUTED


def test_approval_that_comes_to_its_run_too_late_is_not_sent(open_desk: Open) -> None:
    desk = open_desk()
    key = approved(desk)
    desk.advance(desk.stored(key).recommendation.expires_at)
    assert desk.execute_approved() == [key]
    assert status(desk, key) is RecommendationStatus.EXPIRED
    assert "recommendation_expired" in desk.stored(key).status_reason
    assert "execution_refused" in desk.audited(key)
    assert desk.orders_posted() == 0


def test_price_that_moved_lapses_with_its_code(open_desk: Open) -> None:
    """What was approved is a price band; a person is asked again rather than guessed for."""
    desk = open_desk(approval={"underlying_drift": "0.0001"})
    key = approved(desk)
    desk.advance(at(9, 55))
    assert desk.execute_approved() == [key]
    stored = desk.stored(key)
    assert stored.status is RecommendationStatus.LAPSED
    assert "underlying_moved" in stored.status_reason
    assert desk.orders_posted() == 0
    with desk.desk.ledger.reading(ACCOUNT) as book:
        told = [message for message in book.outbox() if message["subject"] == key]
    assert len(told) == 2, "its card, and that it was not executed"


@pytest.mark.parametrize("state", [TradingState.HALTED, TradingState.REDUCING])
def test_halted_account_opens_nothing_until_a_person_resumes(
    open_desk: Open, state: TradingState
) -> None:
    desk = open_desk()
    first, second = (one.id for one in desk.pending()[:2])
    _set_state(desk, state)
    desk.approve(first)
    assert desk.execute_approved() == [first]
    assert status(desk, first) is RecommendationStatus.LAPSED
    assert "trading_state_forbids" in desk.stored(first).status_reason
    assert desk.orders_posted() == 0
    _set_state(desk, TradingState.ACTIVE)
    desk.approve(second)
    assert desk.execute_approved() == [second]
    assert status(desk, second) is RecommendationStatus.EXECUTED
    assert status(desk, first) is RecommendationStatus.LAPSED, "a lapsed approval stays lapsed"


def _set_state(desk: PlayedDesk, state: TradingState) -> None:
    now = desk.desk.broker.clock().now
    with desk.desk.ledger.transaction(ACCOUNT) as book:
        book.set_trading_state(state, reason="test", by="tester", at=now)


def test_dry_run_records_the_intent_and_sends_nothing(open_desk: Open) -> None:
    desk = open_desk(dry_run=True)
    key = approved(desk)
    assert desk.execute_approved() == [key]
    (intent,) = desk.orders()
    assert (intent.status, intent.status_reason) == (OrderStatus.CANCELLED, "dry_run")
    assert intent.limit_price is not None
    assert status(desk, key) is RecommendationStatus.LAPSED
    assert desk.orders_posted() == 0
    assert desk.trades() == ()


class TestCrash:
    """The desk dies between an order and its record."""

    def test_second_run_records_the_order_of_the_first(self, open_desk: Open) -> None:
        desk = open_desk()
        key = approved(desk)
        crashed = desk.execute(key, resources=_dying(desk))
        assert "the process died here" in first_failure(crashed)
        assert desk.orders_posted() == 1
        assert desk.trades() == ()
        assert status(desk, key) is RecommendationStatus.EXECUTING
        recovered = desk.execute(key)
        assert metadata(recovered, ACCOUNT, "orders")["status"] == "executed"
        assert desk.orders_posted() == 1
        (trade,) = desk.trades()
        assert trade.contracts == desk.stored(key).recommendation.contracts
        assert failed_checks(desk.watch()) == []

    def test_reconciliation_finds_it_when_nobody_runs_it_again(self, open_desk: Open) -> None:
        desk = open_desk()
        key = approved(desk)
        assert not reconciliation_asks(desk)
        desk.execute(key, resources=_dying(desk))
        assert reconciliation_asks(desk)
        looked = desk.watch()
        assert metadata(looked, ACCOUNT, "positions")["settled_orders"] == 1
        assert status(desk, key) is RecommendationStatus.EXECUTED
        assert len(desk.trades()) == desk.orders_posted() == 1
        assert not reconciliation_asks(desk)

    def test_order_that_never_arrived_is_given_up_and_not_repeated(self, open_desk: Open) -> None:
        """Whether it left cannot be known, so it is never sent a second time."""
        desk = open_desk()
        key = approved(desk)
        desk.execute(key, resources=_dying(desk, before=True))
        desk.execute(key)
        (order,) = desk.orders()
        assert order.status is OrderStatus.UNKNOWN
        assert reconciliation_asks(desk)
        desk.advance(at(9, 40))
        desk.watch()
        (order,) = desk.orders()
        assert (order.status, order.status_reason) == (OrderStatus.REJECTED, "not_at_broker")
        assert status(desk, key) is RecommendationStatus.FAILED
        assert desk.orders_posted() == 0
        assert not reconciliation_asks(desk)


def _dying(desk: PlayedDesk, *, before: bool = False) -> dict[str, object]:
    return {"broker": CrashedAfterSubmitting(desk.desk.broker, before=before)}


def test_execution_waits_for_its_turn_at_the_broker(open_desk: Open) -> None:
    """Two approvals seconds apart are two runs at once; the second must not be lost."""
    desk = open_desk()
    key = approved(desk)
    with desk.desk.ledger.lease(
        OPENING_LEASE, account_id=ACCOUNT, holder="another run", seconds=1.0
    ):
        assert desk.execute_approved() == [key]
    assert status(desk, key) is RecommendationStatus.EXECUTED


def test_approval_outlives_an_exchange_that_was_down(scanned_book: Path, tmp_path: Path) -> None:
    """A run that failed before it could do anything leaves the approval for the next tick."""
    home = tmp_path / "home"
    with copied(scanned_book, home) as desk:
        key = approved(desk)
        desk.exchange.stop()
        failed = desk.execute(key)
        assert not failed.success
        assert status(desk, key) is RecommendationStatus.APPROVED
    with played(home) as desk:
        assert desk.execute_approved() == [key]
        assert status(desk, key) is RecommendationStatus.EXECUTED
        assert desk.orders_posted() == 1


def test_exchange_that_is_down_fails_the_scan_with_a_clear_error(open_desk: Open) -> None:
    desk = open_desk()
    before = desk.desk.lake.snapshot(session=SESSION, scan="morning").content_hash
    desk.exchange.stop()
    result = desk.scan()
    assert not result.success
    assert "BrokerUnavailable" in first_failure(result)
    assert desk.desk.lake.snapshot(session=SESSION, scan="morning").content_hash == before


def test_exit_closes_the_trade_and_teaches(open_desk: Open) -> None:
    """A time exit at the next look: closed, booked to the cent, reflected on, a rule proposed."""
    desk = open_desk(exits={"time_exit_dte": 60})
    key = approved(desk)
    desk.execute_approved()
    desk.advance(at(10, 0))
    looked = desk.watch()
    assert metadata(looked, ACCOUNT, "exits")["dagster/row_count"] == 1
    (trade,) = desk.trades()
    assert (trade.status, trade.exit_reason) == (TradeStatus.CLOSED, ExitReason.TIME_EXIT)
    assert trade.exit_debit is not None
    assert trade.pnl_usd == (trade.entry_credit - trade.exit_debit) * trade.contracts * 100
    assert desk.desk.broker.account().cash == STARTING_CASH + trade.pnl_usd
    assert desk.desk.broker.positions() == ()
    desk.watch()
    assert desk.orders_posted() == 2, "one to open, one to close"
    assert len(desk.orders(OrderPurpose.CLOSE)) == 1

    desk.advance(at(16, 15))
    for _ in range(2):
        summary = desk.summary()
        assert summary.success, first_failure(summary)
        assert failed_checks(summary) == []
    with desk.desk.ledger.reading(ACCOUNT) as book:
        (day,) = book.performance()
        (reflection,) = book.reflections()
        (rule,) = book.rules()
        playbook = book.playbook(as_of=at(23, 0))
    assert (day.trades_closed, day.realised_pnl) == (1, trade.pnl_usd)
    assert (reflection.trade_id, reflection.pnl_usd) == (trade.id, trade.pnl_usd)
    assert trade.id in rule.evidence
    assert playbook.rules == (), "a proposed rule counts for nothing until a person adopts it"
    assert status(desk, key) is RecommendationStatus.EXECUTED


def test_rerun_replaces_its_partition_and_proposes_nothing_twice(open_desk: Open) -> None:
    desk = open_desk()
    lake = desk.desk.lake
    tables = ("screened_candidates", "main.theses", "main.recommendations", "iv_ranks")
    before = {name: lake.read(name, session=SESSION, scan="morning") for name in tables}
    stored = desk.recommendations()
    key = approved(desk)
    result = desk.scan()
    assert result.success, first_failure(result)
    for name in tables:
        again = lake.read(name, session=SESSION, scan="morning")
        assert again.to_dict("list") == before[name].to_dict("list"), name
    assert [one.recommendation for one in desk.recommendations()] == [
        one.recommendation for one in stored
    ]
    assert status(desk, key) is RecommendationStatus.APPROVED
    with desk.desk.ledger.reading(ACCOUNT) as book:
        cards = [message for message in book.outbox() if message["kind"] == "recommendation_card"]
    assert len(cards) == len(stored)


@pytest.mark.parametrize(
    ("session", "scan"),
    [
        (date(2025, 2, 28), Scan.MORNING),
        (SESSION, Scan.AFTERNOON),
        (date(2025, 3, 4), Scan.MORNING),
    ],
)
def test_moment_that_is_not_now_is_refused_and_leaves_no_quotes(
    open_desk: Open, session: date, scan: Scan
) -> None:
    """A backfill would fill yesterday with today's quotes; the lake keeps no such row."""
    desk = open_desk()
    result = desk.scan(scan, session)
    assert not result.success
    assert "NotObservable" in first_failure(result)
    for table in ("option_chains", "underlying_quotes", "implied_volatilities", "main.theses"):
        assert not desk.desk.lake.has(table, session=session, scan=scan.value), table
    assert {one.recommendation.session for one in desk.recommendations()} == {SESSION}


def test_chains_that_cannot_be_trusted_stop_the_scan(open_desk: Open) -> None:
    """No chain for any underlying: the blocking check fails, and nothing is computed from it."""
    desk = open_desk(universe=["ZZZA", "ZZZB"])
    desk.advance(scan_at(Scan.MIDDAY))
    result = desk.scan(Scan.MIDDAY)
    assert not result.success
    assert failed_checks(result) == ["chains_can_be_trusted"]
    computed = {
        key.to_user_string()
        for event in result.get_asset_materialization_events()
        if (key := event.asset_key) is not None
    }
    assert computed.isdisjoint({"implied_volatilities", "screened_candidates", "main/theses"})
    assert all(one.recommendation.scan == "morning" for one in desk.recommendations())


def test_scan_and_watch_are_recorded_with_their_partition(
    scanned_book: Path, tmp_path: Path
) -> None:
    """The instance is the desk's memory of runs: what `mahler dev` shows afterwards."""
    with copied(scanned_book, tmp_path / "home") as desk:
        desk.watch()
        runs = {run.job_name: run for run in desk.instance.get_runs()}
        assert runs["market_scan"].tags["dagster/partition"] == f"morning|{SESSION}"
        assert runs["position_watch"].tags["dagster/partition"] == session_key(SESSION)
        ready = json.loads((desk.desk.paths.exchange / "exchange.json").read_text())
        assert ready["pid"] == desk.exchange.pid
    assert desk.exchange.pid is None
    assert not (desk.desk.paths.exchange / "exchange.json").exists()
