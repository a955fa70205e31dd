"""What the broker did by itself: its history, settled legs, holdings, findings, first cash."""

from collections.abc import Sequence
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any, TypeVar

import sqlalchemy as sa

from mahler_pipelines.errors import IllegalTransition, MissingData
from mahler_pipelines.execution.broker_books import (
    CashBeginning,
    FindingKind,
    FindingRecord,
    FindingStatus,
    Holding,
    HoldingSource,
    KnownActivity,
    LegSettlement,
    RepairKind,
)
from mahler_pipelines.storage.ledger_base import LedgerBase, Values
from mahler_pipelines.storage.tables import (
    broker_activities,
    cash_beginnings,
    findings,
    holdings,
    leg_settlements,
)

_Row = TypeVar("_Row", KnownActivity, LegSettlement, CashBeginning)


class BrokerBookRows(LedgerBase):
    """The broker's own acts as one account's ledger keeps them."""

    def add_activities(self, rows: Sequence[KnownActivity]) -> int:
        """Insert rows of the broker's history that are not there yet; return how many were new."""
        return sum(self._add_new(broker_activities, ["id"], asdict(row)) for row in rows)

    def activities(self) -> tuple[KnownActivity, ...]:
        """Return the broker's history as far as it was read, oldest first."""
        table = broker_activities
        query = self._select(table).order_by(table.c.day, table.c.seq)
        return tuple(_read(KnownActivity, row) for row in self._rows(query))

    def book_activity(self, activity_id: str, quantity: int) -> None:
        """Take up a signed part of a row; raise `IllegalTransition` beyond what is left."""
        table = broker_activities
        query = self._select(table).where(table.c.id == activity_id)
        found = [_read(KnownActivity, row) for row in self._rows(query)]
        if not found:
            raise MissingData(f"no activity {activity_id} of {self.account_id}")
        (known,) = found
        if quantity * known.left < 0 or abs(quantity) > abs(known.left):
            raise IllegalTransition("activity", activity_id, str(known.left), str(quantity))
        booked = known.booked_quantity + quantity
        self._update(table, table.c.id == activity_id, booked_quantity=booked)

    def add_settlements(self, rows: Sequence[LegSettlement]) -> None:
        """Append legs that ended without an order, each with its audit event."""
        self._add(leg_settlements, [asdict(row) for row in rows])
        for row in rows:
            self.audit("leg_settled", row.trade_id, asdict(row), at=row.settled_at)

    def settlements(self, *, trade_id: str | None = None) -> tuple[LegSettlement, ...]:
        """Return legs that ended without an order, oldest first."""
        query = self._select(leg_settlements)
        if trade_id is not None:
            query = query.where(leg_settlements.c.trade_id == trade_id)
        return tuple(
            _read(LegSettlement, row) for row in self._rows(query.order_by(leg_settlements.c.seq))
        )

    def put_holding(self, holding: Holding, *, at: datetime) -> None:
        """Insert a lot or replace what is left of it."""
        self._need_account(holding.account_id)
        values = _values(holding)
        if not self._add_new(holdings, ["id"], values):
            self._update(holdings, holdings.c.id == holding.id, **values)
        self.audit("holding_put", holding.id, values, at=at)

    def holdings(self, *, open_only: bool = True) -> tuple[Holding, ...]:
        """Return lots outside trades, oldest first."""
        query = self._select(holdings)
        if open_only:
            query = query.where(holdings.c.quantity != 0)
        rows = self._rows(query.order_by(holdings.c.opened_at, holdings.c.seq))
        return tuple(
            Holding(**{**_named(Holding, row), "source": HoldingSource(row.source)}) for row in rows
        )

    def put_finding(self, finding: FindingRecord) -> None:
        """Insert a finding or replace its state; an event is written where the state is new."""
        self._need_account(finding.account_id)
        before = self.finding(finding.id)
        values = _values(finding)
        if before is None:
            self._add(findings, [values])
        else:
            self._update(findings, findings.c.id == finding.id, **values)
        if before is None or (before.kind, before.status) != (finding.kind, finding.status):
            kind = f"reconciliation.{finding.kind}"
            self.audit(kind, finding.subject, values, at=finding.last_seen)

    def finding(self, finding_id: str) -> FindingRecord | None:
        """Return one finding."""
        rows = self._rows(self._select(findings).where(findings.c.id == finding_id))
        return _finding(rows[0]) if rows else None

    def findings(
        self, *, statuses: Sequence[FindingStatus] | None = None
    ) -> tuple[FindingRecord, ...]:
        """Return findings, oldest first."""
        query = self._select(findings)
        if statuses is not None:
            query = query.where(findings.c.status.in_(list(statuses)))
        query = query.order_by(findings.c.first_seen, findings.c.seq)
        return tuple(_finding(row) for row in self._rows(query))

    def begin_cash(self, beginning: CashBeginning) -> bool:
        """Keep the broker's cash at first sight; False when it is kept already."""
        if not self._add_new(cash_beginnings, [], asdict(beginning)):
            return False
        detail = {"cash": beginning.cash}
        self.audit("cash_begun", self.account_id, detail, at=beginning.at)
        return True

    def cash_beginning(self) -> CashBeginning | None:
        """Return the broker's cash at first sight."""
        rows = self._rows(self._select(cash_beginnings))
        return _read(CashBeginning, rows[0]) if rows else None


def _values(row: Holding | FindingRecord) -> Values:
    values = asdict(row)
    del values["account_id"]
    return values


def _named(kind: type[Any], row: sa.Row[Any]) -> Values:
    return {field.name: getattr(row, field.name) for field in fields(kind)}


def _read(kind: type[_Row], row: sa.Row[Any]) -> _Row:
    return kind(**_named(kind, row))


def _finding(row: sa.Row[Any]) -> FindingRecord:
    return FindingRecord(
        **{
            **_named(FindingRecord, row),
            "kind": FindingKind(row.kind),
            "status": FindingStatus(row.status),
            "repair": RepairKind(row.repair),
        }
    )
