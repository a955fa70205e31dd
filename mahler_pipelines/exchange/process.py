"""The local exchange as a child process that never outlives its parent."""

import atexit
import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from mahler_pipelines.errors import BadInput, MahlerError
from mahler_pipelines.exchange.accounts import LOCAL_CREDENTIALS, Credentials
from mahler_pipelines.exchange.control import ExchangeControl
from mahler_pipelines.exchange.server import HOST, READY_FILE

_PR_SET_PDEATHSIG = 1
_STARTUP_SECONDS = 60.0
_STOP_SECONDS = 8.0
_SAID_LAST = 600
LOG_FILE = "exchange.log"


class ExchangeDidNotStart(MahlerError):
    """The child process ended, or never answered; carries what it wrote."""


class ExchangeEnded(MahlerError):
    """The child process ended while it was needed; carries what it wrote last."""


def die_with_parent(parent: int) -> None:
    """Ask Linux to end this process when its parent ends, and leave at once if it has.

    Elsewhere the parent's `atexit` alone stops the child.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        raise SystemExit(0)


class LocalExchange:
    """Starts the exchange, waits until it answers, and stops it for sure.

    Start it from a thread that lives as long as it is needed: on Linux the child ends with the
    thread that started it. `market` is `sim:SEED` or `archive:LAKE_ROOT`. Use as a context manager,
    or call `start` and `stop`. One process owns a state folder at a time.
    """

    def __init__(
        self,
        market: str,
        state_dir: Path,
        *,
        name: str | None = None,
        port: int = 0,
        starting_equity: Decimal | None = None,
        fee_per_contract: Decimal | None = None,
        start_at: datetime | None = None,
        accounts: Sequence[Credentials] = (LOCAL_CREDENTIALS,),
        faults: Path | None = None,
        requests_per_minute: int | None = None,
    ) -> None:
        self._state_dir = state_dir
        self._arguments = ["--market", market, "--state", str(state_dir), "--port", str(port)]
        if name is not None:
            self._arguments += ["--name", name]
        if starting_equity is not None:
            self._arguments += ["--equity", str(starting_equity)]
        if fee_per_contract is not None:
            self._arguments += ["--fee", str(fee_per_contract)]
        if start_at is not None:
            self._arguments += ["--start", start_at.isoformat()]
        if requests_per_minute is not None:
            self._arguments += ["--requests-per-minute", str(requests_per_minute)]
        if faults is not None:
            self._arguments += ["--faults", str(faults)]
        for known in accounts:
            self._arguments += ["--account", f"{known.key_id}:{known.secret}:{known.account}"]
        self._child: subprocess.Popen[bytes] | None = None
        self._url = ""

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Where it answers, without a trailing slash: what alpaca-py takes as `url_override`."""
        if not self._url:
            raise BadInput("exchange", "not started", "has no address")
        return self._url

    @property
    def pid(self) -> int | None:
        """The child's process id while it runs."""
        return None if self._child is None else self._child.pid

    def start(self) -> Self:
        """Start the child and wait until it answers; raise `ExchangeDidNotStart` otherwise."""
        if self._child is not None:
            return self
        self._state_dir.mkdir(parents=True, exist_ok=True)
        log = self._state_dir / LOG_FILE
        command = [sys.executable, "-m", "mahler_pipelines.exchange", *self._arguments]
        with log.open("wb") as output:
            self._child = subprocess.Popen(  # noqa: S603 our own program
                [*command, "--die-with-parent", str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=_environment(),
                # Ctrl-C is for the parent alone, which stops its exchange when runs have ended.
                start_new_session=True,
            )
        atexit.register(self.stop)
        try:
            self._url = self._wait(log)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop the child: ask, wait, and kill if it does not listen. Safe to call twice."""
        child, self._child, self._url = self._child, None, ""
        atexit.unregister(self.stop)
        if child is None or child.poll() is not None:
            return
        child.terminate()
        try:
            child.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()

    @property
    def control(self) -> ExchangeControl:
        """A client of its control routes: clock, rate, journal, faults."""
        return ExchangeControl(self.url)

    def require_running(self) -> None:
        """Raise `ExchangeEnded`, with the end of its log, when the child is not there any more."""
        if self._child is None or self._child.poll() is not None:
            log = self._state_dir / LOG_FILE
            code = None if self._child is None else self._child.returncode
            said = log.read_text(errors="replace").strip()[-_SAID_LAST:]
            raise ExchangeEnded(f"the exchange ended with {code}; {log} ends:\n{said}")

    def status(self) -> dict[str, Any]:
        """Return what `GET /control/status` says."""
        return self.control.status()

    def advance_to(self, moment: datetime) -> dict[str, Any]:
        """Put the clock on a moment and return the status there; the present is no move.

        Raises `BadInput` where the exchange refuses: the past, or no session of the market.
        """
        return self.control.advance_to(moment)

    def _wait(self, log: Path) -> str:
        deadline = time.monotonic() + _STARTUP_SECONDS
        ready = self._state_dir / READY_FILE
        while time.monotonic() < deadline:
            if self._child is None or self._child.poll() is not None:
                raise ExchangeDidNotStart(f"the exchange ended: {log.read_text().strip()}")
            told = json.loads(ready.read_text()) if ready.exists() else {}
            if told.get("pid") == self._child.pid:
                return f"http://{HOST}:{told['port']}"
            time.sleep(0.02)
        raise ExchangeDidNotStart(f"no answer in {_STARTUP_SECONDS:.0f} s: {log.read_text()}")


def _environment() -> dict[str, str]:
    """Return this environment, in which the child finds the package that its parent runs."""
    root = str(Path(__file__).parents[2])
    path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path}
