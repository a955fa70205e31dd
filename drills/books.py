"""Two sets of books held against each other: the ledger's, and the exchange's own."""

import json
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from itertools import pairwise
from typing import Any

from mahler_pipelines.decisions.ledger import StoredRecommendation
from mahler_pipelines.decisions.recommendation import DecisionVerdict, RecommendationStatus
from mahler_pipelines.execution.booking import fees_of
from mahler_pipelines.execution.fills import average_price, quantities
from mahler_pipelines.execution.ledger import FillRecord, OrderPurpose, OrderRecord
from mahler_pipelines.execution.positions import expected_positions
from mahler_pipelines.execution.trades import Trade, TradeStatus
from mahler_pipelines.options.structures import dollars
from mahler_pipelines.storage.ledger import SqlLedgerBook

KEYS = {"APCA-API-KEY-ID": "local-main", "APCA-API-SECRET-KEY": "local-secret"}
PAGE = 500
CENT = Decimal("0.01")
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_ENDED = frozenset(
    {
        RecommendationStatus.EXECUTED,
        RecommendationStatus.LAPSED,
        RecommendationStatus.EXPIRED,
        RecommendationStatus.FAILED,
    }
)


class Violation(StrEnum):
    """What must never be found."""

    LOST_APPROVAL = "lost approvals"
    DUPLICATE_ORDER = "duplicate orders"
    GHOST_TRADE = "ghost trades"
    ORPHANED_ORDER = "orders nobody approved"
    OVERCLOSED = "trades closed beyond their size"
    QUANTITY = "quantities that differ"
    PRICE = "prices that differ"
    CASH = "cash that differs"
    PROCESS = "processes that failed"


@dataclass(frozen=True, slots=True)
class LedgerBooks:
    """What the ledger says."""

    recommendations: tuple[StoredRecommendation, ...]
    orders: tuple[OrderRecord, ...]
    fills: tuple[FillRecord, ...]
    trades: tuple[Trade, ...]
    positions: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class ExchangeBooks:
    """What the exchange says: orders by client order id, signed holdings with their price, cash."""

    orders: tuple[Mapping[str, Any], ...]
    positions: Mapping[str, tuple[int, Decimal]]
    cash: Decimal


@dataclass(frozen=True, slots=True)
class Verdict:
    """How approvals ended, and every violation with what it was found on.

    `one_order` approvals had an order at the exchange, `walked` of them one after another.
    """

    approvals: int
    one_order: int
    no_order: Mapping[str, int]
    trades: int
    closed: int
    walked: int = 0
    violations: Mapping[Violation, tuple[str, ...]] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether nothing was found."""
        return not any(self.violations.values())


def read_ledger(book: SqlLedgerBook, account: str) -> LedgerBooks:
    """Read everything of an account at one moment."""
    from mahler_pipelines.execution.desk import session_of

    with book.reading(account) as ledger:
        orders = ledger.orders()
        first = min((order.intended_at for order in orders), default=None)
        held = expected_positions(ledger, after=session_of(first)) if first else {}
        return LedgerBooks(ledger.recommendations(), orders, ledger.fills(), ledger.trades(), held)


def read_exchange(url: str) -> ExchangeBooks:
    """Read the exchange itself, without the desk's adapter: a shared misreading can't hide."""
    orders: list[dict[str, Any]] = []
    path = f"/v2/orders?status=all&nested=true&direction=asc&limit={PAGE}"
    page = _get(url, path)
    while page:
        orders += page
        page = _get(url, f"{path}&after_order_id={page[-1]['id']}") if len(page) == PAGE else []
    positions = {
        row["symbol"]: (_signed(row), Decimal(row["avg_entry_price"]))
        for row in _get(url, "/v2/positions")
    }
    return ExchangeBooks(tuple(orders), positions, Decimal(_get(url, "/v2/account")["cash"]))


def order_at_exchange(url: str, client_order_id: str) -> Mapping[str, Any] | None:
    """Return the exchange's own order of this id, None where it has none."""
    try:
        path = f"/v2/orders:by_client_order_id?client_order_id={client_order_id}"
        return dict(_get(url, path))
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 404:
            return None
        raise


