"""Orders from intent to outcome, and their fills."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, fields
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from mahler_pipelines.execution.broker import OrderLeg, OrderStatus, PositionIntent
from mahler_pipelines.execution.ledger import FillRecord, OrderPurpose, OrderRecord
from mahler_pipelines.options.structures import Side
from mahler_pipelines.storage.ledger_base import LedgerBase, Values
from mahler_pipelines.storage.tables import fills, order_legs, orders

NEW_YORK = ZoneInfo("America/New_York")


class OrderRows(LedgerBase):
    """Orders, fills and the count of a day's entries."""

    def add_order(self, order: OrderRecord) -> bool:
        """Insert an intent; False when the client order id exists already."""
        self._need_account(order.account_id)
        values: Values = {
            field.name: getattr(order, field.name)
            for field in fields(order)
            if field.name not in ("account_id", "legs")
        }
        values["updated_at"] = order.intended_at
        if not self._add_new(orders, ["client_order_id"], values):
            return False
        self._add(
            order_legs,
            [
                asdict(leg) | {"client_order_id": order.client_order_id, "position": position}
                for position, leg in enumerate(order.legs)
            ],
        )
        detail = {
            "purpose": order.purpose,
            "subject_id": order.subject_id,
            "quantity": order.quantity,
            "limit_price": order.limit_price,
            "status": order.status,
            "run_id": order.run_id,
        }
        self.audit("order_added", order.client_order_id, detail, at=order.intended_at)
        return True

    def order(self, client_order_id: str) -> OrderRecord | None:
        """Return one order."""
        found = self._orders(orders.c.client_order_id == client_order_id)
        return found[0] if found else None

    def orders(
        self,
        *,
        statuses: Sequence[OrderStatus] | None = None,
        purpose: OrderPurpose | None = None,
        subject_id: str | None = None,
        intended_from: datetime | None = None,
        rolls: str | None = None,
    ) -> tuple[OrderRecord, ...]:
        """Return orders, oldest first."""
        conditions: list[sa.ColumnElement[bool]] = []
        if statuses is not None:
            conditions.append(orders.c.status.in_(list(statuses)))
        if purpose is not None:
            conditions.append(orders.c.purpose == purpose)
        if subject_id is not None:
            conditions.append(orders.c.subject_id == subject_id)
        if intended_from is not None:
            conditions.append(orders.c.intended_at >= intended_from)
        if rolls is not None:
            conditions.append(orders.c.rolls == rolls)
        return self._orders(*conditions)

    def update_order(
        self,
        client_order_id: str,
        *,
        expected: Sequence[OrderStatus],
        to: OrderStatus,
        at: datetime,
        reason: str = "",
        broker_order_id: str | None = None,
        filled_quantity: int | None = None,
        average_fill_price: Decimal | None = None,
    ) -> bool:
        """Move to `to` and set what is not None; False when in none of the expected states.

        Raises `MissingData` for an unknown order.
        """
        news: Values = {
            "broker_order_id": broker_order_id,
            "filled_quantity": filled_quantity,
            "average_fill_price": average_fill_price,
        }
        known = {name: value for name, value in news.items() if value is not None}
        updated = self._update(
            orders,
            orders.c.client_order_id == client_order_id,
            orders.c.status.in_(list(expected)),
            status=to,
            status_reason=reason,
            updated_at=at,
            **known,
        )
        if not updated:
            self._need_row(orders.c.client_order_id, client_order_id)
            return False
        detail = {"expected": list(expected), "to": to, "reason": reason, **known}
        self.audit("order_updated", client_order_id, detail, at=at)
        return True

    def intend_cancel(self, client_order_id: str, *, reason: str, at: datetime) -> bool:
        """Write down why a cancel is about to be asked; False when the order is final already.

        Raises `MissingData` for an unknown order.
        """
        live = [status for status in OrderStatus if not status.is_final]
        updated = self._update(
            orders,
            orders.c.client_order_id == client_order_id,
            orders.c.status.in_(live),
            cancel_reason=reason,
            updated_at=at,
        )
        if not updated:
            self._need_row(orders.c.client_order_id, client_order_id)
            return False
        self.audit("cancel_intended", client_order_id, {"reason": reason}, at=at)
        return True

    def add_fills(self, fills: Sequence[FillRecord]) -> int:
        """Insert fills that are not there yet; return how many were new."""
        return sum(self._add_fill(fill) for fill in fills)

    def fills(self, *, client_order_id: str | None = None) -> tuple[FillRecord, ...]:
        """Return fills, oldest first."""
        query = self._select(fills)
        if client_order_id is not None:
            query = query.where(fills.c.client_order_id == client_order_id)
        names = [field.name for field in fields(FillRecord)]
        return tuple(
            FillRecord(**{name: getattr(row, name) for name in names})
            for row in self._rows(query.order_by(fills.c.filled_at, fills.c.seq))
        )

    def entries_on(self, session: date, *, besides: str | None = None) -> int:
        """Count entries intended on this New York day and not refused by the broker.

        Several attempts for one recommendation are one entry; `besides` leaves one out.
        """
        start = datetime.combine(session, time.min, NEW_YORK)
        end = datetime.combine(session + timedelta(days=1), time.min, NEW_YORK)
        query = sa.select(sa.func.count(sa.distinct(orders.c.subject_id))).where(
            orders.c.account_id == self._account_id,
            orders.c.purpose.in_([OrderPurpose.OPEN, OrderPurpose.ROLL]),
            orders.c.intended_at >= start,
            orders.c.intended_at < end,
            orders.c.status != OrderStatus.REJECTED,
        )
        if besides is not None:
            query = query.where(orders.c.subject_id != besides)
        return int(self._rows(query)[0][0])

    def _add_fill(self, fill: FillRecord) -> bool:
        if not self._add_new(fills, ["id"], asdict(fill)):
            return False
        detail = {
            "client_order_id": fill.client_order_id,
            "symbol": fill.symbol,
            "side": fill.side,
            "quantity": fill.quantity,
            "price": fill.price,
            "slippage": fill.slippage,
        }
        self.audit("fill_added", fill.id, detail, at=fill.filled_at)
        return True

    def _orders(self, *conditions: sa.ColumnElement[bool]) -> tuple[OrderRecord, ...]:
        mine = (orders.c.account_id == self._account_id, *conditions)
        belongs = sa.and_(
            order_legs.c.account_id == orders.c.account_id,
            order_legs.c.client_order_id == orders.c.client_order_id,
        )
        leg_query = sa.select(order_legs).join(orders, belongs).where(*mine)
        legs = defaultdict(list)
        for row in self._rows(leg_query.order_by(order_legs.c.position)):
            legs[row.client_order_id].append(
                OrderLeg(row.symbol, Side(row.side), row.ratio, PositionIntent(row.intent))
            )
        query = sa.select(orders).where(*mine).order_by(orders.c.intended_at, orders.c.seq)
        return tuple(_order(row, legs[row.client_order_id]) for row in self._rows(query))


def _order(row: sa.Row[Any], legs: list[OrderLeg]) -> OrderRecord:
    return OrderRecord(
        client_order_id=row.client_order_id,
        account_id=row.account_id,
        purpose=OrderPurpose(row.purpose),
        subject_id=row.subject_id,
        underlying=row.underlying,
        legs=tuple(legs),
        quantity=row.quantity,
        limit_price=row.limit_price,
        status=OrderStatus(row.status),
        status_reason=row.status_reason,
        intended_at=row.intended_at,
        broker_order_id=row.broker_order_id,
        filled_quantity=row.filled_quantity,
        average_fill_price=row.average_fill_price,
        mid_at_submission=row.mid_at_submission,
        run_id=row.run_id,
        cancel_reason=row.cancel_reason,
        rolls=row.rolls,
    )
