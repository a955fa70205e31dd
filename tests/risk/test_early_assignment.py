"""Early assignment: the plain rule, the exercise test, and when neither applies."""

from datetime import date, datetime
from decimal import Decimal

import pytest

from mahler_pipelines.market.dividends import CashDividend
from mahler_pipelines.market.sessions import NEW_YORK
from mahler_pipelines.options import american
from mahler_pipelines.options.contracts import OptionContract, Right
from mahler_pipelines.risk.early_assignment import (
    AssignmentCause,
    AssignmentLevel,
    AssignmentWarning,
    ShortLeg,
    assignment_warning,
)
from tests.market.volatility_cases import CALENDAR

EXPIRATION = date(2026, 12, 18)
EX_DATE = date(2026, 11, 20)
EVE = datetime(2026, 11, 19, 15, 0, tzinfo=NEW_YORK)
RATE = 0.04


def leg(
    bid: str | None,
    ask: str | None,
    *,
    right: Right = Right.CALL,
    strike: int = 100,
    spot: str | None = "120",
    root: str = "XYZ",
) -> ShortLeg:
    contract = OptionContract(root, EXPIRATION, right, Decimal(strike))
    bid_, ask_, price = (None if text is None else Decimal(text) for text in (bid, ask, spot))
    return ShortLeg(contract, bid_, ask_, price)


def warned(
    short: ShortLeg, *amounts: str, as_of: datetime = EVE, ex_date: date = EX_DATE
) -> AssignmentWarning | None:
    paid = [CashDividend(ex_date, Decimal(amount)) for amount in amounts]
    return assignment_warning(short, paid, as_of=as_of, rate=RATE, calendar=CALENDAR)


def priced(spot: float, years: float, dividends: list[tuple[float, float]]) -> float:
    """Price of the call at 100 at a volatility of a quarter."""
    found = american.price(
        right=1,
        spot=spot,
        strike=100.0,
        years=years,
        rate=RATE,
        dividend_yield=0.0,
        volatility=0.25,
        dividends=dividends,
    )
    return float(found)


def test_call_whose_time_value_is_below_the_dividend_is_warned_of() -> None:
    found = warned(leg("20.00", "20.10"), "1.00")
    assert found is not None
    assert (found.level, found.cause) == (AssignmentLevel.LIKELY, AssignmentCause.DIVIDEND)
    assert (found.gain, found.time_value) == (Decimal("1.00"), Decimal("0.05"))
    assert found.dividend == CashDividend(EX_DATE, Decimal("1.00"))
    assert found.is_worth_avoiding


def test_dividend_below_the_interest_on_the_strike_makes_it_only_possible() -> None:
    """Waiting four weeks with the strike earns 0.32: nobody who counts gives that up for 0.20."""
    found = warned(leg("20.00", "20.10"), "0.20")
    assert found is not None
    assert found.level is AssignmentLevel.POSSIBLE


def test_time_value_at_the_dividend_is_no_warning() -> None:
    assert warned(leg("20.95", "21.05"), "1.00") is None
    assert warned(leg("20.94", "21.04"), "1.00") is not None


def test_level_is_that_of_the_model_that_prices_the_call() -> None:
    """Priced with the dividend at 25 % volatility, a call worth no more than exercised is likely.

    One worth keeping is at most possible, and only where the plain rule says so.
    """
    levels = []
    for spot in range(96, 132, 2):
        years = (datetime(2026, 12, 18, 16, tzinfo=NEW_YORK) - EVE).total_seconds() / 365 / 86_400
        wait = (datetime(2026, 11, 20, 9, 30, tzinfo=NEW_YORK) - EVE).total_seconds() / 365 / 86_400
        value = priced(spot, years, [(wait, 1.0)])
        kept = priced(spot - 1.0, years - wait, [])
        text = f"{value:.4f}"
        found = warned(leg(text, text, spot=str(spot)), "1.00")
        levels.append(found.level if found else None)
        if found and abs(spot - 100 - kept) > 0.01:
            assert (found.level is AssignmentLevel.LIKELY) is (spot - 100 > kept), spot
    order = [None, AssignmentLevel.POSSIBLE, AssignmentLevel.LIKELY]
    assert [order.index(level) for level in levels] == sorted(map(order.index, levels))
    assert set(levels) == set(order)


