"""A thesis: what an analyst says of a candidate, and the port that says it."""

from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, Field


class Thesis(BaseModel):
    """The analyst's structured answer. It carries words and a confidence, never a price or size."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    recommend: bool
    confidence: float = Field(ge=0, le=1)
    thesis: str = Field(min_length=1, max_length=1200)
    risks: tuple[str, ...] = Field(min_length=1, max_length=6)
    rules_cited: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AnalystQuestion:
    """What the analyst is asked: facts of one candidate, and the playbook it should mind."""

    candidate_id: str
    facts: dict[str, Any]
    playbook: tuple[tuple[str, str], ...]
    playbook_version: int


@dataclass(frozen=True, slots=True)
class ModelCall:
    """One answer with everything kept: raw text, tokens, latency, outcome."""

    candidate_id: str
    analyst: str
    model: str
    request_hash: str
    raw_message: str
    stop_reason: str
    input_tokens: int
    output_tokens: int
    latency_seconds: float
    outcome: str


@dataclass(frozen=True, slots=True)
class AnalystAnswer:
    """A thesis, or None with the reason, and the call behind it."""

    thesis: Thesis | None
    problem: str
    call: ModelCall


class Analyst(Protocol):
    """Writes theses. `rules` needs no key; Claude needs one."""

    @property
    def name(self) -> str:
        """The name shown on cards, such as rules or claude-sonnet-5-5."""
        ...

    def assess(self, question: AnalystQuestion) -> AnalystAnswer:
        """Assess one candidate; never raises for a bad answer, says it in `problem`."""
        ...
