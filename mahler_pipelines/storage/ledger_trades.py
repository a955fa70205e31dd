"""Trades from entry to exit, and what they were worth in between."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mahler_pipelines.execution.trades import (
    ExitReason,
    LegPrice,
    PositionMark,
    Trade,
    TradeStatus,
)
from mahler_pipelines.options.contracts import parse_occ
from mahler_pipelines.options.structures import Leg, Side, Structure
from mahler_pipelines.storage.ledger_base import LedgerBase, Values
from mahler_pipelines.storage.tables import position_marks, trade_leg_prices, trade_legs, trades

_ENTRY, _EXIT = "entry", "exit"


class TradeRows(LedgerBase):
    """Trades and marks of one account."""

    def open_trade(self, trade: Trade) -> bool:
        """Insert a trade; False when its id exists already."""
        self._need_account(trade.account_id)
        values: Values = {
            "id": trade.id,
            "recommendation_id": trade.recommendation_id,
            "strategy": trade.structure.strategy,
            "underlying": trade.structure.underlying,
            "contracts": trade.contracts,
            "entry_time": trade.entry_time,
            "entry_credit": trade.entry_credit,
            "updated_at": trade.entry_time,
            **_exit_side(trade),
        }
        if not self._add_new(trades, ["id"], values):
            return False
        legs = [
            {
                "trade_id": trade.id,
                "position": position,
                "symbol": leg.contract.symbol,
                "side": leg.side,
                "ratio": leg.ratio,
            }
            for position, leg in enumerate(trade.structure.legs)
        ]
        self._add(trade_legs, legs)
        self._add(trade_leg_prices, _price_rows(trade.id, _ENTRY, trade.entry_legs))
        self._add(trade_leg_prices, _price_rows(trade.id, _EXIT, trade.exit_legs))
        detail = {
            "recommendation_id": trade.recommendation_id,
            "contracts": trade.contracts,
            "entry_credit": trade.entry_credit,
        }
        self.audit("trade_opened", trade.id, detail, at=trade.entry_time)
        return True

    def trade(self, trade_id: str) -> Trade | None:
        """Return one trade."""
        found = self._trades(trades.c.id == trade_id)
        return found[0] if found else None

    def trades(
        self,
        *,
        statuses: Sequence[TradeStatus] | None = None,
        underlying: str | None = None,
        closed_from: datetime | None = None,
    ) -> tuple[Trade, ...]:
        """Return trades, oldest entry first; `closed_from` keeps those closed at or after it."""
        conditions: list[sa.ColumnElement[bool]] = []
        if statuses is not None:
            conditions.append(trades.c.status.in_(list(statuses)))
        if underlying is not None:
            conditions.append(trades.c.underlying == underlying)
        if closed_from is not None:
            conditions.append(trades.c.status == TradeStatus.CLOSED)
            conditions.append(trades.c.exit_time >= closed_from)
        return self._trades(*conditions)

    def update_trade(self, trade: Trade, *, expected: TradeStatus, at: datetime) -> bool:
        """Replace status, exit, fees and P&L; False when the trade is not `expected`.

        The entry side stays as it was opened. Raises `MissingData` for an unknown trade.
        """
        self._need_account(trade.account_id)
        values = _exit_side(trade)
        updated = self._update(
            trades,
            trades.c.id == trade.id,
            trades.c.status == expected,
            updated_at=at,
            **values,
        )
        if not updated:
            self._need_row(trades.c.id, trade.id)
            return False
        self._replace_exit_prices(trade)
        self.audit("trade_updated", trade.id, {"from": expected, **values}, at=at)
        return True

    def add_marks(self, marks: Sequence[PositionMark]) -> None:
        """Append marks; a second one of the same trade and moment is left out."""
        for mark in marks:
            if self._add_new(position_marks, ["trade_id", "marked_at"], asdict(mark)):
                detail = {"unrealised_pnl_usd": mark.unrealised_pnl_usd, "problem": mark.problem}
                self.audit("trade_marked", mark.trade_id, detail, at=mark.marked_at)

    def marks(
        self, *, trade_id: str | None = None, from_: datetime | None = None
    ) -> tuple[PositionMark, ...]:
        """Return marks at or after `from_`, oldest first."""
        table = position_marks
        query = self._select(table)
        if trade_id is not None:
            query = query.where(table.c.trade_id == trade_id)
        if from_ is not None:
            query = query.where(table.c.marked_at >= from_)
        names = [field.name for field in fields(PositionMark)]
        return tuple(
            PositionMark(**{name: getattr(row, name) for name in names})
            for row in self._rows(query.order_by(table.c.marked_at, table.c.seq))
        )

    def _replace_exit_prices(self, trade: Trade) -> None:
        table = trade_leg_prices
        self._delete(table, table.c.trade_id == trade.id, table.c.moment == _EXIT)
        self._add(table, _price_rows(trade.id, _EXIT, trade.exit_legs))

    def _trades(self, *conditions: sa.ColumnElement[bool]) -> tuple[Trade, ...]:
        mine = (trades.c.account_id == self._account_id, *conditions)
        legs: dict[str, list[Leg]] = defaultdict(list)
        for row in self._children(trade_legs, mine):
            legs[row.trade_id].append(Leg(parse_occ(row.symbol), Side(row.side), row.ratio))
        prices: dict[tuple[str, str], list[LegPrice]] = defaultdict(list)
        for row in self._children(trade_leg_prices, mine):
            prices[row.trade_id, row.moment].append(
                LegPrice(row.symbol, row.price, row.bid, row.ask, row.snapshot)
            )
        query = sa.select(trades).where(*mine).order_by(trades.c.entry_time, trades.c.seq)
        return tuple(
            _trade(row, legs[row.id], prices[row.id, _ENTRY], prices[row.id, _EXIT])
            for row in self._rows(query)
        )

    def _children(
        self, table: sa.Table, mine: Sequence[sa.ColumnElement[bool]]
    ) -> Sequence[sa.Row[Any]]:
        belongs = sa.and_(
            table.c.account_id == trades.c.account_id, table.c.trade_id == trades.c.id
        )
        query = sa.select(table).join(trades, belongs).where(*mine)
        return self._rows(query.order_by(table.c.position))


def _exit_side(trade: Trade) -> Values:
    return {
        "status": trade.status,
        "exit_time": trade.exit_time,
        "exit_debit": trade.exit_debit,
        "exit_reason": trade.exit_reason,
        "fees_usd": trade.fees_usd,
        "pnl_usd": trade.pnl_usd,
    }


def _price_rows(trade_id: str, moment: str, legs: Sequence[LegPrice]) -> list[Values]:
    return [
        asdict(leg) | {"trade_id": trade_id, "moment": moment, "position": position}
        for position, leg in enumerate(legs)
    ]


def _trade(
    row: sa.Row[Any], legs: list[Leg], entry: list[LegPrice], leaving: list[LegPrice]
) -> Trade:
    return Trade(
        id=row.id,
        account_id=row.account_id,
        recommendation_id=row.recommendation_id,
        structure=Structure(row.strategy, tuple(legs)),
        contracts=row.contracts,
        entry_time=row.entry_time,
        entry_credit=row.entry_credit,
        entry_legs=tuple(entry),
        status=TradeStatus(row.status),
        exit_time=row.exit_time,
        exit_debit=row.exit_debit,
        exit_reason=None if row.exit_reason is None else ExitReason(row.exit_reason),
        exit_legs=tuple(leaving),
        fees_usd=row.fees_usd,
        pnl_usd=row.pnl_usd,
    )
