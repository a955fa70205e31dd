"""Small tables in markdown: readable numbers, and no cell that breaks the table."""

from decimal import Decimal

import pytest

from mahler_pipelines.pictures.tables import markdown_table


def cell(value: object) -> str:
    table = markdown_table(("x",), [(value,)])
    return table.splitlines()[2].removeprefix("| ").removesuffix(" |")


def test_a_table_is_a_head_and_a_line_per_row() -> None:
    table = markdown_table(("name", "P/L $"), [("SPY", Decimal("12.50")), ("QQQ", None)])
    assert table.splitlines() == [
        "| name | P/L $ |",
        "|---|---|",
        "| SPY | 12.50 |",
        "| QQQ |  |",
    ]


def test_no_rows_are_said_in_a_word() -> None:
    assert markdown_table(("x",), []) == "none"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.123456, "0.123"),
        (12.345, "12.3"),
        (999.4, "999"),
        (1234.5, "1,234"),
        (-98765.4, "-98,765"),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        (Decimal("1234.50"), "1234.50"),
        (1234567, "1234567"),
    ],
)
def test_numbers_read_like_numbers(value: object, shown: str) -> None:
    """Money in a float column must not turn into 1.23e+03."""
    assert cell(value) == shown


@pytest.mark.parametrize("text", ["a | b", "first\nsecond", "first\r\n\r\n| second |", "tab\there"])
def test_text_of_a_thesis_stays_in_its_cell(text: str) -> None:
    table = markdown_table(("x",), [(text,)])
    assert len(table.splitlines()) == 3
    assert table.splitlines()[2].replace("\\|", "").count("|") == 2
