"""Ranking: probability and expectation against quadrature, ties, and missing parts."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from mahler_pipelines.errors import BadInput
from mahler_pipelines.options.contracts import parse_occ
from mahler_pipelines.strategies.catalogue import strategy_named
from mahler_pipelines.strategies.limits import ScreenLimits
from mahler_pipelines.strategies.ranking import SCORE_WEIGHTS, best, rank
from mahler_pipelines.strategies.screening import screen
from tests.strategies.chains import AS_OF, IN_RANGE, NAN, empty_chain, model_chain, underlyings

BOTH = ("bull_put_spread", "bear_call_spread")


@pytest.fixture(scope="module")
def candidates() -> pd.DataFrame:
    """Candidates of two underlyings, puts and calls."""
    quotes = model_chain(["AAA", "BBB"], spot=100.0, strikes=60, expirations=[IN_RANGE])
    return kept_of(quotes, underlyings("AAA", "BBB"))


def kept_of(quotes: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    found = screen(
        quotes,
        table,
        as_of=AS_OF,
        limits=ScreenLimits(),
        strategies=BOTH,
        use_previous_volume=False,
    )
    return found.candidates


def expectations(row: Mapping[Any, Any], *, forward: float, years: float) -> tuple[float, float]:
    """Probability and mean of profit per share by quadrature over the normal variable."""
    spread = strategy_named(row["strategy"])
    structure = spread.structure(parse_occ(row["short_symbol"]), parse_occ(row["long_symbol"]))
    deviation = row["short_iv"] * np.sqrt(years)

    def settlement(z: float) -> float:
        return float(forward * np.exp(deviation * z - 0.5 * deviation**2))

    def profit(z: float) -> float:
        return float(structure.payoff(settlement(z))) + float(row["credit_mid"])

    def kink(level: float) -> float:
        return float((np.log(level / forward) + 0.5 * deviation**2) / deviation)

    (breakeven,) = structure.breakevens(Decimal(str(row["credit_mid"])))
    points = sorted(kink(float(level)) for level in (row["short_strike"], row["long_strike"]))
    edges = sorted([-9.0, *points, kink(float(breakeven)), 9.0])
    mean = probability = 0.0
    for low, high in pairwise(edges):
        mean += quad(lambda z: profit(z) * norm.pdf(z), low, high)[0]
        if profit((low + high) / 2) > 0:
            probability += float(norm.cdf(high) - norm.cdf(low))
    return probability, mean


def test_probability_and_expected_value_agree_with_quadrature(candidates: pd.DataFrame) -> None:
    ranked = rank(candidates, as_of=AS_OF)
    years = ((pd.Timestamp(IN_RANGE) + pd.Timedelta(hours=21)).tz_localize("UTC") - AS_OF) / (
        pd.Timedelta(days=365)
    )
    sample = pd.concat([ranked.head(4), ranked.tail(4)]).to_dict("records")
    assert {row["right"] for row in sample} == {1, -1}
    for row in sample:
        probability, mean = expectations(row, forward=100.0, years=years)
        assert row["probability_of_profit"] == pytest.approx(probability, abs=1e-9)
        assert row["expected_value_per_share"] == pytest.approx(mean, abs=1e-7)
        assert row["expected_value_usd"] == pytest.approx(100 * mean, abs=1e-5)


def test_the_chains_own_forward_and_years_are_used_where_they_are_there(
    candidates: pd.DataFrame,
) -> None:
    """Carry moves the forward; a put spread below a higher forward is safer."""
    ranked = rank(candidates.assign(forward=101.5, years=0.1), as_of=AS_OF)
    for row in ranked.head(3).to_dict("records"):
        probability, mean = expectations(row, forward=101.5, years=0.1)
        assert row["probability_of_profit"] == pytest.approx(probability, abs=1e-9)
        assert row["expected_value_per_share"] == pytest.approx(mean, abs=1e-7)


def test_returns_are_over_the_risk_and_the_days(candidates: pd.DataFrame) -> None:
    row = rank(candidates, as_of=AS_OF).iloc[0]
    risk = row["width"] - row["credit_mid"]
    assert row["return_on_risk"] == pytest.approx(row["credit_mid"] / risk)
    assert row["annualised"] == pytest.approx(row["return_on_risk"] * 365 / 32)
    assert row["breakeven"] == pytest.approx(row["short_strike"] + row["right"] * row["credit_mid"])


def test_the_score_is_the_documented_mean(candidates: pd.DataFrame) -> None:
    row = rank(candidates, as_of=AS_OF).iloc[0]
    parts = {
        "probability_of_profit": row["probability_of_profit"],
        "return_on_risk": min(row["return_on_risk"] / 0.5, 1.0),
        "execution": row["credit_natural"] / row["credit_mid"],
        "iv_rank": 0.5,
    }
    expected = sum(weight * parts[name] for name, weight in SCORE_WEIGHTS.items())
    assert row["score"] == pytest.approx(expected, abs=1e-9)
    assert sum(SCORE_WEIGHTS.values()) == pytest.approx(1.0)


def test_a_rank_that_is_not_available_leaves_the_mean(candidates: pd.DataFrame) -> None:
    """An unknown IV rank is neither zero nor average: the other parts decide."""
    known = rank(candidates, as_of=AS_OF).set_index("candidate_id")["score"]
    unknown = rank(candidates.assign(iv_rank=NAN), as_of=AS_OF).set_index("candidate_id")["score"]
    weight = SCORE_WEIGHTS["iv_rank"]
    expected = (known - weight * 0.5) / (1 - weight)
    assert unknown.sort_index().to_numpy() == pytest.approx(expected.sort_index().to_numpy())


def test_ranks_are_dense_and_ties_are_broken_the_same_way(candidates: pd.DataFrame) -> None:
    shuffled = candidates.sample(frac=1.0, random_state=3)
    one, other = rank(candidates, as_of=AS_OF), rank(shuffled, as_of=AS_OF)
    assert one["candidate_id"].tolist() == other["candidate_id"].tolist()
    assert one["rank"].tolist() == list(range(1, len(one) + 1))
    assert one["score"].is_monotonic_decreasing


def test_best_takes_few_of_each_underlying(candidates: pd.DataFrame) -> None:
    ranked = rank(candidates, as_of=AS_OF)
    chosen = best(ranked, per_underlying=1, limit=5)
    assert sorted(chosen["underlying"]) == ["AAA", "BBB"]
    assert chosen["rank"].iloc[0] == 1
    assert len(best(ranked, per_underlying=2, limit=3)) == 3
    assert best(ranked, limit=0).empty


def test_nothing_to_rank_stays_nothing() -> None:
    nothing = kept_of(empty_chain(), underlyings("XYZ"))
    ranked = rank(nothing, as_of=AS_OF)
    assert ranked.empty
    assert {"score", "rank", "probability_of_profit"} <= set(ranked.columns)
    assert best(ranked, limit=3).empty


def test_a_moment_without_zone_is_refused(candidates: pd.DataFrame) -> None:
    with pytest.raises(BadInput, match="time zone"):
        rank(candidates, as_of=datetime(2026, 1, 5, 12, 0))  # noqa: DTZ001
