"""The morning brief on a phone."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from mahler_pipelines.cards.brief import LISTED, morning_brief
from mahler_pipelines.cards.message import Colour
from mahler_pipelines.cards.wording import DASH
from mahler_pipelines.messaging.marks import shown_hash
from mahler_pipelines.review.position_lines import PositionLine
from mahler_pipelines.review.session_brief import (
    DueLine,
    PendingLine,
    RankLine,
    SessionBrief,
)
from tests.cards.cases import EVIL, conforming, field, harmless
from tests.execution.fakes import utc

POSITION = PositionLine(
    trade_id="t-1", name="SPY 580/575P", contracts=3, dte=38, pnl_usd=Decimal("42.50"), warning=""
)
QUIET = SessionBrief(
    session=date(2026, 1, 13),
    as_of=utc(2026, 1, 13, hour=14),
    open_at=utc(2026, 1, 13, hour=14, minute=30),
    close_at=utc(2026, 1, 13, hour=21),
    early_close=False,
    equity=Decimal("100250.40"),
    options_buying_power=Decimal(98_000),
    ranks=(),
    ranked=0,
    ranks_seen="",
    regimes={},
    positions=(),
    due=(),
    pending=(),
    trading_state="active",
    state_reason="",
    findings=(),
    rules=0,
    rules_proposed=0,
    last_rule="",
)


def but(**changes: Any) -> SessionBrief:
    return QUIET.model_copy(update=changes)


def due(**changes: Any) -> DueLine:
    values = {
        "name": "SPY 580/575P",
        "time_exit": False,
        "last_day": False,
        "closes_by": None,
        "warning": "",
    }
    return DueLine(**(values | changes))


def test_a_quiet_morning_says_that_it_is_quiet() -> None:
    told = morning_brief(QUIET, account_id="main")
    conforming(told)
    embed = told.embeds[0]
    assert embed.title == "Morning brief · Tue 13 Jan"
    assert embed.colour is Colour.QUIET
    opens = int(QUIET.open_at.timestamp())
    assert embed.description == (
        f"Opens 13 Jan 09:30 ET (<t:{opens}:R>), closes **16:00 ET**\n"
        "Equity **$100,250.40** · buying power $98,000\n"
        "no open positions"
    )
    assert field(told, "Due today") == "nothing"
    assert field(told, "Volatility") == "no IV ranks yet"
    assert field(told, "Waits for an answer") == "nothing"
    assert field(told, "Desk") == "**active**\nno findings open"
    assert field(told, "Playbook") == "no rules adopted"
    assert embed.at == QUIET.as_of


def test_an_early_close_is_said_and_a_session_that_began_is_not_to_come() -> None:
    told = morning_brief(
        but(early_close=True, close_at=utc(2026, 1, 13, hour=18), options_buying_power=None),
        account_id="main",
    )
    assert "closes **13:00 ET** — **closes early**" in told.embeds[0].description
    assert f"buying power {DASH}" in told.embeds[0].description
    began = morning_brief(but(as_of=utc(2026, 1, 13, hour=14, minute=35)), account_id="main")
    assert began.embeds[0].description.startswith("Opened 09:30 ET, closes **16:00 ET**")


def test_positions_are_a_table_that_fits_a_phone() -> None:
    told = morning_brief(but(positions=(POSITION,)), account_id="main")
    conforming(told)
    lines = told.embeds[0].description.splitlines()
    assert lines[-3:-1] == [
        "                    x DTE      P/L",
        "SPY 580/575P        3  38     +$42",
    ]


def test_what_is_due_today_is_said_in_words() -> None:
    told = morning_brief(
        but(
            due=(
                due(time_exit=True),
                due(name="QQQ 500/495P", last_day=True, closes_by=utc(2026, 1, 13, hour=19)),
                due(name="IWM 200/195P", last_day=True, warning="early assignment likely"),
            )
        ),
        account_id="main",
    )
    conforming(told)
    assert field(told, "Due today") == (
        "- **SPY 580/575P**: time exit\n"
        "- **QQQ 500/495P**: last day, closed from 14:00 ET on\n"
        "- **IWM 200/195P**: last day, left to expire; early assignment likely"
    )
    assert told.embeds[0].colour is Colour.WAITING


def test_the_market_is_its_highest_ranks_and_its_regimes() -> None:
    ranks = (
        RankLine(underlying="SPY", iv_rank=81.6, regime="stressed"),
        RankLine(underlying="QQQ", iv_rank=60.2, regime="calm"),
    )
    told = morning_brief(
        but(
            ranks=ranks,
            ranked=14,
            ranks_seen="2026-01-12 afternoon",
            regimes={"calm": 13, "stressed": 1},
        ),
        account_id="main",
    )
    conforming(told)
    assert field(told, "Volatility") == (
        "Highest IV ranks: SPY **82** stressed · QQQ **60**\n"
        "Regimes: 13 calm, 1 stressed\n"
        "-# of 14 underlyings, as of 2026-01-12 afternoon"
    )


def test_what_waits_and_how_the_desk_stands() -> None:
    expires = utc(2026, 1, 13, hour=15)
    told = morning_brief(
        but(
            pending=(
                PendingLine(recommendation_id="r-1", name="SPY 580/575P", expires_at=expires),
            ),
            trading_state="halted",
            state_reason="daily_loss value=-0.03",
            findings=("missing_leg SPY260220P00580000",),
            rules=2,
            rules_proposed=1,
            last_rule="Demand more distance.",
        ),
        account_id="main",
    )
    conforming(told)
    moment = int(expires.timestamp())
    assert (
        field(told, "Waits for an answer")
        == f"- SPY 580/575P, expires 13 Jan 10:00 ET (<t:{moment}:R>)"
    )
    assert field(told, "Desk") == (
        "**halted**: daily\\_loss value=-0.03\n- missing leg SPY260220P00580000"
    )
    assert field(told, "Playbook") == (
        "2 rules adopted, the last: Demand more distance.\n1 rule proposed"
    )
    assert told.embeds[0].colour is Colour.WARNING


@pytest.mark.parametrize("count", [1, LISTED, LISTED + 1, 60])
def test_what_is_too_long_for_a_phone_is_counted(count: int) -> None:
    told = morning_brief(
        but(
            due=(due(warning="w" * 400),) * count,
            positions=(POSITION,) * count,
            findings=("missing_leg X",) * count,
        ),
        account_id="main",
    )
    conforming(told)
    assert (f"and {count - LISTED} more" in field(told, "Due today")) is (count > LISTED)


def test_text_of_rules_and_reasons_stays_text() -> None:
    told = morning_brief(
        but(
            due=(due(warning=EVIL),),
            state_reason=EVIL,
            findings=(EVIL,),
            rules=1,
            last_rule=EVIL,
            regimes={EVIL: 1},
            ranks=(RankLine(underlying="SPY", iv_rank=1.0, regime=EVIL),),
        ),
        account_id="main",
    )
    conforming(told)
    harmless(told)


def test_the_same_brief_is_the_same_message() -> None:
    told = but(positions=(POSITION,))
    again = SessionBrief.read(told.model_dump(mode="json"))
    assert shown_hash(morning_brief(told, account_id="main")) == shown_hash(
        morning_brief(again, account_id="main")
    )
    later = but(positions=(POSITION,), as_of=QUIET.as_of + timedelta(minutes=1))
    assert shown_hash(morning_brief(later, account_id="main")) != shown_hash(
        morning_brief(told, account_id="main")
    )
