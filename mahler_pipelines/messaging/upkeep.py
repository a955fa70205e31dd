"""The cards in the channel end up showing the truth.

Cards are not told what happened: each is compared with what the ledger says, and edited where it
differs, so that a crash at any instant heals at the next round. Before an edit the card's record
says that it is not known what it shows; after it, the record takes the new look only from that very
edit. So two processes that edit at once, or one that dies between, leave a card to be edited again.
"""

import secrets
from dataclasses import replace
from datetime import datetime, timedelta

from mahler_pipelines.messaging.courier import (
    CannotRender,
    Courier,
    DeliveryReport,
    Pause,
    is_general,
    retry_after,
)
from mahler_pipelines.messaging.ledger import CardRecord
from mahler_pipelines.messaging.marks import mark, marked, shown_hash
from mahler_pipelines.messaging.notifier import NotifierError, NotifierRefused

NOT_KNOWN = "not known"
"""What a card is said to show that has to be edited, whatever it shows."""


def update_cards(courier: Courier, report: DeliveryReport, *, until: datetime) -> None:
    """Compare every card that can change; edit what differs, the longest untouched first."""
    progress = courier.progress
    with courier.book.reading(courier.account_id) as ledger:
        change, cards = ledger.last_change(), ledger.cards(unsettled_only=True)
    known = {card.key for card in cards}
    progress.cards = {key: pause for key, pause in progress.cards.items() if key in known}
    progress.compared, progress.next_look = None, None
    looks: list[datetime] = []
    for card in sorted(cards, key=lambda card: card.updated_at):
        now = courier.present()
        if now >= until or progress.editing.lasts(now):
            return
        pause = progress.cards.setdefault(card.key, Pause())
        look = pause.until if pause.lasts(now) else _try(courier, card, pause, report)
        looks += [look] if look is not None else []
    if not progress.editing.lasts(courier.present()):
        progress.compared, progress.next_look = change, min(looks, default=None)


def _try(
    courier: Courier, card: CardRecord, pause: Pause, report: DeliveryReport
) -> datetime | None:
    """Bring one card to its true state; return when to look again, where something is open."""
    try:
        look = _update(courier, card, report)
    except (NotifierError, CannotRender) as error:
        now, patience = courier.present(), retry_after(error)
        report.problems[card.key] = str(error)
        pause.fail(now, courier.terms, retry_after=patience)
        if is_general(error):
            courier.progress.editing.fail(now, courier.terms, retry_after=patience)
        return pause.until
    pause.end()
    return look


def _update(courier: Courier, card: CardRecord, report: DeliveryReport) -> datetime | None:
    rendered = courier.rendered(card.key, lambda ledger: courier.renderer.card(ledger, card))
    message = marked(rendered.message, mark(courier.account_id, card.key))
    shown = shown_hash(message)
    confirming = timedelta(seconds=courier.terms.confirm_seconds)
    is_same = shown == card.shown
    if is_same and card.confirmed:
        if rendered.settled:
            _put(courier, replace(card, settled=True), instead_of=shown)
        return None
    if is_same and courier.present() < card.updated_at + confirming:
        return card.updated_at + confirming
    token = f"{NOT_KNOWN} {secrets.token_hex(8)}"
    if not _put(courier, replace(card, shown=token), instead_of=card.shown):
        return courier.present()
    try:
        courier.notifier.edit(card.message_id, message)
    except NotifierRefused as refusal:
        if not refusal.is_gone:
            raise
        _forget(courier, card)
        return None
    report.edited.append(card.key)
    courier.progress.editing.end()
    now = courier.present()
    put = replace(card, shown=shown, updated_at=now, confirmed=is_same)
    if _put(courier, replace(put, settled=is_same and rendered.settled), instead_of=token):
        return None if is_same else now + confirming
    _doubt(courier, card, at=now)
    return now


def _doubt(courier: Courier, card: CardRecord, *, at: datetime) -> None:
    """Somebody else edited at the same time: which edit came last is not known, so edit again."""
    with courier.book.transaction(courier.account_id) as ledger:
        # An event, so that whoever delivers next sees a change.
        ledger.audit("card_edited_twice", card.subject, {"message_id": card.message_id}, at=at)
        ledger.put_card(replace(card, shown=NOT_KNOWN))


def _put(courier: Courier, card: CardRecord, *, instead_of: str) -> bool:
    with courier.book.transaction(courier.account_id) as ledger:
        return ledger.put_card(card, instead_of=instead_of)


def _forget(courier: Courier, card: CardRecord) -> None:
    """Somebody deleted the message: say so in the history, and ask no more about it."""
    at = courier.present()
    with courier.book.transaction(courier.account_id) as ledger:
        ledger.audit("card_deleted", card.subject, {"message_id": card.message_id}, at=at)
        ledger.put_card(replace(card, settled=True, updated_at=at))
