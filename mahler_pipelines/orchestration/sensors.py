"""Sensors: approvals become runs, the market's clock plays the day, differences are found."""

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster import DagsterInstance, RunsFilter

from mahler_pipelines.decisions.recommendation import RecommendationStatus
from mahler_pipelines.errors import BrokerUnavailable
from mahler_pipelines.execution.broker import Broker, OrderStatus
from mahler_pipelines.execution.close_requests import wanted_closes
from mahler_pipelines.execution.desk import session_of
from mahler_pipelines.execution.desk_terms import DeskTerms
from mahler_pipelines.execution.ledger import OrderPurpose
from mahler_pipelines.execution.positions import expected_positions
from mahler_pipelines.execution.trades import TradeStatus
from mahler_pipelines.execution.walks import OpenWalk, due_walks
from mahler_pipelines.market.chains import Scan
from mahler_pipelines.market.observation import current_scan
from mahler_pipelines.market.sessions import TradingCalendar
from mahler_pipelines.messaging.mail_room import MailRoom
from mahler_pipelines.orchestration.jobs import (
    end_of_day,
    market_scan,
    order_execution,
    position_watch,
    session_brief,
    week_review,
)
from mahler_pipelines.orchestration.partitions import recommendations_of, scan_key, session_key
from mahler_pipelines.orchestration.schedules import BEFORE_THE_OPEN
from mahler_pipelines.review.learning_report import ends_week
from mahler_pipelines.review.ledger import LedgerBook

WAIT_SECONDS = 4.0
POLL_SECONDS = 0.25
RECOMMENDATION_TAG = "mahler/recommendation"
RETRY_AFTER = timedelta(minutes=1)


@dg.sensor(
    job=order_execution,
    minimum_interval_seconds=1,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="The only way to an opening order: each approved recommendation starts its run.",
)
def approval_sensor(
    context: dg.SensorEvaluationContext,
    ledger: dg.ResourceParam[LedgerBook],
    terms: dg.ResourceParam[DeskTerms],
) -> dg.SensorResult | dg.SkipReason:
    """The only way to an opening order: each approved recommendation starts its execution run.

    Under the daemon the tick waits on the ledger for a few seconds, because the daemon itself
    comes round only every five. The run key keeps the UI tidy; exactly-once rests on the ledger.
    A run that failed before it could do anything (no broker) leaves its recommendation approved:
    it is tried again, after ever longer rests, until the approval has expired.
    """
    account = terms.account_id
    waits = WAIT_SECONDS if context.cursor is not None else 0.0
    deadline = time.monotonic() + waits
    rest = timedelta(0) if context.cursor is None else RETRY_AFTER
    while True:
        approved = ledger.pending_executions(account)
        attempts = {key: _attempt(context.instance, key, rest=rest) for key in approved}
        due = {key: attempt for key, attempt in attempts.items() if attempt is not None}
        if due or time.monotonic() >= deadline:
            break
        time.sleep(POLL_SECONDS)
    if not due:
        return dg.SensorResult(skip_reason="no approval waits", cursor=json.dumps(sorted(approved)))
    return dg.SensorResult(
        run_requests=[
            dg.RunRequest(
                run_key=f"execute:{account}:{key}" + (f":{attempt}" if attempt > 1 else ""),
                partition_key=key,
                tags={RECOMMENDATION_TAG: key},
            )
            for key, attempt in due.items()
        ],
        dynamic_partitions_requests=[recommendations_of(account).build_add_request(list(due))],
        cursor=json.dumps(sorted(approved)),
    )


def _attempt(instance: DagsterInstance, key: str, *, rest: timedelta) -> int | None:
    """Which attempt to execute an approval is due; None while one is on its way or rests."""
    records = instance.get_run_records(RunsFilter(tags={RECOMMENDATION_TAG: key}))
    if not records:
        return 1
    last = records[0]
    if not last.dagster_run.is_finished:
        return None
    rested = datetime.now(UTC) - last.update_timestamp >= rest * 2 ** (len(records) - 1)
    return len(records) + 1 if rested else None


@dg.sensor(
    jobs=[order_execution, position_watch],
    minimum_interval_seconds=5,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Working orders whose limit is due for its next step start a run.",
)
def limit_walk_sensor(
    context: dg.SensorEvaluationContext,
    ledger: dg.ResourceParam[LedgerBook],
    broker: dg.ResourceParam[Broker],
    terms: dg.ResourceParam[DeskTerms],
) -> dg.SensorResult | dg.SkipReason:
    """Working orders whose limit is due for its next step, or whose time is over, start a run.

    What is due follows from the ledger and the broker's clock, which is asked only while something
    works. A step that finds nothing to change is asked for once per step, one at a time; whether
    it is still due the run decides itself.
    """
    account = terms.account_id
    with ledger.reading(account) as book:
        if not (
            book.recommendations(statuses=[RecommendationStatus.EXECUTING])
            or book.trades(statuses=[TradeStatus.CLOSING])
        ):
            return dg.SkipReason("no order works")
    try:
        now = broker.clock().now
    except BrokerUnavailable as error:
        return dg.SkipReason(f"the broker's clock cannot be read: {error}")
    with ledger.reading(account) as book:
        due = due_walks(book, terms.walk, now=now)
    requests = list(_steps(context.instance, due, terms, now=now))
    return dg.SensorResult(
        run_requests=requests, skip_reason=None if requests else f"no step is due at {now:%H:%M:%S}"
    )


