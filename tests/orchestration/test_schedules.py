"""Schedules: each moment of a day by the exchange's calendar and the market's clock."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from mahler_pipelines.market.sessions import NEW_YORK
from mahler_pipelines.orchestration.schedules import (
    afternoon_scan,
    all_schedules,
    eod_summary,
    midday_check,
    morning_brief,
    morning_scan,
    nightly_housekeeping,
    position_monitor,
    weekly_learning,
)
from tests.execution.fakes import FakeBroker

BROKERLESS = {"nightly_housekeeping"}


def new_york(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=NEW_YORK)


def tick(
    schedule: dg.ScheduleDefinition,
    at: str,
    *,
    market: str | None = None,
    is_open: bool = True,
) -> dg.RunRequest | str:
    """Evaluate a tick of a New York time; the market's clock is there too unless it is said."""
    asked = new_york(at)
    broker = FakeBroker((new_york(market) if market else asked).astimezone(UTC))
    broker.is_open = is_open
    context = dg.build_schedule_context(
        scheduled_execution_time=asked,
        resources={} if schedule.name in BROKERLESS else {"broker": broker},
    )
    found = schedule(context)
    if isinstance(found, dg.SkipReason):
        return str(found.skip_message)
    assert isinstance(found, dg.RunRequest)
    return found


def partition(found: dg.RunRequest | str) -> str:
    assert isinstance(found, dg.RunRequest), found
    return str(found.partition_key)


@pytest.mark.parametrize(
    ("schedule", "at", "key"),
    [
        (morning_brief, "2025-03-03T09:00", "2025-03-03"),
        (morning_scan, "2025-03-03T09:35", "morning|2025-03-03"),
        (midday_check, "2025-03-03T12:00", "midday|2025-03-03"),
        (afternoon_scan, "2025-03-03T15:30", "afternoon|2025-03-03"),
        (position_monitor, "2025-03-03T10:05", "2025-03-03"),
        (eod_summary, "2025-03-03T16:15", "2025-03-03"),
        # A tick that a busy daemon comes to minutes later is still that tick.
        (morning_scan, "2025-03-03T09:39", "morning|2025-03-03"),
        # Daylight saving began on 9 March: New York's 09:35 is an hour earlier in UTC.
        (morning_scan, "2025-03-10T09:35", "morning|2025-03-10"),
    ],
)
def test_moment_of_an_ordinary_session_requests_its_partition(
    schedule: dg.ScheduleDefinition, at: str, key: str
) -> None:
    assert partition(tick(schedule, at)) == key


@pytest.mark.parametrize(
    "schedule", [morning_brief, morning_scan, midday_check, afternoon_scan, eod_summary]
)
@pytest.mark.parametrize(
    ("day", "reason"),
    [
        ("2025-07-04", "holiday"),
        ("2025-03-01", "weekend"),
        ("2025-01-09", "special closure"),
    ],
)
def test_closed_day_is_skipped_with_its_reason(
    schedule: dg.ScheduleDefinition, day: str, reason: str
) -> None:
    found = tick(schedule, f"{day}T12:00", is_open=False)
    assert isinstance(found, str)
    assert reason in found


def test_early_close_moves_afternoon_and_summary() -> None:
    """The day after Thanksgiving ends at 13:00."""
    assert partition(tick(afternoon_scan, "2025-11-28T12:30")) == "afternoon|2025-11-28"
    assert partition(tick(eod_summary, "2025-11-28T13:15", is_open=False)) == "2025-11-28"
    late = tick(afternoon_scan, "2025-11-28T15:30", is_open=False)
    assert isinstance(late, str)
    assert late.endswith("is at 17:30 UTC: the session closes early")
    over = tick(eod_summary, "2025-11-28T16:15", is_open=False)
    assert over == "the summary of 2025-11-28 is due at 18:15 UTC: the session closes early"


def test_ordinary_day_ignores_the_early_ticks() -> None:
    for schedule, at in ((afternoon_scan, "2025-03-03T12:30"), (eod_summary, "2025-03-03T13:15")):
        assert isinstance(tick(schedule, at), str), schedule.name


