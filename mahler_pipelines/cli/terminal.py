"""What a person sees in the terminal: tables, JSON, progress."""

import json
import sys
from collections.abc import Collection, Iterable, Sequence
from decimal import Decimal
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

WITHOUT_TERMINAL = 150
"""Columns where the output goes to a file or a pipe, which has no width of its own."""
WIDE = 120
"""Columns from which a listing shows what it can do without."""

_LONGEST_UNWRAPPED = 36

_found = Console(highlight=False)
console = (
    _found
    if _found.is_terminal
    else Console(highlight=False, width=max(_found.width, WITHOUT_TERMINAL))
)


def show_table(
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    only_wide: Collection[str] = (),
    wrapped: Collection[str] = (),
) -> None:
    """Print a table; numbers and money stand to the right.

    `only_wide` columns are left out where the terminal is narrow; `wrapped` ones, and those with
    long texts, give way first where there is no room.
    """
    body = [[_cell(value) for value in row] for row in rows]
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        header_style="bold",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        show_header=any(columns),
    )
    shown = [
        number
        for number, column in enumerate(columns)
        if console.width >= WIDE or column not in only_wide
    ]
    for number in shown:
        cells = [row[number] for row in body]
        numeric = bool(cells) and all(map(_numeric, cells))
        short = all(len(cell) <= _LONGEST_UNWRAPPED for cell in cells)
        table.add_column(
            columns[number],
            justify="right" if numeric else "left",
            overflow="fold",
            no_wrap=short and columns[number] not in wrapped,
        )
    for row in body:
        table.add_row(*(row[number] for number in shown))
    console.print(table)
    if not body:
        console.print("  nothing yet\n")


def show_json(value: Any) -> None:
    """Print JSON for another program to read."""
    sys.stdout.write(json.dumps(value, indent=2, default=str) + "\n")


def counted(number: int, noun: str) -> str:
    """Return a number and its noun: 1 session, 2 sessions."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def whole_dollars(amount: Decimal | str | None) -> str | None:
    """Return dollars with separators, and with cents only where there are any."""
    if amount is None:
        return None
    dollars = Decimal(amount)
    return f"{dollars:,.0f}" if dollars == dollars.to_integral_value() else f"{dollars:,.2f}"


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
    return escape(str(value))


def _numeric(text: str) -> bool:
    digits = text.replace(",", "").replace("%", "").lstrip("+-$").replace(".", "", 1)
    return text == "-" or digits.isdigit()
