"""Whether the market still is what was approved."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from mahler_pipelines.decisions.drift import LapseCode, check, credit_ceiling
from mahler_pipelines.decisions.terms import ApprovalTerms
from mahler_pipelines.errors import BadInput
from mahler_pipelines.strategies.refusals import Refusal
from tests.decisions.cases import AS_OF, recommendation

SHOWN = recommendation()


def checked(**changes: Any) -> tuple[Refusal, ...]:
    moment: dict[str, Any] = {
        "now": AS_OF + timedelta(minutes=5),
        "underlying_price": Decimal("100.00"),
        "natural_credit": Decimal("0.94"),
        "terms": ApprovalTerms(),
    }
    return check(SHOWN, **(moment | changes))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"now": SHOWN.expires_at - timedelta(microseconds=1)},
        {"underlying_price": Decimal("101.00")},
        {"underlying_price": Decimal("99.00")},
        {"natural_credit": SHOWN.floor_credit},
        {"natural_credit": Decimal("1.05")},
    ],
)
def test_a_market_inside_the_band_goes_through(changes: dict[str, Any]) -> None:
    """Every bound itself is inside, except the expiry time."""
    assert checked(**changes) == ()


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"now": SHOWN.expires_at}, LapseCode.EXPIRED),
        ({"underlying_price": Decimal("101.01")}, LapseCode.UNDERLYING_MOVED),
        ({"underlying_price": Decimal("98.99")}, LapseCode.UNDERLYING_MOVED),
        ({"natural_credit": Decimal("0.88")}, LapseCode.CREDIT_BELOW_FLOOR),
        ({"natural_credit": Decimal("-0.10")}, LapseCode.CREDIT_BELOW_FLOOR),
        ({"natural_credit": Decimal("1.06")}, LapseCode.CREDIT_ABOVE_BAND),
        ({"natural_credit": None}, LapseCode.QUOTE_NOT_USABLE),
        ({"natural_credit": Decimal("NaN")}, LapseCode.QUOTE_NOT_USABLE),
        ({"underlying_price": None}, LapseCode.QUOTE_NOT_USABLE),
        ({"underlying_price": Decimal(0)}, LapseCode.QUOTE_NOT_USABLE),
    ],
)
def test_a_market_outside_the_band_lapses(changes: dict[str, Any], code: LapseCode) -> None:
    (refusal,) = checked(**changes)
    assert refusal.code is code
    assert refusal.context == {"recommendation": SHOWN.id}


def test_every_reason_is_told() -> None:
    codes = [
        refusal.code
        for refusal in checked(
            now=SHOWN.expires_at + timedelta(days=1),
            underlying_price=Decimal(90),
            natural_credit=Decimal("2.00"),
        )
    ]
    assert codes == [
        LapseCode.EXPIRED,
        LapseCode.UNDERLYING_MOVED,
        LapseCode.CREDIT_ABOVE_BAND,
    ]


def test_value_and_limit_are_kept() -> None:
    (moved,) = checked(underlying_price=Decimal("102.50"))
    assert (moved.value, moved.limit) == (0.025, 0.01)
    assert credit_ceiling(SHOWN, ApprovalTerms()) == Decimal("1.05")


def test_a_time_without_zone_is_refused() -> None:
    with pytest.raises(BadInput, match="time zone"):
        checked(now=datetime(2026, 1, 5, 12, 0))  # noqa: DTZ001
