"""What the broker would do on a contract's last day, by its own rules."""

import math
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from mahler_pipelines.options.contracts import OptionContract, Right
from mahler_pipelines.risk.expiry_day import (
    ExpiringHolding,
    ExpiryOutcome,
    HoldingForecast,
    Shortage,
    UnderlyingState,
    forecast,
    probability_between,
)

DAY = date(2026, 11, 20)
HOURS = 4 / 24 / 365

EXPIRES, ASSIGNED = ExpiryOutcome.EXPIRES, ExpiryOutcome.ASSIGNED
EXERCISED, LIQUIDATED = ExpiryOutcome.EXERCISED, ExpiryOutcome.LIQUIDATED


def put(strike: int, quantity: int, root: str = "XYZ") -> ExpiringHolding:
    contract = OptionContract(root, DAY, Right.PUT, Decimal(strike))
    return ExpiringHolding(contract, quantity, HOURS)


def call(strike: int, quantity: int, root: str = "XYZ") -> ExpiringHolding:
    contract = OptionContract(root, DAY, Right.CALL, Decimal(strike))
    return ExpiringHolding(contract, quantity, HOURS)


def foreseen(
    *holdings: ExpiringHolding, price: str | None, power: int = 0, shares: int = 0
) -> tuple[HoldingForecast, ...]:
    names = {held.contract.underlying for held in holdings}
    state = UnderlyingState(None if price is None else Decimal(price), shares)
    return forecast(holdings, dict.fromkeys(names, state), buying_power=Decimal(power))


def outcomes(*found: HoldingForecast) -> list[ExpiryOutcome]:
    return [one.outcome for one in found]


BULL_PUT = (put(100, -3), put(95, 3))
BEAR_CALL = (call(105, -3), call(110, 3))


@pytest.mark.parametrize(
    ("holdings", "price", "expected"),
    [
        (BULL_PUT, "104", [EXPIRES, EXPIRES]),
        (BULL_PUT, "100", [EXPIRES, EXPIRES]),
        (BULL_PUT, "99.995", [EXPIRES, EXPIRES]),
        (BULL_PUT, "90", [ASSIGNED, EXERCISED]),
        (BEAR_CALL, "105.00", [EXPIRES, EXPIRES]),
        (BEAR_CALL, "120", [ASSIGNED, EXERCISED]),
    ],
)
def test_spread_that_ends_on_one_side_needs_nothing(
    holdings: tuple[ExpiringHolding, ...], price: str, expected: list[ExpiryOutcome]
) -> None:
    """Both legs in the money deliver to each other: the width is what the broker reserves."""
    found = foreseen(*holdings, price=price)
    assert outcomes(*found) == expected
    assert all(one.shortage is None for one in found)


def test_in_the_money_begins_at_a_cent() -> None:
    assert outcomes(*foreseen(put(100, -1), price="99.99")) == [ASSIGNED]
    assert foreseen(put(100, -1), price="99.99")[0].intrinsic == Decimal("0.01")
    assert outcomes(*foreseen(put(100, -1), price="99.991")) == [EXPIRES]


def test_short_put_of_a_torn_spread_is_assigned_only_with_the_money_for_its_shares() -> None:
    """Three contracts at 100 cost 30,000, of which the spread has 1,500 reserved."""
    for power, expected, lacks in ((28_500, ASSIGNED, None), (28_499, LIQUIDATED, "buying_power")):
        short, long = foreseen(*BULL_PUT, price="98", power=power)
        assert (short.outcome, long.outcome) == (expected, EXPIRES)
        assert short.shortage == (Shortage(lacks) if lacks else None)
        assert long.shortage is None


def test_short_call_of_a_torn_spread_is_assigned_only_with_the_shares() -> None:
    for shares, expected, lacks in ((300, ASSIGNED, None), (299, LIQUIDATED, Shortage.SHARES)):
        short, long = foreseen(*BEAR_CALL, price="107", power=10**6, shares=shares)
        assert (short.outcome, long.outcome, short.shortage) == (expected, EXPIRES, lacks)


def test_cash_secured_put_is_assigned_out_of_what_is_reserved() -> None:
    assert outcomes(*foreseen(put(100, -7), price="80", power=0)) == [ASSIGNED]


