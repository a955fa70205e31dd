"""What the racing processes do; imported by the children, so it stays light."""

import os
import signal
import time
from datetime import date
from multiprocessing import get_context
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

from mahler_pipelines.errors import LeaseHeld
from mahler_pipelines.storage.ledger import SqlLedgerBook
from mahler_pipelines.storage.migrate import upgrade
from tests.storage import samples

PROCESSES = 6
# A clean server process imports once and forks each racer: nothing of the tests is inherited.
RACERS = get_context("forkserver")
RACERS.set_forkserver_preload(
    [__name__, "alembic.command", "alembic.autogenerate", "mahler_pipelines.storage.lake"]
)


def race(work: Any, *arguments: Any) -> list[Any]:
    """Start `work(*arguments, number, barrier, answers)` six times at once; return the answers."""
    barrier, answers = RACERS.Barrier(PROCESSES), RACERS.Queue()
    racers = [
        RACERS.Process(target=work, args=(*arguments, number, barrier, answers))
        for number in range(PROCESSES)
    ]
    for racer in racers:
        racer.start()
    try:
        found = [answers.get(timeout=60) for _ in racers]
        for racer in racers:
            racer.join(30)
        assert [racer.exitcode for racer in racers] == [0] * PROCESSES
    finally:
        for racer in racers:
            racer.kill()
            racer.join(5)
    return found


def enter(url: str, limit: int, number: int, barrier: Barrier, answers: "Queue[int]") -> None:
    """Try five entries, each only while the day's count is below the limit."""
    book = SqlLedgerBook(url)
    book.upgrade()
    passed = 0
    barrier.wait(60)
    for attempt in range(5):
        with book.transaction("main") as ledger:
            if ledger.entries_on(samples.SESSION) < limit:
                name = f"{number}-{attempt}"
                passed += ledger.add_order(samples.order(f"o-{name}", subject_id=f"r-{name}"))
    book.close()
    answers.put(passed)


def work_alone(
    url: str, workshop: str, number: int, barrier: Barrier, answers: "Queue[tuple[int, int]]"
) -> None:
    """Get the lease five times; while holding it, make a file that must not be there yet."""
    book = SqlLedgerBook(url)
    book.upgrade()
    barrier.wait(60)
    overlaps = done = 0
    sign = Path(workshop) / "at-work"
    while done < 5:
        try:
            with book.lease("broker", account_id="main", holder=f"run-{number}", seconds=30):
                try:
                    sign.touch(exist_ok=False)
                except FileExistsError:
                    overlaps += 1
                time.sleep(0.003)
                sign.unlink(missing_ok=True)
                done += 1
        except LeaseHeld:
            time.sleep(0.002)
    book.close()
    answers.put((done, overlaps))


def hold_until_killed(url: str, seconds: float, answers: "Queue[str]") -> None:
    """Take the lease, say so, and never give it back."""
    book = SqlLedgerBook(url)
    with book.lease("broker", account_id="main", holder="killed", seconds=seconds):
        answers.put("held")
        time.sleep(60)


def migrate(url: str, number: int, barrier: Barrier, answers: "Queue[int]") -> None:
    """Bring an empty database to the newest revision."""
    barrier.wait(60)
    upgrade(url)
    answers.put(number)


def write_often(root: str, number: int, barrier: Barrier, answers: "Queue[int]") -> None:
    """Replace one partition again and again with frames that carry our number only."""
    import pandas as pd

    from mahler_pipelines.storage.lake import ParquetLake

    lake = ParquetLake(root)
    rows = pd.DataFrame({"writer": [number] * 1000, "place": range(1000)})
    barrier.wait(60)
    for _ in range(15):
        lake.write("contested", rows, session=date(2024, 1, 3), scan="morning")
    answers.put(number)


def die_while_writing(root: str) -> None:
    """Be killed after the temporary file is written and before it replaces the partition."""
    import pandas as pd

    from mahler_pipelines.storage.lake import ParquetLake

    def die(_file: int) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    os.fsync = die  # type: ignore[assignment]
    rows = pd.DataFrame({"value": [2.0]})
    ParquetLake(root).write("prices", rows, session=date(2024, 1, 3), scan="morning")
