"""The learning report of a week: how good the odds were, what worked, which rules are proposed."""

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal

from mahler_pipelines.decisions.playbook import RuleStatus
from mahler_pipelines.execution.desk import session_of
from mahler_pipelines.execution.trades import Trade, TradeStatus
from mahler_pipelines.market.sessions import TradingCalendar
from mahler_pipelines.review.calibration import Calibration, calibration
from mahler_pipelines.review.ledger import Ledger
from mahler_pipelines.review.performance import summary
from mahler_pipelines.review.position_lines import ReportPart
from mahler_pipelines.review.reflection import Reflection

KIND = "learning_report"


class CalibrationLine(ReportPart):
    """Predicted and observed share of profitable trades in one range of predictions."""

    lower: float
    upper: float
    count: int
    predicted: float
    observed: float


class LessonLine(ReportPart):
    """What closed trades of one strategy and lesson came to."""

    strategy: str
    lesson: str
    trades: int
    wins: int
    pnl_usd: Decimal


class ProposedRule(ReportPart):
    """A rule that a person may adopt or refuse."""

    id: str
    text: str
    evidence: str


class LearningReport(ReportPart):
    """Everything the report tells. Trades and dollars of the week, the rest of all that closed.

    `brier_score` is of the predicted probabilities of profit, `reference_score` that of always
    predicting the observed share; None without closed trades.
    """

    week: str
    first: date
    last: date
    trades: int
    wins: int
    pnl_usd: Decimal
    all_trades: int
    win_rate: float | None
    profit_factor: float | None
    expectancy_usd: Decimal | None
    brier_score: float | None
    reference_score: float | None
    calibration: tuple[CalibrationLine, ...]
    lessons: tuple[LessonLine, ...]
    proposed: tuple[ProposedRule, ...]
    adopted: int


def week_of(session: date) -> str:
    """The ISO week of a session, such as 2025-W10."""
    year, week, _ = session.isocalendar()
    return f"{year}-W{week:02d}"


def ends_week(session: date, calendar: TradingCalendar) -> bool:
    """Whether a session is the last of its week, holidays considered."""
    return week_of(calendar.next(session)) != week_of(session)


def learning_report(ledger: Ledger, *, session: date) -> LearningReport:
    """Gather the report of the week that ends with a session."""
    closed = ledger.trades(statuses=[TradeStatus.CLOSED])
    first = session - timedelta(days=session.weekday())
    own = [t for t in closed if t.exit_time and first <= session_of(t.exit_time) <= session]
    results = [trade.pnl_usd for trade in own if trade.pnl_usd is not None]
    overall = summary(closed, ledger.performance(end=session))
    scored = _calibration(ledger, closed)
    return LearningReport(
        week=week_of(session),
        first=first,
        last=session,
        trades=len(own),
        wins=sum(result > 0 for result in results),
        pnl_usd=sum(results, Decimal(0)),
        all_trades=overall.trades,
        win_rate=overall.win_rate,
        profit_factor=overall.profit_factor,
        expectancy_usd=overall.expectancy_usd,
        brier_score=scored.brier_score,
        reference_score=scored.reference_score,
        calibration=tuple(
            CalibrationLine(
                lower=one.lower,
                upper=one.upper,
                count=one.count,
                predicted=one.predicted,
                observed=one.observed,
            )
            for one in scored.bins
        ),
        lessons=_lessons(ledger.reflections()),
        proposed=tuple(
            ProposedRule(id=rule.id, text=rule.text, evidence=rule.evidence)
            for rule in ledger.rules(statuses=[RuleStatus.PROPOSED])
        ),
        adopted=len(ledger.rules(statuses=[RuleStatus.ADOPTED])),
    )


def _calibration(ledger: Ledger, closed: Sequence[Trade]) -> Calibration:
    predicted, profitable = [], []
    for trade in closed:
        stored = ledger.recommendation(trade.recommendation_id)
        if stored is not None and trade.pnl_usd is not None:
            predicted.append(stored.recommendation.probability_of_profit)
            profitable.append(trade.pnl_usd > 0)
    return calibration(predicted, profitable)


def _lessons(reflections: Sequence[Reflection]) -> tuple[LessonLine, ...]:
    """Strategies and lessons, what earned most first."""
    groups: dict[tuple[str, str], list[Reflection]] = {}
    for one in reflections:
        groups.setdefault((one.facts.get("strategy", ""), one.lesson_code), []).append(one)
    lines = [
        LessonLine(
            strategy=strategy,
            lesson=lesson,
            trades=len(group),
            wins=sum(one.pnl_usd > 0 for one in group),
            pnl_usd=sum((one.pnl_usd for one in group), Decimal(0)),
        )
        for (strategy, lesson), group in sorted(groups.items())
    ]
    return tuple(sorted(lines, key=lambda line: -line.pnl_usd))
