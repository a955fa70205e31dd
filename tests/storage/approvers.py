"""What the approving processes do; imported by the children, so it stays light."""

import time
from multiprocessing import get_context
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path

from drills.processes import execution_desk, settings_in
from mahler_pipelines.composition import compose
from mahler_pipelines.decisions.approvals import decide
from mahler_pipelines.decisions.recommendation import DecisionVerdict
from mahler_pipelines.errors import LeaseHeld
from mahler_pipelines.execution.account_view import GateRecheck
from mahler_pipelines.execution.submission import execute

PROCESSES = 20
APPROVERS = get_context("forkserver")

Answer = tuple[str, str, str, str]
"""Who answered, the outcome, what they were told, and what their execution came to."""


def approve_together(home: Path, recommendation_id: str) -> list[Answer]:
    """Let every process approve this recommendation at once, and execute it; return the answers."""
    barrier, answers = APPROVERS.Barrier(PROCESSES), APPROVERS.Queue()
    people = [
        APPROVERS.Process(
            target=approve_and_execute, args=(str(home), recommendation_id, who, barrier, answers)
        )
        for who in range(PROCESSES)
    ]
    for person in people:
        person.start()
    try:
        found: list[Answer] = [answers.get(timeout=120) for _ in people]
        for person in people:
            person.join(30)
        assert [person.exitcode for person in people] == [0] * PROCESSES
    finally:
        for person in people:
            person.kill()
            person.join(5)
    return found


def approve_and_execute(
    home: str, recommendation_id: str, number: int, barrier: Barrier, answers: "Queue[Answer]"
) -> None:
    """Say yes through a door of its own, then do what the execution run does."""
    desk = compose(settings_in(Path(home)))
    account, now = desk.terms.account_id, desk.broker.clock().now
    with desk.ledger.reading(account) as view:
        assert view.recommendation(recommendation_id) is not None
    barrier.wait(120)
    with desk.ledger.transaction(account) as book:
        result = decide(
            book,
            recommendation_id=recommendation_id,
            verdict=DecisionVerdict.APPROVE,
            decided_by=f"person-{number}",
            door=f"door-{number}",
            at=now,
        )
    here, recheck = execution_desk(desk), GateRecheck(desk.terms)
    while True:
        try:
            came_of_it = execute(recommendation_id, desk=here, recheck=recheck)
            break
        except LeaseHeld:
            time.sleep(0.05)
    answers.put((f"person-{number}", result.outcome.value, result.message, came_of_it.status.value))
