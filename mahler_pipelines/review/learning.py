"""Learning: one reflection per closed trade, and rules proposed where lessons recur."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from mahler_pipelines.decisions.playbook import PlaybookRule, RuleStatus
from mahler_pipelines.decisions.recommendation import Recommendation
from mahler_pipelines.errors import BadInput
from mahler_pipelines.execution.desk import session_of
from mahler_pipelines.execution.trades import PositionMark, Trade
from mahler_pipelines.options.structures import Side, dollars
from mahler_pipelines.review.lessons import RULE_TEXTS, LessonCode, lesson_of
from mahler_pipelines.review.reflection import Reflection

DAYS_PER_YEAR = 365
NOT_KNOWN = "not_available"


@dataclass(frozen=True, slots=True)
class TradeFacts:
    """The numbers a reflection rests on; None where the marks don't tell."""

    days_held: int
    days_at_entry: int
    share_of_max_profit: float
    worst_pnl_usd: Decimal | None
    underlying_move: float | None
    move_in_sigmas: float | None


def trade_facts(
    trade: Trade, marks: Sequence[PositionMark], recommendation: Recommendation
) -> TradeFacts:
    """Measure a closed trade against its marks and what had been expected of it.

    The move is the log return of the underlying from the card's price to the last mark that has
    one, and its sigma is the mean implied volatility of the short legs over the days between.
    Raises `BadInput` for a trade that is not closed.
    """
    if trade.exit_time is None or trade.pnl_usd is None:
        raise BadInput("trade", trade.id, "is not closed")
    own = sorted(
        (mark for mark in marks if mark.trade_id == trade.id), key=lambda mark: mark.marked_at
    )
    results = [mark.unrealised_pnl_usd for mark in own if mark.unrealised_pnl_usd is not None]
    entry = session_of(trade.entry_time)
    received = dollars(trade.entry_credit, trade.contracts)
    best = received if received > 0 else recommendation.max_profit_usd
    move, sigmas = _move(own, recommendation, trade)
    return TradeFacts(
        days_held=(session_of(trade.exit_time) - entry).days,
        days_at_entry=(trade.structure.expiration - entry).days,
        share_of_max_profit=float(trade.pnl_usd / best) if best > 0 else math.nan,
        worst_pnl_usd=min([*results, trade.pnl_usd]) if results else None,
        underlying_move=move,
        move_in_sigmas=sigmas,
    )


def reflect(
    trade: Trade,
    marks: Sequence[PositionMark],
    recommendation: Recommendation,
    *,
    written_at: datetime,
) -> Reflection:
    """Write the reflection of a closed trade: the same trade always gives the same words."""
    facts = trade_facts(trade, marks, recommendation)
    if trade.pnl_usd is None or trade.exit_reason is None:
        raise BadInput("trade", trade.id, "is not closed")
    lesson = lesson_of(
        reason=trade.exit_reason,
        share_of_max_profit=facts.share_of_max_profit,
        share_of_time=facts.days_held / max(facts.days_at_entry, 1),
        move_in_sigmas=facts.move_in_sigmas,
    )
    outcome = "win" if trade.pnl_usd > 0 else "loss" if trade.pnl_usd < 0 else "flat"
    return Reflection(
        id=f"f-{trade.id.removeprefix('t-')}",
        account_id=trade.account_id,
        trade_id=trade.id,
        written_at=written_at,
        outcome=outcome,
        pnl_usd=trade.pnl_usd,
        lesson_code=lesson,
        text=_words(trade, facts, outcome),
        facts=_written(trade, facts, recommendation),
    )


def propose_rules(
    reflections: Sequence[Reflection],
    *,
    account_id: str,
    proposed_at: datetime,
    minimum: int = 1,
) -> tuple[PlaybookRule, ...]:
    """Propose a rule for each strategy and lesson that at least `minimum` reflections share.

    The id follows from account, strategy and lesson: the same lesson is never proposed twice.
    """
    groups: dict[tuple[str, LessonCode], list[Reflection]] = {}
    for reflection in reflections:
        key = (reflection.facts.get("strategy", NOT_KNOWN), LessonCode(reflection.lesson_code))
        groups.setdefault(key, []).append(reflection)
    return tuple(
        _rule(account_id, strategy, lesson, group, proposed_at=proposed_at)
        for (strategy, lesson), group in sorted(groups.items())
        if len(group) >= minimum
    )


