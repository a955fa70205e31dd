"""Every command of `mahler`, in the order of a trading day."""

from pathlib import Path
from typing import Annotated

import typer

from mahler_pipelines.cli import acting, archiving, listings, repairing, rolling, serving
from mahler_pipelines.cli.backfilling import backfill
from mahler_pipelines.cli.context import remember_overrides
from mahler_pipelines.cli.rules import rules
from mahler_pipelines.cli.running import run
from mahler_pipelines.cli.serve import serve

app = typer.Typer(
    help="A human-in-the-loop options desk. Without keys it trades a local exchange.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


@app.callback()
def common(
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="Override a setting: --set screen.dte_min=20. Repeatable."),
    ] = None,
    home: Annotated[
        Path | None, typer.Option(help="Where books are kept (default .mahler).")
    ] = None,
) -> None:
    """Read overrides that stand above every other layer of settings."""
    remember_overrides(set_ or [], home)


app.command()(run)
app.command()(serving.dev)
app.command()(serve)
app.command()(archiving.ingest)
app.command()(backfill)
app.command()(listings.recommendations)
app.command()(acting.approve)
app.command()(acting.reject)
app.command()(rolling.roll)
app.command()(listings.positions)
app.command()(listings.trades)
app.command()(listings.explain)
app.add_typer(rules, name="rules")
app.command()(repairing.findings)
app.command()(repairing.repair)
app.command()(repairing.dismiss)
app.command()(acting.close)
app.command()(acting.halt)
app.command()(acting.reduce)
app.command()(acting.resume)
app.command()(listings.status)
app.command()(serving.exchange)
app.command()(serving.advance)
app.command("settings")(listings.settings_)
app.command()(listings.doctor)
