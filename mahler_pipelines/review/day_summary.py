"""The summary of a session: what the day came to, and what is carried into the next."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal

from mahler_pipelines.execution.account_view import current_exposure
from mahler_pipelines.execution.broker import BrokerAccount
from mahler_pipelines.execution.desk import session_of
from mahler_pipelines.execution.trades import TradeStatus
from mahler_pipelines.review.ledger import Ledger
from mahler_pipelines.review.performance import DailyPerformance
from mahler_pipelines.review.position_lines import (
    PositionLine,
    ReportPart,
    position_lines,
    short_name,
)
from mahler_pipelines.risk.limits import RiskLimits

KIND = "day_summary"


class ClosedLine(ReportPart):
    """A trade that ended in the session."""

    name: str
    reason: str
    pnl_usd: Decimal | None


class DaySummary(ReportPart):
    """Everything the summary tells, in dollars.

    `day_pnl` is how far equity moved since the session before; on the first one what its trades
    earned and stand at. `heat_usd` is what all open and working trades can lose together.
    """

    session: date
    equity: Decimal
    day_pnl: Decimal
    realised_pnl: Decimal
    unrealised_pnl: Decimal
    fees: Decimal
    drawdown: Decimal
    options_buying_power: Decimal | None
    heat_usd: Decimal
    heat_limit: Decimal
    trades_opened: int
    trades_closed: int
    wins: int
    losses: int
    closed: tuple[ClosedLine, ...]
    positions: tuple[PositionLine, ...]
    trading_state: str

    @property
    def heat(self) -> Decimal | None:
        """Heat as a share of equity; None without equity."""
        return self.heat_usd / self.equity if self.equity > 0 else None


def day_summary(
    ledger: Ledger, *, session: date, account: BrokerAccount, limits: RiskLimits
) -> DaySummary | None:
    """Gather the summary of a session whose performance is written; None where it is not."""
    history = ledger.performance(end=session)
    if not history or history[-1].session != session:
        return None
    row = history[-1]
    state, _ = ledger.trading_state()
    return DaySummary(
        session=session,
        equity=row.equity,
        day_pnl=_day_pnl(history),
        realised_pnl=row.realised_pnl,
        unrealised_pnl=row.unrealised_pnl,
        fees=row.fees,
        drawdown=row.drawdown,
        options_buying_power=account.options_buying_power,
        heat_usd=current_exposure(ledger).heat_usd,
        heat_limit=limits.portfolio_heat,
        trades_opened=row.trades_opened,
        trades_closed=row.trades_closed,
        wins=row.wins,
        losses=row.losses,
        closed=_closed(ledger, session),
        positions=position_lines(ledger, session=session),
        trading_state=state.value,
    )


def _day_pnl(history: Sequence[DailyPerformance]) -> Decimal:
    """The broker's own beginning of the day is no measure: after the close it is the next day's."""
    row = history[-1]
    if len(history) > 1:
        return row.equity - history[-2].equity
    return row.realised_pnl + row.unrealised_pnl


def _closed(ledger: Ledger, session: date) -> tuple[ClosedLine, ...]:
    return tuple(
        ClosedLine(
            name=short_name(trade.structure),
            reason=str(trade.exit_reason or ""),
            pnl_usd=trade.pnl_usd,
        )
        for trade in ledger.trades(statuses=[TradeStatus.CLOSED])
        if trade.exit_time is not None and session_of(trade.exit_time) == session
    )