def _rule(
    account_id: str,
    strategy: str,
    lesson: LessonCode,
    group: Sequence[Reflection],
    *,
    proposed_at: datetime,
) -> PlaybookRule:
    digest = hashlib.sha256(f"{account_id}|{strategy}|{lesson}".encode()).hexdigest()[:8]
    total = sum((reflection.pnl_usd for reflection in group), Decimal(0))
    wins = sum(reflection.pnl_usd > 0 for reflection in group)
    trades = ", ".join(sorted(reflection.trade_id for reflection in group)[:5])
    more = f" and {len(group) - 5} more" if len(group) > 5 else ""
    return PlaybookRule(
        id=f"p-{digest}",
        account_id=account_id,
        text=f"{strategy.replace('_', ' ')}: {RULE_TEXTS[lesson]}",
        status=RuleStatus.PROPOSED,
        evidence=(
            f"{lesson}: {len(group)} closed trade{'s' if len(group) != 1 else ''}, {wins} won, "
            f"{total:+.2f} USD in all ({trades}{more})"
        ),
        proposed_at=proposed_at,
    )


def _move(
    marks: Sequence[PositionMark], recommendation: Recommendation, trade: Trade
) -> tuple[float | None, float | None]:
    prices = [mark for mark in marks if mark.underlying_price is not None]
    if not prices or prices[-1].underlying_price is None:
        return None, None
    last = prices[-1]
    move = math.log(float(prices[-1].underlying_price) / float(recommendation.underlying_price))
    sold = {leg.contract.symbol for leg in trade.structure.legs if leg.side is Side.SELL}
    volatilities = [
        quote.implied_volatility
        for quote in recommendation.quotes
        if quote.symbol in sold and math.isfinite(quote.implied_volatility)
    ]
    years = (last.marked_at - trade.entry_time).total_seconds() / 86_400 / DAYS_PER_YEAR
    if not volatilities or years <= 0:
        return move, None
    sigma = sum(volatilities) / len(volatilities) * math.sqrt(years)
    return move, move / sigma if sigma > 0 else None


def _words(trade: Trade, facts: TradeFacts, outcome: str) -> str:
    strategy, how = (
        text.replace("_", " ") for text in (trade.structure.strategy, str(trade.exit_reason))
    )
    first = (
        f"{trade.structure.underlying} {strategy}: {outcome} of {trade.pnl_usd:+.2f} USD by {how} "
        f"after {facts.days_held} of {facts.days_at_entry} days."
    )
    parts = [first]
    if math.isfinite(facts.share_of_max_profit):
        parts.append(f"That is {facts.share_of_max_profit:.0%} of the largest possible profit.")
    if facts.worst_pnl_usd is not None:
        parts.append(f"The lowest mark on the way was {facts.worst_pnl_usd:+.2f} USD.")
    if facts.underlying_move is not None:
        sigmas = f", {facts.move_in_sigmas:+.1f} sigma" if facts.move_in_sigmas is not None else ""
        parts.append(f"The underlying moved {math.expm1(facts.underlying_move):+.1%}{sigmas}.")
    return " ".join(parts)


def _written(trade: Trade, facts: TradeFacts, recommendation: Recommendation) -> dict[str, str]:
    def number(value: float | Decimal | None, form: str) -> str:
        return format(value, form) if value is not None and math.isfinite(value) else NOT_KNOWN

    return {
        "underlying": trade.structure.underlying,
        "strategy": trade.structure.strategy,
        "exit_reason": str(trade.exit_reason),
        "contracts": str(trade.contracts),
        "entry_credit": str(trade.entry_credit),
        "exit_debit": str(trade.exit_debit),
        "days_held": str(facts.days_held),
        "days_to_expiration_at_entry": str(facts.days_at_entry),
        "share_of_max_profit": number(facts.share_of_max_profit, ".4f"),
        "worst_pnl_usd": number(facts.worst_pnl_usd, ".2f"),
        "underlying_log_move": number(facts.underlying_move, ".6f"),
        "move_in_sigmas": number(facts.move_in_sigmas, ".3f"),
        "iv_rank_at_entry": number(recommendation.iv_rank, ".1f"),
        "probability_of_profit": number(recommendation.probability_of_profit, ".4f"),
    }
