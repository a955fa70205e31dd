"""Messages on their way, cards in the channel, and what people press."""

from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from mahler_pipelines.decisions.recommendation import RecommendationStatus
from mahler_pipelines.execution.close_requests import CloseRequest, CloseWish
from mahler_pipelines.execution.desk import session_of
from mahler_pipelines.messaging.ledger import Approval, CardRecord, OutgoingMessage
from mahler_pipelines.storage.ledger_base import LedgerBase
from mahler_pipelines.storage.messaging_tables import (
    approvals,
    cards,
    close_requests,
    seen_interactions,
)
from mahler_pipelines.storage.tables import audit_events, outbox, recommendations

REMEMBERED = timedelta(days=1)
"""How long an interaction is remembered: far longer than its signature stays fresh."""


class MessagingRows(LedgerBase):
    """What `messaging.ledger.MessagingLedger` asks for beyond the ledger of review."""

    def outgoing(self, *, limit: int = 100) -> tuple[OutgoingMessage, ...]:
        """Return messages that have not gone out, oldest first."""
        query = self._select(outbox).where(outbox.c.delivered_at.is_(None))
        return tuple(_message(row) for row in self._rows(query.order_by(outbox.c.seq).limit(limit)))

    def due_messages(self, *, at: datetime, limit: int = 100) -> tuple[OutgoingMessage, ...]:
        """Return the oldest waiting message of each subject where it may be tried now."""
        waiting = sa.and_(outbox.c.account_id == self._account_id, outbox.c.delivered_at.is_(None))
        first = sa.select(sa.func.min(outbox.c.seq)).where(waiting).group_by(outbox.c.subject)
        rested = sa.or_(outbox.c.next_attempt_at.is_(None), outbox.c.next_attempt_at <= at)
        query = sa.select(outbox).where(outbox.c.seq.in_(first), rested)
        return tuple(_message(row) for row in self._rows(query.order_by(outbox.c.seq).limit(limit)))

    def message(self, key: str) -> OutgoingMessage | None:
        """Return one row of the outbox, gone out or not."""
        rows = self._rows(self._select(outbox).where(outbox.c.key == key))
        return _message(rows[0]) if rows else None

    def begin_sending(self, key: str, *, at: datetime, anew: bool = False) -> bool:
        """Note that a request is about to be sent; False when the message is out already.

        The first time stays, until sending begins `anew`. Raises `MissingData` for an unknown key.
        """
        since = at if anew else sa.func.coalesce(outbox.c.sending_since, at)
        begun = self._update(
            outbox, outbox.c.key == key, outbox.c.delivered_at.is_(None), sending_since=since
        )
        if not begun:
            self._need_row(outbox.c.key, key)
        return begun

    def postpone(self, key: str, *, at: datetime, until: datetime, problem: str) -> bool:
        """Count an attempt of which nothing came; False if the message had gone out before.

        Raises `MissingData` for an unknown key.
        """
        postponed = self._update(
            outbox,
            outbox.c.key == key,
            outbox.c.delivered_at.is_(None),
            attempts=outbox.c.attempts + 1,
            next_attempt_at=until,
            problem=problem,
        )
        if not postponed:
            self._need_row(outbox.c.key, key)
            return False
        detail = {"key": key, "problem": problem, "until": until}
        self.audit("message_not_delivered", key, detail, at=at)
        return True

    def put_card(self, card: CardRecord, *, instead_of: str | None = None) -> bool:
        """Put a card there; False when it is wanted `instead_of` another look than it has."""
        values: dict[str, Any] = {
            "kind": card.kind,
            "subject": card.subject,
            "channel_id": card.channel_id,
            "message_id": card.message_id,
            "shown": card.shown,
            "settled": card.settled,
            "updated_at": card.updated_at,
            "confirmed": card.confirmed,
        }
        mine = cards.c.key == card.key
        if instead_of is not None:
            return self._update(cards, mine, cards.c.shown == instead_of, **values)
        if not self._add_new(cards, ["key"], {"key": card.key, **values}):
            self._update(cards, mine, **values)
        return True

    def cards(
        self, *, unsettled_only: bool = False, subject: str | None = None
    ) -> tuple[CardRecord, ...]:
        """Return cards, oldest first."""
        query = self._select(cards)
        if unsettled_only:
            query = query.where(cards.c.settled.is_(False))
        if subject is not None:
            query = query.where(cards.c.subject == subject)
        return tuple(_card(row) for row in self._rows(query.order_by(cards.c.seq)))

    def card_of_message(self, message_id: str) -> CardRecord | None:
        """Return the card that a message is; None for any other message."""
        rows = self._rows(self._select(cards).where(cards.c.message_id == message_id))
        return _card(rows[0]) if rows else None

    def last_change(self) -> int:
        """Return the number of the account's last event; 0 before the first.

        Whatever changes writes an event in the same transaction.
        """
        query = sa.select(audit_events.c.seq).where(audit_events.c.account_id == self._account_id)
        rows = self._rows(query.order_by(audit_events.c.seq.desc()).limit(1))
        return int(rows[0].seq) if rows else 0

    def next_expiry(self) -> datetime | None:
        """Return when the first of the pending recommendations expires."""
        query = sa.select(sa.func.min(recommendations.c.expires_at).label("first")).where(
            recommendations.c.account_id == self._account_id,
            recommendations.c.status == RecommendationStatus.PENDING,
        )
        first: datetime | None = self._rows(query)[0].first
        return first

    def see_interaction(self, interaction_id: str, *, at: datetime) -> bool:
        """Remember an interaction; False when it was seen before. Old ones are forgotten."""
        self._delete(seen_interactions, seen_interactions.c.seen_at < at - REMEMBERED)
        return self._add_new(seen_interactions, ["id"], {"id": interaction_id, "seen_at": at})

    def add_approval(self, approval: Approval) -> bool:
        """Record one person's yes; False when this person has given it before."""
        values = {
            "recommendation_id": approval.recommendation_id,
            "decided_by": approval.decided_by,
            "door": approval.door,
            "decided_at": approval.decided_at,
            "content_hash": approval.content_hash,
        }
        if not self._add_new(approvals, ["recommendation_id", "decided_by"], values):
            return False
        detail = {"by": approval.decided_by, "door": approval.door}
        self.audit("approval_added", approval.recommendation_id, detail, at=approval.decided_at)
        return True

    def approvals(self, recommendation_id: str) -> tuple[Approval, ...]:
        """Return everybody's yes to a recommendation, oldest first."""
        query = self._select(approvals).where(approvals.c.recommendation_id == recommendation_id)
        return tuple(
            Approval(
                row.recommendation_id, row.decided_by, row.door, row.decided_at, row.content_hash
            )
            for row in self._rows(query.order_by(approvals.c.seq))
        )

    def request_close(self, request: CloseRequest) -> bool:
        """Record an answer; False when the same one waits, or was given this day already."""
        keeps = request.wish is CloseWish.KEEP
        given = [one for one in self.close_requests() if one.trade_id == request.trade_id]
        if given and given[-1].wish is request.wish and _stands(given[-1], request):
            return False
        if keeps:
            self.take_close_request(request.trade_id, at=request.requested_at)
        row = {
            "trade_id": request.trade_id,
            "wish": request.wish,
            "requested_by": request.requested_by,
            "door": request.door,
            "requested_at": request.requested_at,
            "taken_at": request.requested_at if keeps else request.taken_at,
        }
        self._add(close_requests, [row])
        detail = {"wish": request.wish, "by": request.requested_by, "door": request.door}
        self.audit("close_requested", request.trade_id, detail, at=request.requested_at)
        return True

    def close_requests(self, *, waiting_only: bool = False) -> tuple[CloseRequest, ...]:
        """Return answers to exit alerts, oldest first."""
        query = self._select(close_requests)
        if waiting_only:
            query = query.where(close_requests.c.taken_at.is_(None))
        return tuple(
            CloseRequest(
                trade_id=row.trade_id,
                wish=CloseWish(row.wish),
                requested_by=row.requested_by,
                door=row.door,
                requested_at=row.requested_at,
                taken_at=row.taken_at,
            )
            for row in self._rows(query.order_by(close_requests.c.seq))
        )

    def take_close_request(self, trade_id: str, *, at: datetime) -> bool:
        """Mark the waiting wish to close as taken up; False when there is none."""
        return self._update(
            close_requests,
            close_requests.c.trade_id == trade_id,
            close_requests.c.wish == CloseWish.CLOSE,
            close_requests.c.taken_at.is_(None),
            taken_at=at,
        )


def _stands(given: CloseRequest, anew: CloseRequest) -> bool:
    """Whether an answer still says what is said once more: it waits, or keeps for its session."""
    if given.wish is CloseWish.CLOSE:
        return given.taken_at is None
    return session_of(given.requested_at) == session_of(anew.requested_at)


def _card(row: sa.Row[Any]) -> CardRecord:
    return CardRecord(
        key=row.key,
        kind=row.kind,
        subject=row.subject,
        channel_id=row.channel_id,
        message_id=row.message_id,
        shown=row.shown,
        settled=row.settled,
        updated_at=row.updated_at,
        confirmed=row.confirmed,
    )


def _message(row: sa.Row[Any]) -> OutgoingMessage:
    return OutgoingMessage(
        key=row.key,
        kind=row.kind,
        subject=row.subject,
        payload=row.payload,
        created_at=row.created_at,
        attempts=row.attempts,
        sending_since=row.sending_since,
        next_attempt_at=row.next_attempt_at,
        delivered_at=row.delivered_at,
    )
