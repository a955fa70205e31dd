"""The last day and early assignment, as a look sees them, tells them and acts on them."""

from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest

from mahler_pipelines.errors import BrokerUnavailable
from mahler_pipelines.execution.closing import CloseStatus
from mahler_pipelines.execution.monitoring import MonitorReport, watch
from mahler_pipelines.execution.trades import ExitReason, TradeStatus
from mahler_pipelines.market.sessions import NEW_YORK
from mahler_pipelines.options.contracts import OptionContract, Right
from mahler_pipelines.options.structures import Leg, Side, Structure
from mahler_pipelines.risk.early_assignment import AssignmentLevel
from mahler_pipelines.risk.exit_terms import ExitAction, ExitTerms
from mahler_pipelines.risk.expiry_day import ExpiryOutcome, Shortage
from tests.execution.scenes import EXPIRATION, LONG, SHORT, Scene, open_trade_scene, quote_table

TERMS = ExitTerms(time_exit_dte=0, stop_loss=Decimal(50), profit_target=Decimal(1))
"""Nothing but early assignment closes a trade that was opened for 1.15 before its last day."""
ALERT = replace(TERMS, action=ExitAction.ALERT)
CLOSES = replace(ALERT, expiry_always_closes=True)
"""A time exit would close on the morning of the last day; a person is asked, until the cut-off."""

SHORT_CALL = OptionContract("SPY", EXPIRATION, Right.CALL, Decimal(580))
LONG_CALL = OptionContract("SPY", EXPIRATION, Right.CALL, Decimal(585))
BEAR_CALL = Structure("bear_call_spread", (Leg(SHORT_CALL, Side.SELL), Leg(LONG_CALL, Side.BUY)))
EX_DATE = date(2026, 2, 6)


def new_york(day: date, hour: int, minute: int) -> datetime:
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=NEW_YORK)


def told(scene: Scene, kind: str) -> list[dict[str, Any]]:
    return [row["payload"] for row in scene.book.rows.outbox.values() if row["kind"] == kind]


def last_day(scene: Scene, hour: int, minute: int, *, spot: float) -> None:
    """Quotes of the last day: intrinsic value and a little more."""
    scene.at(new_york(EXPIRATION, hour, minute))
    short, long = max(580 - spot, 0) + 0.30, max(575 - spot, 0) + 0.10
    scene.quote((short - 0.05, short + 0.05), (long - 0.05, long + 0.05), spot=spot)
    scene.fill_at(f"{short:.2f}", f"{long:.2f}")


def looked(scene: Scene, terms: ExitTerms = ALERT) -> MonitorReport:
    return watch(scene.desk, exits=terms)


def test_spread_is_closed_at_natural_from_the_cut_off_on() -> None:
    """Three contracts, from 75 minutes before the close: whole before the broker looks."""
    scene = open_trade_scene()
    last_day(scene, 14, 40, spot=582.0)
    (outcome,) = looked(scene, CLOSES).exits
    assert (outcome.status, outcome.exit_reason) == (CloseStatus.ALERTED, ExitReason.TIME_EXIT)
    last_day(scene, 14, 45, spot=582.0)
    (outcome,) = looked(scene, CLOSES).exits
    assert (outcome.status, outcome.exit_reason) == (CloseStatus.CLOSED, ExitReason.EXPIRY_CUTOFF)
    closing = scene.broker.submitted[-1]
    # 0.35 asked for the short leg less 0.05 bid for the long one.
    assert (closing.quantity, closing.limit_price) == (3, Decimal("0.30"))
    assert scene.trade().exit_reason is ExitReason.EXPIRY_CUTOFF
    assert scene.broker.held == {SHORT.symbol: 0, LONG.symbol: 0}


def test_trade_that_is_closing_for_another_reason_is_closed_for_this_one_at_the_cut_off() -> None:
    scene = open_trade_scene()
    scene.broker.fill_units = 0
    last_day(scene, 14, 40, spot=582.0)
    looked(scene, ExitTerms())
    assert scene.trade().exit_reason is ExitReason.PROFIT_TARGET
    scene.broker.fill_units = None
    last_day(scene, 14, 45, spot=582.0)
    (outcome,) = looked(scene, ExitTerms()).exits
    assert (outcome.status, outcome.exit_reason) == (CloseStatus.CLOSED, ExitReason.EXPIRY_CUTOFF)


