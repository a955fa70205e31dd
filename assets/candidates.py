"""Candidates: every vertical spread the chains allow, kept or refused with its code."""

import dagster as dg
import pandas as pd

from mahler_pipelines.execution.desk_terms import DeskTerms
from mahler_pipelines.market.chains import ChainSnapshot
from mahler_pipelines.market.lake import Lake
from mahler_pipelines.orchestration.partitions import scan_partition, session_scans
from mahler_pipelines.pictures.tables import markdown_table
from mahler_pipelines.strategies.ranking import rank
from mahler_pipelines.strategies.screening import screen
from mahler_pipelines.strategies.underlyings import underlying_table, uses_previous_volume

GROUP = "candidates"


@dg.asset(
    group_name=GROUP,
    kinds={"pandas", "parquet"},
    partitions_def=session_scans,
    code_version="2",
    check_specs=[
        dg.AssetCheckSpec(
            "every_pair_is_accounted_for",
            asset="screened_candidates",
            blocking=True,
            description="Kept and refused pairs add up to every short x long combination.",
        )
    ],
)
def screened_candidates(
    context: dg.AssetExecutionContext,
    option_chains: ChainSnapshot,
    implied_volatilities: pd.DataFrame,
    underlying_quotes: pd.DataFrame,
    underlying_bars: pd.DataFrame,
    iv_ranks: pd.DataFrame,
    volatility_regimes: pd.DataFrame,
    lake: dg.ResourceParam[Lake],
    terms: dg.ResourceParam[DeskTerms],
):
    """Vertical spreads that pass every gate, ranked; refusals and pair counts lie beside them.

    Grain: one row per kept pair. `screen_refusals` keeps code, value and limit of every refused
    underlying, expiration, leg and pair; `screen_pairs` the counts per expiration and right.
    """
    session, scan = scan_partition(context.partition_key)
    as_of = option_chains.as_of
    underlyings = underlying_table(
        terms.universe,
        share_quotes=underlying_quotes,
        chains=option_chains.quotes,
        bars=underlying_bars,
        ranks=iv_ranks,
        regimes=volatility_regimes,
        volume_sessions=terms.screen.share_volume_sessions,
    )
    found = screen(
        implied_volatilities,
        underlyings,
        as_of=as_of,
        limits=terms.screen,
        strategies=terms.strategies,
        use_previous_volume=uses_previous_volume(as_of),
    )
    ranked = rank(found.candidates, as_of=as_of)
    for table, rows in (("screen_refusals", found.refusals), ("screen_pairs", found.pairs)):
        lake.write(table, rows, session=session, scan=scan.value)
    refused = found.refused_by_code
    balanced = found.kept + sum(refused.values()) == found.considered == _combinations(found.pairs)
    return dg.MaterializeResult(
        value=ranked,
        metadata={
            "dagster/row_count": len(ranked),
            "pairs_considered": found.considered,
            "pairs_kept": found.kept,
            "pairs_refused": dg.MetadataValue.json(refused),
            "underlyings_refused": dg.MetadataValue.json(found.underlyings_refused),
            "best": dg.MetadataValue.md(_best(ranked)),
        },
        check_results=[
            dg.AssetCheckResult(
                check_name="every_pair_is_accounted_for",
                passed=balanced,
                metadata={"considered": found.considered, "kept": found.kept},
            )
        ],
    )


def _combinations(pairs: pd.DataFrame) -> int:
    """Count short x long combinations from the legs alone, independent of the screen's own sum."""
    return int((pairs["legs"] * (pairs["legs"] - 1) // 2).sum())


def _best(ranked: pd.DataFrame) -> str:
    """The ten best candidates as a table a person can read."""
    if ranked.empty:
        return "No pair passed every gate."
    columns = [
        *("underlying", "strategy", "expiration", "short_strike", "long_strike"),
        *("credit_mid", "probability_of_profit", "return_on_risk", "score"),
    ]
    shown = ranked.head(10)[columns].copy()
    shown["expiration"] = shown["expiration"].dt.strftime("%Y-%m-%d")
    return markdown_table(columns, list(shown.itertuples(index=False)))
