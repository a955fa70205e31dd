"""Schedules: the moments of a trading day, in New York time.

A schedule's cron is the earliest time at which its moment can fall; the exchange calendar decides
whether it does. The partition comes from the market's clock, never from the machine's: where the
two are not in the same moment (a local exchange that stands), the tick is skipped with the reason,
and `market_clock_sensor` plays the moments by the market's clock.
"""

import functools
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg

from mahler_pipelines.errors import BrokerUnavailable
from mahler_pipelines.execution.broker import Broker
from mahler_pipelines.market.chains import Scan
from mahler_pipelines.market.observation import current_scan
from mahler_pipelines.market.sessions import TradingCalendar
from mahler_pipelines.orchestration.housekeeping import housekeeping
from mahler_pipelines.orchestration.jobs import (
    end_of_day,
    market_scan,
    position_watch,
    session_brief,
    week_review,
)
from mahler_pipelines.orchestration.partitions import scan_key, session_key

NEW_YORK = "America/New_York"
LATE = timedelta(minutes=10)
A_NIGHT = timedelta(hours=12)
BEFORE_THE_OPEN = timedelta(minutes=30)


def skipped_without_broker(evaluate: Callable[..., Any]) -> Callable[..., Any]:
    """Skip a tick, with the reason, whose market's clock cannot be read."""

    @functools.wraps(evaluate)
    def moment(context: dg.ScheduleEvaluationContext, **resources: Any) -> Any:
        try:
            return evaluate(context, **resources)
        except BrokerUnavailable as error:
            return dg.SkipReason(f"the market's clock cannot be read: {error}")

    return moment


