"""`mahler backfill`: volatilities of past sessions, so that a first day has ranks."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import date
from typing import Annotated, Any

import typer

from mahler_pipelines.cli.archiving import ingest_archive
from mahler_pipelines.cli.claiming import claimed
from mahler_pipelines.cli.context import invocation, load_settings
from mahler_pipelines.cli.interrupts import noticed_interrupts
from mahler_pipelines.cli.running import RunFailed, RunStopped, session_range
from mahler_pipelines.cli.serving import exchange_of
from mahler_pipelines.cli.terminal import console, progress_bar, show_json, show_table
from mahler_pipelines.composition import ComposedDesk, compose
from mahler_pipelines.errors import UnknownSession
from mahler_pipelines.market.observation import last_closed, require_closed
from mahler_pipelines.market.sessions import TradingCalendar
from mahler_pipelines.settings import Settings

COLUMNS = ("underlying", "sessions", "with volatility", "lowest %", "highest %", "latest %", "from")


def backfill(
    sessions: Annotated[
        str | None,
        typer.Option(help="FIRST:LAST as dates. Default: what a rank looks back on from now."),
    ] = None,
    market: Annotated[str | None, typer.Option(help="sim:SEED or archive:PATH.")] = None,
    json_: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
) -> None:
    """Find the volatility of past sessions, from ingested chains or daily option bars.

    Scans then rank against it from the first day on. It runs `past_volatilities` in the book that
    `mahler dev` continues; while that runs, press Backfill on the asset instead.
    """
    settings = load_settings(market=market)
    desk, asked = compose(settings), session_range(sessions)
    with claimed(desk.paths, "mahler backfill"), ExitStack() as stack:
        if desk.source is not None and desk.source.kind == "archive":
            desk.ingest() if json_ else ingest_archive(desk)
        exchange_of(desk, stack)
        days = _sessions(asked, desk)
        _run(desk, settings, days, quietly=json_)
        rows = list(_rows(desk, days))
    if json_:
        show_json([dict(zip(COLUMNS, row, strict=True)) for row in rows])
        return
    show_table(f"{desk.paths.book}: {days[0]} to {days[-1]}", COLUMNS, rows)
    program, flags = invocation(settings)
    console.print(f"scan with it: {program} dev{flags}", markup=False, soft_wrap=True)


def _sessions(asked: tuple[date, date] | None, desk: ComposedDesk) -> tuple[date, ...]:
    """Sessions of the range that was asked for, all closed by the market's clock."""
    from mahler_pipelines.orchestration.partitions import FIRST_SESSION

    calendar, now = TradingCalendar(), desk.market_data.now()
    last = last_closed(now, calendar)
    first, last = asked or (calendar.offset(last, 1 - desk.terms.rank_lookback), last)
    days = calendar.sessions(max(first, FIRST_SESSION), last)
    if not days:
        reason = f"no session from {FIRST_SESSION} on is among them"
        raise UnknownSession("sessions", f"{first}:{last}", reason)
    require_closed(days, now, calendar)
    return days


def _run(desk: ComposedDesk, settings: Settings, days: Sequence[date], *, quietly: bool) -> None:
    from mahler_pipelines.cli.desk_instance import open_instance
    from mahler_pipelines.cli.session_runner import QUIET, first_failure
    from mahler_pipelines.definitions import build_definitions
    from mahler_pipelines.orchestration.partitions import SESSIONS_PER_RUN, session_range_tags

    job = build_definitions(settings).resolve_job_def("volatility_backfill")
    bar = progress_bar()
    bar.disable = quietly
    with (
        open_instance(desk.paths.dagster) as instance,
        bar,
        noticed_interrupts() as check_interrupt,
    ):
        task = bar.add_task("sessions", total=len(days))
        for start in range(0, len(days), SESSIONS_PER_RUN):
            quarter = days[start : start + SESSIONS_PER_RUN]
            bar.update(task, description=f"from {quarter[0]}")
            result = job.execute_in_process(
                run_config=QUIET,
                instance=instance,
                raise_on_error=False,
                tags=session_range_tags(quarter[0], quarter[-1]),
            )
            try:
                check_interrupt()
            except KeyboardInterrupt:
                raise RunStopped(f"stopped at {quarter[0]}; earlier sessions are done") from None
            if not result.success:
                raise RunFailed(f"from {quarter[0]}: {first_failure(result)}")
            bar.advance(task, len(quarter))


def _rows(desk: ComposedDesk, days: Sequence[date]) -> Iterator[tuple[Any, ...]]:
    """One row per underlying: how many sessions, how many volatilities, and where from."""
    from mahler_pipelines.market.rank_history import backfilled_history

    found = backfilled_history(desk.lake, start=days[0], end=days[-1])
    for name, rows in found.groupby("underlying", sort=True):
        known = rows["implied_volatility"].dropna() * 100
        sources = ", ".join(f"{source} {n}" for source, n in rows["source"].value_counts().items())
        levels = (known.min(), known.max(), known.iloc[-1]) if len(known) else (None, None, None)
        shown = [None if level is None else round(float(level), 2) for level in levels]
        yield (str(name), len(rows), len(known), *shown, sources)
