"""Run sessions through the Dagster graph in process, moment by moment of the market's clock."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

import dagster as dg

from mahler_pipelines.cli.desk_instance import execution_run_requests
from mahler_pipelines.composition import ComposedDesk
from mahler_pipelines.decisions.approvals import decide
from mahler_pipelines.decisions.recommendation import (
    DecisionVerdict,
    Recommendation,
    RecommendationStatus,
)
from mahler_pipelines.errors import BadInput
from mahler_pipelines.market.chains import Scan
from mahler_pipelines.market.sessions import TradingCalendar
from mahler_pipelines.orchestration.partitions import scan_key, session_key

if TYPE_CHECKING:
    from mahler_pipelines.exchange.process import LocalExchange


QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
"""Keeps the event stream out of the terminal; the instance still records all of it."""


class ApprovalPolicy(StrEnum):
    """Who answers recommendations during a run: everybody's yes, nobody, or the person here."""

    ALL = "all"
    NONE = "none"
    ASK = "ask"


class MomentKind(StrEnum):
    """What the desk does at a moment."""

    SCAN = "scan"
    WATCH = "watch"
    SUMMARY = "summary"


@dataclass(frozen=True, slots=True, order=True)
class Moment:
    """One moment of a session, in the order of the market's clock."""

    at: datetime
    kind: MomentKind
    scan: Scan | None = None


@dataclass(frozen=True, slots=True)
class RunPlan:
    """Which sessions and scans are run, how approvals are given, how often positions are seen."""

    sessions: tuple[date, ...]
    scans: tuple[Scan, ...]
    approve: ApprovalPolicy
    monitor: timedelta | None = None

    def __post_init__(self) -> None:
        if self.monitor is not None and self.monitor <= timedelta(0):
            raise BadInput("monitor", self.monitor, "is not positive")

    def moments(self, session: date, calendar: TradingCalendar) -> tuple[Moment, ...]:
        """Scans, looks at positions between them, and the summary after the close."""
        scans = [
            Moment(at, MomentKind.SCAN, scan)
            for scan in self.scans
            if (at := calendar.scan_time(session, scan)) is not None
        ]
        looks = [Moment(at, MomentKind.WATCH) for at in self._looks(session, calendar)]
        taken = {moment.at for moment in scans}
        between = [moment for moment in looks if moment.at not in taken]
        summary = Moment(calendar.eod_time(session), MomentKind.SUMMARY)
        return (*sorted([*scans, *between], key=lambda moment: moment.at), summary)

    def _looks(self, session: date, calendar: TradingCalendar) -> Iterator[datetime]:
        if self.monitor is None:
            return
        at = calendar.open(session) + self.monitor
        while at < calendar.close(session):
            yield at
            at += self.monitor


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

    def play(self, plan: RunPlan) -> None:
        """Run every moment of every session."""
        calendar = TradingCalendar()
        for session in plan.sessions:
            for moment in plan.moments(session, calendar):
                self.step(f"{session} {moment.scan or moment.kind}")
                self.exchange.advance_to(moment.at)
                self._moment(session, moment, plan.approve)

    def _moment(self, session: date, moment: Moment, policy: ApprovalPolicy) -> None:
        if moment.kind is MomentKind.SUMMARY:
            self._run("end_of_day", session_key(session))
            return
        self._run("position_watch", session_key(session))
        if moment.scan is not None:
            self._run("market_scan", scan_key(session, moment.scan))
            self._answer(policy, moment.at)
            self._execute_approved()

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