def test_alert_leaves_the_trade_to_expire_unless_the_settings_close_it_anyway() -> None:
    scene = open_trade_scene()
    last_day(scene, 14, 45, spot=582.0)
    (outcome,) = looked(scene).exits
    assert outcome.status is CloseStatus.ALERTED
    assert [row["reason"] for row in told(scene, "exit_reached")] == ["expiry_cutoff"]
    assert scene.trade().status is TradeStatus.OPEN
    scene.later(minutes=5)
    (outcome,) = looked(scene, CLOSES).exits
    assert outcome.status is CloseStatus.CLOSED


def test_switched_off_the_trade_is_left_to_expire() -> None:
    scene = open_trade_scene()
    last_day(scene, 15, 30, spot=582.0)
    off = replace(ALERT, expiry_cutoff_minutes=None)
    assert all(one.exit_reason is not ExitReason.EXPIRY_CUTOFF for one in looked(scene, off).exits)
    assert len(scene.broker.submitted) == 1
    (payload,) = told(scene, "expiry_forecast")
    assert payload["cutoff"] is None


def test_last_day_is_forecast_from_the_morning_and_when_it_changes() -> None:
    scene = open_trade_scene()
    scene.broker.cash = Decimal(100_000)
    last_day(scene, 9, 35, spot=590.0)
    (found,) = looked(scene).outlook.forecasts
    assert [leg.outcome for leg in found.legs] == [ExpiryOutcome.EXPIRES] * 2
    assert [leg.holding.quantity for leg in found.legs] == [-3, 3]
    for minute in (40, 45):
        last_day(scene, 9, minute, spot=591.0)
        looked(scene)
    assert len(told(scene, "expiry_forecast")) == 1
    last_day(scene, 9, 50, spot=578.0)
    (found,) = looked(scene).outlook.forecasts
    short, long = found.legs
    assert (short.outcome, short.shortage) == (ExpiryOutcome.LIQUIDATED, Shortage.BUYING_POWER)
    assert long.outcome is ExpiryOutcome.EXPIRES
    assert found.probability_between is not None
    assert found.probability_between > 0.3
    _, payload = told(scene, "expiry_forecast")
    assert payload["legs"][0]["outcome"] == "liquidated"
    assert payload["legs"][0]["shortage"] == "buying_power"
    assert payload["legs"][0]["intrinsic"] == "2.00"
    assert datetime.fromisoformat(payload["cutoff"]) == new_york(EXPIRATION, 14, 45)
    last_day(scene, 9, 55, spot=590.0)
    looked(scene)
    assert len(told(scene, "expiry_forecast")) == 2, "the first one was told already"


def test_what_stands_at_a_look_stays_with_the_mark() -> None:
    scene = open_trade_scene()
    last_day(scene, 9, 35, spot=578.0)
    looked(scene)
    scene.broker.cash = Decimal(10**7)
    last_day(scene, 9, 40, spot=578.0)
    looked(scene)
    poor, rich = (mark.warning for mark in scene.book.rows.marks)
    assert poor.startswith(f"last day: {SHORT.symbol} liquidated for want of buying_power (ITM ")
    assert rich.startswith(f"last day: {SHORT.symbol} assigned (ITM ")
    assert "between the strikes" in rich


def test_other_days_ask_the_broker_for_nothing_more() -> None:
    scene = open_trade_scene()
    scene.at(new_york(date(2026, 2, 19), 15, 0))
    scene.quote((1.00, 1.10), (0.40, 0.45), spot=582.0)
    scene.broker.positions = None  # type: ignore[assignment, method-assign]
    report = looked(scene)
    assert (report.outlook.forecasts, report.outlook.problem) == ((), "")


def test_broker_that_does_not_answer_stops_neither_marks_nor_closes() -> None:
    scene = open_trade_scene()

    def silent() -> None:
        raise BrokerUnavailable("no positions")

    scene.broker.positions = silent  # type: ignore[assignment, method-assign]
    last_day(scene, 9, 35, spot=582.0)
    report = looked(scene, CLOSES)
    assert report.outlook.problem == "no forecast of the last day: no positions"
    assert len(scene.book.rows.marks) == 1
    last_day(scene, 14, 45, spot=582.0)
    (outcome,) = looked(scene, CLOSES).exits
    assert outcome.status is CloseStatus.CLOSED


def call_scene(*, spot: float = 600.0, day: date = date(2026, 2, 5)) -> Scene:
    """A bear call spread deep in the money, opened before, a day ahead of a dividend of 1.80."""
    scene = open_trade_scene()
    (name,) = scene.book.rows.trades
    scene.book.rows.trades[name] = replace(scene.trade(), structure=BEAR_CALL)
    scene.broker.held = {SHORT_CALL.symbol: -3, LONG_CALL.symbol: 3}
    scene.market.ex_dates = [("SPY", EX_DATE, 1.80)]
    call_quotes(scene, day, spot=spot)
    return scene


