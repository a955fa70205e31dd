"""The learning report: how good the odds were, what worked, and rules to adopt or refuse."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from mahler_pipelines.cards.custom_ids import Action, CustomId
from mahler_pipelines.cards.message import (
    ROWS_LIMIT,
    Button,
    ButtonStyle,
    Colour,
    Embed,
    Field,
    Message,
)
from mahler_pipelines.cards.recommendation import who
from mahler_pipelines.cards.reports import short_usd, table
from mahler_pipelines.cards.text import cut, plain
from mahler_pipelines.cards.wording import DASH, percent, plural, short_day, signed_usd, spelled
from mahler_pipelines.decisions.playbook import RuleStatus
from mahler_pipelines.review.learning_report import LearningReport, LessonLine, ProposedRule

LESSONS_SHOWN = 6
RULES_SHOWN = 12
RULE_LENGTH, EVIDENCE_LENGTH = 220, 140


@dataclass(frozen=True, slots=True)
class RuleNow:
    """How a proposed rule stands now; `by` is who decided, empty while nobody has."""

    status: RuleStatus
    by: str = ""


@dataclass(frozen=True, slots=True)
class LearningCard:
    """A report, and rule id -> how that rule stands."""

    report: LearningReport
    account_id: str
    rules: Mapping[str, RuleNow] = field(default_factory=dict)

    @property
    def waiting(self) -> tuple[tuple[int, ProposedRule], ...]:
        """Proposed rules that nobody has decided, with their numbers on the card."""
        return tuple(
            (number, rule)
            for number, rule in enumerate(self.report.proposed, start=1)
            if (now := self.rules.get(rule.id)) is not None and now.status is RuleStatus.PROPOSED
        )

    @property
    def settled(self) -> bool:
        """Whether every proposed rule is decided."""
        return not self.waiting


def learning_report(card: LearningCard) -> Message:
    """Tell what a week taught; each rule that waits has its buttons, until it is decided."""
    report = card.report
    embed = Embed(
        title=f"What {report.week} taught · {signed_usd(report.pnl_usd)}",
        description="\n".join(_week(report)),
        colour=Colour.QUIET if card.settled else Colour.WAITING,
        fields=(
            Field("Odds against outcomes", _calibration(report), inline=False),
            Field("What worked, and what did not", _lessons(report), inline=False),
            *_rules(card),
        ),
        footer=f"{card.account_id} · {plural(report.adopted, 'rule')} adopted before",
    )
    return Message(embeds=(embed,), rows=_rows(card))


def _week(report: LearningReport) -> list[str]:
    days = f"{short_day(report.first)} to {short_day(report.last)}"
    closed = f"{plural(report.trades, 'trade')} closed, {report.wins} won"
    factor = DASH if report.profit_factor is None else f"{report.profit_factor:.2f}"
    mean = DASH if report.expectancy_usd is None else signed_usd(report.expectancy_usd)
    if not report.all_trades:
        return [f"{days}: no trade has been closed yet"]
    always = f"{plural(report.all_trades, 'trade')}, {percent(report.win_rate)} won"
    return [
        f"{days}: {closed}, **{signed_usd(report.pnl_usd)}**",
        f"since the beginning: {always}, {mean} a trade, profit factor {factor}",
    ]


def _calibration(report: LearningReport) -> str:
    if report.brier_score is None or report.reference_score is None:
        return "no closed trades yet"
    better = report.brier_score < report.reference_score
    said = "tell trades apart" if better else "do not tell trades apart yet"
    rows = ["predicted   said  came true    n"]
    rows += [
        f"{one.lower:>4.0%}-{one.upper:<4.0%} {one.predicted:>6.0%} {one.observed:>10.0%} "
        f"{one.count:>4}"
        for one in report.calibration
    ]
    score = f"Brier score {report.brier_score:.3f}, by the mean alone {report.reference_score:.3f}"
    return f"{score}: the odds {said}\n{table(rows)}"


def _lessons(report: LearningReport) -> str:
    if not report.lessons:
        return "no closed trades yet"
    lines = report.lessons
    if len(lines) > LESSONS_SHOWN:
        # The ends tell most: what earned, and what cost.
        lines = (*lines[: LESSONS_SHOWN - 2], *lines[-2:])
    return "\n".join(_lesson(line) for line in lines)


def _lesson(line: LessonLine) -> str:
    won = f"{line.wins} of {line.trades} won"
    name = f"{spelled(line.strategy)}, {spelled(line.lesson)}"
    return f"{short_usd(line.pnl_usd)} · {plain(name)} · {won}"


def _rules(card: LearningCard) -> tuple[Field, ...]:
    proposed = card.report.proposed
    if not proposed:
        return (Field("Rules", "none is proposed", inline=False),)
    shown = [
        Field(f"Rule {number}", _rule(rule, card.rules.get(rule.id)), inline=False)
        for number, rule in enumerate(proposed[:RULES_SHOWN], start=1)
    ]
    more = len(proposed) - RULES_SHOWN
    if more > 0:
        shown.append(Field("Further rules", f"{more} more: `mahler rules`", inline=False))
    return tuple(shown)


def _rule(rule: ProposedRule, now: RuleNow | None) -> str:
    text, evidence = cut(plain(rule.text), RULE_LENGTH), cut(plain(rule.evidence), EVIDENCE_LENGTH)
    if now is None:
        state = "is not there any more"
    elif now.status is RuleStatus.PROPOSED:
        state = "waits for an answer"
    else:
        state = f"**{now.status}**" + (f" by {who(now.by)}" if now.by else "")
    return f"{text}\n-# {evidence}\n{state}"


def _rows(card: LearningCard) -> tuple[tuple[Button, ...], ...]:
    """Two buttons a rule; one rule a row while they fit, else two."""
    waiting = [(n, rule) for n, rule in card.waiting if n <= RULES_SHOWN]
    per_row = 1 if len(waiting) <= ROWS_LIMIT else 2
    shown = waiting[: ROWS_LIMIT * per_row]
    rows = [shown[place : place + per_row] for place in range(0, len(shown), per_row)]
    return tuple(
        tuple(button for number, rule in row for button in _buttons(card, number, rule))
        for row in rows
    )


def _buttons(card: LearningCard, number: int, rule: ProposedRule) -> tuple[Button, Button]:
    def custom_id(action: Action) -> str:
        return str(CustomId(action, card.account_id, rule.id))

    return (
        Button(custom_id(Action.ADOPT_RULE), f"Approve {number}", ButtonStyle.SUCCESS),
        Button(custom_id(Action.REFUSE_RULE), f"Refuse {number}", ButtonStyle.SECONDARY),
    )
