"""Follow an id back to the quotes: recommendation, decision, orders, fills, trade, snapshots."""

from dataclasses import asdict
from typing import Any

from mahler_pipelines.cli.run_report import recommendation_row, trade_row
from mahler_pipelines.composition import ComposedDesk
from mahler_pipelines.decisions.recommendation import Recommendation
from mahler_pipelines.errors import MissingData
from mahler_pipelines.execution.ledger import OrderRecord
from mahler_pipelines.review.ledger import Ledger


def explain_subject(desk: ComposedDesk, identifier: str) -> dict[str, Any]:
    """Everything the ledger and the lake hold on this id; raise `MissingData` when nothing."""
    with desk.ledger.reading(desk.terms.account_id) as book:
        recommendation_id = _recommendation_behind(book, identifier)
        stored = book.recommendation(recommendation_id)
        if stored is None:
            raise MissingData(f"nothing in {desk.paths.book} is called {identifier}")
        trades = [t for t in book.trades() if t.recommendation_id == recommendation_id]
        subjects = [recommendation_id, *(trade.id for trade in trades)]
        orders = [order for subject in subjects for order in book.orders(subject_id=subject)]
        shown = stored.recommendation
        return {
            "recommendation": recommendation_row(stored),
            "quotes": _quotes(desk, shown.snapshot_hash, shown.structure.symbols),
            "orders": [_order(book, order) for order in orders],
            "trades": [trade_row(trade) for trade in trades],
            "marks": [asdict(mark) for trade in trades for mark in book.marks(trade_id=trade.id)],
            "reflections": [
                asdict(r) for trade in trades for r in book.reflections(trade_id=trade.id)
            ],
            "model_calls": list(book.model_calls(candidate_id=_candidate(desk, shown))),
            "history": [
                asdict(event)
                for subject in subjects
                for event in book.audit_events(subject=subject)
            ],
        }


def _recommendation_behind(book: Ledger, identifier: str) -> str:
    if (order := book.order(identifier)) is not None:
        identifier = order.subject_id
    if (trade := book.trade(identifier)) is not None:
        return trade.recommendation_id
    return identifier


def _candidate(desk: ComposedDesk, shown: Recommendation) -> str:
    """The candidate that became this recommendation, from the scan's own table; "" if unknown."""
    table = f"{shown.account_id}.recommendations"
    if not desk.lake.has(table, session=shown.session, scan=shown.scan):
        return ""
    proposals = desk.lake.read(table, session=shown.session, scan=shown.scan)
    found = proposals.loc[proposals["recommendation_id"] == shown.id, "candidate_id"]
    return str(found.iloc[0]) if len(found) else ""


def _order(book: Ledger, order: OrderRecord) -> dict[str, Any]:
    fills = book.fills(client_order_id=order.client_order_id)
    return {**asdict(order), "fills": [asdict(fill) for fill in fills]}


def _quotes(
    desk: ComposedDesk, snapshot_hash: str, symbols: tuple[str, ...]
) -> list[dict[str, Any]]:
    """The quotes that were shown, from the immutable snapshot, verified by its hash."""
    snapshot = desk.lake.snapshot(content_hash=snapshot_hash)
    rows = snapshot.quotes[snapshot.quotes["symbol"].isin(symbols)]
    return [
        {"snapshot": snapshot_hash, **{str(name): value for name, value in row.items()}}
        for row in rows.to_dict("records")
    ]
