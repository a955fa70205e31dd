"""The account as the gates see it, and the last question before an order is written down."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from mahler_pipelines.decisions.drift import LapseCode
from mahler_pipelines.decisions.recommendation import Recommendation
from mahler_pipelines.decisions.terms import ApprovalTerms
from mahler_pipelines.errors import MissingData
from mahler_pipelines.execution.account_view import (
    GATES_ASKED,
    GateRecheck,
    account_view,
    current_exposure,
    with_proposed,
)
from mahler_pipelines.execution.broker import BrokerAccount, OrderStatus
from mahler_pipelines.execution.desk_terms import DeskTerms
from mahler_pipelines.execution.fills import LIVE_STATUSES
from mahler_pipelines.execution.intents import opening_intent
from mahler_pipelines.execution.ledger import OrderPurpose, OrderRecord
from mahler_pipelines.execution.submission import ExecutionStatus, Moment, execute
from mahler_pipelines.execution.trades import Trade, TradeStatus
from mahler_pipelines.market.chains import Scan
from mahler_pipelines.options.structures import dollars
from mahler_pipelines.risk.exit_terms import ExitTerms
from mahler_pipelines.risk.gates import GateCode
from mahler_pipelines.risk.limits import RiskLimits
from mahler_pipelines.risk.trading_state import TradingState
from mahler_pipelines.strategies.limits import ScreenLimits
from mahler_pipelines.strategies.refusals import Refusal
from tests.decisions.cases import proposal as proposed
from tests.execution.fakes import FakeBook
from tests.execution.scenes import (
    NOW,
    approved_scene,
    later_copy,
    quote_table,
    recommendation,
    trade,
)

SHOWN = recommendation()
LATER = NOW + timedelta(minutes=5)


def account(**changes: Any) -> BrokerAccount:
    values: dict[str, Any] = {
        "id": "a",
        "status": "ACTIVE",
        "equity": Decimal(100_000),
        "last_equity": Decimal(100_000),
        "cash": Decimal(100_000),
        "options_buying_power": Decimal(90_000),
        "options_level": 3,
        "trading_blocked": False,
    }
    return BrokerAccount(**(values | changes))


def terms(**changes: Any) -> DeskTerms:
    values: dict[str, Any] = {
        "account_id": "main",
        "universe": ("SPY",),
        "strategies": ("bull_put_spread",),
        "screen": ScreenLimits(),
        "risk": RiskLimits(),
        "approval": ApprovalTerms(),
        "exits": ExitTerms(),
        "scans": tuple(Scan),
    }
    return DeskTerms(**(values | changes))


def moment(**changes: Any) -> Moment:
    values: dict[str, Any] = {
        "now": LATER,
        "natural_credit": Decimal("1.15"),
        "mid_credit": Decimal("1.20"),
        "underlying_price": Decimal("600.00"),
        "account": account(),
        "quotes": quote_table({}),
        "snapshot_hash": "1" * 64,
    }
    return Moment(**(values | changes))


def order(status: OrderStatus = OrderStatus.ACKNOWLEDGED, **changes: Any) -> OrderRecord:
    intent = opening_intent(
        SHOWN, attempt=1, limit_price=Decimal("-1.10"), mid=None, at=NOW, run_id="run-1"
    )
    return replace(intent, status=status, **changes)


def book_with(
    *, trades: tuple[Trade, ...] = (), orders: tuple[OrderRecord, ...] = (), known: bool = True
) -> FakeBook:
    book = FakeBook()
    with book.transaction("main") as ledger:
        if known:
            ledger.add_recommendation(SHOWN, at=NOW)
        for one in trades:
            ledger.open_trade(one)
        for one_order in orders:
            ledger.add_order(one_order)
    return book


def view_of(book: FakeBook, money: BrokerAccount | None = None) -> Any:
    with book.transaction("main") as ledger:
        return account_view(ledger, money or account(), at=LATER)


def recheck(book: FakeBook, desk: DeskTerms | None = None, **changes: Any) -> tuple[Refusal, ...]:
    with book.transaction("main") as ledger:
        return GateRecheck(desk or terms())(ledger, SHOWN, moment(**changes))


def closed(pnl: str, *, hours: float) -> Trade:
    return later_copy(
        trade(status=TradeStatus.CLOSED),
        id=f"t-{pnl}-{hours}",
        exit_time=NOW + timedelta(hours=hours),
        exit_debit=Decimal("0.50"),
        pnl_usd=Decimal(pnl),
    )


def test_an_empty_account_is_the_brokers_money_and_nothing_at_risk() -> None:
    view = view_of(book_with())
    assert (view.equity, view.options_buying_power) == (Decimal(100_000), Decimal(90_000))
    assert (view.entries_today, view.pnl_today) == (0, Decimal(0))
    assert view.trading_state is TradingState.ACTIVE
    assert view.exposure.items == ()


def test_the_days_result_is_the_brokers_and_splits_by_what_was_closed_today() -> None:
    """Equity fell 300 since yesterday, 150 were earned by closing: the open rest lost 450."""
    book = book_with(trades=(closed("150.00", hours=1), closed("-70.00", hours=-24)))
    view = view_of(book, account(equity=Decimal("99700.00")))
    assert view.realised_pnl_today == Decimal("150.00")
    assert view.unrealised_pnl_today == Decimal("-450.00")
    assert view.pnl_today == Decimal("-300.00")


def test_a_trade_closed_late_in_the_evening_belongs_to_its_new_york_session() -> None:
    """NOW is 10:00 in New York; thirteen hours later it is past midnight in UTC, not there."""
    view = view_of(book_with(trades=(closed("150.00", hours=13),)))
    assert view.realised_pnl_today == Decimal("150.00")


@pytest.mark.parametrize("status", [TradeStatus.OPEN, TradeStatus.CLOSING])
def test_a_trade_is_at_risk_until_it_is_closed(status: TradeStatus) -> None:
    view = view_of(book_with(trades=(trade(credit="1.00", contracts=3, status=status),)))
    (item,) = view.exposure.items
    assert item.max_loss_usd == Decimal("1200.00")
    assert not item.working


@pytest.mark.parametrize("status", list(OrderStatus))
def test_orders_that_may_still_fill_are_at_risk_an_unknown_one_among_them(
    status: OrderStatus,
) -> None:
    view = view_of(book_with(orders=(order(status),)))
    assert len(view.exposure.items) == (status in LIVE_STATUSES)
    for item in view.exposure.items:
        assert item.working
        assert item.max_loss_usd == dollars(Decimal("3.90"), 3)  # 5 wide less the limit of 1.10


def test_a_partly_filled_order_counts_whole_and_once() -> None:
    """Its trade is opened when the order has ended, so until then the order carries all of it."""
    held = order(OrderStatus.PARTIALLY_FILLED, filled_quantity=2)
    assert view_of(book_with(orders=(held,))).exposure.heat_usd == dollars(Decimal("3.90"), 3)


def test_an_order_without_a_limit_counts_as_if_it_brought_nothing() -> None:
    view = view_of(book_with(orders=(order(limit_price=None),)))
    assert view.exposure.heat_usd == Decimal("1500.00")


def test_an_order_whose_recommendation_is_gone_is_not_passed_over() -> None:
    """Risk that is not counted is a limit that does not hold."""
    book = book_with(orders=(order(),), known=False)
    with pytest.raises(MissingData, match=SHOWN.id):
        view_of(book)


def test_proposals_of_one_scan_add_up() -> None:
    view = view_of(book_with())
    once = with_proposed(view, SHOWN)
    twice = with_proposed(once, replace(SHOWN, id="r-2"))
    assert (once.entries_today, twice.entries_today) == (1, 2)
    assert twice.exposure.heat_usd == 2 * SHOWN.max_loss_usd
    assert twice.options_buying_power == Decimal(90_000) - 2 * SHOWN.max_loss_usd
    assert twice.exposure.positions_in("SPY") == 2
    assert view.exposure.items == ()
    assert (
        with_proposed(replace(view, options_buying_power=None), SHOWN).options_buying_power is None
    )


def test_a_market_that_has_not_moved_passes_the_recheck() -> None:
    assert recheck(book_with()) == ()


def test_every_gates_answer_is_kept_with_its_numbers() -> None:
    book = book_with()
    recheck(book)
    (event,) = [row for row in book.rows.audit if row.kind == GATES_ASKED]
    assert event.subject == SHOWN.id
    rows = {row["code"]: row for row in event.detail["gates"]}
    assert list(rows) == [code.value for code in GateCode]
    assert rows["buying_power"]["value"] == "1170.00"
    assert Decimal(rows["buying_power"]["limit"]) == 90_000


def test_drift_and_gates_are_told_together() -> None:
    found = recheck(
        book_with(trades=(trade(), later_copy(trade(), id="t-2"))),
        natural_credit=Decimal("1.21"),
        account=account(options_buying_power=Decimal(100)),
    )
    assert found[0].code is LapseCode.CREDIT_ABOVE_BAND
    gates = {row.context["gate"] for row in found if row.code is LapseCode.GATE_FAILED}
    assert gates == {
        GateCode.POSITIONS_PER_SYMBOL.value,
        GateCode.BUYING_POWER.value,
        GateCode.DUPLICATE_POSITION.value,
    }


@pytest.mark.parametrize("purpose", list(OrderPurpose))
@pytest.mark.parametrize("status", list(OrderStatus))
def test_nothing_is_opened_on_an_underlying_with_an_order_nobody_knows_about(
    status: OrderStatus, purpose: OrderPurpose
) -> None:
    """Whatever the order is for; one that was sent and not answered is as unknown as any."""
    other = order(status, purpose=purpose, client_order_id="o-other", subject_id=SHOWN.id, legs=())
    limits = replace(RiskLimits(), positions_per_symbol=9)
    found = recheck(book_with(orders=(other,)), terms(risk=limits))
    asked = [row for row in found if row.context["gate"] == "unknown_order_on_underlying"]
    assert bool(asked) == (status in (OrderStatus.SUBMITTED, OrderStatus.UNKNOWN))
    assert all(row.context["orders"] == "o-other" for row in asked)
    elsewhere = replace(other, underlying="QQQ")
    found = recheck(book_with(orders=(elsewhere,)), terms(risk=limits))
    assert "unknown_order_on_underlying" not in {row.context["gate"] for row in found}


def test_nothing_is_proposed_on_an_underlying_with_an_order_nobody_knows_about() -> None:
    book = book_with(orders=(order(OrderStatus.UNKNOWN, underlying="XYZ"),))
    proposal = proposed(account=view_of(book), limits=replace(RiskLimits(), trades_per_day=9))
    assert proposal.recommendation is None
    assert proposal.refusal is not None
    assert proposal.refusal.value == "unknown_order_on_underlying"


def test_a_failed_gate_tells_value_and_limit() -> None:
    (refusal,) = recheck(book_with(), account=account(options_buying_power=Decimal("100.50")))
    assert (refusal.code, refusal.value, refusal.limit) == (
        LapseCode.GATE_FAILED,
        "1170.00",
        "100.50",
    )
    assert refusal.context == {"gate": "buying_power", "outcome": "failed"}


def test_a_gate_without_its_input_has_no_value_rather_than_the_word_none() -> None:
    found = recheck(
        book_with(),
        account=account(equity=Decimal(0), last_equity=Decimal(0)),
    )
    assert {row.context["gate"] for row in found} >= {"per_trade", "portfolio_heat"}
    assert all(row.value is None for row in found if row.context["outcome"] == "not_available")
    assert "None" not in {row.value for row in found}


def test_a_halted_account_opens_nothing() -> None:
    book = book_with()
    with book.transaction("main") as ledger:
        ledger.set_trading_state(TradingState.HALTED, reason="storm", by="anna", at=NOW)
    (refusal,) = recheck(book)
    assert refusal.context["gate"] == GateCode.TRADING_STATE.value


def test_the_days_entries_count_this_one() -> None:
    limits = replace(RiskLimits(), trades_per_day=1, positions_per_symbol=9)
    done = order(OrderStatus.FILLED, client_order_id="other", subject_id="r-other")
    assert recheck(book_with(), terms(risk=limits)) == ()
    (refusal,) = recheck(book_with(orders=(done,)), terms(risk=limits))
    assert refusal.context["gate"] == GateCode.TRADES_PER_DAY.value


def test_the_recheck_stops_an_approved_order() -> None:
    """Through `execute` itself: the market pays more than was shown, so nothing is sent."""
    scene = approved_scene()
    scene.quote((4.30, 4.40), (2.90, 2.95))
    outcome = execute(SHOWN.id, desk=scene.desk, recheck=GateRecheck(terms()))
    assert outcome.status is ExecutionStatus.LAPSED
    assert [row.code for row in outcome.refusals] == [LapseCode.CREDIT_ABOVE_BAND]
    assert scene.broker.submitted == []


def test_exposure_is_trades_and_orders_together() -> None:
    other = replace(SHOWN, id="r-other")
    book = book_with(trades=(trade(),), orders=(order(subject_id=other.id),), known=False)
    with book.transaction("main") as ledger:
        ledger.add_recommendation(other, at=NOW)
        found = current_exposure(ledger)
    assert [item.working for item in found.items] == [False, True]
    assert isinstance(other, Recommendation)
