"""A desk on a local exchange for tests: a book, its graph, and a person's answers.

A morning scan is paid for once (`scanned_book`); every scenario opens a copy of that book, so that
none of them sees what another one did.
"""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any, cast

import dagster as dg
import pytest

from mahler_pipelines.cli.desk_instance import execution_run_requests, open_instance
from mahler_pipelines.composition import ComposedDesk, compose, local_exchange
from mahler_pipelines.decisions.approvals import DecisionResult, decide
from mahler_pipelines.decisions.ledger import StoredRecommendation
from mahler_pipelines.decisions.recommendation import (
    DecisionVerdict,
    Recommendation,
    RecommendationStatus,
)
from mahler_pipelines.definitions import build_definitions
from mahler_pipelines.exchange.process import LocalExchange
from mahler_pipelines.execution.broker import BrokerOrder, OrderRequest
from mahler_pipelines.execution.ledger import OrderPurpose, OrderRecord
from mahler_pipelines.execution.trades import Trade
from mahler_pipelines.market.chains import Scan
from mahler_pipelines.market.sessions import NEW_YORK, TradingCalendar
from mahler_pipelines.orchestration.partitions import scan_key, session_key
from mahler_pipelines.settings import Settings
from mahler_pipelines.storage.ledger import SqlLedgerBook

SESSION = date(2025, 3, 3)
UNIVERSE = ("TUBA", "ARIA", "BRIO", "OBOE")
"""Four underlyings of sim:7 that have candidates on the first session."""

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
ACCOUNT = "main"


def at(hour: int, minute: int, session: date = SESSION) -> datetime:
    """A New York time of a session, in UTC."""
    return datetime.combine(session, time(hour, minute), tzinfo=NEW_YORK).astimezone(UTC)


def scan_at(scan: Scan, session: date = SESSION) -> datetime:
    """When a scan looks at the market."""
    moment = TradingCalendar().scan_time(session, scan)
    assert moment is not None
    return moment


def settings_of(home: Path, **overrides: Any) -> Settings:
    """A small desk: four underlyings, a short history, the rules as analyst."""
    tree: dict[str, Any] = {
        "home": str(home),
        "market": "sim:7",
        "universe": list(UNIVERSE),
        "screen": {"iv_lookback_sessions": 40},
        "analyst": {"name": "rules"},
        # At natural an order fills where it is sent; walks are played where they are the matter.
        "execution": {"start_fraction": "1"},
    }
    for key, value in overrides.items():
        tree[key] = {**tree.get(key, {}), **value} if isinstance(value, Mapping) else value
    return Settings.load(tree, directory=home, environ={})


