"""Values that ledger tests store; light to import, for the processes that race."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from mahler_pipelines.decisions.playbook import PlaybookRule, RuleStatus
from mahler_pipelines.decisions.recommendation import (
    Decision,
    DecisionVerdict,
    LegQuote,
    Recommendation,
)
from mahler_pipelines.execution.broker import OrderLeg, OrderStatus, PositionIntent
from mahler_pipelines.execution.ledger import FillRecord, OrderPurpose, OrderRecord
from mahler_pipelines.execution.trades import LegPrice, PositionMark, Trade, TradeStatus
from mahler_pipelines.options.contracts import parse_occ
from mahler_pipelines.options.structures import Leg, Side, Structure
from mahler_pipelines.review.performance import DailyPerformance
from mahler_pipelines.review.reflection import Reflection

SESSION = date(2024, 1, 3)
NOW = datetime(2024, 1, 3, 14, 35, 0, 123456, tzinfo=UTC)
SHORT, LONG = "SPY240119P00450000", "SPY240119P00445000"
SPREAD = Structure(
    "bull_put_spread",
    (Leg(parse_occ(SHORT), Side.SELL), Leg(parse_occ(LONG), Side.BUY)),
)


def later(minutes: float) -> datetime:
    """A moment after NOW."""
    return NOW + timedelta(minutes=minutes)


def recommendation(identifier: str = "r-1", **changes: Any) -> Recommendation:
    """A bull put spread; the expiry is in New York time, as a person would write it."""
    values: dict[str, Any] = {
        "id": identifier,
        "account_id": "main",
        "session": SESSION,
        "scan": "morning",
        "created_at": NOW,
        "expires_at": datetime(2024, 1, 3, 11, 35, tzinfo=ZoneInfo("America/New_York")),
        "structure": SPREAD,
        "contracts": 2,
        "target_credit": Decimal("1.25"),
        "floor_credit": Decimal("1.10"),
        "natural_credit": Decimal("1.1"),
        "underlying_price": Decimal("470.123456789"),
        "max_loss_usd": Decimal("780.00"),
        "max_profit_usd": Decimal("250.00"),
        "breakevens": (Decimal("448.75"),),
        "probability_of_profit": 0.1 + 0.2,
        "expected_value_usd": 12.5,
        "return_on_risk": 1 / 3,
        "iv_rank": None,
        "iv_percentile": 0.71,
        "iv_rank_basis": "252 sessions",
        "dte": 16,
        "net_delta": 0.12,
        "net_theta_per_day": 0.05,
        "net_vega": -0.2,
        "quotes": (LegQuote(SHORT, Decimal("2.10"), Decimal("2.2"), 0.18, -0.25, None, 7),),
        "snapshot_hash": "ab" * 32,
        "profit_target_debit": Decimal("0.62"),
        "stop_debit": Decimal("2.50"),
        "stop_reachable": True,
        "exit_by": date(2024, 1, 12),
        "thesis": "Premium is rich, and the trend holds: naïve but tested.",
        "risks": ("gap", "assignment"),
        "confidence": 0.6,
        "analyst": "rules",
        "playbook_version": 0,
        "gates": ({"gate": "liquidity", "outcome": "passed"},),
        "run_id": "run-1",
    }
    return Recommendation(**(values | changes))


def decision(identifier: str = "r-1", **changes: Any) -> Decision:
    """An approval of `recommendation(identifier)`."""
    values: dict[str, Any] = {
        "recommendation_id": identifier,
        "verdict": DecisionVerdict.APPROVE,
        "decided_by": "ada",
        "door": "cli",
        "decided_at": later(5),
        "content_hash": recommendation(identifier).content_hash,
        "reason": "",
    }
    return Decision(**(values | changes))


def order(identifier: str = "o-1", **changes: Any) -> OrderRecord:
    """An opening intent."""
    values: dict[str, Any] = {
        "client_order_id": identifier,
        "account_id": "main",
        "purpose": OrderPurpose.OPEN,
        "subject_id": "r-1",
        "underlying": "SPY",
        "legs": (
            OrderLeg(SHORT, Side.SELL, 1, PositionIntent.SELL_TO_OPEN),
            OrderLeg(LONG, Side.BUY, 1, PositionIntent.BUY_TO_OPEN),
        ),
        "quantity": 2,
        "limit_price": Decimal("-1.25"),
        "status": OrderStatus.INTENDED,
        "status_reason": "",
        "intended_at": NOW,
        "broker_order_id": None,
        "filled_quantity": 0,
        "average_fill_price": None,
        "mid_at_submission": Decimal("-1.275"),
        "run_id": "run-1",
    }
    return OrderRecord(**(values | changes))


def fill(identifier: str = "f-1", **changes: Any) -> FillRecord:
    """A fill of the short leg."""
    values: dict[str, Any] = {
        "id": identifier,
        "client_order_id": "o-1",
        "symbol": SHORT,
        "side": "sell",
        "quantity": 2,
        "price": Decimal("2.15"),
        "bid": Decimal("2.10"),
        "ask": None,
        "snapshot": "ab" * 32,
        "filled_at": later(1),
    }
    return FillRecord(**(values | changes))


def leg_price(symbol: str, price: str) -> LegPrice:
    """A leg's price without a quote."""
    return LegPrice(symbol, Decimal(price), None, Decimal("9.99"), None)


