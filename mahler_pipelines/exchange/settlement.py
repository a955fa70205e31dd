"""What an expiration does to a holding: it lapses, is paid in cash, or is delivered.

Options in the money by a cent or more at settlement are exercised and assigned (OCC, exercise by
exception); the others lapse.
"""

from dataclasses import dataclass
from decimal import Decimal

from mahler_pipelines.exchange.activities import ActivityKind, NonTrade
from mahler_pipelines.exchange.instruments import cash_value
from mahler_pipelines.exchange.market import SettlementValue
from mahler_pipelines.options.contracts import (
    SHARES_PER_CONTRACT,
    OptionContract,
    SettlementKind,
    settlement_kind,
)
from mahler_pipelines.options.structures import CENT, dollars


@dataclass(frozen=True, slots=True)
class Delivery:
    """Shares that change hands at a strike; `shares` is signed as received."""

    symbol: str
    shares: int
    price: Decimal


@dataclass(frozen=True, slots=True)
class Outcome:
    """What to book for one holding: cash, shares, and the rows of its history, in order."""

    cash: Decimal
    delivery: Delivery | None
    rows: tuple[NonTrade, ...]


def settle(contract: OptionContract, quantity: int, settlement: SettlementValue) -> Outcome:
    """Return what the expiration of a signed quantity of contracts does.

    Cash settlement books the intrinsic value; physical settlement books shares at the strike.
    """
    intrinsic = max(contract.right * (settlement.value - contract.strike), Decimal(0))
    if intrinsic < CENT:
        text = f"expired worthless at {settlement.value} ({settlement.source})"
        lapse = NonTrade(
            ActivityKind.EXPIRATION, contract.symbol, -quantity, Decimal(0), None, text
        )
        return Outcome(Decimal("0.00"), None, (lapse,))
    if settlement_kind(contract.root) is SettlementKind.PHYSICAL:
        return _deliver(contract, quantity, settlement)
    cash = dollars(intrinsic, quantity)
    row = NonTrade(
        ActivityKind.CASH_SETTLEMENT,
        contract.symbol,
        -quantity,
        cash,
        intrinsic,
        f"cash settled at {settlement.value} ({settlement.source})",
    )
    return Outcome(cash, None, (row,))


def _deliver(contract: OptionContract, quantity: int, settlement: SettlementValue) -> Outcome:
    """Long holders exercise, short ones are assigned; calls call shares in, puts put them out."""
    shares = contract.right * quantity * SHARES_PER_CONTRACT
    cash = -cash_value(contract.underlying, contract.strike, shares)
    kind = ActivityKind.EXERCISE if quantity > 0 else ActivityKind.ASSIGNMENT
    verb = "exercised" if quantity > 0 else "assigned"
    text = f"{verb} at {settlement.value} ({settlement.source})"
    option = NonTrade(kind, contract.symbol, -quantity, Decimal(0), None, text)
    stock = NonTrade(
        ActivityKind.STOCK_DELIVERY, contract.underlying, shares, cash, contract.strike, text
    )
    return Outcome(cash, Delivery(contract.underlying, shares, contract.strike), (option, stock))
