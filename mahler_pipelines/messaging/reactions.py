"""The door for where no other can run: ✅ and ❌ under a card, read from time to time.

Discord tells who pressed, and no roles: only the list of people counts. Where ✅ and ❌ are found
together, ❌ counts: nobody can tell which came first, and not to trade can be made up for.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from mahler_pipelines.decisions.approvals import ANSWER_REFUSED, decide
from mahler_pipelines.decisions.recommendation import DecisionVerdict, RecommendationStatus
from mahler_pipelines.messaging.approving import ApprovalRule, approve
from mahler_pipelines.messaging.authority import Stranger
from mahler_pipelines.messaging.ledger import CardRecord, MessagingBook, MessagingLedger
from mahler_pipelines.messaging.notifier import Notifier, NotifierRefused

DOOR = "discord-reactions"
YES, NO = "✅", "❌"
OFFERED = "reactions_offered"
"""Kind of the event that says that the desk put its own two reactions under a card."""


@dataclass(frozen=True, slots=True)
class ReactionDoor:
    """Whose reactions count, and what is needed to take them.

    `market_now` is the market's present and raises `BrokerError` when nobody can tell it.
    """

    account_id: str
    book: MessagingBook
    notifier: Notifier
    rule: ApprovalRule
    users: frozenset[str]
    market_now: Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class _Asked:
    card: CardRecord
    is_offered: bool


def read_reactions(door: ReactionDoor) -> tuple[str, ...]:
    """Offer ✅ and ❌ under each card that waits, and take the answers that were given.

    Returns the ids of recommendations that were decided. Raises `NotifierError` when the chat, and
    `BrokerError` when the market's time can't be read; the next round goes on from there.
    """
    decided = []
    for asked in _waiting(door):
        try:
            if not asked.is_offered:
                _offer(door, asked.card)
            pressed = {
                sign: [one.user_id for one in door.notifier.reactions(asked.card.message_id, sign)]
                for sign in (NO, YES)
            }
        except NotifierRefused as refusal:
            if refusal.is_gone:
                continue  # Somebody deleted the card: delivery will notice when it edits it.
            raise
        if any(pressed.values()) and _take(door, asked.card, pressed):
            decided.append(asked.card.subject)
    return tuple(decided)


def _waiting(door: ReactionDoor) -> list[_Asked]:
    with door.book.reading(door.account_id) as ledger:
        pending = {
            stored.recommendation.id
            for stored in ledger.recommendations(statuses=[RecommendationStatus.PENDING])
        }
        cards = ledger.cards(unsettled_only=True) if pending else ()
        return [
            _Asked(card, bool(_events(ledger, card.subject, OFFERED)))
            for card in cards
            if card.subject in pending
        ]


def _offer(door: ReactionDoor, card: CardRecord) -> None:
    for sign in (YES, NO):
        door.notifier.react(card.message_id, sign)
    at = door.market_now()
    with door.book.transaction(door.account_id) as ledger:
        ledger.audit(OFFERED, card.subject, {"message_id": card.message_id}, at=at)


def _take(door: ReactionDoor, card: CardRecord, pressed: dict[str, list[str]]) -> bool:
    """Take the answers of who is on the list; return whether the recommendation is decided now."""
    at = door.market_now()
    with door.book.transaction(door.account_id) as ledger:
        strangers = {user for users in pressed.values() for user in users} - door.users
        for user in sorted(strangers):
            _refuse(ledger, card, user, at=at)
        for sign, verdict in ((NO, DecisionVerdict.REJECT), (YES, DecisionVerdict.APPROVE)):
            for user in pressed[sign]:
                if user in door.users and _answer(door, ledger, card, user, verdict, at=at):
                    return True
    return False


def _answer(
    door: ReactionDoor,
    ledger: MessagingLedger,
    card: CardRecord,
    user: str,
    verdict: DecisionVerdict,
    *,
    at: datetime,
) -> bool:
    stored, row = ledger.recommendation(card.subject), ledger.message(card.key)
    if stored is None or row is None or stored.status is not RecommendationStatus.PENDING:
        return True
    shown_hash, by = str(row.payload.get("content_hash", "")), f"discord:{user}"
    if verdict is DecisionVerdict.APPROVE:
        step = approve(
            ledger,
            rule=door.rule,
            recommendation_id=card.subject,
            decided_by=by,
            door=DOOR,
            at=at,
            shown_hash=shown_hash,
        )
        return step.result is not None
    decide(
        ledger,
        recommendation_id=card.subject,
        verdict=verdict,
        decided_by=by,
        door=DOOR,
        at=at,
        shown_hash=shown_hash,
    )
    return True


def _refuse(ledger: MessagingLedger, card: CardRecord, user: str, *, at: datetime) -> None:
    """Keep once that somebody answered whose answer does not count."""
    by = f"discord:{user}"
    known = _events(ledger, card.subject, ANSWER_REFUSED)
    if any(detail.get("by") == by and detail.get("door") == DOOR for detail in known):
        return
    detail = {"by": by, "door": DOOR, "outcome": Stranger.NOT_ON_THE_LIST}
    ledger.audit(ANSWER_REFUSED, card.subject, detail, at=at)


def _events(ledger: MessagingLedger, subject: str, kind: str) -> list[dict[str, object]]:
    return [event.detail for event in ledger.audit_events(subject=subject) if event.kind == kind]
