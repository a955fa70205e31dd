"""Cash: what the broker holds against what the ledger's trades should have moved, to the cent."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mahler_pipelines.execution.fills import average_price
from mahler_pipelines.execution.trades import Trade, TradeStatus, realised_pnl
from mahler_pipelines.options.structures import CENT, dollars
from mahler_pipelines.review.cash import cash_gap, trade_cash
from mahler_pipelines.review.performance import DailyPerformance
from tests.execution.scenes import NOW, SESSION, later_copy, trade

NEXT = date(2026, 1, 13)
THIRD = date(2026, 1, 14)
FREE = Decimal(0)
FEE = Decimal("0.65")


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


def opened(
    credit: str, contracts: int, *, at: datetime = NOW, fee: Decimal = FREE, name: str = "t-1"
) -> Trade:
    made = trade(credit=credit, contracts=contracts)
    return later_copy(made, id=name, entry_time=at, fees_usd=2 * contracts * fee)


def closed(one: Trade, debit: str, *, at: datetime, fee: Decimal = FREE) -> Trade:
    fees = one.fees_usd + 2 * one.contracts * fee
    return later_copy(
        one,
        status=TradeStatus.CLOSED,
        exit_time=at,
        exit_debit=Decimal(debit),
        fees_usd=fees,
        pnl_usd=realised_pnl(
            entry_credit=one.entry_credit,
            exit_debit=Decimal(debit),
            contracts=one.contracts,
            fees_usd=fees,
        ),
    )


TOMORROW = NOW + timedelta(days=1)


def test_an_open_trade_has_brought_its_credit_less_its_fees() -> None:
    held = opened("1.15", 3, fee=FEE)
    assert trade_cash([held], through=SESSION, fee_per_contract=FEE) == Decimal("341.10")
    yesterday = SESSION - timedelta(days=3)
    assert trade_cash([held], through=yesterday, fee_per_contract=FEE) == 0


def test_a_closed_trade_has_moved_what_it_earned() -> None:
    done = closed(opened("1.15", 3, fee=FEE), "0.55", at=TOMORROW, fee=FEE)
    assert trade_cash([done], through=NEXT, fee_per_contract=FEE) == done.pnl_usd


def test_fees_of_the_way_out_are_paid_on_the_day_out() -> None:
    """The trade knows one sum; the broker took half of it on each day."""
    done = closed(opened("1.15", 3, fee=FEE), "0.55", at=TOMORROW, fee=FEE)
    assert trade_cash([done], through=SESSION, fee_per_contract=FEE) == Decimal("341.10")
    history = [row(SESSION, "100341.10"), row(NEXT, "100172.20")]
    assert cash_gap([done], history, fee_per_contract=FEE) == 0


@pytest.mark.parametrize("history", [[], [row(SESSION, "100000")]])
def test_one_row_is_nothing_to_compare(history: list[DailyPerformance]) -> None:
    assert cash_gap([opened("1.15", 3)], history, fee_per_contract=FREE) is None


def test_what_moved_before_the_first_row_is_not_asked_for() -> None:
    before = opened("1.15", 3, at=NOW - timedelta(days=7))
    history = [row(SESSION, "100345.00"), row(NEXT, "100345.00")]
    assert cash_gap([before], history, fee_per_contract=FREE) == 0


def test_a_cent_that_nobody_can_explain_is_shown() -> None:
    history = [row(SESSION, "100000.00"), row(THIRD, "100344.99")]
    held = opened("1.15", 3, at=TOMORROW)
    assert cash_gap([held], history, fee_per_contract=FREE) == Decimal("-0.01")


def test_a_trade_of_the_evening_belongs_to_its_new_york_session() -> None:
    """Half past midnight in UTC is still the session before."""
    late = opened("1.00", 1, at=datetime(2026, 1, 13, 0, 30, tzinfo=UTC))
    assert trade_cash([late], through=SESSION, fee_per_contract=FREE) == 100


CENTS = st.integers(1, 2_000).map(lambda cents: Decimal(cents) / 100)
STEPS = st.lists(st.tuples(st.integers(1, 7), CENTS), min_size=1, max_size=5)


@given(entry=STEPS, exit_price=CENTS, fee=st.sampled_from([FREE, FEE, Decimal("0.013")]))
def test_odd_contract_counts_and_partial_fills_lose_no_cent(
    entry: list[tuple[int, Decimal]], exit_price: Decimal, fee: Decimal
) -> None:
    """An average over 7 contracts does not divide; cash does, because fills are in whole cents."""
    contracts = sum(count for count, _ in entry)
    credit = average_price(entry)
    done = closed(opened(str(credit), contracts, fee=fee), str(exit_price), at=TOMORROW, fee=fee)
    paid_in = sum((count * price * 100 for count, price in entry), Decimal(0))
    fees = 2 * contracts * fee
    first = Decimal(100_000)
    last = first + paid_in - fees - contracts * exit_price * 100 - fees
    history = [row(SESSION - timedelta(days=3), str(first)), row(NEXT, str(last))]
    assert cash_gap([done], history, fee_per_contract=fee) == 0
    middle = row(SESSION, str(first + paid_in - fees))
    assert cash_gap([done], [history[0], middle], fee_per_contract=fee) == 0
    assert dollars(credit, contracts) == paid_in.quantize(CENT)
