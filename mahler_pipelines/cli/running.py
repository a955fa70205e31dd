"""`mahler run`: sessions through the graph in process, and the table at the end."""

import json
import os
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import typer

from mahler_pipelines.cli.archiving import ingest_archive
from mahler_pipelines.cli.claiming import claimed
from mahler_pipelines.cli.context import invocation, load_settings
from mahler_pipelines.cli.interrupts import noticed_interrupts
from mahler_pipelines.cli.run_plan import ApprovalPolicy, RunPlan
from mahler_pipelines.cli.terminal import console, counted, progress_bar
from mahler_pipelines.composition import ComposedDesk, MarketSource, compose, local_exchange
from mahler_pipelines.decisions.recommendation import Recommendation
from mahler_pipelines.errors import BadInput, MahlerError, MissingData, UnknownSession
from mahler_pipelines.market.chains import Scan
from mahler_pipelines.market.sessions import NEW_YORK, TradingCalendar
from mahler_pipelines.settings import Mode, Settings

DEFAULT_SESSIONS = (date(2025, 3, 3), date(2025, 3, 7))
SHOWN_FAILURES = 5
_NEXT = (
    ("recommendations", "their ids"),
    ("explain ID", "down to the quotes"),
    ("trades", "entries, exits, P/L"),
    ("dev", "the graph at http://127.0.0.1:3000"),
)
DEFAULT_SCANS = (Scan.MORNING, Scan.MIDDAY, Scan.AFTERNOON)


class RunFailed(MahlerError):
    """Some jobs of the run failed; the Dagster UI shows which."""


class RunStopped(MahlerError):
    """Somebody stopped the run."""


def run(
    sessions: Annotated[
        str | None, typer.Option(help="FIRST:LAST as dates; one date is one session.")
    ] = None,
    market: Annotated[str | None, typer.Option(help="sim:SEED or archive:PATH.")] = None,
    scans: Annotated[
        str | None, typer.Option(help="Comma list of morning, midday, afternoon, close.")
    ] = None,
    profile: Annotated[str | None, typer.Option(help="equities, index or thin-data.")] = None,
    approve: Annotated[
        ApprovalPolicy, typer.Option(help="Who answers: all, none, or ask here.")
    ] = ApprovalPolicy.ALL,
    monitor: Annotated[
        str | None, typer.Option(help="Look at positions every so often besides scans: 5m.")
    ] = None,
    json_path: Annotated[
        Path | None, typer.Option("--json", help="Write the whole run to this file.")
    ] = None,
) -> None:
    """Run consecutive sessions through the Dagster graph against the local exchange.

    A repeat replaces its own book and comes to the same decisions.
    """
    settings = load_settings(market=market, profile=profile)
    if settings.mode is not Mode.LOCAL:
        raise BadInput("mode", settings.mode.value, "mahler run plays sessions in local mode only")
    source = MarketSource.parse(str(settings.market))
    asked, chosen, every = session_range(sessions), _scans(scans, source), _interval(monitor)
    if json_path is not None and not json_path.absolute().parent.is_dir():
        raise BadInput("--json", str(json_path), "lies in no folder that exists")
    desk = compose(settings)
    with claimed(desk.paths, "mahler run"):
        if source.kind == "archive":
            ingest_archive(desk)
        plan = RunPlan(
            sessions=_sessions(asked, desk, source), scans=chosen, approve=approve, monitor=every
        )
        # Not before now: what was asked in vain leaves the book of the last run alone.
        desk.start_afresh()
        _announce(desk, plan)
        failures = _play(desk, settings, plan)
    _report(desk, plan, json_path)
    if failures:
        shown = "".join(f"\n  {failure}" for failure in failures[:SHOWN_FAILURES])
        raise RunFailed(f"{len(failures)} runs failed (`mahler dev` shows them):{shown}")


def _play(desk: ComposedDesk, settings: Settings, plan: RunPlan) -> list[str]:
    from mahler_pipelines.cli.desk_instance import open_instance
    from mahler_pipelines.cli.session_runner import SessionRunner
    from mahler_pipelines.definitions import build_definitions

    calendar = TradingCalendar()
    total = sum(len(plan.moments(session, calendar)) for session in plan.sessions)
    with (
        local_exchange(desk, begin=calendar.open(plan.sessions[0])) as exchange,
        open_instance(desk.paths.dagster) as instance,
        progress_bar() as bar,
        noticed_interrupts() as check_interrupt,
    ):
        task = bar.add_task("starting the exchange", total=total)
        at = ""

        def step(text: str) -> None:
            nonlocal at
            bar.update(task, description=text, advance=1 if at else 0)
            at = text

        def ask(recommendation: Recommendation) -> bool | None:
            # A bar that goes on drawing would write over what is typed.
            bar.stop()
            try:
                return _ask(recommendation)
            finally:
                bar.start()

        runner = SessionRunner(
            desk=desk,
            definitions=build_definitions(settings),
            instance=instance,
            exchange=exchange,
            ask=ask,
            step=step,
            check_interrupt=check_interrupt,
        )
        try:
            runner.play(plan)
        except KeyboardInterrupt:
            raise RunStopped(f"stopped at {at}; what was done until then is in the book") from None
        bar.update(task, completed=total, description="done")
    return runner.failures


