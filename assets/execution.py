"""Execution: approved recommendations become orders and fills; positions are watched and closed."""

import os
import socket
import time
from collections.abc import Iterator, Sequence

import dagster as dg

from mahler_pipelines.errors import LeaseHeld
from mahler_pipelines.execution.account_view import GateRecheck
from mahler_pipelines.execution.broker import Broker
from mahler_pipelines.execution.desk import ExecutionDesk, ExecutionTerms
from mahler_pipelines.execution.desk_terms import DeskTerms
from mahler_pipelines.execution.findings import Finding
from mahler_pipelines.execution.halting import halt_if_due
from mahler_pipelines.execution.ledger import FillRecord
from mahler_pipelines.execution.looks import look
from mahler_pipelines.execution.monitoring import MonitorReport
from mahler_pipelines.execution.recommending import Requoting
from mahler_pipelines.execution.slippage import slippage_usd
from mahler_pipelines.execution.submission import ExecutionStatus, execute
from mahler_pipelines.execution.trades import PositionMark, Trade
from mahler_pipelines.market.data import MarketData
from mahler_pipelines.market.lake import Lake
from mahler_pipelines.orchestration.partitions import recommendations_of, sessions
from mahler_pipelines.pictures.tables import markdown_table
from mahler_pipelines.review.ledger import LedgerBook

GROUP = "execution"
WATCH_GROUP = "positions"
LEASE_RETRIES, LEASE_WAIT_SECONDS = 45, 2.0
"""How long an execution waits for its turn at the broker: longer than a dead run's lease lasts."""


NO_PARTITION_IN_PARTICULAR = dg.SpecificPartitionsPartitionMapping([])
"""An edge without partitions: which scan proposed a trade is in the ledger. With all of them, every
execution would first list the sixteen thousand session-scans that there are, for a second."""


