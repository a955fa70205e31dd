"""A day as a person is told it: brief, wish to close, summary and week, through the graph."""

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from typer.testing import CliRunner

from mahler_pipelines.cards.message import Message
from mahler_pipelines.cli.app import app
from mahler_pipelines.decisions.playbook import RuleStatus
from mahler_pipelines.execution.close_requests import CloseRequest, CloseWish
from mahler_pipelines.execution.trades import ExitReason, TradeStatus
from mahler_pipelines.market.chains import Scan
from mahler_pipelines.market.sessions import TradingCalendar
from mahler_pipelines.messaging.ledger import OutgoingMessage
from mahler_pipelines.messaging.rendering import DeskRenderer
from mahler_pipelines.orchestration.partitions import session_key
from mahler_pipelines.orchestration.sensors import close_request_sensor
from mahler_pipelines.pictures.gallery import payoff_png
from mahler_pipelines.risk.trading_state import TradingState
from tests.assets.conftest import Open
from tests.assets.desk import ACCOUNT, SESSION, PlayedDesk, at, first_failure, metadata, scan_at
from tests.cards.cases import conforming, field, labels, texts

RENDERER = DeskRenderer(
    payoff=lambda shown: payoff_png(shown, rate=0.04), approvals_needed=lambda _: 1
)
ALERTING = {"exits": {"time_exit_dte": 60, "action": "alert"}}
"""Every trade is past its time exit, and a person is asked."""


def outgoing(desk: PlayedDesk, kind: str) -> list[OutgoingMessage]:
    with desk.desk.ledger.reading(ACCOUNT) as book:
        return [row for row in book.outgoing(limit=1000) if row.kind == kind]


def rendered(desk: PlayedDesk, kind: str) -> Message:
    """The only message of a kind, as it goes out."""
    (row,) = outgoing(desk, kind)
    with desk.desk.ledger.reading(ACCOUNT) as book:
        made = RENDERER.new(book, row)
    conforming(made.message)
    return made.message


def ran(desk: PlayedDesk, job: str, session: date = SESSION) -> dg.ExecuteInProcessResult:
    result = desk.run(job, session_key(session))
    assert result.success, first_failure(result)
    return result


def traded(desk: PlayedDesk) -> str:
    """Approve and execute the first recommendation; return its trade."""
    desk.approve(desk.pending()[0].id)
    desk.execute_approved()
    (trade,) = desk.trades()
    assert trade.status is TradeStatus.OPEN
    return trade.id


def asked_for(desk: PlayedDesk) -> dg.RunRequest | str:
    """What the sensor asks for now."""
    resources = {
        "ledger": desk.desk.ledger,
        "broker": desk.desk.broker,
        "terms": desk.desk.terms,
    }
    with dg.build_sensor_context(desk.instance, resources=resources) as context:
        found = close_request_sensor(context)
    if isinstance(found, dg.SkipReason):
        return str(found.skip_message)
    assert isinstance(found, dg.RunRequest)
    return found


def answer(desk: PlayedDesk, trade_id: str, wish: CloseWish) -> bool:
    """What a press of the alert's buttons writes."""
    now = desk.desk.broker.clock().now
    with desk.desk.ledger.transaction(ACCOUNT) as book:
        return book.request_close(CloseRequest(trade_id, wish, "discord:7", "discord-http", now))


def test_brief_tells_what_the_session_begins_with(open_desk: Open) -> None:
    desk = open_desk()
    traded(desk)
    desk.advance(at(9, 40))
    assert desk.watch().success
    told = metadata(ran(desk, "session_brief"), ACCOUNT, "session_briefs")
    assert (told["positions"], told["pending"], told["dagster/row_count"]) == (1, 2, 1)
    assert told["ranks_seen"] == f"{SESSION} morning"
    message = rendered(desk, "morning_brief")
    (trade,) = desk.trades()
    assert message.embeds[0].title == "Morning brief · Mon 3 Mar"
    assert trade.structure.underlying in message.embeds[0].description
    assert "Highest IV ranks: " in field(message, "Volatility")
    assert "of 4 underlyings, as of 2025-03-03 morning" in field(message, "Volatility")
    assert field(message, "Waits for an answer").count("\n") == 1
    again = metadata(ran(desk, "session_brief"), ACCOUNT, "session_briefs")
    assert again["dagster/row_count"] == 0, "once per session"
    assert len(outgoing(desk, "morning_brief")) == 1


@pytest.mark.parametrize("state", [TradingState.ACTIVE, TradingState.HALTED])
def test_close_now_goes_all_the_way(open_desk: Open, state: TradingState) -> None:
    """Alert, answer, sensor, look, closing order, fill, and the card says it; halted or not."""
    desk = open_desk(**ALERTING)
    trade_id = traded(desk)
    desk.advance(at(9, 40))
    assert desk.watch().success
    assert labels(rendered(desk, "exit_reached")) == ["Close now", "Keep"]
    with desk.desk.ledger.transaction(ACCOUNT) as book:
        book.set_trading_state(state, reason="a test", by="anna", at=at(9, 40))
    assert asked_for(desk) == "no wish to close waits"
    assert answer(desk, trade_id, CloseWish.CLOSE)
    assert labels(rendered(desk, "exit_reached")) == []
    request = asked_for(desk)
    assert isinstance(request, dg.RunRequest)
    result = desk.run("position_watch", str(request.partition_key))
    assert result.success, first_failure(result)
    (trade,) = desk.trades()
    assert (trade.status, trade.exit_reason) == (TradeStatus.CLOSED, ExitReason.MANUAL)
    assert desk.orders_posted() == 2
    assert asked_for(desk) == "no wish to close waits"
    assert desk.watch().success
    assert desk.orders_posted() == 2, "once"
    said = field(rendered(desk, "exit_reached"), "State")
    assert said.startswith("close by <@7>\n**closed** at ")
    assert "**manual**" in texts(rendered(desk, "trade_closed"))


