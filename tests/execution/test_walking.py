"""Walking: the limit moves, the approval holds, and no race opens more than was approved."""

from collections.abc import Sequence
from decimal import Decimal

import pandas as pd
import pytest

from mahler_pipelines.decisions.recommendation import Recommendation, RecommendationStatus
from mahler_pipelines.errors import BrokerOutcomeUnknown, BrokerRefused, BrokerUnavailable
from mahler_pipelines.execution.account_view import account_view
from mahler_pipelines.execution.broker import BrokerOrder, OrderRequest, OrderStatus
from mahler_pipelines.execution.closing import CloseStatus, close_trade
from mahler_pipelines.execution.desk import ExecutionTerms
from mahler_pipelines.execution.ledger import ExecutionLedger
from mahler_pipelines.execution.reconciliation import reconcile, settle_working_orders
from mahler_pipelines.execution.repricing import WalkTerms
from mahler_pipelines.execution.submission import (
    ExecutionRefusal,
    ExecutionStatus,
    Moment,
    execute,
)
from mahler_pipelines.execution.trades import ExitReason, TradeStatus
from mahler_pipelines.execution.walks import due_walks
from mahler_pipelines.risk.trading_state import TradingState
from mahler_pipelines.strategies.refusals import Refusal
from tests.execution.fakes import Crash, FakeMarket
from tests.execution.scenes import LONG, SHORT, Scene, approved_scene, open_trade_scene

HALF = WalkTerms(start_fraction=Decimal("0.5"))
OPEN = "mahler-main-r-260112-mo-abcdef12-open-"
TRADE = "t-260112-mo-abcdef12"
CLOSE = f"mahler-main-{TRADE}-close-"


def walking_scene(*, contracts: int = 3) -> Scene:
    """The approved spread at 1.15 natural and 1.225 mid, resting: it walks from 1.18 to 1.10."""
    scene = approved_scene(contracts=contracts)
    scene.terms = ExecutionTerms(walk=HALF)
    scene.broker.fill_units = 0
    return scene


def limits(scene: Scene) -> list[str]:
    return [str(order.limit_price) for order in scene.broker.submitted]


def step(scene: Scene, seconds: float = 30) -> ExecutionStatus:
    scene.later(seconds=seconds)
    return scene.execute().status


def test_order_that_is_not_met_walks_to_the_approved_floor_and_is_then_given_up() -> None:
    scene = walking_scene()
    assert scene.execute().status is ExecutionStatus.WORKING
    for _ in range(4):
        assert step(scene) is ExecutionStatus.WORKING
    assert limits(scene) == ["-1.18", "-1.16", "-1.14", "-1.12", "-1.10"]
    assert step(scene, 179) is ExecutionStatus.WORKING
    assert step(scene, 1) is ExecutionStatus.LAPSED
    assert (scene.status(), scene.reason()) == (RecommendationStatus.LAPSED, "not_filled")
    assert len(scene.broker.submitted) == len(scene.broker.cancelled) == 5
    assert scene.broker.open_orders() == ()


def test_at_most_one_order_works_at_a_time_and_each_id_is_used_once() -> None:
    scene = walking_scene()
    scene.execute()
    for _ in range(6):
        step(scene)
        assert len(scene.broker.open_orders()) <= 1
    ids = [order.client_order_id for order in scene.broker.submitted]
    assert ids == [f"{OPEN}{number}" for number in range(1, 6)]


def test_nothing_happens_before_the_next_step_is_due() -> None:
    scene = walking_scene()
    scene.execute()
    asked = scene.market.asked
    assert step(scene, 29) is ExecutionStatus.WORKING
    assert (len(scene.broker.submitted), scene.broker.cancelled) == (1, [])
    assert scene.market.asked == asked


