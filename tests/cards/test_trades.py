"""Messages about trades: filled, closed, not executed, and the alert that an exit is reached."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from mahler_pipelines.cards.countdowns import moment_with_countdown
from mahler_pipelines.cards.custom_ids import Action, parse_custom_id
from mahler_pipelines.cards.message import Colour
from mahler_pipelines.cards.trades import (
    ExitAlert,
    exit_alert,
    not_executed,
    trade_closed,
    trade_opened,
)
from mahler_pipelines.cards.wording import DASH
from mahler_pipelines.execution.trades import (
    ExitReason,
    LegPrice,
    PositionMark,
    Trade,
    TradeStatus,
)
from mahler_pipelines.messaging.marks import shown_hash
from tests.cards.cases import EVIL, conforming, field, harmless, labels, texts
from tests.execution.scenes import LONG, NOW, SHORT, SPREAD, trade

OPEN = replace(
    trade(credit="1.15"),
    entry_legs=(
        LegPrice(SHORT.symbol, Decimal("4.10"), Decimal("4.10"), Decimal("4.20"), "5" * 64),
        LegPrice(LONG.symbol, Decimal("2.95"), None, None, None),
    ),
    fees_usd=Decimal("3.90"),
)
MARK = PositionMark(
    trade_id=OPEN.id,
    marked_at=NOW,
    cost_to_close=Decimal("0.50"),
    natural_cost_to_close=Decimal("0.54"),
    unrealised_pnl_usd=Decimal("183.00"),
    underlying_price=Decimal(610),
    dte=39,
    snapshot_hash=None,
)
ALERT = ExitAlert(trade=OPEN, reason="profit_target", mark=MARK)


def closed(pnl: str, reason: ExitReason = ExitReason.PROFIT_TARGET) -> Trade:
    return replace(
        OPEN,
        status=TradeStatus.CLOSED,
        exit_time=NOW + timedelta(hours=2),
        exit_debit=Decimal("0.54"),
        exit_reason=reason,
        exit_legs=OPEN.entry_legs,
        pnl_usd=Decimal(pnl),
    )


def test_a_fill_is_told_with_its_legs_and_what_it_gave_away() -> None:
    told = trade_opened(OPEN, slippage_usd=Decimal("12.50"))
    conforming(told)
    assert told.embeds[0].title == "Filled · SPY · bull put spread 580/575 · 20 Feb"
    assert told.embeds[0].description == "3 contracts at **1.15** (+$345), 12 Jan 10:00 ET"
    assert field(told, "Legs") == "580 put: 4.10 (quoted 4.10 / 4.20)\n575 put: 2.95"
    assert field(told, "Against mid") == "-$12.50"
    assert field(told, "Fees") == "$3.90"


def test_slippage_that_is_not_known_is_a_dash() -> None:
    assert field(trade_opened(OPEN, slippage_usd=None), "Against mid") == DASH


@pytest.mark.parametrize(
    ("pnl", "colour", "shown"),
    [("183.00", Colour.GOOD, "+$183"), ("-42.10", Colour.BAD, "-$42.10")],
)
def test_an_end_says_what_it_earned_and_why(pnl: str, colour: Colour, shown: str) -> None:
    told = trade_closed(closed(pnl), slippage_usd=None)
    conforming(told)
    assert told.embeds[0].title.endswith(f"20 Feb · {shown}")
    assert told.embeds[0].colour is colour
    said = "**profit target** · 3 contracts in at 1.15, out at 0.54, 12 Jan 12:00 ET"
    assert told.embeds[0].description == said


@pytest.mark.parametrize("reason", list(ExitReason))
def test_every_reason_of_an_end_has_words(reason: ExitReason) -> None:
    told = trade_closed(closed("1.00", reason), slippage_usd=None)
    conforming(told)
    assert reason.value.replace("_", " ") in texts(told)


def test_an_approval_that_led_to_nothing_says_why() -> None:
    told = not_executed(SPREAD, subject="r-1", reason="underlying_moved; offered anew as r-1-q1")
    conforming(told)
    assert told.embeds[0].title.startswith("Not executed · SPY")
    assert "underlying moved; offered anew as r-1-q1" in told.embeds[0].description
    harmless(not_executed(SPREAD, subject="r-1", reason=EVIL))


def test_an_exit_alert_has_the_numbers_and_two_buttons() -> None:
    told = exit_alert(ALERT)
    conforming(told)
    said = told.embeds[0].description
    assert "**profit target** · 3 contracts" in said
    assert "in at 1.15, now 0.50 at mid, 0.54 at once" in said
    assert "**+$183** unrealised · 39 days left\n" in said
    assert f"seen {moment_with_countdown(NOW)}" in said
    assert labels(told) == ["Close now", "Keep"]
    ids = [parse_custom_id(button.custom_id) for button in told.rows[0]]
    assert [(one.action, one.subject) for one in ids] == [
        (Action.CLOSE, OPEN.id),
        (Action.KEEP, OPEN.id),
    ]
    assert field(told, "State") == "waits for an answer"


def test_an_alert_without_a_price_says_so() -> None:
    for mark in (None, replace(MARK, cost_to_close=None)):
        assert "could not be seen" in texts(exit_alert(replace(ALERT, mark=mark)))


@pytest.mark.parametrize("wish", ["keep", "close"])
def test_an_answer_takes_the_buttons_and_says_whose_it_is(wish: str) -> None:
    told = exit_alert(replace(ALERT, wish=wish, answered_by="discord:7"))
    assert labels(told) == []
    assert field(told, "State") == f"{wish} by <@7>"


def test_an_alert_follows_its_trade_to_the_end() -> None:
    closing = replace(OPEN, status=TradeStatus.CLOSING)
    said = exit_alert(replace(ALERT, trade=closing, wish="close", answered_by="anna"))
    assert field(said, "State") == "close by anna\na closing order works"
    over = exit_alert(replace(ALERT, trade=closed("183.00"), wish="close", answered_by="anna"))
    assert field(over, "State") == "close by anna\n**closed** at 0.54, +$183"
    assert (labels(said), labels(over)) == ([], [])


def test_the_same_state_is_the_same_message() -> None:
    assert shown_hash(exit_alert(ALERT)) == shown_hash(exit_alert(replace(ALERT)))
    answered = replace(ALERT, wish="keep", answered_by="anna")
    assert shown_hash(exit_alert(ALERT)) != shown_hash(exit_alert(answered))
