"""Repairs: what puts a finding right, where a person has to start it.

Covering, sweeping and cancelling reduce risk: they ask neither the trading state nor the opening
lease, and write the intent before they act.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from mahler_pipelines.errors import IllegalTransition
from mahler_pipelines.execution.broker import (
    BrokerPosition,
    OrderLeg,
    OrderStatus,
    PositionIntent,
)
from mahler_pipelines.execution.broker_books import (
    FindingKind,
    FindingRecord,
    FindingStatus,
    Holding,
    HoldingSource,
    KnownActivity,
    RepairKind,
)
from mahler_pipelines.execution.broker_history import (
    ADOPTED,
    foreign_fills,
    read_history,
)
from mahler_pipelines.execution.desk import CLOSING_LEASE, ExecutionDesk, Observation, present
from mahler_pipelines.execution.desk import observe as observe_market
from mahler_pipelines.execution.fills import LIVE_STATUSES, average_price
from mahler_pipelines.execution.findings import POSITIONS, need_finding, resolve
from mahler_pipelines.execution.holdings import Receipt, option_of, receive, underlying_of
from mahler_pipelines.execution.intents import client_order_id
from mahler_pipelines.execution.ledger import ExecutionLedger, OrderPurpose, OrderRecord
from mahler_pipelines.execution.positions import expected_positions
from mahler_pipelines.execution.quotes import round_down, round_up, to_price
from mahler_pipelines.execution.sending import cancel_and_confirm, send_intent
from mahler_pipelines.options.structures import Side

PENDING_CAUSE = "the broker has not told the cause yet: its activities come the next day"
NOT_AVAILABLE = "not_available"
DRY_RUN = "dry_run"


@dataclass(frozen=True, slots=True)
class RepairOutcome:
    """What came of a repair: whether it is done, and the order it rests on or why it is not."""

    finding_id: str
    repair: RepairKind
    done: bool
    detail: str


@dataclass(frozen=True, slots=True)
class _Disposal:
    """An order that ends a position outside trades; quantity is positive."""

    symbol: str
    side: Side
    quantity: int
    purpose: OrderPurpose


def repair(desk: ExecutionDesk, finding_id: str, *, by: str) -> RepairOutcome:
    """Apply the repair of a finding as a person's act.

    Raises `MissingData` for an unknown finding, `IllegalTransition` for one that has ended,
    `LeaseHeld` while another process closes, and `BrokerUnavailable` when the broker can't be read.
    """
    with desk.transaction() as ledger:
        finding = need_finding(ledger, finding_id)
    swept = finding.kind in (FindingKind.ASSIGNED, FindingKind.EXERCISED, FindingKind.LIQUIDATED)
    if finding.status is not FindingStatus.OPEN and not swept:
        raise IllegalTransition("finding", finding_id, finding.status, FindingStatus.REPAIRED)
    if finding.kind in POSITIONS:
        return _adopt(desk, finding, by=by)
    if finding.kind is FindingKind.ORPHANED_ORDER:
        return _cancel(desk, finding, by=by)
    if finding.kind is FindingKind.UNPAIRED_SHORT:
        return _cover(desk, finding)
    if swept:
        return _sweep(desk, finding)
    return _not_done(finding, "nothing can be done by itself: see the finding's numbers")


def dismiss(
    ledger: ExecutionLedger, finding_id: str, *, reason: str, by: str, at: datetime
) -> FindingRecord:
    """Accept a difference as it is; it comes back when its numbers change."""
    finding = need_finding(ledger, finding_id)
    return resolve(
        ledger,
        finding,
        status=FindingStatus.DISMISSED,
        repair=finding.repair,
        by=by,
        at=at,
        detail={"reason": reason},
    )


def adopt_position(
    ledger: ExecutionLedger, position: BrokerPosition, *, origin: str, at: datetime
) -> Holding | None:
    """Take over what the broker holds beyond what the ledger explains, at what it was filled at.

    The price is the average of the fills of orders that are not ours, else the broker's own
    average; None where there is neither, for nothing is ever taken over at zero.
    """
    surplus = position.quantity - expected_positions(ledger).get(position.symbol, 0)
    if not surplus:
        return None
    rows = _explaining(ledger, position.symbol, surplus)
    if not rows:
        rows = [_broker_average(position, surplus, origin=origin, at=at)]
        ledger.add_activities(rows)
    parts = [(abs(row.left), row.price) for row in rows if row.price]
    if not parts:
        return None
    price = average_price(parts)
    for row in rows:
        ledger.book_activity(row.id, row.left)
    source = HoldingSource.ADOPTED
    receipt = Receipt(position.symbol, surplus, price, price, source, origin, at)
    return receive(ledger, receipt)[-1]


def _broker_average(
    position: BrokerPosition, quantity: int, *, origin: str, at: datetime
) -> KnownActivity:
    """A row of our own that stands for fills which the history no longer has."""
    return KnownActivity(
        id=f"{ADOPTED.lower()}:{origin}:{at.timestamp():.6f}",
        kind=ADOPTED,
        day=at.date(),
        symbol=position.symbol,
        quantity=Decimal(quantity),
        price=position.average_entry_price,
        net_amount=Decimal(0),
        order_id=None,
        group_id=None,
        ours=False,
        booked_quantity=Decimal(0),
        seen_at=at,
    )


def _adopt(desk: ExecutionDesk, finding: FindingRecord, *, by: str) -> RepairOutcome:
    read_history(desk)
    positions = {row.symbol: row for row in desk.broker.positions()}
    at = present(desk.broker.clock())
    with desk.transaction() as ledger:
        position = positions.get(finding.subject)
        if position is None or _cause_pending(ledger, finding):
            return _not_done(finding, PENDING_CAUSE)
        if not _may_adopt(ledger, position):
            return _not_done(finding, PENDING_CAUSE)
        lot = adopt_position(ledger, position, origin=finding.id, at=at)
        if lot is None:
            return _not_done(finding, f"price {NOT_AVAILABLE}")
        detail = {"holding": lot.id, "price": str(lot.average_price)}
        resolve(
            ledger,
            finding,
            status=FindingStatus.REPAIRED,
            repair=RepairKind.ADOPT,
            by=by,
            at=at,
            detail=detail,
        )
    return RepairOutcome(finding.id, RepairKind.ADOPT, True, f"{lot.id} at {lot.average_price}")


def _explaining(ledger: ExecutionLedger, symbol: str, surplus: int) -> list[KnownActivity]:
    """Fills of another hand that are the surplus to the contract; else none."""
    rows = [row for row in foreign_fills(ledger, symbol) if row.left * surplus > 0]
    return rows if sum(row.left for row in rows) == surplus else []


def _may_adopt(ledger: ExecutionLedger, position: BrokerPosition) -> bool:
    """Whether the fills of another hand say it all, or more is held on the side that we know."""
    ours = expected_positions(ledger).get(position.symbol, 0)
    explained = _explaining(ledger, position.symbol, position.quantity - ours)
    return bool(explained) or _grew(ours, position.quantity)


def _grew(ours: int, held: int) -> bool:
    """Whether the broker holds more than we know, on the side that we know of."""
    return abs(held) > abs(ours) and ours * held >= 0


def _cause_pending(ledger: ExecutionLedger, finding: FindingRecord) -> bool:
    """Shares that came while an option of theirs went away are its delivery, told tomorrow."""
    if option_of(finding.subject) is not None:
        return False
    return any(
        row.kind in (FindingKind.MISSING_LEG, FindingKind.QUANTITY_DIFFERS)
        and underlying_of(row.subject) == finding.subject
        and option_of(row.subject) is not None
        for row in ledger.findings(statuses=[FindingStatus.OPEN])
    )


def _cancel(desk: ExecutionDesk, finding: FindingRecord, *, by: str) -> RepairOutcome:
    with desk.lease(CLOSING_LEASE):
        orders = {order.client_order_id: order for order in desk.broker.open_orders()}
        order = orders.get(finding.subject)
        if desk.dry_run:
            return RepairOutcome(finding.id, RepairKind.CANCEL, False, DRY_RUN)
        at = present(desk.broker.clock())
        with desk.transaction() as ledger:
            record = ledger.order(finding.subject)
            ledger.audit("cancel_intended", finding.subject, {"by": by}, at=at)
        if order is not None and record is not None and not record.status.is_final:
            cancel_and_confirm(desk, record)
        elif order is not None:
            desk.broker.cancel(order.id)
        if finding.subject in {o.client_order_id for o in desk.broker.open_orders()}:
            return RepairOutcome(finding.id, RepairKind.CANCEL, False, "the cancel is on its way")
        with desk.transaction() as ledger:
            resolve(
                ledger,
                finding,
                status=FindingStatus.REPAIRED,
                repair=RepairKind.CANCEL,
                by=by,
                at=at,
            )
    return RepairOutcome(finding.id, RepairKind.CANCEL, True, "cancelled")


def _cover(desk: ExecutionDesk, finding: FindingRecord) -> RepairOutcome:
    """Buy back what nothing covers; what no trade explains is taken over first."""
    positions = {row.symbol: row for row in desk.broker.positions()}
    position = positions.get(finding.subject)
    if position is None or position.quantity >= 0:
        return _not_done(finding, "it is no longer held")
    with desk.transaction() as ledger:
        expected = expected_positions(ledger).get(finding.subject, 0)
        if _grew(expected, position.quantity):
            at = present(desk.broker.clock())
            adopt_position(ledger, position, origin=finding.id, at=at)
    quantity = min(int(abs(finding.found)), abs(position.quantity))
    disposal = _Disposal(finding.subject, Side.BUY, quantity, OrderPurpose.HEDGE)
    return _dispose(desk, finding, [disposal])


def _sweep(desk: ExecutionDesk, finding: FindingRecord) -> RepairOutcome:
    """Dispose of what an assignment, an exercise or a liquidation left beside its trade."""
    origin = finding.detail.get("origin", "")
    with desk.transaction() as ledger:
        lots = [lot for lot in ledger.holdings() if origin in (lot.origin, lot.id)]
    totals: dict[str, int] = {}
    for lot in lots:
        totals[lot.symbol] = totals.get(lot.symbol, 0) + lot.quantity
    disposals = [
        _Disposal(
            symbol, Side.SELL if quantity > 0 else Side.BUY, abs(quantity), OrderPurpose.SWEEP
        )
        for symbol, quantity in sorted(totals.items(), key=lambda item: item[1])
        if quantity
    ]
    if not disposals:
        return RepairOutcome(finding.id, RepairKind.SWEEP, True, "nothing of it is left")
    return _dispose(desk, finding, disposals)


def _dispose(
    desk: ExecutionDesk, finding: FindingRecord, disposals: Sequence[_Disposal]
) -> RepairOutcome:
    """Send one limit order for each, at the natural price; what buys back goes first."""
    kind = RepairKind.COVER if finding.kind is FindingKind.UNPAIRED_SHORT else RepairKind.SWEEP
    with desk.lease(CLOSING_LEASE):
        clock = desk.broker.clock()
        if not clock.is_open:
            return RepairOutcome(finding.id, kind, False, "market_closed")
        seen = observe_market(
            desk,
            [one.symbol for one in disposals],
            [underlying_of(one.symbol) for one in disposals],
            scan="execution",
            as_of=present(clock),
        )
        said = [_send(desk, finding, one, seen) for one in disposals]
    return RepairOutcome(
        finding.id, kind, all(done for done, _ in said), "; ".join(text for _, text in said)
    )


def _send(
    desk: ExecutionDesk, finding: FindingRecord, disposal: _Disposal, seen: Observation
) -> tuple[bool, str]:
    limit = _limit(desk, disposal, seen)
    if limit is None:
        return False, f"{disposal.symbol}: no price"
    intent = _intend(desk, finding, disposal, limit=limit, at=seen.as_of)
    if isinstance(intent, str):
        return False, f"{disposal.symbol}: {intent}"
    if desk.dry_run:
        return False, f"{disposal.symbol}: {DRY_RUN}"
    record = send_intent(desk, intent, seen)
    return record.status is OrderStatus.FILLED, f"{record.client_order_id} {record.status}"


def _limit(desk: ExecutionDesk, disposal: _Disposal, seen: Observation) -> Decimal | None:
    """The natural price, to the tick: on the wire a debit is positive and a credit negative."""
    if option_of(disposal.symbol) is not None:
        quote = seen.bid_asks([disposal.symbol])[disposal.symbol]
        bid, ask = quote.bid, quote.ask
    else:
        rows = desk.market_data.stock_quotes([disposal.symbol])
        if rows.empty:
            return None
        bid, ask = to_price(float(rows["bid"].iloc[-1])), to_price(float(rows["ask"].iloc[-1]))
    price = ask if disposal.side is Side.BUY else bid
    if price is None or price <= 0:
        return None
    if disposal.side is Side.BUY:
        return round_up(price, desk.terms.tick)
    return -max(round_down(price, desk.terms.tick), desk.terms.tick)


def _intend(
    desk: ExecutionDesk,
    finding: FindingRecord,
    disposal: _Disposal,
    *,
    limit: Decimal,
    at: datetime,
) -> OrderRecord | str:
    """Write the intent, unless an order of this finding on this symbol still works."""
    with desk.transaction() as ledger:
        earlier = ledger.orders(purpose=disposal.purpose, subject_id=finding.id)
        for order in earlier:
            if order.status in LIVE_STATUSES and order.legs[0].symbol == disposal.symbol:
                return f"{order.client_order_id} is {order.status}"
        record = _record(desk, finding, disposal, attempt=len(earlier) + 1, limit=limit, at=at)
        if not ledger.add_order(record):
            raise IllegalTransition("order", record.client_order_id, "there", OrderStatus.INTENDED)
        if desk.dry_run:
            ledger.update_order(
                record.client_order_id,
                expected=(OrderStatus.INTENDED,),
                to=OrderStatus.CANCELLED,
                at=at,
                reason=DRY_RUN,
            )
        return record


def _record(
    desk: ExecutionDesk,
    finding: FindingRecord,
    disposal: _Disposal,
    *,
    attempt: int,
    limit: Decimal,
    at: datetime,
) -> OrderRecord:
    intents = {Side.BUY: PositionIntent.BUY_TO_CLOSE, Side.SELL: PositionIntent.SELL_TO_CLOSE}
    leg = OrderLeg(disposal.symbol, disposal.side, 1, intents[disposal.side])
    return OrderRecord(
        client_order_id=client_order_id(
            desk.account_id, finding.id, purpose=disposal.purpose, attempt=attempt
        ),
        account_id=desk.account_id,
        purpose=disposal.purpose,
        subject_id=finding.id,
        underlying=underlying_of(disposal.symbol),
        legs=(leg,),
        quantity=disposal.quantity,
        limit_price=limit,
        status=OrderStatus.INTENDED,
        status_reason="",
        intended_at=at,
        broker_order_id=None,
        filled_quantity=0,
        average_fill_price=None,
        mid_at_submission=None,
        run_id=desk.run_id,
    )


def _not_done(finding: FindingRecord, why: str) -> RepairOutcome:
    return RepairOutcome(finding.id, finding.repair, False, why)
