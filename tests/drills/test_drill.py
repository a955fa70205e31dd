"""The parts of the kill drill that need no process."""

from collections import Counter
from dataclasses import replace

import pandas as pd
import pytest

from drills.books import Verdict, Violation
from drills.drill import MUST_BE_SEEN, Left, Plan, Result, Tally, Timing
from drills.kill import table
from drills.processes import Task
from drills.stage import disjoint


def result(*, kills: int = 500, dagster: int = 50, seen: frozenset[Left] = MUST_BE_SEEN) -> Result:
    """A drill as planned, in which every step was met and nothing was found."""
    tally = Tally(kills=Counter(lean=kills - dagster, dagster=dagster), left=Counter(seen))
    verdict = Verdict(approvals=9, one_order=8, no_order={"lapsed: x": 1}, trades=8, closed=1)
    return Result(verdict, tally, Plan(500, 50, seed=1), seconds=1.0, harmed=Counter())


def test_drill_as_planned_passes() -> None:
    assert result().passed
    assert list(table(result()))[-1] == "passed"


def test_violation_fails_the_drill_and_is_named() -> None:
    found = result()
    found = replace(
        found, verdict=replace(found.verdict, violations={Violation.GHOST_TRADE: ("t-1",)})
    )
    assert not found.passed
    lines = list(table(found))
    assert "    t-1" in lines
    assert lines[-1] == "FAILED"


@pytest.mark.parametrize(("kills", "dagster"), [(499, 50), (500, 49)])
def test_fewer_kills_than_planned_fail(kills: int, dagster: int) -> None:
    assert not result(kills=kills, dagster=dagster).passed


@pytest.mark.parametrize("step", sorted(MUST_BE_SEEN))
def test_step_that_no_kill_met_fails_a_long_drill(step: Left) -> None:
    found = result(seen=MUST_BE_SEEN - {step})
    assert found.unseen == {step}
    assert not found.passed
    assert f"no kill met: {step}" in list(table(found))


def test_short_drill_need_not_meet_every_step() -> None:
    found = replace(result(kills=14, dagster=2, seen=frozenset()), plan=Plan(14, 2, seed=1))
    assert found.passed


def test_delays_come_from_the_latest_measurements() -> None:
    """A machine that became slower is killed as late as it now works."""
    timing = Timing(
        whole=[0.1] * 9 + [1.0] * 5, after_look=[0.1] * 9 + [0.4] * 5, to_send=[0.02] * 5
    )
    spans = timing.spans()
    assert [after_look for after_look, _ in spans] == [False, True, True]
    assert [longest for _, longest in spans] == pytest.approx([1.02, 0.408, 0.03])


def test_task_arrives_as_it_was_sent() -> None:
    task = Task(settle_first=True, execute=("r-1",), close=("t-1", "t-2"))
    assert Task.read(task.text()) == task


def test_proposed_spreads_share_no_contract() -> None:
    pairs = [("A", "B"), ("B", "C"), ("D", "E"), ("F", "A"), ("G", "H"), ("I", "J")]
    table_of = pd.DataFrame(pairs, columns=["short_symbol", "long_symbol"])
    chosen = disjoint(table_of, {"H"}, count=3)
    assert list(chosen["short_symbol"]) == ["A", "D", "I"]
