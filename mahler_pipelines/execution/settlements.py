"""Settlements: what the broker did to a position without an order of ours, booked from its history.

A trade ends by whole units. Where only one leg of a unit ended (an early assignment, a leg that was
liquidated), the other leg's contracts leave the trade at their entry price and are held beside it;
shares are held at the strike with the premium in their cost. So nothing is earned by a transfer,
and cash change = realised P/L + open value at every step. See decision 10.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from math import ceil

from mahler_pipelines.execution.booking import (
    close_books,
    closing_fills,
    fees_of,
    ordered_closes,
)
from mahler_pipelines.execution.broker_books import (
    FindingKind,
    HoldingSource,
    KnownActivity,
    LegSettlement,
)
from mahler_pipelines.execution.deliveries import (
    DELIVERING,
    delivered_shares,
    netting_level,
    pair_deliveries,
    same_day_contracts,
    shares_of,
    worth_at,
)
from mahler_pipelines.execution.desk import session_of
from mahler_pipelines.execution.fills import average_price, leg_prices
from mahler_pipelines.execution.holdings import Receipt, receive
from mahler_pipelines.execution.ledger import ExecutionLedger
from mahler_pipelines.execution.lot_settlements import (
    book_holdings,
    book_round_trips,
    lot_parts,
)
from mahler_pipelines.execution.positions import expected_positions
from mahler_pipelines.execution.trades import ExitReason, Trade, TradeStatus
from mahler_pipelines.execution.unbooked import (
    CAUSES,
    STRENGTH,
    BookedFact,
    Part,
    Unbooked,
    settled_price,
    strongest_cause,
)
from mahler_pipelines.options.contracts import SHARES_PER_CONTRACT
from mahler_pipelines.options.structures import Leg, dollars

MOVED = "moved"
"""Cause of a leg that left its trade because the other leg of its units had ended."""
REASONS = {
    FindingKind.LIQUIDATED: ExitReason.LIQUIDATED,
    FindingKind.ASSIGNED: ExitReason.ASSIGNED,
    FindingKind.EXERCISED: ExitReason.EXERCISED,
    FindingKind.EXPIRED: ExitReason.EXPIRED,
}


@dataclass(frozen=True, slots=True)
class _Ending:
    """Contracts of one leg that ended: by which row, how many, at what price per share."""

    leg: Leg
    row: KnownActivity
    contracts: int
    price: Decimal


def book_facts(
    ledger: ExecutionLedger, held: Mapping[str, int], *, fee_per_contract_usd: Decimal, at: datetime
) -> tuple[BookedFact, ...]:
    """Book every row of the history that explains, to the contract, what the broker holds now.

    `held` are the broker's signed positions. A row is booked only where what we expect and the rows
    together make what is held: until then nothing is guessed.
    """
    trades = _book_trades(ledger, held, fee=fee_per_contract_usd, at=at)
    lots = book_holdings(ledger, held, at=at)
    book_round_trips(ledger, held, at=at)
    return (*trades, *lots)


def _book_trades(
    ledger: ExecutionLedger, held: Mapping[str, int], *, fee: Decimal, at: datetime
) -> list[BookedFact]:
    rows = Unbooked(ledger.activities())
    found: list[tuple[Trade, dict[str, list[Part]]]] = []
    for trade in ledger.trades(statuses=(TradeStatus.OPEN, TradeStatus.CLOSING)):
        units, _ = closing_fills(ledger, trade)
        parts = {
            leg.contract.symbol: rows.take(
                leg.contract.symbol,
                -leg.signed_ratio * (trade.contracts - units),
                since=session_of(trade.entry_time),
            )
            for leg in trade.structure.legs
        }
        if any(parts.values()):
            found.append((trade, parts))
    beside = lot_parts(ledger, rows)
    expected = expected_positions(ledger)
    taken = _changes([beside, *(parts for _, parts in found)])
    return [
        _book_trade(ledger, trade, parts, fee=fee, at=at)
        for trade, parts in found
        if all(
            expected.get(symbol, 0) + taken[symbol] == held.get(symbol, 0)
            for symbol in trade.structure.symbols
        )
    ]


def _changes(allocated: Iterable[Mapping[str, Sequence[Part]]]) -> dict[str, int]:
    taken: dict[str, int] = defaultdict(int)
    for parts in allocated:
        for symbol, some in parts.items():
            taken[symbol] += sum(part for _, part in some)
    return taken


def _book_trade(
    ledger: ExecutionLedger,
    trade: Trade,
    parts: Mapping[str, Sequence[Part]],
    *,
    fee: Decimal,
    at: datetime,
) -> BookedFact:
    entry = {leg.symbol: leg.price for leg in trade.entry_legs}
    endings, deliveries = _endings(trade, parts, entry)
    gone = {symbol: sum(abs(part) for _, part in some) for symbol, some in parts.items()}
    units = max(ceil(gone[leg.contract.symbol] / leg.ratio) for leg in trade.structure.legs)
    moved = {
        leg.contract.symbol: leg.ratio * units - gone[leg.contract.symbol]
        for leg in trade.structure.legs
    }
    rows = [*_rows(trade, endings, at), *_moved_rows(trade, moved, entry, at)]
    before = len(ledger.settlements(trade_id=trade.id))
    ledger.add_settlements(
        [
            replace(row, id=f"{trade.id}:{number}")
            for number, row in enumerate(rows, start=before + 1)
        ]
    )
    for row, part in (one for some in parts.values() for one in some):
        ledger.book_activity(row.id, part)
    for receipt in (*_moved_lots(trade, moved, entry, at), *_shares(trade, deliveries, entry, at)):
        receive(ledger, receipt)
    pair_deliveries(ledger, parts)
    _end_if_over(ledger, trade, fee=fee, at=at)
    return BookedFact(
        subject=trade.id,
        cause=strongest_cause(one for some in parts.values() for one in some),
        symbols=(*trade.structure.symbols, trade.structure.underlying),
        contracts=units,
        activities=tuple(row.id for some in parts.values() for row, _ in some),
    )


def _endings(
    trade: Trade, parts: Mapping[str, Sequence[Part]], entry: Mapping[str, Decimal]
) -> tuple[list[_Ending], list[tuple[Leg, str, int]]]:
    """Every leg's contracts with the price they ended at, and those that left shares behind."""
    endings, delivering = [], []
    for leg in trade.structure.legs:
        for row, part in parts[leg.contract.symbol]:
            if row.kind in DELIVERING:
                delivering.append((leg, row, abs(part)))
            else:
                endings.append(_Ending(leg, row, abs(part), settled_price(row)))
    matched = same_day_contracts(delivering)
    reference = netting_level([leg for leg, row, _ in delivering if matched.get(row.id)])
    left = []
    for leg, row, count in delivering:
        offset = matched.get(row.id, 0)
        if offset:
            endings.append(_Ending(leg, row, offset, worth_at(leg.contract, reference)))
        if count > offset:
            price = transfer_price(entry[leg.contract.symbol], count - offset)
            endings.append(_Ending(leg, row, count - offset, price))
            left.append((leg, row.kind, count - offset))
    return endings, left


