"""Closing: limit orders only, re-quoted, never waiting for an opening."""

from decimal import Decimal

import pytest

from mahler_pipelines.errors import BrokerOutcomeUnknown, BrokerRefused, LeaseHeld, MissingData
from mahler_pipelines.execution.broker import OrderStatus
from mahler_pipelines.execution.closing import CloseStatus, close_trade
from mahler_pipelines.execution.reconciliation import settle_working_orders
from mahler_pipelines.execution.trades import ExitReason, TradeStatus
from mahler_pipelines.risk.trading_state import TradingState
from tests.execution.fakes import Crash
from tests.execution.scenes import Scene, open_trade_scene

TRADE = "t-260112-mo-abcdef12"
CLOSE = f"mahler-main-{TRADE}-close-"


def cheap(scene: Scene) -> None:
    """The spread has become cheap: 0.48 at the natural, filled at 0.46."""
    scene.quote((1.00, 1.04), (0.56, 0.60))
    scene.fill_at("1.03", "0.57")


def test_close_is_a_debit_limit_and_books_the_result() -> None:
    scene = open_trade_scene()
    cheap(scene)
    outcome = close_trade(TRADE, ExitReason.PROFIT_TARGET, desk=scene.desk)
    assert outcome.status is CloseStatus.CLOSED
    order = scene.broker.submitted[-1]
    assert (order.client_order_id, order.limit_price) == (f"{CLOSE}1", Decimal("0.48"))
    assert [leg.intent.value for leg in order.legs] == ["buy_to_close", "sell_to_close"]
    trade = scene.trade()
    assert trade.status is TradeStatus.CLOSED
    assert (trade.exit_debit, trade.exit_reason) == (Decimal("0.46"), ExitReason.PROFIT_TARGET)
    assert trade.pnl_usd == Decimal("207.00")
    assert [(leg.bid, leg.ask) for leg in trade.exit_legs] == [
        (Decimal("1.00"), Decimal("1.04")),
        (Decimal("0.56"), Decimal("0.60")),
    ]
    assert scene.broker.cash - 100_000 == trade.pnl_usd
    assert f"trade_closed:{TRADE}" in scene.book.rows.outbox


def test_limit_is_rounded_up_to_the_tick_and_capped_at_the_width() -> None:
    scene = open_trade_scene()
    scene.broker.fill_units = 0
    scene.quote((1.00, 1.041), (0.56, 0.60))
    close_trade(TRADE, ExitReason.STOP_LOSS, desk=scene.desk)
    assert scene.broker.submitted[-1].limit_price == Decimal("0.49")
    scene.quote((6.00, 9.00), (0.56, 0.60))
    close_trade(TRADE, ExitReason.STOP_LOSS, desk=scene.desk)
    assert scene.broker.submitted[-1].limit_price == Decimal(5)


@pytest.mark.parametrize("state", list(TradingState))
def test_close_never_waits_for_the_trading_state_nor_an_opening(state: TradingState) -> None:
    scene = open_trade_scene()
    cheap(scene)
    scene.book.rows.state = (state, "")
    scene.book.holders["broker"] = "an opening at work"
    outcome = close_trade(TRADE, ExitReason.STOP_LOSS, desk=scene.desk)
    assert outcome.status is CloseStatus.CLOSED


def test_unfilled_attempt_is_cancelled_and_requoted_for_what_is_left() -> None:
    scene = open_trade_scene()
    cheap(scene)
    scene.broker.fill_units = 1
    first = close_trade(TRADE, ExitReason.TIME_EXIT, desk=scene.desk)
    assert first.status is CloseStatus.WORKING
    assert scene.trade().status is TradeStatus.CLOSING
    scene.later(minutes=5)
    scene.quote((1.10, 1.14), (0.56, 0.60))
    scene.fill_at("1.13", "0.57")
    scene.broker.fill_units = None
    second = close_trade(TRADE, ExitReason.PROFIT_TARGET, desk=scene.desk)
    assert second.status is CloseStatus.CLOSED
    assert [order.quantity for order in scene.broker.submitted[1:]] == [3, 2]
    trade = scene.trade()
    assert trade.exit_legs[0].price == Decimal("1.096666666667")
    assert trade.pnl_usd == Decimal("187.00")
    assert scene.broker.cash - 100_000 == trade.pnl_usd


def test_fill_during_the_cancel_is_counted_before_the_next_attempt() -> None:
    """Otherwise the next attempt would close more than is held."""
    scene = open_trade_scene()
    cheap(scene)
    scene.broker.fill_units = 0
    close_trade(TRADE, ExitReason.TIME_EXIT, desk=scene.desk)
    scene.broker.cancel_fills = 2
    scene.broker.fill_units = None
    outcome = close_trade(TRADE, ExitReason.TIME_EXIT, desk=scene.desk)
    assert outcome.status is CloseStatus.CLOSED
    assert scene.broker.submitted[-1].quantity == 1
    assert not any(scene.broker.held.values())


