"""A local Discord for each test, whose wire is judged when the test is over."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.local_discord.serving import Local, local_discord


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Local]:
    with local_discord(tmp_path / "state") as made:
        yield made


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    """One for all tests of a module: each of them leaves it as it found it."""
    with local_discord(tmp_path_factory.mktemp("lasting") / "state") as made:
        yield made