def _sessions(
    asked: tuple[date, date] | None, desk: ComposedDesk, source: MarketSource
) -> tuple[date, ...]:
    """Trading days of the range that the market has data for; holes are said, not run."""
    from mahler_pipelines.orchestration.partitions import FIRST_SESSION

    known = desk.archive_sessions()
    if source.kind == "archive" and not known:
        raise MissingData(f"{desk.settings.market} holds no option chain that could be read")
    first, last = asked or ((min(known), max(known)) if known else DEFAULT_SESSIONS)
    days = TradingCalendar().sessions(first, last)
    text = f"{first}:{last}"
    if not days:
        raise UnknownSession("sessions", text, "the exchange was closed on all of these days")
    if outside := [day for day in days if not FIRST_SESSION <= day <= _today()]:
        reason = f"the graph has sessions from {FIRST_SESSION} to today, not {outside[0]}"
        raise UnknownSession("sessions", text, reason)
    if source.kind == "sim":
        from mahler_pipelines.exchange.simulated.horizon import FIRST_TRADABLE

        if first < FIRST_TRADABLE:
            reason = f"the simulated market begins on {FIRST_TRADABLE}"
            raise UnknownSession("sessions", text, reason)
        return days
    missing = [day for day in days if day not in known]
    usable = tuple(day for day in days if day in known)
    if not usable:
        reason = f"the archive holds none of these; it has {min(known)} to {max(known)}"
        raise UnknownSession("sessions", text, reason)
    if missing:
        console.print(f"no data, so not run: {', '.join(map(str, missing))}")
    return usable


def _today() -> date:
    return datetime.now(NEW_YORK).date()


def session_range(text: str | None) -> tuple[date, date] | None:
    """Read FIRST:LAST, or one date."""
    if text is None:
        return None
    first, _, last = text.partition(":")
    try:
        bounds = date.fromisoformat(first), date.fromisoformat(last or first)
    except ValueError:
        raise BadInput("sessions", text, "not FIRST:LAST as YYYY-MM-DD") from None
    if bounds[0] > bounds[1]:
        raise BadInput("sessions", text, "the first session is after the last")
    return bounds


def _scans(text: str | None, source: MarketSource) -> tuple[Scan, ...]:
    if text is None:
        return DEFAULT_SCANS if source.kind == "sim" else (Scan.CLOSE,)
    try:
        found = tuple(dict.fromkeys(Scan(part.strip()) for part in text.split(",")))
    except ValueError:
        raise BadInput("scans", text, f"not of {', '.join(Scan)}") from None
    if source.kind == "archive" and found != (Scan.CLOSE,):
        raise BadInput("scans", text, "an archive has one snapshot a day: --scans close")
    return found


def _interval(text: str | None) -> timedelta | None:
    if text is None:
        return None
    if not text.endswith("m") or not text[:-1].isdigit() or int(text[:-1]) < 1:
        raise BadInput("monitor", text, "not minutes such as 5m")
    return timedelta(minutes=int(text[:-1]))


def _announce(desk: ComposedDesk, plan: RunPlan) -> None:
    who = {
        ApprovalPolicy.ALL: "every recommendation is approved by policy (--approve all)",
        ApprovalPolicy.NONE: "nothing is approved (--approve none)",
        ApprovalPolicy.ASK: "you are asked for each recommendation (--approve ask)",
    }[plan.approve]
    first, last = plan.sessions[0], plan.sessions[-1]
    days = f"{first}" if first == last else f"{first} to {last}"
    console.print(
        f"[bold]{desk.paths.book}[/bold]: {counted(len(plan.sessions), 'session')} ({days}), "
        f"{counted(len(desk.terms.universe), 'underlying')}, scans {', '.join(plan.scans)}\n{who}"
    )


def _ask(recommendation: Recommendation) -> bool | None:
    from mahler_pipelines.cli.wording import describe_structure

    console.print(
        f"\n{recommendation.contracts} x {describe_structure(recommendation.structure)} "
        f"for {recommendation.target_credit} (floor {recommendation.floor_credit}), "
        f"max loss ${recommendation.max_loss_usd}, PoP {recommendation.probability_of_profit:.0%}"
    )
    console.print(recommendation.thesis, markup=False)
    answer = typer.prompt("approve (y), reject (n), leave (Enter)", default="", show_default=False)
    return {"y": True, "n": False}.get(str(answer).strip().lower()[:1])


def _report(desk: ComposedDesk, plan: RunPlan, json_path: Path | None) -> None:
    from mahler_pipelines.cli.closing_table import show_closing_table
    from mahler_pipelines.cli.run_report import build_report

    report = build_report(desk, plan.sessions, plan.scans)
    show_closing_table(report)
    if json_path is not None:
        _write_atomically(json_path, report)
        console.print(f"the whole run: {json_path}", markup=False, soft_wrap=True)
    program, flags = invocation(desk.settings)
    console.print("[bold]Where to look next[/bold]")
    for command, what in _NEXT:
        line = f"  {program} {command + flags:<{len(flags) + 16}} # {what}"
        console.print(line, markup=False, soft_wrap=True)


def _write_atomically(path: Path, value: dict[str, Any]) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(json.dumps(value, indent=1, default=_plain) + "\n")
    partial.replace(path)


def _plain(value: object) -> str:
    if isinstance(value, Decimal | date | Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form here")
