"""Repairs: what a person starts, in any trading state, and what is never guessed."""

from dataclasses import replace
from decimal import Decimal

import pandas as pd
import pytest

from mahler_pipelines.errors import IllegalTransition, MissingData
from mahler_pipelines.execution.account_view import current_exposure
from mahler_pipelines.execution.broker import OrderStatus
from mahler_pipelines.execution.broker_books import FindingKind, FindingStatus, RepairKind
from mahler_pipelines.execution.ledger import OrderPurpose
from mahler_pipelines.execution.reconciliation import reconcile
from mahler_pipelines.execution.repairs import dismiss, repair
from mahler_pipelines.risk.trading_state import TradingState
from tests.execution.fakes import activity
from tests.execution.scenes import LONG, NOW, SHORT, Scene, approved_scene, open_trade_scene
from tests.execution.test_settlements import assigned_scene, post


def finding(scene: Scene, kind: FindingKind) -> str:
    """Id of the only finding of a kind."""
    (row,) = [row for row in scene.book.rows.findings.values() if row.kind is kind]
    return row.id


def settled(scene: Scene) -> Scene:
    """The scene after its first look, a minute later."""
    reconcile(scene.desk)
    scene.later(minutes=1)
    return scene


def test_a_position_of_another_hand_is_adopted_at_what_it_was_filled_at() -> None:
    scene = settled(open_trade_scene())
    scene.broker.by_another_hand("SPY", 60, "600.10", row="a")
    scene.broker.by_another_hand("SPY", 40, "600.60", row="b")
    reconcile(scene.desk)
    outcome = repair(scene.desk, finding(scene, FindingKind.UNKNOWN_POSITION), by="anna")
    assert (outcome.done, outcome.repair) == (True, RepairKind.ADOPT)
    (lot,) = scene.book.rows.holdings.values()
    assert (lot.quantity, lot.average_price) == (100, Decimal("600.30"))
    assert reconcile(scene.desk, thorough=True) == ()
    (row,) = scene.book.rows.findings.values()
    assert (row.status, row.resolved_by) == (FindingStatus.REPAIRED, "anna")


def test_without_fills_the_broker_s_average_is_the_price_and_zero_never_is() -> None:
    scene = settled(open_trade_scene())
    scene.broker.held["SPY"] = 100
    scene.broker.averages["SPY"] = Decimal(0)
    reconcile(scene.desk)
    identifier = finding(scene, FindingKind.UNKNOWN_POSITION)
    outcome = repair(scene.desk, identifier, by="anna")
    assert (outcome.done, outcome.detail) == (False, "price not_available")
    assert scene.book.rows.holdings == {}
    assert scene.book.rows.findings[identifier].status is FindingStatus.OPEN
    scene.broker.averages["SPY"] = Decimal("599.5")
    assert repair(scene.desk, identifier, by="anna").done
    (lot,) = scene.book.rows.holdings.values()
    assert lot.average_price == Decimal("599.5")


def test_an_adopted_position_counts_at_risk_and_is_no_trade_to_learn_from() -> None:
    scene = settled(open_trade_scene())
    scene.broker.by_another_hand("SPY", 100, "600")
    reconcile(scene.desk)
    with scene.book.transaction("main") as ledger:
        before = current_exposure(ledger)
    repair(scene.desk, finding(scene, FindingKind.UNKNOWN_POSITION), by="anna")
    with scene.book.transaction("main") as ledger:
        after = current_exposure(ledger)
        assert len(ledger.trades()) == 1
    assert after.heat_usd - before.heat_usd == 60_000


def test_shares_whose_option_went_away_are_not_adopted_before_the_cause_is_told() -> None:
    scene = assigned_scene()
    reconcile(scene.desk)
    outcome = repair(scene.desk, finding(scene, FindingKind.UNKNOWN_POSITION), by="anna")
    assert not outcome.done
    assert "cause" in outcome.detail
    assert scene.book.rows.holdings == {}


