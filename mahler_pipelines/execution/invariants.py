"""Four statements that hold after every repair: quantity, average price, cash, realised P/L."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from mahler_pipelines.execution.booking import closing_fills
from mahler_pipelines.execution.broker import BrokerPosition
from mahler_pipelines.execution.broker_books import KnownActivity
from mahler_pipelines.execution.broker_history import (
    ADOPTED,
    ASSIGNED,
    CASH_SETTLED,
    DELIVERED,
    EXERCISED,
    FILL,
)
from mahler_pipelines.execution.cash_flows import cash_flows, fill_cash
from mahler_pipelines.execution.desk import session_of
from mahler_pipelines.execution.fills import LIVE_STATUSES, average_price
from mahler_pipelines.execution.holdings import cost_usd, exact_dollars, option_of
from mahler_pipelines.execution.ledger import ExecutionLedger
from mahler_pipelines.execution.positions import expected_positions, unbooked_disposals
from mahler_pipelines.execution.trades import Trade, TradeStatus
from mahler_pipelines.execution.walks import fills_without_a_trade
from mahler_pipelines.options.contracts import SHARES_PER_CONTRACT
from mahler_pipelines.options.structures import CENT

PRICE_TOLERANCE = Decimal("0.0001")
"""The broker's averages are rounded."""
_POSTED_LATE = timedelta(days=7)
"""A delivery is booked when it is posted, up to a long weekend after it happened."""


class Invariant(StrEnum):
    """What has to hold."""

    QUANTITY = "quantity"
    AVERAGE_PRICE = "average_price"
    CASH = "cash"
    REALISED = "realised"


@dataclass(frozen=True, slots=True)
class Violation:
    """An invariant that does not hold: what the ledger says and what it should be."""

    invariant: Invariant
    subject: str
    ours: Decimal
    theirs: Decimal


@dataclass(frozen=True, slots=True)
class BrokerSide:
    """What the broker says at one moment.

    `waiting` are symbols that a finding names already; while one is `settling`, its cause still to
    come, the broker's cash has moved and its history does not say so yet.
    """

    positions: Mapping[str, BrokerPosition]
    cash: Decimal
    session: date
    waiting: frozenset[str] = frozenset()
    settling: bool = False


def invariants(
    ledger: ExecutionLedger, broker: BrokerSide, *, fee_per_contract: Decimal
) -> tuple[Violation, ...]:
    """Return every invariant that does not hold now.

    Symbols that wait are findings already and left out here; the broker's cash is compared once
    nothing settles and no order of ours works, because both move it before the ledger knows.
    """
    found = [*_quantities(ledger, broker), *_prices(ledger, broker)]
    live = ledger.orders(statuses=LIVE_STATUSES)
    if not broker.settling and not live:
        found += _cash(ledger, broker.cash, fee_per_contract)
    return (*found, *_realised(ledger))


def _quantities(ledger: ExecutionLedger, broker: BrokerSide) -> list[Violation]:
    ours = expected_positions(ledger, after=broker.session)
    symbols = (ours.keys() | broker.positions.keys()) - broker.waiting
    return [
        Violation(Invariant.QUANTITY, symbol, Decimal(ours.get(symbol, 0)), Decimal(held))
        for symbol in sorted(symbols)
        if (held := _held(broker, symbol)) != ours.get(symbol, 0)
    ]


def _held(broker: BrokerSide, symbol: str) -> int:
    position = broker.positions.get(symbol)
    return position.quantity if position else 0


def _prices(ledger: ExecutionLedger, broker: BrokerSide) -> list[Violation]:
    """Compare what the broker carries a position at, where both average in the same way.

    The broker averages whatever is open; books close the oldest lot first, and net within a trade
    what was delivered in and out. After a part has closed the two differ without either being
    wrong: an option is then compared only where one lot alone was open, shares not at all. Shares
    of an assignment are compared at the strike: the premium in their cost is our convention.
    """
    found = []
    for symbol, lots in sorted(_lots(ledger).items()):
        left = [lot for lot in lots if lot.left]
        position = broker.positions.get(symbol)
        if not left or position is None or position.quantity != sum(lot.left for lot in left):
            continue
        if not _comparable(ledger, symbol, lots):
            continue
        price = average_price([(abs(lot.left), lot.price) for lot in left])
        if abs(price - position.average_entry_price) > PRICE_TOLERANCE:
            found.append(
                Violation(Invariant.AVERAGE_PRICE, symbol, price, position.average_entry_price)
            )
    return found


@dataclass(frozen=True, slots=True)
class _Lot:
    """A trade's leg or a lot outside trades: signed quantities, what it is carried at, its time."""

    opened: int
    left: int
    price: Decimal
    opened_at: datetime
    closed_at: datetime | None


