"""The broker's history in the ledger: each row kept once, and told whose order a fill was of."""

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal

from mahler_pipelines.execution.broker import BrokerActivity
from mahler_pipelines.execution.broker_books import KnownActivity
from mahler_pipelines.execution.desk import ExecutionDesk, present
from mahler_pipelines.execution.holdings import exact_dollars
from mahler_pipelines.execution.ledger import ExecutionLedger, FillRecord

FILL = "FILL"
WORTHLESS = "OPEXP"
CASH_SETTLED = "OPCSH"
ASSIGNED = "OPASN"
EXERCISED = "OPEXC"
DELIVERED = "OPTRD"
FEE = "FEE"
ADOPTED = "ADOPTED"
"""Our own kind: a position taken over at the broker's average price, which no row explains."""

SETTLEMENT_KINDS = frozenset({WORTHLESS, CASH_SETTLED, ASSIGNED, EXERCISED})

_MISSPELT = {"OPXRC": EXERCISED}
"""The broker's prose spells the kind of an exercise in two ways."""
_NOT_EXECUTED = ("canceled", "pending")
_BEFORE_THE_LEDGER = timedelta(days=30)
_OVERLAP = timedelta(days=7)
"""A row carries the day of what happened and may be posted days later, over a long weekend."""


def read_history(desk: ExecutionDesk) -> None:
    """Bring the broker's history in the ledger up to now.

    The first reading begins a month before the ledger does, so that a position found there can be
    priced from its fills. Raises `BrokerUnavailable` when the broker cannot be read.
    """
    now = present(desk.broker.clock())
    with desk.transaction() as ledger:
        after, known = _after(ledger, now), {row.id for row in ledger.activities()}
    rows = [
        row
        for row in desk.broker.activities(after=after)
        if row.id not in known and row.raw.get("status") not in _NOT_EXECUTED
    ]
    if not rows:
        return
    own = _own_fills(desk, [row for row in rows if row.kind == FILL])
    with desk.transaction() as ledger:
        ledger.add_activities([_known(row, ours=row.id in own, at=now) for row in rows])


def foreign_fills(ledger: ExecutionLedger, symbol: str) -> list[KnownActivity]:
    """Fills of this symbol by orders that are not ours and that nothing has taken up yet."""
    return [
        row
        for row in ledger.activities()
        if row.symbol == symbol and row.kind == FILL and not row.ours and row.left
    ]


def _after(ledger: ExecutionLedger, now: datetime) -> datetime:
    seen = [row.day for row in ledger.activities() if row.kind != ADOPTED]
    if seen:
        return datetime.combine(max(seen), time.min, UTC) - _OVERLAP
    moments = [trade.entry_time for trade in ledger.trades()]
    beginning = ledger.cash_beginning()
    moments += [beginning.at] if beginning else []
    return min([*moments, now]) - _BEFORE_THE_LEDGER


def _known(row: BrokerActivity, *, ours: bool, at: datetime) -> KnownActivity:
    return KnownActivity(
        id=row.id,
        kind=_MISSPELT.get(row.kind, row.kind),
        day=row.day,
        symbol=row.symbol,
        quantity=row.quantity,
        price=row.price,
        net_amount=row.net_amount,
        order_id=row.order_id,
        group_id=row.raw.get("group_id"),
        ours=ours,
        booked_quantity=Decimal(0),
        seen_at=at,
    )


def _own_fills(desk: ExecutionDesk, rows: Sequence[BrokerActivity]) -> frozenset[str]:
    """Ids of the fills that orders of this ledger made.

    Where what is new of a symbol adds up to what we filled of it and had not seen in the history,
    all of it is ours; only else is the broker asked for the ids under which our orders ran.
    """
    if not rows:
        return frozenset()
    with desk.transaction() as ledger:
        fills, orders, seen = ledger.fills(), ledger.orders(), ledger.activities()
    own: set[str] = set()
    for symbol in {row.symbol for row in rows}:
        mine = [fill for fill in fills if fill.symbol == symbol]
        new = [row for row in rows if row.symbol == symbol]
        attributed = [row for row in seen if row.symbol == symbol and row.kind == FILL and row.ours]
        if _sums([*new, *attributed]) == _filled(mine):
            own |= {row.id for row in new}
            continue
        asked = [order for order in orders if symbol in {leg.symbol for leg in order.legs}]
        ids: set[str] = set()
        for order in asked:
            found = desk.broker.order_by_client_id(order.client_order_id)
            ids |= {found.id, *found.leg_ids} if found else set()
        own |= {row.id for row in new if row.order_id in ids}
    return frozenset(own)


def _sums(rows: Sequence[BrokerActivity | KnownActivity]) -> tuple[Decimal, Decimal, Decimal]:
    """Quantity, its absolute, and cash: three sums that another hand's fills hardly leave alone."""
    return (
        sum((row.quantity for row in rows), Decimal(0)),
        sum((abs(row.quantity) for row in rows), Decimal(0)),
        sum((row.net_amount for row in rows), Decimal(0)).quantize(Decimal("0.01")),
    )


def _filled(fills: Sequence[FillRecord]) -> tuple[Decimal, Decimal, Decimal]:
    signed = [fill.quantity if fill.side == "buy" else -fill.quantity for fill in fills]
    cash = sum(
        (
            -exact_dollars(fill.symbol, fill.price, quantity)
            for fill, quantity in zip(fills, signed, strict=True)
        ),
        Decimal(0),
    )
    return (
        Decimal(sum(signed)),
        Decimal(sum(map(abs, signed))),
        cash.quantize(Decimal("0.01")),
    )
