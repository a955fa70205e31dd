"""Why a press, a form or a command changes nothing: a code for the log, words for the person."""

import logging
from enum import StrEnum

from mahler_pipelines.errors import MahlerError
from mahler_pipelines.messaging.answer import Answer, told
from mahler_pipelines.messaging.authority import Stranger
from mahler_pipelines.messaging.interaction import Interaction

_log = logging.getLogger(__name__)


class NotTaken(StrEnum):
    """Why what somebody who may answer did is not acted on; strangers have codes of their own."""

    REPLAYED = "replayed"
    UNKNOWN_BUTTON = "unknown_button"
    UNKNOWN_COMMAND = "unknown_command"
    OTHER_ACCOUNT = "other_account"
    UNKNOWN_CARD = "unknown_card"
    OTHER_CARD = "other_card"
    TEXT_TOO_LONG = "text_too_long"
    VALUE_UNREADABLE = "value_unreadable"
    NOT_THERE = "not_there"
    OUT_OF_DATE = "out_of_date"
    DECIDES_NOTHING = "decides_nothing"
    NOT_NOW = "not_now"
    UNFORESEEN = "unforeseen"


class Refused(MahlerError):
    """Nothing was changed; `told` is what the person reads."""

    def __init__(self, code: NotTaken, told: str) -> None:
        super().__init__(told)
        self.code = code
        self.told = told


def not_taken(interaction: Interaction, door: str, code: Stranger | NotTaken, said: str) -> Answer:
    """Tell who sent it, and nobody else, and leave a line in the log: ids and a code alone."""
    _log.warning(
        "interaction %s of user %s through %s was not taken: %s",
        interaction.id,
        interaction.user_id,
        door,
        code,
    )
    return told(said)
