"""Sending: one intent to the broker, once, and reading what became of it."""

from datetime import datetime

from mahler_pipelines.errors import (
    BrokerOutcomeUnknown,
    BrokerRefused,
    BrokerUnavailable,
    CorruptData,
)
from mahler_pipelines.execution.booking import NOT_FILLED, book_end
from mahler_pipelines.execution.broker import BrokerOrder, OrderStatus
from mahler_pipelines.execution.desk import ExecutionDesk, Observation, observe, present
from mahler_pipelines.execution.fills import (
    LIVE_STATUSES,
    has_new_fills,
    has_news,
    record_broker_order,
)
from mahler_pipelines.execution.intents import order_request
from mahler_pipelines.execution.ledger import ExecutionLedger, OrderRecord

NOT_AT_BROKER = "not_at_broker"
DUPLICATE_CLIENT_ORDER_ID = 40010001
"""The broker's code for an order that is already there under this id."""


def send_intent(desk: ExecutionDesk, record: OrderRecord, seen: Observation) -> OrderRecord:
    """Submit an intent once and record the outcome; never repeats the request.

    The intent becomes SUBMITTED in a transaction of its own before anything leaves the house. A
    process that lost its turn meanwhile finds another state there and sends nothing.
    """
    with desk.transaction() as ledger:
        if not ledger.update_order(
            record.client_order_id,
            expected=(OrderStatus.INTENDED,),
            to=OrderStatus.SUBMITTED,
            at=seen.as_of,
        ):
            return _stored(ledger, record)
    try:
        order: BrokerOrder | None = desk.broker.submit(order_request(record))
    except BrokerRefused as refusal:
        if refusal.code != DUPLICATE_CLIENT_ORDER_ID:
            return _reject(desk, record, reason=f"broker_refused: {refusal}")
        order = desk.broker.order_by_client_id(record.client_order_id)
    except BrokerOutcomeUnknown as doubt:
        record = _doubt(desk, record, reason=str(doubt), at=seen.as_of)
        order = _ask(desk, record)
    if order is None:
        return record
    record = settle_report(desk, record, order, seen=seen)
    return record if record.status.is_final else _wait(desk, record, seen=seen)


def settle_report(
    desk: ExecutionDesk, record: OrderRecord, order: BrokerOrder, *, seen: Observation | None = None
) -> OrderRecord:
    """Record a report and, once the order is final, book its end, in one transaction.

    New fills are set against `seen`, or against quotes fetched now.
    """
    at = present(desk.broker.clock())
    if seen is None and has_new_fills(record, order):
        seen = observe(
            desk,
            [leg.symbol for leg in record.legs],
            [record.underlying],
            scan="execution",
            as_of=at,
        )
    with desk.transaction() as ledger:
        before = _stored(ledger, record)
        after = record_broker_order(ledger, before, order, seen=seen, at=at)
        if not before.status.is_final:
            book_end(ledger, after, fee_per_contract_usd=desk.terms.fee_per_contract_usd, at=at)
        return after


def settle_absence(desk: ExecutionDesk, record: OrderRecord) -> OrderRecord:
    """Record that the broker has no such order.

    A SUBMITTED or UNKNOWN order may still be on its way: it stays UNKNOWN until the grace has
    passed since its intent, then it is REJECTED as never taken. Any other state is left alone: an
    INTENDED order never left, and one the broker acknowledged can't vanish.
    """
    at = present(desk.broker.clock())
    waited = (at - record.intended_at).total_seconds()
    if record.status not in (OrderStatus.SUBMITTED, OrderStatus.UNKNOWN):
        return record
    if waited >= desk.terms.unknown_grace_seconds:
        return _reject(desk, record, reason=NOT_AT_BROKER)
    return _doubt(desk, record, reason="the broker doesn't have it yet", at=at)


