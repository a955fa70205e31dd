"""The processes that are killed: an execution, lean or as the Dagster run, from its start-up on.

A process first recovers what an earlier one left, then does its task. `ready` is said when
everything is imported and nothing is done yet.
"""

import json
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

from mahler_pipelines.composition import ComposedDesk, compose
from mahler_pipelines.errors import MahlerError
from mahler_pipelines.execution.account_view import GateRecheck
from mahler_pipelines.execution.closing import close_trade
from mahler_pipelines.execution.desk import ExecutionDesk, ExecutionTerms
from mahler_pipelines.execution.ledger import OrderPurpose
from mahler_pipelines.execution.reconciliation import reconcile, settle_working_orders
from mahler_pipelines.execution.submission import execute
from mahler_pipelines.execution.trades import ExitReason
from mahler_pipelines.execution.walks import due_walks
from mahler_pipelines.settings import Settings

SETTINGS_FILE = "drill.json"
READY = "ready"
EXPECTED_FAILURES = ("BrokerUnavailable", "BrokerOutcomeUnknown")
"""What a wire that loses answers may end a process with; anything else is a finding."""


@dataclass(frozen=True, slots=True)
class Task:
    """What a process does: settle what it finds, execute approvals, close a trade.

    Without `settle_first` it goes straight to `execute`, as a run that somebody starts again does;
    with it, to every approval that waits, as the desk's own start does.
    """

    settle_first: bool
    execute: tuple[str, ...] = ()
    close: tuple[str, ...] = ()

    def text(self) -> str:
        """Return it as it goes to another process."""
        return json.dumps(asdict(self))

    @classmethod
    def read(cls, text: str) -> "Task":
        """Read it there."""
        told = json.loads(text)
        return cls(told["settle_first"], tuple(told["execute"]), tuple(told["close"]))


def settings_in(home: Path) -> Settings:
    """Return the settings that the drill wrote into its home; nothing of this machine's."""
    tree = json.loads((home / SETTINGS_FILE).read_text())
    return Settings.load(tree, directory=home, environ={})


def execution_desk(desk: ComposedDesk) -> ExecutionDesk:
    """Return the working place of this process."""
    return ExecutionDesk(
        account_id=desk.terms.account_id,
        book=desk.ledger,
        broker=desk.broker,
        market_data=desk.market_data,
        lake=desk.lake,
        run_id=f"drill-{os.getpid()}",
        holder=f"{socket.gethostname()}:{os.getpid()}",
        sleep=time.sleep,
        terms=ExecutionTerms(
            fee_per_contract_usd=desk.terms.fee_per_contract, walk=desk.terms.walk
        ),
    )


def work_lean(home: str, task: str, parent: Connection) -> None:
    """Do a task with the execution code alone; tell the parent `ready`, then what failed."""
    desk = compose(settings_in(Path(home)))
    parent.send(READY)
    parent.send(list(_failures_of(_lean_steps(desk, Task.read(task)))))


def work_in_dagster(home: Path, task: Task) -> list[str]:
    """Do a task as runs of the graph, after the start-up of `mahler dev`; return what failed."""
    from mahler_pipelines.cli.desk_instance import (
        end_orphaned_runs,
        execution_run_requests,
        open_instance,
    )
    from mahler_pipelines.cli.session_runner import QUIET, first_failure
    from mahler_pipelines.definitions import build_definitions
    from mahler_pipelines.market.sessions import NEW_YORK
    from mahler_pipelines.orchestration.partitions import session_key

    settings = settings_in(home)
    desk = compose(settings)
    definitions = build_definitions(settings)
    _say(READY)
    failures: list[str] = []
    end_orphaned_runs(desk.paths.dagster)
    with open_instance(desk.paths.dagster) as instance:

        def run(job: str, partition: str, tags: dict[str, str]) -> None:
            result = definitions.resolve_job_def(job).execute_in_process(
                run_config=QUIET,
                instance=instance,
                partition_key=partition,
                raise_on_error=False,
                tags=tags,
            )
            if not result.success:
                failures.append(first_failure(result))

        for key in () if task.settle_first else task.execute:
            run("order_execution", key, {"mahler/recommendation": key})
        if task.settle_first:
            session = desk.broker.clock().now.astimezone(NEW_YORK).date()
            run("position_watch", session_key(session), {})
        for request in execution_run_requests(definitions, instance):
            run("order_execution", str(request.partition_key), dict(request.tags))
        if task.settle_first:
            for key in _owed_steps(desk):
                run("order_execution", key, {"mahler/recommendation": key})
    return failures


def _lean_steps(desk: ComposedDesk, task: Task) -> Iterator[Callable[[], object]]:
    here = execution_desk(desk)
    recheck = GateRecheck(desk.terms)
    if task.settle_first:
        yield partial(settle_working_orders, here)
        yield partial(reconcile, here)
    waiting = desk.ledger.pending_executions(here.account_id)
    for key in waiting if task.settle_first else task.execute:
        yield partial(execute, key, desk=here, recheck=recheck)
    if task.settle_first:
        for key in _owed_steps(desk):
            yield partial(execute, key, desk=here, recheck=recheck)
    for trade in task.close:
        yield partial(close_trade, trade, ExitReason.MANUAL, desk=here)


def _owed_steps(desk: ComposedDesk) -> tuple[str, ...]:
    """Openings whose next step is due, as `limit_walk_sensor` asks for them."""
    now = desk.broker.clock().now
    with desk.ledger.reading(desk.terms.account_id) as book:
        due = due_walks(book, desk.terms.walk, now=now)
    return tuple(one.subject_id for one in due if one.purpose is OrderPurpose.OPEN)


def _failures_of(steps: Iterator[Callable[[], object]]) -> Iterator[str]:
    for step in steps:
        try:
            step()
        except MahlerError as error:
            yield f"{type(error).__name__}: {error}"


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _say(json.dumps(work_in_dagster(Path(sys.argv[1]), Task.read(sys.argv[2]))))
