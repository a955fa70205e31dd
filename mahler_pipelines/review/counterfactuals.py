"""Counterfactuals: what a recommendation that was not traded would have come to."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import cast

import pandas as pd

from mahler_pipelines.decisions.ledger import StoredRecommendation
from mahler_pipelines.decisions.recommendation import Recommendation, RecommendationStatus
from mahler_pipelines.execution.desk import session_of
from mahler_pipelines.execution.exits import reason_at
from mahler_pipelines.execution.intents import opening_limit
from mahler_pipelines.execution.quotes import StructureQuote, quote_structures
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


def counterfactuals(
    stored: Sequence[StoredRecommendation], later: Sequence[LaterQuotes], *, terms: ExitTerms
) -> tuple[Counterfactual, ...]:
    """Follow recommendations that were not traded through later quotes until an exit is reached.

    The entry is what the order would have asked for on the quotes shown: the natural credit within
    the approved band. Only moments after a recommendation was made count for it; one whose quotes
    can't be used is passed over; the last seen counts. Each moment's quotes are read once, for all
    recommendations that are still followed. Rolls are left out: what their net credit would have
    earned is a question about two trades.
    """
    alone = [one for one in stored if one.recommendation.rolls is None]
    stories = [_Story(one, entry_credit(one.recommendation)) for one in alone]
    for moment in sorted(later, key=lambda row: row.as_of):
        followed = [story for story in stories if story.is_followed_at(moment.as_of)]
        structures = [story.stored.recommendation.structure for story in followed]
        quotes = quote_structures(structures, moment.quotes)
        for story, quote in zip(followed, quotes, strict=True):
            story.see(moment.as_of, quote, terms)
    return tuple(story.told() for story in stories)


def counterfactual(
    stored: StoredRecommendation, later: Sequence[LaterQuotes], *, terms: ExitTerms
) -> Counterfactual:
    """Follow one recommendation; see `counterfactuals`."""
    return counterfactuals([stored], later, terms=terms)[0]


def later_quotes(table: pd.DataFrame) -> list[LaterQuotes]:
    """Split a table with `QUOTE_COLUMNS` and `as_of` into its moments, oldest first."""
    return [
        LaterQuotes(cast(pd.Timestamp, moment).to_pydatetime(), rows)
        for moment, rows in table.groupby("as_of", sort=True)
    ]


def entry_credit(recommendation: Recommendation) -> Decimal:
    """Credit per share the order would have asked for on the quotes that were shown."""
    return -opening_limit(
        natural_credit=recommendation.natural_credit,
        target_credit=recommendation.target_credit,
        floor_credit=recommendation.floor_credit,
        tick=CENT,
    )


@dataclass(slots=True)
class _Story:
    """One recommendation on its way through the later quotes."""

    stored: StoredRecommendation
    credit: Decimal
    seen: list[tuple[datetime, Decimal, Decimal]] = field(default_factory=list)
    reason: ExitReason | None = None
    problem: str = "no later quotes"

    def is_followed_at(self, moment: datetime) -> bool:
        """Whether this moment counts: after the recommendation, before its exit and expiration."""
        recommendation = self.stored.recommendation
        if self.reason is not None or moment <= recommendation.created_at:
            return False
        if _days_left(recommendation.structure.expiration, moment) < 0:
            self.problem = "expired"
            return False
        return True

    def see(self, moment: datetime, quote: StructureQuote, terms: ExitTerms) -> None:
        """Note what closing would have cost, and whether that reaches an exit."""
        self.problem = quote.problem
        if quote.mid is None:
            return
        recommendation = self.stored.recommendation
        result = realised_pnl(
            entry_credit=self.credit,
            exit_debit=quote.mid,
            contracts=recommendation.contracts,
            fees_usd=Decimal(0),
        )
        self.seen.append((moment, quote.mid, result))
        self.reason = reason_at(
            credit=self.credit,
            cost=quote.mid,
            dte=_days_left(recommendation.structure.expiration, moment),
            terms=terms,
        )

    def told(self) -> Counterfactual:
        """What it came to so far."""
        moment, cost, result = self.seen[-1] if self.seen else (None, None, None)
        return Counterfactual(
            recommendation_id=self.stored.recommendation.id,
            status=self.stored.status,
            as_of=moment,
            entry_credit=self.credit,
            cost_to_close=cost,
            pnl_usd=result,
            worst_pnl_usd=min((row[2] for row in self.seen), default=None),
            exit_reason=self.reason,
            problem="" if self.seen else self.problem,
        )


def _days_left(expiration: date, moment: datetime) -> int:
    return (expiration - session_of(moment)).days
