"""Run sessions through the Dagster graph in process, moment by moment of the market's clock."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

import dagster as dg

from mahler_pipelines.cli.desk_instance import execution_run_requests
from mahler_pipelines.cli.repairing import reconcile_on_start
from mahler_pipelines.cli.run_plan import ApprovalPolicy, Moment, MomentKind, RunPlan
from mahler_pipelines.cli.walking_clock import next_step_at
from mahler_pipelines.composition import ComposedDesk
from mahler_pipelines.decisions.approvals import decide
from mahler_pipelines.decisions.recommendation import (
    DecisionVerdict,
    Recommendation,
    RecommendationStatus,
)
from mahler_pipelines.execution.exits import is_last_day
from mahler_pipelines.execution.halting import resume, unacknowledged_halts
from mahler_pipelines.execution.ledger import OrderPurpose
from mahler_pipelines.execution.trades import TradeStatus
from mahler_pipelines.execution.walks import OpenWalk, due_walks
from mahler_pipelines.market.sessions import TradingCalendar
from mahler_pipelines.orchestration.partitions import scan_key, session_key
from mahler_pipelines.review.learning_report import ends_week
from mahler_pipelines.risk.exit_terms import SAFE_BEFORE_CLOSE

if TYPE_CHECKING:
    from mahler_pipelines.exchange.process import LocalExchange


QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
"""Keeps the event stream out of the terminal; the instance still records all of it."""

BETWEEN_LOOKS = timedelta(minutes=5)


@dataclass(slots=True)
class SessionRunner:
    """Plays a plan: moves the exchange's clock, runs the jobs, evaluates the approval sensor."""

    desk: ComposedDesk
    definitions: dg.Definitions
    instance: dg.DagsterInstance
    exchange: "LocalExchange"
    ask: Callable[[Recommendation], bool | None]
    step: Callable[[str], None] = lambda _: None
    check_interrupt: Callable[[], None] = lambda: None
    failures: list[str] = field(default_factory=list)
    briefed: date | None = None

    def play(self, plan: RunPlan) -> None:
        """Reconcile, then run every moment of every session."""
        calendar = TradingCalendar()
        reconcile_on_start(self.desk)
        for session in plan.sessions:
            if plan.approve is ApprovalPolicy.ALL:
                self._resume(calendar.open(session))
            begun = calendar.open(session)
            for moment in plan.moments(session, calendar):
                begun = self._take_steps(session, begun, until=moment.at)
                self._close_expiring(session, begun, moment.at, calendar)
                begun = moment.at
                self.step(f"{session} {moment.scan or moment.kind}")
                self.exchange.advance_to(moment.at)
                self._moment(session, moment, plan.approve)

    def _take_steps(self, session: date, begun: datetime, *, until: datetime) -> datetime:
        """Move the clock from step to step of working orders before the next moment; where it ends.

        Under `mahler dev` this is `limit_walk_sensor`'s work; here nobody else moves the clock.
        """
        while True:
            at = next_step_at(self.desk, self.desk.broker.clock().now)
            if at is None or at >= until:
                return begun
            begun = at
            self.exchange.advance_to(at)
            due = self._due_walks(at)
            for one in due:
                if one.purpose is OrderPurpose.OPEN:
                    self._run("order_execution", one.subject_id)
            if any(one.purpose is OrderPurpose.CLOSE for one in due):
                self._run("position_watch", session_key(session))

    def _due_walks(self, at: datetime) -> tuple[OpenWalk, ...]:
        with self.desk.ledger.reading(self.desk.terms.account_id) as book:
            return due_walks(book, self.desk.terms.walk, now=at)

    def _close_expiring(
        self, session: date, after: datetime, before: datetime, calendar: TradingCalendar
    ) -> None:
        """Look between two moments while a trade is open in its last session, from its cut-off on.

        A plan's own moments may lie too far apart for it. An archive has no quotes in between.
        """
        close = calendar.close(session)
        at = self.desk.terms.exits.expiry_cutoff(close)
        if at is None or self.desk.source is None or self.desk.source.kind == "archive":
            return
        while at <= close - timedelta(minutes=SAFE_BEFORE_CLOSE):
            if after < at < before and self._has_expiring(at):
                self.exchange.advance_to(at)
                self._run("position_watch", session_key(session))
            at += BETWEEN_LOOKS

    def _has_expiring(self, at: datetime) -> bool:
        with self.desk.ledger.reading(self.desk.terms.account_id) as book:
            held = book.trades(statuses=[TradeStatus.OPEN, TradeStatus.CLOSING])
        return any(is_last_day(trade.structure, at) for trade in held)

    def _moment(self, session: date, moment: Moment, policy: ApprovalPolicy) -> None:
        if moment.kind is MomentKind.SUMMARY:
            # No Sunday is played: the week is reviewed with its last session.
            last = ends_week(session, TradingCalendar())
            self._run("week_review" if last else "end_of_day", session_key(session))
            return
        self._run("position_watch", session_key(session))
        if self.briefed != session:
            self._run("session_brief", session_key(session))
            self.briefed = session
        if moment.scan is not None:
            self._run("market_scan", scan_key(session, moment.scan))
            self._answer(policy, moment.at)
            self._execute_approved()

    def _resume(self, at: datetime) -> None:
        """Give everybody's yes to what halted the session before: nobody else could."""
        account = self.desk.terms.account_id
        with self.desk.ledger.transaction(account) as book:
            if unacknowledged_halts(book):
                by = f"policy:{ApprovalPolicy.ALL}"
                resume(book, reason="a new session of the run", by=by, at=at)

    def _answer(self, policy: ApprovalPolicy, at: datetime) -> None:
        """Give the announced policy's answer to whatever waits."""
        if policy is ApprovalPolicy.NONE:
            return
        account = self.desk.terms.account_id
        with self.desk.ledger.reading(account) as book:
            waiting = book.recommendations(statuses=[RecommendationStatus.PENDING])
        for stored in waiting:
            recommendation = stored.recommendation
            yes = True if policy is ApprovalPolicy.ALL else self.ask(recommendation)
            if yes is None:
                continue
            with self.desk.ledger.transaction(account) as book:
                decide(
                    book,
                    recommendation_id=recommendation.id,
                    verdict=DecisionVerdict.APPROVE if yes else DecisionVerdict.REJECT,
                    decided_by=f"policy:{policy}" if policy is ApprovalPolicy.ALL else "terminal",
                    door="run",
                    at=at,
                    shown_hash=recommendation.content_hash,
                )

    def _execute_approved(self) -> None:
        """Evaluate `approval_sensor` and run what it asks for."""
        for request in execution_run_requests(self.definitions, self.instance):
            self._run("order_execution", str(request.partition_key), dict(request.tags))

    def _run(self, job: str, partition: str, tags: dict[str, str] | None = None) -> None:
        result = self.definitions.resolve_job_def(job).execute_in_process(
            run_config=QUIET,
            instance=self.instance,
            partition_key=partition,
            raise_on_error=False,
            tags=tags,
        )
        self.check_interrupt()
        if not result.success:
            self.failures.append(f"{job} {partition}: {first_failure(result)}")


def first_failure(result: dg.ExecuteInProcessResult) -> str:
    """The step that failed first and the error at the bottom of it, in one line."""
    for event in result.all_events:
        if event.is_step_failure:
            error = event.step_failure_data.error
            while error is not None and error.cause is not None:
                error = error.cause
            said = error.message.strip().splitlines()[0] if error else event.message
            return f"{event.step_key}: {said}"
    return "no step says why"
