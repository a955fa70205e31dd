"""Recommendations, answers, analyst calls, trading state and outgoing messages."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import date, datetime
from functools import cache, lru_cache
from typing import Any

import sqlalchemy as sa

from mahler_pipelines.decisions.ledger import StoredRecommendation
from mahler_pipelines.decisions.recommendation import (
    TRANSITIONS,
    Decision,
    DecisionVerdict,
    Recommendation,
    RecommendationStatus,
)
from mahler_pipelines.decisions.thesis import ModelCall
from mahler_pipelines.errors import BadInput, CorruptData, IllegalTransition, MissingData
from mahler_pipelines.risk.trading_state import TradingState
from mahler_pipelines.storage.content import from_content, to_content
from mahler_pipelines.storage.ledger_base import LedgerBase, Values
from mahler_pipelines.storage.tables import (
    decisions,
    model_calls,
    outbox,
    recommendation_legs,
    recommendations,
    trading_state,
)

CARD_KIND = "recommendation_card"
"""Kind of the message that asks a person about a recommendation."""


def card_key(recommendation_id: str) -> str:
    """Return the idempotency key of a recommendation's card."""
    return f"{CARD_KIND}:{recommendation_id}"


class DecisionRows(LedgerBase):
    """What `decisions.ledger.DecisionLedger` asks for, but the playbook."""

    def add_recommendation(self, recommendation: Recommendation, *, at: datetime) -> bool:
        """Insert as pending with its card in the outbox; False when the id exists already."""
        self._need_account(recommendation.account_id)
        row = _recommendation_row(recommendation, at)
        if not self._add_new(recommendations, ["id"], row):
            return False
        self._add(recommendation_legs, _leg_rows(recommendation))
        detail = {
            "content_hash": recommendation.content_hash,
            "run_id": recommendation.run_id,
            "requotes": recommendation.requotes,
            "rolls": recommendation.rolls,
        }
        self.audit("recommendation_added", recommendation.id, detail, at=at)
        card = {
            "recommendation_id": recommendation.id,
            "content_hash": recommendation.content_hash,
            "session": recommendation.session,
            "scan": recommendation.scan,
            "expires_at": recommendation.expires_at,
            "requotes": recommendation.requotes,
            "rolls": recommendation.rolls,
        }
        self.enqueue(
            kind=CARD_KIND,
            subject=recommendation.id,
            payload=card,
            key=card_key(recommendation.id),
            at=at,
        )
        return True

    def recommendation(self, recommendation_id: str) -> StoredRecommendation | None:
        """Return one recommendation with its state and decision."""
        found = self._recommendations(recommendations.c.id == recommendation_id)
        return found[0] if found else None

    def recommendations(
        self,
        *,
        statuses: Sequence[RecommendationStatus] | None = None,
        session: date | None = None,
    ) -> tuple[StoredRecommendation, ...]:
        """Return recommendations, oldest first."""
        conditions: list[sa.ColumnElement[bool]] = []
        if statuses is not None:
            conditions.append(recommendations.c.status.in_(list(statuses)))
        if session is not None:
            conditions.append(recommendations.c.session == session)
        return self._recommendations(*conditions)

    def move_recommendation(
        self,
        recommendation_id: str,
        *,
        expected: RecommendationStatus,
        to: RecommendationStatus,
        at: datetime,
        reason: str = "",
    ) -> bool:
        """Move from `expected` to `to`; False when another state was found.

        Raises `IllegalTransition` for a step that `TRANSITIONS` does not have and `MissingData`
        for an unknown id.
        """
        if to not in TRANSITIONS[expected]:
            raise IllegalTransition("recommendation", recommendation_id, expected, to)
        moved = self._update(
            recommendations,
            recommendations.c.id == recommendation_id,
            recommendations.c.status == expected,
            status=to,
            status_reason=reason,
            updated_at=at,
        )
        if not moved:
            self._need_row(recommendations.c.id, recommendation_id)
            return False
        detail = {"from": expected, "to": to, "reason": reason}
        self.audit("recommendation_moved", recommendation_id, detail, at=at)
        return True

    def add_decision(self, decision: Decision) -> None:
        """Record a person's answer.

        Raises `IllegalTransition` when the recommendation has one already, `MissingData` when it
        is unknown, and `BadInput` for an approval of other content than was recommended.
        """
        identifier = decision.recommendation_id
        stored = self.recommendation(identifier)
        if stored is None:
            raise MissingData(f"account {self.account_id} has no recommendation {identifier}")
        if stored.decision is not None:
            raise IllegalTransition(
                "decision of recommendation", identifier, stored.decision.verdict, decision.verdict
            )
        shown = stored.recommendation.content_hash
        if decision.verdict is DecisionVerdict.APPROVE and decision.content_hash != shown:
            raise BadInput("content_hash", decision.content_hash, f"{identifier} has {shown}")
        self._add(decisions, [asdict(decision)])
        detail = {
            "verdict": decision.verdict,
            "by": decision.decided_by,
            "door": decision.door,
            "content_hash": decision.content_hash,
            "reason": decision.reason,
        }
        self.audit("decision_added", identifier, detail, at=decision.decided_at)

    def add_model_call(self, call: ModelCall, *, at: datetime, run_id: str) -> None:
        """Keep the raw answer of an analyst."""
        self._add(model_calls, [asdict(call) | {"at": at, "run_id": run_id}])
        detail = {"analyst": call.analyst, "outcome": call.outcome, "run_id": run_id}
        self.audit("model_called", call.candidate_id, detail, at=at)

    def model_calls(self, *, candidate_id: str | None = None) -> tuple[Values, ...]:
        """Return kept analyst answers, oldest first: the fields of `ModelCall`, `at`, `run_id`."""
        query = self._select(model_calls)
        if candidate_id is not None:
            query = query.where(model_calls.c.candidate_id == candidate_id)
        rows = self._rows(query.order_by(model_calls.c.at, model_calls.c.seq))
        return tuple(_fields(row) for row in rows)

    def trading_state(self) -> tuple[TradingState, str]:
        """Return the state and why; an account nobody halted is active."""
        rows = self._rows(self._select(trading_state))
        return (TradingState(rows[0].state), rows[0].reason) if rows else (TradingState.ACTIVE, "")

    def set_trading_state(self, state: TradingState, *, reason: str, by: str, at: datetime) -> None:
        """Change the state."""
        before, _ = self.trading_state()
        values: Values = {"state": state, "reason": reason, "changed_by": by, "changed_at": at}
        if not self._add_new(trading_state, [], values):
            self._update(trading_state, **values)
        detail = {"from": before, "to": state, "reason": reason, "by": by}
        self.audit("trading_state_set", self.account_id, detail, at=at)

    def enqueue(
        self, *, kind: str, subject: str, payload: dict[str, Any], key: str, at: datetime
    ) -> bool:
        """Put a message in the outbox under an idempotency key; False when the key is there."""
        values = {
            "key": key,
            "kind": kind,
            "subject": subject,
            "payload": payload,
            "created_at": at,
            "attempts": 0,
            "problem": "",
        }
        if not self._add_new(outbox, ["key"], values):
            return False
        self.audit("message_queued", subject, {"kind": kind, "key": key}, at=at)
        return True

    def outbox(self, *, undelivered_only: bool = False) -> tuple[Values, ...]:
        """Return messages, oldest first."""
        query = self._select(outbox)
        if undelivered_only:
            query = query.where(outbox.c.delivered_at.is_(None))
        return tuple(_fields(row) for row in self._rows(query.order_by(outbox.c.seq)))

    def mark_delivered(self, key: str, *, at: datetime, receipt: Values) -> bool:
        """Record that a message went out; False if it had before.

        Raises `MissingData` for an unknown key.
        """
        detail = {"key": key, "receipt": receipt}
        return self._after_attempt(
            key, "message_delivered", detail, at=at, delivered_at=at, receipt=receipt, problem=""
        )

    def mark_undelivered(self, key: str, *, at: datetime, problem: str) -> bool:
        """Count an attempt that failed and keep why; False if the message had gone out before.

        Raises `MissingData` for an unknown key.
        """
        detail = {"key": key, "problem": problem}
        return self._after_attempt(key, "message_not_delivered", detail, at=at, problem=problem)

    def _after_attempt(
        self, key: str, kind: str, detail: Values, *, at: datetime, **values: Any
    ) -> bool:
        marked = self._update(
            outbox,
            outbox.c.key == key,
            outbox.c.delivered_at.is_(None),
            attempts=outbox.c.attempts + 1,
            **values,
        )
        if not marked:
            self._need_row(outbox.c.key, key)
            return False
        self.audit(kind, key, detail, at=at)
        return True

    def _recommendations(
        self, *conditions: sa.ColumnElement[bool]
    ) -> tuple[StoredRecommendation, ...]:
        query = (
            _with_answers()
            .where(recommendations.c.account_id == self._account_id, *conditions)
            .order_by(recommendations.c.created_at, recommendations.c.seq)
        )
        return tuple(_stored(row) for row in self._rows(query))


