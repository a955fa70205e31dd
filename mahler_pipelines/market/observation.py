"""What may be observed now: a scan's own moments, never a past one filled with the present."""

from collections.abc import Sequence
from datetime import date, datetime

from mahler_pipelines.errors import BadInput
from mahler_pipelines.market.chains import Scan
from mahler_pipelines.market.sessions import TradingCalendar


class NotObservable(BadInput):
    """The market's present is not a moment of the scan that was asked for."""


def current_scan(now: datetime, calendar: TradingCalendar) -> tuple[date, Scan] | None:
    """Return the session and the latest scan that has begun, or None outside the session."""
    day = calendar.session_date(now)
    if day is None or now > calendar.close(day):
        return None
    begun = [
        scan for scan in Scan if (at := calendar.scan_time(day, scan)) is not None and at <= now
    ]
    return (day, begun[-1]) if begun else None


def require_observable(session: date, scan: Scan, now: datetime, calendar: TradingCalendar) -> None:
    """Raise `NotObservable` unless `now` lies within this scan of this session."""
    found = current_scan(now, calendar)
    if found != (session, scan):
        standing = "no scan" if found is None else f"{found[1]} of {found[0]}"
        raise NotObservable(
            "partition",
            f"{session} {scan}",
            f"the market's clock is at {now.isoformat()} ({standing}); "
            "a past or coming scan is not observed with today's quotes",
        )


def require_closed(sessions: Sequence[date], now: datetime, calendar: TradingCalendar) -> None:
    """Raise `NotObservable` unless each of these sessions has closed by the market's clock."""
    coming = [day for day in sessions if calendar.close(day) > now]
    if coming:
        raise NotObservable(
            "partition",
            str(coming[0]),
            f"the market's clock is at {now.isoformat()}, before that session's close; "
            f"the last session that has closed is {last_closed(now, calendar)}",
        )


def last_closed(now: datetime, calendar: TradingCalendar) -> date:
    """Return the last session that has closed by the market's clock."""
    day = calendar.session_date(now)
    return day if day is not None and calendar.close(day) <= now else calendar.previous(now.date())
