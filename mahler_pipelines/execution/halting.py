"""Halting by rule, and resuming by a person: the facts, and what is written down.

A cause halts once: it leaves an audit event and a message in the transaction that halts, and is not
looked at again unless it grows. So a person's resume stands until something new happens. Nothing
here is asked by a close.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from mahler_pipelines.decisions.ledger import AuditEvent, DecisionLedger
from mahler_pipelines.execution.broker import BrokerAccount, BrokerClock, OrderStatus
from mahler_pipelines.execution.desk import ExecutionDesk, present, session_of
from mahler_pipelines.execution.ledger import ExecutionLedger, OrderRecord
from mahler_pipelines.execution.look_records import LookRecord
from mahler_pipelines.execution.messages import announce_halted
from mahler_pipelines.execution.trades import TradeStatus
from mahler_pipelines.market.sessions import TradingCalendar
from mahler_pipelines.risk.halts import HaltCode, HaltFacts, HaltReason, HaltTerms, halt_reasons
from mahler_pipelines.risk.trading_state import TradingState

DESK = "mahler"
"""Who changed the trading state when no person did."""
RAISED, ACKNOWLEDGED = "halt_raised", "halts_acknowledged"
DOUBTFUL = (OrderStatus.SUBMITTED, OrderStatus.UNKNOWN)
"""An order that was submitted and never answered is as unknown as one that timed out."""


@dataclass(frozen=True, slots=True)
class RaisedHalt:
    """A cause that halted: kept in the account's history with its numbers."""

    at: datetime
    code: HaltCode
    cause: str
    level: int
    value: str
    limit: str


def halt_if_due(
    desk: ExecutionDesk, terms: HaltTerms, *, looked: LookRecord | None = None
) -> tuple[HaltReason, ...]:
    """Halt the account for every cause that has not halted it before; return these.

    Between looks nobody has asked for quotes or compared positions: without `looked`, the look just
    taken, loss, streak and unknown orders are judged alone. Raises `BrokerUnavailable` when the
    broker's clock or account cannot be read.
    """
    clock, account = desk.broker.clock(), desk.broker.account()
    now = present(clock)
    with desk.transaction() as ledger:
        facts = halt_facts(ledger, account, clock, looked=looked)
        raised = raised_halts(ledger)
        new = [
            reason
            for reason in halt_reasons(facts, terms, now)
            if reason.level > _level(raised, reason)
        ]
        _halt(ledger, new, at=now)
    return tuple(new)


def halt_facts(
    ledger: ExecutionLedger,
    account: BrokerAccount,
    clock: BrokerClock,
    *,
    looked: LookRecord | None,
) -> HaltFacts:
    """Read what the rules judge, inside the caller's transaction.

    The day's result is the broker's own, as the gates see it: equity less the equity the day began
    with, so that it counts open positions, fees and whatever else moved the account.
    """
    now = present(clock)
    return HaltFacts(
        session=session_of(now),
        pnl_today=account.equity - account.last_equity,
        equity_at_start=account.last_equity,
        losses_in_a_row=_losses_in_a_row(ledger),
        unknown_orders={
            order.client_order_id: _unknown_since(ledger, order)
            for order in ledger.orders(statuses=DOUBTFUL)
        },
        opened_at=_opened_at(clock) if looked else None,
        data_seen_at=looked.data_seen_at if looked else None,
        differences=looked.differences if looked else (),
    )


def resume(ledger: DecisionLedger, *, reason: str, by: str, at: datetime) -> tuple[RaisedHalt, ...]:
    """Open again by a person's act; return the causes that this person thereby accepts.

    They are kept with the resume and do not halt again, unless they grow.
    """
    accepted = unacknowledged_halts(ledger)
    ledger.set_trading_state(TradingState.ACTIVE, reason=reason, by=by, at=at)
    causes = [f"{halt.code}:{halt.cause}:{halt.level}" for halt in accepted]
    ledger.audit(ACKNOWLEDGED, ledger.account_id, {"by": by, "causes": causes}, at=at)
    return accepted


def raised_halts(ledger: DecisionLedger) -> tuple[RaisedHalt, ...]:
    """Every cause that halted the account, oldest first."""
    events = ledger.audit_events(subject=ledger.account_id)
    return tuple(_raised(event) for event in events if event.kind == RAISED)


def unacknowledged_halts(ledger: DecisionLedger) -> tuple[RaisedHalt, ...]:
    """Causes that halted the account since a person last resumed, oldest first."""
    events = ledger.audit_events(subject=ledger.account_id)
    last = max((event.id for event in events if event.kind == ACKNOWLEDGED), default=0)
    return tuple(_raised(event) for event in events if event.kind == RAISED and event.id > last)


def _halt(ledger: ExecutionLedger, reasons: Sequence[HaltReason], *, at: datetime) -> None:
    for reason in reasons:
        detail = {
            "code": reason.code.value,
            "cause": reason.cause,
            "level": reason.level,
            "value": str(reason.value),
            "limit": str(reason.limit),
        }
        ledger.audit(RAISED, ledger.account_id, detail, at=at)
        announce_halted(ledger, reason, at=at)
    state, _ = ledger.trading_state()
    # A halt that stands keeps its author and its reason.
    if reasons and state is not TradingState.HALTED:
        why = "; ".join(map(str, reasons))
        ledger.set_trading_state(TradingState.HALTED, reason=why, by=DESK, at=at)


def _level(raised: Sequence[RaisedHalt], reason: HaltReason) -> int:
    """The highest level at which this cause halted before; 0 when it never did."""
    return max(
        (halt.level for halt in raised if (halt.code, halt.cause) == (reason.code, reason.cause)),
        default=0,
    )


def _raised(event: AuditEvent) -> RaisedHalt:
    said = event.detail
    return RaisedHalt(
        at=event.at,
        code=HaltCode(said["code"]),
        cause=said["cause"],
        level=int(said["level"]),
        value=said["value"],
        limit=said["limit"],
    )


def _opened_at(clock: BrokerClock) -> datetime | None:
    calendar, session = TradingCalendar(), session_of(present(clock))
    return calendar.open(session) if clock.is_open and calendar.is_session(session) else None


def _losses_in_a_row(ledger: ExecutionLedger) -> tuple[str, ...]:
    closed = [
        (trade.exit_time, trade.id, trade.pnl_usd)
        for trade in ledger.trades(statuses=[TradeStatus.CLOSED])
        if trade.exit_time is not None
    ]
    losses: list[str] = []
    for _, identifier, pnl in sorted(closed, key=lambda row: row[:2]):
        losses = [*losses, identifier] if pnl is not None and pnl < Decimal(0) else []
    return tuple(losses)


def _unknown_since(ledger: ExecutionLedger, order: OrderRecord) -> datetime:
    """When the order last left a state in which its outcome was known; else when intended."""
    since: datetime | None = None
    for event in ledger.audit_events(subject=order.client_order_id):
        if event.kind != "order_updated":
            continue
        doubtful = event.detail["to"] in DOUBTFUL
        since = (since or event.at) if doubtful else None
    return since or order.intended_at
