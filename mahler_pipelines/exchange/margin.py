"""Margin of the account: the universal spread rule.

Per underlying and expiration, the worst point of the summed piecewise-linear payoff at that expiry
of everything that is still alive then; of the expirations the largest; premiums ignored, never
below zero (Alpaca, Options Trading Overview, "Universal Spread Rule").
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal

from mahler_pipelines.exchange.instruments import option_contract
from mahler_pipelines.exchange.orders import LegTerms
from mahler_pipelines.options.contracts import SHARES_PER_CONTRACT, OptionContract, Right
from mahler_pipelines.options.structures import dollars

Holdings = Mapping[str, int]
"""Symbol -> signed quantity of contracts or shares."""


def spread_margin(holdings: Holdings) -> Decimal | None:
    """Return the requirement in dollars, or None when a loss is unbounded.

    Long shares cover short calls. Short shares are not part of the rule: see `accounts`.
    """
    total = Decimal(0)
    for underlying, options in _by_underlying(holdings).items():
        shares = max(0, holdings.get(underlying, 0))
        for_underlying = _worst_of_expirations(options, shares)
        if for_underlying is None:
            return None
        total += for_underlying
    return total


def has_uncovered_short(legs: Iterable[LegTerms]) -> bool:
    """Whether a short leg lacks a long leg of the same right that lives at least as long.

    Legs that close are looked at as the structure that they close.
    """
    opening: dict[Right, list[tuple[date, int]]] = defaultdict(list)
    closing: dict[Right, list[tuple[date, int]]] = defaultdict(list)
    for leg in legs:
        contract = option_contract(leg.symbol)
        if contract is None:
            continue
        if leg.intent.opens:
            opening[contract.right].append((contract.expiration, leg.side.sign * leg.ratio))
        else:
            closing[contract.right].append((contract.expiration, -leg.side.sign * leg.ratio))
    return any(_runs_short(group) for group in [*opening.values(), *closing.values()])


def _runs_short(dated: list[tuple[date, int]]) -> bool:
    """Whether longs that live as long as the shorts ever fall short of them, latest first."""
    covered = 0
    by_expiration: dict[date, int] = defaultdict(int)
    for expiration, quantity in dated:
        by_expiration[expiration] += quantity
    for expiration in sorted(by_expiration, reverse=True):
        covered += by_expiration[expiration]
        if covered < 0:
            return True
    return False


def _by_underlying(holdings: Holdings) -> dict[str, list[tuple[OptionContract, int]]]:
    grouped: dict[str, list[tuple[OptionContract, int]]] = defaultdict(list)
    for symbol, quantity in holdings.items():
        contract = option_contract(symbol)
        if contract is not None and quantity:
            grouped[contract.underlying].append((contract, quantity))
    return grouped


def _worst_of_expirations(options: list[tuple[OptionContract, int]], shares: int) -> Decimal | None:
    largest = Decimal(0)
    for expiration in {contract.expiration for contract, _ in options}:
        alive = [(c, quantity) for c, quantity in options if c.expiration >= expiration]
        calls = sum(quantity for c, quantity in alive if c.right is Right.CALL)
        if calls * SHARES_PER_CONTRACT + shares < 0:
            return None
        kinks = [Decimal(0), *(c.strike for c, _ in alive)]
        largest = max(largest, *(-_value_at(kink, alive, shares) for kink in kinks))
    return largest


def _value_at(
    settlement: Decimal, options: list[tuple[OptionContract, int]], shares: int
) -> Decimal:
    value = settlement * shares
    for contract, quantity in options:
        intrinsic = max(contract.right * (settlement - contract.strike), Decimal(0))
        value += dollars(intrinsic, quantity)
    return value
