"""Price increments of options, and which of them the exchange insists on.

Classes outside the penny program trade in 5 cents below $3 and in 10 cents from there on. Alpaca
tells a contract's side by `ppind` and does not document what it enforces; which classes of the
program trade in 5 cents from $3 on is in no field of the wire, so that cents do for all of them.
"""

from decimal import Decimal
from enum import StrEnum

from mahler_pipelines.exchange.instruments import option_contract
from mahler_pipelines.exchange.wire.errors import unprocessable
from mahler_pipelines.options.contracts import INDEX_ROOTS, OptionContract
from mahler_pipelines.options.structures import CENT

_NICKEL, _DIME = Decimal("0.05"), Decimal("0.10")
_DIMES_FROM = Decimal(3)
_PENNY_INDEX_ROOTS = frozenset({"XSP"})


class Increments(StrEnum):
    """What the exchange insists on: cents everywhere, or the increments of the contract's class."""

    PENNY = "penny"
    CLASS = "class"


def is_in_penny_program(contract: OptionContract) -> bool:
    """Whether the class trades in cents: here every class but those on an index (XSP does)."""
    return contract.root not in INDEX_ROOTS or contract.root in _PENNY_INDEX_ROOTS


def increment(contract: OptionContract, price: Decimal) -> Decimal:
    """Return the smallest step of a single contract's price, in dollars per share."""
    if is_in_penny_program(contract):
        return CENT
    return _NICKEL if price < _DIMES_FROM else _DIME


def check_increment(symbol: str, price: Decimal | None, name: str) -> None:
    """Refuse a price between the increments of its class; shares and no price pass."""
    contract = option_contract(symbol)
    if contract is None or price is None:
        return
    step = increment(contract, price)
    if price % step:
        raise unprocessable(f"invalid {name} {price}. it must be a multiple of {step}")
