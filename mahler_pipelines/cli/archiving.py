"""`mahler ingest`: chain archives into the lake of their book."""

from pathlib import Path
from typing import Annotated

import typer

from mahler_pipelines.cli.context import load_settings
from mahler_pipelines.cli.terminal import console, progress_bar, show_json, show_table
from mahler_pipelines.composition import MarketSource, open_archive
from mahler_pipelines.errors import UnreadableFile


def ingest(
    paths: Annotated[list[Path], typer.Argument(help="Chain files or folders of them.")],
    json_: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
) -> None:
    """Read option chains, daily bars, volatility indices and rates into the lake.

    Bad rows go to a quarantine table with a reason; ingesting twice changes nothing.
    """
    source = MarketSource("archive", archive=tuple(paths))
    with progress_bar() as bar:
        archive = open_archive(load_settings(), source, bar)
    report = archive.report
    if json_:
        show_json({"book": archive.book, **report.as_dict()})
    else:
        show_table(
            f"Ingested into {archive.book}",
            ["file", "kind", "rows", "kept", "quarantined", "reasons and defects"],
            report.rows(),
        )
        console.print(f"mahler run --market archive:{','.join(map(str, paths))} runs on it")
    if report.unreadable:
        raise UnreadableFile("paths", report.unreadable, "not ingested; the others were")
