"""Daily performance of an account."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import numpy as np

from mahler_pipelines.execution.broker import BrokerAccount
from mahler_pipelines.execution.desk import session_of
from mahler_pipelines.execution.trades import PositionMark, Trade
from mahler_pipelines.options.structures import CENT

SESSIONS_PER_YEAR = 252
_NO_SPREAD = 1e-12


@dataclass(frozen=True, slots=True)
class DailyPerformance:
    """One row per account and session, in dollars."""

    account_id: str
    session: date
    equity: Decimal
    cash: Decimal
    realised_pnl: Decimal
    unrealised_pnl: Decimal
    fees: Decimal
    trades_opened: int
    trades_closed: int
    wins: int
    losses: int
    open_trades: int
    drawdown: Decimal


@dataclass(frozen=True, slots=True)
class PerformanceSummary:
    """Statistics over closed trades and daily rows; None where too few speak.

    `sharpe_ratio` is annualised over 252 sessions with no risk-free rate taken off. Daily returns
    of short options are skewed and autocorrelated, so it flatters a book that has not met its
    tail; `caveat` says over how many sessions it was taken.
    """

    trades: int
    wins: int
    losses: int
    realised_pnl_usd: Decimal
    fees_usd: Decimal
    win_rate: float | None
    average_win_usd: Decimal | None
    average_loss_usd: Decimal | None
    profit_factor: float | None
    expectancy_usd: Decimal | None
    max_drawdown_usd: Decimal
    sharpe_ratio: float | None
    caveat: str


def daily_performance(
    *,
    account_id: str,
    session: date,
    trades: Sequence[Trade],
    marks: Sequence[PositionMark],
    account: BrokerAccount,
    previous: Sequence[DailyPerformance],
) -> DailyPerformance:
    """Write one session's row from the ledger's trades and marks and the broker's account.

    Realised is what trades closed in that session earned, after fees; `fees` are theirs.
    Unrealised is each open trade's last usable mark up to the session; a trade without any is
    carried at its entry, less its fees. Drawdown is dollars below the highest equity so far.
    """
    closed = [trade for trade in trades if _closed_on(trade) == session]
    held = [trade for trade in trades if _held_after(trade, session)]
    results = [trade.pnl_usd for trade in closed if trade.pnl_usd is not None]
    peak = max([row.equity for row in previous if row.session < session] + [account.equity])
    return DailyPerformance(
        account_id=account_id,
        session=session,
        equity=account.equity,
        cash=account.cash,
        realised_pnl=sum(results, Decimal(0)),
        unrealised_pnl=sum((_last_result(trade, marks, session) for trade in held), Decimal(0)),
        fees=sum((trade.fees_usd for trade in closed), Decimal(0)),
        trades_opened=sum(session_of(trade.entry_time) == session for trade in trades),
        trades_closed=len(closed),
        wins=sum(result > 0 for result in results),
        losses=sum(result < 0 for result in results),
        open_trades=len(held),
        drawdown=peak - account.equity,
    )


def summary(
    trades: Sequence[Trade], rows: Sequence[DailyPerformance], *, sharpe_sessions: int = 60
) -> PerformanceSummary:
    """Summarise closed trades and daily rows; the Sharpe ratio needs `sharpe_sessions` returns."""
    closed = [trade for trade in trades if trade.pnl_usd is not None]
    results = [trade.pnl_usd for trade in closed if trade.pnl_usd is not None]
    wins = [result for result in results if result > 0]
    losses = [result for result in results if result < 0]
    gained, lost = sum(wins, Decimal(0)), -sum(losses, Decimal(0))
    ordered = sorted(rows, key=lambda row: row.session)
    sharpe, caveat = _sharpe([float(row.equity) for row in ordered], sharpe_sessions)
    return PerformanceSummary(
        trades=len(closed),
        wins=len(wins),
        losses=len(losses),
        realised_pnl_usd=sum(results, Decimal(0)),
        fees_usd=sum((trade.fees_usd for trade in closed), Decimal(0)),
        win_rate=len(wins) / len(results) if results else None,
        average_win_usd=_average(wins),
        average_loss_usd=_average(losses),
        profit_factor=float(gained / lost) if lost else None,
        expectancy_usd=_average(results),
        max_drawdown_usd=_max_drawdown([row.equity for row in ordered]),
        sharpe_ratio=sharpe,
        caveat=caveat,
    )


def _closed_on(trade: Trade) -> date | None:
    return session_of(trade.exit_time) if trade.exit_time is not None else None


def _held_after(trade: Trade, session: date) -> bool:
    closed = _closed_on(trade)
    return session_of(trade.entry_time) <= session and (closed is None or closed > session)


def _last_result(trade: Trade, marks: Sequence[PositionMark], session: date) -> Decimal:
    usable = [
        mark
        for mark in marks
        if mark.trade_id == trade.id
        and mark.unrealised_pnl_usd is not None
        and session_of(mark.marked_at) <= session
    ]
    if not usable:
        return -trade.fees_usd
    return max(usable, key=lambda mark: mark.marked_at).unrealised_pnl_usd or Decimal(0)


def _average(amounts: Sequence[Decimal]) -> Decimal | None:
    return (sum(amounts, Decimal(0)) / len(amounts)).quantize(CENT) if amounts else None


def _max_drawdown(equities: Sequence[Decimal]) -> Decimal:
    peak, deepest = Decimal("-Infinity"), Decimal(0)
    for equity in equities:
        peak = max(peak, equity)
        deepest = max(deepest, peak - equity)
    return deepest


def _sharpe(equities: Sequence[float], needed: int) -> tuple[float | None, str]:
    levels = np.asarray(equities, dtype=np.float64)
    count = max(len(levels) - 1, 0)
    if count < needed:
        return None, f"{count} daily returns; a Sharpe ratio needs {needed}"
    returns = levels[1:] / levels[:-1] - 1
    spread = float(returns.std(ddof=1))
    if spread < _NO_SPREAD:
        return None, "the daily returns do not vary"
    ratio = float(returns.mean()) / spread * math.sqrt(SESSIONS_PER_YEAR)
    return ratio, f"over {count} daily returns, skew and autocorrelation not corrected"
