"""Small tables in markdown, for asset metadata and reports."""

import math
from collections.abc import Sequence


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return the table, or `none` without rows.

    Floats have three significant digits, from a thousand on none after the point; a cell stays on
    one line.
    """
    if not rows:
        return "none"
    head = f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}"
    return head + "".join(f"\n| {' | '.join(_cell(cell) for cell in row)} |" for row in rows)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:,.0f}" if 1000 <= abs(value) < math.inf else f"{value:.3g}"
    return " ".join(str(value).split()).replace("|", "\\|")
