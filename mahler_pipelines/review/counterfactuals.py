"""Counterfactuals: what a recommendation that was not traded would have come to."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

import pandas as pd

from mahler_pipelines.decisions.ledger import StoredRecommendation
from mahler_pipelines.decisions.recommendation import Recommendation, RecommendationStatus
from mahler_pipelines.execution.desk import session_of
from mahler_pipelines.execution.exits import reason_at
from mahler_pipelines.execution.intents import opening_limit
from mahler_pipelines.execution.quotes import quote_structure
from mahler_pipelines.execution.trades import ExitReason, realised_pnl
from mahler_pipelines.options.structures import CENT
from mahler_pipelines.risk.exit_terms import ExitTerms

NOT_TRADED = frozenset(
    {
        RecommendationStatus.REJECTED,
        RecommendationStatus.EXPIRED,
        RecommendationStatus.LAPSED,
        RecommendationStatus.FAILED,
    }
)


@dataclass(frozen=True, slots=True, eq=False)
class LaterQuotes:
    """Quotes seen after the recommendation, columns `QUOTE_COLUMNS`."""

    as_of: datetime
    quotes: pd.DataFrame


@dataclass(frozen=True, slots=True)
class Counterfactual:
    """What would have happened so far, at mid, before fees.

    `exit_reason` is None while the trade would still be open; `pnl_usd` is None when no later
    quote could be used, and `problem` then says why. `worst_pnl_usd` is the lowest on the way.
    """

    recommendation_id: str
    status: RecommendationStatus
    as_of: datetime | None
    entry_credit: Decimal
    cost_to_close: Decimal | None
    pnl_usd: Decimal | None
    worst_pnl_usd: Decimal | None
    exit_reason: ExitReason | None
    problem: str = ""


def counterfactual(
    stored: StoredRecommendation, later: Sequence[LaterQuotes], *, terms: ExitTerms
) -> Counterfactual:
    """Follow a recommendation that was not traded through later quotes until an exit is reached.

    The entry is what the order would have asked for on the quotes shown: the natural credit within
    the approved band. A moment whose quotes can't be used is passed over; the last seen counts.
    """
    recommendation = stored.recommendation
    credit = entry_credit(recommendation)
    seen: list[tuple[datetime, Decimal, Decimal]] = []
    reason, problem = None, "no later quotes"
    for moment in sorted(later, key=lambda row: row.as_of):
        cost, problem = _cost(recommendation, moment)
        if cost is None:
            continue
        result = realised_pnl(
            entry_credit=credit,
            exit_debit=cost,
            contracts=recommendation.contracts,
            fees_usd=Decimal(0),
        )
        seen.append((moment.as_of, cost, result))
        reason = reason_at(
            credit=credit,
            cost=cost,
            dte=_days_left(recommendation.structure.expiration, moment.as_of),
            terms=terms,
        )
        if reason is not None:
            break
    last = seen[-1] if seen else None
    return Counterfactual(
        recommendation_id=recommendation.id,
        status=stored.status,
        as_of=last[0] if last else None,
        entry_credit=credit,
        cost_to_close=last[1] if last else None,
        pnl_usd=last[2] if last else None,
        worst_pnl_usd=min((row[2] for row in seen), default=None),
        exit_reason=reason,
        problem="" if seen else problem,
    )


def entry_credit(recommendation: Recommendation) -> Decimal:
    """Credit per share the order would have asked for on the quotes that were shown."""
    return -opening_limit(
        natural_credit=recommendation.natural_credit,
        target_credit=recommendation.target_credit,
        floor_credit=recommendation.floor_credit,
        tick=CENT,
    )


def _cost(recommendation: Recommendation, moment: LaterQuotes) -> tuple[Decimal | None, str]:
    if _days_left(recommendation.structure.expiration, moment.as_of) < 0:
        return None, "expired"
    quote = quote_structure(recommendation.structure, moment.quotes)
    return quote.mid, quote.problem


def _days_left(expiration: date, moment: datetime) -> int:
    return (expiration - session_of(moment)).days