def compare(
    ledger: LedgerBooks,
    exchange: ExchangeBooks,
    *,
    starting_cash: Decimal,
    fee_per_contract: Decimal,
    failures: Sequence[str] = (),
) -> Verdict:
    """Hold the two against each other and name every difference."""
    sent = Counter(str(order["client_order_id"]) for order in exchange.orders)
    approved = [one for one in ledger.recommendations if _approved(one)]
    by_subject: dict[str, list[OrderRecord]] = {}
    for order in ledger.orders:
        by_subject.setdefault(order.subject_id, []).append(order)
    attempts = {
        one.recommendation.id: _attempts(exchange, by_subject.get(one.recommendation.id, []))
        for one in approved
    }
    arrived = {key: len(orders) for key, orders in attempts.items()}
    without = [one for one in approved if not arrived[one.recommendation.id]]
    found = {
        Violation.LOST_APPROVAL: _lost(approved, without),
        Violation.DUPLICATE_ORDER: _duplicates(approved, attempts, sent),
        Violation.GHOST_TRADE: _ghosts(ledger, arrived),
        Violation.ORPHANED_ORDER: _orphans(ledger, exchange, arrived),
        Violation.OVERCLOSED: _overclosed(ledger, exchange, by_subject),
        Violation.QUANTITY: _quantities(ledger, exchange),
        Violation.PRICE: _prices(ledger, exchange),
        Violation.CASH: _cash(ledger, exchange, starting_cash, fee_per_contract),
        Violation.PROCESS: list(failures),
    }
    return Verdict(
        approvals=len(approved),
        one_order=sum(count > 0 for count in arrived.values()),
        walked=sum(count > 1 for count in arrived.values()),
        no_order=Counter(f"{one.status}: {one.status_reason or '?'}" for one in without),
        trades=len(ledger.trades),
        closed=sum(trade.status is TradeStatus.CLOSED for trade in ledger.trades),
        violations={kind: tuple(rows) for kind, rows in found.items()},
    )


def _attempts(
    exchange: ExchangeBooks, orders: Sequence[OrderRecord]
) -> tuple[Mapping[str, Any], ...]:
    """The exchange's own orders of one approval, in the order of their attempts."""
    places = {order.client_order_id: place for place, order in enumerate(orders)}
    found = [order for order in exchange.orders if str(order["client_order_id"]) in places]
    return tuple(sorted(found, key=lambda order: places[str(order["client_order_id"])]))


def _approved(one: StoredRecommendation) -> bool:
    return one.decision is not None and one.decision.verdict is DecisionVerdict.APPROVE


def _lost(
    approved: Sequence[StoredRecommendation], without: Sequence[StoredRecommendation]
) -> list[str]:
    """Approvals that have not ended, and those without an order that do not say why."""
    hanging = [one for one in approved if one.status not in _ENDED]
    silent = [one for one in without if one.status in _ENDED and not one.status_reason]
    return [f"{one.recommendation.id} is {one.status}" for one in (*hanging, *silent)]


def _duplicates(
    approved: Sequence[StoredRecommendation],
    attempts: Mapping[str, Sequence[Mapping[str, Any]]],
    sent: Mapping[str, int],
) -> list[str]:
    """Approvals that had two orders at once or opened more than was approved; ids used twice.

    A walk is several orders, one after another: each is sent when the one before has ended.
    """
    rows = [f"{key}: {count} times" for key, count in sent.items() if count > 1]
    for one in approved:
        shown, orders = one.recommendation, attempts[one.recommendation.id]
        rows += [
            f"{shown.id}: {after['client_order_id']} before {before['client_order_id']} had ended"
            for before, after in pairwise(orders)
            if not _ended_by(before, str(after.get("submitted_at")))
        ]
        opened = sum(int(order["filled_qty"]) for order in orders)
        if opened > shown.contracts:
            rows.append(f"{shown.id}: {opened} of {shown.contracts} approved contracts opened")
    return rows


def _ended_by(order: Mapping[str, Any], moment: str) -> bool:
    ends = (order.get(name) for name in ("filled_at", "canceled_at", "expired_at"))
    return any(
        end is not None and datetime.fromisoformat(end) <= datetime.fromisoformat(moment)
        for end in ends
    )


def _ghosts(ledger: LedgerBooks, arrived: Mapping[str, int]) -> list[str]:
    """Trades without an order at the exchange, and executed approvals without a trade."""
    traded = Counter(trade.recommendation_id for trade in ledger.trades)
    ghosts = [f"{key}: no order" for key in traded if not arrived.get(key)]
    ghosts += [f"{key}: {count} trades" for key, count in traded.items() if count > 1]
    executed = {
        one.recommendation.id
        for one in ledger.recommendations
        if one.status is RecommendationStatus.EXECUTED
    }
    return ghosts + [f"{key}: executed and traded differ" for key in executed ^ set(traded)]