def test_walk_follows_the_market_within_the_approval() -> None:
    scene = walking_scene()
    scene.execute()
    scene.quote((4.20, 4.40), (2.90, 3.00))
    step(scene)
    assert limits(scene)[-1] == "-1.23", "from 1.275 a quarter of the way to the floor"
    scene.quote((4.05, 4.10), (2.90, 2.95))
    step(scene)
    assert limits(scene)[-1] == "-1.11", "natural is the floor itself now: 1.1125 half way there"


def test_same_limit_is_left_to_rest_and_given_up_with_the_patience() -> None:
    scene = walking_scene()
    scene.quote((4.05, 4.06), (2.95, 2.95))
    scene.execute()
    for _ in range(9):
        step(scene)
    assert limits(scene) == ["-1.10"]
    assert step(scene) is ExecutionStatus.LAPSED
    assert len(scene.broker.cancelled) == 1


def test_clock_that_passes_several_steps_takes_one() -> None:
    scene = walking_scene()
    scene.execute()
    assert step(scene, 95) is ExecutionStatus.WORKING
    assert limits(scene) == ["-1.18", "-1.12"]


def test_desk_that_comes_after_the_patience_tries_the_floor_once_for_a_step() -> None:
    scene = walking_scene()
    scene.execute()
    assert step(scene, 900) is ExecutionStatus.WORKING
    assert limits(scene) == ["-1.18", "-1.10"]
    assert step(scene, 29) is ExecutionStatus.WORKING
    assert step(scene, 1) is ExecutionStatus.LAPSED


def test_partial_fills_of_several_attempts_are_one_trade_at_their_average() -> None:
    """Three contracts, one at 4.18 and two at 4.12: a third of the credit of each."""
    scene = walking_scene()
    scene.execute()
    scene.fill_at("4.13", "2.95")
    scene.broker.fill(f"{OPEN}1", 1)
    assert step(scene) is ExecutionStatus.WORKING
    assert not scene.book.rows.trades
    assert reconcile(scene.desk) == (), "what is held is expected before it is a trade"
    scene.fill_at("4.11", "2.95")
    scene.broker.fill_units = None
    assert step(scene) is ExecutionStatus.EXECUTED
    assert [order.quantity for order in scene.broker.submitted] == [3, 2, 2]
    trade = scene.trade()
    assert (trade.contracts, round(trade.entry_credit, 6)) == (3, Decimal("1.166667"))
    assert scene.reason() == "filled 3 of 3"
    assert round(trade.entry_credit * 300, 2) == scene.broker.cash - 100_000 == 350
    assert [key for key in scene.book.rows.outbox if key.startswith("trade_opened")] == [
        f"trade_opened:{trade.id}"
    ]


def test_what_filled_when_the_patience_is_over_becomes_the_trade_and_the_rest_lapses() -> None:
    scene = walking_scene(contracts=5)
    scene.execute()
    scene.broker.fill(f"{OPEN}1", 2)
    for seconds in (30, 90, 180):
        step(scene, seconds)
    assert scene.status() is RecommendationStatus.EXECUTED
    assert scene.reason() == "filled 2 of 5, the rest not_filled"
    assert scene.trade().contracts == 2
    assert reconcile(scene.desk) == ()


@pytest.mark.parametrize(("units", "rest"), [(3, []), (2, [1])])
def test_fill_that_wins_against_the_cancel_counts(units: int, rest: list[int]) -> None:
    """Whole or in part: the next attempt is for what the broker says is left."""
    scene = walking_scene()
    scene.execute()
    scene.broker.cancel_fills = units
    scene.broker.cancel_refusal = (
        BrokerRefused("order is already filled", status=422) if units == 3 else None
    )
    if units == 2:
        scene.broker.cancel_is_slow = False
    scene.later(seconds=30)
    status = scene.execute().status
    assert [order.quantity for order in scene.broker.submitted] == [3, *rest]
    assert status is (ExecutionStatus.WORKING if rest else ExecutionStatus.EXECUTED)
    assert sum(abs(count) for count in scene.broker.held.values()) == 2 * units
    scene.broker.cancel_fills = 0
    for seconds in (90, 300):
        step(scene, seconds)
    assert scene.trade().contracts == units


