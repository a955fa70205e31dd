"""Why a press, a form or a command changes nothing: a code for the log, words for the person."""

from enum import StrEnum

from mahler_pipelines.errors import MahlerError


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
