"""Reconciliation: differences between the broker's books and ours are named."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from mahler_pipelines.errors import BrokerUnavailable, CorruptData
from mahler_pipelines.execution.broker import OrderStatus
from mahler_pipelines.execution.broker_books import FindingKind, FindingStatus, RepairKind
from mahler_pipelines.execution.findings import Finding
from mahler_pipelines.execution.reconciliation import reconcile, settle_working_orders
from tests.execution.fakes import Crash
from tests.execution.scenes import LONG, SHORT, approved_scene, open_trade_scene

CLIENT_ID = "mahler-main-r-260112-mo-abcdef12-open-1"


def test_books_that_agree_give_no_finding() -> None:
    assert reconcile(open_trade_scene().desk) == ()


def test_partly_filled_working_order_is_expected_at_the_broker() -> None:
    scene = approved_scene()
    scene.broker.fill_units = 1
    scene.execute()
    assert reconcile(scene.desk) == ()


def test_every_kind_of_difference_is_named() -> None:
    scene = open_trade_scene()
    scene.broker.held[SHORT.symbol] = -2
    scene.broker.held[LONG.symbol] = 0
    scene.broker.held["SPY"] = 100
    findings = reconcile(scene.desk)
    assert findings == (
        Finding(FindingKind.UNKNOWN_POSITION, "SPY", Decimal(0), Decimal(100)),
        Finding(FindingKind.MISSING_LEG, LONG.symbol, Decimal(3), Decimal(0)),
        Finding(FindingKind.QUANTITY_DIFFERS, SHORT.symbol, Decimal(-3), Decimal(-2)),
        Finding(
            FindingKind.UNPAIRED_SHORT, SHORT.symbol, Decimal(0), Decimal(-2), "buy 2 to close"
        ),
    )


def test_order_at_the_broker_that_the_ledger_gave_up_is_orphaned() -> None:
    scene = approved_scene()
    scene.broker.fill_units = 0
    scene.execute()
    rows = scene.book.rows
    rows.orders[CLIENT_ID] = replace(rows.orders[CLIENT_ID], status=OrderStatus.REJECTED)
    (finding,) = reconcile(scene.desk)
    assert (finding.kind, finding.subject) == (FindingKind.ORPHANED_ORDER, CLIENT_ID)
    del rows.orders[CLIENT_ID]
    (finding,) = reconcile(scene.desk)
    assert finding.detail == "not in the ledger"


def test_finding_is_one_row_however_often_it_is_seen_and_ends_when_it_has_gone() -> None:
    scene = open_trade_scene()
    scene.broker.held["SPY"] = 100
    for _ in range(3):
        reconcile(scene.desk)
        scene.later(hours=8)
    (row,) = scene.book.rows.findings.values()
    assert (row.status, row.last_seen - row.first_seen) == (
        FindingStatus.OPEN,
        timedelta(hours=16),
    )
    told = [message for message in scene.book.rows.outbox.values() if message["kind"] == "finding"]
    assert [message["subject"] for message in told] == [row.id]
    del scene.broker.held["SPY"]
    assert reconcile(scene.desk) == ()
    (row,) = scene.book.rows.findings.values()
    assert (row.status, row.repair, row.resolved_by) == (
        FindingStatus.REPAIRED,
        RepairKind.GONE,
        "mahler",
    )
    scene.broker.held["SPY"] = 100
    reconcile(scene.desk)
    assert len(scene.book.rows.findings) == 2


def test_broker_that_cannot_be_read_changes_nothing_and_says_so() -> None:
    scene = approved_scene()
    scene.broker.fill_units = 0
    scene.execute()
    scene.broker.unavailable = [BrokerUnavailable("502")]
    (settled,) = settle_working_orders(scene.desk)
    assert (settled.before, settled.after, settled.problem) == (
        OrderStatus.ACKNOWLEDGED,
        OrderStatus.ACKNOWLEDGED,
        "502",
    )


def test_vanished_acknowledged_order_is_reported_and_kept() -> None:
    scene = approved_scene()
    scene.broker.fill_units = 0
    scene.execute()
    scene.broker.book.clear()
    scene.later(minutes=10)
    (settled,) = settle_working_orders(scene.desk)
    assert settled.after is OrderStatus.ACKNOWLEDGED
    assert "no longer knows" in settled.problem


def test_orders_of_a_held_lease_are_left_to_its_holder() -> None:
    scene = approved_scene()
    scene.broker.fill_units = 0
    scene.execute()
    scene.broker.fill(CLIENT_ID, 3)
    scene.book.holders["broker"] = "an execution"
    (settled,) = settle_working_orders(scene.desk)
    assert settled.after is OrderStatus.ACKNOWLEDGED
    assert "held by" in settled.problem


def test_intent_that_never_left_lapses_only_with_its_approval() -> None:
    """Until then `execute` may still take it up."""
    scene = approved_scene()
    scene.book.commits, scene.book.crash_after = 0, 3
    with pytest.raises(Crash):
        scene.execute()
    (settled,) = settle_working_orders(scene.desk)
    assert settled.after is OrderStatus.INTENDED
    scene.later(minutes=30)
    (settled,) = settle_working_orders(scene.desk)
    assert settled.after is OrderStatus.REJECTED
    assert (scene.status().value, scene.reason()) == ("failed", "never_sent")


def test_fill_of_an_order_given_up_is_corrupt() -> None:
    scene = approved_scene()
    scene.broker.fill_units = 0
    scene.execute()
    order = scene.broker.book[CLIENT_ID]
    scene.broker.book[CLIENT_ID] = replace(order, filled_quantity=9)
    with pytest.raises(CorruptData, match="9 of 3"):
        settle_working_orders(scene.desk)