def _comparable(ledger: ExecutionLedger, symbol: str, lots: Sequence[_Lot]) -> bool:
    oldest = min(lot.opened_at for lot in lots if lot.left)
    beside = [lot for lot in lots if lot.closed_at is None or lot.closed_at >= oldest]
    whole = all(lot.left == lot.opened for lot in beside)
    if option_of(symbol) is not None:
        return whole or len(beside) == 1
    side = next(lot.left for lot in lots if lot.left)
    since = session_of(oldest) - _POSTED_LATE
    changes = [row.quantity for row in ledger.activities() if _moves(row, symbol, since)]
    return whole and not any(change * side < 0 for change in changes)


def _moves(row: KnownActivity, symbol: str, since: date) -> bool:
    return row.symbol == symbol and row.kind in (FILL, DELIVERED) and row.day >= since


def _lots(ledger: ExecutionLedger) -> dict[str, list[_Lot]]:
    lots: dict[str, list[_Lot]] = defaultdict(list)
    for lot in ledger.holdings(open_only=False):
        lots[lot.symbol].append(
            _Lot(lot.opened_quantity, lot.quantity, lot.carried_price, lot.opened_at, lot.closed_at)
        )
    for trade in ledger.trades():
        units = _units(ledger, trade)
        for leg, price in zip(trade.structure.legs, trade.entry_legs, strict=True):
            lots[leg.contract.symbol].append(
                _Lot(
                    leg.signed_ratio * trade.contracts,
                    leg.signed_ratio * (trade.contracts - units),
                    price.price,
                    trade.entry_time,
                    trade.exit_time,
                )
            )
    return lots


def _cash(ledger: ExecutionLedger, cash: Decimal, fee: Decimal) -> list[Violation]:
    beginning = ledger.cash_beginning()
    if beginning is None:
        return []
    first = session_of(beginning.at)
    moved = sum(
        (
            flow.usd
            for flow in cash_flows(ledger, fee_per_contract=fee)
            if flow.known_at > beginning.at and flow.day >= first
        ),
        Decimal(0),
    )
    ours = (beginning.cash + moved).quantize(CENT)
    if ours == cash.quantize(CENT):
        return []
    return [Violation(Invariant.CASH, "cash", ours, cash)]


def realised_usd(ledger: ExecutionLedger) -> Decimal:
    """Dollars that trades, their closed parts, and lots outside trades have earned, before fees."""
    total = sum((lot.realised_usd for lot in ledger.holdings(open_only=False)), Decimal(0))
    for trade in ledger.trades():
        if trade.pnl_usd is not None:
            total += trade.pnl_usd + trade.fees_usd
        else:
            total += _part_cash(ledger, trade) + _entry(trade, _units(ledger, trade))
    return total


def open_value_usd(ledger: ExecutionLedger) -> Decimal:
    """Dollars that open positions hold at cost: what was paid for them is negative here.

    With it, cash change = realised P/L + open value: a credit that is still at risk has come in
    without being earned, and shares have been paid for without being lost.
    """
    value = -sum((cost_usd(lot) for lot in ledger.holdings()), Decimal(0))
    for trade in ledger.trades(statuses=(TradeStatus.OPEN, TradeStatus.CLOSING)):
        value += _entry(trade, trade.contracts - _units(ledger, trade))
    return value


def booked_cash_usd(ledger: ExecutionLedger) -> Decimal:
    """Dollars that everything booked so far moved, fees left out, read from fills and history.

    A position that was taken over counts with what it is carried at, as if it had been bought then.
    """
    waiting = {fill.id for fill in (*fills_without_a_trade(ledger), *unbooked_disposals(ledger))}
    total = sum((fill_cash(f) for f in ledger.fills() if f.id not in waiting), Decimal(0))
    return total + sum((_row_cash(row) for row in ledger.activities()), Decimal(0))


def _realised(ledger: ExecutionLedger) -> list[Violation]:
    ours = (realised_usd(ledger) + open_value_usd(ledger)).quantize(CENT)
    moved = booked_cash_usd(ledger).quantize(CENT)
    return [] if ours == moved else [Violation(Invariant.REALISED, "realised", ours, moved)]


def _row_cash(row: KnownActivity) -> Decimal:
    """Dollars of the part of a row that positions have taken up."""
    booked, contract = int(row.booked_quantity), option_of(row.symbol)
    if not booked or row.ours:
        return Decimal(0)
    if row.kind in (ASSIGNED, EXERCISED) and contract is not None:
        # A delivered contract leaves with -booked; a call brings shares in, a put puts them out.
        return contract.strike * contract.right * booked * SHARES_PER_CONTRACT
    if row.kind == CASH_SETTLED:
        return row.net_amount * booked / row.quantity
    if row.kind in (FILL, ADOPTED) and row.price is not None:
        return -exact_dollars(row.symbol, row.price, booked)
    return Decimal(0)


def _units(ledger: ExecutionLedger, trade: Trade) -> int:
    return closing_fills(ledger, trade)[0]


def _entry(trade: Trade, units: int) -> Decimal:
    return trade.entry_credit * units * SHARES_PER_CONTRACT


def _part_cash(ledger: ExecutionLedger, trade: Trade) -> Decimal:
    """Dollars that ending a part of a trade moved so far."""
    _, fills = closing_fills(ledger, trade)
    return sum((fill_cash(fill) for fill in fills), Decimal(0))
