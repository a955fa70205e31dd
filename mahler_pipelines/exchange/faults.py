"""Faults on demand: which requests meet which fault, as a list of rules in JSON.

A rule has a match (method, path pattern), a turn (the nth matching request, every nth, or a
probability), a number of times, and one fault. `docs/exchange.md` lists them.
"""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, model_validator

from mahler_pipelines.errors import BadInput, UnreadableFile

LONGEST_HANG_SECONDS = 3600.0


Method = Literal["GET", "POST", "PATCH", "DELETE"]
QuoteState = Literal["stale", "crossed", "locked"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Refuse(_Strict):
    """A refusal of the exchange's own; the request is not executed.

    Without a `code` the body has a message alone, as 401 and 403 may.
    """

    kind: Literal["refuse"]
    status: int = Field(ge=400, lt=500)
    code: int | None = None
    message: str = "request refused"


class RateLimit(_Strict):
    """429 with the headers of a used-up minute; the request is not executed."""

    kind: Literal["rate_limit"]


class Fail(_Strict):
    """A server's failure, before the request is executed or after it was.

    `body` is Alpaca's form, a gateway's page, or nothing.
    """

    kind: Literal["fail"]
    status: Literal[500, 502, 503, 504]
    executed: bool = False
    body: Literal["json", "html", "empty"] = "json"


class Hang(_Strict):
    """Nothing for some real seconds, then the true answer.

    Executed before the wait the answer is late; executed after it the request itself is, and takes
    effect even when its sender has given up meanwhile.
    """

    kind: Literal["hang"]
    seconds: float = Field(gt=0, le=LONGEST_HANG_SECONDS)
    executed: Literal["before", "after"] = "before"


class Drop(_Strict):
    """The connection is closed without an answer."""

    kind: Literal["drop"]
    executed: bool = False


class Truncate(_Strict):
    """The request is executed; half of the answer arrives, and the connection is closed."""

    kind: Literal["truncate"]


class Empty(_Strict):
    """The request is executed; the answer has its status and no body."""

    kind: Literal["empty"]


class UnknownValue(_Strict):
    """Every text member of this name in the answer, such as `status`, has another value."""

    kind: Literal["unknown_value"]
    field: str = Field(min_length=1)
    value: str = "a_word_of_tomorrow"


class DistortQuote(_Strict):
    """The answer shows a quote that is old, crossed or locked; matching goes on with the true one.

    `symbol` is a pattern; `seconds` is how old a stale quote is made.
    """

    kind: Literal["quote"]
    symbol: str = Field(min_length=1)
    state: QuoteState
    seconds: float = Field(default=3600.0, gt=0)


class ClockJump(_Strict):
    """The exchange's clock goes forward, with all that happens on the way; then it answers."""

    kind: Literal["clock_jump"]
    seconds: float = Field(gt=0)


class FillFirst(_Strict):
    """The order that a cancel or replacement is about trades at its limit before that is executed.

    `units` of it, or all that is left. The request is answered `after` that, or `before`: then it
    was accepted, and has lost all the same.
    """

    kind: Literal["fill_first"]
    units: PositiveInt | None = None
    answered: Literal["after", "before"] = "after"


class Pend(_Strict):
    """A cancel or replacement is accepted, and takes effect when its order is looked at next."""

    kind: Literal["pend"]


class StreamDuplicate(_Strict):
    """A stream's message arrives twice."""

    kind: Literal["stream_duplicate"]


class StreamReorder(_Strict):
    """A stream's message arrives after the one that follows it."""

    kind: Literal["stream_reorder"]


class StreamDrop(_Strict):
    """The connection is cut instead of telling a message."""

    kind: Literal["stream_drop"]


StreamFault = StreamDuplicate | StreamReorder | StreamDrop
"""Faults that are met by messages; all others are met by requests."""


Fault = Annotated[
    Refuse
    | RateLimit
    | Fail
    | Hang
    | Drop
    | Truncate
    | Empty
    | UnknownValue
    | DistortQuote
    | ClockJump
    | FillFirst
    | Pend
    | StreamDuplicate
    | StreamReorder
    | StreamDrop,
    Field(discriminator="kind"),
]


class FaultRule(_Strict):
    """When a fault is met: by a request, or, for a stream's, by a message that is about to be told.

    `path` is matched as in a shell (`*` passes over slashes), without the query. From the `nth`
    matching request on, at every `every`-th, or with a `probability`; without one of them at each.
    `times` bounds how often; an `nth` is once unless it says otherwise.
    """

    name: str = ""
    method: Method | None = None
    path: str = "*"
    nth: PositiveInt | None = None
    every: PositiveInt | None = None
    probability: float | None = Field(default=None, gt=0, le=1)
    times: PositiveInt | None = None
    fault: Fault

    @property
    def label(self) -> str:
        """What the journal calls it: its name, or the kind of its fault."""
        return self.name or self.fault.kind

    @property
    def limit(self) -> int | None:
        """How often it can be met; None is without end."""
        return self.times or (1 if self.nth is not None else None)

    @property
    def is_of_streams(self) -> bool:
        """Whether messages meet it, and not requests."""
        return isinstance(self.fault, StreamFault)

    @model_validator(mode="after")
    def _has_one_turn_and_a_reachable_path(self) -> Self:
        if sum(turn is not None for turn in (self.nth, self.every, self.probability)) > 1:
            raise ValueError("give one of nth, every, probability")
        if not self.path.startswith(("/", "*")):
            raise ValueError(f"path {self.path!r} matches nothing: begin with / or *")
        if self.path.startswith("/control"):
            raise ValueError("control routes meet no faults")
        if self.is_of_streams and self.method is not None:
            raise ValueError("a stream's messages have no method")
        return self


class FaultPlan(_Strict):
    """Rules in their order, and the seed of those with a probability."""

    seed: int = Field(default=0, ge=0)
    rules: tuple[FaultRule, ...] = ()


NO_FAULTS = FaultPlan()


def parse_faults(text: str | bytes, *, source: str) -> FaultPlan:
    """Read a plan from JSON; raise `BadInput` that names the source and every wrong key."""
    try:
        return FaultPlan.model_validate_json(text)
    except ValidationError as error:
        wrong = "; ".join(
            _sentence([str(step) for step in found["loc"]], found["type"], found["msg"])
            for found in error.errors(include_url=False)
        )
        raise BadInput("faults", source, wrong) from None


def read_faults(path: Path) -> FaultPlan:
    """Read a fault file; raise `UnreadableFile` where there is none, `BadInput` for its content."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise UnreadableFile("faults", str(path), error.strerror or "cannot be read") from None
    return parse_faults(text, source=str(path))


def _sentence(steps: list[str], kind: str, message: str) -> str:
    if kind == "extra_forbidden":
        return f"unknown key {steps[-1]!r} in {'.'.join(steps[:-1]) or 'the file'}"
    return f"{'.'.join(steps) or 'the file'}: {message.removeprefix('Value error, ')}"
