"""Recommendations and trades as rows: what reports, explanations and `--json` have of them."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from mahler_pipelines.decisions.ledger import StoredRecommendation
from mahler_pipelines.execution.ledger import ExecutionLedger
from mahler_pipelines.execution.slippage import entry_slippage_usd, exit_slippage_usd
from mahler_pipelines.execution.trades import LegPrice, Trade


def recommendation_row(stored: StoredRecommendation) -> dict[str, Any]:
    """A recommendation as JSON, money as decimal strings."""
    shown, decision = stored.recommendation, stored.decision
    return {
        "id": shown.id,
        "session": str(shown.session),
        "scan": shown.scan,
        "created_at": shown.created_at.isoformat(),
        "expires_at": shown.expires_at.isoformat(),
        "content_hash": shown.content_hash,
        "strategy": shown.strategy,
        "underlying": shown.underlying,
        "underlying_price": money(shown.underlying_price),
        "legs": [
            {"symbol": leg.contract.symbol, "side": leg.side.value, "ratio": leg.ratio}
            for leg in shown.structure.legs
        ],
        "quotes": [
            {
                "symbol": quote.symbol,
                "bid": money(quote.bid),
                "ask": money(quote.ask),
                "delta": quote.delta,
                "implied_volatility": quote.implied_volatility,
            }
            for quote in shown.quotes
        ],
        "rolls": shown.rolls,
        "contracts": shown.contracts,
        "target_credit": money(shown.target_credit),
        "floor_credit": money(shown.floor_credit),
        "natural_credit": money(shown.natural_credit),
        "max_loss_usd": money(shown.max_loss_usd),
        "max_profit_usd": money(shown.max_profit_usd),
        "breakevens": [money(point) for point in shown.breakevens],
        "probability_of_profit": shown.probability_of_profit,
        "dte": shown.dte,
        "iv_rank": shown.iv_rank,
        "iv_percentile": shown.iv_percentile,
        "iv_rank_basis": shown.iv_rank_basis,
        "stop_reachable": shown.stop_reachable,
        "snapshot": shown.snapshot_hash,
        "analyst": shown.analyst,
        "thesis": shown.thesis,
        "gates": list(shown.gates),
        "status": stored.status.value,
        "status_reason": stored.status_reason,
        "decision": None
        if decision is None
        else {
            "verdict": decision.verdict.value,
            "by": decision.decided_by,
            "door": decision.door,
            "at": decision.decided_at.isoformat(),
            "reason": decision.reason,
        },
        "run_id": shown.run_id,
        "requotes": shown.requotes,
    }


def trade_rows(book: ExecutionLedger, trades: Sequence[Trade]) -> list[dict[str, Any]]:
    """Trades as JSON with the slippage of their entry and exit, in dollars for all contracts."""
    return [
        {
            **trade_row(trade),
            "entry_slippage": money(entry_slippage_usd(book, trade)),
            "exit_slippage": money(exit_slippage_usd(book, trade)),
        }
        for trade in trades
    ]


def trade_row(trade: Trade) -> dict[str, Any]:
    """A trade as JSON: entry and exit of every leg, prices per share."""
    exits = {leg.symbol: leg for leg in trade.exit_legs}
    entries = {leg.symbol: leg for leg in trade.entry_legs}
    return {
        "id": trade.id,
        "recommendation_id": trade.recommendation_id,
        "strategy": trade.structure.strategy,
        "underlying": trade.structure.underlying,
        "contracts": trade.contracts,
        "status": trade.status.value,
        "entry_time": trade.entry_time.isoformat(),
        "exit_time": _moment(trade.exit_time),
        "exit_reason": trade.exit_reason.value if trade.exit_reason else None,
        "entry_credit": money(trade.entry_credit),
        "exit_debit": money(trade.exit_debit),
        "fees": money(trade.fees_usd),
        "pnl": money(trade.pnl_usd),
        "legs": [
            {
                "symbol": symbol,
                "side": leg.side.value,
                "ratio": leg.ratio,
                **_side("entry", entries.get(symbol)),
                **_side("exit", exits.get(symbol)),
            }
            for leg in trade.structure.legs
            for symbol in [leg.contract.symbol]
        ],
    }


def _side(when: str, leg: LegPrice | None) -> dict[str, Any]:
    return {
        f"{when}_price": money(leg.price) if leg else None,
        f"{when}_bid": money(leg.bid) if leg else None,
        f"{when}_ask": money(leg.ask) if leg else None,
        f"{when}_snapshot": leg.snapshot if leg else None,
    }


def money(value: Decimal | None) -> str | None:
    """A decimal string in plain notation with at least two decimals."""
    if value is None:
        return None
    exponent = value.normalize().as_tuple().exponent
    places = max(2, -exponent if isinstance(exponent, int) else 2)
    # Adding zero takes the sign off a zero.
    return f"{value + 0:.{places}f}"


def _moment(value: datetime | None) -> str | None:
    return value.isoformat() if value else None
