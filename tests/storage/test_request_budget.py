"""The request budget of a book: several processes, one count."""

import logging
import resource
import sqlite3
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mahler_pipelines.execution.request_budget import Api, RequestLimits, Urgency
from mahler_pipelines.storage.request_budget import SharedRequestBudget

TRADING, DATA = Api.TRADING, Api.DATA
ORDER, LOOK, SCAN = Urgency.ORDER, Urgency.LOOK, Urgency.SCAN
TEN = RequestLimits(trading=10, data=10, reserved=0.4)


class Clock:
    """A clock that a test sets."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "book" / "requests.sqlite"


def budget(file: Path, clock: Clock, limits: RequestLimits = TEN) -> SharedRequestBudget:
    return SharedRequestBudget(file, limits, clock=clock)


def taken(mine: SharedRequestBudget, urgency: Urgency, *, api: Api = TRADING) -> int:
    """How many requests may go at this moment, one after another."""
    count = 0
    while mine.take(api, urgency).is_mine:
        count += 1
    return count


def test_scans_leave_what_is_reserved_and_orders_use_it_all(file: Path, clock: Clock) -> None:
    with closing(budget(file, clock)) as mine:
        assert [taken(mine, urgency) for urgency in (SCAN, LOOK, ORDER)] == [6, 2, 2]
        assert [taken(mine, urgency) for urgency in (ORDER, LOOK, SCAN)] == [0, 0, 0]


def test_trading_and_data_are_counted_apart_and_off_counts_nothing(
    file: Path, clock: Clock
) -> None:
    with closing(budget(file, clock)) as mine:
        assert taken(mine, ORDER) == 10
        assert taken(mine, ORDER, api=DATA) == 10
    unlimited = RequestLimits(trading=None, data=10, reserved=0.4)
    with closing(budget(file, clock, unlimited)) as mine:
        assert all(mine.take(TRADING, SCAN).is_mine for _ in range(50))
        assert not mine.take(DATA, SCAN).is_mine


def test_two_processes_share_one_count(file: Path, clock: Clock) -> None:
    with closing(budget(file, clock)) as one, closing(budget(file, clock)) as other:
        assert taken(one, LOOK) == 8
        assert not other.take(TRADING, LOOK).is_mine
        assert other.take(TRADING, ORDER).is_mine


def test_who_waits_as_long_as_told_has_a_turn(file: Path, clock: Clock) -> None:
    with closing(budget(file, clock)) as mine:
        for _ in range(6):
            assert mine.take(TRADING, SCAN).is_mine
            clock.now += 3.0
        refused = mine.take(TRADING, SCAN)
        assert refused.wait_seconds == pytest.approx(60 - 18)
        clock.now += refused.wait_seconds - 0.01
        assert not mine.take(TRADING, SCAN).is_mine
        clock.now += 0.02
        assert taken(mine, SCAN) == 1


MOVES = st.lists(
    st.tuples(st.floats(0, 25), st.sampled_from(list(Urgency)), st.booleans()),
    min_size=20,
    max_size=60,
)


@settings(max_examples=25)
@given(moves=MOVES)
def test_no_minute_holds_more_than_the_limit_wherever_it_begins(
    moves: list[tuple[float, Urgency, bool]],
) -> None:
    clock, sent = Clock(), defaultdict[Urgency, list[float]](list)
    with (
        TemporaryDirectory() as folder,
        closing(budget(Path(folder) / "r.sqlite", clock)) as one,
        closing(budget(Path(folder) / "r.sqlite", clock)) as other,
    ):
        for pause, urgency, first in moves:
            clock.now += pause
            while (one if first else other).take(TRADING, urgency).is_mine:
                sent[urgency].append(clock.now)
                if len(sent[urgency]) % 3 == 0:
                    break
    for most, urgencies in ((6, [SCAN]), (8, [SCAN, LOOK]), (10, [SCAN, LOOK, ORDER])):
        moments = sorted(moment for urgency in urgencies for moment in sent[urgency])
        for start in moments:
            assert sum(start <= moment < start + 60 for moment in moments) <= most


@pytest.mark.parametrize("jump", [-3600.0, -1.0, 3600.0])
def test_a_clock_that_jumps_lets_nobody_wait_longer_than_a_minute(
    file: Path, clock: Clock, jump: float
) -> None:
    with closing(budget(file, clock)) as mine:
        assert taken(mine, ORDER) == 10
        mine.learn(TRADING, mine.take(TRADING, ORDER), remaining=0, reset_seconds=40)
        clock.now += jump
        turn = mine.take(TRADING, ORDER)
        assert turn.is_mine or turn.wait_seconds <= 60
        clock.now += turn.wait_seconds
        assert mine.take(TRADING, ORDER).is_mine


def test_what_the_broker_says_holds_every_process_back_until_its_reset(
    file: Path, clock: Clock
) -> None:
    with closing(budget(file, clock)) as one, closing(budget(file, clock)) as other:
        turn = one.take(TRADING, SCAN)
        one.learn(TRADING, turn, remaining=5, reset_seconds=20)
        # Somebody else used the account: five remain, four of which scans leave alone.
        assert [taken(other, urgency) for urgency in (SCAN, LOOK, ORDER)] == [1, 2, 2]
        assert other.take(DATA, SCAN).is_mine
        refused = other.take(TRADING, ORDER)
        assert refused.wait_seconds == pytest.approx(20)
        clock.now += refused.wait_seconds
        assert taken(other, ORDER) == 10 - 6


def test_a_refusal_of_the_broker_holds_back_even_a_spent_budget(file: Path, clock: Clock) -> None:
    with closing(budget(file, clock)) as mine:
        for _ in range(9):
            mine.take(TRADING, ORDER)
            clock.now += 6.0
        last = mine.take(TRADING, ORDER)
        assert last.left == 0
        mine.learn(TRADING, last, remaining=0, reset_seconds=30)
        clock.now += 10.0  # two of the requests are a minute old by now
        assert not mine.take(TRADING, ORDER).is_mine
        clock.now += 20.0
        assert mine.take(TRADING, ORDER).is_mine


def test_requests_on_their_way_are_not_in_what_the_broker_said(file: Path, clock: Clock) -> None:
    with closing(budget(file, clock)) as mine:
        first = mine.take(TRADING, ORDER)
        clock.now += 0.1
        mine.take(TRADING, ORDER)
        mine.take(TRADING, ORDER)
        mine.learn(TRADING, first, remaining=4, reset_seconds=20)
        assert taken(mine, ORDER) == 2


def test_more_room_than_was_thought_changes_nothing(file: Path, clock: Clock) -> None:
    with closing(budget(file, clock)) as mine:
        mine.learn(TRADING, mine.take(TRADING, ORDER), remaining=199, reset_seconds=20)
        assert taken(mine, ORDER) == 9


def test_a_new_minute_of_the_broker_replaces_what_was_said_of_the_last(
    file: Path, clock: Clock
) -> None:
    with closing(budget(file, clock)) as mine:
        turn = mine.take(TRADING, ORDER)
        mine.learn(TRADING, turn, remaining=0, reset_seconds=1)
        mine.learn(TRADING, turn, remaining=3, reset_seconds=60)
        assert taken(mine, ORDER) == 3


HOLD = """
import sqlite3, sys, time
held = sqlite3.connect(sys.argv[1], isolation_level=None)
held.execute("BEGIN IMMEDIATE")
print("held", flush=True)
time.sleep(600)
"""


@contextmanager
def holder(file: Path) -> Iterator["subprocess.Popen[str]"]:
    """A process that holds the file's write lock."""
    command = [sys.executable, "-c", HOLD, str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().strip() == "held"
            yield process
        finally:
            process.kill()


def test_a_killed_process_leaves_no_lock_behind(
    file: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(budget(file, clock)) as mine, closing(budget(file, clock)) as other:
        assert taken(mine, SCAN) == 6
        with holder(file) as process:
            process.kill()
            process.wait()
            assert [taken(other, urgency) for urgency in (SCAN, LOOK)] == [0, 2]
    assert not caplog.records


def test_while_the_file_is_locked_each_process_counts_for_itself_and_says_so(
    file: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    mine = SharedRequestBudget(file, TEN, rest_seconds=0.0, clock=clock)
    with closing(mine):
        assert taken(mine, LOOK) == 8
        with holder(file):
            assert mine.take(TRADING, ORDER).is_mine
            assert mine.take(TRADING, ORDER).left == 8
        assert taken(mine, ORDER) == 2
    warning, found = caplog.records
    assert (warning.levelname, found.levelname) == ("WARNING", "INFO")
    assert "requests are counted for this process alone" in warning.getMessage()
    assert "database is locked" in warning.getMessage()


def no_folder(file: Path) -> None:
    file.parent.write_text("a file stands where the folder should be")


def no_database(file: Path) -> None:
    file.parent.mkdir()
    file.write_bytes(b"not a database at all " * 400)


def another_database(file: Path) -> None:
    file.parent.mkdir()
    with closing(sqlite3.connect(file)) as other:
        other.execute("CREATE TABLE requests (something TEXT)")


@pytest.mark.parametrize("spoil", [no_folder, no_database, another_database])
def test_a_file_that_cannot_be_used_stops_no_request(
    file: Path, clock: Clock, caplog: pytest.LogCaptureFixture, spoil: object
) -> None:
    assert callable(spoil)
    spoil(file)
    with closing(budget(file, clock)) as mine:
        assert [taken(mine, urgency) for urgency in (SCAN, LOOK, ORDER)] == [6, 2, 2]
    assert [record.levelname for record in caplog.records] == ["WARNING"]


@contextmanager
def full_disk() -> Iterator[None]:
    """No regular file of this process may grow."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_stops_no_request(
    file: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    mine = SharedRequestBudget(file, TEN, rest_seconds=0.0, clock=clock)
    with closing(mine):
        assert taken(mine, SCAN) == 6
        with full_disk():
            # The file can be read, and says no; what it cannot write is counted elsewhere.
            assert [taken(mine, urgency) for urgency in (SCAN, ORDER)] == [0, 10]
        # What was counted before is still there.
        assert [taken(mine, urgency) for urgency in (SCAN, ORDER)] == [0, 4]
    assert [r.levelname for r in caplog.records if r.levelno >= logging.WARNING] == ["WARNING"]


FORK = """
import os, pathlib, sys
from tests.storage.test_request_budget import LOOK, ORDER, SCAN, Clock, budget, taken

mine = budget(pathlib.Path(sys.argv[1]), Clock())
assert taken(mine, SCAN) == 6
child = os.fork()
if child == 0:
    os._exit(0 if [taken(mine, SCAN), taken(mine, LOOK)] == [0, 2] else 1)
assert os.waitpid(child, 0)[1] == 0
assert taken(mine, ORDER) == 2
mine.close()
"""


def test_a_fork_counts_in_the_same_file(file: Path, repository_root: Path) -> None:
    # In a process of its own: a test runner has threads, and those do not survive a fork.
    subprocess.run([sys.executable, "-c", FORK, str(file)], check=True, cwd=repository_root)
