"""What every part of the ledger's transaction rests on: statements of one account, and audit."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from mahler_pipelines.decisions.ledger import AuditEvent
from mahler_pipelines.errors import BadInput, LedgerError, MissingData
from mahler_pipelines.storage.engine import translated
from mahler_pipelines.storage.tables import audit_events

Values = dict[str, Any]


class LedgerBase:
    """One account's rows through one connection that is inside a transaction."""

    def __init__(self, connection: sa.Connection, account_id: str, *, writable: bool) -> None:
        self._connection = connection
        self._account_id = account_id
        self._writable = writable

    @property
    def account_id(self) -> str:
        """The account of this transaction."""
        return self._account_id

    def audit(self, kind: str, subject: str, detail: Values, *, at: datetime) -> None:
        """Write an audit event."""
        self._write(
            sa.insert(audit_events).values(
                account_id=self._account_id, at=at, kind=kind, subject=subject, detail=detail
            )
        )

    def audit_events(self, *, subject: str | None = None) -> tuple[AuditEvent, ...]:
        """Return the account's history, oldest first."""
        query = self._select(audit_events)
        if subject is not None:
            query = query.where(audit_events.c.subject == subject)
        return tuple(
            AuditEvent(row.seq, row.at, row.kind, row.subject, row.detail)
            for row in self._rows(query.order_by(audit_events.c.seq))
        )

    def _select(self, table: sa.Table) -> sa.Select[Any]:
        return sa.select(table).where(table.c.account_id == self._account_id)

    def _rows(self, query: sa.Select[Any]) -> Sequence[sa.Row[Any]]:
        with translated():
            return self._connection.execute(query).all()

    def _write(self, statement: sa.Insert | sa.Update | sa.Delete) -> int:
        self._need_writable()
        with translated():
            return self._connection.execute(statement).rowcount

    def _add(self, table: sa.Table, rows: Sequence[Values]) -> None:
        self._need_writable()
        if rows:
            account = {"account_id": self._account_id}
            with translated():
                self._connection.execute(sa.insert(table), [account | row for row in rows])

    def _add_new(self, table: sa.Table, key: Sequence[str], values: Values) -> bool:
        """Insert unless the account has a row of this key; True when inserted."""
        self._need_writable()
        dialect = sqlite if self._connection.dialect.name == "sqlite" else postgresql
        statement = (
            dialect.insert(table)
            .values(account_id=self._account_id, **values)
            .on_conflict_do_nothing(index_elements=["account_id", *key])
            .returning(table.c.account_id)
        )
        with translated():
            return self._connection.execute(statement).first() is not None

    def _update(self, table: sa.Table, *conditions: sa.ColumnElement[bool], **values: Any) -> bool:
        """Update the account's row that meets the conditions; False when none does."""
        statement = (
            sa.update(table)
            .where(table.c.account_id == self._account_id, *conditions)
            .values(**values)
        )
        return self._write(statement) > 0

    def _delete(self, table: sa.Table, *conditions: sa.ColumnElement[bool]) -> None:
        mine = table.c.account_id == self._account_id
        self._write(sa.delete(table).where(mine, *conditions))

    def _need_row(self, column: sa.Column[Any], identifier: str) -> None:
        """Raise `MissingData` when the account has no such row."""
        table = column.table
        query = sa.select(column).where(
            table.c.account_id == self._account_id, column == identifier
        )
        if not self._rows(query):
            raise MissingData(f"account {self._account_id} has no {identifier} in {table}")

    def _need_account(self, found: str) -> None:
        if found != self._account_id:
            raise BadInput("account_id", found, f"the transaction is of {self._account_id}")

    def _need_writable(self) -> None:
        if not self._writable:
            raise LedgerError("this view of the ledger is read-only: open a transaction to write")