def test_next_step_waits_until_the_cancel_is_confirmed() -> None:
    scene = walking_scene()
    scene.execute()
    scene.broker.cancel_is_slow = True
    assert step(scene) is ExecutionStatus.WORKING
    assert len(scene.broker.submitted) == 1
    assert step(scene, 5) is ExecutionStatus.WORKING
    assert len(scene.broker.submitted) == 1
    scene.broker.end(f"{OPEN}1", OrderStatus.CANCELLED)
    assert step(scene, 5) is ExecutionStatus.WORKING
    assert limits(scene) == ["-1.18", "-1.16"]


def test_lost_answer_to_the_cancel_is_settled_by_asking(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = walking_scene()
    scene.execute()
    cancel = scene.broker.cancel

    def losing(order_id: str) -> None:
        cancel(order_id)
        raise BrokerOutcomeUnknown("timed out")

    monkeypatch.setattr(scene.broker, "cancel", losing)
    assert step(scene) is ExecutionStatus.WORKING
    assert limits(scene) == ["-1.18", "-1.16"]
    assert any(event.kind == "cancel_unknown" for event in scene.book.rows.audit)


def test_lost_answer_to_an_attempt_stops_the_walk_until_it_is_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A 504 on the second POST: nobody sends a third order meanwhile."""
    scene = walking_scene()
    scene.execute()
    submit = scene.broker.submit

    def unanswered(order: OrderRequest) -> BrokerOrder:
        submit(order)
        scene.broker.hidden_for = 99
        raise BrokerOutcomeUnknown("504")

    monkeypatch.setattr(scene.broker, "submit", unanswered)
    assert step(scene) is ExecutionStatus.UNKNOWN
    assert step(scene) is ExecutionStatus.UNKNOWN
    assert len(scene.broker.submitted) == 2
    monkeypatch.undo()
    scene.broker.hidden_for = 0
    assert step(scene, 31) is ExecutionStatus.WORKING
    assert limits(scene) == ["-1.18", "-1.16", "-1.12"]


@pytest.mark.parametrize("commits", range(1, 11))
@pytest.mark.parametrize("filled", [0, 1])
def test_killed_between_any_two_commits_of_a_step_goes_on_from_the_ledger(
    commits: int, filled: int
) -> None:
    scene = walking_scene()
    scene.execute()
    if filled:
        scene.broker.fill(f"{OPEN}1", filled)
    scene.later(seconds=30)
    scene.book.commits, scene.book.crash_after = 0, commits
    with pytest.raises(Crash):
        scene.execute()
    scene.broker.fill_units = None
    for seconds in (30, 121, 300):
        step(scene, seconds)
        settle_working_orders(scene.desk)
    scene.later(minutes=20)
    settle_working_orders(scene.desk)
    assert scene.status() in (RecommendationStatus.EXECUTED, RecommendationStatus.FAILED)
    held = sum(order.filled_quantity for order in scene.broker.book.values())
    assert held in (filled, 3)
    assert sum(row.contracts for row in scene.book.rows.trades.values()) == held
    assert scene.broker.open_orders() == ()
    assert reconcile(scene.desk) == ()


def test_order_cancelled_for_a_step_whose_process_died_is_owed_and_ends_with_the_approval() -> None:
    scene = walking_scene()
    scene.execute()
    scene.broker.fill(f"{OPEN}1", 1)
    scene.later(seconds=30)
    scene.market.quotes = scene.market.quotes.copy()

    class Dying(FakeMarket):
        def option_quotes(self, symbols: Sequence[str]) -> pd.DataFrame:
            if scene.broker.cancelled:
                raise Crash
            return super().option_quotes(symbols)

    dying = Dying(scene.market.time)
    dying.quotes, dying.levels = scene.market.quotes, scene.market.levels
    scene.market, kept = dying, scene.market
    with pytest.raises(Crash):
        scene.execute()
    scene.market = kept
    assert scene.book.rows.orders[f"{OPEN}1"].cancel_reason == "next_step"
    assert scene.status() is RecommendationStatus.EXECUTING
    with scene.book.transaction("main") as ledger:
        (due,) = due_walks(ledger, HALF, now=scene.broker.now)
    assert (due.subject_id, due.walk.works) == ("r-260112-mo-abcdef12", False)
    scene.later(minutes=30)
    settle_working_orders(scene.desk)
    assert scene.trade().contracts == 1
    assert scene.reason() == "filled 1 of 3, the rest not_filled"


def test_order_that_somebody_else_cancels_is_not_sent_again() -> None:
    """Only what the desk itself cancelled for a step is owed; a person's cancel is an end."""
    scene = walking_scene()
    scene.execute()
    scene.broker.end(f"{OPEN}1", OrderStatus.CANCELLED)
    assert step(scene) is ExecutionStatus.LAPSED
    assert len(scene.broker.submitted) == 1


@pytest.mark.parametrize("state", [TradingState.HALTED, TradingState.REDUCING])
@pytest.mark.parametrize("filled", [0, 2])
def test_halt_ends_a_walk_at_once_and_keeps_what_filled(state: TradingState, filled: int) -> None:
    scene = walking_scene()
    scene.execute()
    if filled:
        scene.broker.fill(f"{OPEN}1", filled)
    scene.book.rows.state = (state, "the owner said so")
    with scene.book.transaction("main") as ledger:
        assert due_walks(ledger, HALF, now=scene.broker.now)
    step(scene, 1)
    assert (len(scene.broker.submitted), len(scene.broker.cancelled)) == (1, 1)
    assert "trading_state_forbids" in scene.reason()
    wanted = RecommendationStatus.EXECUTED if filled else RecommendationStatus.LAPSED
    assert scene.status() is wanted
    assert sum(row.contracts for row in scene.book.rows.trades.values()) == filled


def test_market_that_leaves_the_approval_ends_the_walk_with_its_reason() -> None:
    """Every attempt is a new order: whatever has come up against it since ends the walk."""
    scene = walking_scene()
    scene.execute()
    drifted = Refusal(ExecutionRefusal.QUOTE_NOT_USABLE, "drift")

    def refuse(_: ExecutionLedger, __: Recommendation, ___: Moment, /) -> tuple[Refusal, ...]:
        return (drifted,)

    scene.later(seconds=30)
    outcome = execute("r-260112-mo-abcdef12", desk=scene.desk, recheck=refuse)
    assert outcome.refusals == (drifted,)
    assert (outcome.status, scene.reason()) == (ExecutionStatus.LAPSED, "quote_not_usable")
    assert scene.broker.open_orders() == ()


def test_quotes_that_cannot_be_used_leave_the_order_until_its_time_is_over() -> None:
    scene = walking_scene()
    scene.execute()
    scene.quote((float("nan"), 4.20), (2.90, 2.95))
    assert step(scene) is ExecutionStatus.WORKING
    assert scene.broker.cancelled == []
    assert step(scene, 270) is ExecutionStatus.LAPSED


def test_broker_that_cannot_be_read_changes_nothing() -> None:
    scene = walking_scene()
    scene.execute()
    scene.later(seconds=30)
    scene.broker.unavailable = [BrokerUnavailable("502")]
    with pytest.raises(BrokerUnavailable):
        scene.execute()
    assert step(scene, 1) is ExecutionStatus.WORKING
    assert limits(scene) == ["-1.18", "-1.16"]


def test_refused_attempt_ends_the_walk_with_the_brokers_words() -> None:
    scene = walking_scene()
    scene.execute()
    scene.broker.fill(f"{OPEN}1", 1)
    scene.broker.refusal = BrokerRefused("insufficient options buying power", status=403)
    step(scene)
    assert scene.trade().contracts == 1
    assert scene.reason().startswith("filled 1 of 3, the rest broker_refused: insufficient")


def test_dry_run_leaves_a_working_order_alone_and_walks_nothing() -> None:
    scene = walking_scene()
    scene.execute()
    scene.dry_run = True
    assert step(scene) is ExecutionStatus.WORKING
    assert (len(scene.broker.submitted), scene.broker.cancelled) == (1, [])


def test_dry_run_writes_the_first_limit_of_the_walk() -> None:
    scene = walking_scene()
    scene.dry_run = True
    assert scene.execute().status is ExecutionStatus.DRY_RUN
    assert scene.book.rows.orders[f"{OPEN}1"].limit_price == Decimal("-1.18")


def test_look_at_positions_gives_up_what_nobody_steps_and_leaves_the_rest() -> None:
    scene = walking_scene()
    scene.execute()
    step(scene, 120)
    scene.later(seconds=179)
    settle_working_orders(scene.desk)
    assert scene.status() is RecommendationStatus.EXECUTING
    scene.later(seconds=1)
    settle_working_orders(scene.desk)
    assert (scene.status(), scene.reason()) == (RecommendationStatus.LAPSED, "not_filled")


def test_start_at_natural_is_one_order_that_rests_until_the_approval_expires() -> None:
    scene = walking_scene()
    scene.terms = ExecutionTerms(walk=WalkTerms())
    scene.execute()
    for _ in range(5):
        step(scene, 120)
    assert limits(scene) == ["-1.15"]
    assert scene.status() is RecommendationStatus.EXECUTING


def test_walk_counts_whole_and_once_while_it_goes_on_and_not_against_itself() -> None:
    """Limits count what is still to come; its own next step is not a second entry."""
    scene = walking_scene()
    scene.execute()
    scene.broker.fill(f"{OPEN}1", 1)
    scene.broker.cancel_is_slow = False
    step(scene)
    with scene.book.transaction("main") as ledger:
        money = scene.broker.account()
        others = account_view(ledger, money, at=scene.broker.now)
        itself = account_view(ledger, money, at=scene.broker.now, besides="r-260112-mo-abcdef12")
    assert others.exposure.heat_usd == Decimal("1170.00")
    assert (others.entries_today, itself.entries_today) == (1, 0)
    assert itself.exposure.items == ()
    assert itself.options_buying_power == money.options_buying_power + Decimal(390)


def test_slippage_of_each_fill_is_against_the_mid_it_was_seen_with() -> None:
    scene = walking_scene()
    scene.broker.fill_units = None
    scene.fill_at("4.12", "2.95")
    scene.execute()
    short, long = sorted(scene.book.rows.fills.values(), key=lambda fill: fill.symbol)[::-1]
    assert (short.symbol, short.mid, short.slippage) == (
        SHORT.symbol,
        Decimal("4.15"),
        Decimal("0.03"),
    )
    assert (long.symbol, long.mid, long.slippage) == (
        LONG.symbol,
        Decimal("2.925"),
        Decimal("0.025"),
    )
    assert short.quoted_at == long.quoted_at == scene.broker.now
    told = scene.book.rows.outbox[f"trade_opened:{TRADE}"]["payload"]
    assert Decimal(told["slippage_usd"]) == Decimal("16.50"), "0.055 a share, three contracts"


def closing_scene() -> Scene:
    """A trade of three, which costs 0.44 at mid and 0.48 at natural to close."""
    scene = open_trade_scene()
    scene.terms = ExecutionTerms(walk=HALF)
    scene.quote((1.00, 1.04), (0.56, 0.60))
    scene.fill_at("1.03", "0.57")
    scene.broker.fill_units = 0
    return scene


@pytest.mark.parametrize("reason", [ExitReason.PROFIT_TARGET, ExitReason.TIME_EXIT])
def test_patient_close_walks_to_natural_and_stays_there(reason: ExitReason) -> None:
    scene = closing_scene()
    for _ in range(7):
        outcome = close_trade(TRADE, reason, desk=scene.desk)
        assert outcome.status is CloseStatus.WORKING
        scene.later(seconds=30)
    assert limits(scene)[1:6] == ["0.46", "0.47", "0.47", "0.48", "0.48"]
    assert set(limits(scene)[6:]) == {"0.48"}
    scene.broker.fill(scene.broker.submitted[-1].client_order_id, 3)
    settle_working_orders(scene.desk)
    assert scene.trade().status is TradeStatus.CLOSED
    told = scene.book.rows.outbox[f"trade_closed:{TRADE}"]["payload"]
    assert Decimal(told["slippage_usd"]) == Decimal("6.00"), "0.02 a share, three contracts"


@pytest.mark.parametrize(
    "reason", sorted(set(ExitReason) - {ExitReason.PROFIT_TARGET, ExitReason.TIME_EXIT})
)
def test_any_other_close_pays_natural_at_once(reason: ExitReason) -> None:
    scene = closing_scene()
    close_trade(TRADE, reason, desk=scene.desk)
    assert limits(scene)[-1] == "0.48"


def test_close_rests_until_its_step_is_due_and_a_stop_does_not_wait_for_it() -> None:
    scene = closing_scene()
    close_trade(TRADE, ExitReason.PROFIT_TARGET, desk=scene.desk)
    scene.later(seconds=29)
    close_trade(TRADE, ExitReason.PROFIT_TARGET, desk=scene.desk)
    assert limits(scene)[1:] == ["0.46"]
    close_trade(TRADE, ExitReason.STOP_LOSS, desk=scene.desk)
    assert limits(scene)[1:] == ["0.46", "0.48"]


def test_close_fills_of_several_attempts_add_up() -> None:
    scene = closing_scene()
    close_trade(TRADE, ExitReason.TIME_EXIT, desk=scene.desk)
    scene.broker.fill(f"{CLOSE}1", 1)
    scene.later(seconds=60)
    scene.fill_at("1.04", "0.56")
    scene.broker.fill_units = None
    close_trade(TRADE, ExitReason.TIME_EXIT, desk=scene.desk)
    trade = scene.trade()
    assert trade.status is TradeStatus.CLOSED
    assert [order.quantity for order in scene.broker.submitted[1:]] == [3, 2]
    assert trade.pnl_usd is not None
    assert abs(scene.broker.cash - 100_000 - trade.pnl_usd) < Decimal("0.01")


def test_close_of_another_day_walks_anew() -> None:
    scene = closing_scene()
    close_trade(TRADE, ExitReason.TIME_EXIT, desk=scene.desk)
    scene.broker.end(f"{CLOSE}1", OrderStatus.EXPIRED)
    scene.later(days=1)
    close_trade(TRADE, ExitReason.TIME_EXIT, desk=scene.desk)
    assert limits(scene)[1:] == ["0.46", "0.46"]


def test_walks_of_openings_and_closes_are_due_by_their_own_schedule() -> None:
    scene = closing_scene()
    close_trade(TRADE, ExitReason.PROFIT_TARGET, desk=scene.desk)
    for seconds, due in ((29, 0), (1, 1), (200, 1)):
        scene.later(seconds=seconds)
        with scene.book.transaction("main") as ledger:
            assert len(due_walks(ledger, HALF, now=scene.broker.now)) == due
    close_trade(TRADE, ExitReason.PROFIT_TARGET, desk=scene.desk)
    scene.later(hours=1)
    with scene.book.transaction("main") as ledger:
        assert due_walks(ledger, HALF, now=scene.broker.now) == (), "at its end looks re-quote it"
