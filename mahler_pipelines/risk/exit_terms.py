"""The terms on which a trade is closed before it expires."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from mahler_pipelines.errors import BadInput


class ExitAction(StrEnum):
    """What a reached exit does: send the closing order, or only tell a person."""

    ORDER = "order"
    ALERT = "alert"


@dataclass(frozen=True, slots=True)
class ExitTerms:
    """Profit target and stop as shares of the filled credit, the time exit in calendar days.

    `profit_target` is the share of the credit to keep (0.50: close when closing costs half of it);
    `stop_loss` is the loss in multiples of the credit (2.00: close when closing costs three times
    the credit). Raises `BadInput` for values that could never, or would always, close a trade.
    """

    profit_target: Decimal = Decimal("0.50")
    stop_loss: Decimal = Decimal("2.00")
    time_exit_dte: int = 21
    action: ExitAction = ExitAction.ORDER

    def __post_init__(self) -> None:
        if not 0 < self.profit_target <= 1:
            raise BadInput("profit_target", self.profit_target, "not in (0, 1]")
        if self.stop_loss <= 0:
            raise BadInput("stop_loss", self.stop_loss, "not positive")
        if self.time_exit_dte < 0:
            raise BadInput("time_exit_dte", self.time_exit_dte, "negative")

    def profit_debit(self, credit: Decimal) -> Decimal:
        """Highest cost to close per share at which the profit target is reached."""
        return credit * (1 - self.profit_target)

    def stop_debit(self, credit: Decimal) -> Decimal:
        """Lowest cost to close per share at which the stop is reached."""
        return credit * (1 + self.stop_loss)
