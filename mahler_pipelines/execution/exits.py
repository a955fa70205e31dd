"""Exits: when an open trade is to be closed.

Entries and exits have separate gates, and the exits' is the looser: the time exit and the last
day's cut-off need no mid, only a price at which the closing order can be sent.
"""

from datetime import datetime
from decimal import Decimal

from mahler_pipelines.execution.trades import ExitReason, PositionMark, Trade
from mahler_pipelines.market.expirations import last_trading_session
from mahler_pipelines.market.sessions import NEW_YORK, TradingCalendar
from mahler_pipelines.options.structures import Structure
from mahler_pipelines.risk.exit_terms import ExitAction, ExitTerms


def exit_reason(trade: Trade, mark: PositionMark, terms: ExitTerms) -> ExitReason | None:
    """Why this trade is to be closed now, or None: the last day's cut-off, then `reason_at`."""
    if cutoff_is_past(trade.structure, mark.marked_at, terms):
        return ExitReason.EXPIRY_CUTOFF
    return reason_at(credit=trade.entry_credit, cost=mark.cost_to_close, dte=mark.dte, terms=terms)


def reason_at(
    *, credit: Decimal, cost: Decimal | None, dte: int, terms: ExitTerms
) -> ExitReason | None:
    """Which exit is reached at this cost to close (per share, at mid), stop before profit and time.

    Stop: the loss, cost less credit, is at least `stop_loss` times the credit. Profit: the cost is
    at most the credit less the share to keep. Time: `time_exit_dte` calendar days or fewer are
    left. Stop and profit need a usable mid and a trade opened for a credit; the time exit needs
    neither.
    """
    if cost is not None and credit > 0:
        if cost >= terms.stop_debit(credit):
            return ExitReason.STOP_LOSS
        if cost <= terms.profit_debit(credit):
            return ExitReason.PROFIT_TARGET
    return ExitReason.TIME_EXIT if dte <= terms.time_exit_dte else None


def last_close(structure: Structure) -> datetime:
    """Close of the last session in which every leg still trades, in UTC."""
    calendar = TradingCalendar()
    return calendar.close(
        min(last_trading_session(leg.contract, calendar) for leg in structure.legs)
    )


def cutoff_is_past(structure: Structure, at: datetime, terms: ExitTerms) -> bool:
    """Whether this is a structure's last session, and its cut-off has come.

    After that session nothing of it trades, and nothing is asked for.
    """
    close = last_close(structure)
    cutoff = terms.expiry_cutoff(close)
    return cutoff is not None and cutoff <= at < close


def is_last_day(structure: Structure, at: datetime) -> bool:
    """Whether a moment is on the day of a structure's last session and before its close."""
    close = last_close(structure)
    return at < close and at.astimezone(NEW_YORK).date() == close.astimezone(NEW_YORK).date()


def sends_order(reason: ExitReason, terms: ExitTerms) -> bool:
    """Whether an exit for this reason sends the closing order; else a person is told.

    What a person asked for is always sent.
    """
    if reason is ExitReason.MANUAL:
        return True
    if reason is ExitReason.EXPIRY_CUTOFF and terms.expiry_always_closes:
        return True
    if reason is ExitReason.EARLY_ASSIGNMENT:
        return terms.early_assignment is ExitAction.ORDER
    return terms.action is ExitAction.ORDER
