"""Walks: what the ledger says of orders whose limit still moves, or whose next attempt is owed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from mahler_pipelines.decisions.recommendation import RecommendationStatus
from mahler_pipelines.execution.broker import OrderStatus
from mahler_pipelines.execution.desk import session_of
from mahler_pipelines.execution.fills import LIVE_STATUSES
from mahler_pipelines.execution.ledger import (
    ExecutionLedger,
    FillRecord,
    OrderPurpose,
    OrderRecord,
)
from mahler_pipelines.execution.repricing import Walk, WalkTerms
from mahler_pipelines.execution.trades import ExitReason, TradeStatus

NEXT_STEP = "next_step"
"""Why an order is cancelled whose remainder is sent again at the next limit."""

PATIENT_EXITS = frozenset({ExitReason.PROFIT_TARGET, ExitReason.TIME_EXIT})
"""Exits whose closing order walks; every other one pays the natural cost at once."""

_WORKING = (OrderStatus.ACKNOWLEDGED, OrderStatus.PARTIALLY_FILLED)


@dataclass(frozen=True, slots=True)
class OpenWalk:
    """A walk that is not over: of a recommendation being executed, or of a trade being closed."""

    purpose: OrderPurpose
    subject_id: str
    attempts: int
    walk: Walk


def goes_on(record: OrderRecord) -> bool:
    """Whether this order was cancelled only for the next step of its walk."""
    return record.status is OrderStatus.CANCELLED and record.cancel_reason == NEXT_STEP


def began_at(attempts: Sequence[OrderRecord]) -> datetime | None:
    """When the first of these attempts was intended that left the house."""
    return next((record.intended_at for record in attempts if not record.never_left), None)


def walk_of(attempts: Sequence[OrderRecord]) -> Walk | None:
    """Read a walk from its attempts, oldest first.

    None where there is none to go on with: nothing has left the house yet, the outcome of the last
    attempt is not known, or it ended for good.
    """
    sent = [record for record in attempts if not record.never_left]
    if not sent:
        return None
    last = attempts[-1]
    if not (last.never_left or goes_on(last) or last.status in _WORKING):
        return None
    return Walk(
        started_at=sent[0].intended_at,
        attempted_at=sent[-1].intended_at,
        works=last.status in _WORKING,
        gives_up=not last.purpose.reduces_risk,
    )


def closing_attempts(
    ledger: ExecutionLedger, trade_id: str, *, now: datetime
) -> tuple[OrderRecord, ...]:
    """Closing orders of this session: orders are good for the day, so each day walks anew."""
    attempts = ledger.orders(purpose=OrderPurpose.CLOSE, subject_id=trade_id)
    today = session_of(now)
    return tuple(record for record in attempts if session_of(record.intended_at) == today)


def open_walks(ledger: ExecutionLedger, *, now: datetime) -> tuple[OpenWalk, ...]:
    """Every walk of the account that is not over, due or not."""
    found = []
    for stored in ledger.recommendations(statuses=[RecommendationStatus.EXECUTING]):
        subject = stored.recommendation.id
        attempts = ledger.orders(subject_id=subject)
        if (walk := walk_of(attempts)) is not None:
            found.append(OpenWalk(OrderPurpose.OPEN, subject, len(attempts), walk))
    for trade in ledger.trades(statuses=[TradeStatus.CLOSING]):
        attempts = closing_attempts(ledger, trade.id, now=now)
        walk = walk_of(attempts)
        if walk is not None and trade.exit_reason in PATIENT_EXITS:
            found.append(OpenWalk(OrderPurpose.CLOSE, trade.id, len(attempts), walk))
    return tuple(found)


def due_walks(ledger: ExecutionLedger, terms: WalkTerms, *, now: datetime) -> tuple[OpenWalk, ...]:
    """Walks whose next step or end is due now; of an opening also where opening is forbidden."""
    may_open = ledger.trading_state()[0].may_open
    return tuple(
        one
        for one in open_walks(ledger, now=now)
        if one.walk.is_due(terms, now) or not (may_open or one.purpose.reduces_risk)
    )


def opening_fills(
    ledger: ExecutionLedger, recommendation_id: str
) -> tuple[int, tuple[FillRecord, ...]]:
    """Units of a recommendation opened so far, with their fills, over every attempt."""
    orders = ledger.orders(subject_id=recommendation_id)
    fills = [
        fill
        for order in orders
        for fill in ledger.fills(client_order_id=order.client_order_id)
        if fill.symbol in order.opened_symbols
    ]
    return sum(order.filled_quantity for order in orders), tuple(fills)


def fills_without_a_trade(ledger: ExecutionLedger) -> tuple[FillRecord, ...]:
    """Fills of openings that are not over: they are held, and no trade has them yet."""
    subjects = [
        *(
            stored.recommendation.id
            for stored in ledger.recommendations(statuses=[RecommendationStatus.EXECUTING])
        ),
        *(
            order.subject_id
            for order in ledger.orders(statuses=LIVE_STATUSES)
            if not order.purpose.reduces_risk
        ),
    ]
    return tuple(
        fill for subject in dict.fromkeys(subjects) for fill in opening_fills(ledger, subject)[1]
    )
