"""Market: what the desk sees at a scan, before it computes anything."""

from datetime import timedelta

import dagster as dg
import pandas as pd

from mahler_pipelines.execution.desk_terms import DeskTerms
from mahler_pipelines.market.chains import ChainSnapshot, conform_quotes, empty_quotes
from mahler_pipelines.market.data import MarketData
from mahler_pipelines.market.dividends import dividend_table
from mahler_pipelines.market.fetching import fetch_each
from mahler_pipelines.market.lake import Lake
from mahler_pipelines.market.liquidity import quote_defects
from mahler_pipelines.market.observation import require_observable
from mahler_pipelines.market.rank_history import earlier_today
from mahler_pipelines.market.sessions import TradingCalendar
from mahler_pipelines.orchestration.partitions import scan_partition, session_scans

GROUP = "market"


@dg.asset(
    group_name=GROUP, kinds={"alpaca", "parquet"}, partitions_def=session_scans, code_version="1"
)
def underlying_bars(
    context: dg.AssetExecutionContext,
    lake: dg.ResourceParam[Lake],
    market_data: dg.ResourceParam[MarketData],
    terms: dg.ResourceParam[DeskTerms],
) -> dg.MaterializeResult[pd.DataFrame]:
    """Completed daily bars up to the session before the scan's.

    Grain: one row per underlying and completed session. Completed bars stay the same all day, so
    the first scan of a session fetches them and the later ones take its partition.
    """
    session, scan = scan_partition(context.partition_key)
    calendar = TradingCalendar()
    bars = earlier_today(lake, "underlying_bars", session=session, before=scan)
    if bars is None:
        bars = market_data.daily_bars(
            terms.universe,
            start=calendar.offset(session, -terms.history_sessions),
            end=calendar.previous(session),
        )
    return dg.MaterializeResult(
        value=bars,
        metadata={
            "dagster/row_count": len(bars),
            "underlyings": int(bars["underlying"].nunique()),
            "without_bars": ", ".join(sorted(set(terms.universe) - set(bars["underlying"])))
            or "none",
        },
    )


@dg.asset(
    group_name=GROUP, kinds={"alpaca", "parquet"}, partitions_def=session_scans, code_version="1"
)
def underlying_quotes(
    context: dg.AssetExecutionContext,
    market_data: dg.ResourceParam[MarketData],
    terms: dg.ResourceParam[DeskTerms],
) -> dg.MaterializeResult[pd.DataFrame]:
    """Share quotes at the scan; bid and ask are empty where the market has only a level.

    Grain: one row per underlying, session and scan.
    """
    require_observable(*scan_partition(context.partition_key), market_data.now(), TradingCalendar())
    quotes = market_data.stock_quotes(terms.universe)
    return dg.MaterializeResult(
        value=quotes,
        metadata={
            "dagster/row_count": len(quotes),
            "without_quote": ", ".join(sorted(set(terms.universe) - set(quotes["underlying"])))
            or "none",
        },
    )


@dg.asset(
    group_name=GROUP, kinds={"alpaca", "parquet"}, partitions_def=session_scans, code_version="1"
)
def dividends(
    context: dg.AssetExecutionContext,
    lake: dg.ResourceParam[Lake],
    market_data: dg.ResourceParam[MarketData],
    terms: dg.ResourceParam[DeskTerms],
) -> dg.MaterializeResult[pd.DataFrame]:
    """Cash dividends declared to go ex within `chain_days` after the session.

    Grain: one row per underlying and ex-date, and one without ex-date for an underlying that has
    none declared. The first scan of a session asks for them and the later ones take its partition;
    looks at positions read them here.
    """
    session, scan = scan_partition(context.partition_key)
    table = earlier_today(lake, "dividends", session=session, before=scan)
    if table is None:
        table = dividend_table(market_data, terms.universe, session=session, days=terms.chain_days)
    declared = table.dropna(subset=["ex_date"])
    return dg.MaterializeResult(
        value=table,
        metadata={
            "dagster/row_count": len(table),
            "declared": len(declared),
            "underlyings": int(declared["underlying"].nunique()),
            "next_ex_date": f"{declared['ex_date'].min():%Y-%m-%d}" if len(declared) else "none",
        },
    )


@dg.asset(
    group_name=GROUP,
    kinds={"alpaca", "parquet"},
    partitions_def=session_scans,
    code_version="1",
    check_specs=[
        dg.AssetCheckSpec(
            "chains_can_be_trusted",
            asset="option_chains",
            blocking=True,
            description="Most underlyings have a chain; a tenth of all quotes or more are usable.",
        )
    ],
)
def option_chains(
    context: dg.AssetExecutionContext,
    market_data: dg.ResourceParam[MarketData],
    terms: dg.ResourceParam[DeskTerms],
):
    """The quotes of every contract listed within `chain_days`, one immutable snapshot by hash.

    Grain: one row per contract, session and scan.
    """
    session, scan = scan_partition(context.partition_key)
    as_of = market_data.now()
    require_observable(session, scan, as_of, TradingCalendar())
    horizon = session + timedelta(days=terms.chain_days)
    chains = fetch_each(
        lambda name: market_data.chain(name, expires_from=session, expires_to=horizon),
        terms.universe,
    )
    filled = [chain for chain in chains if len(chain)]
    quotes = conform_quotes(pd.concat(filled, ignore_index=True)) if filled else empty_quotes()
    snapshot = ChainSnapshot(session=session, scan=scan.value, as_of=as_of, quotes=quotes)
    defects = quote_defects(quotes, as_of=as_of, max_age=terms.max_quote_age)
    counts = defects[defects != ""].value_counts()
    usable = float((defects == "").mean()) if len(quotes) else 0.0
    return dg.MaterializeResult(
        value=snapshot,
        metadata={
            "dagster/row_count": len(quotes),
            "snapshot_hash": snapshot.content_hash,
            "as_of": as_of.isoformat(),
            "underlyings": int(quotes["underlying"].nunique()),
            "usable_quotes": round(usable, 4),
            "defects": dg.MetadataValue.json({str(k): int(v) for k, v in counts.items()}),
        },
        check_results=[
            dg.AssetCheckResult(
                check_name="chains_can_be_trusted",
                passed=len(filled) * 2 >= len(chains) and usable >= 0.1,
                metadata={"chains": len(filled), "asked": len(chains), "usable_quotes": usable},
            )
        ],
    )
