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
from mahler_pipelines.execution.broker_books import HoldingSource, LegSettlement
from mahler_pipelines.execution.fills import leg_prices
from mahler_pipelines.execution.holdings import Receipt, option_of, receive
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
    ExitReason,
    LegPrice,
    Trade,
    TradeStatus,
    net_credit,
    realised_pnl,
)
from mahler_pipelines.execution.walks import goes_on, opening_fills
from mahler_pipelines.options.structures import Side, Structure

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
    if not record.purpose.reduces_risk:
        _book_opening(ledger, record, fee=fee_per_contract_usd, at=at)
    elif record.purpose is OrderPurpose.CLOSE:
        _book_closing(ledger, record, fee=fee_per_contract_usd, at=at)
    else:
        _book_disposal(ledger, record, fee=fee_per_contract_usd)


def finish_recommendation(
    ledger: ExecutionLedger,
    recommendation: Recommendation,
    *,
    expected: RecommendationStatus,
    to: RecommendationStatus,
    reason: str,
    at: datetime,
    offered: str | None = None,
) -> None:
    """Move a recommendation to its last state, and tell it when no trade came of it.

    `offered` is the recommendation that takes its place. Raises `IllegalTransition` when another
    state was found.
    """
    moved = ledger.move_recommendation(
        recommendation.id, expected=expected, to=to, at=at, reason=reason
    )
    if not moved:
        stored = ledger.recommendation(recommendation.id)
        found = stored.status if stored else "missing"
        raise IllegalTransition("recommendation", recommendation.id, found, to)
    if to is not RecommendationStatus.EXECUTED:
        announce_not_executed(ledger, recommendation, reason=reason, at=at, offered=offered)


def end_opening(
    ledger: ExecutionLedger,
    recommendation: Recommendation,
    *,
    expected: RecommendationStatus,
    unfilled: RecommendationStatus,
    reason: str,
    fee_per_contract_usd: Decimal,
    at: datetime,
    offered: str | None = None,
) -> None:
    """End an execution: what all its attempts filled becomes one trade, the rest ends for `reason`.

    Without any fill the recommendation becomes `unfilled`, and `offered` takes its place.
    """
    units, fills = opening_fills(ledger, recommendation.id)
    to = RecommendationStatus.EXECUTED if units else unfilled
    if units:
        trade = _opened(recommendation, units, fills, fee=fee_per_contract_usd)
        ledger.open_trade(trade)
        announce_opened(ledger, trade, at=at)
        _end_rolled(ledger, recommendation, fee=fee_per_contract_usd)
        rest = "" if units == recommendation.contracts else f", the rest {reason}"
        reason = f"filled {units} of {recommendation.contracts}{rest}"
    finish_recommendation(
        ledger, recommendation, expected=expected, to=to, reason=reason, at=at, offered=offered
    )


def closing_fills(ledger: ExecutionLedger, trade: Trade) -> tuple[int, tuple[FillRecord, ...]]:
    """Units of a trade ended so far, with their fills, over every attempt.

    What the broker settled without an order of ours counts as filled at its settlement price.
    """
    units, fills = ordered_closes(ledger, trade)
    settled = ledger.settlements(trade_id=trade.id)
    first = trade.structure.legs[0]
    ended = sum(row.quantity for row in settled if row.symbol == first.contract.symbol)
    return units + ended // first.ratio, (*fills, *map(_as_fill, settled))


def ordered_closes(ledger: ExecutionLedger, trade: Trade) -> tuple[int, tuple[FillRecord, ...]]:
    """Units of a trade that closing orders and rolls of ours ended, with their fills."""
    orders = (
        *ledger.orders(rolls=trade.id),
        *ledger.orders(purpose=OrderPurpose.CLOSE, subject_id=trade.id),
    )
    fills = [
        fill
        for order in orders
        for fill in ledger.fills(client_order_id=order.client_order_id)
        if fill.symbol not in order.opened_symbols
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
    if goes_on(record):
        return
    stored = ledger.recommendation(record.subject_id)
    if stored is None:
        raise MissingData(f"recommendation {record.subject_id} of order {record.client_order_id}")
    refused = record.status is OrderStatus.REJECTED
    end_opening(
        ledger,
        stored.recommendation,
        expected=RecommendationStatus.EXECUTING,
        unfilled=RecommendationStatus.FAILED if refused else RecommendationStatus.LAPSED,
        reason=record.status_reason if refused else record.cancel_reason or NOT_FILLED,
        fee_per_contract_usd=fee,
        at=at,
    )


def _end_rolled(ledger: ExecutionLedger, recommendation: Recommendation, *, fee: Decimal) -> None:
    """Close the trade that was rolled, once nothing of it is left; a rest stays open as it is."""
    trade = ledger.trade(recommendation.rolls) if recommendation.rolls else None
    if trade is None or trade.status is TradeStatus.CLOSED:
        return
    units, fills = closing_fills(ledger, trade)
    if units > trade.contracts:
        raise CorruptData(f"trade {trade.id}: closed {units} of {trade.contracts} units")
    if units == trade.contracts:
        close_books(
            ledger,
            replace(trade, exit_reason=ExitReason.ROLLED),
            exit_legs=leg_prices(trade.structure, fills),
            fees_usd=fees_of(trade.structure, ordered_closes(ledger, trade)[0], fee),
            at=max(fill.filled_at for fill in fills),
        )


def _opened(
    recommendation: Recommendation, units: int, fills: Sequence[FillRecord], *, fee: Decimal
) -> Trade:
    legs = leg_prices(recommendation.structure, fills)
    return Trade(
        id=trade_id(recommendation.id),
        account_id=recommendation.account_id,
        recommendation_id=recommendation.id,
        structure=recommendation.structure,
        contracts=units,
        entry_time=max(fill.filled_at for fill in fills),
        entry_credit=net_credit(recommendation.structure, {leg.symbol: leg.price for leg in legs}),
        entry_legs=legs,
        status=TradeStatus.OPEN,
        exit_time=None,
        exit_debit=None,
        exit_reason=None,
        exit_legs=(),
        fees_usd=fees_of(recommendation.structure, units, fee),
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
            fees_usd=fees_of(trade.structure, ordered_closes(ledger, trade)[0], fee),
            at=max(fill.filled_at for fill in fills),
        )


def _book_disposal(ledger: ExecutionLedger, record: OrderRecord, *, fee: Decimal) -> None:
    """What a hedge or a sweep filled closes lots outside trades, or opens one against a trade."""
    sources = {OrderPurpose.HEDGE: HoldingSource.HEDGE, OrderPurpose.SWEEP: HoldingSource.SWEEP}
    for fill in ledger.fills(client_order_id=record.client_order_id):
        sign = 1 if fill.side == Side.BUY else -1
        charged = fee * fill.quantity if option_of(fill.symbol) else Decimal(0)
        receive(
            ledger,
            Receipt(
                symbol=fill.symbol,
                quantity=sign * fill.quantity,
                price=fill.price,
                carried_price=fill.price,
                source=sources[record.purpose],
                origin=record.client_order_id,
                at=fill.filled_at,
                fees_usd=charged,
            ),
        )


def _as_fill(row: LegSettlement) -> FillRecord:
    return FillRecord(
        id=row.id,
        client_order_id="",
        symbol=row.symbol,
        side=row.side,
        quantity=row.quantity,
        price=row.price,
        bid=None,
        ask=None,
        snapshot=None,
        filled_at=row.settled_at,
    )