def transfer_price(entry: Decimal, contracts: int) -> Decimal:
    """Price at which contracts leave their trade: the entry's, their sum in whole cents.

    An average that does not divide would leave a fraction of a cent on either side.
    """
    total = dollars(entry, contracts)
    return average_price([(contracts, total / contracts / SHARES_PER_CONTRACT)])


def _rows(trade: Trade, endings: Sequence[_Ending], at: datetime) -> list[LegSettlement]:
    return [
        LegSettlement(
            id="",
            trade_id=trade.id,
            symbol=ending.leg.contract.symbol,
            side=ending.leg.side.opposite.value,
            quantity=ending.contracts,
            price=ending.price,
            cause=CAUSES[ending.row.kind].value,
            activity_id=ending.row.id,
            settled_at=at,
        )
        for ending in endings
    ]


def _moved_rows(
    trade: Trade, moved: Mapping[str, int], entry: Mapping[str, Decimal], at: datetime
) -> list[LegSettlement]:
    return [
        LegSettlement(
            id="",
            trade_id=trade.id,
            symbol=leg.contract.symbol,
            side=leg.side.opposite.value,
            quantity=moved[leg.contract.symbol],
            price=transfer_price(entry[leg.contract.symbol], moved[leg.contract.symbol]),
            cause=MOVED,
            activity_id=None,
            settled_at=at,
        )
        for leg in trade.structure.legs
        if moved[leg.contract.symbol]
    ]


def _moved_lots(
    trade: Trade, moved: Mapping[str, int], entry: Mapping[str, Decimal], at: datetime
) -> list[Receipt]:
    return [
        Receipt(
            symbol=leg.contract.symbol,
            quantity=leg.side.sign * moved[leg.contract.symbol],
            price=transfer_price(entry[leg.contract.symbol], moved[leg.contract.symbol]),
            carried_price=entry[leg.contract.symbol],
            source=HoldingSource.REMAINDER,
            origin=trade.id,
            at=at,
        )
        for leg in trade.structure.legs
        if moved[leg.contract.symbol]
    ]


def _shares(
    trade: Trade,
    deliveries: Sequence[tuple[Leg, str, int]],
    entry: Mapping[str, Decimal],
    at: datetime,
) -> list[Receipt]:
    return [
        delivered_shares(
            leg.contract,
            shares_of(leg) * count,
            premium=transfer_price(entry[leg.contract.symbol], count),
            kind=kind,
            origin=trade.id,
            at=at,
        )
        for leg, kind, count in deliveries
    ]


def _end_if_over(ledger: ExecutionLedger, trade: Trade, *, fee: Decimal, at: datetime) -> None:
    units, fills = closing_fills(ledger, trade)
    if units < trade.contracts:
        return
    causes = {row.cause for row in ledger.settlements(trade_id=trade.id)}
    reason = next(REASONS[cause] for cause in STRENGTH if cause in causes)
    ordered, _ = ordered_closes(ledger, trade)
    close_books(
        ledger,
        replace(trade, exit_reason=reason),
        exit_legs=leg_prices(trade.structure, fills),
        fees_usd=fees_of(trade.structure, ordered, fee),
        at=at,
    )
