"""Where a limit stands on its walk: inside the approval, on the tick, and closer at every step."""

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mahler_pipelines.errors import BadInput
from mahler_pipelines.execution.repricing import (
    NATURAL_AT_ONCE,
    CreditBounds,
    Walk,
    WalkTerms,
    closing_limit_at,
    opening_limit_at,
)
from tests.execution.scenes import NOW, SPREAD

HALF = WalkTerms(start_fraction=Decimal("0.5"))
TICK = Decimal("0.01")
BOUNDS = CreditBounds(
    mid=Decimal("1.30"),
    natural=Decimal("1.10"),
    target=Decimal("1.30"),
    floor=Decimal("1.04"),
)

cents = st.integers(1, 900).map(lambda value: Decimal(value) / 100)
ticks = st.sampled_from([Decimal("0.01"), Decimal("0.05")])
walking = st.builds(
    WalkTerms,
    start_fraction=st.integers(0, 99).map(lambda value: Decimal(value) / 100),
    steps=st.integers(1, 7),
    step_seconds=st.sampled_from([0.5, 30.0, 45.0]),
    patience_seconds=st.just(900.0),
)


def later(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


def opening(step: int, bounds: CreditBounds = BOUNDS, terms: WalkTerms = HALF) -> Decimal:
    return opening_limit_at(step, bounds, terms=terms, tick=TICK)


def closing(step: int, *, mid: str | None, natural: str, terms: WalkTerms = HALF) -> Decimal:
    return closing_limit_at(
        step,
        structure=SPREAD,
        mid=None if mid is None else Decimal(mid),
        natural=Decimal(natural),
        terms=terms,
        tick=TICK,
    )


def test_opening_limit_goes_in_equal_steps_from_between_mid_and_natural_to_the_floor() -> None:
    assert [opening(step) for step in range(5)] == [
        Decimal("-1.20"),
        Decimal("-1.16"),
        Decimal("-1.12"),
        Decimal("-1.08"),
        Decimal("-1.04"),
    ]


def test_opening_without_a_walk_asks_for_the_natural_credit_inside_the_band() -> None:
    for step in range(5):
        assert opening(step, terms=NATURAL_AT_ONCE) == Decimal("-1.10")
    richer = CreditBounds(Decimal(2), Decimal("1.5"), BOUNDS.target, BOUNDS.floor)
    assert opening(0, richer, NATURAL_AT_ONCE) == Decimal("-1.30")


@given(data=st.data(), terms=walking, tick=ticks, floor=cents, band=cents, spread=cents)
def test_opening_limit_never_rises_and_stays_between_floor_and_mid(
    data: st.DataObject,
    terms: WalkTerms,
    tick: Decimal,
    floor: Decimal,
    band: Decimal,
    spread: Decimal,
) -> None:
    """Whatever the market, while its natural credit is one that the approval covers."""
    floor = (floor / tick).to_integral_value() * tick + tick
    natural = floor + band
    mid = natural + spread
    bounds = CreditBounds(mid, natural, data.draw(cents) + floor, floor)
    asked = [
        -opening_limit_at(step, bounds, terms=terms, tick=tick) for step in range(terms.steps + 1)
    ]
    assert asked == sorted(asked, reverse=True)
    assert asked[-1] == floor
    assert all(floor <= credit <= mid for credit in asked)
    assert all(credit > 0 and credit % tick == 0 for credit in asked)


@given(
    terms=walking, tick=ticks, floor=cents, mid=st.integers(-500, 900), width=st.integers(0, 300)
)
def test_opening_limit_is_never_worse_than_approved_whatever_is_quoted(
    terms: WalkTerms, tick: Decimal, floor: Decimal, mid: int, width: int
) -> None:
    """Quotes that no gate would let pass give no worse price, and no debit for a credit."""
    middle = Decimal(mid) / 100
    bounds = CreditBounds(middle, middle - Decimal(width) / 100, floor, floor)
    for step in range(terms.steps + 1):
        credit = -opening_limit_at(step, bounds, terms=terms, tick=tick)
        assert credit >= floor
        assert credit % tick == 0


@pytest.mark.parametrize("floor", ["0.00", "-0.40", "0.001"])
def test_credit_is_never_flipped_into_a_debit(floor: str) -> None:
    """An approval shown as a credit brings one tick at the least, whatever its floor says."""
    bounds = CreditBounds(Decimal("0.10"), Decimal("-0.10"), Decimal("0.10"), Decimal(floor))
    assert [opening(step, bounds) for step in (0, 4)] == [Decimal("-0.01"), Decimal("-0.01")]


def test_approved_debit_walks_up_to_the_most_that_was_approved() -> None:
    bounds = CreditBounds(Decimal("-1.00"), Decimal("-1.20"), Decimal("-1.00"), Decimal("-1.26"))
    assert [opening(step, bounds) for step in (0, 2, 4)] == [
        Decimal("1.10"),
        Decimal("1.18"),
        Decimal("1.26"),
    ]


def test_closing_limit_goes_in_equal_steps_to_the_natural_cost() -> None:
    limits = [closing(step, mid="0.44", natural="0.48") for step in range(5)]
    assert limits == [Decimal(text) for text in ("0.46", "0.47", "0.47", "0.48", "0.48")]


@given(terms=walking, mid=st.integers(-300, 700), width=st.integers(0, 300))
def test_closing_limit_never_falls_ends_at_natural_and_costs_no_more_than_the_width(
    terms: WalkTerms, mid: int, width: int
) -> None:
    middle = Decimal(mid) / 1000
    natural = middle + Decimal(width) / 100
    limits = [
        closing_limit_at(
            step, structure=SPREAD, mid=middle, natural=natural, terms=terms, tick=TICK
        )
        for step in range(terms.steps + 1)
    ]
    assert limits == sorted(limits)
    assert all(limit % TICK == 0 and limit <= 5 for limit in limits)
    assert natural <= limits[-1] < natural + TICK
    assert all(limit > 0 for limit in limits) or natural <= 0


def test_closing_without_a_mid_or_beyond_the_width_is_as_natural_as_it_can_be() -> None:
    assert closing(0, mid=None, natural="0.48") == Decimal("0.48")
    assert closing(0, mid="6.00", natural="9.00") == Decimal(5)


def test_steps_follow_the_clock_and_end_with_the_last() -> None:
    assert [HALF.step_at(later(t)) for t in (-5, 0, 29.9, 30, 61, 120, 9_000)] == [
        *(0, 0, 0, 1, 2, 4, 4)
    ]


@pytest.mark.parametrize(
    ("attempted", "due"), [(0, 30), (30, 60), (95, 120), (120, 300), (280, 310), (900, 930)]
)
def test_next_step_is_due_by_the_schedule_and_the_end_with_the_patience(
    attempted: float, due: float
) -> None:
    """A late last step is tried for the time of one, however much of the patience is over."""
    walk = Walk(NOW, NOW + later(attempted), works=True)
    assert walk.due_at(HALF) == NOW + later(due)
    assert not walk.is_due(HALF, NOW + later(due - 0.1))
    assert walk.is_due(HALF, NOW + later(due))
    assert walk.is_over(HALF, NOW + later(due)) == (attempted >= 120)


def test_attempt_that_is_owed_is_due_at_once_and_one_without_a_walk_never() -> None:
    assert Walk(NOW, NOW + later(30), works=False).is_due(HALF, NOW + later(31))
    assert not Walk(NOW, NOW, works=True).is_due(NATURAL_AT_ONCE, NOW + later(86_400))


def test_close_does_not_give_up() -> None:
    walk = Walk(NOW, NOW + later(120), works=True, gives_up=False)
    assert walk.due_at(HALF) is None
    assert not walk.is_over(HALF, NOW + later(9_000))


@given(terms=walking, attempted=st.floats(0, 2_000), asked=st.floats(0, 2_000))
def test_next_moment_lies_always_ahead(terms: WalkTerms, attempted: float, asked: float) -> None:
    """Otherwise whoever moves a clock from step to step would stand still."""
    walk, now = Walk(NOW, NOW + later(attempted), works=True), NOW + later(asked)
    following = walk.next_after(terms, now)
    assert following is not None
    assert following > now


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"start_fraction": Decimal("1.01")}, "start_fraction"),
        ({"start_fraction": Decimal("-0.01")}, "start_fraction"),
        ({"steps": 0}, "steps"),
        ({"step_seconds": 0.0}, "step_seconds"),
        ({"patience_seconds": 119.0}, "patience_seconds"),
    ],
)
def test_terms_that_cannot_be_walked_are_refused(changes: dict[str, object], name: str) -> None:
    with pytest.raises(BadInput, match=name):
        WalkTerms(**changes)  # type: ignore[arg-type]
