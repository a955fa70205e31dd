"""The universal spread margin against the worst point of the summed payoff, found by search."""

from datetime import date
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from mahler_pipelines.exchange.instruments import option_contract
from mahler_pipelines.exchange.margin import spread_margin
from mahler_pipelines.options.contracts import Right
from tests.exchange.fakes import FAR, NEAR, call, put

STRIKES = (90, 95, 100, 105, 110)
FAR_AWAY = (1_000, 2_000)
"""Settlements beyond every strike: a loss that grows between them has no worst point."""

holdings = st.dictionaries(
    st.builds(
        lambda right, strike, day: (put if right else call)(strike, day),
        st.booleans(),
        st.sampled_from(STRIKES),
        st.sampled_from([NEAR, FAR]),
    ),
    st.integers(-7, 7),
    max_size=6,
)


def payoff(held: dict[str, int], expiration: date, settlement: int, shares: int) -> int:
    """Dollars at a settlement of everything that is alive at an expiration, leg by leg."""
    total = settlement * shares
    for symbol, quantity in held.items():
        contract = option_contract(symbol)
        assert contract is not None
        if contract.expiration < expiration:
            continue
        strike = int(contract.strike)
        above = settlement - strike
        total += 100 * quantity * max(0, above if contract.right is Right.CALL else -above)
    return total


def worst(held: dict[str, int], shares: int) -> Decimal | None:
    """Largest loss over every whole-dollar settlement and expiration; None without a bound."""
    found = 0
    for expiration in (NEAR, FAR):
        if not any(
            (contract := option_contract(symbol)) is not None and contract.expiration == expiration
            for symbol, quantity in held.items()
            if quantity
        ):
            continue
        near, far = (payoff(held, expiration, at, shares) for at in FAR_AWAY)
        if far < near:
            return None
        found = max(found, *(-payoff(held, expiration, at, shares) for at in range(200)))
    return Decimal(found)


@settings(max_examples=300)
@given(held=holdings, shares=st.sampled_from([0, 100, 300]))
def test_margin_is_the_worst_point_of_the_summed_payoff(held: dict[str, int], shares: int) -> None:
    """Odd quantities, ratios, two expirations, with shares and without: to the dollar."""
    everything = held | ({"XYZ": shares} if shares else {})
    assert spread_margin(everything) == worst(held, shares)
