"""What `mahler run` plays: sessions, scans, looks at positions, and who answers."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from mahler_pipelines.errors import BadInput
from mahler_pipelines.market.chains import Scan
from mahler_pipelines.market.sessions import TradingCalendar


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
