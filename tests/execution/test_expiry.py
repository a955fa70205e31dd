"""Expiry: trades are closed from what the clearing house did, not from what we think."""

from datetime import date, datetime
from decimal import Decimal

import pytest

from mahler_pipelines.execution.broker import OrderStatus
from mahler_pipelines.execution.closing import close_trade
from mahler_pipelines.execution.expiry import settle_expired
from mahler_pipelines.execution.reconciliation import settle_working_orders
from mahler_pipelines.execution.trades import ExitReason, TradeStatus
from tests.execution.fakes import activity, utc
from tests.execution.scenes import EXPIRATION, LONG, SHORT, Scene, open_trade_scene

AFTER_CLOSE = utc(2026, 2, 20, hour=22)


def expired_scene() -> Scene:
    """The trade's expiration has passed and the broker holds nothing any more."""
    scene = open_trade_scene()
    scene.at(AFTER_CLOSE)
    scene.broker.is_open = False
    scene.broker.held.clear()
    return scene


def test_worthless_legs_keep_the_whole_credit() -> None:
    scene = expired_scene()
    scene.broker.history = [
        activity(SHORT.symbol, kind="OPEXP", day=EXPIRATION, quantity=3),
        activity(LONG.symbol, kind="OPEXP", day=EXPIRATION, quantity=-3),
    ]
    (outcome,) = settle_expired(scene.desk)
    assert outcome.reason is ExitReason.EXPIRED
    trade = scene.trade()
    assert (trade.exit_debit, trade.pnl_usd) == (Decimal(0), Decimal("345.00"))
    assert {(leg.bid, leg.ask, leg.snapshot) for leg in trade.exit_legs} == {(None, None, None)}


def test_cash_settlement_is_worth_the_cash_that_moved() -> None:
    scene = expired_scene()
    scene.broker.history = [
        activity(
            SHORT.symbol,
            kind="OPCSH",
            day=EXPIRATION,
            quantity=3,
            price="576.5",
            net_amount="-1050",
        ),
        activity(LONG.symbol, kind="OPEXP", day=EXPIRATION, quantity=-3),
    ]
    (outcome,) = settle_expired(scene.desk)
    assert outcome.reason is ExitReason.EXPIRED
    assert scene.trade().exit_debit == Decimal("3.50")
    assert scene.trade().pnl_usd == Decimal("-705.00")


def test_assignment_of_both_legs_loses_the_width_and_leaves_no_shares() -> None:
    scene = expired_scene()
    scene.broker.history = [
        activity(SHORT.symbol, kind="OPASN", day=EXPIRATION, quantity=3),
        activity(
            "SPY", kind="OPTRD", day=EXPIRATION, quantity=300, price="580", net_amount="-174000"
        ),
        activity(LONG.symbol, kind="OPXRC", day=EXPIRATION, quantity=-3),
        activity(
            "SPY", kind="OPTRD", day=EXPIRATION, quantity=-300, price="575", net_amount="172500"
        ),
    ]
    (outcome,) = settle_expired(scene.desk)
    assert outcome.reason is ExitReason.ASSIGNED
    assert scene.trade().exit_debit == Decimal(5)
    assert scene.trade().pnl_usd == Decimal("-1155.00"), "345 received, 1500 delivered"
    assert scene.book.rows.holdings == {}
    assert all(row.left == 0 for row in scene.book.rows.activities.values())


def test_assignment_of_the_short_leg_alone_leaves_shares_that_carry_its_premium() -> None:
    scene = expired_scene()
    scene.broker.held["SPY"] = 300
    scene.broker.history = [
        activity(SHORT.symbol, kind="OPASN", day=EXPIRATION, quantity=3),
        activity(LONG.symbol, kind="OPEXP", day=EXPIRATION, quantity=-3),
    ]
    settle_expired(scene.desk)
    trade = scene.trade()
    assert trade.exit_reason is ExitReason.ASSIGNED
    assert {leg.symbol: leg.price for leg in trade.exit_legs} == {
        SHORT.symbol: Decimal("4.10"),
        LONG.symbol: Decimal(0),
    }
    assert trade.pnl_usd == Decimal("-885.00"), "the long put's premium, 2.95 on 300 shares"
    (shares,) = scene.book.rows.holdings.values()
    assert (shares.symbol, shares.quantity, shares.average_price, shares.carried_price) == (
        "SPY",
        300,
        Decimal("575.90"),
        Decimal(580),
    )


def test_trade_waits_for_activities_that_are_not_there_yet() -> None:
    """A paper account shows them the next day: until then nothing is guessed."""
    scene = expired_scene()
    (outcome,) = settle_expired(scene.desk)
    assert (outcome.reason, outcome.problem) == (None, f"no activity of {SHORT.symbol} yet")
    scene.broker.history = [activity(SHORT.symbol, kind="OPASN", day=EXPIRATION, quantity=3)]
    (outcome,) = settle_expired(scene.desk)
    assert outcome.problem == f"no activity of {LONG.symbol} yet"
    assert scene.trade().status is TradeStatus.OPEN


def test_trade_whose_legs_are_still_held_waits() -> None:
    scene = expired_scene()
    scene.broker.held = {SHORT.symbol: -3}
    (outcome,) = settle_expired(scene.desk)
    assert outcome.problem == f"still held: {SHORT.symbol}"


@pytest.mark.parametrize(
    "moment", [utc(2026, 2, 19, hour=22), utc(2026, 2, 20, hour=15), utc(2026, 2, 20, hour=13)]
)
def test_nothing_expires_before_the_close_of_its_last_session(moment: datetime) -> None:
    scene = expired_scene()
    scene.at(moment)
    scene.broker.is_open = scene.broker.now.hour == 15
    if scene.broker.now.hour == 13:
        clock = scene.broker.clock()
        scene.broker.clock = lambda: type(clock)(  # type: ignore[method-assign]
            clock.now, False, utc(2026, 2, 20, hour=14, minute=30), clock.next_close
        )
    assert settle_expired(scene.desk) == ()


def test_part_closed_before_expiry_counts_with_what_expired() -> None:
    scene = open_trade_scene()
    scene.quote((1.00, 1.04), (0.56, 0.60))
    scene.fill_at("1.04", "0.56")
    scene.broker.fill_units = 1
    close_trade(scene.trade().id, ExitReason.TIME_EXIT, desk=scene.desk)
    scene.broker.end(f"mahler-main-{scene.trade().id}-close-1", OrderStatus.EXPIRED)
    settle_working_orders(scene.desk)
    scene.at(AFTER_CLOSE)
    scene.broker.is_open = False
    scene.broker.held.clear()
    scene.broker.history = [
        activity(SHORT.symbol, kind="OPEXP", day=EXPIRATION, quantity=2),
        activity(LONG.symbol, kind="OPEXP", day=EXPIRATION, quantity=-2),
    ]
    settle_expired(scene.desk)
    trade = scene.trade()
    assert trade.pnl_usd == Decimal("297.00")
    assert scene.broker.cash - 100_000 == trade.pnl_usd
    assert trade.exit_reason is ExitReason.EXPIRED


def test_activities_of_before_the_entry_are_not_taken() -> None:
    scene = expired_scene()
    old = date(2026, 1, 5)
    scene.broker.history = [
        activity(SHORT.symbol, kind="OPEXP", day=old, quantity=3),
        activity(LONG.symbol, kind="OPEXP", day=old, quantity=-3),
    ]
    (outcome,) = settle_expired(scene.desk)
    assert outcome.reason is None
