"""Messages that execution puts in the outbox."""

from datetime import datetime
from enum import StrEnum

from mahler_pipelines.decisions.recommendation import Recommendation
from mahler_pipelines.execution.desk import session_of
from mahler_pipelines.execution.ledger import ExecutionLedger
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
        },
        key=f"{MessageKind.TRADE_CLOSED}:{trade.id}",
        at=at,
    )


def announce_not_executed(
    ledger: ExecutionLedger, recommendation: Recommendation, *, reason: str, at: datetime
) -> None:
    """Tell that an approved recommendation led to no trade, and why."""
    ledger.enqueue(
        kind=MessageKind.NOT_EXECUTED,
        subject=recommendation.id,
        payload={
            "underlying": recommendation.underlying,
            "strategy": recommendation.strategy,
            "reason": reason,
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
