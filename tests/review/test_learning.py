"""Learning: the same trade always teaches the same lesson, with numbers."""

import math
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from mahler_pipelines.decisions.playbook import RuleStatus
from mahler_pipelines.errors import BadInput
from mahler_pipelines.execution.trades import ExitReason, PositionMark, Trade, TradeStatus
from mahler_pipelines.review.learning import propose_rules, reflect, trade_facts
from mahler_pipelines.review.lessons import RULE_TEXTS, LessonCode, lesson_of
from mahler_pipelines.review.reflection import Reflection
from tests.execution.scenes import NOW, later_copy, recommendation, trade

SHOWN = recommendation()
WRITTEN = NOW + timedelta(days=30)


def closed(reason: ExitReason, debit: str, *, days: int = 10) -> Trade:
    return later_copy(
        trade(),
        status=TradeStatus.CLOSED,
        exit_reason=reason,
        exit_time=NOW + timedelta(days=days),
        exit_debit=Decimal(debit),
        pnl_usd=(Decimal(1) - Decimal(debit)) * 300,
    )


def mark(pnl: str, *, price: str | None = "600", at: datetime = NOW) -> PositionMark:
    return PositionMark(
        trade_id=trade().id,
        marked_at=at,
        cost_to_close=Decimal(1),
        natural_cost_to_close=Decimal(1),
        unrealised_pnl_usd=Decimal(pnl),
        underlying_price=None if price is None else Decimal(price),
        dte=30,
        snapshot_hash=None,
    )


def reflection(reason: ExitReason, debit: str, **by: int) -> Reflection:
    return reflect(closed(reason, debit, **by), [], SHOWN, written_at=WRITTEN)


def test_facts_carry_the_numbers() -> None:
    marks = [mark("-45.5"), mark("20", price="570", at=NOW + timedelta(days=10))]
    facts = trade_facts(closed(ExitReason.PROFIT_TARGET, "0.5"), marks, SHOWN)
    assert (facts.days_held, facts.days_at_entry, facts.share_of_max_profit) == (10, 39, 0.5)
    assert facts.worst_pnl_usd == Decimal("-45.5")
    assert facts.underlying_move == pytest.approx(math.log(570 / 600))
    expected = math.log(570 / 600) / (0.2 * math.sqrt(10 / 365))
    assert facts.move_in_sigmas == pytest.approx(expected)


def test_reflection_says_outcome_lesson_and_numbers() -> None:
    marks = [mark("-45.5"), mark("20", price="612", at=NOW + timedelta(days=10))]
    made = reflect(closed(ExitReason.PROFIT_TARGET, "0.5"), marks, SHOWN, written_at=WRITTEN)
    assert (made.id, made.outcome) == ("f-260112-mo-abcdef12", "win")
    assert made.lesson_code == LessonCode.PROFIT_TAKEN_QUICKLY
    assert made.text == (
        "SPY bull put spread: win of +150.00 USD by profit target after 10 of 39 days. "
        "That is 50% of the largest possible profit. The lowest mark on the way was -45.50 USD. "
        "The underlying moved +2.0%, +0.6 sigma."
    )
    assert made.facts["share_of_max_profit"] == "0.5000"
    assert made == reflect(
        closed(ExitReason.PROFIT_TARGET, "0.5"), marks, SHOWN, written_at=WRITTEN
    )


def test_what_the_marks_do_not_tell_is_not_available() -> None:
    made = reflection(ExitReason.TIME_EXIT, "0.99")
    assert made.facts["move_in_sigmas"] == made.facts["worst_pnl_usd"] == "not_available"
    assert "moved" not in made.text


@pytest.mark.parametrize(
    ("reason", "debit", "days", "lesson"),
    [
        (ExitReason.PROFIT_TARGET, "0.50", 19, LessonCode.PROFIT_TAKEN_QUICKLY),
        (ExitReason.PROFIT_TARGET, "0.50", 20, LessonCode.PROFIT_TAKEN_SLOWLY),
        (ExitReason.STOP_LOSS, "3.00", 5, LessonCode.STOPPED_WITHOUT_MOVE),
        (ExitReason.TIME_EXIT, "0.91", 18, LessonCode.TIME_EXIT_FLAT),
        (ExitReason.TIME_EXIT, "0.90", 18, LessonCode.TIME_EXIT_PROFIT),
        (ExitReason.TIME_EXIT, "1.10", 18, LessonCode.TIME_EXIT_LOSS),
        (ExitReason.EXPIRY_CUTOFF, "0.20", 39, LessonCode.TIME_EXIT_PROFIT),
        (ExitReason.EARLY_ASSIGNMENT, "4.80", 30, LessonCode.TIME_EXIT_LOSS),
        (ExitReason.EXPIRED, "0", 39, LessonCode.EXPIRED_WORTHLESS),
        (ExitReason.EXPIRED, "2.10", 39, LessonCode.EXPIRED_LOSS),
        (ExitReason.ASSIGNED, "5", 39, LessonCode.ASSIGNED),
        (ExitReason.ROLLED, "1.4", 12, LessonCode.ROLLED),
        (ExitReason.MANUAL, "0.8", 4, LessonCode.CLOSED_BY_HAND),
    ],
)
def test_each_ending_has_its_lesson(
    reason: ExitReason, debit: str, days: int, lesson: LessonCode
) -> None:
    assert reflection(reason, debit, days=days).lesson_code == lesson


@pytest.mark.parametrize(("move", "moved"), [(-1.0, True), (1.2, True), (0.9, False)])
def test_stop_by_a_move_is_told_apart_at_one_sigma(move: float, moved: bool) -> None:
    lesson = lesson_of(
        reason=ExitReason.STOP_LOSS,
        share_of_max_profit=-2.0,
        share_of_time=0.2,
        move_in_sigmas=move,
    )
    assert (lesson is LessonCode.STOPPED_BY_MOVE) is moved


def test_every_lesson_has_a_rule() -> None:
    assert set(RULE_TEXTS) == set(LessonCode)


def test_open_trade_teaches_nothing_yet() -> None:
    with pytest.raises(BadInput, match="not closed"):
        reflect(trade(), [], SHOWN, written_at=WRITTEN)


def test_rules_are_proposed_per_lesson_with_their_evidence() -> None:
    group = [
        reflection(ExitReason.TIME_EXIT, "0.99"),
        reflection(ExitReason.TIME_EXIT, "1.01"),
        reflection(ExitReason.STOP_LOSS, "3.00"),
    ]
    rules = propose_rules(group, account_id="main", proposed_at=WRITTEN)
    assert len(rules) == 2
    flat = next(rule for rule in rules if "time_exit_flat" in rule.evidence)
    assert flat.status is RuleStatus.PROPOSED
    assert flat.evidence.startswith("time_exit_flat: 2 closed trades, 1 won, +0.00 USD in all")
    assert flat.text.startswith("bull put spread: Ask for a richer credit")


def test_rule_ids_are_stable_and_few_reflections_propose_nothing() -> None:
    one = [reflection(ExitReason.STOP_LOSS, "3.00")]
    first = propose_rules(one, account_id="main", proposed_at=WRITTEN)
    again = propose_rules(one * 2, account_id="main", proposed_at=WRITTEN + timedelta(days=7))
    other = propose_rules(one, account_id="other", proposed_at=WRITTEN)
    assert first[0].id == again[0].id != other[0].id
    assert propose_rules(one, account_id="main", proposed_at=WRITTEN, minimum=2) == ()
