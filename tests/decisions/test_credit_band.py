"""The band of credits: exact, on the tick, and always in order."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mahler_pipelines.decisions.credit_band import credit_band, exact_price
from mahler_pipelines.errors import BadInput

CENTS = st.integers(0, 2000).map(lambda cents: Decimal(cents) / 100)
NARROW = st.integers(0, 15).map(lambda cents: Decimal(cents) / 100)
TICKS = st.sampled_from([Decimal("0.01"), Decimal("0.05"), Decimal("0.10")])


def test_the_mid_is_rounded_down_and_the_floor_lies_below_the_natural_credit() -> None:
    band = credit_band(
        short_bid=Decimal("1.92"),
        short_ask=Decimal("1.99"),
        long_bid=Decimal("0.71"),
        long_ask=Decimal("0.73"),
        tolerance=Decimal("0.05"),
    )
    assert band is not None
    assert (band.target, band.natural, band.floor) == (
        *(Decimal("1.23"), Decimal("1.19")),
        Decimal("1.13"),
    )


def test_a_coarse_tick_never_asks_for_less_than_the_market_gives() -> None:
    """The mid of 1.04 would round down to 1.00, below the natural credit of 1.03."""
    band = credit_band(
        short_bid=Decimal("1.08"),
        short_ask=Decimal("1.09"),
        long_bid=Decimal("0.04"),
        long_ask=Decimal("0.05"),
        tolerance=Decimal("0.05"),
        tick=Decimal("0.10"),
    )
    assert band is not None
    assert (band.target, band.floor) == (Decimal("1.10"), Decimal("0.90"))


@given(
    short_bid=CENTS,
    long_bid=CENTS,
    spreads=st.tuples(NARROW | CENTS, NARROW | CENTS),
    tolerance=st.decimals("0", "0.99", places=2),
    tick=TICKS,
)
def test_floor_natural_and_target_are_in_order_and_on_the_tick(
    short_bid: Decimal,
    long_bid: Decimal,
    spreads: tuple[Decimal, Decimal],
    tolerance: Decimal,
    tick: Decimal,
) -> None:
    long_ask = long_bid + spreads[1]
    band = credit_band(
        short_bid=short_bid,
        short_ask=short_bid + spreads[0],
        long_bid=long_bid,
        long_ask=long_ask,
        tolerance=tolerance,
        tick=tick,
    )
    if short_bid - long_ask < tick:
        assert band is None
        return
    assert band is not None
    assert tick <= band.floor <= band.natural <= band.target
    assert band.natural == short_bid - long_ask
    assert band.target % tick == 0
    assert band.floor % tick == 0
    mid = short_bid - long_bid + (spreads[0] - spreads[1]) / 2
    assert band.target - mid < tick


def test_prices_are_read_as_the_wire_sent_them() -> None:
    assert exact_price("bid", 0.1 + 0.2) == Decimal("0.3")
    assert exact_price("bid", 1.2345) == Decimal("1.2345")
    assert exact_price("bid", 3) == Decimal(3)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None, "1.00"])
def test_what_is_no_price_is_refused(value: object) -> None:
    with pytest.raises(BadInput, match="short_bid"):
        exact_price("short_bid", value)


def test_a_tick_of_zero_is_refused() -> None:
    price = Decimal(1)
    with pytest.raises(BadInput, match="tick"):
        credit_band(
            short_bid=price,
            short_ask=price,
            long_bid=price,
            long_ask=price,
            tolerance=Decimal(0),
            tick=Decimal(0),
        )
