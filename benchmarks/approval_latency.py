"""From a person's yes to an accepted order, through the real daemon: where the time goes.

Run it with `python benchmarks/approval_latency.py`. It starts `mahler dev` on a book of its own,
whose clock stands, proposes spreads, approves them at random moments, and reads each stage from who
knows it: the ledger's commit, Dagster's events, the exchange's journal. First on an idle desk, then
while scans run.
"""

import argparse
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import dagster as dg
import numpy as np

from drills.stage import FIRST_SESSION, drill_settings, propose_more
from mahler_pipelines.composition import ComposedDesk, compose
from mahler_pipelines.decisions.approvals import DecisionOutcome, decide
from mahler_pipelines.decisions.recommendation import (
    DecisionVerdict,
    Recommendation,
    RecommendationStatus,
)
from mahler_pipelines.errors import MahlerError
from mahler_pipelines.execution.broker import OrderStatus
from mahler_pipelines.execution.ledger import OrderPurpose
from mahler_pipelines.market.chains import Scan
from mahler_pipelines.orchestration.sensors import RECOMMENDATION_TAG
from mahler_pipelines.settings import Settings

STAGES: Final = (
    "decision recorded",
    "sensor's run is made",
    "run is in the queue",
    "run leaves the queue",
    "worker has loaded the graph",
    "step starts",
    "first question to the broker",
    "order arrives at the exchange",
    "acceptance recorded",
)
"""What happens after the click, in order; each stage lasts from the one before it."""

GOALS: Final = {"idle": (6.0, 10.0), "during a scan": (None, 15.0)}
"""Seconds: median and 95th percentile (idle), or the largest (during a scan)."""

SETTINGS: Final = {
    "approval": {"expires_after_minutes": 600, "recommendations_per_scan": 5},
    "screen": {"iv_lookback_sessions": 40},
}
READY: Final = "Ctrl-C"
START_SECONDS, SCAN_SECONDS, ORDER_SECONDS = 240.0, 600.0, 120.0
POLL_SECONDS: Final = 0.05
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_LAUNCH: Final = """
mutation launch($params: ExecutionParams!) {
  launchRun(executionParams: $params) { __typename ... on LaunchRunSuccess { run { runId } } }
}"""
_PLACE: Final = """
{ repositoriesOrError { ... on RepositoryConnection { nodes { name location { name } } } } }"""


class NotMeasured(MahlerError):
    """The desk did not do what was to be measured."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Seconds from the click to the end of each of `STAGES`."""

    recommendation_id: str
    reached: tuple[float, ...]

    @property
    def total(self) -> float:
        """From the click to the accepted order."""
        return self.reached[-1]

    @property
    def stages(self) -> tuple[float, ...]:
        """How long each stage lasted."""
        return tuple(np.diff([0.0, *self.reached]))


