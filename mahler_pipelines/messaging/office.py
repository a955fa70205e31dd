"""What every answer is made with: the ledger, the cards' renderer, the clocks, the rules."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from mahler_pipelines.cards.custom_ids import CustomId
from mahler_pipelines.errors import BrokerError
from mahler_pipelines.messaging.answer import Answer, updated
from mahler_pipelines.messaging.approving import ApprovalRule
from mahler_pipelines.messaging.courier import Renderer
from mahler_pipelines.messaging.inquiries import Inquiries
from mahler_pipelines.messaging.interaction import Interaction
from mahler_pipelines.messaging.ledger import CardRecord, MessagingBook, MessagingLedger
from mahler_pipelines.messaging.marks import mark, marked
from mahler_pipelines.messaging.refusing import NotTaken, Refused


@dataclass(frozen=True, slots=True)
class Press:
    """A press of a button or the sending of a form: what was done, through which door."""

    interaction: Interaction
    custom_id: CustomId
    door: str

    @property
    def by(self) -> str:
        """Who did it, as the ledger names people."""
        return person(self.interaction)


def person(interaction: Interaction) -> str:
    """Who did it, as the ledger names people."""
    return f"discord:{interaction.user_id}"


@dataclass(frozen=True, slots=True)
class Office:
    """One account's office.

    `market_now` is the market's present and raises `BrokerError` when nobody can tell it; `present`
    is the machine's clock, with its zone.
    """

    account_id: str
    book: MessagingBook
    renderer: Renderer
    rule: ApprovalRule
    inquiries: Inquiries
    market_now: Callable[[], datetime]
    present: Callable[[], datetime]

    def soonest(self) -> datetime:
        """The market's present, else the machine's: closing and halting wait for no broker."""
        try:
            return self.market_now()
        except BrokerError:
            return self.present()

    @contextmanager
    def act(self, interaction: Interaction) -> Iterator[MessagingLedger]:
        """Open the transaction of an act, in which its interaction counts once.

        A refusal rolls everything back, the interaction's trace among it: nothing was changed.
        """
        with self.book.transaction(self.account_id) as ledger:
            if not ledger.see_interaction(interaction.id, at=self.present()):
                raise Refused(NotTaken.REPLAYED, "This was answered before.")
            yield ledger

    def redrawn(self, ledger: MessagingLedger, card: CardRecord) -> Answer:
        """Show a card as it stands in this transaction, exactly as delivery would edit it."""
        rendered = self.renderer.card(ledger, card)
        return updated(marked(rendered.message, mark(self.account_id, card.key)))


def card_of(ledger: MessagingLedger, press: Press) -> CardRecord:
    """The card whose button was pressed, whatever it is about."""
    message = press.interaction.message_id
    card = ledger.card_of_message(message) if message else None
    if card is None:
        told = "This card is not known here (yet): try again in a moment."
        raise Refused(NotTaken.UNKNOWN_CARD, told)
    return card


def own_card(ledger: MessagingLedger, press: Press) -> CardRecord:
    """The card whose button was pressed, which has to be about the button's subject."""
    card = card_of(ledger, press)
    if card.subject != press.custom_id.subject:
        raise Refused(NotTaken.OTHER_CARD, "This button belongs to another card.")
    return card
