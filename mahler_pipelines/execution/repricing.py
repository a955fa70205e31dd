"""Repricing: where the limit of an order stands at each step of its walk.

An order that rests nearer the mid than its natural price may be met there; one that is not comes
closer, step by step. Everything here is a pure function of quotes, terms and elapsed time.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from mahler_pipelines.errors import BadInput
from mahler_pipelines.execution.intents import closing_limit, opening_limit
from mahler_pipelines.execution.quotes import round_down, round_up
from mahler_pipelines.options.structures import Structure


@dataclass(frozen=True, slots=True)
class WalkTerms:
    """How the limit of an order walks.

    It begins `start_fraction` of the way from mid (0) to natural (1) and reaches its end in `steps`
    equal steps, one every `step_seconds`. An opening order that is not filled `patience_seconds`
    after its start is given up. A start at natural is no walk: one order, one limit.
    """

    start_fraction: Decimal = Decimal(1)
    steps: int = 4
    step_seconds: float = 30.0
    patience_seconds: float = 300.0

    def __post_init__(self) -> None:
        if not 0 <= self.start_fraction <= 1:
            raise BadInput("start_fraction", self.start_fraction, "not in [0, 1]")
        if self.steps < 1:
            raise BadInput("steps", self.steps, "is less than one")
        if self.step_seconds <= 0:
            raise BadInput("step_seconds", self.step_seconds, "is not positive")
        if self.patience_seconds < self.steps * self.step_seconds:
            raise BadInput("patience_seconds", self.patience_seconds, "ends before the last step")

    @property
    def walks(self) -> bool:
        """Whether limits move at all."""
        return self.start_fraction < 1

    @property
    def pace(self) -> timedelta:
        """Time from one step to the next."""
        return timedelta(seconds=self.step_seconds)

    @property
    def patience(self) -> timedelta:
        """Time from the start until an opening order is given up."""
        return timedelta(seconds=self.patience_seconds)

    def step_at(self, elapsed: timedelta) -> int:
        """Step that is due this long after the start, from 0 to `steps`."""
        return max(0, min(elapsed // self.pace, self.steps))


NATURAL_AT_ONCE = WalkTerms(start_fraction=Decimal(1))
"""No walk: what an order that must be filled soon goes by."""


@dataclass(frozen=True, slots=True)
class CreditBounds:
    """What an opening limit may ask for: credits per share, negative for a debit.

    `mid` and `natural` are the market's now, `target` and `floor` the approved band's.
    """

    mid: Decimal
    natural: Decimal
    target: Decimal
    floor: Decimal


def opening_limit_at(
    step: int, bounds: CreditBounds, *, terms: WalkTerms, tick: Decimal
) -> Decimal:
    """Net limit of an opening order as on the wire, negative for a credit, at a step of its walk.

    The credit asked for goes in equal steps from its start between mid and natural down to the
    approved floor, rounded to the tick towards less. Never below the floor, never beyond the mid,
    and where the approval was for a credit never below one tick. Without a walk it is the natural
    credit inside the approved band.
    """
    if not terms.walks:
        return opening_limit(
            natural_credit=bounds.natural,
            target_credit=bounds.target,
            floor_credit=bounds.floor,
            tick=tick,
        )
    least = round_up(bounds.floor, tick)
    if bounds.target > 0:
        least = max(least, tick)
    start = bounds.mid - terms.start_fraction * (bounds.mid - bounds.natural)
    asked = start - (start - bounds.floor) * step / terms.steps
    return -max(least, round_down(asked, tick))


def closing_limit_at(
    step: int,
    *,
    structure: Structure,
    mid: Decimal | None,
    natural: Decimal,
    terms: WalkTerms,
    tick: Decimal,
) -> Decimal:
    """Net limit of a closing order as on the wire, positive for a debit, at a step of its walk.

    It goes in equal steps from its start between mid and natural to the natural cost, rounded up to
    the tick and capped at what the structure can be worth. Natural at once without a walk or a mid.
    What costs something to close is never asked to bring money.
    """
    asked = natural
    if terms.walks and mid is not None:
        share = terms.start_fraction + (1 - terms.start_fraction) * step / terms.steps
        asked = mid + share * (natural - mid)
    limit = closing_limit(natural_cost=asked, structure=structure, tick=tick)
    return max(limit, tick) if natural > 0 else limit


@dataclass(frozen=True, slots=True)
class Walk:
    """Where the walk of an order stands: when it began, its last attempt, whether that one works.

    `works` is False between two attempts, when the one before has ended and the next is owed. An
    opening `gives_up` when its patience is over; a close is left to the looks at positions.
    """

    started_at: datetime
    attempted_at: datetime
    works: bool
    gives_up: bool = True

    def step(self, terms: WalkTerms, now: datetime) -> int:
        """Step that is due now."""
        return terms.step_at(now - self.started_at)

    def due_at(self, terms: WalkTerms) -> datetime | None:
        """When the next step, or the end, is due; None for an order that is left to rest.

        A desk that comes late makes up for nothing but the last step: it is tried for the time of
        one step before the order is given up, however much of the patience is over.
        """
        if not self.works:
            return self.attempted_at
        if not terms.walks:
            return None
        last = terms.step_at(self.attempted_at - self.started_at)
        if last < terms.steps:
            return self.started_at + (last + 1) * terms.pace
        end = max(self.started_at + terms.patience, self.attempted_at + terms.pace)
        return end if self.gives_up else None

    def is_due(self, terms: WalkTerms, now: datetime) -> bool:
        """Whether a step or the end is due now."""
        due = self.due_at(terms)
        return due is not None and now >= due

    def is_over(self, terms: WalkTerms, now: datetime) -> bool:
        """Whether the last step was tried and the patience is over."""
        last = terms.step_at(self.attempted_at - self.started_at)
        return self.works and last == terms.steps and self.is_due(terms, now)

    def rounds(self, terms: WalkTerms, now: datetime) -> int:
        """How many times the pace has gone by since the start, beyond the last step too."""
        return (now - self.started_at) // terms.pace

    def next_after(self, terms: WalkTerms, now: datetime) -> datetime | None:
        """The next moment after now at which something can be due; None when nothing will be.

        A step that is due and changed nothing, because its limit is the one that rests, comes
        round with the next one.
        """
        due = self.due_at(terms)
        if due is None or due > now:
            return due
        return self.started_at + (self.rounds(terms, now) + 1) * terms.pace