@cache
def _with_answers() -> sa.Select[Any]:
    """Recommendations beside their decisions, built once: a press reads several times."""
    table = recommendations
    decided = sa.and_(
        decisions.c.account_id == table.c.account_id,
        decisions.c.recommendation_id == table.c.id,
    )
    answer = [
        column.label(f"decision_{column.name}")
        for column in decisions.c
        if column.name != "account_id"
    ]
    return sa.select(
        table.c.id,
        table.c.content,
        table.c.content_hash,
        table.c.status,
        table.c.status_reason,
        *answer,
    ).select_from(table.outerjoin(decisions, decided))


def _recommendation_row(recommendation: Recommendation, at: datetime) -> Values:
    content = to_content(recommendation)  # first: it names a field of a wrong type
    names = (
        "id",
        "session",
        "scan",
        "underlying",
        "strategy",
        "created_at",
        "expires_at",
        "contracts",
        "target_credit",
        "floor_credit",
        "max_loss_usd",
        "snapshot_hash",
        "content_hash",
        "run_id",
        "requotes",
        "rolls",
    )
    row: Values = {name: getattr(recommendation, name) for name in names}
    return row | {
        "status": RecommendationStatus.PENDING,
        "status_reason": "",
        "updated_at": at,
        "content": content,
    }


