"""The one handler behind every door: who asks is checked, then what, then it is done or refused.

Nothing that a person may send raises. What is not taken changes nothing, is told to who sent it and
to nobody else, and leaves a line in the log with its code: never a token, never what was typed.
"""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from mahler_pipelines.cards.custom_ids import BadCustomId, parse_custom_id
from mahler_pipelines.cards.message import Message
from mahler_pipelines.cards.text import cut, plain
from mahler_pipelines.errors import BrokerError, LedgerBusy, MahlerError
from mahler_pipelines.messaging.answer import PONG, Answer
from mahler_pipelines.messaging.authority import Authority, Stranger
from mahler_pipelines.messaging.buttons import BUTTONS
from mahler_pipelines.messaging.commands import COMMANDS
from mahler_pipelines.messaging.interaction import Interaction, InteractionKind
from mahler_pipelines.messaging.modals import MODALS
from mahler_pipelines.messaging.notifier import (
    Notifier,
    NotifierOutcomeUnknown,
    NotifierUnavailable,
)
from mahler_pipelines.messaging.office import Office, Press
from mahler_pipelines.messaging.refusing import NotTaken, Refused, not_taken

REMEMBERED = 10_000
"""Interactions of late that are known again without asking the ledger."""
FOLLOW_UP_WAITS = (1.0, 4.0, 15.0)
"""Seconds before a follow-up is tried again; its token is good for fifteen minutes."""
ERROR_LENGTH = 300

STRANGERS = {
    Stranger.WRONG_APPLICATION: "This button belongs to another application.",
    Stranger.WRONG_GUILD: "This desk answers in its own server only.",
    Stranger.WRONG_CHANNEL: "This desk answers in its own channel only.",
    Stranger.NOT_ON_THE_LIST: "You are not on the list of those who answer for this desk.",
}

_log = logging.getLogger(__name__)


class Remembered:
    """Ids of late, so that a captured request shows nothing twice. Safe between threads."""

    def __init__(self, count: int = REMEMBERED) -> None:
        self._count = count
        self._lock = threading.Lock()
        self._ids: OrderedDict[str, None] = OrderedDict()

    def is_new(self, identifier: str) -> bool:
        """Note an id; False when it was noted before."""
        with self._lock:
            if identifier in self._ids:
                return False
            self._ids[identifier] = None
            if len(self._ids) > self._count:
                self._ids.popitem(last=False)
            return True


@dataclass(frozen=True, slots=True)
class Handler:
    """Answers for one account; satisfies `prompt_answers.Responder`.

    `sleep` waits between tries of a follow-up, in seconds.
    """

    authority: Authority
    office: Office
    notifier: Notifier
    sleep: Callable[[float], None]
    remembered: Remembered = field(default_factory=Remembered)

    def respond(self, interaction: Interaction, *, door: str) -> Answer:
        """Answer an interaction from the ledger alone; what takes longer is put off."""
        if interaction.kind is InteractionKind.PING:
            return PONG
        stranger = self.authority.stranger(interaction)
        if stranger is not None:
            return not_taken(interaction, door, stranger, STRANGERS[stranger])
        try:
            return self._taken(interaction, door)
        except Refused as refusal:
            return not_taken(interaction, door, refusal.code, refusal.told)
        except LedgerBusy:
            said = "The desk is busy: press again in a moment."
            return not_taken(interaction, door, NotTaken.NOT_NOW, said)
        except BrokerError:
            said = "The market's clock can't be read now: press again in a moment."
            return not_taken(interaction, door, NotTaken.NOT_NOW, said)
        except Exception as error:  # noqa: BLE001 a door answers whatever was sent
            # Its words may repeat what was sent, so that its type and its place have to do.
            _log.error(
                "interaction %s failed: %s at %s",
                interaction.id,
                type(error).__name__,
                _place(error),
            )
            said = "That did not work, and nothing was changed."
            return not_taken(interaction, door, NotTaken.UNFORESEEN, said)

    def finish(self, interaction: Interaction, answer: Answer) -> None:
        """Fill in an answer that was put off; what goes wrong is told instead of it."""
        if answer.later is None:
            return
        try:
            message = answer.later()
        except MahlerError as error:
            _log.warning("interaction %s: %s", interaction.id, type(error).__name__)
            message = Message(content=f"That did not work: {cut(plain(str(error)), ERROR_LENGTH)}")
        self._follow_up(interaction, message)

    def _taken(self, interaction: Interaction, door: str) -> Answer:
        if not self.remembered.is_new(interaction.id):
            raise Refused(NotTaken.REPLAYED, "This was answered before.")
        if interaction.kind is InteractionKind.COMMAND:
            command = COMMANDS.get(interaction.command)
            if command is None:
                raise Refused(NotTaken.UNKNOWN_COMMAND, "This desk knows no such command.")
            return command.act(self.office, interaction)
        try:
            custom_id = parse_custom_id(interaction.custom_id)
        except BadCustomId as error:
            raise Refused(NotTaken.UNKNOWN_BUTTON, f"That is {plain(str(error))}.") from None
        if custom_id.account_id != self.office.account_id:
            raise Refused(NotTaken.OTHER_ACCOUNT, "This card belongs to another account.")
        known = MODALS if interaction.kind is InteractionKind.MODAL else BUTTONS
        act = known.get(custom_id.action)
        if act is None:
            raise Refused(NotTaken.UNKNOWN_BUTTON, "That is no button of this desk.")
        return act(self.office, Press(interaction, custom_id, door))

    def _follow_up(self, interaction: Interaction, message: Message) -> None:
        for wait in (*FOLLOW_UP_WAITS, None):
            try:
                self.notifier.follow_up(interaction.token, message)
            except (NotifierUnavailable, NotifierOutcomeUnknown):
                # Filling in the same answer twice shows it once.
                if wait is not None:
                    self.sleep(wait)
                    continue
                _log.warning("interaction %s could not be filled in", interaction.id)
            except MahlerError as error:
                _log.warning(
                    "interaction %s was not filled in: %s", interaction.id, type(error).__name__
                )
            return


def _place(error: Exception) -> str:
    """Module and line where it was raised."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "nowhere" if trace is None else f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