@dataclass(frozen=True)
class PlayedDesk:
    """One book in play: its graph run in process, its exchange's clock moved by hand."""

    desk: ComposedDesk
    definitions: dg.Definitions
    instance: dg.DagsterInstance
    exchange: LocalExchange

    def run(
        self,
        job: str,
        partition: str,
        *,
        resources: Mapping[str, object] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> dg.ExecuteInProcessResult:
        """Run a job for a partition; a failed run is a result too."""
        return self.definitions.resolve_job_def(job).execute_in_process(
            run_config=QUIET,
            instance=self.instance,
            partition_key=partition,
            raise_on_error=False,
            resources=resources,
            tags=tags,
        )

    def scan(self, scan: Scan = Scan.MORNING, session: date = SESSION) -> dg.ExecuteInProcessResult:
        """Run a scan's partition at whatever moment the exchange stands."""
        return self.run("market_scan", scan_key(session, scan))

    def watch(self, session: date = SESSION) -> dg.ExecuteInProcessResult:
        """Look at positions."""
        return self.run("position_watch", session_key(session))

    def summary(self, session: date = SESSION) -> dg.ExecuteInProcessResult:
        """Run the review of a session."""
        return self.run("end_of_day", session_key(session))

    def execute(
        self, key: str, *, resources: Mapping[str, object] | None = None
    ) -> dg.ExecuteInProcessResult:
        """Run the execution of one recommendation."""
        tags = {"mahler/recommendation": key}
        return self.run("order_execution", key, resources=resources, tags=tags)

    def execute_approved(self) -> list[str]:
        """Do what the approval sensor asks for now; return the recommendations it named."""
        requests = execution_run_requests(self.definitions, self.instance)
        keys = [str(request.partition_key) for request in requests]
        for key in keys:
            result = self.execute(key)
            assert result.success, first_failure(result)
        return keys

    def advance(self, moment: datetime) -> None:
        """Put the exchange's clock on a moment."""
        self.exchange.advance_to(moment)

    def answer(self, key: str, verdict: DecisionVerdict, *, reason: str = "") -> DecisionResult:
        """Answer a recommendation as the command line does: by the broker's clock."""
        now = self.desk.broker.clock().now
        with self.desk.ledger.transaction(ACCOUNT) as book:
            return decide(
                book,
                recommendation_id=key,
                verdict=verdict,
                decided_by="tester",
                door="test",
                at=now,
                reason=reason,
            )

    def approve(self, key: str) -> DecisionResult:
        """Say yes."""
        return self.answer(key, DecisionVerdict.APPROVE)

    def recommendations(self) -> tuple[StoredRecommendation, ...]:
        """Every recommendation of the book."""
        with self.desk.ledger.reading(ACCOUNT) as book:
            return book.recommendations()

    def stored(self, key: str) -> StoredRecommendation:
        """One recommendation with its state."""
        with self.desk.ledger.reading(ACCOUNT) as book:
            found = book.recommendation(key)
        assert found is not None
        return found

    def pending(self) -> list[Recommendation]:
        """What waits for an answer."""
        waiting = RecommendationStatus.PENDING
        return [one.recommendation for one in self.recommendations() if one.status is waiting]

    def orders(self, purpose: OrderPurpose = OrderPurpose.OPEN) -> tuple[OrderRecord, ...]:
        """Orders in the ledger."""
        with self.desk.ledger.reading(ACCOUNT) as book:
            return book.orders(purpose=purpose)

    def trades(self) -> tuple[Trade, ...]:
        """Trades in the ledger."""
        with self.desk.ledger.reading(ACCOUNT) as book:
            return book.trades()

    def audited(self, key: str) -> list[str]:
        """Kinds of everything the ledger says of a subject."""
        with self.desk.ledger.reading(ACCOUNT) as book:
            return [event.kind for event in book.audit_events(subject=key)]

    def orders_posted(self) -> int:
        """How many orders the exchange was sent since it was started here."""
        return sum(
            entry["method"] == "POST" and entry["path"] == "/v2/orders"
            for entry in self.exchange.control.journal(1000)
        )


@contextmanager
def played(home: Path, **overrides: Any) -> Iterator[PlayedDesk]:
    """Open the book of a home: exchange, instance and graph; close all of it again."""
    settings = settings_of(home, **overrides)
    desk = compose(settings)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(desk.paths.dagster))
        with (
            local_exchange(desk, begin=scan_at(Scan.MORNING) - timedelta(minutes=5)) as exchange,
            open_instance(desk.paths.dagster) as instance,
        ):
            yield PlayedDesk(desk, build_definitions(settings), instance, exchange)
            if isinstance(desk.ledger, SqlLedgerBook):
                desk.ledger.close()


@contextmanager
def copied(book: Path, home: Path, **overrides: Any) -> Iterator[PlayedDesk]:
    """Open a copy of a book's home, perhaps under other settings."""
    shutil.copytree(book, home)
    with played(home, **overrides) as desk:
        yield desk


class CrashedAfterSubmitting:
    """The real broker behind a desk that dies with the answer to its order in hand."""

    def __init__(self, broker: Any, *, before: bool = False) -> None:
        self._broker = broker
        self._before = before

    def submit(self, request: OrderRequest) -> BrokerOrder:
        """Send the order (unless the desk dies before), then die."""
        if not self._before:
            self._broker.submit(request)
        raise RuntimeError("the process died here")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._broker, name)


def first_failure(result: dg.ExecuteInProcessResult) -> str:
    """The step that failed first and what lies at the bottom of it."""
    for event in result.all_events:
        if event.is_step_failure:
            error = event.step_failure_data.error
            while error is not None and error.cause is not None:
                error = error.cause
            return f"{event.step_key}: {error.message.strip() if error else event.message}"
    return "no step failed"


def metadata(result: dg.ExecuteInProcessResult, *key: str) -> dict[str, Any]:
    """Metadata of one asset's materialization, as plain values."""
    for event in result.all_events:
        if event.is_step_materialization and event.asset_key == dg.AssetKey(list(key)):
            found = event.materialization.metadata
            return {name: cast(Any, value).value for name, value in found.items()}
    raise AssertionError(f"{'/'.join(key)} was not materialized")


def failed_checks(result: dg.ExecuteInProcessResult) -> list[str]:
    """Names of the checks that did not pass."""
    return [
        evaluation.check_name
        for evaluation in result.get_asset_check_evaluations()
        if not evaluation.passed
    ]
