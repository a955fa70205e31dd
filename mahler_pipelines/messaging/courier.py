"""What delivery works with: its terms, its patience, and what it remembers between rounds."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from mahler_pipelines.cards.message import Message
from mahler_pipelines.cards.payload import message_payload
from mahler_pipelines.errors import MahlerError
from mahler_pipelines.messaging.ledger import (
    CardRecord,
    MessagingBook,
    MessagingLedger,
    OutgoingMessage,
)
from mahler_pipelines.messaging.notifier import (
    Notifier,
    NotifierError,
    NotifierRefused,
    NotifierUnavailable,
)

_NOBODY_ALLOWED = (401, 403, 404)
"""Statuses that say nothing about a message: the token, the channel or the permission is wrong."""


class CannotRender(MahlerError):
    """A message that can't be made from what the ledger holds."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A message ready to go out.

    `is_card` says that it will be kept up to date; `settled` that nothing can change it any more.
    """

    message: Message
    is_card: bool = False
    settled: bool = True


class Renderer(Protocol):
    """Makes messages from the ledger's state; the same state makes the same message."""

    def new(self, ledger: MessagingLedger, row: OutgoingMessage) -> Rendered:
        """The message of an outbox row, with its pictures."""
        ...

    def card(self, ledger: MessagingLedger, card: CardRecord) -> Rendered:
        """What a card should show now, without pictures."""
        ...

    def facts(self, ledger: MessagingLedger, row: OutgoingMessage) -> Rendered:
        """The bare facts of an outbox row, for what can't be shown as it should be."""
        ...


@dataclass(frozen=True, slots=True)
class DeliveryTerms:
    """How patiently messages are sent; times are seconds of the machine's clock.

    Within `nonce_seconds` of a send of unknown outcome the nonce makes a repeat harmless; later the
    channel is searched, from `skew_seconds` before that send on. The wait after the n-th failure is
    `first_wait_seconds` doubled n - 1 times, at most `longest_wait_seconds`. After `attempts_drawn`
    failures of its own a message goes out as bare facts. A round ends after `round_seconds` or the
    request that is on its way then; so a person's news never waits behind many edits. What was put
    on a card is put there once more after `confirm_seconds`, more than the three in which the
    answer to a press is taken. The market's clock is asked every `clock_seconds`.
    """

    nonce_seconds: float = 120.0
    skew_seconds: float = 600.0
    first_wait_seconds: float = 2.0
    longest_wait_seconds: float = 60.0
    attempts_drawn: int = 3
    lease_seconds: float = 30.0
    round_seconds: float = 10.0
    messages_per_read: int = 50
    confirm_seconds: float = 5.0
    clock_seconds: float = 5.0

    def wait(self, failures: int, retry_after: float = 0.0) -> timedelta:
        """How long to wait after so many failures in a row."""
        doubled = self.first_wait_seconds * 2 ** min(max(failures - 1, 0), 20)
        return timedelta(seconds=max(min(doubled, self.longest_wait_seconds), retry_after))


@dataclass(slots=True)
class Pause:
    """A rest after failures in a row."""

    failures: int = 0
    until: datetime | None = None

    def lasts(self, now: datetime) -> bool:
        """Whether it is not over."""
        return self.until is not None and now < self.until

    def fail(self, now: datetime, terms: DeliveryTerms, *, retry_after: float = 0.0) -> None:
        """Rest once more, and longer."""
        self.failures += 1
        self.until = now + terms.wait(self.failures, retry_after)

    def end(self) -> None:
        """Begin anew: something went well."""
        self.failures, self.until = 0, None


@dataclass(slots=True)
class Progress:
    """What a courier remembers between rounds; to forget it costs requests, never a message.

    `compared` is the ledger's last change at which every card was found true, and `next_look` when
    one has to be looked at again although nothing changed. `faults` counts the failures of messages
    that were their own.
    """

    sending: Pause = field(default_factory=Pause)
    editing: Pause = field(default_factory=Pause)
    cards: dict[str, Pause] = field(default_factory=dict)
    faults: dict[str, int] = field(default_factory=dict)
    compared: int | None = None
    next_look: datetime | None = None
    next_clock: datetime | None = None


def _at_once() -> None:
    """Wait for nobody."""


@dataclass(frozen=True, slots=True)
class Courier:
    """What delivery works with.

    `present` is the machine's clock, with its zone; `market_now` the market's, by which what
    nobody answered expires; it raises `BrokerError` when nobody can tell. `give_way` is called
    before each message is drawn: it may wait a little for people who are being answered.
    """

    account_id: str
    book: MessagingBook
    notifier: Notifier
    renderer: Renderer
    holder: str
    present: Callable[[], datetime]
    market_now: Callable[[], datetime]
    terms: DeliveryTerms = field(default_factory=DeliveryTerms)
    progress: Progress = field(default_factory=Progress)
    give_way: Callable[[], None] = _at_once

    def rendered(self, what: str, render: Callable[[MessagingLedger], Rendered]) -> Rendered:
        """Render from one moment of the ledger; raise `CannotRender`, whatever went wrong."""
        self.give_way()
        with self.book.reading(self.account_id) as ledger:
            try:
                rendered = render(ledger)
                # What can't be put in Discord's words is found here, and not while sending.
                message_payload(rendered.message)
            except Exception as error:  # noqa: BLE001 one message's fault must not hold the others
                failure = CannotRender(f"{what}: {type(error).__name__}: {str(error)[:200]}")
            else:
                return rendered
        raise failure


@dataclass(slots=True)
class DeliveryReport:
    """What one round did: keys of what was sent or edited, and what went wrong, by key."""

    sent: list[str] = field(default_factory=list)
    edited: list[str] = field(default_factory=list)
    expired: list[str] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)
    busy: bool = False


def is_general(error: MahlerError) -> bool:
    """Whether a failure says that the chat is in trouble, and not what was sent to it."""
    if isinstance(error, NotifierRefused):
        return error.status in _NOBODY_ALLOWED and not error.is_gone
    return isinstance(error, NotifierError)


def retry_after(error: MahlerError) -> float:
    """Seconds that the chat asked to wait."""
    return (error.retry_after or 0.0) if isinstance(error, NotifierUnavailable) else 0.0
