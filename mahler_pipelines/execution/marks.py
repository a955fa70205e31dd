"""Marks: what open trades are worth at one moment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import pandas as pd

from mahler_pipelines.execution.desk import session_of
from mahler_pipelines.execution.quotes import StructureQuote, quote_structures
from mahler_pipelines.execution.trades import PositionMark, Trade
from mahler_pipelines.options.structures import dollars


@dataclass(frozen=True, slots=True)
class PartialClose:
    """Units of a trade that closing orders have filled already, at this average debit per share."""

    units: int
    debit: Decimal


def mark_trades(
    trades: Sequence[Trade],
    quotes: pd.DataFrame,
    underlying_prices: Mapping[str, Decimal],
    *,
    as_of: datetime,
    snapshot_hash: str | None = None,
    closed: Mapping[str, PartialClose] | None = None,
) -> tuple[PositionMark, ...]:
    """Mark every trade from one quote table (columns `QUOTE_COLUMNS`), in the trades' order.

    Costs are per share: at mid, and natural (sold legs at the ask, bought ones at the bid). Where
    the quotes it needs can't be used a cost is None and `problem` carries the first defect's code;
    the unrealised result is None with the mid. It counts the fees paid so far and what `closed`
    says was closed already.
    """
    priced = quote_structures([trade.structure for trade in trades], quotes)
    done = closed or {}
    return tuple(
        PositionMark(
            trade_id=trade.id,
            marked_at=as_of,
            cost_to_close=quote.mid,
            natural_cost_to_close=quote.natural_cost,
            unrealised_pnl_usd=_unrealised(trade, quote, done.get(trade.id)),
            underlying_price=underlying_prices.get(trade.structure.underlying),
            dte=(trade.structure.expiration - session_of(as_of)).days,
            snapshot_hash=snapshot_hash,
            problem=quote.problem,
        )
        for trade, quote in zip(trades, priced, strict=True)
    )


def _unrealised(trade: Trade, quote: StructureQuote, closed: PartialClose | None) -> Decimal | None:
    if quote.mid is None:
        return None
    units = closed.units if closed else 0
    paid = dollars(closed.debit, units) if closed else Decimal(0)
    left = dollars(quote.mid, trade.contracts - units)
    return dollars(trade.entry_credit, trade.contracts) - paid - left - trade.fees_usd