@pytest.mark.parametrize("state", list(TradingState))
def test_an_unpaired_short_raises_the_alarm_and_is_bought_back_in_any_state(
    state: TradingState,
) -> None:
    scene = settled(open_trade_scene())
    scene.book.rows.state = (state, "")
    scene.book.holders["broker"] = "an opening at work"
    scene.broker.by_another_hand(LONG.symbol, -3, "2.90")
    (found,) = reconcile(scene.desk)
    assert (found.kind, found.found) == (FindingKind.UNPAIRED_SHORT, Decimal(-3))
    assert "unpaired_short" in {row["kind"] for row in scene.book.rows.outbox.values()}
    scene.fill_at("4.18", "2.95")
    outcome = repair(scene.desk, finding(scene, FindingKind.UNPAIRED_SHORT), by="anna")
    assert outcome.done, outcome
    sent = scene.broker.submitted[-1]
    assert (sent.limit_price, sent.quantity) == (Decimal("4.20"), 3)
    assert [leg.intent.value for leg in sent.legs] == ["buy_to_close"]
    (order,) = [o for o in scene.book.rows.orders.values() if o.purpose is OrderPurpose.HEDGE]
    assert order.status is OrderStatus.FILLED
    assert reconcile(scene.desk, thorough=True) == ()
    lots = {
        lot.symbol: (lot.quantity, lot.realised_usd) for lot in scene.book.rows.holdings.values()
    }
    assert lots == {SHORT.symbol: (0, Decimal("-24.00"))}


def test_a_bare_short_of_another_hand_is_taken_over_and_covered() -> None:
    scene = settled(approved_scene())
    scene.broker.by_another_hand(SHORT.symbol, -2, "4.00")
    reconcile(scene.desk)
    scene.fill_at("4.20", "2.95")
    outcome = repair(scene.desk, finding(scene, FindingKind.UNPAIRED_SHORT), by="anna")
    assert outcome.done, outcome
    (lot,) = scene.book.rows.holdings.values()
    assert (lot.quantity, lot.realised_usd) == (0, Decimal("-40.00"))
    assert reconcile(scene.desk, thorough=True) == ()
    assert all(row.status is FindingStatus.REPAIRED for row in scene.book.rows.findings.values())


def test_a_cover_that_works_is_not_sent_twice() -> None:
    scene = settled(open_trade_scene())
    scene.broker.by_another_hand(LONG.symbol, -3, "2.90")
    reconcile(scene.desk)
    scene.broker.fill_units = 0
    identifier = finding(scene, FindingKind.UNPAIRED_SHORT)
    for _ in range(2):
        assert not repair(scene.desk, identifier, by="anna").done
    assert len(scene.broker.submitted) == 2, "the opening, and one cover"


def test_a_cover_waits_for_the_market_and_a_dry_run_sends_nothing() -> None:
    scene = settled(open_trade_scene())
    scene.broker.by_another_hand(LONG.symbol, -3, "2.90")
    reconcile(scene.desk)
    identifier = finding(scene, FindingKind.UNPAIRED_SHORT)
    scene.broker.is_open = False
    assert repair(scene.desk, identifier, by="anna").detail == "market_closed"
    scene.broker.is_open, scene.dry_run = True, True
    assert not repair(scene.desk, identifier, by="anna").done
    assert len(scene.broker.submitted) == 1


def test_what_an_assignment_left_is_swept() -> None:
    scene = assigned_scene()
    post(scene)
    reconcile(scene.desk)
    scene.later(minutes=1)
    scene.market.quotes = pd.concat([scene.market.quotes])
    scene.broker.prices = {"SPY": Decimal("599.99"), LONG.symbol: Decimal("2.90")}
    identifier = min(scene.book.rows.findings)
    outcome = repair(scene.desk, identifier, by="anna")
    assert outcome.done, outcome
    sold = {order.legs[0].symbol: order for order in scene.broker.submitted[1:]}
    assert (sold["SPY"].quantity, sold["SPY"].limit_price) == (300, Decimal("-599.99"))
    assert (sold[LONG.symbol].quantity, sold[LONG.symbol].limit_price) == (3, Decimal("-2.90"))
    assert {order.legs[0].intent.value for order in sold.values()} == {"sell_to_close"}
    assert not any(lot.quantity for lot in scene.book.rows.holdings.values())
    assert reconcile(scene.desk, thorough=True) == ()


