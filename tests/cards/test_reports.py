"""What reports share: tables for a phone."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mahler_pipelines.cards.reports import (
    ROWS_SHOWN,
    TABLE_WIDTH,
    positions_table,
    short_usd,
    table,
)
from mahler_pipelines.cards.wording import DASH
from mahler_pipelines.review.position_lines import PositionLine
from tests.cards.test_brief import POSITION


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        (None, DASH),
        ("0", "+$0"),
        ("-3.4", "-$3"),
        ("1250.50", "+$1,250"),
        ("-123456", "-$123.5k"),
        ("12345678", "+$12.3M"),
        ("-1234567890", "-$1.2B"),
    ],
)
def test_money_takes_eight_characters(amount: str | None, shown: str) -> None:
    assert short_usd(None if amount is None else Decimal(amount)) == shown


@given(st.decimals(min_value=-(10**11), max_value=10**11, allow_nan=False, places=2))
def test_no_amount_is_wider(amount: Decimal) -> None:
    assert len(short_usd(amount)) <= 8


@given(st.lists(st.text(max_size=80), max_size=8))
def test_no_text_ends_the_fence_or_breaks_a_line(rows: list[str]) -> None:
    made = table(rows)
    lines = made.split("\n")
    assert (lines[0], lines[-1]) == ("```", "```")
    assert "`" not in "".join(lines[1:-1])
    assert all(len(line) <= TABLE_WIDTH for line in lines)


def test_positions_add_up() -> None:
    """The sum is of all whose result is known, shown or not."""
    lines = [POSITION.model_copy(update={"pnl_usd": Decimal(10)}) for _ in range(ROWS_SHOWN + 5)]
    lines.append(POSITION.model_copy(update={"pnl_usd": None}))
    shown = positions_table(lines).splitlines()
    assert shown[-2].split() == ["together", f"+${10 * (ROWS_SHOWN + 5)}"]
    assert shown[-3] == "and 7 more"
    assert len(shown) == ROWS_SHOWN - 1 + 5


def test_one_position_needs_no_sum_and_a_long_name_is_cut() -> None:
    long = PositionLine(
        trade_id="t",
        name="SPXW 5000/4950P 6000/6050C",
        contracts=120,
        dte=365,
        pnl_usd=Decimal(-99999),
        warning="",
    )
    (row,) = positions_table([long]).splitlines()[2:-1]
    assert row == "SPXW 5000/4950P … 120 365 -$99,999"
    assert len(row) == TABLE_WIDTH


def test_positions_whose_result_is_not_known_have_a_dash_and_no_sum() -> None:
    unknown = POSITION.model_copy(update={"pnl_usd": None})
    shown = positions_table([unknown, unknown])
    assert shown.count(DASH) == 2
    assert "together" not in shown