def withdraw_intent(desk: ExecutionDesk, record: OrderRecord, *, reason: str, book: bool) -> bool:
    """Give up an intent that never left; False when it was sent meanwhile."""
    at = present(desk.broker.clock())
    with desk.transaction() as ledger:
        moved = ledger.update_order(
            record.client_order_id,
            expected=(OrderStatus.INTENDED,),
            to=OrderStatus.REJECTED,
            at=at,
            reason=reason,
        )
        if moved and book:
            _book(desk, ledger, _stored(ledger, record), at)
    return moved


def cancel_and_confirm(
    desk: ExecutionDesk, record: OrderRecord, *, reason: str = NOT_FILLED
) -> OrderRecord:
    """Ask for a cancel, read until the order is final or the questions are used up, and record it.

    `reason` is written down before the cancel leaves: whoever finds the order ended then knows
    whether its remainder is owed. A cancel may lose against a fill: what the broker reports
    afterwards counts. A dry run sends no cancel either.
    """
    if record.broker_order_id is None or desk.dry_run:
        return record
    at = present(desk.broker.clock())
    with desk.transaction() as ledger:
        if not ledger.intend_cancel(record.client_order_id, reason=reason, at=at):
            return _stored(ledger, record)
    try:
        desk.broker.cancel(record.broker_order_id)
    except BrokerRefused as refusal:
        # Not cancellable any more: the report below says whether it filled or ended.
        _note(desk, record, kind="cancel_refused", detail=str(refusal))
    except BrokerOutcomeUnknown as doubt:
        _note(desk, record, kind="cancel_unknown", detail=str(doubt))
    return _wait(desk, record, seen=None)


def _wait(desk: ExecutionDesk, record: OrderRecord, *, seen: Observation | None) -> OrderRecord:
    for turn in range(desk.terms.asks):
        if turn:
            desk.sleep(desk.terms.ask_wait_seconds)
        order = _look(desk, record)
        if order is not None and has_news(record, order):
            record = settle_report(desk, record, order, seen=seen)
        if record.status.is_final:
            break
    return record


def _ask(desk: ExecutionDesk, record: OrderRecord) -> BrokerOrder | None:
    for _ in range(desk.terms.asks):
        desk.sleep(desk.terms.ask_wait_seconds)
        order = _look(desk, record)
        if order is not None:
            return order
    return None


def _look(desk: ExecutionDesk, record: OrderRecord) -> BrokerOrder | None:
    try:
        return desk.broker.order_by_client_id(record.client_order_id)
    except BrokerUnavailable:
        # The ledger keeps the state it has; the next question or reconciliation reads again.
        return None


def _reject(desk: ExecutionDesk, record: OrderRecord, *, reason: str) -> OrderRecord:
    at = present(desk.broker.clock())
    with desk.transaction() as ledger:
        moved = ledger.update_order(
            record.client_order_id,
            expected=LIVE_STATUSES,
            to=OrderStatus.REJECTED,
            at=at,
            reason=reason,
        )
        after = _stored(ledger, record)
        if moved:
            _book(desk, ledger, after, at)
        return after


def _doubt(desk: ExecutionDesk, record: OrderRecord, *, reason: str, at: datetime) -> OrderRecord:
    with desk.transaction() as ledger:
        ledger.update_order(
            record.client_order_id,
            expected=(OrderStatus.SUBMITTED,),
            to=OrderStatus.UNKNOWN,
            at=at,
            reason=reason,
        )
        return _stored(ledger, record)


def _book(desk: ExecutionDesk, ledger: ExecutionLedger, record: OrderRecord, at: datetime) -> None:
    book_end(ledger, record, fee_per_contract_usd=desk.terms.fee_per_contract_usd, at=at)


def _note(desk: ExecutionDesk, record: OrderRecord, *, kind: str, detail: str) -> None:
    at = present(desk.broker.clock())
    with desk.transaction() as ledger:
        ledger.audit(kind, record.client_order_id, {"detail": detail}, at=at)


def _stored(ledger: ExecutionLedger, record: OrderRecord) -> OrderRecord:
    stored = ledger.order(record.client_order_id)
    if stored is None:
        raise CorruptData(f"order {record.client_order_id} is not in the ledger")
    return stored
