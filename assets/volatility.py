"""Volatility: what the quotes imply, how that ranks in its own history, and in which regime."""

import dagster as dg
import numpy as np
import pandas as pd

from mahler_pipelines.execution.desk_terms import DeskTerms
from mahler_pipelines.market.chains import ChainSnapshot
from mahler_pipelines.market.data import MarketData
from mahler_pipelines.market.lake import Lake
from mahler_pipelines.market.liquidity import quote_defects
from mahler_pipelines.market.past_volatility import PastMarket, session_volatility
from mahler_pipelines.market.rank_history import earlier_today, fill_history, known_history
from mahler_pipelines.market.rank_stand_ins import rank_with_stand_ins
from mahler_pipelines.market.rates import rate_curve
from mahler_pipelines.market.regimes import regimes
from mahler_pipelines.market.sessions import TradingCalendar
from mahler_pipelines.market.volatility import (
    implied_volatilities as value_contracts,
)
from mahler_pipelines.market.volatility_history import HistorySource, conform_history
from mahler_pipelines.market.volatility_metrics import REALISED_SESSIONS
from mahler_pipelines.market.volatility_metrics import volatility_metrics as measure
from mahler_pipelines.orchestration.partitions import scan_partition, session_scans
from mahler_pipelines.pictures.gallery import rank_picture
from mahler_pipelines.pictures.surface import (
    metrics_table,
    premium_picture,
    smile_picture,
    term_structure_picture,
)

GROUP = "volatility"


@dg.asset(
    group_name=GROUP,
    kinds={"numpy", "parquet"},
    partitions_def=session_scans,
    code_version="1",
    check_specs=[
        dg.AssetCheckSpec(
            "most_usable_quotes_have_a_volatility",
            asset="implied_volatilities",
            description="At least half of the two-sided quotes could be inverted.",
        )
    ],
)
def implied_volatilities(
    context: dg.AssetExecutionContext,
    option_chains: ChainSnapshot,
    reference_lake: dg.ResourceParam[Lake],
    terms: dg.ResourceParam[DeskTerms],
):
    """Mid, implied volatility and greeks of every contract; a reason where there is none.

    European for index roots, American for the others, at the rate of each expiration's tenor.

    Grain: one row per contract, session and scan.
    """
    as_of, quotes = option_chains.as_of, option_chains.quotes
    curve = rate_curve(
        reference_lake.read_reference("rates"), as_of=as_of, flat=terms.risk_free_rate
    )
    valued = value_contracts(
        quotes,
        as_of=as_of,
        rates=curve,
        dividend_yields={},
        calendar=TradingCalendar(),
    )
    valued["quote_defect"] = quote_defects(quotes, as_of=as_of, max_age=terms.max_quote_age)
    usable = valued["quote_defect"] == ""
    reasons = valued.loc[usable, "iv_reason"]
    solved = (
        float(np.isfinite(valued.loc[usable, "implied_volatility"]).mean()) if usable.any() else 0.0
    )
    return dg.MaterializeResult(
        value=valued,
        metadata={
            "dagster/row_count": len(valued),
            "two_sided_quotes": int(usable.sum()),
            "share_inverted": round(solved, 4),
            "rates": curve.basis,
            "rate_at_30_days": float(curve.rate(30 / 365)),
            "not_inverted": dg.MetadataValue.json(_counts(reasons[reasons != ""])),
            "smile": dg.MetadataValue.md(smile_picture(valued, as_of=as_of)),
            "term_structure": dg.MetadataValue.md(term_structure_picture(valued, as_of=as_of)),
        },
        check_results=[
            dg.AssetCheckResult(
                check_name="most_usable_quotes_have_a_volatility",
                passed=solved >= 0.5,
                metadata={"share_inverted": solved},
            )
        ],
    )


@dg.asset(
    group_name=GROUP,
    kinds={"alpaca", "parquet"},
    partitions_def=session_scans,
    code_version="2",
    deps=[dg.AssetDep("past_volatilities", partition_mapping=dg.AllPartitionMapping())],
)
def iv_history(
    context: dg.AssetExecutionContext,
    implied_volatilities: pd.DataFrame,
    underlying_bars: pd.DataFrame,
    lake: dg.ResourceParam[Lake],
    reference_lake: dg.ResourceParam[Lake],
    market_data: dg.ResourceParam[MarketData],
    terms: dg.ResourceParam[DeskTerms],
) -> dg.MaterializeResult[pd.DataFrame]:
    """The 30-day at-the-money volatility of every session the rank looks back on, and of this scan.

    Grain: one row per underlying and session. Sessions the desk has not seen itself are taken from
    `past_volatilities`; those that nobody backfilled are looked up here, once.
    """
    session, _ = scan_partition(context.partition_key)
    calendar = TradingCalendar()
    wanted = calendar.sessions(
        calendar.offset(session, -terms.rank_lookback), calendar.previous(session)
    )
    filled = fill_history(
        known_history(lake, sessions=wanted, until=session),
        PastMarket(
            lake,
            reference_lake,
            market_data,
            rates=reference_lake.read_reference("rates"),
            flat_rate=terms.risk_free_rate,
        ),
        underlying_bars,
        underlyings=terms.universe,
        sessions=wanted,
    )
    today = session_volatility(implied_volatilities).assign(
        session=pd.Timestamp(session), source=HistorySource.SCAN.value
    )
    history = pd.concat([filled.rows, conform_history(today)], ignore_index=True)
    known = history["implied_volatility"].notna()
    return dg.MaterializeResult(
        value=history,
        metadata={
            "dagster/row_count": len(history),
            "sessions": len(wanted),
            "with_volatility": round(float(known.mean()), 4) if len(history) else 0.0,
            "looked_up_now": filled.looked_for,
            "sources": dg.MetadataValue.json(_counts(history["source"])),
        },
    )


