"""What a button means, in its custom id: an action, and whom it is about.

`mahler:1:approve:main:r-261121-mo-1a2b3c4d` holds all the state a button needs, so that it works
after a restart, and an older card is known by its version.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

VERSION = "1"

_FORM = re.compile(
    r"mahler:(?P<version>\d+):(?P<action>[a-z_]+):(?P<account>[a-z][a-z0-9_]*):(?P<subject>[\w.\-]+)"
)


class Action(StrEnum):
    """What a press of a button or the sending of a modal asks for."""

    APPROVE = "approve"
    REJECT = "reject"
    REJECT_REASON = "reject_reason"
    EDIT = "edit"
    EDITED = "edited"
    DETAILS = "details"
    CLOSE = "close"
    KEEP = "keep"
    RESUME = "resume"
    RESUME_CONFIRMED = "resume_confirmed"
    ADOPT_RULE = "adopt_rule"
    REFUSE_RULE = "refuse_rule"


class BadCustomId(ValueError):
    """A custom id that is not one of ours, or not any more."""


@dataclass(frozen=True, slots=True)
class CustomId:
    """An action on a subject (a recommendation, a trade, a rule) of an account."""

    action: Action
    account_id: str
    subject: str

    def __str__(self) -> str:
        return f"mahler:{VERSION}:{self.action}:{self.account_id}:{self.subject}"


def parse_custom_id(text: str) -> CustomId:
    """Read a custom id; raise `BadCustomId` for any that this version did not write."""
    found = _FORM.fullmatch(text)
    if found is None:
        raise BadCustomId("not a button of this desk")
    if found["version"] != VERSION:
        raise BadCustomId(f"a button of version {found['version']}, this desk writes {VERSION}")
    try:
        action = Action(found["action"])
    except ValueError:
        raise BadCustomId(f"no such action: {found['action'][:40]}") from None
    return CustomId(action, found["account"], found["subject"])
