"""Counterfactuals: what was not traded, followed at mid."""

from datetime import timedelta
from decimal import Decimal

from mahler_pipelines.decisions.ledger import StoredRecommendation
from mahler_pipelines.decisions.recommendation import RecommendationStatus
from mahler_pipelines.execution.trades import ExitReason
from mahler_pipelines.review.counterfactuals import LaterQuotes, counterfactual
from mahler_pipelines.risk.exit_terms import ExitTerms
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


def test_nothing_seen_later_is_no_result() -> None:
    found = counterfactual(STORED, [], terms=TERMS)
    assert (found.pnl_usd, found.as_of, found.problem) == (None, None, "no later quotes")


def test_quotes_after_the_expiration_are_not_used() -> None:
    found = counterfactual(STORED, [later(60, (0.1, 0.2), (0.1, 0.2))], terms=TERMS)
    assert (found.pnl_usd, found.problem) == (None, "expired")
