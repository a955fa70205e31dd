"""The moments of a run, in the order of the market's clock."""

from datetime import date, timedelta

import pytest

from mahler_pipelines.cli.run_plan import ApprovalPolicy, MomentKind, RunPlan
from mahler_pipelines.errors import BadInput, UnknownSession
from mahler_pipelines.market.chains import Scan
from mahler_pipelines.market.sessions import NEW_YORK
from tests.market.volatility_cases import CALENDAR

DAY = date(2026, 11, 20)
EARLY = date(2026, 11, 27)


def plan(
    *scans: Scan, monitor: timedelta | None = None, sessions: tuple[date, ...] = (DAY,)
) -> RunPlan:
    return RunPlan(sessions, scans, ApprovalPolicy.NONE, monitor)


def told(made: RunPlan, session: date = DAY) -> list[tuple[str, str]]:
    """Each moment as New York time and what is done."""
    return [
        (f"{moment.at.astimezone(NEW_YORK):%H:%M}", moment.scan or moment.kind)
        for moment in made.moments(session, CALENDAR)
    ]


def test_scans_come_in_the_order_of_the_clock_and_the_summary_after_the_close() -> None:
    assert told(plan(Scan.CLOSE, Scan.MORNING, Scan.AFTERNOON, Scan.MIDDAY)) == [
        ("09:35", "morning"),
        ("12:00", "midday"),
        ("15:30", "afternoon"),
        ("15:59", "close"),
        ("16:15", "summary"),
    ]


def test_an_early_close_moves_what_depends_on_it() -> None:
    assert told(plan(*Scan), EARLY) == [
        ("09:35", "morning"),
        ("12:00", "midday"),
        ("12:30", "afternoon"),
        ("12:59", "close"),
        ("13:15", "summary"),
    ]


def test_positions_are_watched_between_the_scans() -> None:
    made = told(plan(Scan.MIDDAY, monitor=timedelta(minutes=90)))
    assert made == [
        ("11:00", "watch"),
        ("12:00", "midday"),
        ("12:30", "watch"),
        ("14:00", "watch"),
        ("15:30", "watch"),
        ("16:15", "summary"),
    ]


def test_a_look_at_the_moment_of_a_scan_is_the_scans_own() -> None:
    """Every scan watches positions first: twice at one moment would mark them twice."""
    made = plan(*Scan, monitor=timedelta(minutes=5)).moments(DAY, CALENDAR)
    moments = [moment.at for moment in made]
    assert len(set(moments)) == len(moments)
    assert moments == sorted(moments)
    assert [moment.kind for moment in made].count(MomentKind.SCAN) == 4


@pytest.mark.parametrize("session", [DAY, EARLY])
@pytest.mark.parametrize("minutes", [1, 5, 7, 60, 600])
def test_no_look_lies_outside_the_session(session: date, minutes: int) -> None:
    made = plan(monitor=timedelta(minutes=minutes)).moments(session, CALENDAR)
    looks = [moment.at for moment in made if moment.kind is MomentKind.WATCH]
    assert all(CALENDAR.open(session) < at < CALENDAR.close(session) for at in looks)
    length = CALENDAR.close(session) - CALENDAR.open(session)
    assert len(looks) == -(-length // timedelta(minutes=minutes)) - 1


def test_every_session_ends_with_its_summary_alone() -> None:
    made = plan().moments(DAY, CALENDAR)
    assert [moment.kind for moment in made] == [MomentKind.SUMMARY]
    assert made[0].at == CALENDAR.eod_time(DAY)


@pytest.mark.parametrize("monitor", [timedelta(0), timedelta(minutes=-5)])
def test_a_monitor_that_does_not_move_on_is_refused(monitor: timedelta) -> None:
    """It would look at the same moment for ever."""
    with pytest.raises(BadInput, match="monitor"):
        plan(monitor=monitor)


def test_a_closed_day_has_no_moments() -> None:
    with pytest.raises(UnknownSession, match="weekend"):
        plan(*Scan).moments(date(2026, 11, 21), CALENDAR)


def test_moments_are_aware_and_winter_follows_summer() -> None:
    """09:35 in New York is an hour later in UTC after the clocks have changed."""
    summer, winter = date(2026, 10, 30), date(2026, 11, 2)
    hours = [plan(Scan.MORNING).moments(day, CALENDAR)[0].at.hour for day in (summer, winter)]
    assert hours == [13, 14]
