"""The live desk: `mahler dev` with its real daemon, from a scan to one order, and to its end."""

import json
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.scheduler.instigation import TickStatus

from mahler_pipelines.composition import ComposedDesk, compose
from mahler_pipelines.decisions.recommendation import RecommendationStatus
from mahler_pipelines.execution.ledger import OrderPurpose
from mahler_pipelines.local_discord.control import DiscordControl
from mahler_pipelines.local_discord.people import YOU_ID
from mahler_pipelines.settings import Settings
from tests.cli.processes import descendants, left_over
from tests.cli.programs import environment, mahler

pytestmark = pytest.mark.slow

SETTINGS = ("--set", "universe=TUBA,ARIA", "--set", "screen.iv_lookback_sessions=40")
READY = "Ctrl-C"
PATIENCE = 90.0


class Dev:
    """A running `mahler dev`, its book, and its process."""

    def __init__(self, folder: Path) -> None:
        # A relative home and a mahler.toml: the daemon's runs must find both.
        (folder / "mahler.toml").write_text("[approval]\nexpires_after_minutes = 45\n")
        self.folder, self.home, self.port = folder, folder / "home", free_port()
        self.output = folder / "dev.log"
        self.desk: ComposedDesk = compose(
            Settings.load({"home": str(self.home)}, directory=folder, environ={})
        )
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "mahler_pipelines", "--home", "home", *SETTINGS),
                    *("dev", "--port", str(self.port)),
                ],
                cwd=folder,
                env=environment(),
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.wait(lambda: READY in self.said(), "ready")

    def said(self) -> str:
        return self.output.read_text()

    def wait(self, true: Callable[[], Any], what: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not true():
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < deadline, f"not {what}: {self.said()}{self.logs()}"
            time.sleep(0.2)

    def logs(self) -> str:
        return "\n".join(path.read_text()[-3000:] for path in self.desk.paths.logs.glob("*.log"))

    def pending(self) -> list[Any]:
        with self.desk.ledger.reading("main") as book:
            found = book.recommendations(statuses=[RecommendationStatus.PENDING])
        return [stored.recommendation for stored in found]

    def trades(self) -> list[Any]:
        with self.desk.ledger.reading("main") as book:
            return list(book.trades())

    def attempts(self, recommendation_id: str) -> list[Any]:
        with self.desk.ledger.reading("main") as book:
            return list(book.orders(purpose=OrderPurpose.OPEN, subject_id=recommendation_id))

    def address(self, name: str) -> str:
        """What the program said where this is."""
        found = re.search(rf"{name}\s+(http://\S+)", self.said())
        assert found is not None, self.said()
        return found[1]

    def card(self, identifier: str) -> dict[str, Any]:
        """The card of a recommendation, as it stands on the page now; empty while there is none."""
        shown = DiscordControl(self.address("cards")).messages()
        cards = [one for one in shown if identifier in str(one["embeds"])]
        return cards[0] if cards else {}

    def posted_orders(self) -> list[str]:
        """Client order ids the exchange was sent, as its own journal has them."""
        journal = self.desk.exchange_control().journal(1000)
        posts = [line for line in journal if line["method"] == "POST"]
        return [line["path"] for line in posts if line["path"].endswith("/orders")]


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    running = Dev(tmp_path_factory.mktemp("dev"))
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.process.terminate()
            running.process.wait(40)


def test_scan_approval_and_end_of_a_live_desk(dev: Dev) -> None:
    """One story, because a start costs seconds: what a person does on a first evening."""
    assert mahler(dev.home, "advance").code == 0
    dev.wait(dev.pending, "proposed by the scan that the clock reached")
    shown = dev.pending()[0]
    assert (shown.session.isoformat(), shown.scan) == ("2025-03-03", "morning")
    # 45 minutes are mahler.toml's, which the daemon's run read.
    assert (shown.expires_at - shown.created_at).total_seconds() == 45 * 60

    card = approved_on_the_page(dev, shown.id)
    again = mahler(dev.home, "approve", shown.id)
    assert (again.code, "already answered" in again.err) == (1, True), again.err
    dev.wait(dev.trades, "filled")
    dev.wait(lambda: "**filled**" in str(dev.card(shown.id)["embeds"]), "shown as filled")
    filled = dev.card(shown.id)
    assert (filled["id"], filled["components"]) == (card["id"], [])
    found = health_of(dev)
    assert (found["status"], found["parts"]["lake"]["last_scan"]["scan"]) == ("ok", "morning")

    others_are_refused(dev)
    # The limit walks: the standing clock goes with it, one order after the other.
    attempts = dev.attempts(shown.id)
    assert dev.posted_orders() == ["/v2/orders"] * len(attempts)
    assert sum(order.filled_quantity for order in attempts) == shown.contracts
    assert [trade.recommendation_id for trade in dev.trades()] == [shown.id]

    started = descendants(dev.process.pid)
    assert len(started) >= 6, "exchange, Discord, code server, webserver, daemon, serve"
    dev.process.send_signal(signal.SIGTERM)
    assert dev.process.wait(40) == 0, dev.said()
    assert left_over(started, seconds=5) == set()
    # Dagster's webserver posts that folder to its maker, telemetry enabled or not.
    assert [*dev.desk.paths.dagster.glob("*logs*/*")] == []
    assert no_tick_failed(dev.desk.paths.dagster) >= {"approval_sensor", "market_clock_sensor"}


def approved_on_the_page(dev: Dev, identifier: str) -> dict[str, Any]:
    """Click Approve under the card, as a person does, and return the card."""
    dev.wait(lambda: dev.card(identifier), "shown on the page")
    card = dev.card(identifier)
    buttons = [button for row in card["components"] for button in row["components"]]
    (approve,) = [one["custom_id"] for one in buttons if one.get("label") == "Approve"]
    clicked = DiscordControl(dev.address("cards")).click(card["id"], approve)
    assert (clicked["through"], clicked["outcome"]) == ("endpoint", "answered")
    with dev.desk.ledger.reading("main") as book:
        stored = book.recommendation(identifier)
    assert stored is not None
    assert stored.decision is not None
    assert (stored.decision.decided_by, stored.decision.door) == (
        f"discord:{YOU_ID}",
        "discord-http",
    )
    return card


def health_of(dev: Dev) -> Any:
    with urllib.request.urlopen(dev.address("health"), timeout=10) as answer:  # noqa: S310 loopback
        return json.loads(answer.read())


def others_are_refused(dev: Dev) -> None:
    """What would meet the running desk says so instead: its book and its port are taken."""
    book = mahler(dev.home, "dev", "--port", str(free_port()))
    assert (book.code, "in use by mahler dev (process" in book.err) == (1, True), book.err
    replaced = mahler(dev.home, "run")
    assert (replaced.code, "in use by mahler dev" in replaced.err) == (1, True), replaced.err
    port = mahler(dev.folder / "other", "dev", "--port", str(dev.port))
    assert (port.code, "choose another" in port.err) == (1, True), port.err


def no_tick_failed(home: Path) -> set[str]:
    """Names of what has ticked; no tick of theirs failed."""
    ticked = set()
    with dg.DagsterInstance.from_config(str(home)) as instance:
        for state in instance.all_instigator_state():
            ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id)
            failed = [tick.error for tick in ticks if tick.status is TickStatus.FAILURE]
            assert failed == []
            if ticks:
                ticked.add(state.instigator_name)
        assert instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE])) == []
    return ticked


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_runs_of_a_killed_program_are_ended_by_the_next(tmp_path: Path) -> None:
    """Else they would hold their place in the queue, and their approval, for ever."""
    from mahler_pipelines.cli.desk_instance import end_orphaned_runs, prepare_home

    home = prepare_home(tmp_path / "dagster")

    @dg.job
    def idle() -> None:
        """Do nothing."""

    with dg.DagsterInstance.from_config(str(home)) as instance:
        for status in (dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.NOT_STARTED):
            instance.create_run_for_job(idle, status=status)
    assert end_orphaned_runs(home) == 1
    with dg.DagsterInstance.from_config(str(home)) as instance:
        left = sorted(run.status.value for run in instance.get_runs())
    assert left == ["FAILURE", "NOT_STARTED"]
