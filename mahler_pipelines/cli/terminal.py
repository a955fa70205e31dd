"""What a person sees in the terminal: tables, JSON, progress."""

import json
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

NARROWEST_WITHOUT_TERMINAL = 150
"""Columns where the output goes to a file or a pipe, which has no width of its own."""

_found = Console()
console = (
    _found if _found.is_terminal else Console(width=max(_found.width, NARROWEST_WITHOUT_TERMINAL))
)


def show_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table; numbers and money stand to the right."""
    table = Table(title=title, title_justify="left", header_style="bold", expand=False)
    body = [[_cell(value) for value in row] for row in rows]
    for number, column in enumerate(columns):
        numeric = bool(body) and all(_numeric(row[number]) for row in body)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in body:
        table.add_row(*row)
    console.print(table)
    if not body:
        console.print("  nothing yet")


def show_json(value: Any) -> None:
    """Print JSON for another program to read."""
    print(json.dumps(value, indent=2, default=str))


def progress_bar() -> Progress:
    """A bar for long work; where no terminal is, it prints nothing but its end."""
    return Progress(
        TextColumn("[progress.description]{task.description:<28}"),
        BarColumn(bar_width=32),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    )


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.2f}"
    if isinstance(value, Decimal):
        return f"{value:,.2f}"
    return str(value)


def _numeric(text: str) -> bool:
    return (
        text == "-"
        or text.replace(",", "").replace("%", "").lstrip("+-$").replace(".", "", 1).isdigit()
    )
