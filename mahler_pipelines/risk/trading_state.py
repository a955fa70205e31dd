"""Whether the account may open risk."""

from enum import StrEnum


class TradingState(StrEnum):
    """ACTIVE opens and closes; REDUCING and HALTED only close. Halting never blocks a close."""

    ACTIVE = "active"
    REDUCING = "reducing"
    HALTED = "halted"

    @property
    def may_open(self) -> bool:
        """Whether a new position may be opened."""
        return self is TradingState.ACTIVE
