"""Follow an id to everything behind it: who decided, what was shown, its rivals, quotes, orders.

Whatever is asked about (a recommendation, trade, order, fill, finding, or the broker's own id of an
order), the answer is the same chain, from the scan to the last fill.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mahler_pipelines.decisions.approvals import ANSWER_REFUSED, offered_instead
from mahler_pipelines.decisions.ledger import AuditEvent, StoredRecommendation
from mahler_pipelines.decisions.recommendation import Recommendation
from mahler_pipelines.execution.account_view import GATES_ASKED
from mahler_pipelines.execution.broker_books import FindingRecord
from mahler_pipelines.execution.ledger import OrderRecord
from mahler_pipelines.execution.trades import Trade
from mahler_pipelines.market.lake import Lake
from mahler_pipelines.review.ledger import Ledger, LedgerBook
from mahler_pipelines.review.rivals import candidate_and_rivals, refused_by_code
from mahler_pipelines.review.rows import recommendation_row, trade_rows


@dataclass(frozen=True, slots=True)
class Subject:
    """What an id turned out to be, and where the chain behind it begins.

    `order` is there for an order or a fill of one, `finding` for a finding; an order that disposes
    of what no trade stands behind leads to no recommendation.
    """

    kind: str
    recommendation_id: str | None = None
    order: OrderRecord | None = None
    finding: FindingRecord | None = None


def explain_subject(
    ledgers: LedgerBook, lake: Lake, *, account_id: str, identifier: str
) -> dict[str, Any] | None:
    """Everything the ledger and the lake hold on this id; None where nothing is called so."""
    with ledgers.reading(account_id) as book:
        subject = _subject(book, identifier)
        if subject is None:
            return None
        told: dict[str, Any] = {
            "asked": {"id": identifier, "is": subject.kind},
            "finding": asdict(subject.finding) if subject.finding else None,
        }
        stored = _stored(book, subject.recommendation_id)
        if stored is None:
            orders = [subject.order] if subject.order else []
            return {**told, **_without_recommendation(book, identifier, orders)}
        return {**told, **_chain(lake, book, stored)}


def _subject(book: Ledger, identifier: str) -> Subject | None:
    if book.recommendation(identifier) is not None:
        return Subject("recommendation", identifier)
    if (trade := book.trade(identifier)) is not None:
        return Subject("trade", trade.recommendation_id)
    if (finding := book.finding(identifier)) is not None:
        return _of_finding(book, finding)
    order = book.order(identifier)
    if order is not None:
        return Subject("order", _recommendation_of(book, order), order)
    for known in book.orders():
        if known.broker_order_id == identifier:
            return Subject("order at the broker", _recommendation_of(book, known), known)
    for fill in book.fills():
        if fill.id == identifier and (filled := book.order(fill.client_order_id)) is not None:
            return Subject("fill", _recommendation_of(book, filled), filled)
    return None


def _of_finding(book: Ledger, finding: FindingRecord) -> Subject:
    """A finding is about an order or a contract: it leads to the order, or to who held that."""
    order = book.order(finding.subject)
    if order is not None:
        return Subject("finding", _recommendation_of(book, order), order, finding)
    held = [trade for trade in book.trades() if finding.subject in trade.structure.symbols]
    behind = held[-1].recommendation_id if held else None
    return Subject("finding", behind, finding=finding)


def _recommendation_of(book: Ledger, order: OrderRecord) -> str | None:
    if not order.purpose.reduces_risk:
        return order.subject_id
    trade = book.trade(order.subject_id)
    return trade.recommendation_id if trade else None


def _stored(book: Ledger, identifier: str | None) -> StoredRecommendation | None:
    return None if identifier is None else book.recommendation(identifier)


def _without_recommendation(
    book: Ledger, identifier: str, orders: Sequence[OrderRecord]
) -> dict[str, Any]:
    subjects = {identifier, *(order.client_order_id for order in orders)}
    return {
        "recommendation": None,
        "orders": [_order(book, order) for order in orders],
        "history": _history(book, subjects),
    }


def _chain(lake: Lake, book: Ledger, stored: StoredRecommendation) -> dict[str, Any]:
    shown = stored.recommendation
    trades = [t for t in book.trades() if t.recommendation_id == shown.id]
    orders = _orders(book, shown.id, trades)
    offers = _offers(book, stored)
    found = candidate_and_rivals(lake, offers[0].recommendation)
    events = _events(book, shown.id, trades, orders)
    return {
        "recommendation": recommendation_row(stored),
        "offers": [_offer(one) for one in offers],
        "refused_answers": [
            {"at": event.at.isoformat(), **event.detail}
            for event in events
            if event.kind == ANSWER_REFUSED
        ],
        "thesis": {
            "risks": list(shown.risks),
            "confidence": shown.confidence,
            "playbook_version": shown.playbook_version,
        },
        "gates_asked_again": [
            {"at": event.at.isoformat(), "gates": event.detail["gates"]}
            for event in events
            if event.kind == GATES_ASKED
        ][-1:],
        **found,
        "refused_by_code": refused_by_code(lake, shown),
        "quotes": _quotes(lake, shown.snapshot_hash, shown.structure.symbols),
        "orders": [_order(book, order) for order in orders],
        "trades": trade_rows(book, trades),
        "marks": [asdict(mark) for trade in trades for mark in book.marks(trade_id=trade.id)],
        "reflections": [asdict(r) for trade in trades for r in book.reflections(trade_id=trade.id)],
        "model_calls": list(book.model_calls(candidate_id=found["candidate_id"])),
        "runs": _runs(shown, orders),
        "snapshots": _snapshots(book, shown.snapshot_hash, orders),
        "history": [asdict(event) for event in events],
    }


def _offers(book: Ledger, stored: StoredRecommendation) -> list[StoredRecommendation]:
    """The chain of offers it belongs to: from what a scan proposed to what stands in its place."""
    chain = [stored]
    while (before := _stored(book, chain[0].recommendation.requotes)) is not None:
        chain.insert(0, before)
    while (after := offered_instead(book, chain[-1].recommendation.id)) is not None:
        chain.append(after)
    return chain


def _offer(stored: StoredRecommendation) -> dict[str, Any]:
    shown = stored.recommendation
    return {
        "id": shown.id,
        "created_at": shown.created_at.isoformat(),
        "target_credit": shown.target_credit,
        "floor_credit": shown.floor_credit,
        "contracts": shown.contracts,
        "underlying_price": shown.underlying_price,
        "content_hash": shown.content_hash,
        "status": stored.status.value,
        "status_reason": stored.status_reason,
    }


def _orders(book: Ledger, shown_id: str, trades: Sequence[Trade]) -> list[OrderRecord]:
    orders = list(book.orders(subject_id=shown_id))
    for trade in trades:
        orders += [*book.orders(rolls=trade.id), *book.orders(subject_id=trade.id)]
    return orders


def _order(book: Ledger, order: OrderRecord) -> dict[str, Any]:
    fills = book.fills(client_order_id=order.client_order_id)
    return {**asdict(order), "fills": [asdict(fill) for fill in fills]}


def _runs(shown: Recommendation, orders: Sequence[OrderRecord]) -> dict[str, list[str]]:
    """Runs of the graph by what they did, each once and in order."""
    opened = [order.run_id for order in orders if order.subject_id == shown.id]
    others = [order.run_id for order in orders if order.subject_id != shown.id]
    return {
        "proposed": [shown.run_id],
        "executed": list(dict.fromkeys(opened)),
        "closed": list(dict.fromkeys(others)),
    }


def _snapshots(book: Ledger, shown: str, orders: Sequence[OrderRecord]) -> list[dict[str, str]]:
    """Hashes of the quotes that were shown, and of those that the fills were held against."""
    found = {shown: "shown"}
    for order in orders:
        for fill in book.fills(client_order_id=order.client_order_id):
            if fill.snapshot is not None:
                found.setdefault(fill.snapshot, f"filled: {order.client_order_id}")
    return [{"snapshot": name, "use": use} for name, use in found.items()]


def _events(
    book: Ledger, shown_id: str, trades: Sequence[Trade], orders: Sequence[OrderRecord]
) -> list[AuditEvent]:
    names = [shown_id, *(t.id for t in trades), *(order.client_order_id for order in orders)]
    found = [event for name in names for event in book.audit_events(subject=name)]
    return sorted(found, key=lambda event: event.id)


def _history(book: Ledger, subjects: set[str]) -> list[dict[str, Any]]:
    found = [event for name in sorted(subjects) for event in book.audit_events(subject=name)]
    return [asdict(event) for event in sorted(found, key=lambda event: event.id)]


def _quotes(lake: Lake, snapshot_hash: str, symbols: tuple[str, ...]) -> list[dict[str, Any]]:
    """The quotes that were shown, from the immutable snapshot, verified by its hash."""
    snapshot = lake.snapshot(content_hash=snapshot_hash)
    rows = snapshot.quotes[snapshot.quotes["symbol"].isin(symbols)]
    return [
        {"snapshot": snapshot_hash, **{str(name): value for name, value in row.items()}}
        for row in rows.to_dict("records")
    ]
