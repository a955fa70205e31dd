"""Closing: an open trade gets a closing limit order, re-quoted until it is filled.

Closing reduces risk: it asks neither the trading state nor the opening lease.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from mahler_pipelines.errors import IllegalTransition, MissingData
from mahler_pipelines.execution.booking import closing_fills
from mahler_pipelines.execution.broker import OrderStatus
from mahler_pipelines.execution.desk import (
    CLOSING_LEASE,
    ExecutionDesk,
    Observation,
    observe,
    present,
)
from mahler_pipelines.execution.fills import LIVE_STATUSES, has_news
from mahler_pipelines.execution.intents import closing_intent
from mahler_pipelines.execution.ledger import (
    NEVER_SENT,
    ExecutionLedger,
    OrderPurpose,
    OrderRecord,
)
from mahler_pipelines.execution.quotes import StructureQuote, quote_structure
from mahler_pipelines.execution.repricing import NATURAL_AT_ONCE, closing_limit_at
from mahler_pipelines.execution.rolls import end_rolls, working_rolls
from mahler_pipelines.execution.sending import (
    cancel_and_confirm,
    send_intent,
    settle_absence,
    settle_report,
    withdraw_intent,
)
from mahler_pipelines.execution.trades import ExitReason, Trade, TradeStatus
from mahler_pipelines.execution.walks import (
    NEXT_STEP,
    PATIENT_EXITS,
    began_at,
    closing_attempts,
    walk_of,
)

DRY_RUN = "dry_run"


class CloseStatus(StrEnum):
    """What came of asking for a close."""

    CLOSED = "closed"
    WORKING = "working"
    UNKNOWN = "unknown"
    REFUSED = "refused"
    NO_PRICE = "no_price"
    MARKET_CLOSED = "market_closed"
    DRY_RUN = "dry_run"
    ALERTED = "alerted"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class CloseOutcome:
    """What came of one call of `close_trade`."""

    trade_id: str
    status: CloseStatus
    exit_reason: ExitReason | None
    order: OrderRecord | None = None
    detail: str = ""


def close_trade(
    trade_id: str, reason: ExitReason, *, desk: ExecutionDesk, seen: Observation | None = None
) -> CloseOutcome:
    """Send the next closing order of a trade, once the one before it is known to be over.

    Never a market order: profit target and time exit walk from between mid and natural to the
    natural cost, every other reason pays it at once, and nobody pays more than the width. A working
    attempt rests until its next step is due; then it is cancelled, and the next one is for what is
    left after its fills and waits until the cancel is confirmed. A roll of the trade that works is
    ended before anything is closed. `seen` are quotes fetched a moment
    ago; None fetches them. Raises `LeaseHeld` while another process closes, `MissingData` for an
    unknown trade.
    """
    with desk.lease(CLOSING_LEASE):
        if (rolling := end_rolls(desk, trade_id)) is not None:
            return _outcome(desk, trade_id, reason, rolling)
        for record in _working(desk, trade_id):
            after = _end_attempt(desk, record, reason, seen)
            if not after.status.is_final:
                return _outcome(desk, trade_id, reason, after)
        trade, _ = _load(desk, trade_id)
        if trade.status is TradeStatus.CLOSED:
            return _outcome(desk, trade_id, reason, None)
        clock = desk.broker.clock()
        if not clock.is_open:
            return CloseOutcome(trade_id, CloseStatus.MARKET_CLOSED, reason)
        seen = seen or observe(
            desk,
            trade.structure.symbols,
            [trade.structure.underlying],
            scan="execution",
            as_of=present(clock),
        )
        quote = quote_structure(trade.structure, seen.quotes)
        if quote.natural_cost is None:
            return CloseOutcome(trade_id, CloseStatus.NO_PRICE, reason, detail=quote.problem)
        record = _intend(desk, trade_id, reason, natural_cost=quote.natural_cost, quote=quote)
        if not desk.dry_run and record.purpose is OrderPurpose.CLOSE:
            record = send_intent(desk, record, seen)
        return _outcome(desk, trade_id, reason, record)


def _load(desk: ExecutionDesk, trade_id: str) -> tuple[Trade, int]:
    with desk.transaction() as ledger:
        return _open_part(ledger, trade_id)


def _open_part(ledger: ExecutionLedger, trade_id: str) -> tuple[Trade, int]:
    trade = ledger.trade(trade_id)
    if trade is None:
        raise MissingData(f"no trade {trade_id}")
    closed, _ = closing_fills(ledger, trade)
    return trade, trade.contracts - closed


def _working(desk: ExecutionDesk, trade_id: str) -> tuple[OrderRecord, ...]:
    with desk.transaction() as ledger:
        return ledger.orders(
            statuses=LIVE_STATUSES, purpose=OrderPurpose.CLOSE, subject_id=trade_id
        )


def _end_attempt(
    desk: ExecutionDesk, record: OrderRecord, reason: ExitReason, seen: Observation | None
) -> OrderRecord:
    """Bring a working attempt to its end: read it, then cancel it and confirm.

    One whose next step is not due, or would have the same limit, is read and left to rest.
    """
    order = desk.broker.order_by_client_id(record.client_order_id)
    if order is None:
        if record.status is OrderStatus.INTENDED:
            withdraw_intent(desk, record, reason=NEVER_SENT, book=False)
            with desk.transaction() as ledger:
                return ledger.order(record.client_order_id) or record
        return settle_absence(desk, record)
    if has_news(record, order):
        record = settle_report(desk, record, order)
    if record.status.is_final or _rests(desk, record, reason, seen):
        return record
    return cancel_and_confirm(desk, record, reason=NEXT_STEP)


def _rests(
    desk: ExecutionDesk, record: OrderRecord, reason: ExitReason, seen: Observation | None
) -> bool:
    """Whether a working attempt of a walk has its step's time before it, or the limit of now."""
    terms, now = desk.terms.walk, present(desk.broker.clock())
    if not terms.walks or reason not in PATIENT_EXITS:
        return False
    with desk.transaction() as ledger:
        trade, _ = _open_part(ledger, record.subject_id)
        walk = walk_of(closing_attempts(ledger, record.subject_id, now=now))
        if walk is None or not walk.works:
            return False
        if now < (walk.due_at(terms) or walk.attempted_at + terms.pace):
            return True
        quote = quote_structure(trade.structure, seen.quotes) if seen else None
        if quote is None or quote.natural_cost is None:
            return False
        natural = quote.natural_cost
        due = _limit(desk, ledger, trade, reason, mid=quote.mid, natural=natural, now=now)
    return due == record.limit_price


