"""The table of closed weekdays is the exchange calendar's."""

from datetime import date, timedelta

from mahler_pipelines.market.closed_weekdays import FIRST_YEAR, LAST_YEAR, closed_weekdays
from mahler_pipelines.market.sessions import TradingCalendar
from mahler_pipelines.orchestration.partitions import FIRST_SESSION


def test_the_table_has_every_weekday_without_a_session_and_no_other() -> None:
    """A calendar that learned of another closure fails here: the table then needs its row."""
    last = date(LAST_YEAR, 12, 31)
    trading = set(TradingCalendar().sessions(FIRST_SESSION, last))
    days = (FIRST_SESSION + timedelta(days=n) for n in range((last - FIRST_SESSION).days + 1))
    closed = tuple(day for day in days if day.weekday() < 5 and day not in trading)
    assert closed_weekdays() == closed
    assert FIRST_SESSION.year == FIRST_YEAR
