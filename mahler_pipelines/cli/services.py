"""What `mahler dev` starts around a desk: one code server, the Dagster UI, the daemon."""

import json
import os
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from mahler_pipelines.cli.companions import Companions, companions
from mahler_pipelines.cli.terminal import console
from mahler_pipelines.composition import ComposedDesk
from mahler_pipelines.errors import MahlerError

LOOPBACK = "127.0.0.1"
STARTUP_SECONDS = 180.0
RUN_NICENESS = 10
LOCATION = "mahler"
QUIETLY = ["--log-level", "warning"]
WEB_QUIETLY = ["--dagster-log-level", "warning"]


class NotReady(MahlerError):
    """A part of `mahler dev` did not answer in time."""


@contextmanager
def start_services(
    desk: ComposedDesk, port: int, *, more: Mapping[str, str] | None = None
) -> Iterator[Companions]:
    """Start the code server, then UI and daemon on it; yield once the UI answers on `port`.

    One code server for both: the graph is loaded once, not twice. All of them are told `more` in
    their environment. Raises `CompanionDied` when one of them ends, `NotReady` when one does not
    answer.
    """
    from mahler_pipelines.cli.desk_instance import end_orphaned_runs, prepare_home

    home = prepare_home(desk.paths.dagster)
    # A socket's path is short by law, and a home's may not be.
    with (
        tempfile.TemporaryDirectory(prefix="mahler-") as folder,
        companions({**child_environment(desk), **(more or {})}, desk.paths.logs) as held,
    ):
        code = Path(folder) / "code.sock"
        workspace = _workspace(home, code)
        # Before anybody else opens it: two programs that create one Dagster home at once leave its
        # databases with two versions, and nothing opens them again.
        end_orphaned_runs(home)
        # Runs are its children: a scan gives way to the exchange and to who answers presses.
        held.start("code-server", "dagster", _code_server(code), niceness=RUN_NICENESS)
        _wait_for(held, "code-server", lambda: _listens(code))
        held.start(
            "webserver",
            "dagster_webserver",
            ["-w", str(workspace), "-h", LOOPBACK, "-p", str(port), *WEB_QUIETLY],
        )
        held.start("daemon", "dagster._daemon", ["run", "-w", str(workspace), *QUIETLY])
        wait_until_it_answers(held, "webserver", port, "/server_info")
        yield held


def wait_until_it_answers(held: Companions, name: str, port: int, path: str) -> None:
    """Wait for a companion's web server; raise `CompanionDied` or `NotReady` instead."""
    _wait_for(held, name, lambda: _answers(port, path))


def child_environment(desk: ComposedDesk) -> dict[str, str]:
    """Everything a child needs to compose the same desk: this environment and the command line."""
    root = str(Path(__file__).parents[2])
    path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    return {
        **os.environ,
        **desk.settings.environment(),
        "MAHLER_HOME": str(desk.paths.home),
        "DAGSTER_HOME": str(desk.paths.dagster),
        # dagster.yaml switches telemetry off; the webserver's upload thread asks only this.
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "PYTHONPATH": path,
    }


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Let Ctrl-C, SIGTERM and a closed terminal end the block in order and without an error.

    An interrupt or hang-up that was ignored before stays ignored: `nohup` means it. SIGTERM is
    always heard, for it can have been ignored by accident (Dagster maps it to SIGINT's handler).
    """
    heard = [
        number
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        if number == signal.SIGTERM or signal.getsignal(number) is not signal.SIG_IGN
    ]

    def stop(_number: int, _frame: object) -> None:
        # Once is enough: a second signal would interrupt the stopping.
        for number in heard:
            signal.signal(number, signal.SIG_IGN)
        console.print("stopping")
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in heard}
    try:
        with suppress(KeyboardInterrupt):
            yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _code_server(code: Path) -> list[str]:
    return [
        *["api", "grpc", "--socket", str(code), "--module-name", "mahler_pipelines.definitions"],
        *["--location-name", LOCATION, *QUIETLY],
    ]


def _workspace(home: Path, code: Path) -> Path:
    path = home / "workspace.yaml"
    server = {"socket": str(code), "location_name": LOCATION}
    # JSON is YAML.
    path.write_text(json.dumps({"load_from": [{"grpc_server": server}]}) + "\n")
    return path


def _wait_for(held: Companions, name: str, ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + STARTUP_SECONDS
    while not ready():
        held.require_running()
        if time.monotonic() >= deadline:
            raise NotReady(f"{name} does not answer after {STARTUP_SECONDS:.0f} s")
        time.sleep(0.1)


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(path))
        except OSError:
            return False
    return True


def _answers(port: int, path: str) -> bool:
    connection = HTTPConnection(LOOPBACK, port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
