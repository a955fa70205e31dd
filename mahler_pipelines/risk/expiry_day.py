"""The last day of a contract: what the broker would do with each holding if nothing changed.

Alpaca evaluates expiring positions half an hour before the close. In the money by a cent or more, a
long is exercised if buying power or shares suffice and is sold out before the close otherwise, a
short is assigned; the rest lapses. Deliveries of one underlying offset each other: the long leg of
a spread hands over what the short leg owes. What cannot be delivered whole is liquidated whole.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from mahler_pipelines.options.contracts import (
    SHARES_PER_CONTRACT,
    OptionContract,
    SettlementKind,
    settlement_kind,
)
from mahler_pipelines.options.european import probability_below
from mahler_pipelines.options.structures import CENT, dollars

EXERCISED_FROM = CENT
"""How far in the money, per share, an expiring contract is exercised."""


class ExpiryOutcome(StrEnum):
    """What the broker would do with an expiring holding."""

    EXPIRES = "expires"
    CASH_SETTLED = "cash_settled"
    EXERCISED = "exercised"
    ASSIGNED = "assigned"
    LIQUIDATED = "liquidated"
    UNKNOWN = "unknown"


class Shortage(StrEnum):
    """What a delivery lacks."""

    BUYING_POWER = "buying_power"
    SHARES = "shares"


@dataclass(frozen=True, slots=True)
class ExpiringHolding:
    """Contracts held on their last day; `quantity` is negative for a short, `years` to the settle.

    `years` is ACT/365 from now to the moment on which the contract settles.
    """

    contract: OptionContract
    quantity: int
    years: float


@dataclass(frozen=True, slots=True)
class UnderlyingState:
    """Price and shares held of an underlying, and its volatility a year for the rest of the day.

    None where nothing is known.
    """

    price: Decimal | None
    shares: int = 0
    volatility: float | None = None


@dataclass(frozen=True, slots=True)
class HoldingForecast:
    """What would become of one holding; `intrinsic` is per share."""

    holding: ExpiringHolding
    outcome: ExpiryOutcome
    shortage: Shortage | None
    intrinsic: Decimal | None
    probability_in_the_money: float | None


def forecast(
    holdings: Sequence[ExpiringHolding],
    underlyings: Mapping[str, UnderlyingState],
    *,
    buying_power: Decimal,
) -> tuple[HoldingForecast, ...]:
    """Return what the broker would do at these prices, in the order of the holdings.

    A delivery's cash is covered by what its own holdings keep reserved (the worst point of their
    payoff at expiry), then by `buying_power`, the account's for options. Where several deliveries
    together need more than that, those that need most are liquidated; the documents name no order.
    """
    groups: dict[str, list[ExpiringHolding]] = {}
    for held in holdings:
        groups.setdefault(held.contract.underlying, []).append(held)
    blank = UnderlyingState(None)
    shortages: dict[str, Shortage] = {}
    needs: dict[str, Decimal] = {}
    for name, group in groups.items():
        state = underlyings.get(name, blank)
        delivering = [held for held in group if _delivers(held, state)]
        if _shares_short(delivering, state):
            shortages[name] = Shortage.SHARES
        else:
            needs[name] = max(Decimal(0), _cash_out(delivering) - _reserved(group))
    for name in _beyond(needs, buying_power):
        shortages[name] = Shortage.BUYING_POWER
    return tuple(
        _forecast(held, underlyings.get(name, blank), shortages.get(name))
        for held in holdings
        for name in (held.contract.underlying,)
    )


def probability_between(
    low: Decimal, high: Decimal, state: UnderlyingState, *, years: float
) -> float | None:
    """Probability that the underlying settles between two strikes, where one leg is left alone.

    One lognormal without drift; None without a price or a volatility.
    """
    below_high, below_low = (_below(strike, state, years) for strike in (high, low))
    return None if below_high is None or below_low is None else below_high - below_low


def _forecast(
    held: ExpiringHolding, state: UnderlyingState, shortage: Shortage | None
) -> HoldingForecast:
    outcome = _outcome(held, state)
    lacking = shortage if outcome in _DELIVERED else None
    return HoldingForecast(
        held,
        ExpiryOutcome.LIQUIDATED if lacking else outcome,
        lacking,
        _intrinsic(held.contract, state),
        _in_the_money(held, state),
    )


_DELIVERED = (ExpiryOutcome.EXERCISED, ExpiryOutcome.ASSIGNED)


def _outcome(held: ExpiringHolding, state: UnderlyingState) -> ExpiryOutcome:
    """What becomes of a holding whose delivery lacks nothing."""
    worth = _intrinsic(held.contract, state)
    if worth is None:
        return ExpiryOutcome.UNKNOWN
    if worth < EXERCISED_FROM:
        return ExpiryOutcome.EXPIRES
    if settlement_kind(held.contract.root) is not SettlementKind.PHYSICAL:
        return ExpiryOutcome.CASH_SETTLED
    return ExpiryOutcome.EXERCISED if held.quantity > 0 else ExpiryOutcome.ASSIGNED


def _delivers(held: ExpiringHolding, state: UnderlyingState) -> bool:
    return _outcome(held, state) in _DELIVERED


def _intrinsic(contract: OptionContract, state: UnderlyingState) -> Decimal | None:
    if state.price is None:
        return None
    return max(contract.right * (state.price - contract.strike), Decimal(0))


def _shares_short(delivering: Sequence[ExpiringHolding], state: UnderlyingState) -> bool:
    """Whether shares would have to be given that are not there."""
    change = SHARES_PER_CONTRACT * sum(held.quantity * held.contract.right for held in delivering)
    return change < 0 and state.shares + change < 0


def _cash_out(delivering: Sequence[ExpiringHolding]) -> Decimal:
    """Dollars that the deliveries cost together; negative when they bring money."""
    return sum(
        (dollars(held.contract.strike, held.quantity * held.contract.right) for held in delivering),
        Decimal(0),
    )


def _reserved(group: Sequence[ExpiringHolding]) -> Decimal:
    """Dollars that the broker keeps for these holdings: the worst point of their payoff at expiry.

    What lies beyond the highest strike is covered by shares: a short call without is not opened.
    """
    strikes = sorted({held.contract.strike for held in group})
    worst = Decimal(0)
    for kink in (Decimal(0), *strikes):
        paid = sum(
            (
                dollars(
                    max(held.contract.right * (kink - held.contract.strike), Decimal(0)),
                    held.quantity,
                )
                for held in group
            ),
            Decimal(0),
        )
        worst = min(worst, paid)
    return -worst


def _beyond(needs: Mapping[str, Decimal], buying_power: Decimal) -> tuple[str, ...]:
    """Underlyings, the neediest first, without whose deliveries the others are within the power."""
    total, given_up = sum(needs.values(), Decimal(0)), []
    for name in sorted(needs, key=lambda name: (-needs[name], name)):
        if total <= max(buying_power, Decimal(0)):
            break
        given_up.append(name)
        total -= needs[name]
    return tuple(given_up)


def _in_the_money(held: ExpiringHolding, state: UnderlyingState) -> float | None:
    below = _below(held.contract.strike, state, held.years)
    if below is None:
        return None
    return 1.0 - below if held.contract.right > 0 else below


def _below(level: Decimal, state: UnderlyingState, years: float) -> float | None:
    if state.price is None or state.volatility is None:
        return None
    found = probability_below(
        spot=float(state.price),
        level=float(level),
        years=years,
        rate=0.0,
        dividend_yield=0.0,
        volatility=state.volatility,
    )
    return float(found)
