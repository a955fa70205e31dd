"""Books that small runs left, and `mahler` inside the test's own process."""

import os
import sys
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from mahler_pipelines.cli import main
from mahler_pipelines.composition import compose, local_exchange
from mahler_pipelines.market.sessions import TradingCalendar
from mahler_pipelines.settings import Settings
from tests.cli.programs import Ended, run_report

SETTINGS = {"universe": "TUBA,ARIA", "screen.iv_lookback_sessions": 40}
"""Few names and a short history, so that a session takes seconds."""
SESSION = "2025-03-03"
LOOKS = ("--sessions", SESSION, "--scans", "morning", "--monitor", "120m")

Mahler = Callable[..., Ended]


@pytest.fixture
def mahler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Mahler:
    """Run `mahler` in this process: no mahler.toml, no .env, no settings in the environment."""
    for name in [*os.environ]:
        if name.startswith(("ALPACA_", "ANTHROPIC_", "DISCORD_")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, home: Path | None = None) -> Ended:
        given = ["mahler", "--home", str(home or tmp_path / "home"), *arguments]
        monkeypatch.setattr(sys, "argv", given)
        capsys.readouterr()
        try:
            main()
            code = 0
        except SystemExit as ending:
            code = ending.code if isinstance(ending.code, int) else 0
        said = capsys.readouterr()
        return Ended(code, said.out, said.err)

    return run


@pytest.fixture(scope="session")
def traded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """The home and the report of a run that traded, with looks at 11:30, 13:30 and 15:30."""
    home = tmp_path_factory.mktemp("traded")
    return home, run_report(home, *LOOKS, settings=SETTINGS)


@pytest.fixture(scope="module")
def unanswered(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A run in which nobody answered; what its afternoon proposed still stands."""
    home = tmp_path_factory.mktemp("unanswered")
    report = run_report(
        home,
        *("--sessions", SESSION, "--scans", "morning,afternoon", "--approve", "none"),
        settings={**SETTINGS, "approval.expires_after_minutes": 180},
    )
    return home, report


@pytest.fixture(scope="module")
def open_desk(unanswered: tuple[Path, Any]) -> Iterator[tuple[Path, Any]]:
    """The unanswered book with its exchange running, the clock where the run left it."""
    home, report = unanswered
    desk = compose(Settings.load({"home": str(home)}, directory=home, environ={}))
    with local_exchange(desk, begin=TradingCalendar().open(date.fromisoformat(SESSION))):
        yield home, report


@pytest.fixture
def stored_recommendation() -> Callable[[Path], Any]:
    """The first recommendation of a home's book."""

    def first(home: Path) -> Any:
        desk = compose(Settings.load({"home": str(home)}, directory=home, environ={}))
        with desk.ledger.reading(desk.terms.account_id) as book:
            return book.recommendations()[0].recommendation

    return first
