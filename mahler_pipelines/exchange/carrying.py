"""What an account would be left with if contracts were delivered, and whether it carries that."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from mahler_pipelines.exchange.accounts import SHORT_SHARES_MARGIN
from mahler_pipelines.exchange.instruments import cash_value, option_contract
from mahler_pipelines.exchange.margin import spread_margin
from mahler_pipelines.exchange.permissions import Standing
from mahler_pipelines.exchange.settlement import shares_received
from mahler_pipelines.options.contracts import SHARES_PER_CONTRACT, OptionContract, Right

SharePrice = Callable[[str], Decimal | None]
"""What a share is worth now, by symbol; None where nothing is known."""


@dataclass(frozen=True, slots=True)
class Ending:
    """A signed quantity of contracts that ends, delivered at its strike or worth nothing."""

    contract: OptionContract
    quantity: int
    is_delivered: bool

    @property
    def shares(self) -> int:
        """Shares that come in, negative where they go out."""
        return shares_received(self.contract, self.quantity) if self.is_delivered else 0


def standing_after(
    standing: Standing, endings: Sequence[Ending], share_price: SharePrice
) -> Standing:
    """Return the standing as if contracts had ended: holdings, cash, margin of short shares."""
    holdings, cash = Counter(dict(standing.holdings)), standing.cash
    strikes: dict[str, Decimal] = {}
    for ending in endings:
        contract = ending.contract
        holdings[contract.symbol] -= ending.quantity
        holdings[contract.underlying] += ending.shares
        cash -= cash_value(contract.underlying, contract.strike, ending.shares)
        strikes[contract.underlying] = contract.strike
    return replace(
        standing,
        cash=cash,
        holdings={symbol: quantity for symbol, quantity in holdings.items() if quantity},
        short_shares_margin=_margin_of_short_shares(holdings, share_price, strikes),
    )


def leaves_uncovered(before: Standing, after: Standing) -> bool:
    """Whether a loss became unbounded that was not before."""
    return spread_margin(after.holdings) is None and spread_margin(before.holdings) is not None


def available_shares(holdings: Mapping[str, int], symbol: str) -> int:
    """Shares held long that cover no short call: what puts can put out."""
    contracts = [(option_contract(held), quantity) for held, quantity in holdings.items()]
    calls = sum(
        quantity
        for contract, quantity in contracts
        if contract is not None and contract.underlying == symbol and contract.right is Right.CALL
    )
    pledged = max(0, -calls) * SHARES_PER_CONTRACT
    return max(0, holdings.get(symbol, 0) - pledged)


def _margin_of_short_shares(
    holdings: Mapping[str, int], share_price: SharePrice, strikes: Mapping[str, Decimal]
) -> Decimal:
    """Margin of every short share, at its price; at the strike where none is known."""
    margin = Decimal(0)
    for symbol, quantity in holdings.items():
        if quantity < 0 and option_contract(symbol) is None:
            price = share_price(symbol) or strikes.get(symbol, Decimal(0))
            margin -= SHORT_SHARES_MARGIN * cash_value(symbol, price, quantity)
    return margin
