"""Exits: thresholds at their exact boundaries."""

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mahler_pipelines.errors import BadInput
from mahler_pipelines.execution.exits import exit_reason, reason_at, sends_order
from mahler_pipelines.execution.trades import ExitReason, PositionMark, Trade
from mahler_pipelines.market.sessions import NEW_YORK, TradingCalendar
from mahler_pipelines.options.structures import Leg, Structure
from mahler_pipelines.risk.exit_terms import ExitAction, ExitTerms
from tests.execution.scenes import NOW, SPREAD, later_copy, trade

TERMS = ExitTerms()
ORDER, ALERT = ExitAction.ORDER, ExitAction.ALERT


def mark(cost: str | None, *, dte: int = 30, natural: str | None = None) -> PositionMark:
    return PositionMark(
        trade_id="t-260112-mo-abcdef12",
        marked_at=NOW,
        cost_to_close=None if cost is None else Decimal(cost),
        natural_cost_to_close=None if natural is None else Decimal(natural),
        unrealised_pnl_usd=None,
        underlying_price=None,
        dte=dte,
        snapshot_hash=None,
    )


@pytest.mark.parametrize("contracts", [1, 3, 7, 11])
@pytest.mark.parametrize(
    ("credit", "cost", "reason"),
    [
        ("1.15", "0.575", ExitReason.PROFIT_TARGET),
        ("1.15", "0.5751", None),
        ("1.15", "0.5750", ExitReason.PROFIT_TARGET),
        ("1.15", "3.45", ExitReason.STOP_LOSS),
        ("1.15", "3.4499", None),
        ("0.33", "0.165", ExitReason.PROFIT_TARGET),
        ("0.33", "0.1651", None),
        ("0.33", "0.99", ExitReason.STOP_LOSS),
        ("0.33", "0.9899", None),
        ("1.00", "0", ExitReason.PROFIT_TARGET),
        ("1.00", "-0.01", ExitReason.PROFIT_TARGET),
    ],
)
def test_thresholds_hold_exactly_whatever_the_number_of_contracts(
    credit: str, cost: str, reason: ExitReason | None, contracts: int
) -> None:
    assert exit_reason(trade(credit=credit, contracts=contracts), mark(cost), TERMS) is reason


@pytest.mark.parametrize(("dte", "due"), [(22, False), (21, True), (20, True), (0, True)])
def test_time_exit_is_due_at_twenty_one_days(dte: int, due: bool) -> None:
    assert (exit_reason(trade(), mark("0.80", dte=dte), TERMS) is ExitReason.TIME_EXIT) is due


def test_stop_comes_before_profit_and_profit_before_time() -> None:
    assert exit_reason(trade(), mark("3.00", dte=5), TERMS) is ExitReason.STOP_LOSS
    assert exit_reason(trade(), mark("0.50", dte=5), TERMS) is ExitReason.PROFIT_TARGET


def test_time_exit_needs_no_mid() -> None:
    """Bad data never traps a position: exits have the looser gate."""
    assert exit_reason(trade(), mark(None, dte=21, natural="0.9"), TERMS) is ExitReason.TIME_EXIT
    assert exit_reason(trade(), mark(None, dte=22, natural="9.9"), TERMS) is None


def test_trade_opened_for_a_debit_knows_only_the_time_exit() -> None:
    assert exit_reason(trade(credit="-1.00"), mark("-3.00"), TERMS) is None
    assert exit_reason(trade(credit="-1.00"), mark("-3.00", dte=3), TERMS) is ExitReason.TIME_EXIT


@given(credit=st.integers(1, 2_000), cost=st.integers(-100, 9_000), dte=st.integers(0, 60))
def test_reason_agrees_with_the_loss_in_dollars(credit: int, cost: int, dte: int) -> None:
    """Against the rule said in whole cents: loss of twice the credit, half of it kept."""
    reason = reason_at(credit=Decimal(credit) / 100, cost=Decimal(cost) / 100, dte=dte, terms=TERMS)
    if cost - credit >= 2 * credit:
        assert reason is ExitReason.STOP_LOSS
    elif 2 * cost <= credit:
        assert reason is ExitReason.PROFIT_TARGET
    else:
        assert reason is (ExitReason.TIME_EXIT if dte <= 21 else None)


@pytest.mark.parametrize(
    "bad", [{"profit_target": Decimal(0)}, {"stop_loss": Decimal(0)}, {"time_exit_dte": -1}]
)
def test_terms_that_would_always_or_never_close_are_refused(bad: dict[str, Decimal]) -> None:
    with pytest.raises(BadInput):
        ExitTerms(**bad)  # type: ignore[arg-type]