def execution_assets(account_id: str) -> list[dg.AssetsDefinition]:
    """Orders, fills, positions and exits of one account; their key starts with its name."""
    orders, fills = dg.AssetKey([account_id, "orders"]), dg.AssetKey([account_id, "fills"])
    positions, exits = dg.AssetKey([account_id, "positions"]), dg.AssetKey([account_id, "exits"])
    of_recommendations = recommendations_of(account_id)

    @dg.multi_asset(
        name=f"{account_id}_order_and_fills",
        specs=[
            dg.AssetSpec(
                orders,
                group_name=GROUP,
                kinds={"alpaca", "sqlalchemy"},
                partitions_def=of_recommendations,
                code_version="1",
                deps=[
                    dg.AssetDep(
                        dg.AssetKey([account_id, "recommendations"]),
                        partition_mapping=NO_PARTITION_IN_PARTICULAR,
                    )
                ],
                description="The opening order of an approved recommendation: intent first, then "
                "a multi-leg limit order whose limit walks step by step, then its outcome.\n\n"
                "Grain: one row per order.",
            ),
            dg.AssetSpec(
                fills,
                group_name=GROUP,
                kinds={"alpaca", "sqlalchemy"},
                partitions_def=of_recommendations,
                code_version="1",
                deps=[orders],
                description="What was filled, with the quote each leg was filled against, and the "
                "trade it opened.\n\nGrain: one row per leg and fill.",
            ),
        ],
        partitions_def=of_recommendations,
    )
    def order_and_fills(
        context: dg.AssetExecutionContext,
        ledger: dg.ResourceParam[LedgerBook],
        broker: dg.ResourceParam[Broker],
        market_data: dg.ResourceParam[MarketData],
        lake: dg.ResourceParam[Lake],
        reference_lake: dg.ResourceParam[Lake],
        terms: dg.ResourceParam[DeskTerms],
    ) -> Iterator[dg.MaterializeResult[None]]:
        """Execute the recommendation of this partition, or recover what an earlier run began."""
        desk = _execution_desk(context, account_id, ledger, broker, market_data, lake, terms)
        try:
            outcome = execute(
                context.partition_key,
                desk=desk,
                recheck=GateRecheck(terms),
                offer=Requoting(terms, reference_lake, context.run.run_id),
            )
        except LeaseHeld as held:
            # Two approvals seconds apart are two runs: the later one waits for its turn.
            raise dg.RetryRequested(LEASE_RETRIES, LEASE_WAIT_SECONDS) from held
        if outcome.status is ExecutionStatus.UNKNOWN:
            context.log.warning(
                "%s: outcome unknown; reconciliation asks again", context.partition_key
            )
        order = outcome.order
        with ledger.reading(account_id) as book:
            attempts = book.orders(subject_id=context.partition_key)
            filled = [
                fill
                for attempt in attempts
                for fill in book.fills(client_order_id=attempt.client_order_id)
            ]
        slipped = slippage_usd(filled)
        yield dg.MaterializeResult(
            asset_key=orders,
            metadata={
                "recommendation": context.partition_key,
                "status": outcome.status.value,
                "reason": outcome.reason,
                "refusals": "; ".join(map(str, outcome.refusals)) or "none",
                "client_order_id": order.client_order_id if order else "none",
                "limit_price": str(order.limit_price) if order else "none",
                "attempts": len(attempts),
                "snapshot_hash": outcome.snapshot_hash or "none",
            },
        )
        yield dg.MaterializeResult(
            asset_key=fills,
            metadata={
                "dagster/row_count": len(filled),
                "trade": outcome.trade_id or "none",
                "slippage_usd": "not known" if slipped is None else float(slipped),
                "fills": dg.MetadataValue.md(_fills(filled)),
            },
        )
        halt_if_due(desk, terms.halts)

    @dg.multi_asset(
        name=f"{account_id}_positions_and_exits",
        specs=[
            dg.AssetSpec(
                positions,
                group_name=WATCH_GROUP,
                kinds={"alpaca", "sqlalchemy"},
                partitions_def=sessions,
                code_version="1",
                deps=[dg.AssetDep(fills, partition_mapping=dg.AllPartitionMapping())],
                description="Every open trade marked from one look at the market; working orders "
                "and expiries settled before.\n\nGrain: one row per open trade and look.",
            ),
            dg.AssetSpec(
                exits,
                group_name=WATCH_GROUP,
                kinds={"alpaca", "sqlalchemy"},
                partitions_def=sessions,
                code_version="1",
                deps=[positions],
                description="Trades whose profit target, stop, time exit or last day's cut-off was "
                "reached: closing orders or alerts.\n\nGrain: one row per exit and session.",
            ),
        ],
        check_specs=[
            dg.AssetCheckSpec(
                "positions_agree_with_the_broker",
                asset=positions,
                description="Trades and lots of the ledger add up to what the broker holds, "
                "nothing is short without cover, and the invariants hold.",
            )
        ],
        partitions_def=sessions,
    )
    def positions_and_exits(
        context: dg.AssetExecutionContext,
        ledger: dg.ResourceParam[LedgerBook],
        broker: dg.ResourceParam[Broker],
        market_data: dg.ResourceParam[MarketData],
        lake: dg.ResourceParam[Lake],
        terms: dg.ResourceParam[DeskTerms],
    ) -> Iterator[dg.MaterializeResult[None]]:
        """Watch what is open, close what is due, halt where a limit is reached."""
        desk = _execution_desk(context, account_id, ledger, broker, market_data, lake, terms)
        looked = look(desk, exits=terms.exits, halts=terms.halts, underlyings=terms.universe)
        report, findings = looked.report, looked.findings
        yield dg.MaterializeResult(
            asset_key=positions,
            metadata={
                "dagster/row_count": len(report.marks),
                "as_of": report.as_of.isoformat(),
                "unusable_marks": sum(mark.cost_to_close is None for mark in report.marks),
                "settled_orders": len(report.settled),
                "expired_trades": len(report.expired),
                "snapshot_hash": report.snapshot_hash or "none",
                "halted": "; ".join(map(str, looked.halted)) or "none",
                "marks": dg.MetadataValue.md(_marks(report)),
                "last_day": dg.MetadataValue.md(_last_day(report)),
                "early_assignment": dg.MetadataValue.md(_early_assignment(report)),
                "not_foreseen": report.outlook.problem or "none",
            },
            check_results=[
                dg.AssetCheckResult(
                    check_name="positions_agree_with_the_broker",
                    asset_key=positions,
                    passed=not findings,
                    metadata={"findings": dg.MetadataValue.md(_findings(findings))},
                )
            ],
        )
        yield dg.MaterializeResult(
            asset_key=exits,
            metadata={
                "dagster/row_count": len(report.exits),
                "exits": dg.MetadataValue.md(
                    markdown_table(
                        ("trade", "status", "reason", "detail"),
                        [(e.trade_id, e.status, e.exit_reason, e.detail) for e in report.exits],
                    )
                ),
            },
        )

    return [order_and_fills, positions_and_exits]


