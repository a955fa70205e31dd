"""Messages about trouble: halts, differences from the broker, failed runs, refused closes."""

from dataclasses import replace
from decimal import Decimal

import pytest

from mahler_pipelines.cards.custom_ids import Action, parse_custom_id
from mahler_pipelines.cards.message import Colour
from mahler_pipelines.cards.trouble import (
    BrokerFinding,
    Halt,
    close_refused,
    finding_message,
    halt_card,
    run_failed,
)
from mahler_pipelines.execution.broker_books import FindingKind, FindingStatus, RepairKind
from mahler_pipelines.messaging.marks import shown_hash
from mahler_pipelines.risk.trading_state import TradingState
from tests.cards.cases import EVIL, conforming, field, harmless, labels, texts
from tests.execution.scenes import SHORT

HALT = Halt(
    account_id="main",
    subject="main",
    code="daily_loss",
    cause="2026-01-12",
    value="-0.0312",
    limit="0.03",
    state=TradingState.HALTED,
)
FINDING = BrokerFinding(
    id="d-260112-aaaaaaaa",
    account_id="main",
    kind=FindingKind.MISSING_LEG,
    subject=SHORT.symbol,
    expected=Decimal(-3),
    found=Decimal(0),
    status=FindingStatus.OPEN,
    repair=RepairKind.WAIT,
    detail={"why": "trade t-260112-mo-abcdef12"},
)


def test_a_halt_says_why_and_a_person_may_resume() -> None:
    told = halt_card(HALT)
    conforming(told)
    assert told.embeds[0].title == "Halted: nothing new is opened"
    assert told.embeds[0].colour is Colour.BAD
    assert "**daily loss**: -0.0312 reached the limit of 0.03" in told.embeds[0].description
    assert "watched and closed as before" in told.embeds[0].description
    (button,) = told.rows[0]
    assert parse_custom_id(button.custom_id).action is Action.RESUME


def test_a_halt_that_was_lifted_says_by_whom() -> None:
    told = halt_card(replace(HALT, state=TradingState.ACTIVE, resumed_by="discord:7"))
    conforming(told)
    assert told.embeds[0].title == "Was halted"
    assert told.embeds[0].description.endswith("**resumed** by <@7>")
    assert labels(told) == []


@pytest.mark.parametrize("state", [TradingState.ACTIVE, TradingState.REDUCING])
def test_a_state_that_changed_otherwise_is_said(state: TradingState) -> None:
    told = halt_card(replace(HALT, state=state))
    assert told.embeds[0].description.endswith(f"the desk is {state} now")
    assert labels(told) == []


def test_a_finding_names_the_contract_both_numbers_and_what_puts_it_right() -> None:
    told = finding_message(FINDING)
    conforming(told)
    assert told.embeds[0].title == "Broker: missing leg"
    assert told.embeds[0].colour is Colour.WARNING
    assert told.embeds[0].description == (
        "**SPY 580 put, 20 Feb**\nthe ledger says -3, the broker 0\ntrade t-260112-mo-abcdef12"
    )
    assert "nothing is guessed" in field(told, "What puts it right")
    assert told.embeds[0].footer == "d-260112-aaaaaaaa · main"


@pytest.mark.parametrize("kind", list(FindingKind))
@pytest.mark.parametrize("repair", list(RepairKind))
def test_every_finding_and_repair_has_words(kind: FindingKind, repair: RepairKind) -> None:
    told = finding_message(replace(FINDING, kind=kind, repair=repair))
    conforming(told)
    assert field(told, "What puts it right")


def test_an_uncovered_short_option_is_an_alarm() -> None:
    short = replace(FINDING, kind=FindingKind.UNPAIRED_SHORT, repair=RepairKind.COVER)
    told = finding_message(short)
    assert told.embeds[0].title == "Uncovered short option"
    assert told.embeds[0].colour is Colour.BAD
    assert "`mahler repair d-260112-aaaaaaaa` buys back" in field(told, "What puts it right")


@pytest.mark.parametrize("status", [FindingStatus.REPAIRED, FindingStatus.DISMISSED])
def test_a_finding_that_ended_asks_for_nothing(status: FindingStatus) -> None:
    """The cause is known and booked: the message says so quietly."""
    told = finding_message(replace(FINDING, status=status))
    conforming(told)
    assert told.embeds[0].title == f"Broker: missing leg · {status}"
    assert told.embeds[0].colour is Colour.QUIET
    assert "mahler repair" not in texts(told)


def test_amounts_are_shown_as_they_are() -> None:
    cash = replace(
        FINDING,
        kind=FindingKind.INVARIANT,
        subject="cash",
        expected=Decimal("100345.00"),
        found=Decimal("100344.99"),
        detail={},
    )
    assert "the ledger says +100,345, the broker +100,344.99" in texts(finding_message(cash))


def test_text_of_the_broker_stays_text() -> None:
    told = finding_message(replace(FINDING, subject=EVIL, detail={"why": EVIL, "more": EVIL * 40}))
    conforming(told)
    harmless(told)


def test_a_failed_run_says_what_of_and_why() -> None:
    told = run_failed("market_scan", "morning|2026-01-12", message="no quotes", run_id="abcdef123")
    conforming(told)
    assert told.embeds[0].title == "Run failed: market scan"
    assert told.embeds[0].description == "market scan of morning\\|2026-01-12\nno quotes"
    assert told.embeds[0].footer == "run abcdef12"
    evil = run_failed("market_scan", "", message=EVIL * 100, run_id="1")
    conforming(evil)
    harmless(evil)


def test_a_refused_close_says_the_brokers_reason() -> None:
    told = close_refused("SPY", trade_id="t-1", reason="insufficient options buying power")
    conforming(told)
    assert told.embeds[0].title == "The broker refused to close SPY"
    assert told.embeds[0].description == "insufficient options buying power"
    harmless(close_refused(EVIL, trade_id="t-1", reason=EVIL))


def test_the_same_state_is_the_same_message() -> None:
    assert shown_hash(halt_card(HALT)) == shown_hash(halt_card(replace(HALT)))
    assert shown_hash(finding_message(FINDING)) == shown_hash(finding_message(replace(FINDING)))
