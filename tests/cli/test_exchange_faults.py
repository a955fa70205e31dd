"""`mahler exchange --faults FILE`: the exchange alone, misbehaving for any client."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mahler_pipelines.exchange.control import ExchangeControl
from tests.cli.processes import descendants, left_over
from tests.cli.programs import environment, mahler

PLAN = '{"rules": [{"name": "late", "fault": {"kind": "hang", "seconds": 3}}]}'


def test_a_wrong_fault_file_is_told_before_anything_starts(tmp_path: Path) -> None:
    file = tmp_path / "faults.json"
    file.write_text('{"rules": [{"fault": {"kind": "drop", "sooner": true}}]}')
    ended = mahler(tmp_path / "home", "exchange", "--faults", str(file))
    assert ended.code != 0
    assert "unknown key 'sooner' in rules.0.fault" in " ".join(ended.err.split())
    assert list((tmp_path / "home").iterdir()) == []


@pytest.mark.slow
def test_the_exchange_alone_plays_the_file(tmp_path: Path) -> None:
    (tmp_path / "faults.json").write_text(PLAN)
    log = tmp_path / "said"
    with log.open("wb") as output:
        program = subprocess.Popen(
            [
                *(sys.executable, "-m", "mahler_pipelines", "--home", "home", "exchange"),
                *("--state", "state", "--faults", "faults.json"),
            ],
            cwd=tmp_path,
            env=environment(COLUMNS="300"),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + 90
        while "Ctrl-C" not in log.read_text():
            assert program.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        control = ExchangeControl(log.read_text().split(" at ")[1].split(",")[0])
        assert control.faults()["counts"] == [{"name": "late", "matched": 0, "met": 0}]
        started = descendants(program.pid)
    finally:
        program.send_signal(signal.SIGINT)
        program.wait(30)
    assert started
    assert left_over(started, seconds=10) == set()
