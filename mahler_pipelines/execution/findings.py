"""Findings: differences between ledger and broker as rows, from first sight to their end."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from mahler_pipelines.errors import IllegalTransition, MissingData
from mahler_pipelines.execution.broker_books import (
    FindingKind,
    FindingRecord,
    FindingStatus,
    RepairKind,
)
from mahler_pipelines.execution.desk import session_of
from mahler_pipelines.execution.ledger import ExecutionLedger
from mahler_pipelines.execution.messages import announce_finding
from mahler_pipelines.execution.unbooked import BookedFact

DESK = "mahler"
"""Who resolved a finding when no person did."""

POSITIONS = frozenset(
    {FindingKind.UNKNOWN_POSITION, FindingKind.MISSING_LEG, FindingKind.QUANTITY_DIFFERS}
)
REPAIRS = {
    FindingKind.UNKNOWN_POSITION: RepairKind.ADOPT,
    FindingKind.MISSING_LEG: RepairKind.WAIT,
    FindingKind.QUANTITY_DIFFERS: RepairKind.WAIT,
    FindingKind.ORPHANED_ORDER: RepairKind.CANCEL,
    FindingKind.UNPAIRED_SHORT: RepairKind.COVER,
    FindingKind.INVARIANT: RepairKind.EXAMINE,
    FindingKind.ASSIGNED: RepairKind.SWEEP,
    FindingKind.EXERCISED: RepairKind.SWEEP,
    FindingKind.LIQUIDATED: RepairKind.SWEEP,
    FindingKind.EXPIRED: RepairKind.BOOK,
}
"""What puts each kind right; what the history states is booked by itself, the rest by a person."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference as it is seen now; quantities are signed, amounts are dollars."""

    kind: FindingKind
    subject: str
    expected: Decimal
    found: Decimal
    detail: str = ""


def finding_id(account_id: str, subject: str, family: str, first_seen: datetime) -> str:
    """Derive the id of a finding: the same one in every process that sees it first."""
    text = f"{account_id}|{family}|{subject}|{first_seen.isoformat()}"
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"d-{session_of(first_seen):%y%m%d}-{digest}"


def keep_findings(
    ledger: ExecutionLedger, findings: Sequence[Finding], *, at: datetime
) -> tuple[FindingRecord, ...]:
    """Write what is seen now beside what was: new, going on, or gone; return those that are open.

    A dismissed finding stays dismissed while its numbers last, and is told again when they change.
    """
    alive = {_key(row.kind, row.subject): row for row in _alive(ledger)}
    seen = set()
    for finding in findings:
        key = _key(finding.kind, finding.subject)
        seen.add(key)
        known = alive.get(key)
        if known is None or (known.status is FindingStatus.DISMISSED and _changed(known, finding)):
            _begin(ledger, finding, at=at)
        else:
            ledger.put_finding(_going_on(known, finding, at=at))
    for key, row in alive.items():
        if key not in seen:
            _end_unseen(ledger, row, at=at)
    return ledger.findings(statuses=[FindingStatus.OPEN])


def keep_booked(ledger: ExecutionLedger, facts: Sequence[BookedFact], *, at: datetime) -> None:
    """Give findings the cause that was booked; what nobody had seen is one from now, repaired."""
    for fact in facts:
        detail = {
            "origin": fact.subject,
            "contracts": fact.contracts,
            "activities": list(fact.activities),
        }
        known = [
            row
            for row in ledger.findings(statuses=[FindingStatus.OPEN, FindingStatus.DISMISSED])
            if row.kind in POSITIONS and row.subject in fact.symbols
        ]
        for row in known or [_from_fact(ledger, fact, at=at)]:
            booked = replace(
                row,
                kind=fact.cause,
                last_seen=at,
                status=FindingStatus.REPAIRED,
                repair=RepairKind.BOOK,
                detail={**row.detail, **detail},
                resolved_at=at,
                resolved_by=DESK,
            )
            ledger.put_finding(booked)
            # A trade that runs out tells its own end; what nobody expected is told here.
            if known or fact.cause is not FindingKind.EXPIRED:
                announce_finding(ledger, booked, at=at)


