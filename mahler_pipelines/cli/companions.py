"""The programs beside `mahler dev`: started as process groups, and all gone when it goes.

`python -m mahler_pipelines.cli.companions PARENT MODULE [ARGUMENT…]` runs a module as a program
that ends when its parent does.
"""

import os
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from mahler_pipelines.errors import MahlerError
from mahler_pipelines.exchange.process import die_with_parent

_ASKED_TO_LEAVE = ((signal.SIGINT, 12.0), (signal.SIGTERM, 4.0), (signal.SIGKILL, 4.0))
_SAID_LAST = 600


class CompanionDied(MahlerError):
    """A program of `mahler dev` ended by itself."""


class Companions:
    """Programs that are started one by one and watched together. Made by `companions`."""

    def __init__(self, environment: Mapping[str, str], logs: Path) -> None:
        self._environment = dict(environment)
        self._logs = logs
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, module: str, arguments: Sequence[str], *, niceness: int = 0) -> None:
        """Start a module as a program in a process group of its own, writing to `name`.log.

        What has a higher niceness gives way to the others; its children inherit it.
        """
        command = [sys.executable, "-m", __name__, str(os.getpid()), module, *arguments]
        with self._log(name).open("wb") as log:
            self._running[name] = subprocess.Popen(  # noqa: S603 our own programs
                command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        if niceness:
            os.setpriority(os.PRIO_PROCESS, self._running[name].pid, niceness)

    def require_running(self) -> None:
        """Raise `CompanionDied`, with the end of its log, when a program is not there any more."""
        for name, child in self._running.items():
            if child.poll() is not None:
                said = self._log(name).read_text(errors="replace").strip()[-_SAID_LAST:]
                raise CompanionDied(
                    f"{name} ended with {child.returncode}; {self._log(name)} ends:\n{said}"
                )

    def stop(self) -> None:
        """Interrupt every group, and end with force what does not listen."""
        for number, patience in _ASKED_TO_LEAVE:
            deadline = time.monotonic() + patience
            left = [child for child in self._running.values() if _signal_group(child, number)]
            while left and time.monotonic() < deadline:
                time.sleep(0.05)
                left = [child for child in left if _signal_group(child, 0)]
            if not left:
                return

    def _log(self, name: str) -> Path:
        return self._logs / f"{name}.log"


@contextmanager
def companions(environment: Mapping[str, str], logs: Path) -> Iterator[Companions]:
    """Hold programs for the block; none of them, and none of their children, outlives it."""
    logs.mkdir(parents=True, exist_ok=True)
    held = Companions(environment, logs)
    try:
        yield held
    finally:
        held.stop()


def _signal_group(child: subprocess.Popen[bytes], number: int) -> bool:
    """Send a signal to a child's group; False when nobody is left in it."""
    child.poll()  # a child that ended stays in its group until it is asked for
    try:
        os.killpg(child.pid, number)
    except (ProcessLookupError, PermissionError):
        # macOS says "not permitted" of a group in which only ended processes are left.
        return False
    return True


def main(arguments: list[str]) -> None:
    """Run a module as a program whose life is bound to its parent's."""
    parent, module, *rest = arguments
    die_with_parent(int(parent))
    # A shell that starts `mahler dev` in the background ignores SIGINT, for the children too; they
    # are asked to leave by it all the same.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    sys.argv = [module, *rest]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1:])
