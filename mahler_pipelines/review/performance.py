"""Daily performance of an account."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal


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
