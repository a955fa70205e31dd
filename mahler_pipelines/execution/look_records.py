"""What one look at an account leaves to the next, as a line of the account's history.

The newest quote seen, and every difference between ledger and broker with the number of looks it
has lasted: so that a look reads the last line and no more.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from mahler_pipelines.errors import BrokerError
from mahler_pipelines.execution.desk import ExecutionDesk, present, session_of
from mahler_pipelines.execution.findings import Finding
from mahler_pipelines.execution.ledger import ExecutionLedger
from mahler_pipelines.market.sessions import TradingCalendar
from mahler_pipelines.risk.halts import Difference

LOOKED = "looked"
NOT_COMPARED = "not_compared"
"""Ledger and broker could not be compared at all."""


@dataclass(frozen=True, slots=True)
class LookRecord:
    """What one look leaves to the next."""

    at: datetime
    data_seen_at: datetime | None
    differences: tuple[Difference, ...]


def latest_look(ledger: ExecutionLedger, *, at: datetime) -> LookRecord | None:
    """Return the last look of this session, or of the session before; None without one."""
    return _latest(ledger, _looked_at(at))


def _looked_at(moment: datetime) -> tuple[date, date]:
    """The session of a moment and the one before."""
    session = session_of(moment)
    return session, TradingCalendar().previous(session)


def _latest(ledger: ExecutionLedger, days: Sequence[date]) -> LookRecord | None:
    for day in days:
        events = ledger.audit_events(subject=f"look:{day}")
        if events:
            last = events[-1]
            return _record(last.at, last.detail)
    return None


def note_look(
    desk: ExecutionDesk, findings: Sequence[Finding] | None, *, underlyings: Sequence[str]
) -> LookRecord:
    """Write down a look: what reconciliation found (None when it failed) and the newest quote.

    Quotes are asked for while the market is open, in one request. Raises `BrokerUnavailable` when
    the broker's clock cannot be read.
    """
    clock = desk.broker.clock()
    now = present(clock)
    seen = _newest_quote(desk, underlyings, at=now) if clock.is_open and underlyings else None
    # The calendar takes its time when it is first asked: nobody should wait for the ledger on it.
    days = _looked_at(now)
    with desk.transaction() as ledger:
        before = _latest(ledger, days)
        seen_before = before.data_seen_at if before else None
        record = LookRecord(
            now,
            max([moment for moment in (seen, seen_before) if moment], default=None),
            _differences(findings, before, at=now),
        )
        ledger.audit(LOOKED, f"look:{session_of(now)}", _detail(record), at=now)
    return record


def _newest_quote(
    desk: ExecutionDesk, underlyings: Sequence[str], *, at: datetime
) -> datetime | None:
    """Time of the newest share quote, never after now; None when nothing was answered."""
    try:
        times = desk.market_data.stock_quotes(list(underlyings))["quote_time"].dropna()
    except BrokerError:
        # Not being answered is what is measured here: the age of what was seen last grows.
        return None
    return None if times.empty else min(at, times.max().to_pydatetime())


def _differences(
    findings: Sequence[Finding] | None, before: LookRecord | None, *, at: datetime
) -> tuple[Difference, ...]:
    """Differences with the looks they have lasted; a look at the same moment counts once.

    A look that could not compare says nothing of what differed before, so its row goes on.
    """
    known = {found.name: found for found in before.differences} if before else {}
    names = {_name(found) for found in findings} if findings is not None else {NOT_COMPARED, *known}
    another = before is None or before.at < at
    return tuple(
        replace(known[name], looks=known[name].looks + another)
        if name in known
        else Difference(name, at, 1)
        for name in sorted(names)
    )


def _name(finding: Finding) -> str:
    return f"{finding.kind} {finding.subject} expected={finding.expected} found={finding.found}"


def _detail(record: LookRecord) -> dict[str, Any]:
    return {
        "data_seen_at": record.data_seen_at.isoformat() if record.data_seen_at else None,
        "differences": [
            {"name": found.name, "since": found.since.isoformat(), "looks": found.looks}
            for found in record.differences
        ],
    }


def _record(at: datetime, detail: Mapping[str, Any]) -> LookRecord:
    seen = detail["data_seen_at"]
    return LookRecord(
        at,
        datetime.fromisoformat(seen) if seen else None,
        tuple(
            Difference(row["name"], datetime.fromisoformat(row["since"]), int(row["looks"]))
            for row in detail["differences"]
        ),
    )
