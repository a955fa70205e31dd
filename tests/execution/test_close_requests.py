"""A person's wish to close: fulfilled by the next look, once, whatever else the desk may not do."""

import contextlib
from dataclasses import replace
from decimal import Decimal

import pytest

from mahler_pipelines.errors import BrokerOutcomeUnknown
from mahler_pipelines.execution.broker import OrderStatus
from mahler_pipelines.execution.close_requests import (
    CloseRequest,
    CloseWish,
    last_answer,
    wanted_closes,
)
from mahler_pipelines.execution.closing import CloseStatus
from mahler_pipelines.execution.exits import sends_order
from mahler_pipelines.execution.monitoring import watch
from mahler_pipelines.execution.trades import ExitReason, TradeStatus
from mahler_pipelines.risk.exit_terms import ExitAction, ExitTerms
from mahler_pipelines.risk.trading_state import TradingState
from tests.execution.fakes import Crash
from tests.execution.scenes import NOW, Scene, open_trade_scene

QUIET = ((4.00, 4.10), (2.90, 2.95))
CHEAP = ((1.00, 1.04), (0.50, 0.52))
ALERTING = replace(ExitTerms(), action=ExitAction.ALERT)


def wish(scene: Scene, said: CloseWish = CloseWish.CLOSE) -> None:
    with scene.book.transaction("main") as ledger:
        ledger.request_close(
            CloseRequest(scene.trade().id, said, "discord:1", "discord-http", scene.broker.now)
        )


def wanted(scene: Scene) -> frozenset[str]:
    with scene.book.transaction("main") as ledger:
        return wanted_closes(ledger)


def quiet_scene() -> Scene:
    """An open trade that no exit asks to close, and a broker that fills at natural."""
    scene = open_trade_scene()
    scene.quote(*QUIET)
    scene.fill_at("4.10", "2.90")
    return scene


@pytest.mark.parametrize("terms", [ExitTerms(), ALERTING], ids=["order", "alert"])
@pytest.mark.parametrize("state", list(TradingState))
def test_wish_is_fulfilled_at_natural_in_every_trading_state(
    terms: ExitTerms, state: TradingState
) -> None:
    """Closing is never blocked, and a person's word needs no setting."""
    scene = quiet_scene()
    with scene.book.transaction("main") as ledger:
        ledger.set_trading_state(state, reason="a test", by="anna", at=NOW)
    wish(scene)
    (outcome,) = watch(scene.desk, exits=terms).exits
    assert (outcome.status, outcome.exit_reason) == (CloseStatus.CLOSED, ExitReason.MANUAL)
    assert scene.broker.submitted[-1].limit_price == Decimal("1.20")
    assert (scene.trade().status, scene.trade().exit_reason) == (
        TradeStatus.CLOSED,
        ExitReason.MANUAL,
    )
    assert wanted(scene) == frozenset()


def test_wish_is_fulfilled_once() -> None:
    scene = quiet_scene()
    wish(scene)
    for _ in range(3):
        scene.later(minutes=5)
        watch(scene.desk, exits=ExitTerms())
    assert len(scene.broker.submitted) == 2, "one opening, one closing order"


@pytest.mark.parametrize("commits", range(1, 12))
def test_wish_is_fulfilled_once_wherever_the_process_dies(commits: int) -> None:
    """Until the intent is written the wish waits; from then on it is the order that is followed."""
    scene = quiet_scene()
    wish(scene)
    scene.book.commits, scene.book.crash_after = 0, commits
    with contextlib.suppress(Crash):
        watch(scene.desk, exits=ExitTerms())
    closing = [order for order in scene.book.rows.orders.values() if order.purpose == "close"]
    assert (wanted(scene) == frozenset()) is bool(closing), "in the transaction of the intent"
    scene.book.crash_after = None
    scene.book.holders.clear()
    for _ in range(3):
        scene.later(minutes=5)
        watch(scene.desk, exits=ExitTerms())
    assert (scene.trade().status, scene.trade().exit_reason) == (
        TradeStatus.CLOSED,
        ExitReason.MANUAL,
    )
    filled = [order for order in scene.broker.book.values() if order.filled_quantity]
    assert len(filled) == 2, "one opening, one closing order"


@pytest.mark.parametrize("why", ["closed market", "no price"])
def test_wish_that_cannot_be_fulfilled_now_waits(why: str) -> None:
    scene = quiet_scene()
    wish(scene)
    if why == "closed market":
        scene.broker.is_open = False
    else:
        scene.quote((4.00, float("nan")), (2.90, 2.95))
    watch(scene.desk, exits=ExitTerms())
    assert wanted(scene) == {scene.trade().id}
    scene.broker.is_open = True
    scene.later(minutes=5)
    scene.quote(*QUIET)
    watch(scene.desk, exits=ExitTerms())
    assert scene.trade().status is TradeStatus.CLOSED


