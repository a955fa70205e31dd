"""Programs beside `mahler dev`: they end with it, however it ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mahler_pipelines.cli.claiming import BookInUse, claimed
from mahler_pipelines.cli.companions import CompanionDied, Companions, companions
from mahler_pipelines.storage.books import BookPaths
from tests.cli.processes import descendants, left_over
from tests.cli.programs import environment

STUBBORN = """
import signal, subprocess, sys, time
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print("up", flush=True)
time.sleep(60)
"""
POLITE = """
import time
try:
    print("up", flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    print("left", flush=True)
"""
PARENT = """
import os, sys, time
from pathlib import Path
from mahler_pipelines.cli.companions import companions
with companions(os.environ, Path(sys.argv[1])) as held:
    held.start("sleeper", "sleeper", [])
    time.sleep(60)
"""


def modules(folder: Path, **sources: str) -> dict[str, str]:
    """Modules in a folder, and the environment in which they are found."""
    for name, source in sources.items():
        (folder / f"{name}.py").write_text(source)
    found = environment()
    return {**found, "PYTHONPATH": os.pathsep.join([found["PYTHONPATH"], str(folder)])}


def wait_for(path: Path, text: str) -> None:
    deadline = time.monotonic() + 20
    while not (path.is_file() and text in path.read_text()):
        assert time.monotonic() < deadline, f"{path.name} does not say {text}"
        time.sleep(0.05)


def test_stopping_ends_a_program_with_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even one that listens to no request: the last word is a kill of the whole group."""
    monkeypatch.setattr(
        "mahler_pipelines.cli.companions._ASKED_TO_LEAVE",
        ((signal.SIGINT, 0.3), (signal.SIGTERM, 0.3), (signal.SIGKILL, 5.0)),
    )
    with companions(modules(tmp_path, stubborn=STUBBORN), tmp_path / "logs") as held:
        held.start("stubborn", "stubborn", [])
        wait_for(tmp_path / "logs" / "stubborn.log", "up")
        started = descendants(os.getpid())
        assert len(started) >= 2
        held.require_running()
    assert left_over(started, seconds=5) == set()


def test_program_is_asked_politely_even_from_the_background(tmp_path: Path) -> None:
    """A shell that runs `mahler dev &` ignores SIGINT, and so would all that it starts."""
    sources = modules(tmp_path, polite=POLITE)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with companions(sources, tmp_path / "logs") as held:
            held.start("polite", "polite", [])
            wait_for(tmp_path / "logs" / "polite.log", "up")
    finally:
        signal.signal(signal.SIGINT, before)
    assert (tmp_path / "logs" / "polite.log").read_text() == "up\nleft\n"


def watch(held: Companions, *, seconds: float) -> None:
    """Look until a program is missing; the kernel's list of children may lag a moment behind."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        held.require_running()
        time.sleep(0.05)


def test_program_that_ends_is_an_error_that_quotes_its_log(tmp_path: Path) -> None:
    sources = modules(tmp_path, brief="raise SystemExit('no such thing')")
    with companions(sources, tmp_path / "logs") as held:
        held.start("brief", "brief", [])
        with pytest.raises(CompanionDied, match=r"(?s)brief ended with 1.*no such thing"):
            watch(held, seconds=20)


def test_killed_parent_takes_its_programs_along(tmp_path: Path) -> None:
    """Nobody can clean up after SIGKILL but the kernel."""
    sources = modules(tmp_path, sleeper="print('up', flush=True)\nimport time\ntime.sleep(60)")
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path / "logs")],
        env=sources,
        start_new_session=True,
    )
    try:
        wait_for(tmp_path / "logs" / "sleeper.log", "up")
        started = descendants(parent.pid)
        assert started
    finally:
        parent.kill()
        parent.wait()
    assert left_over(started, seconds=10) == set()


def test_book_has_one_program_at_a_time(tmp_path: Path) -> None:
    paths = BookPaths(tmp_path, "sim-7")
    with (
        claimed(paths, "mahler dev"),
        pytest.raises(BookInUse, match=rf"sim-7 is in use by mahler dev \(process {os.getpid()}\)"),
        claimed(paths, "mahler run"),
    ):
        pass
    with claimed(paths, "mahler run"), claimed(BookPaths(tmp_path, "sim-8"), "mahler run"):
        assert (tmp_path / "books" / "sim-7.claim").read_text().startswith("mahler run")
