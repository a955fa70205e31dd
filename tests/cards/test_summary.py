"""The end-of-day summary on a phone, with its equity curve."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from mahler_pipelines.cards.message import Colour
from mahler_pipelines.cards.summary import CLOSED_SHOWN, EQUITY_PICTURE, day_summary
from mahler_pipelines.cards.wording import DASH
from mahler_pipelines.messaging.marks import shown_hash
from mahler_pipelines.review.day_summary import ClosedLine, DaySummary
from tests.cards.cases import EVIL, conforming, field, harmless
from tests.cards.test_brief import POSITION
from tests.storage.samples import performance

SESSION = date(2026, 1, 13)
TOLD = DaySummary(
    session=SESSION,
    equity=Decimal("100250.00"),
    day_pnl=Decimal("250.00"),
    realised_pnl=Decimal("183.00"),
    unrealised_pnl=Decimal("67.00"),
    fees=Decimal("3.90"),
    drawdown=Decimal(0),
    options_buying_power=Decimal(98_000),
    heat_usd=Decimal(1170),
    heat_limit=Decimal("0.30"),
    trades_opened=1,
    trades_closed=1,
    wins=1,
    losses=0,
    closed=(ClosedLine(name="SPY 580/575P", reason="profit_target", pnl_usd=Decimal(183)),),
    positions=(POSITION,),
    trading_state="active",
)
HISTORY = [
    performance(SESSION - timedelta(days=1), equity=Decimal(100_000)),
    performance(SESSION, equity=Decimal(100_250)),
]


def but(**changes: Any) -> DaySummary:
    return TOLD.model_copy(update=changes)


def test_a_summary_has_the_result_the_trades_and_the_curve() -> None:
    told = day_summary(TOLD, HISTORY, account_id="main")
    conforming(told)
    embed = told.embeds[0]
    assert embed.title == "Tue 13 Jan · +$250"
    assert embed.colour is Colour.GOOD
    assert embed.description == (
        "Equity **$100,250**, +$250 (0.25 %)\n"
        "realised +$183 · unrealised +$67 · fees $3.90\n"
        "Closed\n```\n"
        "SPY 580/575P      profit     +$183\n```\n"
        "Open\n```\n"
        "                    x DTE      P/L\n"
        "SPY 580/575P        3  38     +$42\n```"
    )
    assert field(told, "Trades") == "1 opened, 1 closed\n1 won, 0 lost"
    assert field(told, "Heat") == "1.2 % of 30 %\n$1,170"
    assert field(told, "Buying power") == "$98,000"
    assert field(told, "Drawdown") == "$0"
    (picture,) = told.pictures
    assert (picture.name, embed.picture) == (EQUITY_PICTURE, EQUITY_PICTURE)
    assert picture.png.startswith(b"\x89PNG")
    assert picture.description == "Equity over 2 sessions, now $100,250"


@pytest.mark.parametrize(
    ("pnl", "colour", "title"),
    [
        ("-1.50", Colour.BAD, "Tue 13 Jan · -$1.50"),
        ("0", Colour.QUIET, "Tue 13 Jan · +$0"),
    ],
)
def test_a_loss_looks_like_one(pnl: str, colour: Colour, title: str) -> None:
    told = day_summary(but(day_pnl=Decimal(pnl)), HISTORY, account_id="main")
    assert (told.embeds[0].title, told.embeds[0].colour) == (title, colour)


def test_without_a_history_there_is_no_picture_and_none_is_named() -> None:
    told = day_summary(TOLD, [], account_id="main")
    conforming(told)
    assert (told.pictures, told.embeds[0].picture) == ((), "")


def test_a_day_without_trades_says_so_and_a_halt_is_not_forgotten() -> None:
    told = day_summary(
        but(closed=(), positions=(), trading_state="halted", options_buying_power=None),
        HISTORY,
        account_id="main",
    )
    conforming(told)
    lines = told.embeds[0].description.splitlines()
    assert lines[-2:] == ["the desk is **halted**", "no open positions"]
    assert field(told, "Buying power") == DASH


def test_an_account_without_equity_has_no_share() -> None:
    told = day_summary(but(equity=Decimal(0), day_pnl=Decimal(0)), [], account_id="main")
    assert "%" not in told.embeds[0].description
    assert field(told, "Heat").startswith(f"{DASH} of 30 %")


def test_many_trades_are_counted() -> None:
    line = ClosedLine(name="SPY 580/575P", reason=EVIL, pnl_usd=None)
    told = day_summary(
        but(closed=(line,) * 40, positions=(POSITION,) * 40), HISTORY, account_id="main"
    )
    conforming(told)
    harmless(told)
    assert f"and {40 - CLOSED_SHOWN} more" in told.embeds[0].description


def test_the_same_day_is_the_same_message() -> None:
    again = DaySummary.read(TOLD.model_dump(mode="json"))
    assert shown_hash(day_summary(TOLD, HISTORY, account_id="main")) == shown_hash(
        day_summary(again, [replace(row) for row in HISTORY], account_id="main")
    )
