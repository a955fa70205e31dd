"""The exchange as a child process: it starts, answers, keeps its state, and never stays behind."""

import json
import os
import signal
import subprocess
import sys
import time
from datetime import date, datetime
from pathlib import Path

import pandas as pd
import pytest

from mahler_pipelines.errors import BadInput
from mahler_pipelines.exchange.process import ExchangeDidNotStart, LocalExchange
from mahler_pipelines.market.chains import conform_quotes
from mahler_pipelines.market.sessions import NEW_YORK
from tests.exchange.test_archive import PM, row


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    for session in (date(2019, 5, 9), date(2019, 5, 13)):
        folder = tmp_path / "lake" / "archive_quotes" / f"session={session}"
        folder.mkdir(parents=True)
        quotes = conform_quotes(pd.DataFrame([row(PM, session, 20.0, 20.5, 2850.0)]))
        quotes.to_parquet(folder / "part.parquet")
    return tmp_path / "lake"


def gone(pid: int) -> bool:
    """Whether a process has ended; a zombie that nobody has waited for counts as ended."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


def test_child_answers_moves_and_stands_where_it_was_left(lake: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    noon = datetime(2019, 5, 10, 12, tzinfo=NEW_YORK)
    with LocalExchange(f"archive:{lake}", state, name="archive-test") as exchange:
        ready = json.loads((state / "exchange.json").read_text())
        assert exchange.url == f"http://127.0.0.1:{ready['port']}"
        assert ready["pid"] == exchange.pid
        assert exchange.status()["market"] == "archive-test"
        assert exchange.advance_to(noon)["now"] == "2019-05-10T16:00:00+00:00"
        with pytest.raises(BadInput, match="before"):
            exchange.advance_to(noon.replace(hour=10))
        with pytest.raises(ExchangeDidNotStart, match="another exchange runs on it"):
            LocalExchange(f"archive:{lake}", state, name="archive-test").start()
        assert exchange.status()["market"] == "archive-test"
        pid = ready["pid"]
    assert gone(pid)
    assert not (state / "exchange.json").exists()
    with LocalExchange(f"archive:{lake}", state, name="archive-test") as exchange:
        assert exchange.status()["now"] == "2019-05-10T16:00:00+00:00"


def test_child_that_can_not_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(ExchangeDidNotStart, match="no archived quotes"):
        LocalExchange(f"archive:{tmp_path}", tmp_path / "state").start()


@pytest.mark.skipif(sys.platform != "linux", reason="the death signal is Linux's")
def test_killed_parent_leaves_no_process(lake: Path, tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path;"
        "from mahler_pipelines.exchange.process import LocalExchange;"
        f"e = LocalExchange('archive:{lake}', Path({str(tmp_path / 'state')!r})).start();"
        "print(e.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        os.kill(parent.pid, signal.SIGKILL)
        assert gone(child)
