"""Twenty people approve one recommendation, each from a process of their own: one order."""

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from drills.books import read_exchange
from drills.stage import FIRST_SESSION, set_up
from mahler_pipelines.decisions.recommendation import RecommendationStatus
from mahler_pipelines.market.chains import Scan
from tests.storage.approvers import PROCESSES, approve_together
from tests.storage.conftest import Databases


@pytest.mark.slow
def test_twenty_concurrent_approvals_are_one_order(
    databases: Databases, database: str, tmp_path: Path
) -> None:
    """On both databases, against the real exchange, which is asked itself afterwards."""
    url = None if database == "sqlite" else databases(database, True)
    with set_up(tmp_path / "home", seed=1, universe=("TUBA",), database_url=url) as stage:
        (shown,) = stage.scan(FIRST_SESSION, Scan.MORNING, count=1)
        answers = approve_together(stage.home, shown.id)
        journal = stage.exchange.control.journal(1000)
        at_exchange = read_exchange(stage.exchange.url).orders
        with stage.ledger.reading(stage.account) as book:
            stored = book.recommendation(shown.id)
            orders, trades = book.orders(), book.trades()
            events = book.audit_events(subject=shown.id)

    posted = [
        line
        for line in journal
        if line["method"] == "POST" and urlsplit(line["path"]).path.endswith("/orders")
    ]
    assert len(posted) == len(at_exchange) == len(orders) == 1
    assert at_exchange[0]["client_order_id"] == orders[0].client_order_id
    assert orders[0].subject_id == shown.id
    assert len(trades) == (stored is not None and stored.status is RecommendationStatus.EXECUTED)

    outcomes = sorted(outcome for _, outcome, _, _ in answers)
    assert outcomes == ["already_decided"] * (PROCESSES - 1) + ["recorded"]
    (winner,) = [who for who, outcome, _, _ in answers if outcome == "recorded"]
    assert stored is not None
    assert stored.decision is not None
    assert stored.decision.decided_by == winner
    assert stored.decision.content_hash == shown.content_hash
    assert [event.kind for event in events].count("decision_added") == 1

    refused = [event.detail for event in events if event.kind == "answer_refused"]
    others = {who for who, outcome, _, _ in answers if outcome != "recorded"}
    assert {row["by"] for row in refused} == others
    assert {row["door"].removeprefix("door-") for row in refused} == {
        who.removeprefix("person-") for who in others
    }
    assert len(refused) == PROCESSES - 1
    told = [message for who, _, message, _ in answers if who != winner]
    assert all(f"already answered: approve by {winner}" in message for message in told)
    assert len({status for *_, status in answers}) == 1, "everybody learns of the same outcome"
