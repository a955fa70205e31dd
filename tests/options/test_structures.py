"""Payoff, maximum loss and breakevens against a brute-force grid."""

from datetime import date
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mahler_pipelines.errors import BadInput
from mahler_pipelines.options.contracts import OptionContract, Right
from mahler_pipelines.options.structures import Leg, Side, Structure, dollars

EXPIRATION = date(2025, 1, 17)


def _leg(side: Side, right: Right, strike: str | int, ratio: int = 1, root: str = "SPY") -> Leg:
    return Leg(OptionContract(root, EXPIRATION, right, Decimal(strike)), side, ratio)


def _iron_condor() -> Structure:
    return Structure(
        "iron_condor",
        (
            _leg(Side.BUY, Right.PUT, 90),
            _leg(Side.SELL, Right.PUT, 95),
            _leg(Side.SELL, Right.CALL, 105),
            _leg(Side.BUY, Right.CALL, 112),
        ),
    )


LEGS = st.lists(
    st.tuples(
        st.sampled_from(Side),
        st.sampled_from(Right),
        st.integers(1, 60).map(lambda n: Decimal(n) * Decimal("2.5")),
        st.integers(1, 5),
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda leg: (leg[1], leg[2]),
)


@settings(max_examples=150)
@given(legs=LEGS, cents=st.integers(-2000, 2000))
def test_max_loss_is_the_worst_point_of_the_grid(
    legs: list[tuple[Side, Right, Decimal, int]], cents: int
) -> None:
    """With any sides and ratios; an unbounded loss is refused instead of numbered."""
    structure = Structure("any", tuple(_leg(s, r, str(k), n) for s, r, k, n in legs))
    credit = Decimal(cents) / 100
    calls = sum(leg.signed_ratio for leg in structure.legs if leg.contract.right is Right.CALL)
    if calls < 0:
        with pytest.raises(BadInput, match="unbounded"):
            structure.max_loss(credit)
        return
    grid = np.arange(0.0, 400.0, 0.5)
    worst = float(np.min(structure.payoff(grid))) + float(credit)
    assert float(structure.max_loss(credit)) == pytest.approx(max(0.0, -worst), abs=1e-9)


@settings(max_examples=150)
@given(legs=LEGS, cents=st.integers(-2000, 2000))
def test_breakevens_are_where_profit_changes_sign_on_the_grid(
    legs: list[tuple[Side, Right, Decimal, int]], cents: int
) -> None:
    structure = Structure("any", tuple(_leg(s, r, str(k), n) for s, r, k, n in legs))
    credit = Decimal(cents) / 100
    grid = np.arange(0.125, 440.0, 0.25)
    profit = structure.payoff(grid) + float(credit)
    assume(bool((np.abs(profit) > 1e-9).all()))
    flips = np.flatnonzero(np.sign(profit[1:]) != np.sign(profit[:-1]))
    top = 3 * float(max(leg.contract.strike for leg in structure.legs))
    found = [float(point) for point in structure.breakevens(credit)]
    for point in found:
        at = float(structure.payoff(point)) + float(credit)
        assert at == pytest.approx(0.0, abs=1e-9)
    for flip in flips[grid[flips] + 0.25 < top]:
        assert any(grid[flip] <= point <= grid[flip + 1] for point in found)


def test_iron_condor_by_hand() -> None:
    structure = _iron_condor()
    credit = Decimal("1.50")
    assert structure.max_loss(credit) == Decimal("5.50")
    assert structure.breakevens(credit) == (Decimal("93.5"), Decimal("106.5"))
    assert structure.payoff([80.0, 95.0, 100.0, 105.0, 130.0]).tolist() == [-5, 0, 0, 0, -7]
    assert structure.underlying == "SPY"
    assert structure.expiration == EXPIRATION


def test_ratio_spread_with_odd_ratios() -> None:
    """Three short against two long puts: the loss lies at zero, three halves further out."""
    structure = Structure(
        "ratio", (_leg(Side.BUY, Right.PUT, 100, 2), _leg(Side.SELL, Right.PUT, 90, 3))
    )
    assert structure.payoff(0.0) == -70.0
    assert structure.max_loss(Decimal(1)) == Decimal(69)
    assert structure.breakevens(Decimal(1)) == (Decimal(69),)


def test_loss_is_never_negative_when_the_credit_exceeds_the_width() -> None:
    assert _iron_condor().max_loss(Decimal(8)) == 0


@pytest.mark.parametrize(
    "legs",
    [
        (),
        (_leg(Side.BUY, Right.PUT, 90), _leg(Side.SELL, Right.PUT, 95, root="QQQ")),
        (_leg(Side.BUY, Right.PUT, 90), _leg(Side.SELL, Right.PUT, 90)),
    ],
)
def test_legs_that_make_no_structure_are_refused(legs: tuple[Leg, ...]) -> None:
    with pytest.raises(BadInput, match="legs"):
        Structure("any", legs)


@given(cents=st.integers(-10_000, 10_000), contracts=st.integers(0, 500))
def test_dollars_apply_contracts_and_multiplier_once(cents: int, contracts: int) -> None:
    assert dollars(Decimal(cents) / 100, contracts) == Decimal(cents) * contracts


def test_dollars_round_half_even_to_the_cent() -> None:
    assert dollars(Decimal("0.00005"), 1) == Decimal("0.00")
    assert dollars(Decimal("0.00015"), 1) == Decimal("0.02")


def test_sides() -> None:
    assert (Side.BUY.sign, Side.SELL.sign) == (1, -1)
    assert Side.BUY.opposite is Side.SELL
    assert _leg(Side.SELL, Right.CALL, 100, 3).signed_ratio == -3


def test_counterparts_complete_the_pairs_of_put_call_parity() -> None:
    """A leg whose counterpart is a leg already has none to add."""

    def option(right: Right, strike: int) -> OptionContract:
        return OptionContract("XYZ", EXPIRATION, right, Decimal(strike))

    put = Leg(option(Right.PUT, 95), Side.SELL)
    wing = Leg(option(Right.PUT, 90), Side.BUY)
    assert Structure("bull_put_spread", (put, wing)).counterparts == (
        option(Right.CALL, 95).symbol,
        option(Right.CALL, 90).symbol,
    )
    call = Leg(option(Right.CALL, 95), Side.SELL)
    assert Structure("straddle", (put, call)).counterparts == ()
