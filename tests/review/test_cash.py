"""Cash: what the broker holds against what the ledger knows to have moved, to the cent."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mahler_pipelines.execution.cash_flows import CashFlow
from mahler_pipelines.review.cash import cash_gap
from mahler_pipelines.review.performance import DailyPerformance
from tests.execution.scenes import NOW, SESSION

NEXT = date(2026, 1, 13)
THIRD = date(2026, 1, 14)


def row(session: date, cash: str) -> DailyPerformance:
    """One day of which only the cash matters here."""
    values: dict[str, Any] = dict.fromkeys(
        ("equity", "realised_pnl", "unrealised_pnl", "fees", "drawdown"), Decimal(0)
    )
    counts: dict[str, Any] = dict.fromkeys(
        ("trades_opened", "trades_closed", "wins", "losses", "open_trades"), 0
    )
    return DailyPerformance(
        account_id="main", session=session, cash=Decimal(cash), **values, **counts
    )


def flow(day: date, usd: str) -> CashFlow:
    return CashFlow(day, Decimal(usd), NOW, "SPY")


@pytest.mark.parametrize("history", [[], [row(SESSION, "100000")]])
def test_one_row_is_nothing_to_compare(history: list[DailyPerformance]) -> None:
    assert cash_gap([flow(SESSION, "345")], history) is None


def test_what_moved_before_the_first_row_is_not_asked_for() -> None:
    history = [row(SESSION, "100345.00"), row(NEXT, "100345.00")]
    before = [flow(SESSION - timedelta(days=7), "100"), flow(SESSION, "245")]
    assert cash_gap(before, history) == 0


def test_every_day_up_to_the_last_row_counts() -> None:
    history = [row(SESSION, "100000.00"), row(NEXT, "100345.00"), row(THIRD, "100180.00")]
    moved = [flow(NEXT, "345"), flow(THIRD, "-165"), flow(THIRD + timedelta(days=1), "9")]
    assert cash_gap(moved, history) == 0


def test_a_cent_that_nobody_can_explain_is_shown() -> None:
    history = [row(SESSION, "100000.00"), row(THIRD, "100344.99")]
    assert cash_gap([flow(NEXT, "345")], history) == Decimal("-0.01")


@given(
    steps=st.lists(st.tuples(st.integers(1, 9), st.integers(1, 2_000)), min_size=1, max_size=9),
    fee=st.sampled_from(["0", "0.65", "0.013"]),
)
def test_odd_contract_counts_lose_no_cent(steps: list[tuple[int, int]], fee: str) -> None:
    """Averages over 7 contracts do not divide; cash is the sum of what was paid."""
    moved = [flow(NEXT, str(count * cents - Decimal(fee) * count)) for count, cents in steps]
    last = Decimal(100_000) + sum((one.usd for one in moved), Decimal(0))
    assert cash_gap(moved, [row(SESSION, "100000"), row(NEXT, str(last))]) == 0
