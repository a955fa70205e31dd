"""Terms of an approval: how long it is open, and how far the market may move under it."""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from mahler_pipelines.errors import BadInput


@dataclass(frozen=True, slots=True)
class ApprovalTerms:
    """How long an answer is awaited, and what may change before an approved trade lapses.

    `underlying_drift` is the largest move of the underlying, as a fraction of the price shown.
    `floor_tolerance` is how far below the natural credit the floor lies, as a fraction. `requotes`
    is how often a trade that lapsed because the market moved is offered anew.
    """

    expires_after: timedelta = timedelta(minutes=30)
    underlying_drift: Decimal = Decimal("0.01")
    floor_tolerance: Decimal = Decimal("0.05")
    requotes: int = 1

    def __post_init__(self) -> None:
        if self.expires_after <= timedelta(0):
            raise BadInput("expires_after", self.expires_after, "is not positive")
        if self.underlying_drift < 0:
            raise BadInput("underlying_drift", self.underlying_drift, "is negative")
        if not 0 <= self.floor_tolerance < 1:
            raise BadInput("floor_tolerance", self.floor_tolerance, "not in [0, 1)")
        if self.requotes < 0:
            raise BadInput("requotes", self.requotes, "is negative")