def _steps(
    instance: DagsterInstance, due: Sequence[OpenWalk], terms: DeskTerms, *, now: datetime
) -> Iterator[dg.RunRequest]:
    """One run per opening that is not on its way already, and one look for all closes together."""
    keys = {
        one: f"{one.subject_id}:{one.attempts}:{one.walk.rounds(terms.walk, now)}" for one in due
    }
    for one in due:
        if one.purpose is OrderPurpose.OPEN and not _is_on_its_way(instance, one.subject_id):
            yield dg.RunRequest(
                run_key=f"step:{terms.account_id}:{keys[one]}",
                job_name="order_execution",
                partition_key=one.subject_id,
                tags={RECOMMENDATION_TAG: one.subject_id},
            )
    closing = sorted(key for one, key in keys.items() if one.purpose is OrderPurpose.CLOSE)
    session = TradingCalendar().session_date(now)
    if closing and session is not None:
        digest = hashlib.sha256(" ".join(closing).encode()).hexdigest()[:16]
        yield dg.RunRequest(
            run_key=f"step:{terms.account_id}:closing:{digest}",
            job_name="position_watch",
            partition_key=session_key(session),
        )


def _is_on_its_way(instance: DagsterInstance, key: str) -> bool:
    newest = instance.get_run_records(RunsFilter(tags={RECOMMENDATION_TAG: key}), limit=1)
    return bool(newest) and not newest[0].dagster_run.is_finished


@dg.sensor(
    job=position_watch,
    minimum_interval_seconds=1,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="A person's wish to close a trade starts a look, which sends the order.",
)
def close_request_sensor(
    context: dg.SensorEvaluationContext,
    ledger: dg.ResourceParam[LedgerBook],
    broker: dg.ResourceParam[Broker],
    terms: dg.ResourceParam[DeskTerms],
) -> dg.RunRequest | dg.SkipReason:
    """A person's wish to close a trade starts a look, which sends the order.

    Halted or not: closing is never blocked. Outside market hours the wish waits. One that a look
    could not fulfil (nothing was quoted) is tried again a minute later, exactly-once by the ledger.
    """
    with ledger.reading(terms.account_id) as book:
        wanted = sorted(wanted_closes(book))
    if not wanted:
        return dg.SkipReason("no wish to close waits")
    try:
        clock = broker.clock()
    except BrokerUnavailable as error:
        return dg.SkipReason(f"the broker's clock cannot be read: {error}")
    if not clock.is_open:
        return dg.SkipReason(f"{len(wanted)} wait for the market to open")
    digest = hashlib.sha256(" ".join(wanted).encode()).hexdigest()[:16]
    return dg.RunRequest(
        run_key=f"close:{terms.account_id}:{digest}:{clock.now:%Y-%m-%dT%H:%M}",
        partition_key=session_key(session_of(clock.now)),
    )


@dg.sensor(
    jobs=[session_brief, market_scan, position_watch, end_of_day, week_review],
    minimum_interval_seconds=5,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Plays the day by the market's own clock where it is not the machine's.",
)
def market_clock_sensor(
    context: dg.SensorEvaluationContext,
    broker: dg.ResourceParam[Broker],
    terms: dg.ResourceParam[DeskTerms],
) -> dg.SensorResult | dg.SkipReason:
    """Play the day's moments by the market's own clock where it is not the machine's.

    A local exchange stands where it was left and moves on request or at a chosen rate. Whatever
    moment its clock has reached since the last tick is started here; with a live market the two
    clocks agree and the schedules do this work.
    """
    try:
        clock = broker.clock()
    except BrokerUnavailable as error:
        return dg.SkipReason(f"the market's clock cannot be read: {error}")
    if abs(datetime.now(UTC) - clock.now) < timedelta(minutes=5):
        return dg.SkipReason("the market's clock is the machine's: the schedules do this")
    looked = json.loads(context.cursor) if context.cursor else {"at": None, "started": []}
    since = datetime.fromisoformat(looked["at"]) if looked["at"] else clock.now
    requests = list(_moments(clock.now, TradingCalendar(), scans=terms.scans, since=since))
    due = [request for request in requests if request.run_key not in looked["started"]]
    keys = sorted({str(request.run_key) for request in requests})
    return dg.SensorResult(
        run_requests=due,
        skip_reason=None if due else f"nothing new at {clock.now:%Y-%m-%d %H:%M} UTC",
        cursor=json.dumps({"at": clock.now.isoformat(), "started": keys}),
    )


