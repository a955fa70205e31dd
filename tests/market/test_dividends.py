"""Dividends that the desk knows of: asked for once, kept in the lake, with what was not found."""

from datetime import date
from decimal import Decimal

import pytest

from mahler_pipelines.errors import BrokerUnavailable
from mahler_pipelines.market.data import DIVIDEND_COLUMNS
from mahler_pipelines.market.dividends import (
    DIVIDENDS,
    LOOK,
    CashDividend,
    dividend_table,
    known_dividends,
)
from tests.execution.fakes import FakeLake, FakeMarket, utc

SESSION = date(2026, 1, 12)
EX_DATE = date(2026, 1, 15)


@pytest.fixture
def market() -> FakeMarket:
    made = FakeMarket(utc(2026, 1, 12))
    made.ex_dates = [("AAA", EX_DATE, 0.85), ("AAA", SESSION, 1.0), ("CCC", date(2026, 6, 1), 0.2)]
    return made


def known(lake: FakeLake, market: FakeMarket, *names: str) -> dict[str, tuple[CashDividend, ...]]:
    return known_dividends(lake, market, names, session=SESSION, days=30)


def test_table_says_of_every_underlying_that_it_was_asked_about(market: FakeMarket) -> None:
    """What goes ex today has gone, and what lies beyond the range is not asked for."""
    table = dividend_table(market, ["CCC", "AAA", "BBB", "AAA"], session=SESSION, days=30)
    assert dict(table.dtypes.astype(str)) == DIVIDEND_COLUMNS
    assert table["underlying"].to_list() == ["AAA", "BBB", "CCC"]
    assert table["ex_date"].notna().to_list() == [True, False, False]
    assert market.dividends_asked == [("CCC", "AAA", "BBB")]


def test_a_market_without_any_dividend_gives_rows_without_one(market: FakeMarket) -> None:
    market.ex_dates = []
    table = dividend_table(market, ["AAA"], session=SESSION, days=30)
    assert dict(table.dtypes.astype(str)) == DIVIDEND_COLUMNS
    assert (len(table), table["ex_date"].notna().sum()) == (1, 0)


def test_what_a_scan_knows_is_not_asked_again(market: FakeMarket) -> None:
    lake = FakeLake()
    for scan in ("morning", "midday"):
        table = dividend_table(market, ["AAA", "BBB"], session=SESSION, days=30)
        lake.write(DIVIDENDS, table, session=SESSION, scan=scan)
    market.dividends_asked.clear()
    found = known(lake, market, "AAA", "BBB")
    assert found == {"AAA": (CashDividend(EX_DATE, Decimal("0.85")),), "BBB": ()}
    assert market.dividends_asked == []


def test_what_nobody_asked_about_is_asked_once_and_kept(market: FakeMarket) -> None:
    lake = FakeLake()
    assert known(lake, market, "BBB") == {"BBB": ()}
    assert known(lake, market, "AAA", "BBB")["AAA"] == (CashDividend(EX_DATE, Decimal("0.85")),)
    assert known(lake, market, "AAA", "BBB")["BBB"] == ()
    assert market.dividends_asked == [("BBB",), ("AAA",)]
    kept = lake.tables[DIVIDENDS, SESSION, LOOK]
    assert kept["underlying"].to_list() == ["BBB", "AAA"]


def test_yesterdays_answer_is_not_todays(market: FakeMarket) -> None:
    """A dividend may be declared over night."""
    lake = FakeLake()
    known(lake, market, "AAA")
    known_dividends(lake, market, ["AAA"], session=date(2026, 1, 13), days=30)
    assert market.dividends_asked == [("AAA",), ("AAA",)]


def test_no_answer_is_an_error_and_nothing_is_kept(market: FakeMarket) -> None:
    lake = FakeLake()

    def silent(*_: object, **__: object) -> None:
        raise BrokerUnavailable("no answer")

    market.dividends = silent  # type: ignore[assignment, method-assign]
    with pytest.raises(BrokerUnavailable, match="no answer"):
        known(lake, market, "AAA")
    assert lake.tables == {}
