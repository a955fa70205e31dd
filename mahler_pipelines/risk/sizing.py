"""Position size by fixed fractional risk."""

from decimal import ROUND_FLOOR, Decimal
from enum import StrEnum

from mahler_pipelines.errors import BadInput
from mahler_pipelines.options.structures import dollars
from mahler_pipelines.risk.limits import RiskLimits


class SizingCode(StrEnum):
    """Why no size was found."""

    SIZE_BELOW_ONE_CONTRACT = "size_below_one_contract"


def risk_budget_usd(equity: Decimal, limits: RiskLimits) -> Decimal:
    """Return what one trade may lose at most, in dollars."""
    return equity * limits.risk_per_trade


def contracts_for(*, equity: Decimal, max_loss_per_share: Decimal, limits: RiskLimits) -> int:
    """Return floor(risk budget / maximum loss of one contract), at most `max_contracts`.

    Fixed fractional position sizing (R. Vince, Portfolio Management Formulas, 1990, ch. 2). Zero
    says that one contract is too much already. Raises `BadInput` for a maximum loss that is not
    positive, or an equity or loss that is not a number.
    """
    if not max_loss_per_share.is_finite() or max_loss_per_share <= 0:
        raise BadInput("max_loss_per_share", max_loss_per_share, "is not a positive number")
    if not equity.is_finite():
        raise BadInput("equity", equity, "is not a number")
    loss_of_one = dollars(max_loss_per_share, 1)
    if loss_of_one <= 0:
        raise BadInput("max_loss_per_share", max_loss_per_share, "is less than a cent a contract")
    affordable = (risk_budget_usd(equity, limits) / loss_of_one).to_integral_value(ROUND_FLOOR)
    return max(0, min(int(affordable), limits.max_contracts))
