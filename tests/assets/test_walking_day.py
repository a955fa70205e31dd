"""Limits walk through the real graph: a run takes the steps of its orders."""

from decimal import Decimal
from itertools import pairwise

from mahler_pipelines.cli.run_plan import ApprovalPolicy, RunPlan
from mahler_pipelines.cli.session_runner import SessionRunner
from mahler_pipelines.execution.slippage import entry_slippage_usd
from tests.assets.conftest import Open
from tests.assets.desk import ACCOUNT, SESSION, metadata


def test_run_moves_its_clock_from_step_to_step_until_orders_are_met(open_desk: Open) -> None:
    """Approvals begin nearer the mid than natural and end as trades within what was approved."""
    desk = open_desk(execution={"start_fraction": "0.5"})
    runner = SessionRunner(
        desk.desk, desk.definitions, desk.instance, desk.exchange, ask=lambda _: True
    )
    for shown in desk.pending()[:2]:
        desk.approve(shown.id)
    assert len(desk.execute_approved()) == 2
    runner.play(RunPlan((SESSION,), (), ApprovalPolicy.NONE))
    assert runner.failures == []
    orders = desk.orders()
    assert len(orders) > len(desk.trades()) > 0
    assert all(order.status.is_final for order in orders)
    for trade in desk.trades():
        shown = desk.stored(trade.recommendation_id).recommendation
        own = [one for one in orders if one.subject_id == shown.id]
        limits = [-(one.limit_price or Decimal(0)) for one in own]
        assert limits[0] > shown.natural_credit - Decimal("0.01")
        assert all(limit >= shown.floor_credit for limit in limits)
        assert all(one.cancel_reason == "next_step" for one in own[:-1])
        waits = {
            (after.intended_at - before.intended_at).total_seconds()
            for before, after in pairwise(own)
        }
        assert all(wait % 30 == 0 for wait in waits)
        assert trade.entry_credit >= shown.floor_credit
        with desk.desk.ledger.reading(ACCOUNT) as book:
            assert entry_slippage_usd(book, trade) is not None


def test_step_shows_in_the_assets_metadata(open_desk: Open) -> None:
    desk = open_desk(execution={"start_fraction": "0.5"})
    key = desk.pending()[0].id
    desk.approve(key)
    desk.execute_approved()
    first = desk.orders()[0]
    desk.advance(first.intended_at + desk.desk.terms.walk.pace)
    result = desk.execute(key)
    told = metadata(result, ACCOUNT, "orders")
    assert told["attempts"] == len(desk.orders())
    assert metadata(result, ACCOUNT, "fills")["slippage_usd"] is not None
