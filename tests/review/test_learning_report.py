"""The learning report: a week's trades, all trades' odds, and the rules that wait."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from mahler_pipelines.decisions.playbook import RuleStatus
from mahler_pipelines.execution.trades import ExitReason, TradeStatus
from mahler_pipelines.market.sessions import TradingCalendar
from mahler_pipelines.review.learning_report import (
    LearningReport,
    ends_week,
    learning_report,
    week_of,
)
from mahler_pipelines.review.reflection import Reflection
from mahler_pipelines.storage.ledger import SqlLedgerBook
from tests.execution.scenes import NOW, later_copy, recommendation, trade
from tests.storage.samples import rule

FRIDAY = date(2026, 1, 16)
CALENDAR = TradingCalendar()


@pytest.fixture
def book(tmp_path: Path) -> Iterator[SqlLedgerBook]:
    book = SqlLedgerBook(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    yield book
    book.close()


def closed(book: SqlLedgerBook, number: int, pnl: str, *, at: datetime, odds: float) -> None:
    """A trade that ended, with the odds it was proposed with and its reflection."""
    shown = replace(recommendation(), id=f"r-260112-mo-{number:08d}", probability_of_profit=odds)
    done = later_copy(
        trade(),
        id=f"t-{number}",
        recommendation_id=shown.id,
        status=TradeStatus.CLOSED,
        exit_time=at,
        exit_debit=Decimal("0.40"),
        exit_reason=ExitReason.PROFIT_TARGET,
        pnl_usd=Decimal(pnl),
    )
    won = Decimal(pnl) > 0
    with book.transaction("main") as ledger:
        ledger.add_recommendation(shown, at=NOW)
        ledger.open_trade(later_copy(done, status=TradeStatus.OPEN, exit_time=None))
        ledger.update_trade(done, expected=TradeStatus.OPEN, at=at)
        ledger.add_reflection(
            Reflection(
                id=f"f-{number}",
                account_id="main",
                trade_id=done.id,
                written_at=at,
                outcome="win" if won else "loss",
                pnl_usd=Decimal(pnl),
                lesson_code="profit_taken_quickly" if won else "stopped_by_move",
                text="",
                facts={"strategy": "bull_put_spread"},
            )
        )


def made(book: SqlLedgerBook) -> LearningReport:
    with book.reading("main") as ledger:
        return learning_report(ledger, session=FRIDAY)


def test_an_empty_week_is_a_report_too(book: SqlLedgerBook) -> None:
    told = made(book)
    assert (told.week, told.first, told.last) == ("2026-W03", date(2026, 1, 12), FRIDAY)
    assert (told.trades, told.all_trades, told.pnl_usd) == (0, 0, Decimal(0))
    assert told.brier_score is None
    assert not any((told.lessons, told.proposed, told.calibration))


def test_the_week_is_counted_apart_from_all_that_went_before(book: SqlLedgerBook) -> None:
    closed(book, 1, "100.00", at=NOW + timedelta(days=1), odds=0.8)
    closed(book, 2, "-250.00", at=NOW + timedelta(days=2), odds=0.8)
    closed(book, 3, "60.00", at=NOW - timedelta(days=3), odds=0.6)
    told = made(book)
    assert (told.trades, told.wins, told.pnl_usd) == (2, 1, Decimal("-150.00"))
    assert told.all_trades == 3
    assert told.win_rate == pytest.approx(2 / 3)
    assert told.expectancy_usd == Decimal("-30.00")
    assert told.brier_score == pytest.approx((0.2**2 + 0.8**2 + 0.4**2) / 3)
    assert told.reference_score == pytest.approx(2 / 9)
    assert [(one.count, one.observed) for one in told.calibration] == [(1, 1.0), (2, 0.5)]


def test_lessons_are_grouped_what_earned_most_first(book: SqlLedgerBook) -> None:
    closed(book, 1, "-250.00", at=NOW, odds=0.8)
    closed(book, 2, "100.00", at=NOW, odds=0.8)
    closed(book, 3, "60.00", at=NOW, odds=0.8)
    lines = made(book).lessons
    assert [(line.lesson, line.trades, line.wins) for line in lines] == [
        ("profit_taken_quickly", 2, 2),
        ("stopped_by_move", 1, 0),
    ]
    assert lines[0].pnl_usd == Decimal("160.00")


def test_only_rules_that_wait_are_asked_about(book: SqlLedgerBook) -> None:
    with book.transaction("main") as ledger:
        for name in ("p-1", "p-2", "p-3"):
            ledger.propose_rule(rule(name))
        ledger.decide_rule("p-1", status=RuleStatus.ADOPTED, at=NOW, by="anna")
        ledger.decide_rule("p-3", status=RuleStatus.REFUSED, at=NOW, by="anna")
    told = made(book)
    assert [one.id for one in told.proposed] == ["p-2"]
    assert told.adopted == 1
    assert LearningReport.read(told.model_dump(mode="json")) == told


@pytest.mark.parametrize(
    ("session", "last", "week"),
    [
        (date(2025, 3, 6), False, "2025-W10"),
        (date(2025, 3, 7), True, "2025-W10"),
        (date(2025, 4, 17), True, "2025-W16"),
        # The last days of a year belong to the first week of the next.
        (date(2025, 12, 31), False, "2026-W01"),
        (date(2026, 1, 2), True, "2026-W01"),
    ],
)
def test_weeks_end_with_their_last_session(session: date, last: bool, week: str) -> None:
    assert ends_week(session, CALENDAR) is last
    assert week_of(session) == week