def test_no_next_attempt_before_the_cancel_is_confirmed() -> None:
    scene = open_trade_scene()
    cheap(scene)
    scene.broker.fill_units = 0
    close_trade(TRADE, ExitReason.TIME_EXIT, desk=scene.desk)
    scene.broker.cancel_is_slow = True
    outcome = close_trade(TRADE, ExitReason.TIME_EXIT, desk=scene.desk)
    assert outcome.status is CloseStatus.WORKING
    assert len(scene.broker.submitted) == 2


def test_unknown_close_is_never_sent_again_before_it_is_resolved() -> None:
    scene = open_trade_scene()
    cheap(scene)
    scene.broker.lose_answer = BrokerOutcomeUnknown("timed out")
    scene.broker.hidden_for = 9
    assert close_trade(TRADE, ExitReason.STOP_LOSS, desk=scene.desk).status is CloseStatus.UNKNOWN
    assert close_trade(TRADE, ExitReason.STOP_LOSS, desk=scene.desk).status is CloseStatus.UNKNOWN
    assert len(scene.broker.submitted) == 2
    scene.broker.hidden_for = 0
    settle_working_orders(scene.desk)
    assert scene.trade().status is TradeStatus.CLOSED


def test_crash_while_closing_ends_with_one_close() -> None:
    scene = open_trade_scene()
    cheap(scene)
    scene.broker.lose_answer = Crash()
    with pytest.raises(Crash):
        close_trade(TRADE, ExitReason.STOP_LOSS, desk=scene.desk)
    outcome = close_trade(TRADE, ExitReason.STOP_LOSS, desk=scene.desk)
    assert outcome.status is CloseStatus.CLOSED
    assert len(scene.broker.submitted) == 2


def test_refused_close_is_told_and_tried_again() -> None:
    scene = open_trade_scene()
    cheap(scene)
    scene.broker.refusal = BrokerRefused("no", status=403)
    outcome = close_trade(TRADE, ExitReason.STOP_LOSS, desk=scene.desk)
    assert (outcome.status, outcome.detail) == (CloseStatus.REFUSED, "broker_refused: no")
    assert any(key.startswith("close_refused") for key in scene.book.rows.outbox)
    scene.broker.refusal = None
    assert close_trade(TRADE, ExitReason.STOP_LOSS, desk=scene.desk).status is CloseStatus.CLOSED


def test_one_sided_quote_still_closes_at_the_natural_cost() -> None:
    scene = open_trade_scene()
    scene.quote((float("nan"), 1.04), (0.56, 0.60))
    scene.fill_at("1.03", "0.57")
    outcome = close_trade(TRADE, ExitReason.TIME_EXIT, desk=scene.desk)
    assert outcome.status is CloseStatus.CLOSED
    assert scene.book.rows.orders[f"{CLOSE}1"].mid_at_submission is None


def test_without_a_price_nothing_is_sent() -> None:
    scene = open_trade_scene()
    scene.quote((1.00, float("nan")), (0.56, 0.60))
    outcome = close_trade(TRADE, ExitReason.TIME_EXIT, desk=scene.desk)
    assert (outcome.status, outcome.detail) == (CloseStatus.NO_PRICE, "quote_one_sided")
    assert scene.trade().status is TradeStatus.OPEN


def test_outside_market_hours_nothing_is_sent() -> None:
    scene = open_trade_scene()
    scene.broker.is_open = False
    outcome = close_trade(TRADE, ExitReason.TIME_EXIT, desk=scene.desk)
    assert outcome.status is CloseStatus.MARKET_CLOSED
    assert len(scene.broker.submitted) == 1


def test_dry_run_writes_one_intent_and_leaves_the_trade_open() -> None:
    scene = open_trade_scene()
    cheap(scene)
    scene.dry_run = True
    for _ in range(2):
        outcome = close_trade(TRADE, ExitReason.TIME_EXIT, desk=scene.desk)
        assert outcome.status is CloseStatus.DRY_RUN
    assert scene.book.rows.orders[f"{CLOSE}1"].status is OrderStatus.CANCELLED
    assert (len(scene.book.rows.orders), len(scene.broker.submitted)) == (2, 1)
    assert scene.trade().status is TradeStatus.OPEN


def test_closed_trade_is_left_alone() -> None:
    scene = open_trade_scene()
    cheap(scene)
    close_trade(TRADE, ExitReason.PROFIT_TARGET, desk=scene.desk)
    again = close_trade(TRADE, ExitReason.STOP_LOSS, desk=scene.desk)
    assert (again.status, again.exit_reason) == (CloseStatus.CLOSED, ExitReason.PROFIT_TARGET)
    assert len(scene.broker.submitted) == 2


def test_second_closer_is_refused_and_unknown_trade_is_an_error() -> None:
    scene = open_trade_scene()
    with pytest.raises(MissingData):
        close_trade("t-nope", ExitReason.MANUAL, desk=scene.desk)
    scene.book.holders["broker-closing"] = "another"
    with pytest.raises(LeaseHeld):
        close_trade(TRADE, ExitReason.MANUAL, desk=scene.desk)
