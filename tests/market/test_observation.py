"""What may be observed now: never a past scan with the present's quotes."""

from datetime import UTC, date, datetime, timedelta

import pytest

from mahler_pipelines.errors import BadInput
from mahler_pipelines.market.chains import Scan
from mahler_pipelines.market.observation import (
    NotObservable,
    current_scan,
    last_closed,
    require_closed,
    require_observable,
)
from mahler_pipelines.market.sessions import NEW_YORK
from tests.market.volatility_cases import CALENDAR

DAY = date(2026, 11, 20)
EARLY = date(2026, 11, 27)
HOLIDAY = date(2026, 11, 26)


def at(day: date, hour: int, minute: int = 0, second: int = 0) -> datetime:
    moment = datetime(day.year, day.month, day.day, hour, minute, second, tzinfo=NEW_YORK)
    return moment.astimezone(UTC)


@pytest.mark.parametrize(
    ("moment", "found"),
    [
        (at(DAY, 9, 30), None),
        (at(DAY, 9, 34, 59), None),
        (at(DAY, 9, 35), (DAY, Scan.MORNING)),
        (at(DAY, 11, 59, 59), (DAY, Scan.MORNING)),
        (at(DAY, 12), (DAY, Scan.MIDDAY)),
        (at(DAY, 15, 30), (DAY, Scan.AFTERNOON)),
        (at(DAY, 15, 59), (DAY, Scan.CLOSE)),
        (at(DAY, 16), (DAY, Scan.CLOSE)),
        (at(DAY, 16, 0, 1), None),
        (at(HOLIDAY, 12), None),
        (at(EARLY, 12, 30), (EARLY, Scan.AFTERNOON)),
        (at(EARLY, 12, 59), (EARLY, Scan.CLOSE)),
        (at(EARLY, 13, 1), None),
        (datetime(2026, 11, 21, 0, 30, tzinfo=UTC), None),
    ],
)
def test_the_latest_scan_that_has_begun_is_the_present_one(
    moment: datetime, found: tuple[date, Scan] | None
) -> None:
    assert current_scan(moment, CALENDAR) == found


def test_every_scan_is_observable_from_its_own_moment_on() -> None:
    for day in (DAY, EARLY):
        for scan in Scan:
            moment = CALENDAR.scan_time(day, scan)
            assert moment is not None
            require_observable(day, scan, moment, CALENDAR)
            before = moment - timedelta(seconds=1)
            with pytest.raises(NotObservable):
                require_observable(day, scan, before, CALENDAR)


@pytest.mark.parametrize(
    ("session", "scan", "standing"),
    [
        (DAY, Scan.MORNING, "midday of 2026-11-20"),
        (DAY, Scan.AFTERNOON, "midday of 2026-11-20"),
        (date(2026, 11, 19), Scan.MIDDAY, "midday of 2026-11-20"),
    ],
)
def test_a_past_or_coming_scan_is_refused_with_where_the_clock_stands(
    session: date, scan: Scan, standing: str
) -> None:
    """A backfill must not fill yesterday's partition with today's quotes."""
    with pytest.raises(NotObservable, match=standing) as raised:
        require_observable(session, scan, at(DAY, 12, 30), CALENDAR)
    assert str(session) in str(raised.value)
    assert "2026-11-20T17:30" in str(raised.value)


def test_a_closed_exchange_observes_nothing() -> None:
    with pytest.raises(NotObservable, match="no scan"):
        require_observable(DAY, Scan.CLOSE, at(DAY, 18), CALENDAR)


def test_a_moment_without_zone_is_refused() -> None:
    with pytest.raises(BadInput, match="time zone"):
        current_scan(datetime(2026, 11, 20, 12), CALENDAR)  # noqa: DTZ001


@pytest.mark.parametrize(
    ("moment", "closed"),
    [
        (at(DAY, 15, 59, 59), date(2026, 11, 19)),
        (at(DAY, 16), DAY),
        (at(DAY, 23, 59), DAY),
        (at(HOLIDAY, 12), date(2026, 11, 25)),
        (at(EARLY, 12, 59), date(2026, 11, 25)),
        (at(EARLY, 13), EARLY),
        (at(date(2026, 11, 29), 12), EARLY),
    ],
)
def test_a_session_has_closed_at_its_own_close(moment: datetime, closed: date) -> None:
    assert last_closed(moment, CALENDAR) == closed
    require_closed([date(2026, 11, 2), closed], moment, CALENDAR)
    coming = CALENDAR.next(closed)
    with pytest.raises(NotObservable, match=f"{coming}.*has closed is {closed}") as refused:
        require_closed([closed, coming, CALENDAR.next(coming)], moment, CALENDAR)
    assert refused.value.value == str(coming)
