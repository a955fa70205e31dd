"""Six processes at one ledger: a limit that holds, and a lease that one holds at a time."""

import time
from pathlib import Path

import pytest

from mahler_pipelines.errors import LeaseHeld
from mahler_pipelines.storage.ledger import SqlLedgerBook
from tests.storage import racers, samples


def test_six_processes_pass_a_limit_of_ten_exactly_ten_times(
    book: SqlLedgerBook, ledger_url: str
) -> None:
    """Thirty attempts; without the write lock before the count more than ten would pass."""
    passed = racers.race(racers.enter, ledger_url, 10)
    assert sum(passed) == 10
    with book.reading("main") as ledger:
        assert ledger.entries_on(samples.SESSION) == 10
        assert len(ledger.orders()) == 10
        assert len(ledger.audit_events()) == 10


def test_six_processes_hold_a_lease_one_at_a_time(
    book: SqlLedgerBook, ledger_url: str, tmp_path: Path
) -> None:
    assert racers.race(racers.work_alone, ledger_url, str(tmp_path)) == [(5, 0)] * 6
    with book.lease("broker", account_id="main", holder="after", seconds=1):
        pass


def test_the_lease_of_a_killed_holder_expires(book: SqlLedgerBook, ledger_url: str) -> None:
    answers = racers.RACERS.Queue()
    holder = racers.RACERS.Process(target=racers.hold_until_killed, args=(ledger_url, 1.5, answers))
    holder.start()
    assert answers.get(timeout=60) == "held"
    holder.kill()
    holder.join(10)
    started = time.monotonic()
    with (
        pytest.raises(LeaseHeld, match="killed"),
        book.lease("broker", account_id="main", holder="next", seconds=1),
    ):
        pass
    while True:
        try:
            with book.lease("broker", account_id="main", holder="next", seconds=1):
                break
        except LeaseHeld:
            assert time.monotonic() - started < 10
            time.sleep(0.05)
    assert time.monotonic() - started < 5
