"""Lots that end without an order of ours: run out, delivered, or traded by another hand."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal

from mahler_pipelines.execution.broker_books import Holding, HoldingSource, KnownActivity
from mahler_pipelines.execution.broker_history import FILL
from mahler_pipelines.execution.deliveries import (
    DELIVERING,
    DELIVERY_SOURCES,
    delivered_shares,
    pair_deliveries,
)
from mahler_pipelines.execution.desk import session_of
from mahler_pipelines.execution.holdings import Receipt, option_of, receive
from mahler_pipelines.execution.ledger import ExecutionLedger
from mahler_pipelines.execution.positions import expected_positions
from mahler_pipelines.execution.unbooked import (
    BookedFact,
    Part,
    Unbooked,
    settled_price,
    strongest_cause,
)
from mahler_pipelines.options.contracts import SHARES_PER_CONTRACT

ANOTHER_HAND = "another hand"
"""Origin of lots whose orders are not ours."""


def book_holdings(
    ledger: ExecutionLedger, held: Mapping[str, int], *, at: datetime
) -> list[BookedFact]:
    """Book what ended lots outside trades: expiry, delivery, and orders of another hand."""
    facts = []
    for symbol in dict.fromkeys(lot.symbol for lot in ledger.holdings()):
        parts = lot_parts(ledger, Unbooked(ledger.activities())).get(symbol, [])
        expected = expected_positions(ledger)
        taken = sum(part for _, part in parts)
        if not parts or expected.get(symbol, 0) + taken != held.get(symbol, 0):
            continue
        lots = [lot for lot in ledger.holdings() if lot.symbol == symbol]
        facts.append(_book_lots(ledger, symbol, lots, parts, at=at))
    return facts


def lot_parts(ledger: ExecutionLedger, rows: Unbooked) -> dict[str, list[Part]]:
    """What the rows that trades left over say of lots outside them."""
    lots: dict[str, list[Holding]] = defaultdict(list)
    for lot in ledger.holdings():
        lots[lot.symbol].append(lot)
    return {
        symbol: rows.take(symbol, -sum(lot.quantity for lot in some), since=_since(some))
        for symbol, some in lots.items()
    }


def _since(lots: Sequence[Holding]) -> date:
    """Shares that were delivered may have been sold before their delivery was posted."""
    if any(lot.source in DELIVERY_SOURCES.values() for lot in lots):
        return date.min
    return min(session_of(lot.opened_at) for lot in lots)


def _book_lots(
    ledger: ExecutionLedger,
    symbol: str,
    lots: Sequence[Holding],
    parts: Sequence[Part],
    *,
    at: datetime,
) -> BookedFact:
    contract = option_of(symbol)
    for row, part in parts:
        premium = _cost_of_oldest(ledger, symbol, abs(part))
        delivering = contract is not None and row.kind in DELIVERING
        price = premium if delivering else settled_price(row)
        source = DELIVERY_SOURCES.get(row.kind, lots[0].source)
        receive(ledger, Receipt(symbol, part, price, price, source, lots[0].origin, at))
        ledger.book_activity(row.id, part)
        if contract is not None and row.kind in DELIVERING:
            shares = contract.right * -part * SHARES_PER_CONTRACT
            receive(
                ledger,
                delivered_shares(
                    contract,
                    shares,
                    premium=premium,
                    kind=row.kind,
                    origin=lots[0].origin,
                    at=at,
                ),
            )
    pair_deliveries(ledger, {symbol: parts})
    underlying = (contract.underlying,) if contract else ()
    return BookedFact(
        subject=lots[0].id,
        cause=strongest_cause(parts),
        symbols=(symbol, *underlying),
        contracts=abs(sum(part for _, part in parts)),
        activities=tuple(row.id for row, _ in parts),
    )


def _cost_of_oldest(ledger: ExecutionLedger, symbol: str, quantity: int) -> Decimal:
    """Average price of the oldest contracts of a symbol's lots: those that are delivered first."""
    left, paid = quantity, Decimal(0)
    for lot in ledger.holdings():
        if lot.symbol == symbol and left:
            part = min(left, abs(lot.quantity))
            paid += part * lot.average_price
            left -= part
    return paid / quantity


def book_round_trips(ledger: ExecutionLedger, held: Mapping[str, int], *, at: datetime) -> None:
    """Take up what another hand opened and closed again between two looks.

    It changed no position and moved cash: as lots that are closed its result is in the account's,
    and its fills cannot be taken for the end of something of ours later on.
    """
    rows: dict[str, list[KnownActivity]] = defaultdict(list)
    for row in ledger.activities():
        if row.kind == FILL and not row.ours and row.left and row.price is not None:
            rows[row.symbol].append(row)
    expected = expected_positions(ledger)
    for symbol, trips in rows.items():
        if sum(row.left for row in trips) or expected.get(symbol, 0) != held.get(symbol, 0):
            continue
        for row in trips:
            price = settled_price(row)
            source = HoldingSource.ADOPTED
            receive(ledger, Receipt(symbol, row.left, price, price, source, ANOTHER_HAND, at))
            ledger.book_activity(row.id, row.left)
