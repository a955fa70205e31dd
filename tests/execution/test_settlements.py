"""Settlements: what the broker did without an order of ours, booked once it is told, not before."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest

from mahler_pipelines.execution.booking import closing_fills
from mahler_pipelines.execution.broker import BrokerOrder
from mahler_pipelines.execution.broker_books import FindingKind, FindingStatus, HoldingSource
from mahler_pipelines.execution.broker_history import read_history
from mahler_pipelines.execution.invariants import open_value_usd, realised_usd
from mahler_pipelines.execution.reconciliation import reconcile
from mahler_pipelines.execution.trades import ExitReason, TradeStatus
from tests.execution.fakes import activity
from tests.execution.scenes import LONG, NOW, SHORT, Scene, open_trade_scene

TODAY = NOW.date()


def assigned_scene(contracts: int = 3) -> Scene:
    """Some contracts of the short put were assigned early; nothing is posted yet."""
    scene = open_trade_scene()
    reconcile(scene.desk)
    scene.later(hours=1)
    scene.broker.hold(SHORT.symbol, contracts, Decimal(0))
    scene.broker.hold("SPY", 100 * contracts, Decimal(580))
    return scene


def post(scene: Scene, contracts: int = 3, *, group: str | None = "g1") -> None:
    """The next day: the assignment and its shares are in the history."""
    scene.later(days=1)
    scene.broker.history = [
        activity(SHORT.symbol, kind="OPASN", day=TODAY, quantity=contracts, group=group),
        activity(
            "SPY",
            kind="OPTRD",
            day=TODAY,
            quantity=100 * contracts,
            price="580",
            net_amount=str(-58_000 * contracts),
            group=group,
        ),
    ]


def kinds(scene: Scene) -> dict[str, str]:
    return {row.subject: row.kind.value for row in scene.book.rows.findings.values()}


def test_an_early_assignment_is_a_finding_without_a_cause_until_it_is_posted() -> None:
    scene = assigned_scene()
    found = {row.subject: row.kind for row in reconcile(scene.desk)}
    assert found == {
        SHORT.symbol: FindingKind.MISSING_LEG,
        "SPY": FindingKind.UNKNOWN_POSITION,
    }
    assert scene.trade().status is TradeStatus.OPEN
    assert scene.book.rows.holdings == {}
    post(scene)
    assert reconcile(scene.desk) == ()
    assert kinds(scene) == {SHORT.symbol: "assigned", "SPY": "assigned"}
    assert all(
        (row.status, row.resolved_by) == (FindingStatus.REPAIRED, "mahler")
        for row in scene.book.rows.findings.values()
    )


@pytest.mark.parametrize("group", ["g1", None])
def test_the_premium_of_an_assignment_is_in_the_cost_of_its_shares(group: str | None) -> None:
    scene = assigned_scene()
    post(scene, group=group)
    reconcile(scene.desk)
    trade, lots = scene.trade(), scene.book.rows.holdings.values()
    assert (trade.status, trade.exit_reason) == (TradeStatus.CLOSED, ExitReason.ASSIGNED)
    assert trade.pnl_usd == 0, "what it earns or loses is earned by what it left behind"
    assert {(lot.symbol, lot.quantity, lot.average_price, lot.source) for lot in lots} == {
        ("SPY", 300, Decimal("575.90"), HoldingSource.ASSIGNED),
        (LONG.symbol, 3, Decimal("2.95"), HoldingSource.REMAINDER),
    }
    assert all(row.left == 0 for row in scene.book.rows.activities.values())
    with scene.book.transaction("main") as ledger:
        assert scene.broker.cash - 100_000 == realised_usd(ledger) + open_value_usd(ledger)


def test_an_assignment_of_some_contracts_leaves_the_whole_units_in_the_trade() -> None:
    scene = assigned_scene(contracts=2)
    post(scene, contracts=2)
    assert reconcile(scene.desk) == ()
    trade = scene.trade()
    with scene.book.transaction("main") as ledger:
        assert closing_fills(ledger, trade)[0] == 2
    assert trade.status is TradeStatus.OPEN
    lots = {lot.symbol: lot.quantity for lot in scene.book.rows.holdings.values()}
    assert lots == {"SPY": 200, LONG.symbol: 2}


def test_booking_twice_changes_nothing() -> None:
    scene = assigned_scene()
    post(scene)
    reconcile(scene.desk)
    before = scene.book.rows.savepoint()
    reconcile(scene.desk)
    assert scene.book.rows.holdings == before.holdings
    assert scene.book.rows.trades == before.trades
    assert scene.book.rows.outbox == before.outbox


def test_an_assignment_takes_the_oldest_trade_first() -> None:
    scene = open_trade_scene()
    first = scene.trade()
    second = replace(
        first, id="t-second", contracts=2, entry_time=first.entry_time + timedelta(hours=1)
    )
    scene.book.rows.trades[second.id] = second
    for symbol, quantity in ((SHORT.symbol, -2), (LONG.symbol, 2)):
        scene.broker.hold(symbol, quantity, scene.broker.averages[symbol])
    reconcile(scene.desk)
    scene.broker.hold(SHORT.symbol, 4, Decimal(0))
    scene.broker.hold("SPY", 400, Decimal(580))
    post(scene, contracts=4)
    reconcile(scene.desk)
    with scene.book.transaction("main") as ledger:
        ended = [closing_fills(ledger, trade)[0] for trade in (first, second)]
    assert ended == [3, 1]


def test_a_leg_that_another_order_closed_is_liquidated_at_its_price() -> None:
    scene = open_trade_scene()
    reconcile(scene.desk)
    scene.later(hours=1)
    scene.broker.by_another_hand(LONG.symbol, -3, "2.00")
    scene.broker.by_another_hand(SHORT.symbol, 3, "5.00")
    assert reconcile(scene.desk) == ()
    trade = scene.trade()
    assert (trade.status, trade.exit_reason) == (TradeStatus.CLOSED, ExitReason.LIQUIDATED)
    assert {leg.symbol: leg.price for leg in trade.exit_legs} == {
        SHORT.symbol: Decimal("5.00"),
        LONG.symbol: Decimal("2.00"),
    }
    assert trade.pnl_usd == Decimal("-555.00"), "opened for 1.15, closed for 3.00, three times"
    assert scene.broker.cash - 100_000 == trade.pnl_usd


def test_an_exercise_of_the_long_leg_is_booked_with_its_premium_in_the_price() -> None:
    scene = open_trade_scene()
    reconcile(scene.desk)
    scene.later(hours=1)
    scene.broker.hold(LONG.symbol, -3, Decimal(0))
    scene.broker.hold("SPY", -300, Decimal(575))
    scene.later(days=1)
    scene.broker.history = [
        activity(LONG.symbol, kind="OPXRC", day=TODAY, quantity=-3),
        activity("SPY", kind="OPTRD", day=TODAY, quantity=-300, price="575", net_amount="172500"),
    ]
    found = reconcile(scene.desk)
    assert [row.kind for row in found] == [], "short shares cover a short put"
    assert scene.trade().exit_reason is ExitReason.EXERCISED
    lots = {
        lot.symbol: (lot.quantity, lot.average_price) for lot in scene.book.rows.holdings.values()
    }
    assert lots == {"SPY": (-300, Decimal("572.05")), SHORT.symbol: (-3, Decimal("4.10"))}


def test_shares_sold_before_their_assignment_was_posted_end_the_lot() -> None:
    scene = assigned_scene()
    scene.broker.by_another_hand("SPY", -300, "578")
    sold = list(scene.broker.history)
    reconcile(scene.desk)
    post(scene)
    scene.broker.history += sold
    assert reconcile(scene.desk) == ()
    shares = next(lot for lot in scene.book.rows.holdings.values() if lot.symbol == "SPY")
    assert (shares.quantity, shares.realised_usd) == (0, Decimal("630.00"))


def test_a_round_trip_of_another_hand_moves_cash_and_nothing_else() -> None:
    scene = open_trade_scene()
    reconcile(scene.desk)
    scene.later(minutes=1)
    scene.broker.by_another_hand(SHORT.symbol, 1, "5.00", row="a")
    scene.broker.by_another_hand(SHORT.symbol, -1, "5.50", row="b")
    assert reconcile(scene.desk, thorough=True) == ()
    (lot,) = scene.book.rows.holdings.values()
    assert (lot.quantity, lot.realised_usd) == (0, Decimal("50.00"))
    assert scene.trade().status is TradeStatus.OPEN


def test_our_own_fills_in_the_history_are_told_from_those_of_another_hand() -> None:
    """By their sums where these agree, else by the ids under which our orders ran."""
    scene = open_trade_scene()
    reconcile(scene.desk)
    ours = [
        ("o1", SHORT.symbol, -3, "4.10", "leg-1"),
        ("o2", LONG.symbol, 3, "2.95", "leg-2"),
    ]
    history = []
    for row, symbol, quantity, price, order in ours:
        scene.broker.by_another_hand(symbol, quantity, price, row=row)
        scene.broker.hold(symbol, -quantity, Decimal(price))
        history.append(replace(scene.broker.history[-1], order_id=order))
    scene.broker.history = history[:1]
    read_history(scene.desk)
    assert scene.book.rows.activities["o1"].ours, "it adds up to what we filled"
    original = scene.broker.order_by_client_id

    def with_ids(client_order_id: str) -> BrokerOrder | None:
        order = original(client_order_id)
        return replace(order, leg_ids=("leg-1", "leg-2")) if order else None

    scene.broker.order_by_client_id = with_ids  # type: ignore[method-assign]
    scene.broker.history = [*history]
    scene.broker.by_another_hand(LONG.symbol, 1, "2.00", row="theirs")
    read_history(scene.desk)
    activities = scene.book.rows.activities
    assert (activities["o2"].ours, activities["theirs"].ours) == (True, False)


def test_history_that_was_read_is_not_read_into_the_ledger_again() -> None:
    scene = assigned_scene()
    post(scene)
    for _ in range(2):
        read_history(scene.desk)
    assert len(scene.book.rows.activities) == 2
    scene.broker.history.append(
        replace(
            activity(LONG.symbol, kind="OPEXP", day=date(2026, 1, 13), quantity=-3),
            raw={"status": "canceled"},
        )
    )
    read_history(scene.desk)
    assert len(scene.book.rows.activities) == 2, "a cancelled row states nothing"