def test_an_orphaned_order_is_cancelled_at_the_broker() -> None:
    scene = approved_scene()
    scene.broker.fill_units = 0
    scene.execute()
    scene.book.rows.orders.clear()
    reconcile(scene.desk)
    outcome = repair(scene.desk, finding(scene, FindingKind.ORPHANED_ORDER), by="anna")
    assert outcome.done
    assert scene.broker.open_orders() == ()
    assert reconcile(scene.desk) == ()


def test_a_dismissed_difference_rests_until_its_numbers_change() -> None:
    scene = settled(open_trade_scene())
    scene.broker.by_another_hand("SPY", 100, "600")
    reconcile(scene.desk)
    identifier = finding(scene, FindingKind.UNKNOWN_POSITION)
    with scene.book.transaction("main") as ledger:
        dismiss(ledger, identifier, reason="my own shares", by="anna", at=NOW)
    assert reconcile(scene.desk) == ()
    row = scene.book.rows.findings[identifier]
    assert (row.status, row.detail["reason"]) == (FindingStatus.DISMISSED, "my own shares")
    scene.broker.by_another_hand("SPY", 1, "600")
    (found,) = reconcile(scene.desk)
    assert found.found == 101


def test_a_finding_that_has_ended_is_not_repaired_again() -> None:
    scene = settled(open_trade_scene())
    scene.broker.by_another_hand("SPY", 100, "600")
    reconcile(scene.desk)
    identifier = finding(scene, FindingKind.UNKNOWN_POSITION)
    repair(scene.desk, identifier, by="anna")
    with pytest.raises(IllegalTransition):
        repair(scene.desk, identifier, by="anna")
    with pytest.raises(MissingData):
        repair(scene.desk, "d-none", by="anna")


def test_a_dividend_that_was_posted_is_explained_and_a_missing_cent_is_a_finding() -> None:
    scene = settled(open_trade_scene())
    scene.broker.cash += Decimal("12.34")
    (found,) = reconcile(scene.desk, thorough=True)
    assert (found.kind, found.subject) == (FindingKind.INVARIANT, "cash:cash")
    assert found.found - found.expected == Decimal("12.34")
    scene.broker.history = [
        activity("SPY", kind="DIV", day=NOW.date(), quantity=0, net_amount="12.34")
    ]
    assert reconcile(scene.desk, thorough=True) == ()
    scene.broker.cash -= Decimal("0.01")
    assert len(reconcile(scene.desk, thorough=True)) == 1


def test_fees_are_what_was_posted_and_until_then_what_is_charged() -> None:
    scene = approved_scene()
    scene.terms = replace(scene.terms, fee_per_contract_usd=Decimal("0.65"))
    settled(scene)
    scene.execute()
    scene.broker.cash -= Decimal("3.90")
    assert reconcile(scene.desk, thorough=True) == ()
    scene.broker.history = [
        activity(SHORT.symbol, kind="FEE", day=NOW.date(), quantity=3, net_amount="-1.95"),
        activity(LONG.symbol, kind="FEE", day=NOW.date(), quantity=3, net_amount="-1.95"),
    ]
    assert reconcile(scene.desk, thorough=True) == ()


def test_a_price_that_differs_is_a_finding() -> None:
    scene = settled(open_trade_scene())
    scene.broker.averages[SHORT.symbol] = Decimal("4.11")
    (found,) = reconcile(scene.desk, thorough=True)
    assert found.subject == f"average_price:{SHORT.symbol}"
    assert (found.expected, found.found) == (Decimal("4.10"), Decimal("4.11"))


def test_a_result_that_the_cash_does_not_bear_out_is_a_finding() -> None:
    scene = settled(open_trade_scene())
    trade = scene.trade()
    scene.book.rows.trades[trade.id] = replace(trade, entry_credit=Decimal("1.16"))
    (found,) = reconcile(scene.desk, thorough=True)
    assert found.subject == "realised:realised"
    assert found.expected - found.found == 3