def _moments(
    now: datetime, calendar: TradingCalendar, *, scans: Sequence[Scan], since: datetime
) -> Iterator[dg.RunRequest]:
    """Run requests for what the clock stands at: brief, scan, look at positions, summary, week.

    A scan counts for five minutes, and for a quick clock that passed it after `since` until the
    next one begins. The brief comes before the open or with the first look of the session. After
    the last session of a week its review holds the day's: a clock that stands sees no Sunday.
    """
    session = calendar.session_date(now)
    if session is None:
        return
    if calendar.open(session) - BEFORE_THE_OPEN <= now <= calendar.close(session):
        yield dg.RunRequest(
            run_key=f"brief:{session}", job_name="session_brief", partition_key=session_key(session)
        )
    if now >= calendar.eod_time(session):
        last = ends_week(session, calendar)
        yield dg.RunRequest(
            run_key=f"{'week' if last else 'eod'}:{session}",
            job_name="week_review" if last else "end_of_day",
            partition_key=session_key(session),
        )
        return
    if not calendar.open(session) <= now <= calendar.close(session):
        return
    minute = now - timedelta(
        minutes=now.minute % 5, seconds=now.second, microseconds=now.microsecond
    )
    yield dg.RunRequest(
        run_key=f"watch:{minute:%Y-%m-%dT%H:%M}",
        job_name="position_watch",
        partition_key=session_key(session),
    )
    for scan in scans:
        due = calendar.scan_time(session, scan)
        if due is None or current_scan(now, calendar) != (session, scan):
            continue
        if now < due + timedelta(minutes=5) or since < due:
            yield dg.RunRequest(
                run_key=f"{scan}:{session}",
                job_name="market_scan",
                partition_key=scan_key(session, scan),
            )


@dg.run_failure_sensor(
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="A failed run becomes an alert in the outbox, once per run.",
)
def run_failure_alert_sensor(
    context: dg.RunFailureSensorContext,
    ledger: dg.ResourceParam[LedgerBook],
    terms: dg.ResourceParam[DeskTerms],
) -> None:
    """A failed run becomes an alert in the outbox, once per run."""
    run = context.dagster_run
    with ledger.transaction(terms.account_id) as book:
        book.enqueue(
            kind="run_failed",
            subject=run.run_id,
            payload={
                "job": run.job_name,
                "partition": run.tags.get("dagster/partition", ""),
                "message": _why_it_failed(context)[:500],
            },
            key=f"run_failed:{run.run_id}",
            at=datetime.now(UTC),
        )


def _why_it_failed(context: dg.RunFailureSensorContext) -> str:
    """The step that failed first and the error at the bottom of it; else what Dagster says."""
    for event in context.get_step_failure_events():
        error = event.step_failure_data.error
        while error is not None and error.cause is not None:
            error = error.cause
        if error is not None:
            return f"{event.step_key}: {error.message.strip()}"
    return context.failure_event.message or ""


@dg.sensor(
    job=position_watch,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Orders of unknown outcome, or positions unlike the broker's, start a look.",
)
def reconciliation_sensor(
    context: dg.SensorEvaluationContext,
    ledger: dg.ResourceParam[LedgerBook],
    broker: dg.ResourceParam[Broker],
    terms: dg.ResourceParam[DeskTerms],
) -> dg.RunRequest | dg.SkipReason:
    """Orders of unknown outcome, or positions that differ from the broker's, start a look.

    The run asks the broker, settles what it answers and names what still differs.
    """
    try:
        now = broker.clock().now
        found = {p.symbol: p.quantity for p in broker.positions() if p.quantity}
    except BrokerUnavailable as error:
        return dg.SkipReason(f"the broker cannot be read: {error}")
    with ledger.reading(terms.account_id) as book:
        doubtful = book.orders(statuses=[OrderStatus.UNKNOWN, OrderStatus.SUBMITTED])
        held = expected_positions(book, after=session_of(now))
    if not doubtful and found == held:
        return dg.SkipReason("ledger and broker agree")
    session = TradingCalendar().session_date(now) or TradingCalendar().previous(now.date())
    state = json.dumps([sorted(o.client_order_id for o in doubtful), sorted(found.items())])
    digest = hashlib.sha256(f"{now:%Y-%m-%dT%H}{state}".encode()).hexdigest()[:16]
    return dg.RunRequest(run_key=f"reconcile:{digest}", partition_key=session_key(session))


@dg.sensor(
    minimum_interval_seconds=10,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Delivers messages where `mahler serve` does not, and reads reactions.",
)
def discord_sensor(
    context: dg.SensorEvaluationContext, mail_room: dg.ResourceParam[MailRoom]
) -> dg.SkipReason:
    """Deliver what waits, and where reactions are the door, take the answers under the cards.

    Beside `mahler serve`, which comes round every second, there is seldom anything left to do. The
    round is made beside the tick: a Discord that hangs must not hold the daemon's other sensors.
    """
    return dg.SkipReason(mail_room.make_round())


def all_sensors() -> list[dg.SensorDefinition]:
    """Every sensor of the desk."""
    return [
        approval_sensor,
        close_request_sensor,
        discord_sensor,
        limit_walk_sensor,
        market_clock_sensor,
        reconciliation_sensor,
        run_failure_alert_sensor,
    ]