@pytest.mark.parametrize(
    "schedule",
    [morning_brief, morning_scan, midday_check, afternoon_scan, position_monitor, eod_summary],
)
@pytest.mark.parametrize(
    "stands", ["2025-03-03T09:35", "2025-03-03T12:00", "2025-03-03T15:30", "2025-03-03T16:15"]
)
def test_market_whose_clock_stands_elsewhere_is_left_alone(
    schedule: dg.ScheduleDefinition, stands: str
) -> None:
    """A local exchange that stands on a moment would have it played on every day of the machine."""
    for at in ("09:35", "12:00", "15:30", "16:15"):
        assert isinstance(tick(schedule, f"2025-06-02T{at}", market=stands), str)


def test_the_brief_comes_half_an_hour_before_the_open() -> None:
    """A tick that a busy daemon comes to late is still that tick; after the open it is none."""
    assert partition(tick(morning_brief, "2025-03-03T09:05", is_open=False)) == "2025-03-03"
    # The day after Thanksgiving opens as always: the early close is said in the brief itself.
    assert partition(tick(morning_brief, "2025-11-28T09:00", is_open=False)) == "2025-11-28"
    late = tick(morning_brief, "2025-03-03T09:30")
    assert late == "the brief of 2025-03-03 is due at 14:00 UTC"


def test_positions_are_not_watched_while_the_market_is_closed() -> None:
    found = tick(position_monitor, "2025-03-03T09:00", is_open=False)
    assert isinstance(found, str)
    assert "closed" in found


def test_weekly_learning_reviews_the_last_session_of_the_week() -> None:
    assert partition(tick(weekly_learning, "2025-03-09T20:00", is_open=False)) == "2025-03-07"
    # Good Friday was a holiday: the week's last session was Thursday.
    assert partition(tick(weekly_learning, "2025-04-20T20:00", is_open=False)) == "2025-04-17"


def test_weekly_learning_leaves_a_session_that_is_still_open_alone() -> None:
    """A local exchange that stands at noon has no finished week, whatever Sunday it is here."""
    found = tick(weekly_learning, "2025-06-01T20:00", market="2025-03-03T12:00")
    assert isinstance(found, str)


def test_same_moment_asks_for_the_same_run() -> None:
    """Ticks that are evaluated twice must not start two runs."""
    for schedule, at in ((morning_scan, "2025-03-03T09:35"), (eod_summary, "2025-03-03T16:15")):
        once, again = tick(schedule, at), tick(schedule, at)
        assert isinstance(once, dg.RunRequest)
        assert isinstance(again, dg.RunRequest)
        assert once.run_key == again.run_key


def test_housekeeping_runs_every_night() -> None:
    assert isinstance(tick(nightly_housekeeping, "2025-03-01T03:00"), dg.RunRequest)


def test_every_moment_of_a_day_has_a_tick_of_its_schedule() -> None:
    """The crons are the earliest ticks; the calendar's moments must be among them."""
    day = new_york("2025-03-03T00:00")
    fired = {
        schedule.name: {moment.strftime("%H:%M") for moment in _ticks(schedule, day)}
        for schedule in all_schedules()
    }
    assert fired["morning_brief"] == {"09:00"}
    assert fired["morning_scan"] == {"09:35"}
    assert fired["midday_check"] == {"12:00"}
    assert fired["afternoon_scan"] == {"12:30", "15:30"}
    assert fired["eod_summary"] == {"13:15", "16:15"}
    assert {"09:30", "09:35", "15:55"} <= fired["position_monitor"]


def _ticks(schedule: dg.ScheduleDefinition, day: datetime) -> list[datetime]:
    from dagster._utils.schedules import schedule_execution_time_iterator

    found: list[datetime] = []
    for moment in schedule_execution_time_iterator(
        day.timestamp(), schedule.cron_schedule, schedule.execution_timezone
    ):
        if moment >= day + timedelta(days=1):
            return found
        found.append(moment)
    return found
