"""The brief of a session: from the ledger and the last look, nothing else."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mahler_pipelines.decisions.playbook import RuleStatus
from mahler_pipelines.errors import CorruptData, UnknownSession
from mahler_pipelines.execution.broker_books import (
    FindingKind,
    FindingRecord,
    FindingStatus,
    RepairKind,
)
from mahler_pipelines.execution.trades import PositionMark, TradeStatus
from mahler_pipelines.market.sessions import TradingCalendar
from mahler_pipelines.options.contracts import OptionContract, Right
from mahler_pipelines.options.structures import Leg, Side, Structure
from mahler_pipelines.review.position_lines import short_name
from mahler_pipelines.review.session_brief import MarketLook, SessionBrief, session_brief
from mahler_pipelines.risk.exit_terms import ExitTerms
from mahler_pipelines.risk.trading_state import TradingState
from mahler_pipelines.storage.ledger import SqlLedgerBook
from tests.execution.fakes import FakeBroker, utc
from tests.execution.scenes import EXPIRATION, NOW, SPREAD, later_copy, recommendation, trade
from tests.storage.samples import rule

SESSION = date(2026, 1, 13)
BEFORE_OPEN = utc(2026, 1, 13, hour=14)


@pytest.fixture
def book(tmp_path: Path) -> Iterator[SqlLedgerBook]:
    book = SqlLedgerBook(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    with book.transaction("main") as ledger:
        ledger.add_recommendation(recommendation(), at=NOW)
    yield book
    book.close()


def mark(at: datetime, pnl: str | None, warning: str = "") -> PositionMark:
    return PositionMark(
        trade_id=trade().id,
        marked_at=at,
        cost_to_close=None,
        natural_cost_to_close=None,
        unrealised_pnl_usd=None if pnl is None else Decimal(pnl),
        underlying_price=None,
        dte=38,
        snapshot_hash=None,
        warning=warning,
    )


def made(
    book: SqlLedgerBook,
    look: MarketLook | None = None,
    *,
    session: date = SESSION,
    as_of: datetime = BEFORE_OPEN,
    exits: ExitTerms | None = None,
) -> SessionBrief:
    with book.reading("main") as ledger:
        return session_brief(
            ledger,
            look or MarketLook(),
            session=session,
            as_of=as_of,
            account=FakeBroker(as_of).account(),
            exits=exits or ExitTerms(),
            calendar=TradingCalendar(),
        )


def ranked(*rows: tuple[date, str, str, float]) -> pd.DataFrame:
    found = pd.DataFrame(list(rows), columns=["session", "scan", "underlying", "iv_rank"])
    return found.assign(session=pd.to_datetime(found["session"]))


def test_an_empty_desk_has_a_brief(book: SqlLedgerBook) -> None:
    told = made(book, as_of=NOW + timedelta(days=1))
    assert not any((told.positions, told.due, told.pending, told.ranks))
    assert (told.ranks_seen, told.rules, told.last_rule) == ("", 0, "")
    assert told.trading_state == "active"
    assert told.equity == Decimal(100_000)


def test_clock_and_early_close_are_the_exchanges(book: SqlLedgerBook) -> None:
    told = made(book)
    assert (told.open_at, told.close_at) == (
        utc(2026, 1, 13, hour=14, minute=30),
        utc(2026, 1, 13, hour=21),
    )
    assert not told.early_close
    early = made(book, session=date(2025, 11, 28), as_of=utc(2025, 11, 28, hour=14))
    assert (early.close_at, early.early_close) == (utc(2025, 11, 28, hour=18), True)
    with pytest.raises(UnknownSession):
        made(book, session=date(2026, 1, 10))


def test_ranks_are_those_of_the_newest_scan_highest_first(book: SqlLedgerBook) -> None:
    old, new = date(2026, 1, 9), date(2026, 1, 12)
    names = [(new, "afternoon", f"U{number}", float(number)) for number in range(7)]
    look = MarketLook(
        ranks=ranked(
            (old, "afternoon", "OLD", 99.0),
            (new, "morning", "EARLIER", 98.0),
            *names,
            (new, "afternoon", "UNKNOWN", float("nan")),
        ),
        regimes=pd.DataFrame(
            {
                "session": pd.to_datetime([new] * 3),
                "scan": "afternoon",
                "underlying": ["U6", "U5", "U4"],
                "label": ["stressed", "calm", None],
            }
        ),
    )
    told = made(book, look)
    assert [line.underlying for line in told.ranks] == ["U6", "U5", "U4", "U3", "U2"]
    assert [line.regime for line in told.ranks][:3] == ["stressed", "calm", ""]
    assert (told.ranked, told.ranks_seen) == (7, "2026-01-12 afternoon")
    assert told.regimes == {"calm": 1, "stressed": 1}


def test_positions_have_their_last_known_result(book: SqlLedgerBook) -> None:
    """A look that could not see the cost to close does not make the result zero."""
    with book.transaction("main") as ledger:
        ledger.open_trade(trade())
        ledger.add_marks([mark(NOW, "42.00"), mark(NOW + timedelta(minutes=5), None)])
    (line,) = made(book).positions
    assert (line.name, line.contracts, line.dte) == ("SPY 580/575P", 3, 38)
    assert line.pnl_usd == Decimal("42.00")


def test_a_trade_that_was_never_marked_has_no_result(book: SqlLedgerBook) -> None:
    with book.transaction("main") as ledger:
        ledger.open_trade(trade())
    assert made(book).positions[0].pnl_usd is None


@pytest.mark.parametrize(
    ("session", "time_exit", "last_day", "closes"),
    [
        (date(2026, 1, 29), None, False, None),
        (date(2026, 1, 30), True, False, None),
        (EXPIRATION, False, True, utc(2026, 2, 20, hour=19, minute=45)),
    ],
)
def test_what_is_due_today(
    book: SqlLedgerBook,
    session: date,
    time_exit: bool | None,
    last_day: bool,
    closes: datetime | None,
) -> None:
    with book.transaction("main") as ledger:
        ledger.open_trade(trade())
    told = made(book, session=session, as_of=TradingCalendar().open(session))
    if time_exit is None:
        assert told.due == ()
        return
    (line,) = told.due
    assert (line.time_exit, line.last_day, line.closes_by) == (time_exit, last_day, closes)


def test_a_last_day_without_a_cutoff_is_left_to_expire(book: SqlLedgerBook) -> None:
    with book.transaction("main") as ledger:
        ledger.open_trade(trade())
    exits = replace(ExitTerms(), expiry_cutoff_minutes=None)
    (line,) = made(book, session=EXPIRATION, as_of=utc(2026, 2, 20, hour=14), exits=exits).due
    assert (line.last_day, line.closes_by) == (True, None)


def test_a_warning_of_the_last_look_is_due_on_any_day(book: SqlLedgerBook) -> None:
    with book.transaction("main") as ledger:
        ledger.open_trade(trade())
        ledger.add_marks([mark(NOW, "1.00", "early assignment likely: SPY260220P00580000")])
    (line,) = made(book).due
    assert line.warning.startswith("early assignment likely")
    assert not line.time_exit


def test_what_waits_and_how_the_desk_stands(book: SqlLedgerBook) -> None:
    finding = FindingRecord(
        id="d-260112-aaaaaaaa",
        account_id="main",
        kind=FindingKind.MISSING_LEG,
        subject="SPY260220P00580000",
        expected=Decimal(-3),
        found=Decimal(0),
        first_seen=NOW,
        last_seen=NOW,
        status=FindingStatus.OPEN,
        repair=RepairKind.WAIT,
    )
    with book.transaction("main") as ledger:
        ledger.set_trading_state(TradingState.REDUCING, reason="fed day", by="anna", at=NOW)
        ledger.put_finding(finding)
        gone = replace(finding, id="d-260112-bbbbbbbb", status=FindingStatus.DISMISSED)
        ledger.put_finding(gone)
        for name in ("p-1", "p-2", "p-3"):
            ledger.propose_rule(rule(name, text=f"Rule {name}."))
        ledger.decide_rule("p-1", status=RuleStatus.ADOPTED, at=NOW, by="anna")
        ledger.decide_rule("p-2", status=RuleStatus.REFUSED, at=NOW, by="anna")
    told = made(book, as_of=NOW)
    (waiting,) = told.pending
    assert (waiting.name, waiting.recommendation_id) == ("SPY 580/575P", recommendation().id)
    assert (told.trading_state, told.state_reason) == ("reducing", "fed day")
    assert told.findings == ("missing_leg SPY260220P00580000",)
    assert (told.rules, told.rules_proposed, told.last_rule) == (1, 1, "Rule p-1.")


def test_an_approval_that_ran_out_waits_for_nobody(book: SqlLedgerBook) -> None:
    assert made(book, as_of=recommendation().expires_at).pending == ()


def test_a_closed_trade_is_no_position(book: SqlLedgerBook) -> None:
    with book.transaction("main") as ledger:
        ledger.open_trade(later_copy(trade(), status=TradeStatus.CLOSED))
    assert made(book).positions == ()


def test_a_brief_comes_back_from_json_as_it_was(book: SqlLedgerBook) -> None:
    with book.transaction("main") as ledger:
        ledger.open_trade(trade())
    told = made(book)
    assert SessionBrief.read(told.model_dump(mode="json")) == told
    broken: dict[str, Any] = {**told.model_dump(mode="json"), "equity": "much"}
    with pytest.raises(CorruptData, match="SessionBrief"):
        SessionBrief.read(broken)


def test_names_are_short_and_say_both_sides() -> None:
    assert short_name(SPREAD) == "SPY 580/575P"
    calls = tuple(
        Leg(OptionContract("SPY", EXPIRATION, Right.CALL, Decimal(strike)), side)
        for strike, side in (("620", Side.SELL), ("622.5", Side.BUY))
    )
    assert short_name(Structure("iron_condor", (*SPREAD.legs, *calls))) == (
        "SPY 580/575P 620/622.5C"
    )
