"""Limits of what an account may carry."""

from dataclasses import dataclass, fields
from decimal import Decimal

from mahler_pipelines.errors import BadInput


@dataclass(frozen=True, slots=True)
class RiskLimits:
    """Limits of an account; fractions are of its equity, risk is measured as maximum loss.

    `trades_per_day` counts entries of a session, `positions_per_symbol` open and working
    structures of one underlying, both with the trade that asks. `daily_loss` is the loss of the
    day, realised and unrealised, as a fraction of the equity the day began with. `per_trade`
    bounds one trade, `concentration` one underlying, `portfolio_heat` everything together.
    `risk_per_trade` is what sizing aims at, `max_contracts` its cap. With `refuse_not_available`
    a gate without its input refuses.
    """

    trades_per_day: int = 10
    daily_loss: Decimal = Decimal("0.05")
    per_trade: Decimal = Decimal("0.20")
    positions_per_symbol: int = 2
    portfolio_heat: Decimal = Decimal("0.30")
    concentration: Decimal = Decimal("0.30")
    risk_per_trade: Decimal = Decimal("0.01")
    max_contracts: int = 10
    refuse_not_available: bool = True

    def __post_init__(self) -> None:
        for name in (entry.name for entry in fields(self)):
            value = getattr(self, name)
            if value < 0:
                raise BadInput(name, value, "is negative")
            if isinstance(value, Decimal) and value > 1:
                raise BadInput(name, value, "is a fraction of equity, so at most 1")
