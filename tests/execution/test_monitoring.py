"""Monitoring: one look at everything held, and what follows."""

from dataclasses import replace
from decimal import Decimal

import pytest

from mahler_pipelines.errors import BrokerUnavailable, CorruptData
from mahler_pipelines.execution.closing import CloseStatus
from mahler_pipelines.execution.monitoring import watch
from mahler_pipelines.execution.trades import ExitReason, TradeStatus
from mahler_pipelines.risk.exit_terms import ExitAction, ExitTerms
from tests.execution.fakes import utc
from tests.execution.scenes import approved_scene, open_trade_scene

TERMS = ExitTerms()
QUIET = ((4.00, 4.10), (2.90, 2.95))
CHEAP = ((1.00, 1.04), (0.50, 0.52))


def test_quiet_position_is_marked_from_one_look_and_left_open() -> None:
    scene = open_trade_scene()
    scene.quote(*QUIET)
    scene.market.asked = 0
    report = watch(scene.desk, exits=TERMS)
    assert scene.market.asked == 1
    (mark,) = report.marks
    assert mark.cost_to_close == Decimal("1.125")
    assert mark.unrealised_pnl_usd == Decimal("7.50")
    assert mark.snapshot_hash == report.snapshot_hash
    assert scene.lake.snapshots[report.snapshot_hash or ""].scan == "monitor"
    assert (report.exits, scene.trade().status) == ((), TradeStatus.OPEN)


def test_reached_profit_target_closes_the_trade() -> None:
    scene = open_trade_scene()
    scene.quote(*CHEAP)
    scene.fill_at("1.04", "0.50")
    (outcome,) = watch(scene.desk, exits=TERMS).exits
    assert (outcome.status, outcome.exit_reason) == (CloseStatus.CLOSED, ExitReason.PROFIT_TARGET)
    assert scene.trade().pnl_usd == Decimal("183.00")


def test_alert_tells_once_a_session_and_sends_nothing() -> None:
    scene = open_trade_scene()
    scene.quote(*CHEAP)
    terms = replace(TERMS, action=ExitAction.ALERT)
    for _ in range(2):
        scene.later(minutes=5)
        (outcome,) = watch(scene.desk, exits=terms).exits
        assert outcome.status is CloseStatus.ALERTED
    messages = [row for row in scene.book.rows.outbox.values() if row["kind"] == "exit_reached"]
    assert len(messages) == 1
    assert messages[0]["payload"]["reason"] == "profit_target"
    assert len(scene.broker.submitted) == 1


def test_unfilled_close_is_requoted_at_the_next_look_with_its_first_reason() -> None:
    scene = open_trade_scene()
    scene.quote(*CHEAP)
    scene.broker.fill_units = 0
    watch(scene.desk, exits=TERMS)
    scene.later(minutes=5)
    scene.quote(*QUIET)
    scene.fill_at("4.08", "2.92")
    scene.broker.fill_units = None
    (outcome,) = watch(scene.desk, exits=TERMS).exits
    assert outcome.status is CloseStatus.CLOSED
    assert scene.trade().exit_reason is ExitReason.PROFIT_TARGET
    assert scene.broker.submitted[-1].limit_price == Decimal("1.20")
    assert len(scene.broker.cancelled) == 1


def test_time_exit_works_on_one_sided_quotes() -> None:
    scene = open_trade_scene()
    scene.at(utc(2026, 1, 30))
    scene.quote((float("nan"), 4.10), (2.90, 2.95))
    scene.fill_at("4.05", "2.92")
    report = watch(scene.desk, exits=TERMS)
    assert report.marks[0].problem == "quote_one_sided"
    assert report.exits[0].exit_reason is ExitReason.TIME_EXIT
    assert scene.trade().status is TradeStatus.CLOSED


def test_close_that_cannot_be_made_now_is_reported() -> None:
    scene = open_trade_scene()
    scene.quote(*CHEAP)
    scene.broker.fill_units = 0
    watch(scene.desk, exits=TERMS)
    scene.later(minutes=5)
    scene.broker.unavailable = [BrokerUnavailable("first"), BrokerUnavailable("second")]
    report = watch(scene.desk, exits=TERMS)
    assert report.settled[0].problem == "first"
    assert (report.exits[0].status, report.exits[0].detail) == (CloseStatus.FAILED, "second")


def test_outside_market_hours_positions_are_marked_and_nothing_is_sent() -> None:
    scene = open_trade_scene()
    scene.quote(*CHEAP)
    scene.broker.is_open = False
    report = watch(scene.desk, exits=TERMS)
    assert (len(report.marks), report.exits) == (1, ())


def test_second_look_at_the_same_moment_keeps_one_mark() -> None:
    scene = open_trade_scene()
    scene.quote(*QUIET)
    watch(scene.desk, exits=TERMS)
    watch(scene.desk, exits=TERMS)
    assert len(scene.book.rows.marks) == 1


def test_without_trades_the_market_is_not_asked() -> None:
    scene = approved_scene()
    report = watch(scene.desk, exits=TERMS)
    assert (report.marks, report.snapshot_hash, scene.market.asked) == ((), None, 0)


def test_corrupt_report_on_one_order_does_not_keep_another_trade_open() -> None:
    """It is loud, but only after every exit has been looked after."""
    scene = open_trade_scene()
    rows = scene.book.rows
    (order,) = rows.orders.values()
    stray = replace(order, client_order_id="mahler-main-stray", status=order.status.ACKNOWLEDGED)
    rows.orders[stray.client_order_id] = stray
    report = scene.broker.book[order.client_order_id]
    scene.broker.book[stray.client_order_id] = replace(
        report, client_order_id=stray.client_order_id, filled_quantity=9
    )
    scene.quote(*CHEAP)
    scene.fill_at("1.04", "0.50")
    with pytest.raises(CorruptData, match="stray"):
        watch(scene.desk, exits=TERMS)
    assert scene.trade().status is TradeStatus.CLOSED
