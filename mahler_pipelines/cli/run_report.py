"""The report of a run: enough for a stranger to recompute every figure from the raw quotes."""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from mahler_pipelines.composition import ComposedDesk
from mahler_pipelines.decisions.ledger import StoredRecommendation
from mahler_pipelines.errors import MissingData
from mahler_pipelines.execution.trades import LegPrice, Trade
from mahler_pipelines.market.chains import Scan
from mahler_pipelines.review.performance import DailyPerformance
from mahler_pipelines.strategies.spread_screening import PAIR_CODES


def build_report(
    desk: ComposedDesk, sessions: Sequence[date], scans: Sequence[Scan]
) -> dict[str, Any]:
    """Collect recommendations, scans, trades and daily performance of a book."""
    with desk.ledger.reading(desk.terms.account_id) as book:
        recommendations = book.recommendations()
        trades = book.trades()
        performance = book.performance()
        reflections = book.reflections()
        rules = book.rules()
    return {
        "book": desk.paths.book,
        "account": desk.terms.account_id,
        "market": str(desk.settings.market),
        "profile": str(desk.settings.profile),
        "sessions": [str(session) for session in sessions],
        "equity_start": _money(Decimal(str(desk.settings.exchange.equity))),
        "fee_per_contract": _money(desk.terms.fee_per_contract),
        "recommendations": [recommendation_row(stored) for stored in recommendations],
        "scans": [
            found
            for session in sessions
            for scan in scans
            if (found := _scan(desk, session, scan)) is not None
        ],
        "trades": [trade_row(trade) for trade in trades],
        "performance": [_performance(row) for row in performance],
        "reflections": [
            {"trade_id": r.trade_id, "lesson": r.lesson_code, "text": r.text} for r in reflections
        ],
        "playbook_rules": [
            {"id": r.id, "status": r.status.value, "text": r.text, "evidence": r.evidence}
            for r in rules
        ],
    }


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
        "underlying_price": _money(shown.underlying_price),
        "legs": [
            {"symbol": leg.contract.symbol, "side": leg.side.value, "ratio": leg.ratio}
            for leg in shown.structure.legs
        ],
        "quotes": [
            {
                "symbol": quote.symbol,
                "bid": _money(quote.bid),
                "ask": _money(quote.ask),
                "delta": quote.delta,
                "implied_volatility": quote.implied_volatility,
            }
            for quote in shown.quotes
        ],
        "contracts": shown.contracts,
        "target_credit": _money(shown.target_credit),
        "floor_credit": _money(shown.floor_credit),
        "natural_credit": _money(shown.natural_credit),
        "max_loss_usd": _money(shown.max_loss_usd),
        "max_profit_usd": _money(shown.max_profit_usd),
        "breakevens": [_money(point) for point in shown.breakevens],
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
    }


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
        "entry_credit": _money(trade.entry_credit),
        "exit_debit": _money(trade.exit_debit),
        "fees": _money(trade.fees_usd),
        "pnl": _money(trade.pnl_usd),
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
        f"{when}_price": _money(leg.price) if leg else None,
        f"{when}_bid": _money(leg.bid) if leg else None,
        f"{when}_ask": _money(leg.ask) if leg else None,
        f"{when}_snapshot": leg.snapshot if leg else None,
    }


def _scan(desk: ComposedDesk, session: date, scan: Scan) -> dict[str, Any] | None:
    """Counts of one scan, from the lake; None where the scan was not run."""
    try:
        pairs = desk.lake.read("screen_pairs", session=session, scan=scan.value)
        refusals = desk.lake.read("screen_refusals", session=session, scan=scan.value)
        snapshot = desk.lake.snapshot(session=session, scan=scan.value)
    except MissingData:
        return None
    whole = refusals[refusals["level"] == "underlying"]
    by_code = pairs[[code.value for code in PAIR_CODES]].sum()
    return {
        "session": str(session),
        "scan": scan.value,
        "as_of": snapshot.as_of.isoformat(),
        "snapshot": snapshot.content_hash,
        "considered": int(pairs["considered"].sum()),
        "kept": int(pairs["kept"].sum()),
        "refused": {str(code): int(n) for code, n in by_code.items() if n},
        "underlyings_refused": {str(k): int(v) for k, v in whole["code"].value_counts().items()},
        "expirations": [
            {
                "underlying": row["underlying"],
                "strategy": row["strategy"],
                "root": row["root"],
                "expiration": f"{row['expiration']:%Y-%m-%d}",
                "right": "C" if row["right"] > 0 else "P",
                "legs": int(row["legs"]),
                "considered": int(row["considered"]),
                "kept": int(row["kept"]),
                "refused": int(row["refused"]),
            }
            for row in pairs.to_dict("records")
        ],
    }


def _performance(row: DailyPerformance) -> dict[str, Any]:
    return {
        "session": str(row.session),
        "equity": _money(row.equity),
        "realised_pnl": _money(row.realised_pnl),
        "unrealised_pnl": _money(row.unrealised_pnl),
        "trades_opened": row.trades_opened,
        "trades_closed": row.trades_closed,
        "open_trades": row.open_trades,
    }


def _money(value: Decimal | None) -> str | None:
    """A decimal string in plain notation with at least two decimals."""
    if value is None:
        return None
    exponent = value.normalize().as_tuple().exponent
    places = max(2, -exponent if isinstance(exponent, int) else 2)
    # Adding zero takes the sign off a zero.
    return f"{value + 0:.{places}f}"


def _moment(value: datetime | None) -> str | None:
    return value.isoformat() if value else None