def trade(identifier: str = "t-1", **changes: Any) -> Trade:
    """An open trade."""
    values: dict[str, Any] = {
        "id": identifier,
        "account_id": "main",
        "recommendation_id": "r-1",
        "structure": SPREAD,
        "contracts": 2,
        "entry_time": later(1),
        "entry_credit": Decimal("1.25"),
        "entry_legs": (leg_price(SHORT, "2.15"), leg_price(LONG, "0.90")),
        "status": TradeStatus.OPEN,
        "exit_time": None,
        "exit_debit": None,
        "exit_reason": None,
        "exit_legs": (),
        "fees_usd": Decimal("2.6048"),
        "pnl_usd": None,
    }
    return Trade(**(values | changes))


def mark(trade_id: str = "t-1", **changes: Any) -> PositionMark:
    """A mark at mid."""
    values: dict[str, Any] = {
        "trade_id": trade_id,
        "marked_at": later(10),
        "cost_to_close": Decimal("0.815"),
        "natural_cost_to_close": Decimal("0.85"),
        "unrealised_pnl_usd": Decimal("87.00"),
        "underlying_price": Decimal("471.02"),
        "dte": 16,
        "snapshot_hash": None,
        "problem": "",
    }
    return PositionMark(**(values | changes))


def rule(identifier: str = "p-1", **changes: Any) -> PlaybookRule:
    """A proposed rule."""
    values: dict[str, Any] = {
        "id": identifier,
        "account_id": "main",
        "text": "Skip earnings weeks.",
        "status": RuleStatus.PROPOSED,
        "evidence": "3 of 4 lost",
        "proposed_at": NOW,
    }
    return PlaybookRule(**(values | changes))


def performance(session: date = SESSION, **changes: Any) -> DailyPerformance:
    """A day's row."""
    values: dict[str, Any] = {
        "account_id": "main",
        "session": session,
        "equity": Decimal("100000.01"),
        "cash": Decimal(99000),
        "realised_pnl": Decimal("-12.30"),
        "unrealised_pnl": Decimal("0.00"),
        "fees": Decimal("2.6048"),
        "trades_opened": 1,
        "trades_closed": 0,
        "wins": 0,
        "losses": 0,
        "open_trades": 1,
        "drawdown": Decimal(0),
    }
    return DailyPerformance(**(values | changes))


def reflection(identifier: str = "x-1", **changes: Any) -> Reflection:
    """What a trade taught."""
    values: dict[str, Any] = {
        "id": identifier,
        "account_id": "main",
        "trade_id": "t-1",
        "written_at": later(600),
        "outcome": "loss",
        "pnl_usd": Decimal("-120.10"),
        "lesson_code": "stop_too_wide",
        "text": "The stop was never reachable.",
        "facts": {"iv_rank": "71", "gap": "no"},
    }
    return Reflection(**(values | changes))
