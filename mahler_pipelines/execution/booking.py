"""Booking: what the end of an order means for its recommendation or its trade.

Everything here runs inside the transaction that records the end itself, so that no crash can
come between them.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from mahler_pipelines.decisions.recommendation import Recommendation, RecommendationStatus
from mahler_pipelines.errors import CorruptData, IllegalTransition, MissingData
from mahler_pipelines.execution.broker import OrderStatus
from mahler_pipelines.execution.fills import leg_prices
from mahler_pipelines.execution.ledger import (
    ExecutionLedger,
    FillRecord,
    OrderPurpose,
    OrderRecord,
)
from mahler_pipelines.execution.messages import (
    announce_close_refused,
    announce_closed,
    announce_not_executed,
    announce_opened,
)
from mahler_pipelines.execution.trades import (
    LegPrice,
    Trade,
    TradeStatus,
    net_credit,
    realised_pnl,
)
from mahler_pipelines.options.structures import Structure

NOT_FILLED = "not_filled"


def trade_id(recommendation_id: str) -> str:
    """The id of the trade that a recommendation becomes."""
    return f"t-{recommendation_id.removeprefix('r-')}"


def book_end(
    ledger: ExecutionLedger, record: OrderRecord, *, fee_per_contract_usd: Decimal, at: datetime
) -> None:
    """Open or close the trade behind an order that is final; nothing for one that still works."""
    if not record.status.is_final:
        return
    if record.purpose is OrderPurpose.OPEN:
        _book_opening(ledger, record, fee=fee_per_contract_usd, at=at)
    else:
        _book_closing(ledger, record, fee=fee_per_contract_usd, at=at)


def finish_recommendation(
    ledger: ExecutionLedger,
    recommendation: Recommendation,
    *,
    expected: RecommendationStatus,
    to: RecommendationStatus,
    reason: str,
    at: datetime,
) -> None:
    """Move a recommendation to its last state, and tell it when no trade came of it.

    Raises `IllegalTransition` when another state was found.
    """
    moved = ledger.move_recommendation(
        recommendation.id, expected=expected, to=to, at=at, reason=reason
    )
    if not moved:
        stored = ledger.recommendation(recommendation.id)
        found = stored.status if stored else "missing"
        raise IllegalTransition("recommendation", recommendation.id, found, to)
    if to is not RecommendationStatus.EXECUTED:
        announce_not_executed(ledger, recommendation, reason=reason, at=at)


def closing_fills(ledger: ExecutionLedger, trade: Trade) -> tuple[int, tuple[FillRecord, ...]]:
    """Units of a trade closed so far, with their fills, over every attempt."""
    orders = ledger.orders(purpose=OrderPurpose.CLOSE, subject_id=trade.id)
    fills = [
        fill for order in orders for fill in ledger.fills(client_order_id=order.client_order_id)
    ]
    return sum(order.filled_quantity for order in orders), tuple(fills)


def close_books(
    ledger: ExecutionLedger,
    trade: Trade,
    *,
    exit_legs: Sequence[LegPrice],
    fees_usd: Decimal,
    at: datetime,
) -> Trade:
    """Close a trade at these leg prices, with `fees_usd` for the exit, and tell it."""
    debit = net_credit(trade.structure, {leg.symbol: leg.price for leg in exit_legs})
    fees = trade.fees_usd + fees_usd
    closed = replace(
        trade,
        status=TradeStatus.CLOSED,
        exit_time=at,
        exit_debit=debit,
        exit_legs=tuple(exit_legs),
        fees_usd=fees,
        pnl_usd=realised_pnl(
            entry_credit=trade.entry_credit,
            exit_debit=debit,
            contracts=trade.contracts,
            fees_usd=fees,
        ),
    )
    if not ledger.update_trade(closed, expected=trade.status, at=at):
        raise IllegalTransition("trade", trade.id, "changed meanwhile", TradeStatus.CLOSED)
    announce_closed(ledger, closed, at=at)
    return closed


def fees_of(structure: Structure, units: int, fee_per_contract_usd: Decimal) -> Decimal:
    """Fees of one side of a trade: per contract, every leg counted."""
    return fee_per_contract_usd * units * sum(leg.ratio for leg in structure.legs)


def _book_opening(
    ledger: ExecutionLedger, record: OrderRecord, *, fee: Decimal, at: datetime
) -> None:
    stored = ledger.recommendation(record.subject_id)
    if stored is None:
        raise MissingData(f"recommendation {record.subject_id} of order {record.client_order_id}")
    if not record.filled_quantity:
        refused = record.status is OrderStatus.REJECTED
        to = RecommendationStatus.FAILED if refused else RecommendationStatus.LAPSED
        reason = record.status_reason if refused else NOT_FILLED
    else:
        trade = _opened(ledger, stored.recommendation, record, fee=fee)
        ledger.open_trade(trade)
        announce_opened(ledger, trade, at=at)
        to = RecommendationStatus.EXECUTED
        reason = f"filled {record.filled_quantity} of {record.quantity}"
    finish_recommendation(
        ledger,
        stored.recommendation,
        expected=RecommendationStatus.EXECUTING,
        to=to,
        reason=reason,
        at=at,
    )


def _opened(
    ledger: ExecutionLedger, recommendation: Recommendation, record: OrderRecord, *, fee: Decimal
) -> Trade:
    fills = ledger.fills(client_order_id=record.client_order_id)
    legs = leg_prices(recommendation.structure, fills)
    return Trade(
        id=trade_id(recommendation.id),
        account_id=recommendation.account_id,
        recommendation_id=recommendation.id,
        structure=recommendation.structure,
        contracts=record.filled_quantity,
        entry_time=max(fill.filled_at for fill in fills),
        entry_credit=net_credit(recommendation.structure, {leg.symbol: leg.price for leg in legs}),
        entry_legs=legs,
        status=TradeStatus.OPEN,
        exit_time=None,
        exit_debit=None,
        exit_reason=None,
        exit_legs=(),
        fees_usd=fees_of(recommendation.structure, record.filled_quantity, fee),
        pnl_usd=None,
    )


def _book_closing(
    ledger: ExecutionLedger, record: OrderRecord, *, fee: Decimal, at: datetime
) -> None:
    trade = ledger.trade(record.subject_id)
    if trade is None:
        raise MissingData(f"trade {record.subject_id} of order {record.client_order_id}")
    units, fills = closing_fills(ledger, trade)
    if units > trade.contracts:
        raise CorruptData(f"trade {trade.id}: closed {units} of {trade.contracts} units")
    if record.status is OrderStatus.REJECTED:
        announce_close_refused(ledger, trade, reason=record.status_reason, at=at)
    if units == trade.contracts and trade.status is not TradeStatus.CLOSED:
        close_books(
            ledger,
            trade,
            exit_legs=leg_prices(trade.structure, fills),
            fees_usd=fees_of(trade.structure, units, fee),
            at=max(fill.filled_at for fill in fills),
        )
