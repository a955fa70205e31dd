"""Exits: when an open trade is to be closed.

Entries and exits have separate gates, and the exits' is the looser: the time exit needs no mid,
only a price at which the closing order can be sent.
"""

from decimal import Decimal

from mahler_pipelines.execution.trades import ExitReason, PositionMark, Trade
from mahler_pipelines.risk.exit_terms import ExitTerms


def exit_reason(trade: Trade, mark: PositionMark, terms: ExitTerms) -> ExitReason | None:
    """Why this trade is to be closed now, or None; see `reason_at`."""
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
