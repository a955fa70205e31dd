"""Counterfactuals: what was not traded, followed at mid."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pandas as pd

from mahler_pipelines.decisions.ledger import StoredRecommendation
from mahler_pipelines.decisions.recommendation import RecommendationStatus
from mahler_pipelines.execution.trades import ExitReason
from mahler_pipelines.market.chains import ChainSnapshot
from mahler_pipelines.review.counterfactuals import (
    LaterQuotes,
    counterfactual,
    counterfactuals,
    later_quotes,
)
from mahler_pipelines.risk.exit_terms import ExitTerms
from mahler_pipelines.storage.lake import ParquetLake
from tests.execution.scenes import LONG, NOW, SHORT, Sides, quote_table, recommendation

STORED = StoredRecommendation(recommendation(), RecommendationStatus.REJECTED, "", None)
TERMS = ExitTerms()


def later(days: int, short: Sides, long: Sides) -> LaterQuotes:
    table = quote_table({SHORT.symbol: short, LONG.symbol: long})
    return LaterQuotes(NOW + timedelta(days=days), table)


def test_first_reached_exit_ends_the_story() -> None:
    found = counterfactual(
        STORED,
        [
            later(3, (0.50, 0.52), (0.20, 0.22)),
            later(1, (4.10, 4.20), (2.90, 2.95)),
            later(5, (9.00, 9.10), (4.50, 4.60)),
        ],
        terms=TERMS,
    )
    assert (found.entry_credit, found.cost_to_close) == (Decimal("1.15"), Decimal("0.30"))
    assert found.pnl_usd == Decimal("255.00")
    assert found.worst_pnl_usd == Decimal("-22.50")
    assert (found.exit_reason, found.as_of) == (ExitReason.PROFIT_TARGET, NOW + timedelta(days=3))


def test_story_without_an_exit_is_told_so_far() -> None:
    found = counterfactual(STORED, [later(2, (4.10, 4.20), (2.90, 2.95))], terms=TERMS)
    assert (found.exit_reason, found.pnl_usd) == (None, Decimal("-22.50"))


def test_unusable_quotes_are_passed_over_and_named_when_alone() -> None:
    blind = later(4, (float("nan"), 4.20), (2.90, 2.95))
    usable = later(2, (4.00, 4.10), (2.90, 2.94))
    assert counterfactual(STORED, [usable, blind], terms=TERMS).pnl_usd == Decimal("6.00")
    found = counterfactual(STORED, [blind], terms=TERMS)
    assert (found.pnl_usd, found.problem) == (None, "quote_one_sided")


def test_roll_that_was_not_traded_is_left_out() -> None:
    """Its credit is the net of two trades; followed as one spread's it would be invented."""
    roll = replace(STORED, recommendation=replace(recommendation(), rolls="t-1"))
    seen = [later(2, (4.10, 4.20), (2.90, 2.95))]
    found = counterfactuals([roll, STORED], seen, terms=TERMS)
    assert [one.recommendation_id for one in found] == [STORED.recommendation.id]
    assert len(counterfactuals([roll], seen, terms=TERMS)) == 0


def test_nothing_seen_later_is_no_result() -> None:
    found = counterfactual(STORED, [], terms=TERMS)
    assert (found.pnl_usd, found.as_of, found.problem) == (None, None, "no later quotes")


def test_quotes_after_the_expiration_are_not_used() -> None:
    found = counterfactual(STORED, [later(60, (0.1, 0.2), (0.1, 0.2))], terms=TERMS)
    assert (found.pnl_usd, found.problem) == (None, "expired")


def test_quotes_of_before_or_at_the_recommendation_do_not_count() -> None:
    """What was shown is the entry; an earlier scan would be hindsight the other way round."""
    early = [later(-1, (0.50, 0.52), (0.20, 0.22)), later(0, (0.50, 0.52), (0.20, 0.22))]
    assert counterfactual(STORED, early, terms=TERMS).problem == "no later quotes"


def test_many_are_followed_as_each_would_be_alone() -> None:
    """One reading of each moment serves all; none changes another's story."""
    moments = [
        later(1, (4.10, 4.20), (2.90, 2.95)),
        later(2, (float("nan"), 4.20), (2.90, 2.95)),
        later(3, (0.50, 0.52), (0.20, 0.22)),
        later(5, (9.00, 9.10), (4.50, 4.60)),
    ]
    second = replace(STORED.recommendation, id="r-2", created_at=NOW + timedelta(days=4))
    third = replace(STORED.recommendation, id="r-3", contracts=1)
    stored = [STORED] + [replace(STORED, recommendation=one) for one in (second, third)]
    together = counterfactuals(stored, moments, terms=TERMS)
    assert together == tuple(counterfactual(one, moments, terms=TERMS) for one in stored)
    assert [one.exit_reason for one in together] == [
        ExitReason.PROFIT_TARGET,
        ExitReason.STOP_LOSS,
        ExitReason.PROFIT_TARGET,
    ]
    assert counterfactuals([], moments, terms=TERMS) == ()


def test_moments_come_out_of_the_lake_as_they_were_seen(tmp_path: Path) -> None:
    lake = ParquetLake(tmp_path)
    seen = [later(days, (4.0, 4.1 + days), (2.9, 2.95)) for days in (1, 2, 3)]
    for moment in seen:
        lake.add_snapshot(ChainSnapshot(moment.as_of.date(), "midday", moment.as_of, moment.quotes))
    table = lake.quotes_of([SHORT.symbol, LONG.symbol], start=date(2026, 1, 14), end=NOW.date())
    assert later_quotes(table) == []
    table = lake.quotes_of(
        {SHORT.symbol, LONG.symbol}, start=date(2026, 1, 14), end=date(2026, 1, 31)
    )
    found = later_quotes(table)
    assert [row.as_of for row in found] == [row.as_of for row in seen[1:]]
    for one, original in zip(found, seen[1:], strict=True):
        pd.testing.assert_frame_equal(
            one.quotes[list(original.quotes.columns)].sort_values("symbol", ignore_index=True),
            original.quotes.sort_values("symbol", ignore_index=True),
        )
    assert counterfactual(STORED, found, terms=TERMS) == counterfactual(
        STORED, seen[1:], terms=TERMS
    )
