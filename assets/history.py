"""History: the volatility of sessions before the desk's first, for a rank on the first day."""

import warnings
from collections.abc import Callable
from datetime import date
from typing import Any

import dagster as dg
import pandas as pd

from mahler_pipelines.execution.desk_terms import DeskTerms
from mahler_pipelines.market.data import MarketData
from mahler_pipelines.market.lake import Lake
from mahler_pipelines.market.observation import require_closed
from mahler_pipelines.market.past_volatility import PastMarket
from mahler_pipelines.market.past_volatility import past_volatilities as look_up
from mahler_pipelines.market.rank_history import BACKFILLED
from mahler_pipelines.market.sessions import TradingCalendar
from mahler_pipelines.market.volatility_history import empty_history, missing_sessions
from mahler_pipelines.orchestration.partitions import SESSIONS_PER_RUN, session_key, sessions
from mahler_pipelines.pictures.tables import markdown_table

GROUP = "history"
LOWEST, HIGHEST = 0.01, 5.0
"""Bounds of a believable 30-day volatility: 1 % and 500 % a year."""
SHOWN = 20


def backfilled_in_quarters(**specification: Any) -> Callable[..., dg.AssetsDefinition]:
    """Return `dg.asset` whose backfill takes `SESSIONS_PER_RUN` sessions a run."""
    policy = dg.BackfillPolicy.multi_run(max_partitions_per_run=SESSIONS_PER_RUN)
    with warnings.catch_warnings():
        # A beta parameter. Should it go, each session is a run of its own: slower, not wrong.
        warnings.simplefilter("ignore", dg.BetaWarning)
        decorate: Callable[..., dg.AssetsDefinition] = dg.asset(
            backfill_policy=policy, **specification
        )
        return decorate


@backfilled_in_quarters(
    group_name=GROUP,
    kinds={"alpaca", "parquet"},
    partitions_def=sessions,
    code_version="1",
    check_specs=[
        dg.AssetCheckSpec(
            "past_volatilities_are_believable",
            asset="past_volatilities",
            description="Every volatility that was found lies between 1 % and 500 % a year.",
        )
    ],
)
def past_volatilities(
    context: dg.AssetExecutionContext,
    lake: dg.ResourceParam[Lake],
    reference_lake: dg.ResourceParam[Lake],
    market_data: dg.ResourceParam[MarketData],
    terms: dg.ResourceParam[DeskTerms],
):
    """The 30-day at-the-money volatility of sessions that have closed, scanned by the desk or not.

    Grain: one row per underlying and session. From the desk's own last scan, ingested chains, or
    daily option bars, in that order; `source` says which, `none` that there is nothing. Select
    sessions and backfill them: a run takes a quarter of a year, and one runs at a time.
    """
    days = [date.fromisoformat(key) for key in context.partition_keys]
    require_closed(days, market_data.now(), TradingCalendar())
    found = look_up(
        missing_sessions(empty_history(), underlyings=terms.universe, sessions=days),
        PastMarket(
            lake,
            reference_lake,
            market_data,
            rates=reference_lake.read_reference("rates"),
            flat_rate=terms.risk_free_rate,
        ),
        market_data.daily_bars(terms.universe, start=days[0], end=days[-1]),
    )
    for stamp, rows in found.groupby("session", sort=True):
        session = pd.Timestamp(str(stamp)).date()
        lake.write(BACKFILLED, rows.drop(columns="session"), session=session)
        context.add_asset_metadata(_counts(rows), partition_key=session_key(session))
    known = found["implied_volatility"].dropna()
    return dg.MaterializeResult(
        metadata={
            "sessions_of_the_run": len(days),
            "with_volatility_of_the_run": round(len(known) / len(found), 4) if len(found) else 0.0,
            "underlyings": dg.MetadataValue.md(_by_underlying(found)),
        },
        check_results=[
            dg.AssetCheckResult(
                check_name="past_volatilities_are_believable",
                passed=bool(known.between(LOWEST, HIGHEST).all()),
                severity=dg.AssetCheckSeverity.WARN,
                metadata={"unbelievable": int((~known.between(LOWEST, HIGHEST)).sum())},
            )
        ],
    )


def _counts(rows: pd.DataFrame) -> dict[str, object]:
    sources = {str(name): int(count) for name, count in rows["source"].value_counts().items()}
    return {
        "dagster/row_count": len(rows),
        "with_volatility": int(rows["implied_volatility"].notna().sum()),
        "sources": dg.MetadataValue.json(sources),
    }


def _by_underlying(found: pd.DataFrame) -> str:
    """What a rank will rest on, for the first underlyings by name."""
    grouped = found.groupby("underlying")["implied_volatility"]
    table = grouped.agg(["count", "min", "max", "last"]).reset_index().head(SHOWN)
    columns = ["underlying", "sessions", "lowest", "highest", "latest"]
    return markdown_table(columns, list(table.itertuples(index=False, name=None)))
