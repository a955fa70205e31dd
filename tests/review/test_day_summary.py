"""The summary of a session: the day's row, its trades, and what is carried on."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from mahler_pipelines.execution.broker import BrokerAccount
from mahler_pipelines.execution.trades import ExitReason, TradeStatus
from mahler_pipelines.review.day_summary import DaySummary, day_summary
from mahler_pipelines.risk.limits import RiskLimits
from mahler_pipelines.storage.ledger import SqlLedgerBook
from tests.execution.scenes import NOW, SESSION, later_copy, recommendation, trade
from tests.storage.samples import performance

ACCOUNT = BrokerAccount(
    id="a",
    status="ACTIVE",
    equity=Decimal(100_500),
    last_equity=Decimal(100_200),
    cash=Decimal(100_500),
    options_buying_power=Decimal(98_000),
    options_level=3,
    trading_blocked=False,
)
ROW = performance(SESSION, equity=Decimal(100_500), realised_pnl=Decimal("180.00"))


@pytest.fixture
def book(tmp_path: Path) -> Iterator[SqlLedgerBook]:
    book = SqlLedgerBook(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    other = replace(recommendation(), id="r-260112-mo-bbbbbbbb")
    with book.transaction("main") as ledger:
        for shown in (recommendation(), other):
            ledger.add_recommendation(shown, at=NOW)
        ledger.open_trade(trade())
        ledger.open_trade(later_copy(trade(), id="t-2", recommendation_id=other.id))
        ledger.update_trade(
            later_copy(
                trade(),
                id="t-2",
                recommendation_id=other.id,
                status=TradeStatus.CLOSED,
                exit_time=NOW + timedelta(hours=1),
                exit_debit=Decimal("0.40"),
                exit_reason=ExitReason.PROFIT_TARGET,
                pnl_usd=Decimal("180.00"),
            ),
            expected=TradeStatus.OPEN,
            at=NOW,
        )
    yield book
    book.close()


def made(book: SqlLedgerBook, session: date = SESSION) -> DaySummary | None:
    with book.reading("main") as ledger:
        return day_summary(ledger, session=session, account=ACCOUNT, limits=RiskLimits())


def test_a_day_without_its_performance_is_not_summed_up(book: SqlLedgerBook) -> None:
    """Of another day's row it would tell the wrong result."""
    assert made(book) is None
    with book.transaction("main") as ledger:
        ledger.put_performance(replace(ROW, session=SESSION - timedelta(days=3)))
    assert made(book) is None


def test_the_first_day_is_measured_by_its_trades(book: SqlLedgerBook) -> None:
    """After the close the broker's last equity is today's already: the day would look like none."""
    with book.transaction("main") as ledger:
        ledger.put_performance(replace(ROW, unrealised_pnl=Decimal("-60.00")))
    told = made(book)
    assert told is not None
    assert told.day_pnl == Decimal("120.00")


def test_later_days_are_measured_by_the_day_before(book: SqlLedgerBook) -> None:
    with book.transaction("main") as ledger:
        before = replace(ROW, session=SESSION - timedelta(days=3), equity=Decimal(100_700))
        ledger.put_performance(before)
        ledger.put_performance(ROW)
    told = made(book)
    assert told is not None
    assert told.day_pnl == Decimal(-200)


def test_a_summary_says_what_closed_what_is_open_and_what_is_at_risk(book: SqlLedgerBook) -> None:
    with book.transaction("main") as ledger:
        ledger.put_performance(ROW)
    told = made(book)
    assert told is not None
    (closed,) = told.closed
    assert (closed.name, closed.reason) == ("SPY 580/575P", "profit_target")
    assert closed.pnl_usd == Decimal("180.00")
    (position,) = told.positions
    assert position.trade_id == trade().id
    # One spread of three, five wide, for a credit of 1.00.
    assert told.heat_usd == Decimal(1200)
    assert told.heat == Decimal(1200) / Decimal(100_500)
    assert told.options_buying_power == Decimal(98_000)
    assert (told.realised_pnl, told.trading_state) == (Decimal("180.00"), "active")
    assert DaySummary.read(told.model_dump(mode="json")) == told


def test_heat_of_an_account_without_equity_is_not_known(book: SqlLedgerBook) -> None:
    with book.transaction("main") as ledger:
        ledger.put_performance(replace(ROW, equity=Decimal(0)))
    told = made(book)
    assert told is not None
    assert told.heat is None
