"""Quotes: one door from floats to money, and what counts as usable."""

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mahler_pipelines.errors import CorruptData
from mahler_pipelines.execution.quotes import (
    quote_structure,
    quote_structures,
    round_down,
    round_up,
    to_price,
    underlying_prices,
)
from mahler_pipelines.execution.trades import net_credit
from mahler_pipelines.market.chains import empty_quotes
from mahler_pipelines.market.data import STOCK_QUOTE_COLUMNS
from tests.execution.scenes import LONG, SHORT, SPREAD, quote_table

NAN = float("nan")
prices = st.integers(min_value=1, max_value=50_000).map(lambda cents: cents / 100)


@given(cents=st.integers(min_value=-(10**7), max_value=10**7))
def test_every_cent_survives_the_way_through_a_float(cents: int) -> None:
    assert to_price(cents / 100) == Decimal(cents) / 100


@pytest.mark.parametrize("value", [NAN, float("inf"), -float("inf")])
def test_what_is_not_a_number_has_no_price(value: float) -> None:
    assert to_price(value) is None


@given(bid=prices, spread=prices, other_bid=prices, other_spread=prices)
def test_vectorised_quote_agrees_with_decimal_arithmetic(
    bid: float, spread: float, other_bid: float, other_spread: float
) -> None:
    ask, other_ask = round(bid + spread, 2), round(other_bid + other_spread, 2)
    quote = quote_structure(
        SPREAD, quote_table({SHORT.symbol: (bid, ask), LONG.symbol: (other_bid, other_ask)})
    )
    exact = [Decimal(str(value)) for value in (bid, ask, other_bid, other_ask)]
    middles = {SHORT.symbol: (exact[0] + exact[1]) / 2, LONG.symbol: (exact[2] + exact[3]) / 2}
    assert quote.natural_credit == exact[0] - exact[3]
    assert quote.natural_cost == exact[1] - exact[2]
    assert quote.mid == net_credit(SPREAD, middles)


@pytest.mark.parametrize(
    ("short", "long", "natural_cost", "problem"),
    [
        ((NAN, 0.50), (0.10, 0.20), "0.40", "quote_one_sided"),
        ((0.40, 0.50), (0.10, NAN), "0.40", "quote_one_sided"),
        ((0.40, NAN), (0.10, 0.20), None, "quote_one_sided"),
        ((0.40, 0.50), (NAN, 0.20), None, "quote_one_sided"),
        ((0.40, 0.50), (NAN, NAN), None, "quote_missing"),
        ((0.40, 0.50), (0.0, 0.0), "0.50", "quote_missing"),
        ((0.60, 0.50), (0.10, 0.20), None, "quote_crossed"),
        ((-0.10, 0.50), (0.10, 0.20), "0.40", "quote_negative"),
    ],
)
def test_unusable_leg_leaves_no_mid_and_closes_only_on_the_sides_it_needs(
    short: tuple[float, float],
    long: tuple[float, float],
    natural_cost: str | None,
    problem: str,
) -> None:
    quote = quote_structure(SPREAD, quote_table({SHORT.symbol: short, LONG.symbol: long}))
    assert (quote.mid, quote.natural_credit, quote.problem) == (None, None, problem)
    assert quote.natural_cost == (None if natural_cost is None else Decimal(natural_cost))


def test_worthless_wing_without_a_bid_is_still_a_quote() -> None:
    """A long leg offered at five cents and not bid for is how a winning spread looks."""
    quote = quote_structure(
        SPREAD, quote_table({SHORT.symbol: (0.0, 0.05), LONG.symbol: (0, 0.05)})
    )
    assert (quote.mid, quote.natural_cost, quote.problem) == (Decimal(0), Decimal("0.05"), "")


def test_leg_without_a_row_is_missing() -> None:
    quote = quote_structure(SPREAD, quote_table({SHORT.symbol: (1.0, 1.1)}))
    assert (quote.mid, quote.problem) == (None, "quote_missing")
    assert quote_structure(SPREAD, empty_quotes()).natural_cost is None
    assert quote_structures([], empty_quotes()) == ()


def test_contract_quoted_twice_is_corrupt() -> None:
    table = quote_table({SHORT.symbol: (1.0, 1.1), LONG.symbol: (0.5, 0.6)})
    with pytest.raises(CorruptData, match=SHORT.symbol):
        quote_structure(SPREAD, pd.concat([table, table]))


@given(cents=st.integers(-10_000, 10_000), tick=st.sampled_from(["0.01", "0.05", "0.10"]))
def test_rounding_to_the_tick_brackets_the_price(cents: int, tick: str) -> None:
    price, step = Decimal(cents) / 1000, Decimal(tick)
    assert round_down(price, step) <= price <= round_up(price, step)
    assert round_up(price, step) - round_down(price, step) in (0, step)


def test_underlying_price_falls_back_from_mid_to_last_to_the_chain() -> None:
    rows = [
        ("A", 10.0, 10.1, 9.0, pd.NaT),
        ("B", NAN, NAN, 20.0, pd.NaT),
        ("C", NAN, NAN, NAN, pd.NaT),
    ]
    stocks = pd.DataFrame(rows, columns=list(STOCK_QUOTE_COLUMNS))
    chain = quote_table({SHORT.symbol: (1.0, 1.1)}, underlying_price=600.25)
    found = underlying_prices(chain, stocks, ["A", "B", "C", "SPY", "D"])
    assert found == {"A": Decimal("10.05"), "B": Decimal(20), "SPY": Decimal("600.25")}
    assert np.isfinite(float(found["SPY"]))
