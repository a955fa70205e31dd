"""Review: what the day came to, what was not traded, what closed trades taught."""

from datetime import date, timedelta

import dagster as dg
import pandas as pd

from mahler_pipelines.execution.broker import Broker
from mahler_pipelines.execution.cash_flows import cash_flows
from mahler_pipelines.execution.desk_terms import DeskTerms
from mahler_pipelines.execution.trades import TradeStatus
from mahler_pipelines.market.lake import Lake
from mahler_pipelines.market.sessions import TradingCalendar
from mahler_pipelines.orchestration.partitions import sessions
from mahler_pipelines.pictures.gallery import equity_picture
from mahler_pipelines.pictures.tables import markdown_table
from mahler_pipelines.review.cash import cash_gap
from mahler_pipelines.review.counterfactuals import (
    NOT_TRADED,
    later_quotes,
)
from mahler_pipelines.review.counterfactuals import (
    counterfactuals as follow,
)
from mahler_pipelines.review.learning import propose_rules, reflect
from mahler_pipelines.review.ledger import LedgerBook
from mahler_pipelines.review.performance import daily_performance as write_performance

GROUP = "review"
FOLLOWED = timedelta(days=45)
"""How long a recommendation that was not traded is followed."""
COUNTERFACTUAL_COLUMNS = {
    "recommendation_id": "str",
    "status": "str",
    "pnl_usd": "float64",
    "exit_reason": "str",
    "problem": "str",
}
"""Column -> dtype, the same on days without any."""


