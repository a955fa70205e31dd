"""The report of a run: enough for a stranger to recompute every figure from the raw quotes."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from mahler_pipelines.composition import ComposedDesk
from mahler_pipelines.errors import MissingData
from mahler_pipelines.market.chains import Scan
from mahler_pipelines.review.performance import DailyPerformance
from mahler_pipelines.review.rows import money, recommendation_row, trade_rows
from mahler_pipelines.strategies.spread_screening import PAIR_CODES


def build_report(
    desk: ComposedDesk, sessions: Sequence[date], scans: Sequence[Scan]
) -> dict[str, Any]:
    """Collect recommendations, scans, trades and daily performance of a book."""
    with desk.ledger.reading(desk.terms.account_id) as book:
        recommendations = book.recommendations()
        trades = trade_rows(book, book.trades())
        performance = book.performance()
        reflections = book.reflections()
        rules = book.rules()
    return {
        "book": desk.paths.book,
        "account": desk.terms.account_id,
        "market": str(desk.settings.market),
        "profile": str(desk.settings.profile),
        "sessions": [str(session) for session in sessions],
        "equity_start": money(Decimal(str(desk.settings.exchange.equity))),
        "fee_per_contract": money(desk.terms.fee_per_contract),
        "recommendations": [recommendation_row(stored) for stored in recommendations],
        "scans": [
            found
            for session in sessions
            for scan in scans
            if (found := _scan(desk, session, scan)) is not None
        ],
        "trades": trades,
        "performance": [_performance(row) for row in performance],
        "reflections": [
            {"trade_id": r.trade_id, "lesson": r.lesson_code, "text": r.text} for r in reflections
        ],
        "playbook_rules": [
            {"id": r.id, "status": r.status.value, "text": r.text, "evidence": r.evidence}
            for r in rules
        ],
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
        "equity": money(row.equity),
        "realised_pnl": money(row.realised_pnl),
        "unrealised_pnl": money(row.unrealised_pnl),
        "trades_opened": row.trades_opened,
        "trades_closed": row.trades_closed,
        "open_trades": row.open_trades,
    }
