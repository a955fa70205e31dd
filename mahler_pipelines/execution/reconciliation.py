"""Reconciliation: the ledger is brought to what the broker says, and differences are named."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from enum import StrEnum

from mahler_pipelines.decisions.recommendation import Recommendation
from mahler_pipelines.errors import (
    BrokerError,
    CorruptData,
    IllegalTransition,
    LeaseHeld,
    MahlerError,
)
from mahler_pipelines.execution.booking import closing_fills
from mahler_pipelines.execution.broker import BrokerOrder, BrokerPosition, OrderStatus
from mahler_pipelines.execution.desk import (
    CLOSING_LEASE,
    OPENING_LEASE,
    ExecutionDesk,
    present,
    session_of,
)
from mahler_pipelines.execution.fills import LIVE_STATUSES, has_news, quantities
from mahler_pipelines.execution.ledger import ExecutionLedger, OrderPurpose, OrderRecord
from mahler_pipelines.execution.sending import (
    NEVER_SENT,
    cancel_and_confirm,
    settle_absence,
    settle_report,
    withdraw_intent,
)
from mahler_pipelines.execution.trades import Trade, TradeStatus

LEASES = {OrderPurpose.OPEN: OPENING_LEASE, OrderPurpose.CLOSE: CLOSING_LEASE}


@dataclass(frozen=True, slots=True)
class SettledOrder:
    """What asking after one order changed; `problem` says why it could not be asked."""

    client_order_id: str
    purpose: OrderPurpose
    before: OrderStatus
    after: OrderStatus
    problem: str = ""
    corrupt: bool = False


class FindingKind(StrEnum):
    """How the broker's books differ from the ledger."""

    UNKNOWN_POSITION = "unknown_position"
    MISSING_LEG = "missing_leg"
    QUANTITY_DIFFERS = "quantity_differs"
    ORPHANED_ORDER = "orphaned_order"


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference: `subject` is a symbol or an order; quantities are signed contracts."""

    kind: FindingKind
    subject: str
    expected: int
    found: int
    detail: str = ""


def settle_working_orders(desk: ExecutionDesk) -> tuple[SettledOrder, ...]:
    """Ask the broker after every order that is not final, by client order id, and finish it.

    A resting opening order whose recommendation has expired is cancelled; what it filled becomes a
    trade. An order that can't be asked after now keeps its state and says why. Raises `CorruptData`
    after all others are settled when the broker's report on one contradicts the ledger.
    """
    settled = settle_each(desk)
    raise_if_corrupt(settled)
    return settled


def settle_each(desk: ExecutionDesk) -> tuple[SettledOrder, ...]:
    """Do as `settle_working_orders`, leaving it to the caller to call `raise_if_corrupt`."""
    settled: list[SettledOrder] = []
    for purpose, lease in LEASES.items():
        with desk.transaction() as ledger:
            waiting = ledger.orders(statuses=LIVE_STATUSES, purpose=purpose)
        if not waiting:
            continue
        try:
            with desk.lease(lease):
                settled += [_settle(desk, record) for record in waiting]
        except LeaseHeld as held:
            # Whoever holds it is working on these very orders.
            settled += [_unsettled(record, held) for record in waiting]
    return tuple(settled)


def raise_if_corrupt(settled: Sequence[SettledOrder]) -> None:
    """Raise `CorruptData` naming every order whose report contradicts the ledger."""
    corrupt = [f"{order.client_order_id}: {order.problem}" for order in settled if order.corrupt]
    if corrupt:
        raise CorruptData("; ".join(corrupt))


def reconcile(desk: ExecutionDesk) -> tuple[Finding, ...]:
    """Compare positions and open orders at the broker with the ledger.

    Findings are audit events too, each once per session while it stays the same. Legs past their
    expiration are left to `settle_expired`.
    """
    positions, orders = desk.broker.positions(), desk.broker.open_orders()
    now = present(desk.broker.clock())
    session = session_of(now)
    with desk.transaction() as ledger:
        expected = expected_positions(ledger, after=session)
        known = {order.client_order_id: ledger.order(order.client_order_id) for order in orders}
        findings = (
            *_position_findings(expected, positions, _expiring(ledger, by=session)),
            *_order_findings(orders, known),
        )
        for finding in findings:
            _write(ledger, finding, session=session, at=now)
    return findings


def _settle(desk: ExecutionDesk, record: OrderRecord) -> SettledOrder:
    try:
        order = desk.broker.order_by_client_id(record.client_order_id)
        after = _apply(desk, record, order)
    except (BrokerError, CorruptData, IllegalTransition) as error:
        return _unsettled(record, error)
    problem = ""
    if order is None and after.status in (OrderStatus.ACKNOWLEDGED, OrderStatus.PARTIALLY_FILLED):
        problem = "the broker acknowledged this order and no longer knows it"
    return SettledOrder(
        record.client_order_id, record.purpose, record.status, after.status, problem
    )


def _apply(desk: ExecutionDesk, record: OrderRecord, order: BrokerOrder | None) -> OrderRecord:
    opened_for = _recommendation(desk, record)
    now = present(desk.broker.clock())
    expired = opened_for is not None and now >= opened_for.expires_at
    if order is None:
        # An intent that never left may still be taken up by `execute` until it expires.
        gone = expired or record.purpose is OrderPurpose.CLOSE
        if record.status is OrderStatus.INTENDED and gone:
            withdraw_intent(desk, record, reason=NEVER_SENT, book=True)
        return settle_absence(desk, _reload(desk, record))
    if has_news(record, order):
        record = settle_report(desk, record, order)
    if expired and not record.status.is_final:
        record = cancel_and_confirm(desk, record)
    return record


def _recommendation(desk: ExecutionDesk, record: OrderRecord) -> Recommendation | None:
    if record.purpose is not OrderPurpose.OPEN:
        return None
    with desk.transaction() as ledger:
        stored = ledger.recommendation(record.subject_id)
    return stored.recommendation if stored else None


def _reload(desk: ExecutionDesk, record: OrderRecord) -> OrderRecord:
    with desk.transaction() as ledger:
        return ledger.order(record.client_order_id) or record


def _unsettled(record: OrderRecord, error: MahlerError) -> SettledOrder:
    return SettledOrder(
        record.client_order_id,
        record.purpose,
        before=record.status,
        after=record.status,
        problem=str(error),
        corrupt=isinstance(error, CorruptData | IllegalTransition),
    )


def expected_positions(ledger: ExecutionLedger, *, after: date) -> dict[str, int]:
    """Signed contracts per symbol: open trades less what is closed of them, and partial fills."""
    expected: dict[str, int] = {}

    def add(symbol: str, quantity: int) -> None:
        expected[symbol] = expected.get(symbol, 0) + quantity

    for trade in _open_trades(ledger):
        closed, _ = closing_fills(ledger, trade)
        for leg in trade.structure.legs:
            if leg.contract.expiration >= after:
                add(leg.contract.symbol, leg.signed_ratio * (trade.contracts - closed))
    for order in ledger.orders(statuses=LIVE_STATUSES, purpose=OrderPurpose.OPEN):
        for symbol, quantity in quantities(
            ledger.fills(client_order_id=order.client_order_id)
        ).items():
            add(symbol, quantity)
    return {symbol: quantity for symbol, quantity in expected.items() if quantity}


def _open_trades(ledger: ExecutionLedger) -> Sequence[Trade]:
    return ledger.trades(statuses=(TradeStatus.OPEN, TradeStatus.CLOSING))


def _expiring(ledger: ExecutionLedger, *, by: date) -> frozenset[str]:
    return frozenset(
        leg.contract.symbol
        for trade in _open_trades(ledger)
        for leg in trade.structure.legs
        if leg.contract.expiration <= by
    )


def _position_findings(
    expected: dict[str, int], positions: Sequence[BrokerPosition], expiring: frozenset[str]
) -> list[Finding]:
    found = {position.symbol: position.quantity for position in positions if position.quantity}
    findings = []
    for symbol in sorted(expected.keys() | found.keys()):
        wanted, held = expected.get(symbol, 0), found.get(symbol, 0)
        if wanted == held or (symbol in expiring and (not wanted or not held)):
            continue
        kind = FindingKind.QUANTITY_DIFFERS
        if not wanted:
            kind = FindingKind.UNKNOWN_POSITION
        elif not held:
            kind = FindingKind.MISSING_LEG
        findings.append(Finding(kind, symbol, wanted, held))
    return findings


def _order_findings(
    orders: Sequence[BrokerOrder], known: dict[str, OrderRecord | None]
) -> list[Finding]:
    findings = []
    for order in orders:
        record = known[order.client_order_id]
        if record is not None and not record.status.is_final:
            continue
        why = f"ledger says {record.status}" if record else "not in the ledger"
        findings.append(
            Finding(
                FindingKind.ORPHANED_ORDER, order.client_order_id, 0, order.quantity, detail=why
            )
        )
    return findings


def _write(ledger: ExecutionLedger, finding: Finding, *, session: date, at: datetime) -> None:
    detail = {
        **{key: str(value) for key, value in asdict(finding).items()},
        "session": str(session),
    }
    kind = f"reconciliation.{finding.kind}"
    earlier = ledger.audit_events(subject=finding.subject)
    if not any(event.kind == kind and event.detail == detail for event in earlier):
        ledger.audit(kind, finding.subject, detail, at=at)
