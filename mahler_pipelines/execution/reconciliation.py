"""Reconciliation: the ledger is brought to what the broker says, and differences are named."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from mahler_pipelines.decisions.recommendation import Recommendation
from mahler_pipelines.errors import (
    BrokerError,
    CorruptData,
    IllegalTransition,
    LeaseHeld,
    MahlerError,
)
from mahler_pipelines.execution.broker import BrokerOrder, OrderStatus
from mahler_pipelines.execution.broker_books import CashBeginning, FindingKind, FindingStatus
from mahler_pipelines.execution.broker_history import read_history
from mahler_pipelines.execution.desk import (
    CLOSING_LEASE,
    OPENING_LEASE,
    ExecutionDesk,
    present,
    session_of,
)
from mahler_pipelines.execution.differences import (
    BrokerSight,
    differences,
    expiring_differences,
)
from mahler_pipelines.execution.fills import LIVE_STATUSES, has_news
from mahler_pipelines.execution.findings import POSITIONS, Finding, keep_booked, keep_findings
from mahler_pipelines.execution.invariants import BrokerSide, invariants
from mahler_pipelines.execution.ledger import (
    NEVER_SENT,
    ExecutionLedger,
    OrderPurpose,
    OrderRecord,
)
from mahler_pipelines.execution.sending import (
    cancel_and_confirm,
    settle_absence,
    settle_report,
    withdraw_intent,
)
from mahler_pipelines.execution.settlements import book_facts
from mahler_pipelines.execution.stepping import end_abandoned, is_given_up

LEASES = {
    purpose: CLOSING_LEASE if purpose.reduces_risk else OPENING_LEASE for purpose in OrderPurpose
}


@dataclass(frozen=True, slots=True)
class SettledOrder:
    """What asking after one order changed; `problem` says why it could not be asked."""

    client_order_id: str
    purpose: OrderPurpose
    before: OrderStatus
    after: OrderStatus
    problem: str = ""
    corrupt: bool = False


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
    end_abandoned(desk)
    return tuple(settled)


def raise_if_corrupt(settled: Sequence[SettledOrder]) -> None:
    """Raise `CorruptData` naming every order whose report contradicts the ledger."""
    corrupt = [f"{order.client_order_id}: {order.problem}" for order in settled if order.corrupt]
    if corrupt:
        raise CorruptData("; ".join(corrupt))


def reconcile(desk: ExecutionDesk, *, thorough: bool = False) -> tuple[Finding, ...]:
    """Compare positions and open orders at the broker with the ledger; return what is open.

    What the broker's activities state (expiry, assignment, exercise, an order of another hand) is
    booked by itself; all else waits for a person as a finding. Where anything differs, is open, or
    is held outside trades, and when `thorough`, the history is read and the invariants are checked.
    Raises `BrokerUnavailable` when the broker cannot be read.
    """
    _begin_cash(desk)
    sight = _look(desk)
    read = thorough or _needs_history(desk, sight)
    if read:
        read_history(desk)
    cash = desk.broker.account().cash if read else None
    at, fee = present(desk.broker.clock()), desk.terms.fee_per_contract_usd
    with desk.transaction() as ledger:
        if read:
            facts = book_facts(ledger, sight.held, fee_per_contract_usd=fee, at=at)
            keep_booked(ledger, facts, at=at)
        found = differences(ledger, sight)
        broken = _broken(ledger, sight, found, cash=cash, fee=fee)
        still_open = keep_findings(ledger, (*found, *broken), at=at)
    return tuple(
        Finding(row.kind, row.subject, row.expected, row.found, row.detail.get("why", ""))
        for row in still_open
    )


def _begin_cash(desk: ExecutionDesk) -> None:
    """Keep the broker's cash at first sight, with the history that had led to it."""
    with desk.transaction() as ledger:
        if ledger.cash_beginning() is not None:
            return
    read_history(desk)
    cash, at = desk.broker.account().cash, present(desk.broker.clock())
    with desk.transaction() as ledger:
        ledger.begin_cash(CashBeginning(at, cash))


def _look(desk: ExecutionDesk) -> BrokerSight:
    positions = {row.symbol: row for row in desk.broker.positions() if row.quantity}
    orders = desk.broker.open_orders()
    return BrokerSight(positions, orders, session_of(present(desk.broker.clock())))


def _needs_history(desk: ExecutionDesk, sight: BrokerSight) -> bool:
    with desk.transaction() as ledger:
        return bool(
            differences(ledger, sight)
            or expiring_differences(ledger, sight)
            or ledger.holdings()
            or ledger.findings(statuses=[FindingStatus.OPEN])
        )


def _broken(
    ledger: ExecutionLedger,
    sight: BrokerSight,
    found: Sequence[Finding],
    *,
    cash: Decimal | None,
    fee: Decimal,
) -> tuple[Finding, ...]:
    """Invariants that do not hold, as findings; None of `cash` means that none is asked now."""
    if cash is None:
        return ()
    differing = {row.subject for row in found if row.kind in POSITIONS}
    waiting = frozenset(differing | expiring_differences(ledger, sight))
    accepted = {row.subject for row in ledger.findings(statuses=[FindingStatus.DISMISSED])}
    broker = BrokerSide(
        sight.positions, cash, sight.session, waiting, settling=bool(waiting - accepted)
    )
    return tuple(
        Finding(
            FindingKind.INVARIANT,
            f"{broken.invariant}:{broken.subject}",
            broken.ours,
            broken.theirs,
        )
        for broken in invariants(ledger, broker, fee_per_contract=fee)
    )


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
        gone = expired or record.purpose.reduces_risk
        if record.status is OrderStatus.INTENDED and gone:
            withdraw_intent(desk, record, reason=NEVER_SENT, book=True)
        return settle_absence(desk, _reload(desk, record))
    if has_news(record, order):
        record = settle_report(desk, record, order)
    given_up = opened_for is not None and is_given_up(desk, opened_for.id, now=now)
    if (expired or given_up) and not record.status.is_final:
        record = cancel_and_confirm(desk, record)
    return record


def _recommendation(desk: ExecutionDesk, record: OrderRecord) -> Recommendation | None:
    if record.purpose.reduces_risk:
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
