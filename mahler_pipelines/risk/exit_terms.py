"""The terms on which a trade is closed before it expires."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from mahler_pipelines.errors import BadInput

SAFE_BEFORE_CLOSE, SHORTEST_SESSION = 60, 210
"""Minutes: the least that stays clear of the broker's own liquidation, an early close's session."""


class ExitAction(StrEnum):
    """What a reached exit does: send the closing order, or only tell a person."""

    ORDER = "order"
    ALERT = "alert"


@dataclass(frozen=True, slots=True)
class ExitTerms:
    """Profit target and stop as shares of the filled credit, the time exit in calendar days.

    `profit_target` is the share of the credit to keep (0.50: close when closing costs half of it);
    `stop_loss` is the loss in multiples of the credit (2.00: close when closing costs three times
    the credit). `expiry_cutoff_minutes` before the close of a trade's last session what is still
    open is closed, early closes included; None leaves it to expire. That the broker starts to
    liquidate 45 minutes before the close is why it is no less than 60. With `action` alert the
    cut-off only alerts, unless `expiry_always_closes`. `early_assignment` is what a warning of
    early assignment does. Raises `BadInput` for values that could never, or would always, close a
    trade.
    """

    profit_target: Decimal = Decimal("0.50")
    stop_loss: Decimal = Decimal("2.00")
    time_exit_dte: int = 21
    action: ExitAction = ExitAction.ORDER
    expiry_cutoff_minutes: int | None = 75
    expiry_always_closes: bool = False
    early_assignment: ExitAction = ExitAction.ALERT

    def __post_init__(self) -> None:
        if not 0 < self.profit_target <= 1:
            raise BadInput("profit_target", self.profit_target, "not in (0, 1]")
        if self.stop_loss <= 0:
            raise BadInput("stop_loss", self.stop_loss, "not positive")
        if self.time_exit_dte < 0:
            raise BadInput("time_exit_dte", self.time_exit_dte, "negative")
        minutes = self.expiry_cutoff_minutes
        if minutes is not None and not SAFE_BEFORE_CLOSE <= minutes <= SHORTEST_SESSION:
            reason = f"not in [{SAFE_BEFORE_CLOSE}, {SHORTEST_SESSION}]"
            raise BadInput("expiry_cutoff_minutes", minutes, reason)

    def expiry_cutoff(self, close: datetime) -> datetime | None:
        """Moment of the last session from which a trade is closed; None leaves it to expire."""
        minutes = self.expiry_cutoff_minutes
        return None if minutes is None else close - timedelta(minutes=minutes)

    def profit_debit(self, credit: Decimal) -> Decimal:
        """Highest cost to close per share at which the profit target is reached."""
        return credit * (1 - self.profit_target)

    def stop_debit(self, credit: Decimal) -> Decimal:
        """Lowest cost to close per share at which the stop is reached."""
        return credit * (1 + self.stop_loss)
