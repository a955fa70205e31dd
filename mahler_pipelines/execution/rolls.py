"""Rolls: what an approved roll trades, what may stand against it, and how it gives way to a close.

A roll opens risk: it works under the lease and the trading state of openings. A close of its trade
waits for neither: it ends the roll first.
"""

from mahler_pipelines.decisions.recommendation import Recommendation, RecommendationStatus
from mahler_pipelines.errors import MissingData
from mahler_pipelines.execution.booking import closing_fills
from mahler_pipelines.execution.desk import ExecutionDesk
from mahler_pipelines.execution.fills import LIVE_STATUSES, has_news
from mahler_pipelines.execution.ledger import NEVER_SENT, ExecutionLedger, OrderRecord
from mahler_pipelines.execution.sending import (
    cancel_and_confirm,
    settle_absence,
    settle_report,
    withdraw_intent,
)
from mahler_pipelines.execution.trades import Trade, TradeStatus
from mahler_pipelines.execution.walks import opening_fills
from mahler_pipelines.options.structures import Structure

TRADE_IS_CLOSED = "trade_is_closed"
"""Why a roll is cancelled whose trade is to be closed instead."""

_STANDING = (
    RecommendationStatus.PENDING,
    RecommendationStatus.APPROVED,
    RecommendationStatus.EXECUTING,
)


def rolled_structure(ledger: ExecutionLedger, shown: Recommendation) -> Structure | None:
    """What a roll closes; None for what is no roll. Raises `MissingData` for an unknown trade."""
    return None if shown.rolls is None else _trade(ledger, shown.rolls).structure


def ordered_structure(ledger: ExecutionLedger, shown: Recommendation) -> Structure:
    """What the order of a recommendation trades: of a roll the old legs, turned round, and the new.

    Its credit is the one that the band bounds.
    """
    rolled = rolled_structure(ledger, shown)
    return shown.structure if rolled is None else rolled.rolled_into(shown.structure)


def missing_units(ledger: ExecutionLedger, shown: Recommendation) -> tuple[str, int] | None:
    """How the trade of a roll stands and its units left, where it can't be rolled as approved.

    None where it can be, and for what is no roll: the trade is open, nothing of it is being closed,
    and it has the units that the roll has not moved yet.
    """
    if shown.rolls is None:
        return None
    trade = _trade(ledger, shown.rolls)
    left = trade.contracts - closing_fills(ledger, trade)[0]
    wanted = shown.contracts - opening_fills(ledger, shown.id)[0]
    if trade.status is TradeStatus.OPEN and left >= wanted:
        return None
    return trade.status.value, left


def standing_roll(ledger: ExecutionLedger, trade_id: str) -> Recommendation | None:
    """The roll of a trade that waits for its answer or is at work; None without one."""
    found = (stored.recommendation for stored in ledger.recommendations(statuses=_STANDING))
    return next((shown for shown in found if shown.rolls == trade_id), None)


def working_rolls(ledger: ExecutionLedger, trade_id: str) -> tuple[OrderRecord, ...]:
    """Orders that may still roll a trade, one of unknown outcome among them."""
    return ledger.orders(statuses=LIVE_STATUSES, rolls=trade_id)


def end_rolls(desk: ExecutionDesk, trade_id: str) -> OrderRecord | None:
    """Bring the rolls of a trade to their end, so that it can be closed.

    Returns the order whose end is not known yet: until then nothing of the trade may be closed.
    What a roll filled before its cancel is booked. One that never left is withdrawn.
    """
    with desk.transaction() as ledger:
        waiting = working_rolls(ledger, trade_id)
    ended = (_ended(desk, record) for record in waiting)
    return next((record for record in ended if not record.status.is_final), None)


def _ended(desk: ExecutionDesk, record: OrderRecord) -> OrderRecord:
    order = desk.broker.order_by_client_id(record.client_order_id)
    if order is None:
        withdraw_intent(desk, record, reason=NEVER_SENT, book=True)
        with desk.transaction() as ledger:
            current = ledger.order(record.client_order_id) or record
        return settle_absence(desk, current)
    if has_news(record, order):
        record = settle_report(desk, record, order)
    if record.status.is_final:
        return record
    return cancel_and_confirm(desk, record, reason=TRADE_IS_CLOSED)


def _trade(ledger: ExecutionLedger, trade_id: str) -> Trade:
    trade = ledger.trade(trade_id)
    if trade is None:
        raise MissingData(f"no trade {trade_id} to roll")
    return trade
