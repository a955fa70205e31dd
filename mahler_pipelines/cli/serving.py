"""Commands that serve: `dev`, `exchange`, `advance`."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mahler_pipelines.cli.chatting import Chat, chat_of
from mahler_pipelines.cli.claiming import claimed
from mahler_pipelines.cli.context import invocation, load_desk, load_settings
from mahler_pipelines.cli.repairing import reconcile_on_start
from mahler_pipelines.cli.services import LOOPBACK, start_services, stopped_by_signals
from mahler_pipelines.cli.terminal import console
from mahler_pipelines.cli.walking_clock import take_clock_to_next_step
from mahler_pipelines.composition import ComposedDesk, compose, local_exchange
from mahler_pipelines.errors import BadInput, BrokerUnavailable, LedgerBusy
from mahler_pipelines.market.sessions import TradingCalendar

if TYPE_CHECKING:
    from mahler_pipelines.exchange.process import LocalExchange

Market = Annotated[str | None, typer.Option(help="sim:SEED or archive:PATH.")]


def dev(
    market: Market = None,
    port: Annotated[int, typer.Option(help="Port of the Dagster UI.")] = 3000,
    rate: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Market seconds per real second; 0 stands until advanced. "
            "Default: exchange.clock_rate.",
        ),
    ] = None,
    serve_port: Annotated[
        int, typer.Option(min=0, max=65_535, help="Port of `mahler serve`; 0 picks a free one.")
    ] = 0,
) -> None:
    """Start the Dagster UI and daemon, and in local mode the exchange; Ctrl-C stops them all.

    Cards go to Discord where it has been set up; in local mode without it to a page on this
    machine, where they can be clicked.

    The book of the last run is continued where its clock was left. `mahler advance` moves it.
    """
    settings = load_settings(market=market)
    desk = compose(settings)
    _require_free(port)
    with stopped_by_signals(), ExitStack() as stack:
        stack.enter_context(claimed(desk.paths, "mahler dev"))
        served = exchange_of(desk, stack)
        reconcile_on_start(desk)
        chat = stack.enter_context(chat_of(desk))
        with console.status("starting the exchange, the graph and the daemon"):
            told = {} if chat is None else chat.environment
            held = stack.enter_context(start_services(desk, port, more=told))
            door = None if chat is None else chat.serve(held, port=serve_port)
        moving = settings.exchange.clock_rate if rate is None else rate
        if served is not None:
            served.control.set_rate(moving)
        _announce(desk, port, served)
        _announce_chat(chat, door)
        console.print("  stop       Ctrl-C")
        while True:
            held.require_running()
            if chat is not None and chat.local is not None:
                chat.local.require_running()
            if served is not None:
                served.require_running()
                if not moving:
                    # A ledger or an exchange that is busy now is asked again in half a second.
                    with suppress(LedgerBusy, BrokerUnavailable):
                        take_clock_to_next_step(desk, served)
            time.sleep(0.5)


def exchange_of(desk: ComposedDesk, stack: ExitStack) -> "LocalExchange | None":
    """Start the local exchange of a local desk; a broker's desk has none."""
    if desk.source is None:
        return None
    begin = TradingCalendar().open(_first_session(desk))
    return stack.enter_context(local_exchange(desk, begin=begin, port=desk.settings.exchange.port))


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            raise BadInput(
                "--port", port, f"cannot be used ({error.strerror}): choose another"
            ) from None


def _announce(desk: ComposedDesk, port: int, served: "LocalExchange | None") -> None:
    program, flags = invocation(desk.settings)
    console.print(f"[bold]{desk.paths.book}[/bold] is open")
    console.print(f"  graph      http://{LOOPBACK}:{port}")
    if served is not None:
        console.print(f"  exchange   {served.url}  (clock {_stands_at(served)})")
        console.print(f"  next scan  {program} advance{flags}")
    console.print(f"  answer     {program} recommendations{flags}")
    console.print(f"             {program} approve ID{flags}")


