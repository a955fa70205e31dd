"""What becomes of a holding without a trade: it lapses, is paid in cash, or is delivered.

Options in the money by a cent or more at settlement are exercised and assigned (OCC, exercise by
exception); the others lapse, and so do long ones whose exercise was refused. A delivery before the
expiration (an exercise by request, an early assignment) is the same, asked of fewer contracts.
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


def is_in_the_money(contract: OptionContract, price: Decimal) -> bool:
    """Whether a price of the underlying makes the contract worth a cent or more."""
    return contract.right * (price - contract.strike) >= CENT


def delivers(contract: OptionContract) -> bool:
    """Whether exercise moves shares; index roots pay cash."""
    return settlement_kind(contract.root) is SettlementKind.PHYSICAL


def settle(contract: OptionContract, quantity: int, settlement: SettlementValue) -> Outcome:
    """Return what the expiration of a signed quantity of contracts does.

    Cash settlement books the intrinsic value; physical settlement books shares at the strike.
    """
    if not is_in_the_money(contract, settlement.value):
        return lapse(
            contract, quantity, f"expired worthless at {settlement.value} ({settlement.source})"
        )
    if delivers(contract):
        verb = "exercised" if quantity > 0 else "assigned"
        return deliver(contract, quantity, f"{verb} at {settlement.value} ({settlement.source})")
    intrinsic = contract.right * (settlement.value - contract.strike)
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


def lapse(contract: OptionContract, quantity: int, text: str) -> Outcome:
    """Return what it means that nobody exercises a signed quantity of contracts."""
    row = NonTrade(ActivityKind.EXPIRATION, contract.symbol, -quantity, Decimal(0), None, text)
    return Outcome(Decimal("0.00"), None, (row,))


def deliver(contract: OptionContract, quantity: int, text: str) -> Outcome:
    """Long holders exercise, short ones are assigned; calls call shares in, puts put them out."""
    shares = shares_received(contract, quantity)
    cash = -cash_value(contract.underlying, contract.strike, shares)
    kind = ActivityKind.EXERCISE if quantity > 0 else ActivityKind.ASSIGNMENT
    option = NonTrade(kind, contract.symbol, -quantity, Decimal(0), None, text)
    stock = NonTrade(
        ActivityKind.STOCK_DELIVERY, contract.underlying, shares, cash, contract.strike, text
    )
    return Outcome(cash, Delivery(contract.underlying, shares, contract.strike), (option, stock))


def shares_received(contract: OptionContract, quantity: int) -> int:
    """Shares that exercise, or assignment, of a signed quantity of contracts brings."""
    return contract.right * quantity * SHARES_PER_CONTRACT
