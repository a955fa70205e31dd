"""What an interaction is answered with: at once, and perhaps something that takes longer."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from mahler_pipelines.cards.message import Embed, Message, Modal
from mahler_pipelines.cards.payload import message_payload, modal_payload

EPHEMERAL = 64
"""Discord's flag for a message that only one person sees."""


class AnswerKind(IntEnum):
    """Discord's kinds of a first answer."""

    PONG = 1
    MESSAGE = 4
    DEFERRED_MESSAGE = 5
    DEFERRED_UPDATE = 6
    UPDATE = 7
    MODAL = 9


@dataclass(frozen=True, slots=True)
class Answer:
    """The first answer to an interaction, due within three seconds.

    `later`, with a deferred kind, makes the message that fills it in; the door calls it after the
    first answer is out. `ephemeral` answers are seen only by who asked.
    """

    kind: AnswerKind
    message: Message | None = None
    modal: Modal | None = None
    ephemeral: bool = False
    later: Callable[[], Message] | None = None

    def body(self) -> dict[str, Any]:
        """The answer in Discord's JSON."""
        answer: dict[str, Any] = {"type": int(self.kind)}
        if self.modal is not None:
            answer["data"] = modal_payload(self.modal)
        elif self.message is not None:
            answer["data"] = message_payload(self.message)
        if self.ephemeral:
            answer["data"] = {**answer.get("data", {}), "flags": EPHEMERAL}
        return answer


PONG = Answer(AnswerKind.PONG)


def told(text: str) -> Answer:
    """Say something to who asked, and to nobody else."""
    return Answer(AnswerKind.MESSAGE, message=Message(content=text), ephemeral=True)


def shown(*embeds: Embed) -> Answer:
    """Show something to who asked, and to nobody else."""
    return Answer(AnswerKind.MESSAGE, message=Message(embeds=embeds), ephemeral=True)


def shown_privately(message: Message) -> Answer:
    """Show a message, with its buttons, to who asked and to nobody else."""
    return Answer(AnswerKind.MESSAGE, message=message, ephemeral=True)


def updated(message: Message) -> Answer:
    """Change the message whose button was pressed; its pictures stay."""
    return Answer(AnswerKind.UPDATE, message=message)


def opened(modal: Modal) -> Answer:
    """Open a form."""
    return Answer(AnswerKind.MODAL, modal=modal)


def put_off(later: Callable[[], Message]) -> Answer:
    """Say at once that an answer follows, to who asked and to nobody else."""
    return Answer(AnswerKind.DEFERRED_MESSAGE, ephemeral=True, later=later)
