"""A small drill on real processes, as `make drill` plays it with 500 kills."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.programs import environment


def play(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "drills.kill", "--underlyings", "1", "--batch", "12", *arguments],
        cwd=folder,
        env=environment(TMPDIR=str(folder)),
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )


@pytest.mark.slow
def test_killed_processes_leave_exact_books(tmp_path: Path) -> None:
    """Killed lean and in the Dagster run: one order or a reason for none, and equal books."""
    done = play(tmp_path, "--kills", "14", "--dagster", "2", "--seed", "3")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "kills 14, of them in a Dagster run 2"
    assert lines[-1] == "passed"
    found = {line[:42].strip(): int(line[42:]) for line in lines[lines.index("found") + 1 : -1]}
    assert len(found) == 9
    assert set(found.values()) == {0}
    assert _count(lines, "one order at a time at the exchange") > 0
    assert [path for path in tmp_path.iterdir() if path.name.startswith("mahler-")] == []


def _count(lines: list[str], words: str) -> int:
    (line,) = [line for line in lines if line.strip().startswith(words)]
    return int(line.rsplit(maxsplit=1)[1])
