"""The broker's own sweep: what of an expiring position an account can't carry is closed for it.

On its last day, for each underlying whose options deliver shares, the broker looks at what exercise
and assignment would do at the price of the moment and at every price within half a percent of it
(in or close to the money). In the order of the underlyings' names:

- Shares going out in total must be held, and cover no other short call: of the contracts that put
  shares out, as many as shares are missing for are closed.
- Shares coming in in total must leave buying power (cash less margin of what remains, less open
  orders) that is not negative: otherwise every contract of that total is closed.
- Short contracts are bought back before long ones are sold. Short ones of the same right and day
  that were covered by what is sold are bought back too, one for one.

Legs that cancel each other, both in the money, deliver nothing in total and stay.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from mahler_pipelines.exchange.carrying import (
    Ending,
    SharePrice,
    available_shares,
    standing_after,
)
from mahler_pipelines.exchange.permissions import Standing
from mahler_pipelines.exchange.settlement import is_in_the_money
from mahler_pipelines.options.contracts import SHARES_PER_CONTRACT, OptionContract, Right
from mahler_pipelines.options.structures import CENT

CLOSE_TO_THE_MONEY = Decimal("0.005")
"""Part of the share's price within which a contract may still come into the money, or leave it."""

LIQUIDATION_PREFIX = "broker-liquidation-"
"""How the `client_order_id` of every order of the broker's own begins."""


@dataclass(frozen=True, slots=True)
class Expiring:
    """A holding whose last day it is: a signed quantity; `is_exercised` unless that was refused."""

    contract: OptionContract
    quantity: int
    is_exercised: bool = True


def quantities_to_close(
    expiring: Sequence[Expiring], standing: Standing, share_price: SharePrice
) -> dict[str, int]:
    """Return contracts to trade by symbol, signed (short ones are bought back), in their order.

    Positions without a known share price are left alone. Pure in its arguments.
    """
    by_underlying: dict[str, list[Expiring]] = defaultdict(list)
    for one in expiring:
        by_underlying[one.contract.underlying].append(one)
    closed: dict[str, int] = {}
    for underlying in sorted(by_underlying):
        price = share_price(underlying)
        if price is None:
            continue
        held = by_underlying[underlying]
        # What is closed for one price may have carried another: until nothing is left to close.
        while more := _uncarried_near(held, standing, price, share_price):
            for symbol, quantity in more.items():
                closed[symbol] = closed.get(symbol, 0) + quantity
            standing = standing_after(standing, _traded(held, more), share_price)
            held = _without(held, more)
        standing = standing_after(standing, _endings(held, price), share_price)
    return dict(sorted(closed.items(), key=lambda item: (item[1] < 0, item[0])))


def prices_near(price: Decimal, strikes: Iterable[Decimal]) -> list[Decimal]:
    """Return the price, the ends of the band around it, and both sides of each strike inside."""
    low, high = price * (1 - CLOSE_TO_THE_MONEY), price * (1 + CLOSE_TO_THE_MONEY)
    sides = [strike + step for strike in set(strikes) for step in (-CENT, CENT)]
    return [price, low, high, *(side for side in sorted(sides) if low < side < high)]


def _uncarried_near(
    held: Sequence[Expiring], standing: Standing, price: Decimal, share_price: SharePrice
) -> dict[str, int]:
    """Contracts to trade, signed: of each the most that any price close by asks for."""
    wanted: dict[str, int] = {}
    for scenario in prices_near(price, (one.contract.strike for one in held)):
        for symbol, quantity in _uncarried(held, standing, scenario, share_price).items():
            if abs(quantity) > abs(wanted.get(symbol, 0)):
                wanted[symbol] = quantity
    return wanted


def _uncarried(
    held: Sequence[Expiring], standing: Standing, price: Decimal, share_price: SharePrice
) -> dict[str, int]:
    """Contracts to trade, signed, if the underlying were to settle at a price."""
    endings = _endings(held, price)
    received = sum(ending.shares for ending in endings) // SHARES_PER_CONTRACT
    if received > 0:
        is_carried = standing_after(standing, endings, share_price).buying_power() >= 0
        excess = 0 if is_carried else received
    else:
        rest = dict(standing.holdings)
        for one in held:
            rest[one.contract.symbol] = 0
        symbol = held[0].contract.underlying
        excess = -max(0, -received - available_shares(rest, symbol) // SHARES_PER_CONTRACT)
    return _closing(held, endings, excess)


def _closing(held: Sequence[Expiring], endings: Sequence[Ending], excess: int) -> dict[str, int]:
    """Close contracts that deliver in the direction of the excess, shorts first; with longs, pairs.

    `excess` counts contracts: positive where shares come in that can't be paid.
    """
    closed: dict[str, int] = {}
    sold: dict[Right, int] = defaultdict(int)
    guilty = [ending for ending in endings if ending.shares * excess > 0]
    left = abs(excess)
    for ending in sorted(guilty, key=lambda one: (one.quantity > 0, one.contract.symbol)):
        count = min(left, abs(ending.quantity))
        left -= count
        if count and ending.quantity < 0:
            closed[ending.contract.symbol] = count
        elif count:
            closed[ending.contract.symbol] = -count
            sold[ending.contract.right] += count
    for right, count in sold.items():
        closed |= _left_uncovered(_without(held, closed), right, count)
    return closed


def _left_uncovered(held: Sequence[Expiring], right: Right, most: int) -> dict[str, int]:
    """Short contracts of a right beyond the long ones that are left, up to a number."""
    of_right = [one for one in held if one.contract.right is right]
    uncovered = min(most, max(0, -sum(one.quantity for one in of_right)))
    bought: dict[str, int] = {}
    for one in sorted(of_right, key=lambda one: one.contract.symbol):
        count = min(uncovered, max(0, -one.quantity))
        if count:
            bought[one.contract.symbol] = count
            uncovered -= count
    return bought


def _endings(held: Sequence[Expiring], price: Decimal) -> list[Ending]:
    return [
        Ending(
            one.contract,
            one.quantity,
            one.is_exercised and is_in_the_money(one.contract, price),
        )
        for one in held
        if one.quantity
    ]


def _traded(held: Sequence[Expiring], closed: Mapping[str, int]) -> list[Ending]:
    return [
        Ending(one.contract, -closed.get(one.contract.symbol, 0), is_delivered=False)
        for one in held
    ]


def _without(held: Sequence[Expiring], closed: Mapping[str, int]) -> list[Expiring]:
    return [
        Expiring(
            one.contract,
            one.quantity + closed.get(one.contract.symbol, 0),
            one.is_exercised,
        )
        for one in held
    ]
