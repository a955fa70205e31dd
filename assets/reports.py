"""Reports to a person: the brief of a session, its summary, and what a week taught.

Each is a message in the outbox, once per session or week; delivery and rendering are others' work.
"""

from datetime import date, timedelta

import dagster as dg

from mahler_pipelines.execution.broker import Broker
from mahler_pipelines.execution.desk_terms import DeskTerms
from mahler_pipelines.market.lake import Lake
from mahler_pipelines.market.sessions import TradingCalendar
from mahler_pipelines.orchestration.partitions import session_key, sessions
from mahler_pipelines.review import day_summary as day
from mahler_pipelines.review import learning_report as learning
from mahler_pipelines.review import session_brief as brief
from mahler_pipelines.review.ledger import LedgerBook

LAST_SCAN_WITHIN = timedelta(days=7)
"""How old a scan may be of which the brief tells the ranks."""


def report_assets(account_id: str) -> list[dg.AssetsDefinition]:
    """Briefs, summaries and learning reports of one account."""
    performance_key = dg.AssetKey([account_id, "daily_performance"])

    @dg.asset(
        key=dg.AssetKey([account_id, "session_briefs"]),
        group_name="briefs",
        kinds={"sqlalchemy"},
        partitions_def=sessions,
        code_version="1",
    )
    def session_briefs(
        context: dg.AssetExecutionContext,
        ledger: dg.ResourceParam[LedgerBook],
        lake: dg.ResourceParam[Lake],
        broker: dg.ResourceParam[Broker],
        terms: dg.ResourceParam[DeskTerms],
    ) -> dg.MaterializeResult[None]:
        """What a session begins with: clock, ranks, positions, what is due, what waits.

        Grain: one message per session. Positions and ranks are as the last look left them.
        """
        session = date.fromisoformat(context.partition_key)
        at, account = broker.clock().now, broker.account()
        first = session - LAST_SCAN_WITHIN
        look = brief.MarketLook(
            lake.read_range("iv_ranks", start=first, end=session),
            lake.read_range("volatility_regimes", start=first, end=session),
        )
        with ledger.reading(account_id) as book:
            told = brief.session_brief(
                book,
                look,
                session=session,
                as_of=at,
                account=account,
                exits=terms.exits,
                calendar=TradingCalendar(),
            )
        with ledger.transaction(account_id) as book:
            new = book.enqueue(
                kind=brief.KIND,
                subject=context.partition_key,
                payload=told.model_dump(mode="json"),
                key=f"{brief.KIND}:{context.partition_key}",
                at=at,
            )
        return dg.MaterializeResult(
            metadata={
                "dagster/row_count": int(new),
                "positions": len(told.positions),
                "due": len(told.due),
                "pending": len(told.pending),
                "findings": len(told.findings),
                "ranks_seen": told.ranks_seen or "never",
            }
        )

    @dg.asset(
        key=dg.AssetKey([account_id, "day_summaries"]),
        group_name="review",
        kinds={"sqlalchemy"},
        partitions_def=sessions,
        code_version="1",
        deps=[performance_key],
    )
    def day_summaries(
        context: dg.AssetExecutionContext,
        ledger: dg.ResourceParam[LedgerBook],
        broker: dg.ResourceParam[Broker],
        terms: dg.ResourceParam[DeskTerms],
    ) -> dg.MaterializeResult[None]:
        """What a session came to: result, trades, heat, and what is carried into the next.

        Grain: one message per session.
        """
        session = date.fromisoformat(context.partition_key)
        account = broker.account()
        with ledger.transaction(account_id) as book:
            told = day.day_summary(book, session=session, account=account, limits=terms.risk)
            if told is None:
                raise dg.Failure(f"{session} has no daily performance to tell")
            new = book.enqueue(
                kind=day.KIND,
                subject=context.partition_key,
                payload=told.model_dump(mode="json"),
                key=f"{day.KIND}:{context.partition_key}",
                at=TradingCalendar().eod_time(session),
            )
        return dg.MaterializeResult(
            metadata={
                "dagster/row_count": int(new),
                "day_pnl": float(told.day_pnl),
                "heat_usd": float(told.heat_usd),
                "closed": len(told.closed),
            }
        )

    @dg.asset(
        key=dg.AssetKey([account_id, "learning_reports"]),
        group_name="learning",
        kinds={"sqlalchemy"},
        partitions_def=sessions,
        code_version="1",
        deps=[dg.AssetKey([account_id, "playbook"])],
    )
    def learning_reports(
        context: dg.AssetExecutionContext,
        ledger: dg.ResourceParam[LedgerBook],
    ) -> dg.MaterializeResult[None]:
        """How good the odds were, what worked, and the rules that a person may adopt or refuse.

        Grain: one message per ISO week, with the week's last session; none for the others.
        """
        session, calendar = date.fromisoformat(context.partition_key), TradingCalendar()
        if not learning.ends_week(session, calendar):
            return dg.MaterializeResult(
                metadata={
                    "dagster/row_count": 0,
                    "why_not": f"{session_key(calendar.next(session))} is of the same week",
                }
            )
        with ledger.transaction(account_id) as book:
            told = learning.learning_report(book, session=session)
            new = book.enqueue(
                kind=learning.KIND,
                subject=told.week,
                payload=told.model_dump(mode="json"),
                key=f"{learning.KIND}:{told.week}",
                at=calendar.eod_time(session),
            )
        return dg.MaterializeResult(
            metadata={
                "dagster/row_count": int(new),
                "week": told.week,
                "trades": told.trades,
                "proposed": len(told.proposed),
            }
        )

    return [session_briefs, day_summaries, learning_reports]
