"""Sensors: approvals become runs once, the market's clock plays the day, differences are found."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import dagster as dg
import pytest
from dagster import DagsterRunStatus
from dagster._core.definitions.run_status_sensor_definition import build_run_status_sensor_context

from mahler_pipelines.decisions.approvals import decide
from mahler_pipelines.decisions.recommendation import DecisionVerdict, RecommendationStatus
from mahler_pipelines.errors import BrokerUnavailable
from mahler_pipelines.execution.broker import OrderStatus
from mahler_pipelines.execution.close_requests import CloseRequest, CloseWish
from mahler_pipelines.execution.desk_terms import DeskTerms
from mahler_pipelines.execution.intents import closing_intent, opening_intent
from mahler_pipelines.execution.trades import ExitReason, TradeStatus
from mahler_pipelines.market.chains import Scan
from mahler_pipelines.market.sessions import NEW_YORK
from mahler_pipelines.orchestration.sensors import (
    RECOMMENDATION_TAG,
    RETRY_AFTER,
    approval_sensor,
    close_request_sensor,
    limit_walk_sensor,
    market_clock_sensor,
    reconciliation_sensor,
    run_failure_alert_sensor,
)
from mahler_pipelines.risk.trading_state import TradingState
from mahler_pipelines.storage.ledger import SqlLedgerBook
from tests.execution.fakes import FakeBroker
from tests.execution.scenes import LONG, NOW, SHORT, recommendation, trade

SHOWN = recommendation()


@dg.op
def nothing() -> None:
    """Do nothing."""


@dg.job
def idle() -> None:
    """Do nothing."""
    nothing()


def propose(ledger: SqlLedgerBook) -> None:
    with ledger.transaction("main") as book:
        book.add_recommendation(SHOWN, at=NOW)


def answer(ledger: SqlLedgerBook, verdict: DecisionVerdict) -> None:
    with ledger.transaction("main") as book:
        decide(
            book,
            recommendation_id=SHOWN.id,
            verdict=verdict,
            decided_by="anna",
            door="test",
            at=NOW + timedelta(minutes=1),
        )


def evaluate(
    instance: dg.DagsterInstance,
    ledger: SqlLedgerBook,
    terms: DeskTerms,
    *,
    cursor: str | None = None,
) -> dg.SensorResult:
    resources = {"ledger": ledger, "terms": terms}
    with dg.build_sensor_context(instance, cursor=cursor, resources=resources) as context:
        found = approval_sensor(context)
    assert isinstance(found, dg.SensorResult)
    return found


def requested(result: dg.SensorResult) -> list[str]:
    return [str(request.partition_key) for request in result.run_requests or []]


class TestApprovals:
    """Each approval starts its run, and only approvals do."""

    @pytest.fixture(autouse=True)
    def _impatient(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A tick under the daemon would wait for the next click."""
        monkeypatch.setattr("mahler_pipelines.orchestration.sensors.WAIT_SECONDS", 0.0)

    def test_pending_recommendation_asks_for_nothing(
        self, instance: dg.DagsterInstance, ledger: SqlLedgerBook, terms: DeskTerms
    ) -> None:
        propose(ledger)
        result = evaluate(instance, ledger, terms)
        assert requested(result) == []
        assert result.skip_reason is not None

    def test_rejected_recommendation_asks_for_nothing(
        self, instance: dg.DagsterInstance, ledger: SqlLedgerBook, terms: DeskTerms
    ) -> None:
        propose(ledger)
        answer(ledger, DecisionVerdict.REJECT)
        assert requested(evaluate(instance, ledger, terms)) == []

    def test_approval_asks_for_one_run_and_its_partition(
        self, instance: dg.DagsterInstance, ledger: SqlLedgerBook, terms: DeskTerms
    ) -> None:
        """The partition is added with the request, or the run could not start."""
        propose(ledger)
        answer(ledger, DecisionVerdict.APPROVE)
        result = evaluate(instance, ledger, terms)
        assert requested(result) == [SHOWN.id]
        (added,) = result.dynamic_partitions_requests or ()
        assert isinstance(added, dg.AddDynamicPartitionsRequest)
        assert added.partitions_def_name == "main_recommendations"
        assert list(added.partition_keys) == [SHOWN.id]

    def test_clicking_twice_asks_for_one_run(
        self, instance: dg.DagsterInstance, ledger: SqlLedgerBook, terms: DeskTerms
    ) -> None:
        propose(ledger)
        answer(ledger, DecisionVerdict.APPROVE)
        answer(ledger, DecisionVerdict.APPROVE)
        assert requested(evaluate(instance, ledger, terms)) == [SHOWN.id]

    def test_approval_of_another_account_is_not_ours(
        self, instance: dg.DagsterInstance, ledger: SqlLedgerBook, terms: DeskTerms
    ) -> None:
        propose(ledger)
        answer(ledger, DecisionVerdict.APPROVE)
        assert requested(evaluate(instance, ledger, replace(terms, account_id="second"))) == []

    @pytest.mark.parametrize(
        "status",
        [DagsterRunStatus.NOT_STARTED, DagsterRunStatus.STARTED, DagsterRunStatus.SUCCESS],
    )
    def test_run_on_its_way_or_just_over_is_not_asked_for_again(
        self,
        instance: dg.DagsterInstance,
        ledger: SqlLedgerBook,
        terms: DeskTerms,
        status: DagsterRunStatus,
    ) -> None:
        propose(ledger)
        answer(ledger, DecisionVerdict.APPROVE)
        first = evaluate(instance, ledger, terms)
        instance.create_run_for_job(idle, status=status, tags={RECOMMENDATION_TAG: SHOWN.id})
        assert requested(evaluate(instance, ledger, terms, cursor=first.cursor)) == []

    def test_run_that_failed_is_tried_again_after_a_rest(
        self,
        instance: dg.DagsterInstance,
        ledger: SqlLedgerBook,
        terms: DeskTerms,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """The broker was down: the approval stands, and nobody clicks a second time."""
        propose(ledger)
        answer(ledger, DecisionVerdict.APPROVE)
        first = evaluate(instance, ledger, terms)
        failed, tags = DagsterRunStatus.FAILURE, {RECOMMENDATION_TAG: SHOWN.id}
        instance.create_run_for_job(idle, status=failed, tags=tags)
        assert requested(evaluate(instance, ledger, terms, cursor=first.cursor)) == []
        monkeypatch.setattr("mahler_pipelines.orchestration.sensors.RETRY_AFTER", RETRY_AFTER * 0)
        again = evaluate(instance, ledger, terms, cursor=first.cursor)
        assert requested(again) == [SHOWN.id]
        keys = {request.run_key for one in (first, again) for request in one.run_requests or []}
        assert len(keys) == 2, "a run key that was used once starts nothing"

    def test_intent_of_a_killed_run_is_taken_up_again(
        self,
        instance: dg.DagsterInstance,
        ledger: SqlLedgerBook,
        terms: DeskTerms,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Its process died before the order left: once nobody holds the lease, another run goes."""
        propose(ledger)
        answer(ledger, DecisionVerdict.APPROVE)
        first = evaluate(instance, ledger, terms)
        limit, mid = Decimal("-1.10"), Decimal("-1.15")
        intent = opening_intent(
            SHOWN, attempt=1, limit_price=limit, mid=mid, at=NOW, run_id="run-1"
        )
        approved, executing = RecommendationStatus.APPROVED, RecommendationStatus.EXECUTING
        with ledger.transaction("main") as book:
            book.add_order(intent)
            book.move_recommendation(SHOWN.id, expected=approved, to=executing, at=NOW)
        tags = {RECOMMENDATION_TAG: SHOWN.id}
        instance.create_run_for_job(idle, status=DagsterRunStatus.FAILURE, tags=tags)
        monkeypatch.setattr("mahler_pipelines.orchestration.sensors.RETRY_AFTER", RETRY_AFTER * 0)
        with ledger.lease("broker", account_id="main", holder="killed", seconds=60):
            assert requested(evaluate(instance, ledger, terms, cursor=first.cursor)) == []
        again = evaluate(instance, ledger, terms, cursor=first.cursor)
        assert requested(again) == [SHOWN.id]

    def test_executed_recommendation_asks_for_nothing_more(
        self, instance: dg.DagsterInstance, ledger: SqlLedgerBook, terms: DeskTerms
    ) -> None:
        propose(ledger)
        answer(ledger, DecisionVerdict.APPROVE)
        with ledger.transaction("main") as book:
            for before, after in (
                (RecommendationStatus.APPROVED, RecommendationStatus.EXECUTING),
                (RecommendationStatus.EXECUTING, RecommendationStatus.EXECUTED),
            ):
                book.move_recommendation(SHOWN.id, expected=before, to=after, at=NOW)
        assert requested(evaluate(instance, ledger, terms)) == []


class Clock:
    """Ticks of `market_clock_sensor` with the cursor carried along."""

    def __init__(self, instance: dg.DagsterInstance, broker: FakeBroker, terms: DeskTerms) -> None:
        self.instance, self.broker, self.terms = instance, broker, terms
        self.cursor: str | None = None

    def tick(self, at: str) -> list[tuple[str, str]]:
        """Put the market's clock on a New York time; return jobs and partitions asked for."""
        self.broker.now = datetime.fromisoformat(at).replace(tzinfo=NEW_YORK).astimezone(UTC)
        resources = {"broker": self.broker, "terms": self.terms}
        with dg.build_sensor_context(
            self.instance, cursor=self.cursor, resources=resources
        ) as context:
            found = market_clock_sensor(context)
        assert isinstance(found, dg.SensorResult)
        self.cursor = found.cursor
        return [(str(r.job_name), str(r.partition_key)) for r in found.run_requests or []]


@pytest.fixture
def clock(instance: dg.DagsterInstance, broker: FakeBroker, terms: DeskTerms) -> Clock:
    return Clock(instance, broker, terms)


class TestMarketClock:
    """A market whose clock is not the machine's is played by its own."""

    def test_each_moment_is_played_once(self, clock: Clock) -> None:
        """The sensor comes round every few seconds; a clock that stands gives nothing new."""
        looks = [("position_watch", "2025-03-03"), ("market_scan", "morning|2025-03-03")]
        assert clock.tick("2025-03-03T09:35") == [("session_brief", "2025-03-03"), *looks]
        assert clock.tick("2025-03-03T09:35") == []
        assert clock.tick("2025-03-03T09:37") == []
        assert clock.tick("2025-03-03T09:40") == [("position_watch", "2025-03-03")]
        assert clock.tick("2025-03-03T16:15") == [("end_of_day", "2025-03-03")]
        assert clock.tick("2025-03-03T18:00") == []

    def test_scan_that_a_quick_clock_passed_is_played_until_the_next(self, clock: Clock) -> None:
        """At a minute per second the clock can be past 09:40 when the sensor comes round."""
        clock.tick("2025-03-03T09:33")
        assert ("market_scan", "morning|2025-03-03") in clock.tick("2025-03-03T09:52")
        assert ("market_scan", "morning|2025-03-03") not in clock.tick("2025-03-03T09:57")
        assert ("market_scan", "afternoon|2025-03-03") in clock.tick("2025-03-03T15:40")

    @pytest.mark.parametrize(
        ("at", "scan"),
        [
            ("2025-03-03T12:00", "midday"),
            ("2025-03-03T15:31", "afternoon"),
            ("2025-11-28T12:30", "afternoon"),
        ],
    )
    def test_scan_is_played_at_its_moment(self, clock: Clock, at: str, scan: str) -> None:
        assert ("market_scan", f"{scan}|{at[:10]}") in clock.tick(at)

    def test_archive_has_the_close_alone(
        self, instance: dg.DagsterInstance, broker: FakeBroker, terms: DeskTerms
    ) -> None:
        """One look a day, at its end: there is nothing to scan in the morning."""
        clock = Clock(instance, broker, replace(terms, scans=(Scan.CLOSE,)))
        watch, brief = ("position_watch", "2025-03-03"), ("session_brief", "2025-03-03")
        assert clock.tick("2025-03-03T09:35") == [brief, watch]
        assert clock.tick("2025-03-03T15:59") == [watch, ("market_scan", "close|2025-03-03")]

    def test_scan_before_the_first_look_is_not_made_up_for(self, clock: Clock) -> None:
        """A desk that is opened at ten does not take ten's quotes for the morning's."""
        found = clock.tick("2025-03-03T10:00")
        assert [job for job, _ in found] == ["session_brief", "position_watch"]

    def test_brief_comes_before_the_open_or_with_the_first_look(self, clock: Clock) -> None:
        assert clock.tick("2025-03-03T08:59") == []
        assert clock.tick("2025-03-03T09:00") == [("session_brief", "2025-03-03")]
        assert clock.tick("2025-03-03T09:10") == []
        assert clock.tick("2025-03-03T09:31") == [("position_watch", "2025-03-03")]
        assert ("session_brief", "2025-03-04") in clock.tick("2025-03-04T11:00")

    @pytest.mark.parametrize(
        "at", ["2025-03-01T12:00", "2025-07-04T12:00", "2025-03-03T08:30", "2025-03-03T16:10"]
    )
    def test_nothing_is_played_while_the_market_is_closed(self, clock: Clock, at: str) -> None:
        assert clock.tick(at) == []

    def test_early_close_is_summed_up_early(self, clock: Clock) -> None:
        assert clock.tick("2025-07-03T13:15") == [("week_review", "2025-07-03")]
        assert clock.tick("2025-12-24T13:15") == [("end_of_day", "2025-12-24")]

    def test_week_is_reviewed_with_its_last_session(self, clock: Clock) -> None:
        """No Sunday evening comes for a clock that goes from session to session."""
        assert clock.tick("2025-03-06T16:15") == [("end_of_day", "2025-03-06")]
        assert clock.tick("2025-03-07T16:15") == [("week_review", "2025-03-07")]
        # Good Friday was a holiday.
        assert clock.tick("2025-04-17T16:15") == [("week_review", "2025-04-17")]

    def test_live_market_is_left_to_the_schedules(
        self, instance: dg.DagsterInstance, broker: FakeBroker, terms: DeskTerms
    ) -> None:
        broker.now = datetime.now(UTC)
        resources = {"broker": broker, "terms": terms}
        with dg.build_sensor_context(instance, resources=resources) as context:
            found = market_clock_sensor(context)
        assert isinstance(found, dg.SkipReason)
        assert "schedules" in str(found.skip_message)

    def test_market_that_does_not_answer_is_a_reason(
        self, instance: dg.DagsterInstance, terms: DeskTerms
    ) -> None:
        """`mahler dev` may not have been started: that is no failure of the desk."""
        resources = {"broker": Silent(), "terms": terms}
        with dg.build_sensor_context(instance, resources=resources) as context:
            found = market_clock_sensor(context)
        assert isinstance(found, dg.SkipReason)
        assert "no local exchange runs" in str(found.skip_message)


class Silent:
    """A broker that does not answer."""

    def clock(self) -> None:
        """Refuse."""
        raise BrokerUnavailable("no local exchange runs")


def reconcile(
    instance: dg.DagsterInstance, ledger: SqlLedgerBook, broker: object, terms: DeskTerms
) -> dg.RunRequest | str:
    resources = {"ledger": ledger, "broker": broker, "terms": terms}
    with dg.build_sensor_context(instance, resources=resources) as context:
        found = reconciliation_sensor(context)
    if isinstance(found, dg.SkipReason):
        return str(found.skip_message)
    assert isinstance(found, dg.RunRequest)
    return found


def open_trade(ledger: SqlLedgerBook) -> dict[str, int]:
    """Put an open trade into the ledger; return what the broker should hold."""
    held = trade()
    with ledger.transaction("main") as book:
        book.add_recommendation(SHOWN, at=NOW)
        book.open_trade(held)
    return {leg.contract.symbol: leg.signed_ratio * held.contracts for leg in held.structure.legs}


def closes(
    instance: dg.DagsterInstance, ledger: SqlLedgerBook, broker: object, terms: DeskTerms
) -> dg.RunRequest | str:
    resources = {"ledger": ledger, "broker": broker, "terms": terms}
    with dg.build_sensor_context(instance, resources=resources) as context:
        found = close_request_sensor(context)
    if isinstance(found, dg.SkipReason):
        return str(found.skip_message)
    assert isinstance(found, dg.RunRequest)
    return found


class TestCloseRequests:
    """A person's wish to close starts a look, and only while it waits."""

    @pytest.fixture(autouse=True)
    def _open(self, ledger: SqlLedgerBook) -> None:
        open_trade(ledger)

    def test_wish_starts_a_look_of_the_session(
        self,
        instance: dg.DagsterInstance,
        ledger: SqlLedgerBook,
        broker: FakeBroker,
        terms: DeskTerms,
    ) -> None:
        assert closes(instance, ledger, broker, terms) == "no wish to close waits"
        ask(ledger, CloseWish.CLOSE)
        found = closes(instance, ledger, broker, terms)
        assert isinstance(found, dg.RunRequest)
        assert found.partition_key == "2025-03-03"
        again = closes(instance, ledger, broker, terms)
        assert isinstance(again, dg.RunRequest)
        assert found.run_key == again.run_key, "ticks seconds apart start one run"

    def test_wish_that_a_look_could_not_fulfil_is_tried_a_minute_later(
        self,
        instance: dg.DagsterInstance,
        ledger: SqlLedgerBook,
        broker: FakeBroker,
        terms: DeskTerms,
    ) -> None:
        ask(ledger, CloseWish.CLOSE)
        found = closes(instance, ledger, broker, terms)
        broker.now += timedelta(minutes=1)
        again = closes(instance, ledger, broker, terms)
        assert isinstance(found, dg.RunRequest)
        assert isinstance(again, dg.RunRequest)
        assert found.run_key != again.run_key

    @pytest.mark.parametrize("state", list(TradingState))
    def test_no_trading_state_holds_it(
        self,
        instance: dg.DagsterInstance,
        ledger: SqlLedgerBook,
        broker: FakeBroker,
        terms: DeskTerms,
        state: TradingState,
    ) -> None:
        with ledger.transaction("main") as book:
            book.set_trading_state(state, reason="a test", by="anna", at=NOW)
        ask(ledger, CloseWish.CLOSE)
        assert isinstance(closes(instance, ledger, broker, terms), dg.RunRequest)

    def test_keep_taken_up_and_closed_markets_start_nothing(
        self,
        instance: dg.DagsterInstance,
        ledger: SqlLedgerBook,
        broker: FakeBroker,
        terms: DeskTerms,
    ) -> None:
        ask(ledger, CloseWish.KEEP)
        assert closes(instance, ledger, broker, terms) == "no wish to close waits"
        ask(ledger, CloseWish.CLOSE)
        broker.is_open = False
        assert closes(instance, ledger, broker, terms) == "1 wait for the market to open"
        broker.is_open = True
        with ledger.transaction("main") as book:
            book.take_close_request(trade().id, at=NOW)
        assert closes(instance, ledger, broker, terms) == "no wish to close waits"

    def test_broker_that_does_not_answer_is_a_reason(
        self, instance: dg.DagsterInstance, ledger: SqlLedgerBook, terms: DeskTerms
    ) -> None:
        ask(ledger, CloseWish.CLOSE)
        assert "no local exchange runs" in str(closes(instance, ledger, Silent(), terms))


def ask(ledger: SqlLedgerBook, wish: CloseWish) -> None:
    with ledger.transaction("main") as book:
        book.request_close(CloseRequest(trade().id, wish, "anna", "cli", NOW))


class TestReconciliation:
    """A look is started when ledger and broker disagree, and only then."""

    def test_agreement_is_quiet(
        self,
        instance: dg.DagsterInstance,
        ledger: SqlLedgerBook,
        broker: FakeBroker,
        terms: DeskTerms,
    ) -> None:
        assert reconcile(instance, ledger, broker, terms) == "ledger and broker agree"
        broker.held = open_trade(ledger)
        assert reconcile(instance, ledger, broker, terms) == "ledger and broker agree"

    @pytest.mark.parametrize("change", [-1, 1])
    def test_position_that_differs_starts_a_look(
        self,
        instance: dg.DagsterInstance,
        ledger: SqlLedgerBook,
        broker: FakeBroker,
        terms: DeskTerms,
        change: int,
    ) -> None:
        broker.held = open_trade(ledger)
        symbol = next(iter(broker.held))
        broker.held[symbol] += change
        found = reconcile(instance, ledger, broker, terms)
        assert isinstance(found, dg.RunRequest)
        assert found.partition_key == "2025-03-03"

    def test_position_nobody_opened_starts_one_look(
        self,
        instance: dg.DagsterInstance,
        ledger: SqlLedgerBook,
        broker: FakeBroker,
        terms: DeskTerms,
    ) -> None:
        """The same difference has the same run key, so that it does not start a run every tick."""
        broker.held = {SHORT.symbol: -1}
        once = reconcile(instance, ledger, broker, terms)
        again = reconcile(instance, ledger, broker, terms)
        broker.held = {SHORT.symbol: -1, LONG.symbol: 1}
        other = reconcile(instance, ledger, broker, terms)
        assert isinstance(once, dg.RunRequest)
        assert isinstance(again, dg.RunRequest)
        assert isinstance(other, dg.RunRequest)
        assert once.run_key == again.run_key != other.run_key

    @pytest.mark.parametrize("status", [OrderStatus.UNKNOWN, OrderStatus.SUBMITTED])
    def test_order_of_unknown_outcome_starts_a_look(
        self,
        instance: dg.DagsterInstance,
        ledger: SqlLedgerBook,
        broker: FakeBroker,
        terms: DeskTerms,
        status: OrderStatus,
    ) -> None:
        propose(ledger)
        intent = opening_intent(
            SHOWN,
            attempt=1,
            limit_price=Decimal("-1.10"),
            mid=Decimal("-1.15"),
            at=NOW,
            run_id="run-1",
        )
        with ledger.transaction("main") as book:
            book.add_order(intent)
            for to in dict.fromkeys((OrderStatus.SUBMITTED, status)):
                live = (OrderStatus.INTENDED, OrderStatus.SUBMITTED)
                book.update_order(intent.client_order_id, expected=live, to=to, at=NOW)
        broker.now = NOW
        found = reconcile(instance, ledger, broker, terms)
        assert isinstance(found, dg.RunRequest)
        assert found.partition_key == "2026-01-12"

    def test_look_on_a_closed_day_belongs_to_the_last_session(
        self,
        instance: dg.DagsterInstance,
        ledger: SqlLedgerBook,
        broker: FakeBroker,
        terms: DeskTerms,
    ) -> None:
        broker.held, broker.now = {SHORT.symbol: -1}, datetime(2025, 3, 2, 15, tzinfo=UTC)
        found = reconcile(instance, ledger, broker, terms)
        assert isinstance(found, dg.RunRequest)
        assert found.partition_key == "2025-02-28"

    def test_broker_that_does_not_answer_is_a_reason(
        self, instance: dg.DagsterInstance, ledger: SqlLedgerBook, terms: DeskTerms
    ) -> None:
        found = reconcile(instance, ledger, Silent(), terms)
        assert isinstance(found, str)
        assert "cannot be read" in found


class TestLimitWalks:
    """A step that is due starts one run; one that is not starts none."""

    @staticmethod
    def tick(
        instance: dg.DagsterInstance, ledger: SqlLedgerBook, broker: object, terms: DeskTerms
    ) -> list[dg.RunRequest]:
        resources = {"ledger": ledger, "broker": broker, "terms": terms}
        with dg.build_sensor_context(instance, resources=resources) as context:
            found = limit_walk_sensor(context)
        return list(found.run_requests or []) if isinstance(found, dg.SensorResult) else []

    @staticmethod
    def works(ledger: SqlLedgerBook) -> None:
        """Leave the opening order of an approval working since NOW."""
        propose(ledger)
        answer(ledger, DecisionVerdict.APPROVE)
        limit, mid = Decimal("-1.18"), Decimal("-1.22")
        intent = opening_intent(SHOWN, attempt=1, limit_price=limit, mid=mid, at=NOW, run_id="r")
        with ledger.transaction("main") as book:
            book.add_order(intent)
            book.move_recommendation(
                SHOWN.id,
                expected=RecommendationStatus.APPROVED,
                to=RecommendationStatus.EXECUTING,
                at=NOW,
            )
            for to in (OrderStatus.SUBMITTED, OrderStatus.ACKNOWLEDGED):
                live = (OrderStatus.INTENDED, OrderStatus.SUBMITTED)
                book.update_order(intent.client_order_id, expected=live, to=to, at=NOW)

    def test_each_step_is_asked_for_once_when_it_is_due(
        self,
        instance: dg.DagsterInstance,
        ledger: SqlLedgerBook,
        broker: FakeBroker,
        terms: DeskTerms,
    ) -> None:
        self.works(ledger)
        keys = []
        for seconds in (0, 29, 30, 31, 65):
            broker.now = NOW + timedelta(seconds=seconds)
            requests = self.tick(instance, ledger, broker, terms)
            assert [one.partition_key for one in requests] == [SHOWN.id] * (seconds >= 30)
            assert all(one.job_name == "order_execution" for one in requests)
            keys += [one.run_key for one in requests]
        assert len(keys) == 3
        assert len(set(keys)) == 2, "the same step has the same key"

    def test_step_whose_run_is_on_its_way_is_not_asked_for_again(
        self,
        instance: dg.DagsterInstance,
        ledger: SqlLedgerBook,
        broker: FakeBroker,
        terms: DeskTerms,
    ) -> None:
        self.works(ledger)
        broker.now = NOW + timedelta(seconds=30)
        tags = {RECOMMENDATION_TAG: SHOWN.id}
        instance.create_run_for_job(idle, status=DagsterRunStatus.STARTED, tags=tags)
        assert self.tick(instance, ledger, broker, terms) == []

    def test_halt_is_due_at_once(
        self,
        instance: dg.DagsterInstance,
        ledger: SqlLedgerBook,
        broker: FakeBroker,
        terms: DeskTerms,
    ) -> None:
        self.works(ledger)
        broker.now = NOW + timedelta(seconds=1)
        with ledger.transaction("main") as book:
            book.set_trading_state(TradingState.HALTED, reason="no", by="anna", at=NOW)
        assert [one.partition_key for one in self.tick(instance, ledger, broker, terms)] == [
            SHOWN.id
        ]

    def test_close_that_walks_starts_one_look(
        self,
        instance: dg.DagsterInstance,
        ledger: SqlLedgerBook,
        broker: FakeBroker,
        terms: DeskTerms,
    ) -> None:
        held = replace(trade(), status=TradeStatus.CLOSING, exit_reason=ExitReason.PROFIT_TARGET)
        intent = closing_intent(
            held, attempt=1, quantity=3, limit_price=Decimal("0.46"), mid=None, at=NOW, run_id="r"
        )
        with ledger.transaction("main") as book:
            book.add_recommendation(SHOWN, at=NOW)
            book.open_trade(held)
            book.add_order(replace(intent, status=OrderStatus.ACKNOWLEDGED))
        broker.now = NOW + timedelta(seconds=29)
        assert self.tick(instance, ledger, broker, terms) == []
        broker.now = NOW + timedelta(seconds=30)
        (request,) = self.tick(instance, ledger, broker, terms)
        assert (request.job_name, request.partition_key) == ("position_watch", "2026-01-12")

    def test_broker_is_not_asked_while_nothing_works(
        self, instance: dg.DagsterInstance, ledger: SqlLedgerBook, terms: DeskTerms
    ) -> None:
        """An idle desk leaves the broker's rate limit alone; a silent one is a reason."""
        assert self.tick(instance, ledger, object(), terms) == []
        self.works(ledger)
        assert self.tick(instance, ledger, Silent(), terms) == []


@dg.op
def broken() -> None:
    """Fail with a reason."""
    raise ValueError("the chain of TUBA is empty")


@dg.job
def breaking() -> None:
    """Fail."""
    broken()


def test_failed_run_becomes_one_alert(
    instance: dg.DagsterInstance, ledger: SqlLedgerBook, terms: DeskTerms
) -> None:
    """Dagster may hand over the same failure twice; a person is told once, and told why."""
    result = breaking.execute_in_process(
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        instance=instance,
        raise_on_error=False,
    )
    (failure,) = [event for event in result.all_events if event.is_run_failure]
    for _ in range(2):
        with build_run_status_sensor_context(
            sensor_name="run_failure_alert_sensor",
            dagster_event=failure,
            dagster_instance=instance,
            dagster_run=result.dagster_run,
            resources={"ledger": ledger, "terms": terms},
        ) as context:
            run_failure_alert_sensor(context.for_run_failure())
    with ledger.reading("main") as book:
        (alert,) = book.outbox()
    assert alert["kind"] == "run_failed"
    assert alert["subject"] == result.run_id
    assert alert["payload"]["job"] == "breaking"
    assert alert["payload"]["message"] == "broken: ValueError: the chain of TUBA is empty"
