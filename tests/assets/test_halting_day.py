"""A day that halts by itself, through the graph and the doors: nothing opens, everything closes."""

import json
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mahler_pipelines.cli.app import app
from mahler_pipelines.cli.run_plan import ApprovalPolicy, RunPlan
from mahler_pipelines.cli.session_runner import SessionRunner
from mahler_pipelines.decisions.recommendation import RecommendationStatus
from mahler_pipelines.execution.trades import ExitReason, TradeStatus
from mahler_pipelines.market.chains import Scan
from mahler_pipelines.risk.trading_state import TradingState
from tests.assets.conftest import Open
from tests.assets.desk import ACCOUNT, SESSION, PlayedDesk, at, first_failure, metadata, scan_at

DEAR = {"exchange": {"fee_per_contract": "10"}, "halts": {"daily_loss": "0.0001"}}
"""Ten dollars lost halt, and two legs cost more than that in fees alone."""


def state_of(desk: PlayedDesk) -> TradingState:
    with desk.desk.ledger.reading(ACCOUNT) as book:
        return book.trading_state()[0]


def halts_told(desk: PlayedDesk) -> list[dict[str, Any]]:
    with desk.desk.ledger.reading(ACCOUNT) as book:
        return [message["payload"] for message in book.outbox() if message["kind"] == "halted"]


def looked(desk: PlayedDesk, moment: datetime) -> dict[str, Any]:
    """What a look at this moment says of positions."""
    desk.advance(moment)
    result = desk.watch()
    assert result.success, first_failure(result)
    return metadata(result, ACCOUNT, "positions")


def mahler(home: Path, *arguments: str) -> str:
    """What the command says."""
    ended = CliRunner().invoke(app, ["--home", str(home), *arguments])
    assert ended.exception is None, ended.exception
    return ended.output


def test_day_from_a_loss_over_a_halt_to_a_persons_resume(
    open_desk: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loss, halted, no entry, the exit still executes; a person resumes, and entries go on."""
    monkeypatch.chdir(tmp_path)
    desk, home = open_desk(exits={"time_exit_dte": 60}, **DEAR), tmp_path / "home"
    first, second, third = (one.id for one in desk.pending())
    desk.approve(first)
    assert desk.execute_approved() == [first]
    assert state_of(desk) is TradingState.HALTED, "judged right after the fill"
    told = json.loads(mahler(home, "status", "--json"))
    assert (told["trading_state"], told["changed_by"]) == ("halted", "mahler")
    assert datetime.fromisoformat(told["since"]) == desk.desk.broker.clock().now
    assert told["reason"].startswith("daily_loss value=")
    (cause,) = told["halts"]
    assert f"limit 0.0001 ({SESSION})" in cause

    desk.approve(second)
    assert desk.execute_approved() == [second]
    assert desk.stored(second).status is RecommendationStatus.LAPSED
    assert "trading_state_forbids" in desk.stored(second).status_reason
    assert desk.orders_posted() == 1

    seen = looked(desk, at(9, 40))
    (trade,) = desk.trades()
    assert (trade.status, trade.exit_reason) == (TradeStatus.CLOSED, ExitReason.TIME_EXIT)
    assert desk.orders_posted() == 2
    assert seen["halted"].startswith("daily_loss"), "closing cost fees: the loss has grown"

    accepted = mahler(home, "resume", "--reason", "fees, not the market")
    assert accepted.count("accepted: daily_loss") == len(halts_told(desk)) == 2
    assert looked(desk, at(9, 45))["halted"] == "none", "the same loss is no new cause"
    told = json.loads(mahler(home, "status", "--json"))
    assert (told["trading_state"], told["reason"]) == ("active", "fees, not the market")
    assert told["halts"] == []
    desk.approve(third)
    assert desk.execute_approved() == [third]
    assert desk.stored(third).status is RecommendationStatus.EXECUTED
    assert state_of(desk) is TradingState.HALTED, "a loss that grew by another limit"
    table = mahler(home, "status")
    assert "daily_loss" in table
    assert "changed by" in table


def test_quiet_day_is_never_halted(open_desk: Open) -> None:
    """The market's own quotes are fresh at every look, however long the last one is ago."""
    desk = open_desk()
    desk.approve(desk.pending()[0].id)
    desk.execute_approved()
    for moment in (scan_at(Scan.MIDDAY), at(15, 55)):
        assert looked(desk, moment)["halted"] == "none"
    assert (state_of(desk), halts_told(desk)) == (TradingState.ACTIVE, [])


def test_market_data_that_stands_still_halts(open_desk: Open) -> None:
    """The look cannot know what the market does, and says since when."""
    desk = open_desk()
    market_data = Frozen(desk.desk.market_data)
    names = ["TUBA"]
    market_data.seen = market_data.stock_quotes(names)
    desk.advance(at(9, 55))
    result = desk.run("position_watch", str(SESSION), resources={"market_data": market_data})
    assert result.success, first_failure(result)
    halted = metadata(result, ACCOUNT, "positions")["halted"]
    assert halted.startswith("stale_market_data value=20")
    assert state_of(desk) is TradingState.HALTED


class Frozen:
    """The real market data behind a feed that repeats what it said once."""

    def __init__(self, market_data: Any) -> None:
        self._market_data = market_data
        self.seen: Any = None

    def stock_quotes(self, underlyings: list[str]) -> Any:
        return self._market_data.stock_quotes(underlyings) if self.seen is None else self.seen

    def __getattr__(self, name: str) -> Any:
        return getattr(self._market_data, name)


def test_run_of_sessions_is_resumed_by_everybodys_yes_alone(open_desk: Open) -> None:
    """Who answers for a person in `mahler run` also answers for the halt, at the next session."""
    desk = open_desk(**DEAR)
    desk.approve(desk.pending()[0].id)
    desk.execute_approved()
    runner = SessionRunner(
        desk.desk, desk.definitions, desk.instance, desk.exchange, ask=lambda _: None
    )
    for day, policy, state in (
        (date(2025, 3, 4), ApprovalPolicy.NONE, TradingState.HALTED),
        (date(2025, 3, 5), ApprovalPolicy.ALL, TradingState.ACTIVE),
    ):
        runner.play(RunPlan((day,), (), policy))
        assert state_of(desk) is state, policy
    with desk.desk.ledger.reading(ACCOUNT) as book:
        (accepted,) = [
            event.detail
            for event in book.audit_events(subject=ACCOUNT)
            if event.kind == "halts_acknowledged"
        ]
    assert accepted["by"] == "policy:all"