def call_quotes(scene: Scene, day: date, *, spot: float = 600.0) -> None:
    scene.at(new_york(day, 10, 0))
    short, long = spot - 580 + 0.10, spot - 585 + 0.20
    quotes = {
        SHORT_CALL.symbol: (short - 0.05, short + 0.05),
        LONG_CALL.symbol: (long - 0.05, long + 0.05),
    }
    scene.market.quotes = quote_table(quotes, underlying_price=spot)
    scene.market.levels = {"SPY": spot}
    scene.broker.prices = {
        SHORT_CALL.symbol: Decimal(f"{short:.2f}"),
        LONG_CALL.symbol: Decimal(f"{long:.2f}"),
    }


def test_short_call_before_an_ex_date_is_warned_of_once_for_each_level() -> None:
    scene = call_scene()
    (one,) = looked(scene).outlook.warnings
    assert one.warning.level is AssignmentLevel.LIKELY
    assert one.warning.contract == SHORT_CALL
    scene.later(minutes=5)
    looked(scene)
    (payload,) = told(scene, "early_assignment_warning")
    assert (payload["ex_date"], payload["gain"]) == ("2026-02-06", "1.8")
    assert (payload["symbol"], payload["level"]) == (SHORT_CALL.symbol, "likely")
    assert scene.market.dividends_asked == [("SPY",)]
    said = f"early assignment likely: {SHORT_CALL.symbol} (ex 2026-02-06 1.8, time value 0.10)"
    assert [mark.warning for mark in scene.book.rows.marks] == [said, said]
    scene.market.ex_dates = [("SPY", EX_DATE, 0.15)]
    scene.lake.tables.clear()
    scene.later(minutes=5)
    (one,) = looked(scene).outlook.warnings
    assert one.warning.level is AssignmentLevel.POSSIBLE
    assert [row["level"] for row in told(scene, "early_assignment_warning")] == [
        "likely",
        "possible",
    ]


def test_warning_alone_closes_nothing_and_the_setting_closes_at_natural() -> None:
    scene = call_scene()
    assert looked(scene, TERMS).exits == ()
    scene.later(minutes=5)
    (outcome,) = looked(scene, replace(TERMS, early_assignment=ExitAction.ORDER)).exits
    assert (outcome.status, outcome.exit_reason) == (
        CloseStatus.CLOSED,
        ExitReason.EARLY_ASSIGNMENT,
    )
    # 20.15 asked for the short leg less 15.15 bid for the long one, capped at the width.
    assert scene.broker.submitted[-1].limit_price == Decimal("5.00")
    assert scene.trade().exit_reason is ExitReason.EARLY_ASSIGNMENT


def test_trade_that_another_exit_closes_is_not_closed_twice() -> None:
    scene = call_scene()
    scene.broker.fill_units = 0
    terms = replace(ExitTerms(), early_assignment=ExitAction.ORDER)
    (outcome,) = looked(scene, terms).exits
    assert (outcome.status, outcome.exit_reason) == (CloseStatus.WORKING, ExitReason.STOP_LOSS)
    assert len(scene.broker.submitted) == 2


def test_two_sessions_ahead_is_soon_enough() -> None:
    scene = call_scene(day=date(2026, 2, 3))
    assert looked(scene).outlook.warnings == ()
    call_quotes(scene, date(2026, 2, 4))
    assert len(looked(scene).outlook.warnings) == 1


def test_dividends_that_are_not_answered_are_said_to_be_unknown() -> None:
    scene = call_scene()

    def silent(*_: object, **__: object) -> None:
        raise BrokerUnavailable("no corporate actions")

    scene.market.dividends = silent  # type: ignore[assignment, method-assign]
    report = looked(scene)
    assert report.outlook.problem == "no dividends: no corporate actions"
    assert len(report.marks) == len(scene.book.rows.marks) == 1


@pytest.mark.parametrize("is_open", [True, False])
def test_outside_the_session_the_desk_warns_and_sends_nothing(is_open: bool) -> None:
    scene = call_scene()
    scene.broker.is_open = is_open
    report = looked(scene, replace(TERMS, early_assignment=ExitAction.ORDER))
    assert len(report.outlook.warnings) == 1
    assert len(report.exits) == is_open