def test_wish_about_a_trade_that_is_closing_patiently_pays_natural_at_once() -> None:
    scene = open_trade_scene()
    scene.quote(*CHEAP)
    scene.broker.fill_units = 0
    watch(scene.desk, exits=ExitTerms())
    assert scene.trade().exit_reason is ExitReason.PROFIT_TARGET
    wish(scene)
    scene.broker.fill_units = None
    scene.fill_at("1.04", "0.50")
    watch(scene.desk, exits=ExitTerms())
    assert scene.broker.submitted[-1].limit_price == Decimal("0.54")
    assert (scene.trade().status, scene.trade().exit_reason) == (
        TradeStatus.CLOSED,
        ExitReason.MANUAL,
    )


def test_wish_about_a_trade_that_closed_meanwhile_ends() -> None:
    scene = open_trade_scene()
    scene.quote(*CHEAP)
    scene.fill_at("1.04", "0.50")
    watch(scene.desk, exits=ExitTerms())
    wish(scene)
    watch(scene.desk, exits=ExitTerms())
    assert wanted(scene) == frozenset()
    assert len(scene.broker.submitted) == 2


def test_wish_in_a_dry_run_sends_nothing_and_does_not_come_back() -> None:
    scene = quiet_scene()
    scene.dry_run = True
    wish(scene)
    (outcome,) = watch(scene.desk, exits=ExitTerms()).exits
    assert outcome.status is CloseStatus.DRY_RUN
    assert wanted(scene) == frozenset()
    assert len(scene.broker.submitted) == 1


def test_kept_trade_is_not_alerted_again_for_that_reason_in_that_session() -> None:
    """The next session's alert asks anew, and another reason is another question."""
    scene = open_trade_scene()
    scene.quote(*CHEAP)
    watch(scene.desk, exits=ALERTING)
    wish(scene, CloseWish.KEEP)
    for _ in range(3):
        scene.later(minutes=30)
        watch(scene.desk, exits=ALERTING)
    assert _alerts(scene) == ["profit_target"]
    assert scene.trade().status is TradeStatus.OPEN
    scene.later(days=1)
    watch(scene.desk, exits=ALERTING)
    assert _alerts(scene) == ["profit_target", "profit_target"]


def _alerts(scene: Scene) -> list[str]:
    rows = scene.book.rows.outbox.values()
    return [row["payload"]["reason"] for row in rows if row["kind"] == "exit_reached"]


def test_answer_to_an_earlier_alert_is_none_to_a_later_one() -> None:
    given = CloseRequest("t-1", CloseWish.KEEP, "anna", "cli", NOW)
    later = replace(given, wish=CloseWish.CLOSE, trade_id="t-2")
    assert last_answer([given, later], "t-1", since=NOW) == given
    scene = open_trade_scene()
    assert last_answer([given], "t-1", since=scene.broker.now) is None


@pytest.mark.parametrize("reason", list(ExitReason))
@pytest.mark.parametrize("action", list(ExitAction))
def test_only_what_a_person_asked_for_is_sent_whatever_the_settings(
    reason: ExitReason, action: ExitAction
) -> None:
    quiet = replace(ExitTerms(), action=ExitAction.ALERT)
    if reason is ExitReason.MANUAL:
        assert sends_order(reason, replace(quiet, action=action))
    elif reason is not ExitReason.EARLY_ASSIGNMENT:
        assert sends_order(reason, replace(quiet, action=action)) is (action is ExitAction.ORDER)


def test_unknown_outcome_is_asked_about_before_another_close() -> None:
    """The wish is taken up by an order whose outcome nobody knows: nothing goes out twice."""
    scene = quiet_scene()
    wish(scene)
    scene.broker.lose_answer = BrokerOutcomeUnknown("no answer")
    scene.broker.hidden_for = 99
    watch(scene.desk, exits=ExitTerms())
    _, closing = scene.book.rows.orders.values()
    assert closing.status is OrderStatus.UNKNOWN
    assert wanted(scene) == frozenset()
    scene.broker.hidden_for = 0
    scene.later(minutes=1)
    watch(scene.desk, exits=ExitTerms())
    assert scene.trade().status is TradeStatus.CLOSED
    assert len(scene.broker.submitted) == 2