def test_keep_silences_the_alert_for_the_session(open_desk: Open) -> None:
    desk = open_desk(**ALERTING)
    trade_id = traded(desk)
    desk.advance(at(9, 40))
    assert desk.watch().success
    assert answer(desk, trade_id, CloseWish.KEEP)
    assert not answer(desk, trade_id, CloseWish.KEEP), "a second click adds nothing"
    assert asked_for(desk) == "no wish to close waits"
    desk.advance(at(9, 45))
    assert desk.watch().success
    assert len(outgoing(desk, "exit_reached")) == 1
    message = rendered(desk, "exit_reached")
    assert (labels(message), field(message, "State")) == ([], "keep by <@7>")
    assert desk.trades()[0].status is TradeStatus.OPEN


Mahler = Callable[..., Any]


@pytest.fixture
def mahler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mahler:
    """The command line on the desk's home."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Any:
        return CliRunner().invoke(app, ["--home", str(tmp_path / "home"), *arguments])

    return run


def test_close_on_the_command_line_is_the_same_wish(open_desk: Open, mahler: Mahler) -> None:
    desk = open_desk()
    trade_id = traded(desk)
    assert mahler("close", trade_id).output == f"{trade_id} is asked to be closed\n"
    assert mahler("close", trade_id).output == f"{trade_id} is asked to be closed already\n"
    assert isinstance(asked_for(desk), dg.RunRequest)
    assert desk.watch().success
    assert desk.trades()[0].exit_reason is ExitReason.MANUAL
    for wrong, why in ((trade_id, "closed already"), ("t-none", "no trade t-none")):
        refused = mahler("close", wrong)
        assert refused.exit_code == 1
        assert why in str(refused.exception)


def test_day_and_week_are_told_and_rules_decided(open_desk: Open, mahler: Mahler) -> None:
    """Friday: the summary after performance, then the week's report with a rule to decide."""
    desk = open_desk(exits={"time_exit_dte": 60})
    traded(desk)
    desk.advance(at(9, 40))
    assert desk.watch().success
    assert desk.trades()[0].status is TradeStatus.CLOSED
    calendar = TradingCalendar()
    desk.advance(calendar.eod_time(SESSION))
    ran(desk, "end_of_day")
    message = rendered(desk, "day_summary")
    assert field(message, "Trades").startswith("1 opened, 1 closed")
    assert [picture.name for picture in message.pictures] == ["equity.png"]
    assert "time ex" in message.embeds[0].description
    midweek = metadata(ran(desk, "week_review"), ACCOUNT, "learning_reports")
    assert midweek["why_not"] == "2025-03-04 is of the same week"
    assert outgoing(desk, "learning_report") == []

    friday = date(2025, 3, 7)
    desk.advance(calendar.eod_time(friday))
    told = metadata(ran(desk, "week_review", friday), ACCOUNT, "learning_reports")
    assert (told["week"], told["trades"], told["proposed"]) == ("2025-W10", 1, 1)
    assert (
        metadata(ran(desk, "week_review", friday), ACCOUNT, "learning_reports")["dagster/row_count"]
        == 0
    ), "once per week"
    report = rendered(desk, "learning_report")
    assert labels(report) == ["Approve 1", "Refuse 1"]

    (listed,) = json.loads(mahler("rules", "--json").output)
    assert listed["status"] == "proposed"
    assert mahler("rules", "adopt", listed["id"]).output == f"{listed['id']}: adopted\n"
    with desk.desk.ledger.reading(ACCOUNT) as book:
        (rule,) = book.playbook(as_of=desk.desk.broker.clock().now).rules
        (row,) = [one for one in book.outgoing(limit=1000) if one.kind == "learning_report"]
        made = RENDERER.new(book, row)
    assert (rule.id, rule.status) == (listed["id"], RuleStatus.ADOPTED)
    assert made.is_card
    assert made.settled
    assert labels(made.message) == []
    assert "**adopted** by" in field(made.message, "Rule 1")
    twice = mahler("rules", "refuse", rule.id)
    assert twice.exit_code == 1
    assert str(twice.exception) == f"{rule.id} is adopted and cannot be refused"
    assert mahler("rules", "retire", rule.id).output == f"{rule.id}: retired\n"
    assert "retired" in mahler("rules").output
    assert mahler("rules", "adopt", "p-none").exit_code == 1


def test_clock_of_the_brief_is_the_markets(open_desk: Open) -> None:
    desk = open_desk()
    desk.advance(scan_at(Scan.MIDDAY))
    ran(desk, "session_brief")
    (row,) = outgoing(desk, "morning_brief")
    assert row.created_at == scan_at(Scan.MIDDAY)
    assert "Opened 09:30 ET" in rendered(desk, "morning_brief").embeds[0].description