def review_assets(account_id: str) -> list[dg.AssetsDefinition]:
    """Performance, counterfactuals, reflections and playbook of one account."""
    performance_key = dg.AssetKey([account_id, "daily_performance"])

    @dg.asset(
        key=performance_key,
        group_name=GROUP,
        kinds={"sqlalchemy"},
        partitions_def=sessions,
        code_version="1",
        deps=[dg.AssetKey([account_id, "exits"])],
        check_specs=[
            dg.AssetCheckSpec(
                "cash_agrees_to_the_cent",
                asset=performance_key,
                description="The broker's cash moved since the first session by exactly what our "
                "fills and the broker's own activities took in and paid out.",
            )
        ],
    )
    def daily_performance(
        context: dg.AssetExecutionContext,
        ledger: dg.ResourceParam[LedgerBook],
        broker: dg.ResourceParam[Broker],
        terms: dg.ResourceParam[DeskTerms],
    ):
        """Realised and unrealised results, equity and drawdown of the session.

        Grain: one row per account and session.
        """
        session = date.fromisoformat(context.partition_key)
        money = broker.account()
        with ledger.transaction(account_id) as book:
            row = write_performance(
                account_id=account_id,
                session=session,
                trades=book.trades(),
                marks=book.marks(),
                account=money,
                previous=book.performance(end=session),
            )
            book.put_performance(row)
            history = book.performance(end=session)
            flows = cash_flows(book, fee_per_contract=terms.fee_per_contract)
            gap = cash_gap(flows, history)
        return dg.MaterializeResult(
            metadata={
                "dagster/row_count": 1,
                "equity": float(row.equity),
                "realised_pnl": float(row.realised_pnl),
                "unrealised_pnl": float(row.unrealised_pnl),
                "open_trades": row.open_trades,
                "drawdown": float(row.drawdown),
                "equity_curve": dg.MetadataValue.md(equity_picture(history)),
            },
            check_results=[
                dg.AssetCheckResult(
                    check_name="cash_agrees_to_the_cent",
                    passed=not gap,
                    severity=dg.AssetCheckSeverity.WARN,
                    metadata={"gap_usd": "first session" if gap is None else str(gap)},
                )
            ],
        )

    @dg.asset(
        key=dg.AssetKey([account_id, "counterfactuals"]),
        group_name=GROUP,
        kinds={"pandas"},
        partitions_def=sessions,
        code_version="1",
        deps=[performance_key],
    )
    def counterfactuals(
        context: dg.AssetExecutionContext,
        ledger: dg.ResourceParam[LedgerBook],
        lake: dg.ResourceParam[Lake],
        terms: dg.ResourceParam[DeskTerms],
    ) -> dg.MaterializeResult[None]:
        """What recommendations that were not traded would have come to so far, at mid.

        Grain: one row per recommendation that was rejected, expired, lapsed or failed.
        """
        session = date.fromisoformat(context.partition_key)
        with ledger.reading(account_id) as book:
            stored = book.recommendations(statuses=sorted(NOT_TRADED))
        first = session - FOLLOWED
        followed = [one for one in stored if first <= one.recommendation.session <= session]
        symbols = {s for one in followed for s in one.recommendation.structure.symbols}
        oldest = min((one.recommendation.session for one in followed), default=session)
        later = lake.quotes_of(symbols, start=oldest, end=session)
        found = follow(followed, later_quotes(later), terms=terms.exits)
        rows = pd.DataFrame(
            {
                "recommendation_id": [one.recommendation_id for one in found],
                "status": [one.status.value for one in found],
                "pnl_usd": [None if one.pnl_usd is None else float(one.pnl_usd) for one in found],
                "exit_reason": [one.exit_reason.value if one.exit_reason else "" for one in found],
                "problem": [one.problem for one in found],
            }
        ).astype(COUNTERFACTUAL_COLUMNS)
        lake.write(f"{account_id}.counterfactuals", rows, session=session)
        return dg.MaterializeResult(
            metadata={
                "dagster/row_count": len(rows),
                "missed_usd": float(rows["pnl_usd"].astype("float64").sum()),
                "rows": dg.MetadataValue.md(
                    markdown_table(list(rows.columns), list(rows.itertuples(index=False)))
                ),
            }
        )

    @dg.asset(
        key=dg.AssetKey([account_id, "reflections"]),
        group_name=GROUP,
        kinds={"sqlalchemy"},
        partitions_def=sessions,
        code_version="1",
        deps=[performance_key],
    )
    def reflections(
        context: dg.AssetExecutionContext,
        ledger: dg.ResourceParam[LedgerBook],
    ) -> dg.MaterializeResult[None]:
        """What each closed trade taught, in words and numbers, written once.

        Grain: one row per closed trade.
        """
        session = date.fromisoformat(context.partition_key)
        at = TradingCalendar().eod_time(session)
        written = []
        with ledger.transaction(account_id) as book:
            known = {one.trade_id for one in book.reflections()}
            for trade in book.trades(statuses=[TradeStatus.CLOSED]):
                stored = book.recommendation(trade.recommendation_id)
                if trade.id in known or stored is None:
                    continue
                reflection = reflect(
                    trade, book.marks(trade_id=trade.id), stored.recommendation, written_at=at
                )
                book.add_reflection(reflection)
                written.append(reflection)
        return dg.MaterializeResult(
            metadata={
                "dagster/row_count": len(written),
                "reflections": dg.MetadataValue.md(
                    markdown_table(
                        ("trade", "P/L $", "lesson", "words"),
                        [(r.trade_id, r.pnl_usd, r.lesson_code, r.text) for r in written],
                    )
                ),
            }
        )

    @dg.asset(
        key=dg.AssetKey([account_id, "playbook"]),
        group_name=GROUP,
        kinds={"sqlalchemy"},
        partitions_def=sessions,
        code_version="1",
        deps=[dg.AssetKey([account_id, "reflections"])],
    )
    def playbook(
        context: dg.AssetExecutionContext,
        ledger: dg.ResourceParam[LedgerBook],
    ) -> dg.MaterializeResult[None]:
        """The adopted rules, and the ones that recurring lessons propose to a person.

        Grain: one row per rule. Theses read the adopted rules from the ledger, never along an edge.
        """
        at = TradingCalendar().eod_time(date.fromisoformat(context.partition_key))
        with ledger.transaction(account_id) as book:
            for rule in propose_rules(book.reflections(), account_id=account_id, proposed_at=at):
                book.propose_rule(rule)
            adopted, rules = book.playbook(as_of=at), book.rules()
        return dg.MaterializeResult(
            metadata={
                "dagster/row_count": len(rules),
                "version": adopted.version,
                "adopted": len(adopted.rules),
                "rules": dg.MetadataValue.md(
                    markdown_table(
                        ("id", "status", "rule", "evidence"),
                        [(r.id, r.status, r.text, r.evidence) for r in rules],
                    )
                ),
            }
        )

    return [daily_performance, counterfactuals, reflections, playbook]
