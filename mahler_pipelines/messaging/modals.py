"""What a sent form does: a rejection with its reason, an edit with its size and limit."""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import partial

from mahler_pipelines.cards.custom_ids import Action
from mahler_pipelines.cards.forms import (
    CONTRACTS,
    LIMIT,
    NUMBER_LENGTH,
    REASON,
    REASON_LENGTH,
)
from mahler_pipelines.decisions.approvals import DecisionOutcome, decide
from mahler_pipelines.decisions.proposing import Asked
from mahler_pipelines.decisions.recommendation import DecisionVerdict
from mahler_pipelines.execution.editing import Editor
from mahler_pipelines.messaging.answer import Answer, put_off
from mahler_pipelines.messaging.buttons import content_hash_of, decided_nothing, waiting
from mahler_pipelines.messaging.office import Office, Press, own_card
from mahler_pipelines.messaging.refusing import NotTaken, Refused

_CONTRACTS = re.compile(r"[0-9]{1,4}")
_LIMIT = re.compile(r"\$?\s*([0-9]{1,4})(?:[.,]([0-9]{1,2}))?")


def reject_sent(office: Office, press: Press) -> Answer:
    """Reject with the reason that was written; an empty one is one too."""
    reason = _text(press, REASON, most=REASON_LENGTH)
    now = office.market_now()
    with office.act(press.interaction) as ledger:
        card = own_card(ledger, press)
        result = decide(
            ledger,
            recommendation_id=card.subject,
            verdict=DecisionVerdict.REJECT,
            decided_by=press.by,
            door=press.door,
            at=now,
            reason=reason,
            shown_hash=content_hash_of(ledger, card),
        )
        if result.outcome is DecisionOutcome.RECORDED:
            return office.redrawn(ledger, card)
    return decided_nothing(press, result.message)


def edit_sent(office: Office, press: Press) -> Answer:
    """Have the edit priced and put to the gates, which takes longer than a first answer may."""
    asked = Asked(_contracts(press), _limit(press))
    with office.act(press.interaction) as ledger:
        stored = waiting(ledger, press)
    editor = Editor(press.by, press.door, stored.recommendation.content_hash)
    run_id = f"discord-{press.interaction.id}"
    return put_off(
        partial(
            office.inquiries.edit, stored.recommendation.id, asked, editor=editor, run_id=run_id
        )
    )


def _contracts(press: Press) -> int:
    text = _text(press, CONTRACTS, most=NUMBER_LENGTH)
    if not _CONTRACTS.fullmatch(text) or int(text) < 1:
        raise Refused(NotTaken.VALUE_UNREADABLE, "Contracts: a whole number from 1 up.")
    return int(text)


def _limit(press: Press) -> Decimal:
    """Dollars per share to the cent; also with a comma, as many phones write it."""
    found = _LIMIT.fullmatch(_text(press, LIMIT, most=NUMBER_LENGTH))
    if found is None:
        said = "Limit: dollars per share, to the cent, such as 1.15."
        raise Refused(NotTaken.VALUE_UNREADABLE, said)
    return Decimal(f"{found[1]}.{found[2] or '00'}")


def _text(press: Press, name: str, *, most: int) -> str:
    """A box's text; longer than its box can hold means that no form of ours sent it."""
    text = press.interaction.value(name)
    if len(text) > most:
        raise Refused(NotTaken.TEXT_TOO_LONG, f"That is longer than {most} characters.")
    return "".join(sign for sign in text if sign.isprintable() or sign == "\n")


MODALS: Mapping[Action, Callable[[Office, Press], Answer]] = {
    Action.REJECT_REASON: reject_sent,
    Action.EDITED: edit_sent,
}