LAST_DAY = date(2026, 2, 20)
EARLY_DAY = date(2026, 11, 27)


def seen_at(session: date, clock: str, cost: str | None = "0.80") -> PositionMark:
    hour, minute = map(int, clock.split(":"))
    moment = datetime(session.year, session.month, session.day, hour, minute, tzinfo=NEW_YORK)
    return replace(mark(cost, dte=0), marked_at=moment.astimezone(UTC))


def expiring(day: date, root: str = "SPY") -> Trade:
    """The trade with legs of another expiration and root."""
    legs = tuple(
        Leg(replace(leg.contract, root=root, expiration=day), leg.side) for leg in SPREAD.legs
    )
    return later_copy(trade(), structure=Structure("bull_put_spread", legs))


@pytest.mark.parametrize(
    ("held", "session", "before", "from_"),
    [
        (expiring(LAST_DAY), LAST_DAY, "14:44", "14:45"),
        (expiring(EARLY_DAY), EARLY_DAY, "11:44", "11:45"),
        (expiring(LAST_DAY, "SPXW"), LAST_DAY, "14:44", "14:45"),
        (expiring(LAST_DAY, "SPX"), date(2026, 2, 19), "14:44", "14:45"),
    ],
    ids=["a normal day", "an early close", "settled on the close", "settled on the open"],
)
def test_cut_off_is_by_the_close_of_the_last_session(
    held: Trade, session: date, before: str, from_: str
) -> None:
    """Calendar days to expiration are fewer than any time exit then: that must not hide it."""
    for terms in (TERMS, ExitTerms(time_exit_dte=0)):
        assert exit_reason(held, seen_at(session, before), terms) is not ExitReason.EXPIRY_CUTOFF
        assert exit_reason(held, seen_at(session, from_), terms) is ExitReason.EXPIRY_CUTOFF
    day_before = TradingCalendar().previous(session)
    assert exit_reason(held, seen_at(day_before, "15:59"), TERMS) is ExitReason.TIME_EXIT


def test_cut_off_comes_before_every_other_exit_and_needs_no_mid() -> None:
    held = expiring(LAST_DAY)
    for cost in ("3.00", "0.10", None):
        assert exit_reason(held, seen_at(LAST_DAY, "15:00", cost), TERMS) is (
            ExitReason.EXPIRY_CUTOFF
        )


def test_what_stopped_trading_is_not_asked_for_again() -> None:
    """An index option that settles on the open is over on its expiration day."""
    held = expiring(LAST_DAY, "SPX")
    assert exit_reason(held, seen_at(LAST_DAY, "10:00"), TERMS) is ExitReason.TIME_EXIT
    over = seen_at(LAST_DAY, "16:00")
    assert exit_reason(expiring(LAST_DAY), over, TERMS) is not ExitReason.EXPIRY_CUTOFF


def test_cut_off_can_be_moved_and_switched_off() -> None:
    held = expiring(LAST_DAY)
    late = ExitTerms(expiry_cutoff_minutes=60)
    assert exit_reason(held, seen_at(LAST_DAY, "14:59"), late) is ExitReason.TIME_EXIT
    assert exit_reason(held, seen_at(LAST_DAY, "15:00"), late) is ExitReason.EXPIRY_CUTOFF
    off = ExitTerms(expiry_cutoff_minutes=None, time_exit_dte=0)
    assert exit_reason(held, seen_at(LAST_DAY, "15:59"), off) is ExitReason.TIME_EXIT


@pytest.mark.parametrize("minutes", [0, 59, 211])
def test_cut_off_too_late_for_the_broker_or_before_an_early_open_is_refused(minutes: int) -> None:
    with pytest.raises(BadInput, match="expiry_cutoff_minutes"):
        ExitTerms(expiry_cutoff_minutes=minutes)


@pytest.mark.parametrize(
    ("terms", "sent"),
    [
        (ExitTerms(), {"stop_loss", "expiry_cutoff"}),
        (ExitTerms(early_assignment=ORDER), {"stop_loss", "expiry_cutoff", "early_assignment"}),
        (ExitTerms(action=ALERT), set()),
        (ExitTerms(action=ALERT, expiry_always_closes=True), {"expiry_cutoff"}),
        (ExitTerms(action=ALERT, early_assignment=ORDER), {"early_assignment"}),
    ],
)
def test_settings_say_which_exits_send_an_order(terms: ExitTerms, sent: set[str]) -> None:
    reasons = (ExitReason.STOP_LOSS, ExitReason.EXPIRY_CUTOFF, ExitReason.EARLY_ASSIGNMENT)
    assert {reason for reason in reasons if sends_order(reason, terms)} == sent
