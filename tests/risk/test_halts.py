"""The rules that halt: each at its limit, off without one, and no worse for mere time."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mahler_pipelines.errors import BadInput
from mahler_pipelines.risk.halts import (
    Difference,
    HaltCode,
    HaltFacts,
    HaltReason,
    HaltTerms,
    halt_reasons,
)

SESSION = date(2026, 1, 12)
OPENED = datetime(2026, 1, 12, 14, 30, tzinfo=UTC)
NOW = datetime(2026, 1, 12, 17, 0, tzinfo=UTC)
TERMS = HaltTerms()
QUIET = HaltFacts(
    session=SESSION,
    pnl_today=Decimal(0),
    equity_at_start=Decimal(100_000),
    opened_at=OPENED,
    data_seen_at=NOW,
)
WRONG: dict[HaltCode, dict[str, Any]] = {
    HaltCode.DAILY_LOSS: {"pnl_today": Decimal(-5000)},
    HaltCode.LOSING_STREAK: {"losses_in_a_row": ("t-1", "t-2", "t-3", "t-4", "t-5")},
    HaltCode.UNKNOWN_ORDER: {"unknown_orders": {"o-1": NOW - timedelta(minutes=15)}},
    HaltCode.STALE_MARKET_DATA: {"data_seen_at": NOW - timedelta(minutes=15)},
    HaltCode.FAILED_RECONCILIATION: {"differences": (Difference("missing_leg X", OPENED, 3),)},
}
"""Each rule's facts just at its default limit."""
LIMITS = dict(
    zip(
        HaltCode,
        (
            *("daily_loss", "losing_streak", "unknown_order_minutes"),
            *("stale_data_minutes", "failed_reconciliations"),
        ),
        strict=True,
    )
)


def judged(terms: HaltTerms = TERMS, /, **facts: Any) -> tuple[HaltReason, ...]:
    return halt_reasons(replace(QUIET, **facts), terms, NOW)


def test_quiet_day_halts_nothing() -> None:
    assert judged() == ()


@pytest.mark.parametrize("code", HaltCode)
def test_each_rule_halts_at_its_limit(code: HaltCode) -> None:
    (reason,) = judged(**WRONG[code])
    assert (reason.code, reason.level) == (code, 1)
    assert reason.value == reason.limit == Decimal(str(getattr(TERMS, LIMITS[code])))


@pytest.mark.parametrize("code", HaltCode)
@pytest.mark.parametrize("off", [None, 0])
def test_rule_without_a_limit_is_off(code: HaltCode, off: int | None) -> None:
    changed: dict[str, Any] = {LIMITS[code]: off}
    assert judged(replace(TERMS, **changed), **WRONG[code]) == ()


def test_everything_wrong_at_once_is_told_in_the_order_of_the_codes() -> None:
    facts = {name: value for wrong in WRONG.values() for name, value in wrong.items()}
    assert [reason.code for reason in judged(**facts)] == list(HaltCode)


def test_reason_says_code_numbers_and_cause() -> None:
    (reason,) = judged(pnl_today=Decimal("-5123.45"))
    assert str(reason) == "daily_loss value=0.0512 limit=0.05 cause=2026-01-12"


@given(
    lost=st.decimals(-100_000, 100_000, places=2),
    limit=st.decimals("0.001", "0.5", places=3),
)
def test_daily_loss_halts_exactly_from_its_limit_on(lost: Decimal, limit: Decimal) -> None:
    """And its level is how many times over the limit is lost."""
    found = judged(replace(TERMS, daily_loss=limit), pnl_today=-lost)
    assert bool(found) == (lost >= limit * 100_000)
    for reason in found:
        assert reason.level * limit * 100_000 <= lost < (reason.level + 1) * limit * 100_000


@given(losses=st.integers(0, 40), limit=st.integers(1, 12))
def test_streak_halts_from_its_limit_on_and_again_at_its_double(losses: int, limit: int) -> None:
    names = tuple(f"t-{number}" for number in range(losses))
    found = judged(replace(TERMS, losing_streak=limit), losses_in_a_row=names)
    assert [(reason.cause, reason.level) for reason in found] == (
        [("t-0", losses // limit)] if losses >= limit else []
    )


@given(ages=st.lists(st.integers(0, 90), max_size=4), limit=st.integers(1, 60))
def test_each_overdue_order_is_a_cause_of_its_own(ages: list[int], limit: int) -> None:
    orders = {f"o-{n}": NOW - timedelta(minutes=age) for n, age in enumerate(ages)}
    found = judged(replace(TERMS, unknown_order_minutes=float(limit)), unknown_orders=orders)
    assert [reason.cause for reason in found] == [
        f"o-{n}" for n, age in enumerate(ages) if age >= limit
    ]


def test_ageing_does_not_make_a_cause_worse() -> None:
    """Else a person who resumed would be halted again by nothing but time."""
    for days in (1, 9):
        old = NOW - timedelta(days=days)
        (reason,) = judged(unknown_orders={"o-1": old})
        assert (reason.cause, reason.level) == ("o-1", 1)


@pytest.mark.parametrize("seen", [None, OPENED - timedelta(hours=18)])
def test_quotes_of_the_night_before_age_from_the_opening(seen: datetime | None) -> None:
    facts = replace(QUIET, data_seen_at=seen)
    assert halt_reasons(facts, TERMS, OPENED + timedelta(minutes=14)) == ()
    (reason,) = halt_reasons(facts, TERMS, OPENED + timedelta(minutes=15))
    assert reason.cause == f"since {OPENED.isoformat()}"


def test_closed_market_is_not_stale() -> None:
    assert judged(opened_at=None, data_seen_at=NOW - timedelta(hours=12)) == ()


def test_loss_of_an_account_that_began_with_nothing_cannot_be_measured() -> None:
    assert judged(pnl_today=Decimal(-50), equity_at_start=Decimal(0)) == ()


def test_difference_that_came_back_is_another_cause() -> None:
    first, again = (
        judged(differences=(Difference("missing_leg X", since, 3),))[0].cause
        for since in (OPENED, NOW)
    )
    assert first != again


@pytest.mark.parametrize("name", LIMITS.values())
def test_negative_limit_is_refused(name: str) -> None:
    negative: dict[str, Any] = {name: -1}
    with pytest.raises(BadInput, match=name):
        HaltTerms(**negative)


def test_loss_above_all_equity_is_refused() -> None:
    with pytest.raises(BadInput, match="daily_loss"):
        HaltTerms(daily_loss=Decimal("1.5"))