def resolve(
    ledger: ExecutionLedger,
    finding: FindingRecord,
    *,
    status: FindingStatus,
    repair: RepairKind,
    by: str,
    at: datetime,
    detail: dict[str, Any] | None = None,
) -> FindingRecord:
    """End an open finding; raise `IllegalTransition` when it has ended before."""
    stored = need_finding(ledger, finding.id)
    if stored.status is not FindingStatus.OPEN:
        raise IllegalTransition("finding", finding.id, stored.status, status)
    ended = replace(
        stored,
        status=status,
        repair=repair,
        resolved_at=at,
        resolved_by=by,
        last_seen=at,
        detail={**stored.detail, **(detail or {})},
    )
    ledger.put_finding(ended)
    return ended


def need_finding(ledger: ExecutionLedger, identifier: str) -> FindingRecord:
    """Return a finding; raise `MissingData` when there is none."""
    found = ledger.finding(identifier)
    if found is None:
        raise MissingData(f"no finding {identifier}")
    return found


def _alive(ledger: ExecutionLedger) -> list[FindingRecord]:
    """Open findings, and dismissed ones whose difference has not gone since."""
    rows = ledger.findings(statuses=[FindingStatus.OPEN, FindingStatus.DISMISSED])
    return [row for row in rows if row.repair is not RepairKind.GONE]


def _key(kind: FindingKind, subject: str) -> tuple[str, str]:
    return (_family(kind), subject)


def _family(kind: FindingKind) -> str:
    return "position" if kind in POSITIONS else kind.value


def _changed(known: FindingRecord, finding: Finding) -> bool:
    return (known.kind, known.expected, known.found) != (
        finding.kind,
        finding.expected,
        finding.found,
    )


def _begin(ledger: ExecutionLedger, finding: Finding, *, at: datetime) -> None:
    row = FindingRecord(
        id=finding_id(ledger.account_id, finding.subject, _family(finding.kind), at),
        account_id=ledger.account_id,
        kind=finding.kind,
        subject=finding.subject,
        expected=finding.expected,
        found=finding.found,
        first_seen=at,
        last_seen=at,
        status=FindingStatus.OPEN,
        repair=REPAIRS[finding.kind],
        detail={"why": finding.detail},
    )
    ledger.put_finding(row)
    announce_finding(ledger, row, at=at)


def _going_on(known: FindingRecord, finding: Finding, *, at: datetime) -> FindingRecord:
    repair = known.repair if known.kind is finding.kind else REPAIRS[finding.kind]
    return replace(
        known,
        kind=finding.kind,
        expected=finding.expected,
        found=finding.found,
        last_seen=at,
        repair=repair,
        detail={**known.detail, "why": finding.detail},
    )


def _end_unseen(ledger: ExecutionLedger, row: FindingRecord, *, at: datetime) -> None:
    if row.status is FindingStatus.DISMISSED:
        ledger.put_finding(replace(row, repair=RepairKind.GONE))
        return
    resolve(ledger, row, status=FindingStatus.REPAIRED, repair=RepairKind.GONE, by=DESK, at=at)


def _from_fact(ledger: ExecutionLedger, fact: BookedFact, *, at: datetime) -> FindingRecord:
    subject = fact.symbols[0]
    return FindingRecord(
        id=finding_id(ledger.account_id, f"{fact.subject}|{fact.activities}", fact.cause, at),
        account_id=ledger.account_id,
        kind=fact.cause,
        subject=subject,
        expected=Decimal(fact.contracts),
        found=Decimal(0),
        first_seen=at,
        last_seen=at,
        status=FindingStatus.OPEN,
        repair=RepairKind.BOOK,
    )
