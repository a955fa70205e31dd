"""Playbook rules as they stand, and the playbook as it stood at a moment."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mahler_pipelines.decisions.playbook import Playbook, PlaybookRule, RuleStatus
from mahler_pipelines.errors import BadInput
from mahler_pipelines.storage.ledger_base import LedgerBase, Values
from mahler_pipelines.storage.tables import playbook_rules

_FROM = {
    RuleStatus.ADOPTED: RuleStatus.PROPOSED,
    RuleStatus.REFUSED: RuleStatus.PROPOSED,
    RuleStatus.RETIRED: RuleStatus.ADOPTED,
}


class PlaybookRows(LedgerBase):
    """The rules of one account."""

    def playbook(self, *, as_of: datetime) -> Playbook:
        """Return the rules in force at `as_of`, in the order of their adoption.

        The version counts adoptions and retirements up to then.
        """
        table = playbook_rules
        query = self._select(table).where(table.c.adopted_at <= as_of)
        rows = self._rows(query.order_by(table.c.adopted_at, table.c.seq))
        retired = [row.retired_at is not None and row.retired_at <= as_of for row in rows]
        rules = tuple(
            _rule(row, RuleStatus.ADOPTED, row.adopted_at)
            for row, gone in zip(rows, retired, strict=True)
            if not gone
        )
        return Playbook(version=len(rows) + sum(retired), rules=rules)

    def rules(self, *, statuses: Sequence[RuleStatus] | None = None) -> tuple[PlaybookRule, ...]:
        """Return rules as they stand now, oldest first."""
        table = playbook_rules
        query = self._select(table)
        if statuses is not None:
            query = query.where(table.c.status.in_(list(statuses)))
        rows = self._rows(query.order_by(table.c.proposed_at, table.c.seq))
        return tuple(_rule(row, RuleStatus(row.status), row.decided_at) for row in rows)

    def propose_rule(self, rule: PlaybookRule) -> bool:
        """Insert a proposed rule; False when the id exists already.

        Raises `BadInput` for a rule that claims to be decided: a person does that.
        """
        self._need_account(rule.account_id)
        if rule.status is not RuleStatus.PROPOSED or rule.decided_at is not None:
            raise BadInput("status", rule.status, "a rule is proposed before it is decided")
        values = {
            "id": rule.id,
            "text": rule.text,
            "status": rule.status,
            "evidence": rule.evidence,
            "proposed_at": rule.proposed_at,
        }
        if not self._add_new(playbook_rules, ["id"], values):
            return False
        self.audit("rule_proposed", rule.id, {"text": rule.text}, at=rule.proposed_at)
        return True

    def decide_rule(self, rule_id: str, *, status: RuleStatus, at: datetime, by: str) -> bool:
        """Adopt or refuse a proposed rule, or retire an adopted one; False in another state.

        Raises `MissingData` for an unknown rule.
        """
        if status not in _FROM:
            raise BadInput("status", status, "a rule is adopted, refused or retired")
        values: Values = {"status": status, "decided_at": at, "decided_by": by}
        if status is RuleStatus.ADOPTED:
            values["adopted_at"] = at
        if status is RuleStatus.RETIRED:
            values["retired_at"] = at
        table = playbook_rules
        decided = self._update(
            table, table.c.id == rule_id, table.c.status == _FROM[status], **values
        )
        if not decided:
            self._need_row(table.c.id, rule_id)
            return False
        self.audit("rule_decided", rule_id, {"to": status, "by": by}, at=at)
        return True


def _rule(row: sa.Row[Any], status: RuleStatus, decided_at: datetime | None) -> PlaybookRule:
    return PlaybookRule(
        id=row.id,
        account_id=row.account_id,
        text=row.text,
        status=status,
        evidence=row.evidence,
        proposed_at=row.proposed_at,
        decided_at=decided_at,
    )