@dataclass(frozen=True)
class LiveDesk:
    """A running `mahler dev`: its ledger and exchange, and Dagster's own records."""

    desk: ComposedDesk
    instance: dg.DagsterInstance
    port: int

    @property
    def account(self) -> str:
        """The account that trades."""
        return self.desk.terms.account_id

    def pending(self) -> list[Recommendation]:
        """What waits for a person."""
        with self.desk.ledger.reading(self.account) as book:
            found = book.recommendations(statuses=[RecommendationStatus.PENDING])
        return [stored.recommendation for stored in found]

    def approve(self, shown: Recommendation) -> Measured:
        """Say yes, wait until the ledger has the order as accepted, and read what happened when."""
        now, clicked = self.desk.broker.clock().now, time.time()
        with self.desk.ledger.transaction(self.account) as book:
            result = decide(
                book,
                recommendation_id=shown.id,
                verdict=DecisionVerdict.APPROVE,
                decided_by="benchmark",
                door="benchmark",
                at=now,
                shown_hash=shown.content_hash,
            )
        decided = time.time()
        if result.outcome is not DecisionOutcome.RECORDED:
            raise NotMeasured(f"{shown.id}: {result.message}")
        accepted = self._wait_for_order(shown)
        moments = (decided, *self._dagster_moments(shown), *self._exchange_moments(), accepted)
        return Measured(shown.id, tuple(moment - clicked for moment in moments))

    def _wait_for_order(self, shown: Recommendation) -> float:
        deadline = time.monotonic() + ORDER_SECONDS
        while time.monotonic() < deadline:
            with self.desk.ledger.reading(self.account) as book:
                orders = book.orders(purpose=OrderPurpose.OPEN, subject_id=shown.id)
                stored = book.recommendation(shown.id)
            if orders and orders[0].broker_order_id is not None:
                return time.time()
            ended = stored is not None and stored.status in (
                RecommendationStatus.LAPSED,
                RecommendationStatus.FAILED,
            )
            if ended or (orders and orders[0].status is OrderStatus.REJECTED):
                raise NotMeasured(f"{shown.id}: {stored.status_reason if stored else orders}")
            time.sleep(POLL_SECONDS)
        raise NotMeasured(f"{shown.id}: no order within {ORDER_SECONDS:.0f} s")

    def _dagster_moments(self, shown: Recommendation) -> tuple[float, ...]:
        """Made, queued, out of the queue, its process ready, its step begun."""
        records = self.instance.get_run_records(dg.RunsFilter(tags={RECOMMENDATION_TAG: shown.id}))
        if len(records) != 1:
            states = ", ".join(record.dagster_run.status.value for record in records)
            raise NotMeasured(f"{shown.id}: more than one run was needed: {states}")
        record = records[0]
        wanted = (
            dg.DagsterEventType.PIPELINE_ENQUEUED,
            dg.DagsterEventType.PIPELINE_STARTING,
            dg.DagsterEventType.PIPELINE_START,
            dg.DagsterEventType.STEP_START,
        )
        seen: dict[dg.DagsterEventType, float] = {}
        for entry in self.instance.all_logs(record.dagster_run.run_id, of_type=set(wanted)):
            if entry.dagster_event is not None:
                seen.setdefault(entry.dagster_event.event_type, entry.timestamp)
        return (record.create_timestamp.timestamp(), *(seen[kind] for kind in wanted))

    def _exchange_moments(self) -> tuple[float, float]:
        """The first question of the run that sent the last order, and when the order came.

        A run asks for the clock, then for the quotes of its legs, then it sends.
        """
        lines = self.desk.exchange_control().journal(200)
        sent = _last(lines, "POST", "/v2/orders")
        looked = _last(lines[:sent], "GET", "/v1beta1/options/snapshots?")
        asked = _last(lines[:looked], "GET", "/v2/clock")
        return _received(lines[asked]), _received(lines[sent])

    def start_scan(self, scan: Scan) -> str:
        """Ask for a scan's run as a person does in the UI; return its id once it has begun."""
        place = self._graphql(_PLACE, {})["repositoriesOrError"]["nodes"][0]
        session = f"{FIRST_SESSION:%Y-%m-%d}"
        tags = {
            "dagster/partition": f"{scan.value}|{session}",
            "dagster/partition/scan": scan.value,
            "dagster/partition/session": session,
        }
        params = {
            "selector": {
                "repositoryName": place["name"],
                "repositoryLocationName": place["location"]["name"],
                "jobName": "market_scan",
            },
            "executionMetadata": {
                "tags": [{"key": key, "value": value} for key, value in tags.items()]
            },
        }
        launched = self._graphql(_LAUNCH, {"params": params})["launchRun"]
        if "run" not in launched:
            raise NotMeasured(f"the scan was not launched: {launched}")
        run_id = str(launched["run"]["runId"])
        self.wait(lambda: self.is_scanning(run_id), "scanning", SCAN_SECONDS)
        return run_id

    def is_scanning(self, run_id: str) -> bool:
        """Whether that run is at work."""
        run = self.instance.get_run_by_id(run_id)
        return run is not None and run.status is dg.DagsterRunStatus.STARTED

    def finish(self, run_id: str) -> None:
        """Wait for the end of a run."""
        self.wait(lambda: self._has_finished(run_id), "done with the scan", SCAN_SECONDS)

    def wait(self, true: Callable[[], Any], what: str, seconds: float) -> None:
        """Wait until something is so; raise `NotMeasured` when it takes too long."""
        deadline = time.monotonic() + seconds
        while not true():
            if time.monotonic() >= deadline:
                raise NotMeasured(f"not {what} within {seconds:.0f} s")
            time.sleep(POLL_SECONDS)

    def _has_finished(self, run_id: str) -> bool:
        run = self.instance.get_run_by_id(run_id)
        return run is not None and run.is_finished

    def _graphql(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/graphql",
            data=body,
            headers={"Content-Type": "application/json"},
        )
        with _DIRECT.open(request, timeout=60) as answer:
            told = json.loads(answer.read())
        if told.get("errors"):
            raise NotMeasured(str(told["errors"])[:500])
        return dict(told["data"])


@contextmanager
def live_desk(folder: Path) -> Iterator[LiveDesk]:
    """Start `mahler dev` on a new book whose clock stands, and stop all of it at the end."""
    tree = _merged(drill_settings(universe=(), database_url=None), SETTINGS)
    settings = Settings.load({**tree, "home": str(folder / "home")}, directory=folder, environ={})
    desk, port = compose(settings), _free_port()
    output = folder / "dev.log"
    with output.open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 our own program
            [sys.executable, "-m", "mahler_pipelines", "dev", "--rate", "0", "--port", str(port)],
            cwd=folder,
            env={**_clean_environment(), **settings.environment()},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_until_ready(process, output)
        with dg.DagsterInstance.from_config(str(desk.paths.dagster)) as instance:
            yield LiveDesk(desk, instance, port)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def prepare(live: LiveDesk, *, count: int) -> list[Recommendation]:
    """Let the clock reach the morning's scan, and propose until `count` spreads wait."""
    control = live.desk.exchange_control()
    control.advance_to(datetime.fromisoformat(f"{FIRST_SESSION}T09:35:00-05:00"))
    live.wait(live.pending, "proposed by the scan", SCAN_SECONDS)
    live.wait(
        lambda: not live.instance.get_runs(dg.RunsFilter(statuses=_UNDER_WAY)),
        "done with the scan",
        SCAN_SECONDS,
    )
    propose_more(live.desk, FIRST_SESSION, Scan.MORNING, count=count - len(live.pending()))
    found = live.pending()
    if len(found) < count:
        raise NotMeasured(f"only {len(found)} spreads of {count} that share no contract")
    return found[:count]


