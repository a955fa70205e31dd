"""Slash commands: what is asked, and how a person stops the desk."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mahler_pipelines.cards.custom_ids import Action
from mahler_pipelines.cards.message import EMBED_TEXT_LIMIT
from mahler_pipelines.cards.payload import message_payload
from mahler_pipelines.cards.reports import TABLE_WIDTH
from mahler_pipelines.errors import BrokerUnavailable
from mahler_pipelines.market.chains import ChainSnapshot
from mahler_pipelines.messaging.commands import COMMANDS, command_definitions
from mahler_pipelines.review.performance import DailyPerformance
from mahler_pipelines.risk.trading_state import TradingState
from tests.discord_gate import discord_gate
from tests.execution.scenes import LONG, NOW, SESSION, SHORT, quote_table
from tests.messaging.office_scene import (
    ANNA,
    CARDS,
    SHOWN,
    TRADE,
    OfficeScene,
    buttons,
    words,
)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[OfficeScene]:
    made = OfficeScene(tmp_path)
    made.fill()
    yield made
    made.book.close()


def test_the_commands_are_those_of_the_desk_in_discords_words() -> None:
    found = command_definitions()
    assert [one["name"] for one in found] == list(COMMANDS)
    assert set(COMMANDS) == {"positions", "pending", "pnl", "explain", "halt", "reduce", "status"}
    path = "/api/v10/applications/1/guilds/2/commands"
    assert discord_gate().request("PUT", path, found) == []


def test_positions_fit_a_phone(scene: OfficeScene) -> None:
    answer = scene.unchanged(lambda: scene.send(scene.command("positions")))
    assert answer.ephemeral
    assert answer.message is not None
    (embed,) = answer.message.embeds
    rows = embed.description.split("```")[1].strip("\n").split("\n")
    assert all(len(row) <= TABLE_WIDTH for row in rows)
    assert "SPY 580/575P" in rows[1]
    assert "+$150" in rows[1]


def test_pending_leaves_out_what_is_too_late(scene: OfficeScene) -> None:
    assert SHOWN.id in words(scene.unchanged(lambda: scene.send(scene.command("pending"))))
    scene.market = SHOWN.expires_at
    assert SHOWN.id not in words(scene.send(scene.command("pending")))


@pytest.mark.parametrize("state", [TradingState.HALTED, TradingState.REDUCING])
def test_a_person_stops_the_desk_and_may_go_back(scene: OfficeScene, state: TradingState) -> None:
    name = "halt" if state is TradingState.HALTED else "reduce"
    answer = scene.send(scene.command(name, reason="a *storm*"))
    assert answer.ephemeral
    assert r"a \*storm\*" in words(answer)
    with scene.book.reading("main") as ledger:
        assert ledger.trading_state() == (state, "a *storm*")
        changed = [e for e in ledger.audit_events(subject="main") if e.kind == "trading_state_set"]
    assert changed[-1].detail["by"] == f"discord:{ANNA}"
    resume = buttons(answer)["Resume"]
    assert resume.action is Action.RESUME
    ask = scene.press(Action.RESUME, subject=resume.subject) | {"message": {"id": "77"}}
    (confirm,) = buttons(scene.send(ask)).values()
    scene.send(scene.press(Action.RESUME_CONFIRMED, subject=confirm.subject))
    with scene.book.reading("main") as ledger:
        assert ledger.trading_state()[0] is TradingState.ACTIVE


@pytest.mark.parametrize("name", ["halt", "reduce"])
def test_a_halt_that_stands_keeps_its_reason(scene: OfficeScene, name: str) -> None:
    scene.send(scene.command("halt", reason="first"))
    told = scene.unchanged(lambda: scene.send(scene.command(name, reason="second")))
    assert "halted already" in words(told)
    with scene.book.reading("main") as ledger:
        assert ledger.trading_state() == (TradingState.HALTED, "first")


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("halt", {}, "needs `reason`"),
        ("reduce", {"reason": "  "}, "needs `reason`"),
        ("halt", {"reason": "x" * 301}, "longer than 300"),
        ("explain", {}, "needs `id`"),
        ("explain", {"id": "x" * 101}, "longer than 100"),
        ("approve", {"id": SHOWN.id}, "no such command"),
        ("", {}, "no such command"),
    ],
)
def test_bad_commands_change_nothing(
    scene: OfficeScene, name: str, options: dict[str, str], told: str
) -> None:
    answer = scene.unchanged(lambda: scene.send(scene.command(name, **options)))
    assert answer.ephemeral
    assert told in words(answer)


def test_a_replayed_halt_does_not_halt_again(scene: OfficeScene) -> None:
    raw = scene.command("halt", reason="storm")
    scene.send(raw)
    with scene.book.transaction("main") as ledger:
        ledger.set_trading_state(TradingState.ACTIVE, reason="over", by="ops", at=NOW)
    answer = scene.unchanged(lambda: scene.send(raw, scene.another_process()))
    assert "answered before" in words(answer)


def test_status_says_everything_and_offers_the_way_back(scene: OfficeScene) -> None:
    scene.lake.write("screen_pairs", pd.DataFrame({"n": [1]}), session=SESSION, scan="morning")
    said = words(scene.filled_in(scene.command("status")))
    assert "The desk is active" in said
    assert "1 trade" in said
    assert "12 Jan morning" in said
    assert "open, 12 Jan 10:02 ET" in said
    scene.halt()
    message = scene.filled_in(scene.command("status"))
    assert "losing streak 5, limit 5" in words(message)
    resume = buttons(message)["Resume"]
    ask = scene.press(Action.RESUME, subject=resume.subject) | {"message": {"id": "78"}}
    assert "Resume?" in words(scene.send(ask))


def test_status_without_a_broker(scene: OfficeScene) -> None:
    def gone() -> Any:
        raise BrokerUnavailable("nobody answers")

    scene.scene.broker.clock = gone  # type: ignore[method-assign]
    assert "broker is not reachable" in words(scene.filled_in(scene.command("status")))


def test_pnl_with_its_picture(scene: OfficeScene) -> None:
    closed = words(scene.filled_in(scene.command("pnl")))
    assert "no session is reviewed yet" in closed
    with scene.book.transaction("main") as ledger:
        ledger.put_performance(
            DailyPerformance(
                account_id="main",
                session=SESSION,
                equity=Decimal(100_150),
                cash=Decimal(100_000),
                realised_pnl=Decimal(0),
                unrealised_pnl=Decimal(150),
                fees=Decimal(0),
                trades_opened=1,
                trades_closed=0,
                wins=0,
                losses=0,
                open_trades=1,
                drawdown=Decimal(0),
            )
        )
    message = scene.filled_in(scene.command("pnl"))
    assert "$100,150" in words(message)
    assert "+$150" in words(message)
    (picture,) = message.pictures
    assert (picture.png, message.embeds[0].picture) == (b"png", picture.name)


def explained(scene: OfficeScene) -> OfficeScene:
    """A recommendation whose quotes, candidate and rivals are in the lake."""
    snapshot = ChainSnapshot(
        session=SESSION,
        scan="morning",
        as_of=NOW,
        quotes=quote_table({SHORT.symbol: (4.10, 4.20), LONG.symbol: (2.90, 2.95)}),
    )
    stored = scene.lake.add_snapshot(snapshot)
    gates = (
        {"code": "portfolio_heat", "passed": "true", "value": "0.046812", "limit": "0.30"},
        {"code": "trading_state", "passed": "true", "value": "active", "limit": "active"},
    )
    shown = replace(SHOWN, id="r-260112-mo-0000abcd", snapshot_hash=stored, gates=gates)
    candidates = pd.DataFrame(
        {
            "rank": range(1, 8),
            "candidate_id": [f"c-{n}" for n in range(1, 8)],
            "underlying": "SPY",
            "strategy": "bull_put_spread",
            "expiration": pd.Timestamp("2026-02-20"),
            "short_strike": 580.0,
            "long_strike": [575.0 - n for n in range(7)],
            "credit_mid": 1.2,
            "probability_of_profit": 0.8,
            "return_on_risk": 0.3,
            "score": [0.9 - n / 10 for n in range(7)],
        }
    )
    scene.lake.write("screened_candidates", candidates, session=SESSION, scan="morning")
    chosen = pd.DataFrame(
        {
            "candidate_id": ["c-1", "d-1"],
            "recommendation_id": [shown.id, ""],
            "underlying": ["SPY", "QQQ"],
            "strategy": "bull_put_spread",
            "refusal": ["", "gates_failed"],
        }
    )
    scene.lake.write("main.recommendations", chosen, session=SESSION, scan="morning")
    with scene.book.transaction("main") as ledger:
        ledger.add_recommendation(shown, at=NOW)
        rows = [row for row in ledger.outgoing() if row.subject == shown.id]
        card = ledger.card_of_message(CARDS["recommendation"][0])
        assert card is not None
        ledger.put_card(replace(card, key=rows[0].key, subject=shown.id, message_id="9200"))
    return scene


def test_details_name_rivals_gates_quotes_and_runs(scene: OfficeScene) -> None:
    explained(scene)
    raw = scene.press(Action.DETAILS, subject="r-260112-mo-0000abcd") | {"message": {"id": "9200"}}
    message = scene.filled_in(raw)
    said = words(message)
    assert "portfolio heat  0.0468    0.30 ok" in said
    assert "the best of 7 of this underlying" in said
    assert "580/575" in said
    assert "580/574" in said
    assert "score 0.800 below 0.900" in said
    assert "QQQ bull put spread: gates failed" in said
    assert "580 put" in said
    assert "run-0" in said
    message_payload(message)
    assert sum(embed.length for embed in message.embeds) < EMBED_TEXT_LIMIT


def test_explain_follows_a_trade_to_its_history(scene: OfficeScene) -> None:
    explained(scene)
    said = words(scene.filled_in(scene.command("explain", id="r-260112-mo-0000abcd")))
    assert "is a recommendation" in said
    assert "recommendation added" in said
    with scene.book.transaction("main") as ledger:
        ledger.open_trade(
            replace(TRADE, id="t-x", recommendation_id="r-260112-mo-0000abcd", entry_time=NOW)
        )
    said = words(scene.filled_in(scene.command("explain", id="t-x")))
    assert "t-x is a trade" in said
    assert "open, x3, in at 1.00" in said


def test_explain_of_nothing_says_so_without_repeating_markup(scene: OfficeScene) -> None:
    said = words(scene.filled_in(scene.command("explain", id="<@&1> **x**")))
    assert said == "Nothing here is called <\u200b@\u200b&1\\> \\*\\*x\\*\\*."


def test_the_market_clock_is_asked_once_a_second() -> None:
    from mahler_pipelines.execution.broker import BrokerClock
    from mahler_pipelines.messaging.market_clock import MarketClock

    asked, seconds = [], [0.0]

    def read() -> BrokerClock:
        asked.append(seconds[0])
        at = NOW + timedelta(seconds=seconds[0])
        return BrokerClock(at, is_open=True, next_open=NOW, next_close=NOW)

    clock = MarketClock(read, seconds=lambda: seconds[0])
    for moment in (0.0, 0.5, 1.0, 1.5, 1.6, 3.0):
        seconds[0] = moment
        assert timedelta(0) <= NOW + timedelta(seconds=moment) - clock.now() <= timedelta(seconds=1)
    assert asked == [0.0, 1.5, 3.0]
