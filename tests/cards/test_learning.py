"""The learning report: numbers, and a card whose rules are decided one by one."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from mahler_pipelines.cards.custom_ids import Action, parse_custom_id
from mahler_pipelines.cards.learning import LearningCard, RuleNow, learning_report
from mahler_pipelines.cards.message import Colour
from mahler_pipelines.decisions.playbook import RuleStatus
from mahler_pipelines.messaging.marks import shown_hash
from mahler_pipelines.review.learning_report import (
    CalibrationLine,
    LearningReport,
    LessonLine,
    ProposedRule,
)
from mahler_pipelines.review.lessons import LessonCode
from tests.cards.cases import EVIL, conforming, field, harmless, labels

RULES = tuple(
    ProposedRule(id=f"p-{n:08d}", text=f"Rule text {n}.", evidence=f"stopped: {n} closed trades")
    for n in range(1, 4)
)
REPORT = LearningReport(
    week="2026-W03",
    first=date(2026, 1, 12),
    last=date(2026, 1, 16),
    trades=2,
    wins=1,
    pnl_usd=Decimal("-150.00"),
    all_trades=3,
    win_rate=2 / 3,
    profit_factor=0.64,
    expectancy_usd=Decimal("-30.00"),
    brier_score=0.28,
    reference_score=0.222,
    calibration=(
        CalibrationLine(lower=0.6, upper=0.8, count=2, predicted=0.75, observed=0.5),
        CalibrationLine(lower=0.8, upper=1.0, count=1, predicted=0.81, observed=1.0),
    ),
    lessons=(
        LessonLine(
            strategy="bull_put_spread",
            lesson="profit_taken_quickly",
            trades=2,
            wins=2,
            pnl_usd=Decimal("160.00"),
        ),
    ),
    proposed=RULES,
    adopted=4,
)
WAITING = {rule.id: RuleNow(RuleStatus.PROPOSED) for rule in RULES}


def but(**changes: Any) -> LearningReport:
    return REPORT.model_copy(update=changes)


def card(rules: dict[str, RuleNow] | None = None, **changes: Any) -> LearningCard:
    return LearningCard(but(**changes), "main", WAITING if rules is None else rules)


def many(count: int) -> LearningCard:
    rules = tuple(
        ProposedRule(id=f"p-{n:08d}", text="T" * 300, evidence="E" * 300) for n in range(count)
    )
    return card({rule.id: RuleNow(RuleStatus.PROPOSED) for rule in rules}, proposed=rules)


def test_a_report_says_how_the_week_and_the_odds_were() -> None:
    told = learning_report(card())
    conforming(told)
    embed = told.embeds[0]
    assert embed.title == "What 2026-W03 taught · -$150"
    assert embed.description == (
        "12 Jan to 16 Jan: 2 trades closed, 1 won, **-$150**\n"
        "since the beginning: 3 trades, 67 % won, -$30 a trade, profit factor 0.64"
    )
    assert field(told, "Odds against outcomes") == (
        "Brier score 0.280, by the mean alone 0.222: the odds do not tell trades apart yet\n"
        "```\n"
        "predicted   said  came true    n\n"
        " 60%-80%     75%        50%    2\n"
        " 80%-100%    81%       100%    1\n"
        "```"
    )
    assert field(told, "What worked") == (
        "+$160 · bull put spread, profit taken quickly · 2 of 2 won"
    )
    assert embed.footer == "main · 4 rules adopted before"


def test_each_rule_that_waits_has_its_two_buttons() -> None:
    told = learning_report(card())
    assert labels(told) == [
        *("Approve 1", "Refuse 1", "Approve 2", "Refuse 2", "Approve 3", "Refuse 3")
    ]
    asked = [parse_custom_id(button.custom_id) for row in told.rows for button in row]
    assert {one.action for one in asked} == {Action.ADOPT_RULE, Action.REFUSE_RULE}
    assert {one.subject for one in asked} == {rule.id for rule in RULES}
    assert field(told, "Rule 1") == (
        "Rule text 1.\n-# stopped: 1 closed trades\nwaits for an answer"
    )
    assert told.embeds[0].colour is Colour.WAITING


def test_a_decided_rule_says_by_whom_and_keeps_its_number() -> None:
    rules = WAITING | {RULES[0].id: RuleNow(RuleStatus.ADOPTED, "discord:7")}
    told = learning_report(card(rules))
    conforming(told)
    assert field(told, "Rule 1").endswith("**adopted** by <@7>")
    assert labels(told) == ["Approve 2", "Refuse 2", "Approve 3", "Refuse 3"]


@pytest.mark.parametrize("status", [RuleStatus.ADOPTED, RuleStatus.REFUSED, RuleStatus.RETIRED])
def test_the_card_is_settled_when_every_rule_is_decided(status: RuleStatus) -> None:
    decided = {rule.id: RuleNow(status, "anna") for rule in RULES}
    assert not card().settled
    assert not card(decided | {RULES[2].id: RuleNow(RuleStatus.PROPOSED)}).settled
    assert card(decided).settled
    told = learning_report(card(decided))
    assert (labels(told), told.embeds[0].colour) == ([], Colour.QUIET)


def test_a_report_without_rules_is_settled_from_the_start() -> None:
    nothing = card({}, proposed=())
    assert nothing.settled
    assert field(learning_report(nothing), "Rules") == "none is proposed"


def test_a_rule_that_is_gone_cannot_be_decided() -> None:
    told = learning_report(card({}))
    assert field(told, "Rule 1").endswith("is not there any more")
    assert labels(told) == []


@pytest.mark.parametrize(("count", "buttons"), [(5, 10), (6, 12), (10, 20), (11, 20), (40, 20)])
def test_many_rules_keep_within_discords_rows(count: int, buttons: int) -> None:
    """Beyond ten, the next ones come up as those before are decided; the command line has all."""
    told = learning_report(many(count))
    conforming(told)
    assert len(labels(told)) == buttons
    assert ("Further rules" in [one.name for one in told.embeds[0].fields]) is (count > 12)


def test_an_empty_beginning_says_so() -> None:
    told = learning_report(
        card(
            {},
            proposed=(),
            lessons=(),
            calibration=(),
            brier_score=None,
            reference_score=None,
            win_rate=None,
            profit_factor=None,
            expectancy_usd=None,
            trades=0,
            all_trades=0,
        )
    )
    conforming(told)
    assert told.embeds[0].description == "12 Jan to 16 Jan: no trade has been closed yet"
    assert field(told, "Odds against outcomes") == "no closed trades yet"
    assert field(told, "What worked") == "no closed trades yet"


def test_every_lesson_has_its_line_and_the_ends_are_kept() -> None:
    lines = tuple(
        LessonLine(strategy="bull_put_spread", lesson=code, trades=1, wins=0, pnl_usd=Decimal(-n))
        for n, code in enumerate(LessonCode)
    )
    said = field(learning_report(card(lessons=lines)), "What worked").splitlines()
    assert len(said) == 6
    assert said[-1].startswith(f"-${len(lines) - 1} ")
    for line in lines:
        conforming(learning_report(card(lessons=(line,))))


def test_better_odds_than_the_mean_are_said() -> None:
    told = learning_report(card(brier_score=0.1))
    assert field(told, "Odds").splitlines()[0].endswith("the odds tell trades apart")


def test_text_of_rules_stays_text() -> None:
    rule = ProposedRule(id="p-1", text=EVIL * 9, evidence=EVIL * 9)
    told = learning_report(
        card({"p-1": RuleNow(RuleStatus.ADOPTED, EVIL)}, proposed=(rule,), lessons=())
    )
    conforming(told)
    harmless(told)


def test_the_same_state_is_the_same_card() -> None:
    again = LearningCard(LearningReport.read(REPORT.model_dump(mode="json")), "main", dict(WAITING))
    assert shown_hash(learning_report(card())) == shown_hash(learning_report(again))