def _orphans(ledger: LedgerBooks, exchange: ExchangeBooks, arrived: Mapping[str, int]) -> list[str]:
    known = {order.client_order_id: order for order in ledger.orders}
    trades = {trade.id for trade in ledger.trades}
    rows = []
    for order in exchange.orders:
        record = known.get(str(order["client_order_id"]))
        subjects = trades if record and record.purpose is OrderPurpose.CLOSE else set(arrived)
        if record is None or record.subject_id not in subjects:
            rows.append(str(order["client_order_id"]))
        elif record.filled_quantity != int(order["filled_qty"]) or not record.status.is_final:
            filled = f"{record.filled_quantity} of {order['filled_qty']} filled units"
            rows.append(f"{record.client_order_id} is {record.status} with {filled}")
    return rows


def _overclosed(
    ledger: LedgerBooks, exchange: ExchangeBooks, by_subject: Mapping[str, Sequence[OrderRecord]]
) -> list[str]:
    filled = {str(order["client_order_id"]): int(order["filled_qty"]) for order in exchange.orders}
    rows = []
    for trade in ledger.trades:
        closed = sum(filled.get(o.client_order_id, 0) for o in by_subject.get(trade.id, ()))
        ended = trade.status is TradeStatus.CLOSED
        if closed > trade.contracts or ended != (closed == trade.contracts):
            rows.append(f"{trade.id} is {trade.status}: {closed} of {trade.contracts} closed")
    return rows


def _quantities(ledger: LedgerBooks, exchange: ExchangeBooks) -> list[str]:
    held = {symbol: quantity for symbol, (quantity, _) in exchange.positions.items() if quantity}
    from_fills = {key: count for key, count in quantities(ledger.fills).items() if count}
    rows = [
        f"{symbol}: {ledger.positions.get(symbol, 0)} by trades, {held.get(symbol, 0)} held"
        for symbol in sorted(held.keys() | ledger.positions.keys())
        if held.get(symbol, 0) != ledger.positions.get(symbol, 0)
    ]
    return rows + [
        f"{symbol}: {from_fills.get(symbol, 0)} by fills, {held.get(symbol, 0)} held"
        for symbol in sorted(held.keys() | from_fills.keys())
        if held.get(symbol, 0) != from_fills.get(symbol, 0)
    ]


def _prices(ledger: LedgerBooks, exchange: ExchangeBooks) -> list[str]:
    """Entry prices of what is held against the exchange's average, per leg, to a millionth."""
    paid: dict[str, list[tuple[int, Decimal]]] = {}
    for trade in ledger.trades:
        if trade.status is not TradeStatus.CLOSED:
            for leg in trade.entry_legs:
                paid.setdefault(leg.symbol, []).append((trade.contracts, leg.price))
    rows = []
    for symbol, (_, price) in exchange.positions.items():
        own = average_price(paid[symbol]) if symbol in paid else None
        if own is None or abs(own - price) > Decimal("0.000001"):
            rows.append(f"{symbol}: {own} in the ledger, {price} at the exchange")
    return rows


def _cash(
    ledger: LedgerBooks, exchange: ExchangeBooks, starting: Decimal, fee: Decimal
) -> list[str]:
    """Cash by the fills, and by the trades where none is closed in part, against the exchange's."""
    by_fills = starting
    for fill in ledger.fills:
        sign = -1 if fill.side == "buy" else 1
        by_fills += sign * dollars(fill.price, fill.quantity) - fee * fill.quantity
    known = {"fills": by_fills}
    if all(trade.status is not TradeStatus.CLOSING for trade in ledger.trades):
        known["trades"] = starting + sum(
            (_moved(trade, fee) for trade in ledger.trades), Decimal(0)
        )
    return [
        f"{cash.quantize(CENT)} by {name}, {exchange.cash} at the exchange"
        for name, cash in known.items()
        if cash.quantize(CENT) != exchange.cash.quantize(CENT)
    ]


def _moved(trade: Trade, fee: Decimal) -> Decimal:
    """Dollars that a trade moved so far; a closed one moved what it earned."""
    if trade.pnl_usd is not None:
        return trade.pnl_usd
    entry = dollars(trade.entry_credit, trade.contracts)
    return entry - fees_of(trade.structure, trade.contracts, fee)


def _signed(row: Mapping[str, Any]) -> int:
    quantity = abs(int(Decimal(row["qty"])))
    return -quantity if row["side"] == "short" else quantity


def _get(url: str, path: str) -> Any:
    request = urllib.request.Request(url + path, headers=KEYS)  # noqa: S310 loopback
    with _DIRECT.open(request, timeout=60.0) as answer:
        return json.loads(answer.read())
