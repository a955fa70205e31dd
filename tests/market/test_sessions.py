"""The exchange's calendar: holidays, early closes, daylight saving, and what lies outside."""

import subprocess
import sys
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mahler_pipelines.errors import BadInput, UnknownSession
from mahler_pipelines.market.chains import Scan
from mahler_pipelines.market.sessions import NEW_YORK, TradingCalendar

CALENDAR = TradingCalendar()


@pytest.mark.parametrize(
    ("day", "reason"),
    [
        (date(2019, 4, 19), "holiday (Good Friday)"),
        (date(2019, 7, 4), "holiday (July 4th)"),
        (date(2022, 6, 20), "holiday (Juneteenth National Independence Day)"),
        (date(2001, 9, 12), "special closure"),
        (date(2012, 10, 29), "special closure"),
        (date(2018, 12, 5), "special closure"),
        (date(2019, 7, 6), "weekend (Saturday)"),
        (date(2019, 7, 7), "weekend (Sunday)"),
    ],
)
def test_closed_day_says_why(day: date, reason: str) -> None:
    """Each is closed for another cause: fixed and moving holidays, attacks, storm, mourning."""
    assert not CALENDAR.is_session(day)
    assert CALENDAR.closed_reason(day) == reason
    with pytest.raises(UnknownSession) as caught:
        CALENDAR.close(day)
    assert caught.value.value == day
    assert reason in caught.value.reason


def test_open_day_has_no_reason_to_be_closed() -> None:
    assert CALENDAR.closed_reason(date(2019, 7, 3)) is None


@pytest.mark.parametrize(
    "day", [date(2019, 7, 3), date(2019, 11, 29), date(2019, 12, 24), date(2024, 7, 3)]
)
def test_early_close_is_at_thirteen(day: date) -> None:
    assert CALENDAR.is_early_close(day)
    assert CALENDAR.close(day).astimezone(NEW_YORK).hour == 13
    assert CALENDAR.eod_time(day) == CALENDAR.close(day) + timedelta(minutes=15)


def test_scans_of_a_full_session() -> None:
    session = date(2019, 6, 21)
    times = [CALENDAR.scan_time(session, scan) for scan in Scan]
    local = [at.astimezone(NEW_YORK).strftime("%H:%M") for at in times if at is not None]
    assert local == ["09:35", "12:00", "15:30", "15:59"]
    assert not CALENDAR.is_early_close(session)


def test_scans_of_an_early_close_move_with_it() -> None:
    """Midday still comes before the afternoon scan, so all four take place."""
    times = [CALENDAR.scan_time(date(2019, 7, 3), scan) for scan in Scan]
    local = [at.astimezone(NEW_YORK).strftime("%H:%M") for at in times if at is not None]
    assert local == ["09:35", "12:00", "12:30", "12:59"]


def test_daylight_saving_moves_utc_and_not_new_york() -> None:
    """The clocks went forward on 2019-03-10 and back on 2019-11-03."""
    hours = {
        date(2019, 3, 8): 14,
        date(2019, 3, 11): 13,
        date(2019, 11, 1): 13,
        date(2019, 11, 4): 14,
    }
    for session, hour in hours.items():
        assert CALENDAR.open(session) == datetime(
            session.year, session.month, session.day, hour, 30, tzinfo=UTC
        )
        morning = CALENDAR.scan_time(session, Scan.MORNING)
        assert morning is not None
        assert (morning.hour, morning.minute, morning.tzinfo) == (hour, 35, UTC)


def test_neighbours_skip_the_closed_days() -> None:
    assert CALENDAR.next(date(2019, 7, 3)) == date(2019, 7, 5)
    assert CALENDAR.previous(date(2019, 7, 5)) == date(2019, 7, 3)
    assert CALENDAR.next(date(2019, 7, 6)) == date(2019, 7, 8)
    assert CALENDAR.previous(date(2019, 7, 6)) == date(2019, 7, 5)
    assert CALENDAR.offset(date(2019, 7, 3), 2) == date(2019, 7, 8)
    assert CALENDAR.offset(date(2019, 7, 3), -1) == date(2019, 7, 2)
    assert CALENDAR.offset(date(2019, 7, 3), 0) == date(2019, 7, 3)


def test_sessions_include_both_ends() -> None:
    assert CALENDAR.sessions(date(2019, 7, 3), date(2019, 7, 8)) == (
        date(2019, 7, 3),
        date(2019, 7, 5),
        date(2019, 7, 8),
    )
    assert CALENDAR.sessions(date(2019, 7, 6), date(2019, 7, 7)) == ()


@given(st.dates(date(1993, 1, 1), date(2034, 12, 31)), st.integers(-300, 200))
def test_offset_counts_sessions(day: date, count: int) -> None:
    session = day if CALENDAR.is_session(day) else CALENDAR.next(day)
    there = CALENDAR.offset(session, count)
    span = CALENDAR.sessions(min(session, there), max(session, there))
    assert len(span) == abs(count) + 1
    assert CALENDAR.offset(there, -count) == session


def test_moment_belongs_to_the_session_of_its_new_york_date() -> None:
    """Half past one in the night in UTC is still the evening before in New York."""
    assert CALENDAR.session_of(datetime(2019, 7, 6, 1, 30, tzinfo=UTC)) == date(2019, 7, 5)
    with pytest.raises(UnknownSession):
        CALENDAR.session_of(datetime(2019, 7, 4, 15, 0, tzinfo=UTC))
    with pytest.raises(BadInput, match="zone"):
        CALENDAR.session_of(datetime(2019, 7, 5, 15, 0))  # noqa: DTZ001 - the naive moment is the case


def test_outside_the_calendar_is_unknown() -> None:
    for ask in (CALENDAR.is_session, CALENDAR.close, CALENDAR.next, CALENDAR.previous):
        with pytest.raises(UnknownSession, match="1990-01-01 to 2035-12-31"):
            ask(date(1989, 12, 29))
    with pytest.raises(UnknownSession):
        CALENDAR.previous(date(1990, 1, 1))
    with pytest.raises(UnknownSession):
        CALENDAR.offset(date(2035, 12, 31), 1)


def test_moment_given_for_a_date_is_refused() -> None:
    """A datetime is a date to Python, but equal to none: it would be a closed day for ever."""
    with pytest.raises(BadInput, match="moment"):
        CALENDAR.is_session(datetime(2019, 7, 3, tzinfo=UTC))


def test_import_is_light() -> None:
    """exchange_calendars is read when the first question is asked, not on import."""
    script = (
        "import sys, mahler_pipelines.market.sessions as s; s.TradingCalendar();"
        "print('exchange_calendars' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"
