from pathlib import Path

import pytest

from mahler_pipelines.errors import BadInput
from mahler_pipelines.storage.books import BookPaths


@pytest.mark.parametrize(
    "book", ["sim-7", "archive-3fa9", "paper-main", "live-PA3XYZ_1", "archive-" + "0" * 64]
)
def test_a_book_has_its_own_folders(tmp_path: Path, book: str) -> None:
    paths = BookPaths(tmp_path, book)
    root = tmp_path / "books" / book
    assert (paths.lake, paths.dagster) == (root / "lake", root / "dagster")
    assert (paths.exchange, paths.reports) == (root / "exchange", root / "reports")
    assert paths.ledger == root / "ledger.sqlite"
    assert paths.ledger_url == f"sqlite:///{root}/ledger.sqlite"
    paths.create()
    paths.create()
    assert sorted(child.name for child in root.iterdir()) == [
        "dagster",
        "exchange",
        "lake",
        "reports",
    ]


@pytest.mark.parametrize(
    "book",
    [
        *("", "sim", "sim-", "sim-x", "sim-7/..", "sim-7\n", "main"),
        *("archive-xyz", "archive-3F", "paper-", "paper-a b", "live-../x", "live-" + "a" * 65),
    ],
)
def test_any_other_name_is_refused(tmp_path: Path, book: str) -> None:
    with pytest.raises(BadInput, match="book="):
        BookPaths(tmp_path, book)
