"""Commands that serve: `dev`, `exchange`, `advance`."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mahler_pipelines.cli.context import load_desk, load_settings
from mahler_pipelines.cli.terminal import console
from mahler_pipelines.composition import ComposedDesk, compose, local_exchange
from mahler_pipelines.errors import BadInput, MahlerError
from mahler_pipelines.market.chains import Scan
from mahler_pipelines.market.sessions import TradingCalendar

if TYPE_CHECKING:
    from mahler_pipelines.exchange.process import LocalExchange

Market = Annotated[str | None, typer.Option(help="sim:SEED or archive:PATH.")]


class ServiceDied(MahlerError):
    """A part of `mahler dev` ended by itself."""


def dev(
    market: Market = None,
    port: Annotated[int, typer.Option(help="Port of the Dagster UI.")] = 3000,
    rate: Annotated[
        float, typer.Option(help="Market seconds per real second; 0 stands until advanced.")
    ] = 0.0,
) -> None:
    """Start the local exchange, the Dagster UI and daemon; stop them all together with Ctrl-C.

    The book of the last run is continued where its clock was left. `mahler advance` moves it.
    """
    settings = load_settings(market=market)
    desk = compose(settings)
    from mahler_pipelines.cli.desk_instance import prepare_home

    prepare_home(desk.paths.dagster)
    workspace = _workspace(desk.paths.dagster)
    environment = {**os.environ, "DAGSTER_HOME": str(desk.paths.dagster), **settings.environment()}
    commands = {
        "dagster-webserver": ["-w", str(workspace), "-h", "127.0.0.1", "-p", str(port)],
        "dagster-daemon": ["run", "-w", str(workspace)],
    }
    begin = TradingCalendar().open(_first_session(desk))
    with local_exchange(desk, begin=begin) as exchange:
        exchange.control.set_rate(rate)
        with _children(commands, environment) as children:
            console.print(f"[bold]{desk.paths.book}[/bold] is open")
            console.print(f"  graph      http://127.0.0.1:{port}")
            console.print(
                f"  exchange   {exchange.url}  (clock {_stands_at(exchange)})"
            )
            console.print(
                "  next scan  mahler advance    then: mahler recommendations, mahler approve ID"
            )
            console.print("  stop       Ctrl-C")
            _wait(children)


def exchange(
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 picks a free one.")] = 0,
    market: Market = None,
    state: Annotated[Path | None, typer.Option(help="Folder of the exchange's own state.")] = None,
    start: Annotated[
        str | None, typer.Option(help="ISO moment to begin at, on a new state.")
    ] = None,
    rate: Annotated[float, typer.Option(help="Market seconds per real second.")] = 0.0,
) -> None:
    """Serve the local exchange alone, for any program that speaks Alpaca's wire."""
    desk = load_desk(market=market)
    begin = datetime.fromisoformat(start) if start else TradingCalendar().open(_first_session(desk))
    if begin.tzinfo is None:
        raise BadInput("start", start, "needs a UTC offset")
    with local_exchange(desk, begin=begin, port=port, state=state) as served:
        served.control.set_rate(rate)
        console.print(f"{desk.paths.book} at {served.url}, clock {_stands_at(served)}; Ctrl-C stops it")
        _wait({})


def advance(
    to: Annotated[
        str, typer.Argument(help="scan (the next one), close, eod, 5m, or an ISO moment.")
    ] = "scan",
    market: Market = None,
) -> None:
    """Move the local exchange's clock forward; the desk's sensors then play the moment."""
    desk = load_desk(market=market)
    client = desk.exchange_control()
    now = client.now()
    target = _target(to, now)
    client.advance_to(target)
    console.print(f"{now:%Y-%m-%d %H:%M} -> {target:%Y-%m-%d %H:%M} UTC")


def _target(to: str, now: datetime) -> datetime:
    calendar = TradingCalendar()
    if to.endswith("m") and to[:-1].isdigit():
        return now + timedelta(minutes=int(to[:-1]))
    if to in ("scan", "close", "eod"):
        return next(at for at in _coming(to, now, calendar) if at > now)
    try:
        target = datetime.fromisoformat(to)
    except ValueError:
        raise BadInput("to", to, "not scan, close, eod, minutes such as 5m, or a moment") from None
    if target.tzinfo is None:
        raise BadInput("to", to, "needs a UTC offset")
    return target


def _coming(to: str, now: datetime, calendar: TradingCalendar) -> Iterator[datetime]:
    """Moments of this kind from today's session on."""
    session = calendar.session_date(now) or calendar.next(now.date())
    while True:
        if to == "close":
            yield calendar.close(session)
        elif to == "eod":
            yield calendar.eod_time(session)
        else:
            found = (calendar.scan_time(session, scan) for scan in Scan if scan is not Scan.CLOSE)
            yield from (at for at in found if at is not None)
        session = calendar.next(session)


def _first_session(desk: ComposedDesk) -> date:
    from mahler_pipelines.cli.running import DEFAULT_SESSIONS

    return min(desk.archive_sessions(), default=DEFAULT_SESSIONS[0])


def _stands_at(served: "LocalExchange") -> str:
    return f"{datetime.fromisoformat(served.status()['now']):%Y-%m-%d %H:%M} UTC"


def _workspace(home: Path) -> Path:
    """A workspace file that loads the desk with the interpreter that is running."""
    path = home / "workspace.yaml"
    path.write_text(
        "load_from:\n"
        "  - python_module:\n"
        "      module_name: mahler_pipelines.definitions\n"
        f"      executable_path: {sys.executable}\n"
        "      location_name: mahler\n"
    )
    return path


@contextmanager
def _children(
    commands: dict[str, list[str]], environment: dict[str, str]
) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """Start each program in its own process group and end all of them on the way out."""
    started: dict[str, subprocess.Popen[bytes]] = {}
    logs = Path(environment["DAGSTER_HOME"]) / "logs"
    logs.mkdir(exist_ok=True)
    try:
        for name, arguments in commands.items():
            with (logs / f"{name}.log").open("ab") as log:
                started[name] = subprocess.Popen(
                    [str(Path(sys.executable).with_name(name)), *arguments],
                    env=environment,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
        yield started
    finally:
        for child in started.values():
            _end(child)


def _end(child: subprocess.Popen[bytes]) -> None:
    for number, patience in ((signal.SIGINT, 10.0), (signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
        try:
            os.killpg(child.pid, number)
        except ProcessLookupError:
            return
        try:
            child.wait(timeout=patience)
        except subprocess.TimeoutExpired:
            continue


def _wait(children: dict[str, subprocess.Popen[bytes]]) -> None:
    """Wait until Ctrl-C or SIGTERM; a child that ends by itself is an error."""

    def stop(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    try:
        while True:
            for name, child in children.items():
                if child.poll() is not None:
                    raise ServiceDied(f"{name} ended with {child.returncode}: see its log")
            time.sleep(0.5)
    except KeyboardInterrupt:
        console.print("stopping")
