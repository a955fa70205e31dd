"""Accounts on the exchange: keys, positions, configuration, and the figures of an account."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal

from mahler_pipelines.errors import BadInput
from mahler_pipelines.exchange.instruments import cash_value, option_contract

APPROVED_OPTIONS_LEVEL = 3
SHORT_SHARES_MARGIN = Decimal("1.5")
"""Regulation T asks 150 % of the value of shares sold short (12 CFR 220.12)."""

_AVERAGE_PLACES = Decimal("0.000001")


@dataclass(frozen=True, slots=True)
class Credentials:
    """A key pair and the account that it opens."""

    key_id: str
    secret: str
    account: str

    @classmethod
    def parse(cls, text: str) -> "Credentials":
        """Read `key_id:secret:account_name`; raise `BadInput` when a part is missing."""
        parts = text.split(":")
        if len(parts) != 3 or not all(parts):
            raise BadInput("credentials", text, "not key_id:secret:account_name")
        return cls(*parts)


LOCAL_CREDENTIALS = Credentials("local-main", "local-secret", "main")
"""What the exchange accepts when nothing else is configured."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """The part of an account's configuration that this exchange acts on."""

    max_options_trading_level: int = APPROVED_OPTIONS_LEVEL
    suspend_trade: bool = False
    no_shorting: bool = False

    @property
    def options_level(self) -> int:
        """The level in effect: the lesser of what is approved and what is configured."""
        return min(APPROVED_OPTIONS_LEVEL, self.max_options_trading_level)


@dataclass(frozen=True, slots=True)
class Account:
    """One account: its cash, and its equity at the last session's close."""

    name: str
    id: str
    cash: Decimal
    last_equity: Decimal
    created_at: datetime
    configuration: Configuration


@dataclass(frozen=True, slots=True)
class Position:
    """A holding of contracts or shares; `quantity` is signed.

    `mark` is the last known middle price, `previous_mark` the one at the last session's close.
    """

    account: str
    symbol: str
    quantity: int
    average_price: Decimal
    mark: Decimal
    previous_mark: Decimal

    @property
    def is_option(self) -> bool:
        """Whether the holding is an option contract."""
        return option_contract(self.symbol) is not None

    @property
    def market_value(self) -> Decimal:
        """Dollars at the mark; negative for a short holding."""
        return cash_value(self.symbol, self.mark, self.quantity)

    @property
    def cost_basis(self) -> Decimal:
        """Dollars paid; negative where premium was received."""
        return cash_value(self.symbol, self.average_price, self.quantity)


def after_trade(
    position: Position | None, *, account: str, symbol: str, quantity: int, price: Decimal
) -> Position | None:
    """Return the position after a signed quantity traded at a price; None when it is flat.

    Adding averages the entry price; reducing keeps it; crossing zero starts anew.
    """
    if position is None:
        return Position(account, symbol, quantity, price, price, price)
    total = position.quantity + quantity
    if total == 0:
        return None
    if position.quantity * quantity > 0:
        value = position.average_price * position.quantity + price * quantity
        average = (value / total).quantize(_AVERAGE_PLACES, rounding=ROUND_HALF_EVEN)
    elif position.quantity * total > 0:
        average = position.average_price
    else:
        average = price
    return replace(position, quantity=total, average_price=average)


@dataclass(frozen=True, slots=True)
class Figures:
    """Money of an account now. Equity is cash plus the market value of everything held."""

    cash: Decimal
    long_value: Decimal
    short_value: Decimal
    margin: Decimal
    options_buying_power: Decimal

    @property
    def equity(self) -> Decimal:
        """Cash plus long and short market value."""
        return self.cash + self.long_value + self.short_value


def market_values(positions: Iterable[Position]) -> tuple[Decimal, Decimal]:
    """Return the market value of long and of short holdings."""
    values = [position.market_value for position in positions]
    zero = Decimal("0.00")
    return (
        sum((value for value in values if value > 0), zero),
        sum((value for value in values if value < 0), zero),
    )


def short_shares_margin(positions: Iterable[Position]) -> Decimal:
    """Return what shares held short tie up."""
    return sum(
        (
            -SHORT_SHARES_MARGIN * position.market_value
            for position in positions
            if not position.is_option and position.quantity < 0
        ),
        Decimal(0),
    )
