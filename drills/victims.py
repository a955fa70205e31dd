"""A process that may be killed, seen from outside: started, waited for, killed, its end read."""

import json
import signal
import subprocess
import sys
from abc import ABC, abstractmethod
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from types import TracebackType
from typing import Self

from drills.processes import READY, Task, work_lean
from drills.stage import Stage
from mahler_pipelines.cli.services import child_environment
from mahler_pipelines.errors import MahlerError

ROOT = Path(__file__).parents[1]
START_SECONDS = 120.0
LEAN = get_context("forkserver")
LEAN.set_forkserver_preload(
    [
        "drills.processes",
        "alembic.autogenerate",
        "alembic.command",
        "alpaca.data.historical.option",
        "alpaca.data.historical.stock",
        "alpaca.trading.client",
        "mahler_pipelines.adapters.alpaca",
        "mahler_pipelines.adapters.alpaca.transport",
        "mahler_pipelines.storage.lake",
        "mahler_pipelines.storage.ledger",
    ]
)
"""One clean server imports once; each lean process is forked from it and owns nothing of ours."""


class VictimDidNotStart(MahlerError):
    """A process did not say that it is ready."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended: killed, or by itself with what failed in it."""

    killed: bool
    failures: tuple[str, ...] = ()


class Victim(ABC):
    """A process that has said `ready` and now works; leaving the block takes it down for sure."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._take_down()

    @abstractmethod
    def runs(self) -> bool:
        """Whether it has not ended yet."""

    @abstractmethod
    def wait(self, seconds: float) -> None:
        """Wait for its end, so long at most."""

    @abstractmethod
    def kill(self) -> None:
        """Send SIGKILL, which no process hears coming."""

    @abstractmethod
    def end(self) -> Ended:
        """Wait for its end and say how it was."""

    @abstractmethod
    def _take_down(self) -> None:
        """Kill it if it still runs, and let go of what it held."""


class LeanVictim(Victim):
    """The execution code in a process of its own, without the graph."""

    def __init__(self, home: Path, task: Task) -> None:
        self._told, there = LEAN.Pipe(duplex=False)
        self._process = LEAN.Process(target=work_lean, args=(str(home), task.text(), there))
        self._process.start()
        there.close()
        if not self._told.poll(START_SECONDS) or self._told.recv() != READY:
            self._take_down()
            raise VictimDidNotStart("a lean process")

    def runs(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.exitcode is None

    def wait(self, seconds: float) -> None:
        """Wait for its end, so long at most."""
        self._process.join(seconds)

    def kill(self) -> None:
        """Send SIGKILL."""
        self._process.kill()

    def end(self) -> Ended:
        """Wait for its end and say how it was."""
        self._process.join()
        if self._process.exitcode == -signal.SIGKILL:
            return Ended(True)
        if self._process.exitcode or not self._told.poll(0):
            return Ended(False, (f"a lean process ended with {self._process.exitcode}",))
        return Ended(False, tuple(self._told.recv()))

    def _take_down(self) -> None:
        self._process.kill()
        self._process.join()
        self._told.close()


class DagsterVictim(Victim):
    """The order_execution run, with the start-up before it, in a program of its own."""

    def __init__(self, stage: Stage, task: Task) -> None:
        self._process = subprocess.Popen(  # noqa: S603 our own program
            [sys.executable, "-m", "drills.processes", str(stage.home), task.text()],
            cwd=stage.home,
            env={**child_environment(stage.desk), "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
        )
        if self._line() != READY:
            self._take_down()
            raise VictimDidNotStart("a Dagster process")

    def runs(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    def wait(self, seconds: float) -> None:
        """Wait for its end, so long at most."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return

    def kill(self) -> None:
        """Send SIGKILL."""
        self._process.kill()

    def end(self) -> Ended:
        """Wait for its end and say how it was."""
        told, code = self._line(), self._process.wait()
        if code == -signal.SIGKILL:
            return Ended(True)
        if code:
            return Ended(False, (f"a Dagster process ended with {code}",))
        return Ended(False, tuple(json.loads(told)))

    def _line(self) -> str:
        return "" if self._process.stdout is None else self._process.stdout.readline().strip()

    def _take_down(self) -> None:
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