def _execution_desk(
    context: dg.AssetExecutionContext,
    account_id: str,
    ledger: LedgerBook,
    broker: Broker,
    market_data: MarketData,
    lake: Lake,
    terms: DeskTerms,
) -> ExecutionDesk:
    return ExecutionDesk(
        account_id=account_id,
        book=ledger,
        broker=broker,
        market_data=market_data,
        lake=lake,
        run_id=context.run.run_id,
        holder=f"{socket.gethostname()}:{os.getpid()}:{context.run.run_id[:8]}",
        sleep=time.sleep,
        dry_run=terms.dry_run,
        terms=ExecutionTerms(
            fee_per_contract_usd=terms.fee_per_contract,
            risk_free_rate=terms.risk_free_rate,
            dividend_days=terms.chain_days,
            walk=terms.walk,
        ),
    )


def _fills(fills: Sequence[FillRecord]) -> str:
    columns = ("symbol", "side", "quantity", "price", "bid", "ask", "mid", "slippage")
    rows = [tuple(getattr(fill, name) for name in columns) for fill in fills]
    return markdown_table(columns, rows)


def _findings(findings: Sequence[Finding]) -> str:
    return markdown_table(
        ("kind", "subject", "expected", "found", "detail"),
        [(f.kind.value, f.subject, f.expected, f.found, f.detail) for f in findings],
    )


def _marks(report: MonitorReport) -> str:
    rows = [_mark(trade, mark) for trade, mark in zip(report.trades, report.marks, strict=True)]
    return markdown_table(
        ("trade", "underlying", "contracts", "credit", "cost to close", "unrealised $", "DTE", ""),
        rows,
    )


def _last_day(report: MonitorReport) -> str:
    """What the broker would do with each leg that is on its last day."""
    rows = [
        (
            found.trade.id,
            leg.holding.contract.symbol,
            leg.holding.quantity,
            leg.outcome,
            leg.shortage or "",
            found.underlying_price,
            _percent(leg.probability_in_the_money),
            _percent(found.probability_between),
        )
        for found in report.outlook.forecasts
        for leg in found.legs
    ]
    return markdown_table(
        (
            *("trade", "contract", "quantity", "outcome", "for want of", "underlying"),
            *("in the money", "between the strikes"),
        ),
        rows,
    )


def _early_assignment(report: MonitorReport) -> str:
    rows = [
        (
            one.trade.id,
            one.warning.contract.symbol,
            one.warning.level,
            one.warning.cause,
            one.warning.dividend.ex_date if one.warning.dividend else "",
            one.warning.gain,
            one.warning.time_value,
        )
        for one in report.outlook.warnings
    ]
    return markdown_table(
        ("trade", "contract", "level", "cause", "ex-date", "gain", "time value"), rows
    )


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.0%}"


def _mark(trade: Trade, mark: PositionMark) -> tuple[object, ...]:
    return (
        trade.id,
        trade.structure.underlying,
        trade.contracts,
        trade.entry_credit,
        mark.cost_to_close,
        mark.unrealised_pnl_usd,
        mark.dte,
        mark.problem,
    )
