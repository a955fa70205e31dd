"""The playbook: rules learnt from closed trades, versioned, proposed before they are adopted."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class RuleStatus(StrEnum):
    """A rule is proposed by a review, then adopted or refused by a person."""

    PROPOSED = "proposed"
    ADOPTED = "adopted"
    REFUSED = "refused"
    RETIRED = "retired"


@dataclass(frozen=True, slots=True)
class PlaybookRule:
    """One rule in words, with the evidence that speaks for it."""

    id: str
    account_id: str
    text: str
    status: RuleStatus
    evidence: str
    proposed_at: datetime
    decided_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Playbook:
    """The adopted rules as of a moment; `version` counts the decisions that led to them."""

    version: int
    rules: tuple[PlaybookRule, ...]
