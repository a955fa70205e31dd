"""Performance: daily rows and their statistics, by hand where it can be said by hand."""

from datetime import date, timedelta
from decimal import Decimal

import pytest

from mahler_pipelines.execution.broker import BrokerAccount
from mahler_pipelines.execution.trades import PositionMark, Trade, TradeStatus
from mahler_pipelines.review.performance import DailyPerformance, daily_performance, summary
from tests.execution.fakes import utc
from tests.execution.scenes import later_copy, trade

SESSION = date(2026, 1, 14)


def account(equity: str) -> BrokerAccount:
    money = Decimal(equity)
    return BrokerAccount("a", "ACTIVE", money, money, money, money, 3, trading_blocked=False)


def closed(pnl: str, *, day: int = 14, number: int = 1, fees: str = "0") -> Trade:
    return later_copy(
        trade(),
        id=f"t-{number}",
        status=TradeStatus.CLOSED,
        exit_time=utc(2026, 1, day),
        pnl_usd=Decimal(pnl),
        fees_usd=Decimal(fees),
    )


def mark(pnl: str | None, *, day: int = 14, hour: int = 15) -> PositionMark:
    return PositionMark(
        trade_id=trade().id,
        marked_at=utc(2026, 1, day, hour=hour),
        cost_to_close=None,
        natural_cost_to_close=None,
        unrealised_pnl_usd=None if pnl is None else Decimal(pnl),
        underlying_price=None,
        dte=30,
        snapshot_hash=None,
    )


def row(equity: str, *, session: date = date(2026, 1, 13)) -> DailyPerformance:
    zero = Decimal(0)
    return DailyPerformance(
        account_id="main",
        session=session,
        equity=Decimal(equity),
        cash=Decimal(equity),
        realised_pnl=zero,
        unrealised_pnl=zero,
        fees=zero,
        trades_opened=0,
        trades_closed=0,
        wins=0,
        losses=0,
        open_trades=0,
        drawdown=zero,
    )


def written(
    *, trades: list[Trade], marks: list[PositionMark], previous: list[DailyPerformance]
) -> DailyPerformance:
    return daily_performance(
        account_id="main",
        session=SESSION,
        trades=trades,
        marks=marks,
        account=account("100100"),
        previous=previous,
    )


def test_realised_counts_only_what_was_closed_that_session() -> None:
    trades = [
        closed("50", number=1, fees="1.3"),
        closed("-80", number=2),
        closed("0", number=3),
        closed("7", number=4, day=13),
    ]
    made = written(trades=trades, marks=[], previous=[])
    assert (made.realised_pnl, made.fees) == (Decimal(-30), Decimal("1.3"))
    assert (made.trades_closed, made.wins, made.losses, made.open_trades) == (3, 1, 1, 0)


def test_unrealised_is_the_last_usable_mark_up_to_the_session() -> None:
    marks = [mark("10", hour=15), mark("25", hour=19), mark(None, hour=20), mark("99", day=15)]
    made = written(trades=[trade()], marks=marks, previous=[])
    assert (made.unrealised_pnl, made.open_trades) == (Decimal(25), 1)


def test_trade_without_a_mark_is_carried_at_its_entry_less_fees() -> None:
    held = later_copy(trade(), fees_usd=Decimal("3.9"))
    assert written(trades=[held], marks=[], previous=[]).unrealised_pnl == Decimal("-3.9")


def test_trade_closed_later_counts_as_open_when_a_past_session_is_written_again() -> None:
    made = written(trades=[closed("50", day=16)], marks=[], previous=[])
    assert (made.open_trades, made.trades_closed) == (1, 0)


def test_drawdown_is_dollars_below_the_peak_so_far() -> None:
    previous = [row("100500"), row("999999", session=date(2026, 1, 20))]
    assert written(trades=[], marks=[], previous=previous).drawdown == Decimal(400)
    assert written(trades=[], marks=[], previous=[row("99000")]).drawdown == Decimal(0)


def test_summary_of_a_worked_example() -> None:
    trades = [closed(pnl, number=number) for number, pnl in enumerate(["100", "50", "-75", "0"])]
    days = [row(equity) for equity in ("100", "120", "90", "110", "95")]
    made = summary(trades, days)
    assert (made.trades, made.wins, made.losses) == (4, 2, 1)
    assert (made.win_rate, made.profit_factor) == (0.5, 2.0)
    assert made.expectancy_usd == Decimal("18.75")
    assert (made.average_win_usd, made.average_loss_usd) == (Decimal(75), Decimal(-75))
    assert made.max_drawdown_usd == Decimal(30)
    assert made.sharpe_ratio is None
    assert made.caveat == "4 daily returns; a Sharpe ratio needs 60"


def test_summary_of_nothing_has_no_rates() -> None:
    made = summary([trade()], [])
    assert (made.trades, made.win_rate, made.profit_factor, made.expectancy_usd) == (
        0,
        None,
        None,
        None,
    )
    assert (made.max_drawdown_usd, made.sharpe_ratio) == (Decimal(0), None)


def test_without_a_loss_there_is_no_profit_factor() -> None:
    assert summary([closed("10")], []).profit_factor is None


def test_sharpe_ratio_of_alternating_returns() -> None:
    """Returns of +2 % and 0 in turn: mean 1 %, deviation 1 %·sqrt(n/(n-1)), over sqrt(252)."""
    equity, days = Decimal(100), [row("100", session=SESSION)]
    for number in range(60):
        equity *= Decimal("1.02") if number % 2 == 0 else Decimal(1)
        days.append(row(str(equity), session=SESSION + timedelta(days=number + 1)))
    made = summary([], days)
    assert made.sharpe_ratio == pytest.approx((252 * 59 / 60) ** 0.5, rel=1e-9)
    assert "60 daily returns" in made.caveat


def test_equity_that_never_moves_has_no_sharpe_ratio() -> None:
    days = [row("100", session=SESSION + timedelta(days=number)) for number in range(70)]
    assert summary([], days).caveat == "the daily returns do not vary"