def _intend(
    desk: ExecutionDesk,
    trade_id: str,
    reason: ExitReason,
    *,
    natural_cost: Decimal,
    quote: StructureQuote,
) -> OrderRecord:
    """Write the intent and mark the trade as closing, in one transaction.

    A roll that began meanwhile is returned in its place: the next look ends it first.
    """
    at = present(desk.broker.clock())
    with desk.transaction() as ledger:
        if rolling := working_rolls(ledger, trade_id):
            return rolling[0]
        trade, left = _open_part(ledger, trade_id)
        attempts = ledger.orders(purpose=OrderPurpose.CLOSE, subject_id=trade_id)
        if trade.status is TradeStatus.CLOSED or left <= 0:
            raise IllegalTransition("trade", trade_id, trade.status, TradeStatus.CLOSING)
        # Whatever asked for this close: with its intent a person's wish is fulfilled, once.
        ledger.take_close_request(trade_id, at=at)
        if desk.dry_run and attempts and attempts[-1].status_reason == DRY_RUN:
            return attempts[-1]
        intent = closing_intent(
            trade,
            attempt=len(attempts) + 1,
            quantity=left,
            limit_price=_limit(
                desk, ledger, trade, reason, mid=quote.mid, natural=natural_cost, now=at
            ),
            mid=quote.mid,
            at=at,
            run_id=desk.run_id,
        )
        if not ledger.add_order(intent):
            raise IllegalTransition("order", intent.client_order_id, "there", OrderStatus.INTENDED)
        if desk.dry_run:
            return _withdraw_dry_run(ledger, intent, at=at)
        closing = replace(trade, status=TradeStatus.CLOSING, exit_reason=reason)
        if not ledger.update_trade(closing, expected=trade.status, at=at):
            raise IllegalTransition("trade", trade_id, "changed meanwhile", TradeStatus.CLOSING)
        return intent


def _limit(
    desk: ExecutionDesk,
    ledger: ExecutionLedger,
    trade: Trade,
    reason: ExitReason,
    *,
    mid: Decimal | None,
    natural: Decimal,
    now: datetime,
) -> Decimal:
    terms = desk.terms.walk if reason in PATIENT_EXITS else NATURAL_AT_ONCE
    began = began_at(closing_attempts(ledger, trade.id, now=now))
    return closing_limit_at(
        0 if began is None else terms.step_at(now - began),
        structure=trade.structure,
        mid=mid,
        natural=natural,
        terms=terms,
        tick=desk.terms.tick,
    )


def _withdraw_dry_run(ledger: ExecutionLedger, intent: OrderRecord, *, at: datetime) -> OrderRecord:
    ledger.update_order(
        intent.client_order_id,
        expected=(OrderStatus.INTENDED,),
        to=OrderStatus.CANCELLED,
        at=at,
        reason=DRY_RUN,
    )
    return ledger.order(intent.client_order_id) or intent


def _outcome(
    desk: ExecutionDesk, trade_id: str, reason: ExitReason, record: OrderRecord | None
) -> CloseOutcome:
    trade, _ = _load(desk, trade_id)
    if trade.status is TradeStatus.CLOSED:
        return CloseOutcome(trade_id, CloseStatus.CLOSED, trade.exit_reason, record)
    status, detail = CloseStatus.WORKING, record.status_reason if record else ""
    if record is not None and record.status_reason == DRY_RUN:
        status = CloseStatus.DRY_RUN
    elif record is not None and record.status is OrderStatus.REJECTED:
        status = CloseStatus.REFUSED
    elif record is not None and record.status in (OrderStatus.UNKNOWN, OrderStatus.SUBMITTED):
        status = CloseStatus.UNKNOWN
    return CloseOutcome(trade_id, status, trade.exit_reason or reason, record, detail)
