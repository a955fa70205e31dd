"""Intents: deterministic ids and limits that never leave the approved band."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mahler_pipelines.errors import BadInput
from mahler_pipelines.execution.intents import client_order_id, closing_limit, opening_limit
from mahler_pipelines.execution.ledger import OrderPurpose
from tests.execution.scenes import SPREAD

TICK = Decimal("0.01")
thousandths = st.integers(-2_000, 9_000).map(lambda value: Decimal(value) / 1000)


def test_id_says_account_subject_purpose_and_attempt() -> None:
    made = client_order_id("main", "r-1", purpose=OrderPurpose.OPEN, attempt=1)
    assert made == "mahler-main-r-1-open-1"


def test_id_beyond_the_brokers_length_is_refused() -> None:
    with pytest.raises(BadInput, match="128"):
        client_order_id("x" * 120, "r-1", purpose=OrderPurpose.CLOSE, attempt=1)


@given(natural=thousandths, floor=st.integers(1, 400), width=st.integers(0, 100))
def test_opening_limit_stays_inside_the_band(natural: Decimal, floor: int, width: int) -> None:
    low, high = Decimal(floor) / 100, Decimal(floor + width) / 100
    credit = -opening_limit(natural_credit=natural, target_credit=high, floor_credit=low, tick=TICK)
    assert low <= credit <= high
    assert credit % TICK == 0
    if low <= natural <= high:
        assert natural - TICK < credit <= natural


@given(natural=thousandths)
def test_closing_limit_covers_the_natural_cost_up_to_the_width(natural: Decimal) -> None:
    limit = closing_limit(natural_cost=natural, structure=SPREAD, tick=TICK)
    assert limit <= 5
    assert limit % TICK == 0
    if natural <= 5:
        assert natural <= limit < natural + TICK