def test_long_is_exercised_with_the_means_and_sold_out_without() -> None:
    assert outcomes(*foreseen(call(100, 2), price="103", power=20_000)) == [EXERCISED]
    (short_of_money,) = foreseen(call(100, 2), price="103", power=19_999)
    assert (short_of_money.outcome, short_of_money.shortage) == (LIQUIDATED, Shortage.BUYING_POWER)
    assert outcomes(*foreseen(put(100, 2), price="97", shares=200)) == [EXERCISED]
    (without_shares,) = foreseen(put(100, 2), price="97", shares=0, power=10**6)
    assert (without_shares.outcome, without_shares.shortage) == (LIQUIDATED, Shortage.SHARES)


def test_index_roots_pay_cash_and_need_nothing() -> None:
    found = foreseen(put(100, -3, "SPXW"), put(95, 3, "SPXW"), price="97")
    assert outcomes(*found) == [ExpiryOutcome.CASH_SETTLED, EXPIRES]


def test_neediest_delivery_is_given_up_first() -> None:
    """What is left after it is within the buying power, and is taken."""
    holdings = [call(100, 1, "AAA"), call(100, 2, "BBB"), call(100, 1, "CCC")]
    found = foreseen(*holdings, price="103", power=20_000)
    assert outcomes(*found) == [EXERCISED, LIQUIDATED, EXERCISED]
    found = foreseen(*holdings, price="103", power=10_000)
    assert outcomes(*found) == [LIQUIDATED, LIQUIDATED, EXERCISED]


def test_nothing_is_foreseen_without_a_price() -> None:
    (found,) = foreseen(put(100, -1), price=None)
    assert (found.outcome, found.intrinsic) == (ExpiryOutcome.UNKNOWN, None)
    assert found.probability_in_the_money is None


def test_probabilities_are_those_of_one_lognormal() -> None:
    state = UnderlyingState(Decimal(100), volatility=0.4)
    total = 0.4 * math.sqrt(HOURS)
    below = {k: norm.cdf((math.log(k / 100) + total**2 / 2) / total) for k in (99, 100, 101)}
    found = forecast([put(100, -1), call(101, -1)], {"XYZ": state}, buying_power=Decimal(0))
    assert found[0].probability_in_the_money == pytest.approx(below[100], abs=1e-12)
    assert found[1].probability_in_the_money == pytest.approx(1 - below[101], abs=1e-12)
    between = probability_between(Decimal(99), Decimal(101), state, years=HOURS)
    assert between == pytest.approx(below[101] - below[99], abs=1e-12)
    unknown = UnderlyingState(Decimal(100))
    assert probability_between(Decimal(99), Decimal(101), unknown, years=HOURS) is None


@given(
    strikes=st.tuples(st.integers(50, 150), st.integers(1, 20)),
    contracts=st.integers(1, 50),
    right=st.sampled_from(list(Right)),
    price=st.decimals("40", "180", places=2),
    power=st.integers(0, 10**6),
    shares=st.integers(0, 3000),
)
def test_no_vertical_leaves_what_the_account_cannot_carry(
    strikes: tuple[int, int],
    contracts: int,
    right: Right,
    price: Decimal,
    power: int,
    shares: int,
) -> None:
    """Whatever is delivered in the end is covered: by shares, by the reserve, or by cash."""
    near, width = strikes
    far = near + width * int(right)
    make = call if right is Right.CALL else put
    holdings = [make(near, -contracts), make(far, contracts)]
    found = foreseen(*holdings, price=str(price), power=power, shares=shares)
    delivered = [one for one in found if one.outcome in (ASSIGNED, EXERCISED)]
    change = 100 * sum(o.holding.quantity * int(o.holding.contract.right) for o in delivered)
    cost = sum(
        100 * o.holding.quantity * int(o.holding.contract.right) * o.holding.contract.strike
        for o in delivered
    )
    assert change >= 0 or shares + change >= 0
    assert cost <= power + 100 * width * contracts
    for one in found:
        in_the_money = one.intrinsic is not None and one.intrinsic >= Decimal("0.01")
        assert (one.outcome is EXPIRES) is not in_the_money
        assert (one.shortage is not None) is (one.outcome is LIQUIDATED)