_UNDER_WAY: Final = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]


def measure(live: LiveDesk, *, idle: int, scans: int, seed: int) -> dict[str, list[Measured]]:
    """Approve on an idle desk, then one at a random moment of each of so many scans."""
    chance = random.Random(seed)  # noqa: S311 no secret
    shown = prepare(live, count=idle + scans)
    found: dict[str, list[Measured]] = {"idle": [], "during a scan": []}
    for one in shown[:idle]:
        # Longer than the daemon's round, so that every phase of it is met.
        time.sleep(chance.uniform(2.0, 8.0))
        found["idle"].append(live.approve(one))
        _show(found["idle"][-1])
    for one in shown[idle:]:
        run = live.start_scan(Scan.MORNING)
        time.sleep(chance.uniform(0.0, 6.0))
        if live.is_scanning(run):
            found["during a scan"].append(live.approve(one))
            _show(found["during a scan"][-1])
        live.finish(run)
    return found


def table(found: Sequence[Measured]) -> Iterator[str]:
    """Median, 95th percentile and largest of each stage and of the whole, in seconds."""
    yield f"  {'':34s} {'median':>8s} {'p95':>8s} {'max':>8s}"
    rows = np.array([one.stages for one in found])
    for name, column in zip(STAGES, rows.T, strict=True):
        yield _line(name, column)
    yield _line("click to accepted order", np.array([one.total for one in found]))


def verdict(kind: str, found: Sequence[Measured]) -> bool:
    """Whether the goal of this kind is met."""
    totals = np.array([one.total for one in found])
    median, bound = GOALS[kind]
    if median is None:
        return bool(totals.max() <= bound)
    return bool(np.median(totals) <= median and np.percentile(totals, 95) <= bound)


def main() -> int:
    """Measure, print, and return 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--approvals", type=int, default=30, help="on an idle desk")
    parser.add_argument("--scans", type=int, default=10, help="approvals, each during a scan")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write every moment there")
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="mahler-latency-") as folder,
        live_desk(Path(folder)) as live,
    ):
        found = measure(live, idle=given.approvals, scans=given.scans, seed=given.seed)
    if given.json is not None:
        rows = {kind: [one.reached for one in some] for kind, some in found.items()}
        given.json.write_text(json.dumps({"stages": STAGES, "seconds": rows}, indent=1))
    met = True
    for kind, some in found.items():
        if some:
            met = verdict(kind, some) and met
            print(f"{kind}: {len(some)} approvals, {'met' if verdict(kind, some) else 'MISSED'}")
            print("\n".join(table(some)))
    return 0 if met else 1


def _show(one: Measured) -> None:
    print(f"  {one.recommendation_id} {one.total:6.2f} s", flush=True)


def _line(name: str, seconds: np.ndarray[Any, Any]) -> str:
    middle, high, most = np.median(seconds), np.percentile(seconds, 95), seconds.max()
    return f"  {name:34s} {middle:8.2f} {high:8.2f} {most:8.2f}"


def _last(lines: Sequence[dict[str, Any]], method: str, path: str) -> int:
    """Place of the last such request."""
    for place in reversed(range(len(lines))):
        if lines[place]["method"] == method and lines[place]["path"].startswith(path):
            return place
    raise NotMeasured(f"the exchange has no {method} {path} in its journal")


def _received(line: dict[str, Any]) -> float:
    return datetime.fromisoformat(line["received"]).timestamp()


def _merged(tree: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    merged = {**tree, **more}
    for key in tree.keys() & more.keys():
        if isinstance(tree[key], dict):
            merged[key] = {**tree[key], **more[key]}
    return merged


def _clean_environment() -> dict[str, str]:
    """This environment without settings of the person who measures."""
    ours = ("MAHLER_", "ALPACA_", "ANTHROPIC_", "APCA_", "DAGSTER_")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def _wait_until_ready(process: "subprocess.Popen[bytes]", output: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while READY not in output.read_text(errors="replace"):
        if process.poll() is not None or time.monotonic() >= deadline:
            raise NotMeasured(f"`mahler dev` did not start:\n{output.read_text(errors='replace')}")
        time.sleep(0.2)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
