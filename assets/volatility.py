"""Volatility: what the quotes imply, how that ranks in its own history, and in which regime."""

import dagster as dg
import numpy as np
import pandas as pd

from mahler_pipelines.execution.desk_terms import DeskTerms
from mahler_pipelines.market.chains import ChainSnapshot, Scan
from mahler_pipelines.market.data import MarketData
from mahler_pipelines.market.lake import Lake
from mahler_pipelines.market.liquidity import quote_defects
from mahler_pipelines.market.rank_history import (
    FROM_SCAN,
    earlier_today,
    empty_history,
    fill_history,
    latest_history,
    rank_with_stand_ins,
)
from mahler_pipelines.market.regimes import regimes
from mahler_pipelines.market.sessions import TradingCalendar
from mahler_pipelines.market.volatility import (
    atm_volatility,
    constant_maturity_volatility,
)
from mahler_pipelines.market.volatility import (
    implied_volatilities as value_contracts,
)
from mahler_pipelines.orchestration.partitions import scan_partition, session_scans
from mahler_pipelines.pictures.gallery import rank_picture, smile_picture, term_structure_picture

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
    terms: dg.ResourceParam[DeskTerms],
):
    """Mid, European implied volatility and greeks of every contract; a reason where there is none.

    Grain: one row per contract, session and scan.
    """
    as_of, quotes = option_chains.as_of, option_chains.quotes
    valued = value_contracts(
        quotes,
        as_of=as_of,
        rate=terms.risk_free_rate,
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
            "risk_free_rate": terms.risk_free_rate,
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
    group_name=GROUP, kinds={"alpaca", "parquet"}, partitions_def=session_scans, code_version="1"
)
def iv_history(
    context: dg.AssetExecutionContext,
    implied_volatilities: pd.DataFrame,
    underlying_bars: pd.DataFrame,
    lake: dg.ResourceParam[Lake],
    market_data: dg.ResourceParam[MarketData],
    terms: dg.ResourceParam[DeskTerms],
) -> dg.MaterializeResult[pd.DataFrame]:
    """The 30-day at-the-money volatility of every session the rank looks back on, and of this scan.

    Grain: one row per underlying and session. Sessions the desk has not seen itself come from
    daily option bars.
    """
    session, _ = scan_partition(context.partition_key)
    calendar = TradingCalendar()
    wanted = calendar.sessions(
        calendar.offset(session, -terms.rank_lookback), calendar.previous(session)
    )
    known = latest_history(
        lake, "iv_history", sessions=[*wanted[-10:], session], scans=[scan.value for scan in Scan]
    )
    known = known[known["session"] < pd.Timestamp(session)]
    past = fill_history(
        known,
        market_data,
        underlying_bars,
        underlyings=terms.universe,
        sessions=wanted,
        rate=terms.risk_free_rate,
    )
    past = past[past["session"] >= pd.Timestamp(wanted[0])]
    today = constant_maturity_volatility(atm_volatility(implied_volatilities))
    today = today.assign(session=pd.Timestamp(session).as_unit("us"), source=FROM_SCAN)
    history = pd.concat([past, today[list(empty_history().columns)]], ignore_index=True)
    return dg.MaterializeResult(
        value=history,
        metadata={
            "dagster/row_count": len(history),
            "sessions": len(wanted),
            "sources": dg.MetadataValue.json(_counts(history["source"])),
        },
    )


@dg.asset(
    group_name=GROUP,
    kinds={"pandas", "parquet"},
    partitions_def=session_scans,
    code_version="1",
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
    code_version="1",
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
        },
    )


def _counts(column: "pd.Series[str]") -> dict[str, int]:
    return {str(key): int(count) for key, count in column.value_counts().items()}
