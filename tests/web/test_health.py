"""How the desk is: every part found out, in bounded time, and by looking only."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest
from dagster._daemon.types import DaemonHeartbeat
from starlette.testclient import TestClient

from mahler_pipelines.cli.desk_instance import prepare_home
from mahler_pipelines.composition import ComposedDesk, compose
from mahler_pipelines.errors import BrokerUnavailable
from mahler_pipelines.execution.broker import BrokerClock
from mahler_pipelines.messaging.inquiries import SCANNED
from mahler_pipelines.risk.trading_state import TradingState
from mahler_pipelines.settings import Settings
from mahler_pipelines.storage.migrate import HEAD
from mahler_pipelines.web import health
from mahler_pipelines.web.app import interactions_app
from mahler_pipelines.web.health import DeskHealth, daemon_heartbeat

NOW = datetime(2025, 3, 3, 15, 0, tzinfo=UTC)
"""A Monday, ten in New York."""


class Clock:
    """A broker of which only the clock is asked."""

    def __init__(self, now: datetime = NOW) -> None:
        self.now, self.asked, self.hold = now, 0, threading.Event()
        self.hold.set()
        self.is_down = False

    def clock(self) -> BrokerClock:
        self.asked += 1
        assert self.hold.wait(20)
        if self.is_down:
            raise BrokerUnavailable("https://user:secret@broker.example is down")
        return BrokerClock(self.now, True, self.now, self.now)


@pytest.fixture
def desk(tmp_path: Path) -> ComposedDesk:
    made = compose(Settings.load({"home": str(tmp_path)}, directory=tmp_path, environ={}))
    made.paths.create()
    return made


@pytest.fixture
def daemon(desk: ComposedDesk) -> Iterator[dg.DagsterInstance]:
    """A Dagster home in which every daemon was heard of just now."""
    home = prepare_home(desk.paths.dagster)
    with dg.DagsterInstance.from_config(str(home)) as instance:
        beat(instance, time.time())
        yield instance


def beat(instance: dg.DagsterInstance, at: float) -> None:
    for name in instance.get_required_daemon_types():
        instance.add_daemon_heartbeat(DaemonHeartbeat(at, name, "daemon"))


@contextmanager
def health_of(desk: ComposedDesk, broker: Any, **more: Any) -> Iterator[DeskHealth]:
    made = DeskHealth(
        terms=desk.terms,
        ledger=desk.ledger,
        lake=desk.lake,
        broker=lambda: broker,
        dagster_home=desk.paths.dagster,
        is_local=True,
        **more,
    )
    yield made
    if isinstance(broker, Clock):
        broker.hold.set()
    made.close()


def write(desk: ComposedDesk, change: Callable[[Any], Any]) -> None:
    with desk.ledger.transaction("main") as book:
        change(book)


@pytest.mark.usefixtures("daemon")
def test_a_desk_that_works_is_ok_and_says_what_it_found(desk: ComposedDesk) -> None:
    desk.lake.write(SCANNED, pd.DataFrame({"x": [1]}), session=date(2025, 2, 28), scan="afternoon")
    write(desk, lambda book: book.enqueue(key="k1", kind="note", subject="s", payload={}, at=NOW))
    reason = "lunch"
    state = TradingState.REDUCING
    write(desk, lambda book: book.set_trading_state(state, reason=reason, by="me", at=NOW))
    with health_of(desk, Clock()) as ask:
        found = ask()
    parts = found["parts"]
    assert found["status"] == "ok", parts
    assert parts["broker"] == {"ok": True, "clock": NOW.isoformat(), "market_open": True}
    assert parts["calendar"]["session"] == "2025-03-03"
    assert parts["calendar"]["open"] is True
    assert parts["ledger"]["revision"] == HEAD
    assert parts["ledger"]["trading_state"] == {"state": "reducing", "reason": "lunch"}
    assert parts["ledger"]["outbox"] == {"waiting": 1, "oldest": NOW.isoformat()}
    assert parts["ledger"]["open_findings"] == 0
    friday = datetime(2025, 2, 28, 20, 30, tzinfo=UTC)
    age = (NOW - friday).total_seconds()
    last = {"session": "2025-02-28", "scan": "afternoon", "age_seconds": age}
    assert parts["lake"]["last_scan"] == last
    assert parts["daemon"]["heartbeat_age_seconds"] < 60


@pytest.mark.usefixtures("daemon")
def test_a_message_that_cannot_go_out_degrades(desk: ComposedDesk) -> None:
    write(desk, lambda book: book.enqueue(key="k1", kind="note", subject="s", payload={}, at=NOW))
    write(desk, lambda book: book.mark_undelivered("k1", at=NOW, problem="POST: 503"))
    with health_of(desk, Clock()) as ask:
        found = ask()
    assert found["status"] == "degraded"
    assert found["parts"]["ledger"]["outbox"]["problem"] == "POST: 503"


def test_a_broker_that_is_down_degrades_and_its_words_stay_in_the_log(
    desk: ComposedDesk, caplog: pytest.LogCaptureFixture
) -> None:
    broker = Clock()
    broker.is_down = True
    with health_of(desk, broker) as ask:
        found = ask()
    assert found["status"] == "degraded"
    assert found["parts"]["broker"] == {"ok": False, "problem": "fails; the log says why"}
    assert found["parts"]["calendar"]["session"] == "not known without the market's clock"
    assert "secret" not in str(found)
    assert "is down" in caplog.text


def test_outside_local_mode_the_machine_s_clock_stands_in(desk: ComposedDesk) -> None:
    broker: Any = Clock()
    broker.is_down = True
    made = DeskHealth(
        terms=desk.terms,
        ledger=desk.ledger,
        lake=desk.lake,
        broker=lambda: broker,
        dagster_home=desk.paths.dagster,
        is_local=False,
        present=lambda: NOW + timedelta(days=5),
    )
    found = made()
    made.close()
    calendar = {"ok": True, "session": None, "next_session": "2025-03-10"}
    assert found["parts"]["calendar"] == calendar


def test_a_broker_that_hangs_is_given_up_on_and_not_asked_again(
    desk: ComposedDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "PATIENCE_SECONDS", 0.2)
    broker = Clock()
    broker.hold.clear()
    with health_of(desk, broker) as ask:
        found = [ask()["parts"]["broker"] for _ in range(3)]
    assert found == [{"ok": False, "problem": "does not answer"}] * 3
    assert broker.asked == 1


def test_the_clock_is_asked_once_in_a_while(desk: ComposedDesk) -> None:
    broker = Clock()
    with health_of(desk, broker) as ask:
        found = [ask()["parts"]["broker"]["clock"] for _ in range(5)]
    assert found == [NOW.isoformat()] * 5
    assert broker.asked == 1


def test_a_damaged_ledger_degrades(desk: ComposedDesk) -> None:
    desk.paths.ledger.write_bytes(b"not a database" * 100)
    with health_of(desk, Clock()) as ask:
        found = ask()
    assert found["parts"]["ledger"] == {"ok": False, "problem": "fails; the log says why"}


def test_a_book_that_no_daemon_worked_says_so_and_stays_untouched(desk: ComposedDesk) -> None:
    found = daemon_heartbeat(desk.paths.dagster)
    assert (found["ok"], "start `mahler dev`" in found["problem"]) == (False, True)
    assert list(desk.paths.dagster.iterdir()) == []


def test_a_daemon_that_has_fallen_silent_is_named(
    desk: ComposedDesk, daemon: dg.DagsterInstance
) -> None:
    beat(daemon, time.time() - 3600)
    found = daemon_heartbeat(desk.paths.dagster)
    assert found["ok"] is False
    assert "SENSOR" in found["problem"]


def test_live_answers_while_health_waits(desk: ComposedDesk) -> None:
    broker = Clock()
    broker.hold.clear()
    with health_of(desk, broker) as ask:
        app = interactions_app(answers=None, verifier=None, health=ask)
        with TestClient(app) as http:
            waiting = threading.Thread(target=lambda: http.get("/health"))
            waiting.start()
            assert http.get("/health/live").json() == {"status": "live"}
            assert waiting.is_alive()
            broker.hold.set()
            waiting.join(10)
