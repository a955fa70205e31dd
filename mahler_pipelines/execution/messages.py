"""Messages that execution puts in the outbox."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from mahler_pipelines.decisions.recommendation import Recommendation
from mahler_pipelines.execution.broker_books import FindingKind, FindingRecord
from mahler_pipelines.execution.desk import session_of
from mahler_pipelines.execution.ledger import ExecutionLedger
from mahler_pipelines.execution.slippage import entry_slippage_usd, exit_slippage_usd
from mahler_pipelines.execution.trades import ExitReason, PositionMark, Trade
from mahler_pipelines.risk.halts import HaltReason


class MessageKind(StrEnum):
    """What a message tells."""

    TRADE_OPENED = "trade_opened"
    TRADE_CLOSED = "trade_closed"
    NOT_EXECUTED = "not_executed"
    EXIT_REACHED = "exit_reached"
    CLOSE_REFUSED = "close_refused"
    HALTED = "halted"
    FINDING = "finding"
    UNPAIRED_SHORT = "unpaired_short"
    EXPIRY_FORECAST = "expiry_forecast"
    EARLY_ASSIGNMENT_WARNING = "early_assignment_warning"


def announce_opened(ledger: ExecutionLedger, trade: Trade, *, at: datetime) -> None:
    """Tell that an approved recommendation became a trade."""
    ledger.enqueue(
        kind=MessageKind.TRADE_OPENED,
        subject=trade.id,
        payload={
            "recommendation_id": trade.recommendation_id,
            "underlying": trade.structure.underlying,
            "strategy": trade.structure.strategy,
            "contracts": trade.contracts,
            "entry_credit": str(trade.entry_credit),
            "slippage_usd": _number(entry_slippage_usd(ledger, trade)),
        },
        key=f"{MessageKind.TRADE_OPENED}:{trade.id}",
        at=at,
    )


def announce_closed(ledger: ExecutionLedger, trade: Trade, *, at: datetime) -> None:
    """Tell that a trade is closed and what it earned."""
    ledger.enqueue(
        kind=MessageKind.TRADE_CLOSED,
        subject=trade.id,
        payload={
            "underlying": trade.structure.underlying,
            "strategy": trade.structure.strategy,
            "contracts": trade.contracts,
            "exit_reason": str(trade.exit_reason),
            "entry_credit": str(trade.entry_credit),
            "exit_debit": str(trade.exit_debit),
            "pnl_usd": str(trade.pnl_usd),
            "slippage_usd": _number(exit_slippage_usd(ledger, trade)),
        },
        key=f"{MessageKind.TRADE_CLOSED}:{trade.id}",
        at=at,
    )


def announce_not_executed(
    ledger: ExecutionLedger,
    recommendation: Recommendation,
    *,
    reason: str,
    at: datetime,
    offered: str | None = None,
) -> None:
    """Tell that an approved recommendation led to no trade, why, and what is offered instead."""
    ledger.enqueue(
        kind=MessageKind.NOT_EXECUTED,
        subject=recommendation.id,
        payload={
            "underlying": recommendation.underlying,
            "strategy": recommendation.strategy,
            "reason": reason,
            "offered": offered,
        },
        key=f"{MessageKind.NOT_EXECUTED}:{recommendation.id}",
        at=at,
    )


def announce_exit_reached(
    ledger: ExecutionLedger, trade: Trade, mark: PositionMark, reason: ExitReason
) -> bool:
    """Tell that an exit is reached and left to a person, once per trade, reason and session."""
    return ledger.enqueue(
        kind=MessageKind.EXIT_REACHED,
        subject=trade.id,
        payload={
            "underlying": trade.structure.underlying,
            "strategy": trade.structure.strategy,
            "reason": reason.value,
            "entry_credit": str(trade.entry_credit),
            "cost_to_close": str(mark.cost_to_close),
            "unrealised_pnl_usd": str(mark.unrealised_pnl_usd),
            "dte": mark.dte,
        },
        key=f"{MessageKind.EXIT_REACHED}:{trade.id}:{reason}:{session_of(mark.marked_at)}",
        at=mark.marked_at,
    )


def announce_close_refused(
    ledger: ExecutionLedger, trade: Trade, *, reason: str, at: datetime
) -> None:
    """Tell that the broker refused a closing order, once per trade and session."""
    ledger.enqueue(
        kind=MessageKind.CLOSE_REFUSED,
        subject=trade.id,
        payload={"underlying": trade.structure.underlying, "reason": reason},
        key=f"{MessageKind.CLOSE_REFUSED}:{trade.id}:{session_of(at)}",
        at=at,
    )


def announce_halted(ledger: ExecutionLedger, reason: HaltReason, *, at: datetime) -> bool:
    """Tell that opening is halted until a person resumes, once per cause and its level."""
    return ledger.enqueue(
        kind=MessageKind.HALTED,
        subject=ledger.account_id,
        payload={
            "code": reason.code.value,
            "cause": reason.cause,
            "value": str(reason.value),
            "limit": str(reason.limit),
        },
        key=f"{MessageKind.HALTED}:{reason.code}:{reason.cause}:{reason.level}",
        at=at,
    )


def _number(value: Decimal | None) -> str | None:
    return None if value is None else str(value)


def announce_finding(ledger: ExecutionLedger, finding: FindingRecord, *, at: datetime) -> bool:
    """Tell a difference from the broker, once as it is seen and once more when its cause is known.

    A short option that nothing covers is an alarm of its own.
    """
    alarm = finding.kind is FindingKind.UNPAIRED_SHORT
    return ledger.enqueue(
        kind=MessageKind.UNPAIRED_SHORT if alarm else MessageKind.FINDING,
        subject=finding.id,
        payload={
            "finding": finding.kind.value,
            "subject": finding.subject,
            "expected": str(finding.expected),
            "found": str(finding.found),
            "status": finding.status.value,
            "repair": finding.repair.value,
            "detail": finding.detail,
        },
        key=f"{MessageKind.FINDING}:{finding.id}:{finding.kind}",
        at=at,
    )
