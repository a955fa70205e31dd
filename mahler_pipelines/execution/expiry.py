"""Expiry: trades whose legs were settled by the clearing house are closed from its activities."""

from collections.abc import Mapping
from dataclasses import dataclass

from mahler_pipelines.execution.broker import BrokerClock
from mahler_pipelines.execution.broker_history import SETTLEMENT_KINDS, read_history
from mahler_pipelines.execution.desk import ExecutionDesk, present, session_of
from mahler_pipelines.execution.findings import keep_booked
from mahler_pipelines.execution.ledger import ExecutionLedger
from mahler_pipelines.execution.settlements import book_facts
from mahler_pipelines.execution.trades import ExitReason, Trade, TradeStatus


@dataclass(frozen=True, slots=True)
class ExpiredTrade:
    """A trade past its expiration: closed, or why it still waits."""

    trade_id: str
    reason: ExitReason | None
    problem: str = ""


def settle_expired(desk: ExecutionDesk) -> tuple[ExpiredTrade, ...]:
    """Close the trades whose expiration has passed and whose legs the broker no longer holds.

    How each leg ended comes from the broker's activities; while one is missing (a paper account
    has them the next day) the trade stays open and says so. The exit is booked at the moment it is
    known.
    """
    clock = desk.broker.clock()
    now = present(clock)
    with desk.transaction() as ledger:
        held = ledger.trades(statuses=(TradeStatus.OPEN, TradeStatus.CLOSING))
    due = [trade for trade in held if has_expired(trade, clock)]
    if not due:
        return ()
    positions = {position.symbol: position.quantity for position in desk.broker.positions()}
    read_history(desk)
    with desk.transaction() as ledger:
        facts = book_facts(
            ledger, positions, fee_per_contract_usd=desk.terms.fee_per_contract_usd, at=now
        )
        keep_booked(ledger, facts, at=now)
        return tuple(_outcome(ledger, trade, positions) for trade in due)


def has_expired(trade: Trade, clock: BrokerClock) -> bool:
    """Past the last session of its legs: a later date, or the same one after the close."""
    session = session_of(clock.now)
    last = max(leg.contract.expiration for leg in trade.structure.legs)
    over = not clock.is_open and session_of(clock.next_open) > session
    return last < session or (last == session and over)


def _outcome(ledger: ExecutionLedger, trade: Trade, positions: Mapping[str, int]) -> ExpiredTrade:
    current = ledger.trade(trade.id) or trade
    if current.status is TradeStatus.CLOSED:
        return ExpiredTrade(trade.id, current.exit_reason)
    left = sorted(symbol for symbol in trade.structure.symbols if positions.get(symbol))
    if left:
        return ExpiredTrade(trade.id, None, f"still held: {', '.join(left)}")
    since = session_of(trade.entry_time)
    posted = {
        row.symbol
        for row in ledger.activities()
        if row.kind in SETTLEMENT_KINDS and row.day >= since
    }
    missing = [symbol for symbol in trade.structure.symbols if symbol not in posted]
    problem = f"no activity of {missing[0]} yet" if missing else "the activities do not add up"
    return ExpiredTrade(trade.id, None, problem)
