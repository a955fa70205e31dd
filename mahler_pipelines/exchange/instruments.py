"""What a symbol on the exchange is: an option contract, or shares."""

import math
from decimal import ROUND_HALF_EVEN, Decimal
from functools import lru_cache
from uuid import UUID, uuid5

from mahler_pipelines.errors import MalformedSymbol
from mahler_pipelines.options.contracts import INDEX_ROOTS, OptionContract, parse_occ
from mahler_pipelines.options.structures import CENT, dollars

_NAMESPACE = UUID("6a2f1c8e-53b1-5d0b-9a51-7c6f0a3e4d11")
_PRICE_PLACES = Decimal("0.0001")


@lru_cache(maxsize=65536)
def option_contract(symbol: str) -> OptionContract | None:
    """Return the contract of an OCC symbol, or None for anything else."""
    try:
        return parse_occ(symbol)
    except MalformedSymbol:
        return None


def is_index(symbol: str) -> bool:
    """Whether the symbol is an index level, which nobody can hold."""
    return any(underlying == symbol for underlying, _ in INDEX_ROOTS.values())


def cash_value(symbol: str, price: Decimal, quantity: int) -> Decimal:
    """Dollars for a quantity (contracts or shares) at a price per share, to the cent."""
    if option_contract(symbol) is not None:
        return dollars(price, quantity)
    return (price * quantity).quantize(CENT, rounding=ROUND_HALF_EVEN)


def asset_id(symbol: str) -> str:
    """Return the UUID under which the exchange lists a symbol: the same in every run."""
    return str(uuid5(_NAMESPACE, symbol))


def exact_price(value: float) -> Decimal | None:
    """Turn a quoted number into the decimal that it displays as; None for NaN and infinity.

    Floats carry at most four meaningful decimals of a price; anything beyond is representation.
    """
    if not math.isfinite(value):
        return None
    return Decimal(repr(float(value))).quantize(_PRICE_PLACES).normalize()
