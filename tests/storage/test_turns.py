"""The threads of one process take turns at the ledger, and none waits for ever."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mahler_pipelines.errors import LedgerBusy
from mahler_pipelines.storage.ledger import SqlLedgerBook
from tests.storage.samples import NOW

THREADS, TURNS = 8, 20


def test_every_thread_s_writes_are_kept(tmp_path: Path) -> None:
    book = SqlLedgerBook(f"sqlite:///{tmp_path / 'ledger.sqlite'}")

    def write(name: int) -> None:
        for turn in range(TURNS):
            with book.transaction("main") as ledger:
                ledger.audit("turn", f"{name}-{turn}", {}, at=NOW)

    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(write, range(THREADS)))
    with book.reading("main") as ledger:
        events = [event.subject for event in ledger.audit_events() if event.kind == "turn"]
    assert len(set(events)) == len(events) == THREADS * TURNS


def test_a_thread_that_waits_too_long_for_another_is_told_so(tmp_path: Path) -> None:
    book = SqlLedgerBook(f"sqlite:///{tmp_path / 'ledger.sqlite'}", timeout_seconds=0.1)
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with book.transaction("main"):
            held.set()
            assert done.wait(10)

    with ThreadPoolExecutor(1) as threads:
        holding = threads.submit(hold)
        assert held.wait(10)
        with pytest.raises(LedgerBusy, match="another thread"), book.transaction("main"):
            pass
        with book.reading("main") as ledger:
            assert ledger.audit_events() == ()
        done.set()
        holding.result()
    with book.transaction("main") as ledger:
        ledger.audit("turn", "after", {}, at=NOW)
