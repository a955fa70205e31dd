"""Exits: thresholds at their exact boundaries."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mahler_pipelines.errors import BadInput
from mahler_pipelines.execution.exits import exit_reason, reason_at
from mahler_pipelines.execution.trades import ExitReason, PositionMark
from mahler_pipelines.risk.exit_terms import ExitTerms
from tests.execution.scenes import NOW, trade

TERMS = ExitTerms()


def mark(cost: str | None, *, dte: int = 30, natural: str | None = None) -> PositionMark:
    return PositionMark(
        trade_id="t-260112-mo-abcdef12",
        marked_at=NOW,
        cost_to_close=None if cost is None else Decimal(cost),
        natural_cost_to_close=None if natural is None else Decimal(natural),
        unrealised_pnl_usd=None,
        underlying_price=None,
        dte=dte,
        snapshot_hash=None,
    )


@pytest.mark.parametrize("contracts", [1, 3, 7, 11])
@pytest.mark.parametrize(
    ("credit", "cost", "reason"),
    [
        ("1.15", "0.575", ExitReason.PROFIT_TARGET),
        ("1.15", "0.5751", None),
        ("1.15", "0.5750", ExitReason.PROFIT_TARGET),
        ("1.15", "3.45", ExitReason.STOP_LOSS),
        ("1.15", "3.4499", None),
        ("0.33", "0.165", ExitReason.PROFIT_TARGET),
        ("0.33", "0.1651", None),
        ("0.33", "0.99", ExitReason.STOP_LOSS),
        ("0.33", "0.9899", None),
        ("1.00", "0", ExitReason.PROFIT_TARGET),
        ("1.00", "-0.01", ExitReason.PROFIT_TARGET),
    ],
)
def test_thresholds_hold_exactly_whatever_the_number_of_contracts(
    credit: str, cost: str, reason: ExitReason | None, contracts: int
) -> None:
    assert exit_reason(trade(credit=credit, contracts=contracts), mark(cost), TERMS) is reason


@pytest.mark.parametrize(("dte", "due"), [(22, False), (21, True), (20, True), (0, True)])
def test_time_exit_is_due_at_twenty_one_days(dte: int, due: bool) -> None:
    assert (exit_reason(trade(), mark("0.80", dte=dte), TERMS) is ExitReason.TIME_EXIT) is due


def test_stop_comes_before_profit_and_profit_before_time() -> None:
    assert exit_reason(trade(), mark("3.00", dte=5), TERMS) is ExitReason.STOP_LOSS
    assert exit_reason(trade(), mark("0.50", dte=5), TERMS) is ExitReason.PROFIT_TARGET


def test_time_exit_needs_no_mid() -> None:
    """Bad data never traps a position: exits have the looser gate."""
    assert exit_reason(trade(), mark(None, dte=21, natural="0.9"), TERMS) is ExitReason.TIME_EXIT
    assert exit_reason(trade(), mark(None, dte=22, natural="9.9"), TERMS) is None


def test_trade_opened_for_a_debit_knows_only_the_time_exit() -> None:
    assert exit_reason(trade(credit="-1.00"), mark("-3.00"), TERMS) is None
    assert exit_reason(trade(credit="-1.00"), mark("-3.00", dte=3), TERMS) is ExitReason.TIME_EXIT


@given(credit=st.integers(1, 2_000), cost=st.integers(-100, 9_000), dte=st.integers(0, 60))
def test_reason_agrees_with_the_loss_in_dollars(credit: int, cost: int, dte: int) -> None:
    """Against the rule said in whole cents: loss of twice the credit, half of it kept."""
    reason = reason_at(credit=Decimal(credit) / 100, cost=Decimal(cost) / 100, dte=dte, terms=TERMS)
    if cost - credit >= 2 * credit:
        assert reason is ExitReason.STOP_LOSS
    elif 2 * cost <= credit:
        assert reason is ExitReason.PROFIT_TARGET
    else:
        assert reason is (ExitReason.TIME_EXIT if dte <= 21 else None)


@pytest.mark.parametrize(
    "bad", [{"profit_target": Decimal(0)}, {"stop_loss": Decimal(0)}, {"time_exit_dte": -1}]
)
def test_terms_that_would_always_or_never_close_are_refused(bad: dict[str, Decimal]) -> None:
    with pytest.raises(BadInput):
        ExitTerms(**bad)  # type: ignore[arg-type]