@pytest.mark.parametrize(
    ("as_of", "expected"),
    [
        (datetime(2026, 11, 17, 15, 0, tzinfo=NEW_YORK), False),
        (datetime(2026, 11, 18, 9, 35, tzinfo=NEW_YORK), True),
        (datetime(2026, 11, 19, 15, 55, tzinfo=NEW_YORK), True),
        (datetime(2026, 11, 20, 9, 35, tzinfo=NEW_YORK), False),
    ],
)
def test_warning_begins_two_sessions_ahead_and_ends_with_the_ex_date(
    as_of: datetime, expected: bool
) -> None:
    assert (warned(leg("20.00", "20.10"), "1.00", as_of=as_of) is not None) is expected


def test_sessions_are_counted_not_days() -> None:
    """Over Thanksgiving: Monday's ex-date is two sessions after Wednesday."""
    as_of = datetime(2026, 11, 25, 15, 0, tzinfo=NEW_YORK)
    assert warned(leg("20.00", "20.10"), "1.00", as_of=as_of, ex_date=date(2026, 11, 30))
    early = datetime(2026, 11, 24, 15, 0, tzinfo=NEW_YORK)
    assert not warned(leg("20.00", "20.10"), "1.00", as_of=early, ex_date=date(2026, 11, 30))


def test_ex_date_after_the_expiration_concerns_nobody() -> None:
    as_of = datetime(2026, 12, 17, 15, 0, tzinfo=NEW_YORK)
    call = leg("20.00", "20.10")
    assert warned(call, "1.00", as_of=as_of, ex_date=date(2026, 12, 21)) is None
    assert warned(call, "1.00", as_of=as_of, ex_date=EXPIRATION) is not None


def test_out_of_the_money_european_and_unpriced_legs_are_not_warned_of() -> None:
    assert warned(leg("0.05", "0.10", strike=125), "1.00") is None
    assert warned(leg("20.00", "20.10", root="SPXW"), "1.00") is None
    assert warned(leg("20.00", "20.10", spot=None), "1.00") is None
    assert warned(leg("20.00", "20.10")) is None


@pytest.mark.parametrize(("bid", "ask"), [(None, "20.10"), ("20.00", None), ("20.10", "20.00")])
def test_unusable_quote_is_said_to_be_unknown(bid: str | None, ask: str | None) -> None:
    found = warned(leg(bid, ask), "1.00")
    assert found is not None
    assert (found.level, found.time_value) == (AssignmentLevel.UNKNOWN, None)
    assert not found.is_worth_avoiding


def test_put_without_time_value_is_exercised_for_the_interest() -> None:
    found = warned(leg("39.95", "40.05", right=Right.PUT, spot="60"))
    assert found is not None
    assert (found.level, found.cause) == (AssignmentLevel.LIKELY, AssignmentCause.INTEREST)
    # 29 days and an hour on a strike of 100 at four per cent.
    assert found.gain == Decimal("0.3178")
    assert found.dividend is None


def test_put_between_the_interest_and_its_boundary_is_possible_and_not_avoided() -> None:
    found = warned(leg("12.10", "12.20", right=Right.PUT, spot="88"))
    assert found is not None
    assert found.level is AssignmentLevel.POSSIBLE
    assert not found.is_worth_avoiding


def test_put_is_kept_for_a_dividend_that_is_still_to_come() -> None:
    deep = leg("39.95", "40.05", right=Right.PUT, spot="60")
    assert warned(deep, "0.10") is not None
    assert warned(deep, "0.40") is None


def test_put_with_time_value_is_not_warned_of() -> None:
    assert warned(leg("12.80", "12.90", right=Right.PUT, spot="88")) is None
