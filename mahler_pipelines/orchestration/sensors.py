"""Sensors: approvals become runs, the market's clock plays the day, differences are found."""

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster import DagsterInstance, RunsFilter

from mahler_pipelines.errors import BrokerUnavailable
from mahler_pipelines.execution.broker import Broker, OrderStatus
from mahler_pipelines.execution.desk import session_of
from mahler_pipelines.execution.desk_terms import DeskTerms
from mahler_pipelines.execution.reconciliation import expected_positions
from mahler_pipelines.market.chains import Scan
from mahler_pipelines.market.observation import current_scan
from mahler_pipelines.market.sessions import TradingCalendar
from mahler_pipelines.orchestration.jobs import (
    end_of_day,
    market_scan,
    order_execution,
    position_watch,
)
from mahler_pipelines.orchestration.partitions import recommendations_of, scan_key, session_key
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
    jobs=[market_scan, position_watch, end_of_day],
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
    """Run requests for what the clock stands at: a scan, a look at positions, the summary.

    A scan counts for five minutes, and for a quick clock that passed it after `since` until the
    next one begins.
    """
    session = calendar.session_date(now)
    if session is None:
        return
    if now >= calendar.eod_time(session):
        yield dg.RunRequest(
            run_key=f"eod:{session}", job_name="end_of_day", partition_key=session_key(session)
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


def all_sensors() -> list[dg.SensorDefinition]:
    """Every sensor of the desk."""
    return [
        approval_sensor,
        market_clock_sensor,
        reconciliation_sensor,
        run_failure_alert_sensor,
    ]