@dg.asset(
    group_name=GROUP,
    kinds={"pandas", "parquet"},
    partitions_def=session_scans,
    code_version="2",
    check_specs=[
        dg.AssetCheckSpec(
            "iv_ranks_within_bounds",
            asset="iv_ranks",
            blocking=True,
            description="Every rank and percentile that exists lies between 0 and 100.",
        )
    ],
)
def iv_ranks(
    context: dg.AssetExecutionContext,
    iv_history: pd.DataFrame,
    reference_lake: dg.ResourceParam[Lake],
    terms: dg.ResourceParam[DeskTerms],
):
    """IV rank and IV percentile over 252 sessions, and what each rests on.

    Grain: one row per underlying, session and scan.
    """
    session, _ = scan_partition(context.partition_key)
    today = pd.Timestamp(session)
    ranks = rank_with_stand_ins(
        iv_history[iv_history["session"] < today],
        iv_history[iv_history["session"] == today],
        reference_lake.read_reference("volatility_indices"),
        stand_ins=terms.rank_stand_ins,
        lookback=terms.rank_lookback,
        minimum=terms.rank_minimum,
        coverage=terms.rank_coverage,
    )
    known = ranks["iv_rank"].notna()
    within = ranks.loc[known, ["iv_rank", "iv_percentile"]].apply(lambda c: c.between(0, 100).all())
    return dg.MaterializeResult(
        value=ranks,
        metadata={
            "dagster/row_count": len(ranks),
            "ranked": int(known.sum()),
            "median_rank": float(ranks["iv_rank"].median()) if known.any() else None,
            "ranks": dg.MetadataValue.md(rank_picture(ranks)),
        },
        check_results=[
            dg.AssetCheckResult(
                check_name="iv_ranks_within_bounds",
                passed=bool(within.all()),
                metadata={"ranked": int(known.sum())},
            )
        ],
    )


@dg.asset(
    group_name=GROUP,
    kinds={"scikitlearn", "parquet"},
    partitions_def=session_scans,
    code_version="2",
)
def volatility_regimes(
    context: dg.AssetExecutionContext,
    iv_history: pd.DataFrame,
    underlying_bars: pd.DataFrame,
    lake: dg.ResourceParam[Lake],
) -> dg.MaterializeResult[pd.DataFrame]:
    """Calm, normal or stressed, with probabilities; fitted only on sessions before this one.

    Grain: one row per underlying, session and scan. The first scan of a session fits, the later
    ones of that session have the same past and take its answer.
    """
    session, scan = scan_partition(context.partition_key)
    fitted = earlier_today(lake, "volatility_regimes", session=session, before=scan)
    found = (
        regimes(
            underlying_bars,
            iv_history[iv_history["implied_volatility"].notna()],
            as_of=TradingCalendar().open(session),
        )
        if fitted is None
        else fitted
    )
    return dg.MaterializeResult(
        value=found,
        metadata={
            "dagster/row_count": len(found),
            "regimes": dg.MetadataValue.json(_counts(found["label"].fillna("none"))),
            "features": dg.MetadataValue.json(_counts(found["features"])),
        },
    )


@dg.asset(
    group_name=GROUP, kinds={"numpy", "parquet"}, partitions_def=session_scans, code_version="1"
)
def volatility_metrics(
    context: dg.AssetExecutionContext,
    implied_volatilities: pd.DataFrame,
    underlying_bars: pd.DataFrame,
    terms: dg.ResourceParam[DeskTerms],
) -> dg.MaterializeResult[pd.DataFrame]:
    """Skew, term slope, expected move, realised volatility and what implied is above it.

    Grain: one row per underlying, session and scan; a reason beside whatever is not known.
    """
    session, _ = scan_partition(context.partition_key)
    calendar = TradingCalendar()
    metrics = measure(
        implied_volatilities,
        underlying_bars,
        underlyings=terms.universe,
        sessions=calendar.sessions(
            calendar.offset(session, -REALISED_SESSIONS - 1), calendar.previous(session)
        ),
    )
    reasons = ("iv30_method", "skew_method", "move_reason", "realised_reason", "premium_reason")
    return dg.MaterializeResult(
        value=metrics,
        metadata={
            "dagster/row_count": len(metrics),
            "median_iv30": _median(metrics["iv30"]),
            "median_term_slope": _median(metrics["term_slope"]),
            "median_skew_25_delta": _median(metrics["skew_25_delta"]),
            "median_volatility_risk_premium": _median(metrics["volatility_risk_premium"]),
            "with_premium": int(metrics["variance_risk_premium"].notna().sum()),
            "how_known": dg.MetadataValue.json({name: _counts(metrics[name]) for name in reasons}),
            "metrics": dg.MetadataValue.md(metrics_table(metrics)),
            "premium": dg.MetadataValue.md(premium_picture(metrics)),
        },
    )


def _median(column: "pd.Series[float]") -> float | None:
    return round(float(column.median()), 6) if column.notna().any() else None


def _counts(column: "pd.Series[str]") -> dict[str, int]:
    return {str(key): int(count) for key, count in column.value_counts().items()}
