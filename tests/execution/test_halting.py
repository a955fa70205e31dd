"""Halting by rule on the real ledger: what is written, how often, and what a resume means."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from mahler_pipelines.decisions.recommendation import (
    Decision,
    DecisionVerdict,
    RecommendationStatus,
)
from mahler_pipelines.errors import BrokerOutcomeUnknown, BrokerUnavailable
from mahler_pipelines.execution.broker import BrokerAccount, BrokerPosition, OrderStatus
from mahler_pipelines.execution.closing import CloseStatus
from mahler_pipelines.execution.halting import (
    halt_if_due,
    raised_halts,
    resume,
    unacknowledged_halts,
)
from mahler_pipelines.execution.looks import Look, look
from mahler_pipelines.execution.submission import ExecutionStatus, execute
from mahler_pipelines.execution.trades import ExitReason, TradeStatus
from mahler_pipelines.risk.exit_terms import ExitTerms
from mahler_pipelines.risk.halts import HaltCode, HaltReason, HaltTerms
from mahler_pipelines.risk.trading_state import TradingState
from mahler_pipelines.storage.ledger import SqlLedgerBook
from tests.execution.fakes import FakeBroker, utc
from tests.execution.scenes import (
    NOW,
    Scene,
    accept,
    approved_scene,
    later_copy,
    recommendation,
    trade,
)

TERMS = HaltTerms()
CHEAP = ((1.00, 1.04), (0.50, 0.52))
ELSEWHERE = "AAPL"


class Account(FakeBroker):
    """A broker whose day began with `began_with`, and whose positions may not answer."""

    began_with = Decimal(100_000)
    positions_answer = True

    def account(self) -> BrokerAccount:
        return replace(super().account(), last_equity=self.began_with)

    def positions(self) -> tuple[BrokerPosition, ...]:
        if not self.positions_answer:
            raise BrokerUnavailable("GET /positions: 503")
        return super().positions()


class Stage:
    """A desk on SQLite in a market that a test moves."""

    def __init__(self, book: SqlLedgerBook) -> None:
        self.broker = Account(NOW)
        self.scene: Scene = approved_scene()
        self.broker.prices = self.scene.broker.prices
        self.scene.broker = self.broker
        self.scene.later(minutes=2)
        self.book = book
        self.desk = replace(self.scene.desk, book=book)

    def look(self, terms: HaltTerms = TERMS) -> Look:
        return look(self.desk, exits=ExitTerms(), halts=terms, underlyings=("SPY",))

    def looks(self, count: int, *, minutes: int = 5) -> list[tuple[HaltReason, ...]]:
        """What each of so many looks halted for."""
        halted = []
        for _ in range(count):
            halted.append(self.look().halted)
            self.scene.later(minutes=minutes)
        return halted

    def enter(self) -> ExecutionStatus:
        return execute(recommendation().id, desk=self.desk, recheck=accept).status

    def lose(self, share: str) -> None:
        self.broker.began_with = self.broker.cash / (1 - Decimal(share))

    def state(self) -> TradingState:
        with self.book.reading("main") as ledger:
            return ledger.trading_state()[0]

    def reason(self) -> str:
        with self.book.reading("main") as ledger:
            return ledger.trading_state()[1]

    def resume(self) -> list[HaltCode]:
        with self.book.transaction("main") as ledger:
            accepted = resume(ledger, reason="seen", by="anna", at=self.broker.now)
        return [halt.code for halt in accepted]

    def set_state(self, state: TradingState) -> None:
        with self.book.transaction("main") as ledger:
            ledger.set_trading_state(state, reason="mine", by="anna", at=self.broker.now)

    def messages(self) -> list[dict[str, Any]]:
        with self.book.reading("main") as ledger:
            return [row for row in ledger.outbox() if row["kind"] == "halted"]


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    book = SqlLedgerBook(f"sqlite:///{tmp_path / 'ledger.db'}")
    shown = recommendation()
    with book.transaction("main") as ledger:
        ledger.add_recommendation(shown, at=NOW)
        ledger.move_recommendation(
            shown.id,
            expected=RecommendationStatus.PENDING,
            to=RecommendationStatus.APPROVED,
            at=NOW,
        )
        ledger.add_decision(
            Decision(shown.id, DecisionVerdict.APPROVE, "anna", "cli", NOW, shown.content_hash)
        )
    yield Stage(book)
    book.close()


def codes(reasons: tuple[HaltReason, ...]) -> list[HaltCode]:
    return [reason.code for reason in reasons]


def test_quiet_looks_leave_the_account_active(stage: Stage) -> None:
    assert stage.looks(4) == [()] * 4
    assert (stage.state(), stage.messages()) == (TradingState.ACTIVE, [])
    assert stage.enter() is ExecutionStatus.EXECUTED


class TestDailyLoss:
    """Equity against the equity the day began with."""

    def test_it_halts_once_with_its_numbers(self, stage: Stage) -> None:
        stage.lose("0.06")
        assert [codes(found) for found in stage.looks(3)] == [[HaltCode.DAILY_LOSS], [], []]
        assert stage.state() is TradingState.HALTED
        assert stage.reason() == "daily_loss value=0.0600 limit=0.05 cause=2026-01-12"
        (message,) = stage.messages()
        assert (message["subject"], message["payload"]) == (
            "main",
            {"code": "daily_loss", "cause": "2026-01-12", "value": "0.0600", "limit": "0.05"},
        )
        with stage.book.reading("main") as ledger:
            (raised,) = raised_halts(ledger)
            (changed,) = [
                event
                for event in ledger.audit_events(subject="main")
                if event.kind == "trading_state_set"
            ]
        assert (raised.code, raised.value, raised.at) == (HaltCode.DAILY_LOSS, "0.0600", changed.at)
        assert changed.detail["by"] == "mahler"

    def test_resume_stands_until_the_loss_has_doubled(self, stage: Stage) -> None:
        """A person has seen the number; five minutes later it is no news."""
        stage.lose("0.06")
        stage.look()
        assert stage.resume() == [HaltCode.DAILY_LOSS]
        stage.lose("0.09")
        assert stage.looks(2) == [(), ()]
        assert stage.state() is TradingState.ACTIVE
        stage.lose("0.11")
        assert [codes(found) for found in stage.looks(2)] == [[HaltCode.DAILY_LOSS], []]
        assert stage.state() is TradingState.HALTED
        stage.resume()
        stage.lose("0.06")
        assert stage.looks(1) == [()], "a level below the accepted one is no news either"

    def test_another_day_is_another_cause(self, stage: Stage) -> None:
        stage.lose("0.06")
        stage.look()
        stage.resume()
        stage.scene.at(utc(2026, 1, 13))
        assert codes(stage.look().halted) == [HaltCode.DAILY_LOSS]

    def test_two_processes_that_see_it_halt_once(self, stage: Stage) -> None:
        stage.lose("0.06")
        assert [len(halt_if_due(stage.desk, TERMS)) for _ in range(2)] == [1, 0]
        assert len(stage.messages()) == 1


class TestState:
    """What a rule does to a state that a person set."""

    def test_halt_of_a_person_keeps_its_author_and_is_told_of_the_cause(self, stage: Stage) -> None:
        stage.set_state(TradingState.HALTED)
        stage.lose("0.06")
        assert codes(stage.look().halted) == [HaltCode.DAILY_LOSS]
        assert stage.reason() == "mine"
        assert len(stage.messages()) == 1
        assert stage.resume() == [HaltCode.DAILY_LOSS], "resuming accepts what came meanwhile"
        assert stage.looks(1) == [()]

    def test_reducing_becomes_halted_and_a_persons_reduce_is_kept(self, stage: Stage) -> None:
        stage.set_state(TradingState.REDUCING)
        stage.lose("0.06")
        stage.look()
        assert stage.state() is TradingState.HALTED
        stage.set_state(TradingState.REDUCING)
        stage.looks(1)
        assert stage.state() is TradingState.REDUCING

    def test_resume_keeps_the_causes_it_accepts(self, stage: Stage) -> None:
        stage.lose("0.06")
        stage.look()
        stage.resume()
        with stage.book.reading("main") as ledger:
            accepted = ledger.audit_events(subject="main")[-1]
            assert unacknowledged_halts(ledger) == ()
        assert (accepted.kind, accepted.detail) == (
            "halts_acknowledged",
            {"by": "anna", "causes": ["daily_loss:2026-01-12:1"]},
        )
        assert stage.resume() == []


class TestLosingStreak:
    """Closed trades in the order in which they were closed."""

    def close(self, stage: Stage, number: int, pnl: int) -> None:
        opened = trade()
        closed = later_copy(
            opened,
            id=f"t-{number}",
            status=TradeStatus.CLOSED,
            exit_time=NOW + timedelta(minutes=number),
            exit_debit=opened.entry_credit - Decimal(pnl) / 300,
            exit_reason=ExitReason.STOP_LOSS,
            pnl_usd=Decimal(pnl),
        )
        with stage.book.transaction("main") as ledger:
            assert ledger.open_trade(closed)

    def test_fifth_loss_halts_and_a_sixth_is_no_news(self, stage: Stage) -> None:
        for number, pnl in enumerate([-90, 30, -60, -60, -60, -60]):
            self.close(stage, number, pnl)
        assert stage.look().halted == ()
        self.close(stage, 6, -60)
        (reason,) = stage.look().halted
        assert (reason.code, reason.cause) == (HaltCode.LOSING_STREAK, "t-2")
        assert reason.value == 5
        stage.resume()
        self.close(stage, 7, -60)
        assert stage.look().halted == ()

    def test_trade_that_lost_nothing_ends_the_streak(self, stage: Stage) -> None:
        for number, pnl in enumerate([-60, -60, -60, -60, 0, -60]):
            self.close(stage, number, pnl)
        assert stage.look().halted == ()


class TestUnknownOrder:
    """An order that nobody can say anything of."""

    def test_it_halts_from_its_fifteenth_minute_on(self, stage: Stage) -> None:
        stage.broker.drop = BrokerOutcomeUnknown("timed out")
        stage.broker.unavailable = [BrokerUnavailable("GET /orders: 503")] * 99
        assert stage.enter() is ExecutionStatus.UNKNOWN
        halted = [codes(found) for found in stage.looks(4)]
        assert halted == [[], [], [], [HaltCode.UNKNOWN_ORDER]]
        (message,) = stage.messages()
        assert message["payload"]["cause"] == f"mahler-main-{recommendation().id}-open-1"
        assert message["payload"]["value"] == "15.0"
        assert stage.resume() == [HaltCode.UNKNOWN_ORDER]
        assert stage.looks(2) == [(), ()]

    def test_it_counts_from_when_it_became_unknown(self, stage: Stage) -> None:
        """Hours at rest were hours of which the broker could say something."""
        stage.broker.fill_units = 0
        assert stage.enter() is ExecutionStatus.WORKING
        stage.scene.later(minutes=25)
        with stage.book.transaction("main") as ledger:
            (order,) = ledger.orders()
            assert ledger.update_order(
                order.client_order_id,
                expected=[OrderStatus.ACKNOWLEDGED],
                to=OrderStatus.UNKNOWN,
                at=stage.broker.now,
            )
        stage.scene.later(minutes=14)
        assert halt_if_due(stage.desk, TERMS) == ()
        stage.scene.later(minutes=1)
        assert codes(halt_if_due(stage.desk, TERMS)) == [HaltCode.UNKNOWN_ORDER]


class TestStaleData:
    """The newest share quote that any look saw."""

    def test_order_between_looks_is_not_judged_by_quotes_that_nobody_asked_for(
        self, stage: Stage
    ) -> None:
        stage.scene.later(minutes=20)
        assert stage.enter() is ExecutionStatus.EXECUTED
        assert halt_if_due(stage.desk, TERMS) == ()

    def test_feed_that_stands_still_halts_and_one_that_moves_again_is_another_cause(
        self, stage: Stage
    ) -> None:
        stage.look()
        stale = stage.broker.now
        for minutes, expected in ((14, []), (15, [HaltCode.STALE_MARKET_DATA]), (20, [])):
            stage.broker.now = stale + timedelta(minutes=minutes)
            assert codes(stage.look().halted) == expected
        assert f"since {stale.isoformat()}" in stage.reason()
        stage.resume()
        stage.scene.at(stage.broker.now)
        assert stage.look().halted == ()
        stage.broker.now += timedelta(minutes=15)
        assert codes(stage.look().halted) == [HaltCode.STALE_MARKET_DATA]

    def test_market_data_without_an_answer_ages_what_was_seen_last(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stage.look()

        def silent(_: object) -> None:
            raise BrokerUnavailable("GET /v2/stocks/snapshots: timed out")

        monkeypatch.setattr(stage.scene.market, "stock_quotes", silent)
        stage.scene.later(minutes=14)
        assert stage.look().halted == ()
        stage.scene.later(minutes=1)
        assert codes(stage.look().halted) == [HaltCode.STALE_MARKET_DATA]

    def test_night_is_not_stale_and_quotes_are_not_asked_for_when_off(self, stage: Stage) -> None:
        stage.look()
        stage.broker.is_open = False
        stage.broker.now += timedelta(hours=9)
        assert stage.look().halted == ()
        stage.broker.is_open = True
        stage.scene.at(utc(2026, 1, 14))
        off = replace(TERMS, stale_data_minutes=0)
        assert stage.look(off).halted == ()
        with stage.book.reading("main") as ledger:
            (looked,) = ledger.audit_events(subject="look:2026-01-14")
        assert looked.detail["data_seen_at"] is None


class TestReconciliation:
    """A difference that stays, and looks that cannot compare."""

    def test_third_look_in_a_row_halts_and_a_new_difference_starts_anew(self, stage: Stage) -> None:
        stage.broker.held = {ELSEWHERE: 100}
        halted = [codes(found) for found in stage.looks(4)]
        assert halted == [[], [], [HaltCode.FAILED_RECONCILIATION], []]
        assert "unknown_position AAPL expected=0 found=100 since" in stage.reason()
        stage.resume()
        stage.broker.held["MSFT"] = 7
        assert [codes(found) for found in stage.looks(3)] == [
            [],
            [],
            [HaltCode.FAILED_RECONCILIATION],
        ]
        assert "MSFT" in stage.reason()
        assert "AAPL" not in stage.reason()

    def test_accepted_difference_is_accepted_the_next_morning_too(self, stage: Stage) -> None:
        stage.broker.held = {ELSEWHERE: 100}
        stage.looks(3)
        stage.resume()
        stage.scene.at(utc(2026, 1, 13))
        assert stage.looks(4) == [()] * 4

    def test_difference_that_went_away_and_came_back_halts_again(self, stage: Stage) -> None:
        for expected in ([HaltCode.FAILED_RECONCILIATION],) * 2:
            stage.broker.held = {ELSEWHERE: 100}
            assert codes(stage.looks(3)[-1]) == expected
            stage.resume()
            stage.broker.held = {}
            assert stage.looks(1) == [()]

    def test_looks_at_one_moment_count_once(self, stage: Stage) -> None:
        stage.broker.held = {ELSEWHERE: 100}
        assert stage.looks(6, minutes=0) == [()] * 6

    def test_failed_looks_halt_and_keep_what_differed_before(self, stage: Stage) -> None:
        stage.broker.held = {ELSEWHERE: 100}
        stage.looks(1)
        stage.broker.positions_answer = False
        for _ in range(3):
            with pytest.raises(BrokerUnavailable, match="positions"):
                stage.look()
            stage.scene.later(minutes=5)
        causes = [message["payload"]["cause"].split(" since")[0] for message in stage.messages()]
        assert causes == ["unknown_position AAPL expected=0 found=100", "not_compared"]
        assert stage.state() is TradingState.HALTED


@pytest.mark.parametrize("state", [TradingState.HALTED, TradingState.REDUCING])
def test_halted_account_still_closes_at_the_next_look(stage: Stage, state: TradingState) -> None:
    assert stage.enter() is ExecutionStatus.EXECUTED
    stage.lose("0.06")
    assert codes(stage.look().halted) == [HaltCode.DAILY_LOSS]
    if state is TradingState.REDUCING:
        stage.set_state(state)
    stage.scene.later(minutes=5)
    stage.scene.quote(*CHEAP)
    stage.scene.fill_at("1.04", "0.50")
    (outcome,) = stage.look().report.exits
    assert (outcome.status, outcome.exit_reason) == (CloseStatus.CLOSED, ExitReason.PROFIT_TARGET)
    assert stage.state() is state


def test_halted_account_lapses_what_was_approved(stage: Stage) -> None:
    stage.lose("0.06")
    stage.look()
    assert stage.enter() is ExecutionStatus.LAPSED
    assert stage.broker.submitted == []
    with stage.book.reading("main") as ledger:
        (refused,) = [
            event
            for event in ledger.audit_events(subject=recommendation().id)
            if event.kind == "execution_refused"
        ]
    assert "trading_state_forbids" in str(refused.detail)