def _leg_rows(recommendation: Recommendation) -> list[Values]:
    return [
        {
            "recommendation_id": recommendation.id,
            "position": position,
            "symbol": leg.contract.symbol,
            "side": leg.side,
            "ratio": leg.ratio,
        }
        for position, leg in enumerate(recommendation.structure.legs)
    ]


@lru_cache(maxsize=512)
def _verified(identifier: str, content: str, content_hash: str) -> Recommendation:
    """Read a recommendation and hold it against its hash; it never changes, so once is enough."""
    recommendation = from_content(content)
    if recommendation.content_hash != content_hash:
        raise CorruptData(f"recommendation {identifier} no longer has the hash {content_hash}")
    return recommendation


def _stored(row: sa.Row[Any]) -> StoredRecommendation:
    recommendation = _verified(row.id, row.content, row.content_hash)
    decision = None
    if row.decision_verdict is not None:
        decision = Decision(
            recommendation_id=row.id,
            verdict=DecisionVerdict(row.decision_verdict),
            decided_by=row.decision_decided_by,
            door=row.decision_door,
            decided_at=row.decision_decided_at,
            content_hash=row.decision_content_hash,
            reason=row.decision_reason,
        )
    return StoredRecommendation(
        recommendation, RecommendationStatus(row.status), row.status_reason, decision
    )


def _fields(row: sa.Row[Any]) -> Values:
    return {name: row._mapping[name] for name in row._fields if name not in ("seq", "account_id")}  # noqa: SLF001
