"""Daily performance and reflections."""

from dataclasses import asdict, fields
from datetime import date, datetime, time
from zoneinfo import ZoneInfo

from mahler_pipelines.review.performance import DailyPerformance
from mahler_pipelines.review.reflection import Reflection
from mahler_pipelines.storage.ledger_base import LedgerBase, Values
from mahler_pipelines.storage.tables import daily_performance, reflections

NEW_YORK = ZoneInfo("America/New_York")


class ReviewRows(LedgerBase):
    """What review keeps of one account."""

    def put_performance(self, performance: DailyPerformance) -> None:
        """Insert or replace the session's row; its audit event is at the end of that day."""
        self._need_account(performance.account_id)
        values: Values = asdict(performance)
        del values["account_id"]
        if not self._add_new(daily_performance, ["session"], values):
            table = daily_performance
            self._update(table, table.c.session == performance.session, **values)
        at = datetime.combine(performance.session, time.max, NEW_YORK)
        detail = {"equity": performance.equity, "realised_pnl": performance.realised_pnl}
        self.audit("performance_put", performance.session.isoformat(), detail, at=at)

    def performance(
        self, *, start: date | None = None, end: date | None = None
    ) -> tuple[DailyPerformance, ...]:
        """Return daily rows with start <= session <= end, oldest first."""
        table = daily_performance
        query = self._select(table)
        if start is not None:
            query = query.where(table.c.session >= start)
        if end is not None:
            query = query.where(table.c.session <= end)
        names = [field.name for field in fields(DailyPerformance)]
        return tuple(
            DailyPerformance(**{name: getattr(row, name) for name in names})
            for row in self._rows(query.order_by(table.c.session))
        )

    def add_reflection(self, reflection: Reflection) -> bool:
        """Insert; False when the id exists already."""
        self._need_account(reflection.account_id)
        values: Values = asdict(reflection)
        del values["account_id"]
        if not self._add_new(reflections, ["id"], values):
            return False
        detail = {"trade_id": reflection.trade_id, "lesson_code": reflection.lesson_code}
        self.audit("reflection_added", reflection.id, detail, at=reflection.written_at)
        return True

    def reflections(self, *, trade_id: str | None = None) -> tuple[Reflection, ...]:
        """Return reflections, oldest first."""
        table = reflections
        query = self._select(table)
        if trade_id is not None:
            query = query.where(table.c.trade_id == trade_id)
        names = [field.name for field in fields(Reflection)]
        return tuple(
            Reflection(**{name: getattr(row, name) for name in names})
            for row in self._rows(query.order_by(table.c.written_at, table.c.seq))
        )