def _announce_chat(chat: Chat | None, door: str | None) -> None:
    if chat is None:
        return
    where = "in Discord" if chat.local is None else f"{chat.local.url}  (on this machine only)"
    console.print(f"  cards      {where}")
    console.print(f"  health     {door}/health")


def exchange(
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 picks a free one.")] = 0,
    market: Market = None,
    state: Annotated[Path | None, typer.Option(help="Folder of the exchange's own state.")] = None,
    start: Annotated[
        str | None, typer.Option(help="ISO moment to begin at, on a new state.")
    ] = None,
    rate: Annotated[float, typer.Option(help="Market seconds per real second.")] = 0.0,
    faults: Annotated[
        Path | None, typer.Option(metavar="FILE", help="JSON rules of faults to play.")
    ] = None,
) -> None:
    """Serve the local exchange alone, for any program that speaks Alpaca's wire."""
    from mahler_pipelines.exchange.faults import NO_FAULTS, read_faults

    plan = NO_FAULTS if faults is None else read_faults(faults)
    desk = load_desk(market=market)
    begin = datetime.fromisoformat(start) if start else TradingCalendar().open(_first_session(desk))
    if begin.tzinfo is None:
        raise BadInput("start", start, "needs a UTC offset")
    with stopped_by_signals(), ExitStack() as stack:
        if state is None:
            stack.enter_context(claimed(desk.paths, "mahler exchange"))
        served = stack.enter_context(local_exchange(desk, begin=begin, port=port, state=state))
        served.control.set_faults(plan)
        served.control.set_rate(rate)
        console.print(
            f"{desk.paths.book} at {served.url}, clock {_stands_at(served)}; Ctrl-C stops it"
        )
        while True:
            served.require_running()
            time.sleep(0.5)


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
    target = _target(to, now, desk)
    client.advance_to(target)
    console.print(f"{now:%Y-%m-%d %H:%M} -> {target:%Y-%m-%d %H:%M} UTC")


def _target(to: str, now: datetime, desk: ComposedDesk) -> datetime:
    calendar = TradingCalendar()
    if to.endswith("m") and to[:-1].isdigit():
        return now + timedelta(minutes=int(to[:-1]))
    if to in ("scan", "close", "eod"):
        coming = (at for at in _coming(to, now, calendar, desk) if at > now)
        found = next(coming, None)
        if found is None:
            raise BadInput("to", to, "the archive holds no later session")
        return found
    try:
        target = datetime.fromisoformat(to)
    except ValueError:
        raise BadInput("to", to, "not scan, close, eod, minutes such as 5m, or a moment") from None
    if target.tzinfo is None:
        raise BadInput("to", to, "needs a UTC offset")
    return target


def _coming(
    to: str, now: datetime, calendar: TradingCalendar, desk: ComposedDesk
) -> Iterator[datetime]:
    """Moments of this kind from today's session on."""
    for session in _sessions_from(now, calendar, desk):
        if to == "close":
            yield calendar.close(session)
        elif to == "eod":
            yield calendar.eod_time(session)
        else:
            found = (calendar.scan_time(session, scan) for scan in desk.terms.scans)
            yield from (at for at in found if at is not None)


def _sessions_from(now: datetime, calendar: TradingCalendar, desk: ComposedDesk) -> Iterator[date]:
    """Today's session and the later ones; of an archive, those it has quotes of."""
    today = now.date()
    if known := desk.archive_sessions():
        yield from (session for session in sorted(known) if session >= today)
        return
    session = calendar.session_date(now) or calendar.next(today)
    while True:
        yield session
        session = calendar.next(session)


def _first_session(desk: ComposedDesk) -> date:
    from mahler_pipelines.cli.running import DEFAULT_SESSIONS

    return min(desk.archive_sessions(), default=DEFAULT_SESSIONS[0])


def _stands_at(served: "LocalExchange") -> str:
    return f"{datetime.fromisoformat(served.status()['now']):%Y-%m-%d %H:%M} UTC"
