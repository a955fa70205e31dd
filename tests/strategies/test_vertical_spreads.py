"""Structures of the spreads, and the catalogue."""

from decimal import Decimal

import pytest

from mahler_pipelines.errors import BadInput
from mahler_pipelines.options.contracts import OptionContract, Right, parse_occ
from mahler_pipelines.options.structures import Side
from mahler_pipelines.strategies.bear_call_spread import BEAR_CALL_SPREAD
from mahler_pipelines.strategies.bull_put_spread import BULL_PUT_SPREAD
from mahler_pipelines.strategies.catalogue import STRATEGIES, strategy_named
from mahler_pipelines.strategies.vertical_spreads import Outlook

PUT_95, PUT_90 = parse_occ("XYZ260206P00095000"), parse_occ("XYZ260206P00090000")
CALL_105, CALL_110 = parse_occ("XYZ260206C00105000"), parse_occ("XYZ260206C00110000")


def test_a_bull_put_spread_sells_the_higher_put() -> None:
    structure = BULL_PUT_SPREAD.structure(PUT_95, PUT_90)
    assert [leg.side for leg in structure.legs] == [Side.SELL, Side.BUY]
    assert structure.max_loss(Decimal("1.25")) == Decimal("3.75")
    assert structure.breakevens(Decimal("1.25")) == (Decimal("93.75"),)
    assert BULL_PUT_SPREAD.breakeven(95.0, 1.25) == 93.75
    assert BULL_PUT_SPREAD.outlook is Outlook.BULLISH


def test_a_bear_call_spread_sells_the_lower_call() -> None:
    structure = BEAR_CALL_SPREAD.structure(CALL_105, CALL_110)
    assert structure.max_loss(Decimal("1.25")) == Decimal("3.75")
    assert structure.breakevens(Decimal("1.25")) == (Decimal("106.25"),)
    assert BEAR_CALL_SPREAD.breakeven(105.0, 1.25) == 106.25


@pytest.mark.parametrize(
    ("short", "long"),
    [
        (PUT_90, PUT_95),
        (PUT_95, PUT_95),
        (CALL_105, CALL_110),
        (PUT_95, parse_occ("XYZ260213P00090000")),
        (PUT_95, parse_occ("XYZW260206P00090000")),
    ],
)
def test_other_legs_are_not_a_bull_put_spread(short: OptionContract, long: OptionContract) -> None:
    with pytest.raises(BadInput):
        BULL_PUT_SPREAD.structure(short, long)


def test_the_catalogue_knows_each_strategy_by_its_name() -> None:
    assert {spread.right for spread in STRATEGIES.values()} == {Right.PUT, Right.CALL}
    assert all(strategy_named(name).name == name for name in STRATEGIES)
    with pytest.raises(BadInput, match="bull_put_spread, bear_call_spread"):
        strategy_named("iron_condor")
