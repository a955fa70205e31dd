"""Small tables in markdown, for asset metadata and reports."""

from collections.abc import Sequence


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return the table, or `none` without rows; floats in three significant digits."""
    if not rows:
        return "none"
    head = f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}"
    return head + "".join(f"\n| {' | '.join(_cell(cell) for cell in row)} |" for row in rows)


def _cell(value: object) -> str:
    if value is None:
        return ""
    text = f"{value:.3g}" if isinstance(value, float) else str(value)
    return text.replace("|", "\\|")
