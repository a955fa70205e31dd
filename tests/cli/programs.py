"""Starting `mahler` as a program of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conftest import ROOT


@dataclass(frozen=True)
class Ended:
    """How a program ended."""

    code: int
    out: str
    err: str


_SETTINGS = ("MAHLER_", "ALPACA_", "ANTHROPIC_", "APCA_", "DISCORD_", "DAGSTER_", "COLUMNS")


def environment(**more: str) -> dict[str, str]:
    """This environment without settings of the person who runs the tests."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_SETTINGS)}
    return {**kept, "PYTHONPATH": str(ROOT), **more}


def mahler(home: Path, *arguments: str, more: Mapping[str, str] | None = None) -> Ended:
    """Run `mahler --home HOME …` away from any mahler.toml or .env, and wait for its end."""
    home.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-m", "mahler_pipelines", "--home", str(home), *arguments],
        cwd=home,
        env=environment(**(more or {})),
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def run_report(home: Path, *arguments: str, settings: Mapping[str, object] | None = None) -> Any:
    """Run `mahler run … --json`, see that it succeeded, and return what it wrote."""
    overrides = [part for key, value in (settings or {}).items() for part in _set(key, value)]
    path = home / "report.json"
    ended = mahler(home, *overrides, "run", *arguments, "--json", str(path))
    assert ended.code == 0, ended.err + ended.out
    return json.loads(path.read_text())


def _set(key: str, value: object) -> tuple[str, str]:
    return "--set", f"{key}={value}"
