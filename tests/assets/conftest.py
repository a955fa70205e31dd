"""Books that scenarios copy."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from mahler_pipelines.market.chains import Scan
from tests.assets.desk import PlayedDesk, copied, first_failure, played, scan_at

Open = Callable[..., PlayedDesk]


@pytest.fixture(scope="session")
def scanned_book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home after the first morning scan: recommendations wait for an answer."""
    home = tmp_path_factory.mktemp("book") / "home"
    home.mkdir()
    with played(home) as desk:
        desk.advance(scan_at(Scan.MORNING))
        result = desk.scan()
        assert result.success, first_failure(result)
    return home


@pytest.fixture
def open_desk(scanned_book: Path, tmp_path: Path) -> Iterator[Open]:
    """Open a copy of the scanned book, under other settings where given; closed after the test."""
    with ExitStack() as stack:

        def opened(**overrides: Any) -> PlayedDesk:
            return stack.enter_context(copied(scanned_book, tmp_path / "home", **overrides))

        yield opened