def _out_of_step(
    context: dg.ScheduleEvaluationContext, now: datetime, *, late: timedelta = LATE
) -> dg.SkipReason | None:
    """Why a tick is not played: the market's clock stands elsewhere than the tick's own time."""
    tick = context.scheduled_execution_time
    if abs(tick - now) <= late:
        return None
    return dg.SkipReason(
        f"the market's clock is at {now:%Y-%m-%d %H:%M} UTC, the tick is for "
        f"{tick.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    )


def _early(session: date, calendar: TradingCalendar) -> str:
    return ": the session closes early" if calendar.is_early_close(session) else ""


def _scan_schedule(scan: Scan, name: str, crons: list[str]) -> dg.ScheduleDefinition:
    @dg.schedule(
        name=name,
        job=market_scan,
        cron_schedule=crons,
        execution_timezone=NEW_YORK,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"The {scan} scan: chains, volatility, candidates, theses, recommendations.",
    )
    @skipped_without_broker
    def moment(
        context: dg.ScheduleEvaluationContext, broker: dg.ResourceParam[Broker]
    ) -> dg.RunRequest | dg.SkipReason:
        now, calendar = broker.clock().now, TradingCalendar()
        session = calendar.session_date(now)
        if session is None:
            return dg.SkipReason(f"{now:%Y-%m-%d}: {calendar.closed_reason(now.date())}")
        due = calendar.scan_time(session, scan)
        if due is None:
            return dg.SkipReason(f"{session} closes early: there is no {scan} scan")
        if not due <= now < due + LATE or current_scan(now, calendar) != (session, scan):
            return dg.SkipReason(
                f"the market's clock is at {now:%Y-%m-%d %H:%M} UTC, "
                f"the {scan} scan of {session} is at {due:%H:%M} UTC" + _early(session, calendar)
            )
        if skip := _out_of_step(context, now):
            return skip
        key = scan_key(session, scan)
        return dg.RunRequest(run_key=f"{scan}:{session}", partition_key=key)

    return moment


morning_scan = _scan_schedule(Scan.MORNING, "morning_scan", ["35 9 * * 1-5"])
midday_check = _scan_schedule(Scan.MIDDAY, "midday_check", ["0 12 * * 1-5"])
afternoon_scan = _scan_schedule(
    Scan.AFTERNOON, "afternoon_scan", ["30 12 * * 1-5", "30 15 * * 1-5"]
)


@dg.schedule(
    job=session_brief,
    cron_schedule="0 9 * * 1-5",
    execution_timezone=NEW_YORK,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Thirty minutes before the open: what the session begins with.",
)
@skipped_without_broker
def morning_brief(
    context: dg.ScheduleEvaluationContext, broker: dg.ResourceParam[Broker]
) -> dg.RunRequest | dg.SkipReason:
    """Thirty minutes before the open: what the session begins with."""
    now, calendar = broker.clock().now, TradingCalendar()
    session = calendar.session_date(now)
    if session is None:
        return dg.SkipReason(f"{now:%Y-%m-%d}: {calendar.closed_reason(now.date())}")
    due = calendar.open(session) - BEFORE_THE_OPEN
    if not due <= now < due + LATE:
        return dg.SkipReason(f"the brief of {session} is due at {due:%H:%M} UTC")
    if skip := _out_of_step(context, now):
        return skip
    return dg.RunRequest(run_key=f"brief:{session}", partition_key=session_key(session))


@dg.schedule(
    job=position_watch,
    cron_schedule="*/5 9-16 * * 1-5",
    execution_timezone=NEW_YORK,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every five minutes of the session: marks, expiries, exits.",
)
@skipped_without_broker
def position_monitor(
    context: dg.ScheduleEvaluationContext, broker: dg.ResourceParam[Broker]
) -> dg.RunRequest | dg.SkipReason:
    """Every five minutes of the session: marks, expiries, exits."""
    clock = broker.clock()
    if not clock.is_open:
        return dg.SkipReason(f"the market is closed at {clock.now:%Y-%m-%d %H:%M} UTC")
    if skip := _out_of_step(context, clock.now):
        return skip
    session = TradingCalendar().session_of(clock.now)
    return dg.RunRequest(
        run_key=f"watch:{clock.now:%Y-%m-%dT%H:%M}", partition_key=session_key(session)
    )


@dg.schedule(
    job=end_of_day,
    cron_schedule=["15 13 * * 1-5", "15 16 * * 1-5"],
    execution_timezone=NEW_YORK,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Fifteen minutes after the close, early or not: performance and reflections.",
)
@skipped_without_broker
def eod_summary(
    context: dg.ScheduleEvaluationContext, broker: dg.ResourceParam[Broker]
) -> dg.RunRequest | dg.SkipReason:
    """Fifteen minutes after the close, early closes included: performance and reflections."""
    now, calendar = broker.clock().now, TradingCalendar()
    session = calendar.session_date(now)
    if session is None:
        return dg.SkipReason(f"{now:%Y-%m-%d}: {calendar.closed_reason(now.date())}")
    due = calendar.eod_time(session)
    if not due <= now < due + LATE:
        return dg.SkipReason(
            f"the summary of {session} is due at {due:%H:%M} UTC" + _early(session, calendar)
        )
    if skip := _out_of_step(context, now):
        return skip
    return dg.RunRequest(run_key=f"eod:{session}", partition_key=session_key(session))


@dg.schedule(
    job=housekeeping,
    cron_schedule="0 3 * * *",
    execution_timezone=NEW_YORK,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every night at 03:00: old runs go.",
)
def nightly_housekeeping(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    """Every night: old runs go."""
    return dg.RunRequest(run_key=None)


@dg.schedule(
    job=week_review,
    cron_schedule="0 20 * * 0",
    execution_timezone=NEW_YORK,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Sunday 20:00: the week's last session is reviewed again; the learning report.",
)
@skipped_without_broker
def weekly_learning(
    context: dg.ScheduleEvaluationContext, broker: dg.ResourceParam[Broker]
) -> dg.RunRequest | dg.SkipReason:
    """Sunday 20:00: the week's last session is reviewed again, with all that has settled since.

    Then the learning report of the week goes out.
    """
    now, calendar = broker.clock().now, TradingCalendar()
    if skip := _out_of_step(context, now, late=A_NIGHT):
        return skip
    session = calendar.session_date(now) or calendar.previous(now.date())
    return dg.RunRequest(run_key=f"week:{session}", partition_key=session_key(session))


def all_schedules() -> list[dg.ScheduleDefinition]:
    """Every schedule of the desk."""
    return [
        morning_brief,
        morning_scan,
        midday_check,
        afternoon_scan,
        position_monitor,
        eod_summary,
        weekly_learning,
        nightly_housekeeping,
    ]
