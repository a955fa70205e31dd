"""`mahler ingest`: chain archives into the lake of their book."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mahler_pipelines.cli.context import load_desk
from mahler_pipelines.cli.terminal import console, progress_bar, show_json, show_table
from mahler_pipelines.composition import ComposedDesk
from mahler_pipelines.errors import UnreadableFile

if TYPE_CHECKING:
    from mahler_pipelines.storage.ingest_report import FileReport, IngestReport


def ingest(
    paths: Annotated[list[Path], typer.Argument(help="Chain files or folders of them.")],
    json_: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
) -> None:
    """Read option chains, daily bars, volatility indices and rates into the lake.

    Bad rows go to a quarantine table with a reason; ingesting twice changes nothing.
    """
    market = f"archive:{','.join(map(str, paths))}"
    desk = load_desk(market=market)
    report = desk.ingest() if json_ else ingest_archive(desk)
    if json_:
        show_json(
            {
                "book": desk.paths.book,
                "files": [_as_json(file) for file in report.files],
                "unreadable": [str(error) for error in report.unreadable],
            }
        )
    else:
        use = f"run it: mahler run --market {market}" if desk.source else "use it: mahler backfill"
        console.print(use, markup=False, soft_wrap=True)
    if report.unreadable:
        names = ", ".join(str(error.value) for error in report.unreadable)
        raise UnreadableFile("paths", names, "not ingested (the other files were)")


def ingest_archive(desk: ComposedDesk) -> "IngestReport":
    """Ingest with a progress bar and a table of what became of every row."""
    with progress_bar() as bar:
        task = bar.add_task("ingesting", total=None)

        def step(path: Path, number: int, total: int) -> None:
            bar.update(
                task, description=f"ingesting {path.name}", completed=number - 1, total=total
            )

        report = desk.ingest(step)
        bar.update(task, description="ingested", completed=len(report.files))
    show_table(
        f"Archive {desk.paths.book}",
        ["file", "kind", "rows", "kept", "sessions", "quarantined", "kept with defects"],
        [_row(file) for file in report.files],
    )
    for error in report.unreadable:
        console.print(f"not ingested: {error}", markup=False)
    return report


def _as_json(file: "FileReport") -> dict[str, object]:
    return {
        **file.as_record(),
        "already_ingested": file.already_ingested,
        "quarantined": dict(file.quarantined),
        "defects": dict(file.defects),
        "underlyings": list(file.underlyings),
    }


def _row(file: "FileReport") -> list[object]:
    return [
        file.name,
        file.layout,
        f"{file.rows:,}",
        "was there" if file.already_ingested else f"{file.kept:,}",
        file.sessions,
        _counts(file.quarantined),
        _counts(file.defects),
    ]


def _counts(counts: object) -> str:
    pairs = dict(counts) if isinstance(counts, dict) else {}
    return ", ".join(f"{code} {count:,}" for code, count in pairs.items()) or "none"
