"""A small drill of deliveries on real processes, as `make drill` plays it with 200 kills."""

import subprocess
import sys
from pathlib import Path

import pytest

from drills.channel import mark_of, shows
from drills.messages import BETWEEN, FOUND, LEFT
from tests.cli.programs import environment


@pytest.mark.slow
def test_killed_deliveries_leave_a_true_channel(tmp_path: Path) -> None:
    """No decision lost, no message twice, every card in its true state."""
    done = subprocess.run(
        [sys.executable, "-m", "drills.messages", "--kills", "10", "--seed", "3"],
        cwd=tmp_path,
        env=environment(TMPDIR=str(tmp_path)),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert lines[-1] == "passed"
    counts = {line[:44].strip(): int(line[44:]) for line in lines if line[44:].strip().isdigit()}
    assert [counts[kind] for kind in FOUND] == [0] * len(FOUND)
    assert counts[BETWEEN] == 10
    assert max(counts[left] for left in LEFT) <= 50
    assert counts["answers"] > 0
    assert counts["messages in the channel"] > counts["of them cards"] > 0
    assert [path for path in tmp_path.iterdir() if path.name.startswith("mahler-")] == []


def test_a_difference_is_seen() -> None:
    """A drill that could not fail would show nothing."""
    button = {"custom_id": "mahler:1:approve:main:r-1"}
    raw = {
        "content": "",
        "embeds": [{"title": "SPY", "footer": {"text": "r-1 · #0123456789"}}],
        "components": [{"components": [button]}],
    }
    assert shows(raw, raw)
    assert not shows(raw | {"components": []}, raw)
    assert not shows(raw | {"content": "x"}, raw)
    assert not shows(raw | {"embeds": [{"title": "QQQ"}]}, raw)
    assert mark_of(raw) == "#0123456789"
    assert mark_of({"content": "words\n-# #abc", "embeds": []}) == "#abc"
    assert mark_of({"content": "words", "embeds": []}) == ""
