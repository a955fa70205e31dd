"""The terms a desk works under."""

from dataclasses import FrozenInstanceError, fields
from datetime import timedelta
from typing import Any

import pytest

from mahler_pipelines.execution.desk_terms import DeskTerms
from mahler_pipelines.strategies.limits import ScreenLimits
from tests.execution.test_account_view import terms


@pytest.mark.parametrize(
    ("seconds", "age"), [(900.0, timedelta(minutes=15)), (0.5, timedelta(milliseconds=500))]
)
def test_the_screens_quote_age_is_the_desks(seconds: float, age: timedelta) -> None:
    assert terms(screen=ScreenLimits(max_quote_age_seconds=seconds)).max_quote_age == age


def test_no_limit_on_age_is_none_and_not_zero() -> None:
    """An age of zero would make every quote stale."""
    assert terms(screen=ScreenLimits(max_quote_age_seconds=None)).max_quote_age is None
    assert terms(screen=ScreenLimits(max_quote_age_seconds=0.0)).max_quote_age == timedelta(0)


def test_terms_are_one_frozen_value() -> None:
    made = terms()
    with pytest.raises(FrozenInstanceError):
        made.dry_run = True  # type: ignore[misc]
    assert made == terms()


def test_no_two_desks_share_their_stand_ins() -> None:
    first, second = terms(), terms()
    first.rank_stand_ins["SPX"] = "VIX"
    assert second.rank_stand_ins == {}


def test_money_among_the_terms_is_exact() -> None:
    kinds: dict[str, Any] = {field.name: field.type for field in fields(DeskTerms)}
    assert "Decimal" in str(kinds["fee_per_contract"])
