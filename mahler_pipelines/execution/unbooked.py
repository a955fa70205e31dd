"""Unbooked rows: what the broker's history says of ends that nothing has taken up yet."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from mahler_pipelines.execution.broker_books import FindingKind, KnownActivity
from mahler_pipelines.execution.broker_history import (
    ASSIGNED,
    CASH_SETTLED,
    EXERCISED,
    FILL,
    WORTHLESS,
)
from mahler_pipelines.options.structures import dollars

CAUSES = {
    WORTHLESS: FindingKind.EXPIRED,
    CASH_SETTLED: FindingKind.EXPIRED,
    ASSIGNED: FindingKind.ASSIGNED,
    EXERCISED: FindingKind.EXERCISED,
    FILL: FindingKind.LIQUIDATED,
}
STRENGTH = (
    FindingKind.LIQUIDATED,
    FindingKind.ASSIGNED,
    FindingKind.EXERCISED,
    FindingKind.EXPIRED,
)
"""The strongest cause among several names them all."""

Part = tuple[KnownActivity, int]
"""A row of the history and the signed part of it that one position takes up."""


@dataclass(frozen=True, slots=True)
class BookedFact:
    """What was booked: the trade or lot it ended a part of, and the symbols that moved."""

    subject: str
    cause: FindingKind
    symbols: tuple[str, ...]
    contracts: int
    activities: tuple[str, ...]


class Unbooked:
    """Rows that nothing has taken up, handed out oldest first."""

    def __init__(self, rows: Iterable[KnownActivity]) -> None:
        self._rows = [row for row in rows if row.left and (row.kind in CAUSES and not row.ours)]
        self._left = {row.id: row.left for row in self._rows}

    def take(self, symbol: str, wanted: int, *, since: date) -> list[Part]:
        """Take at most a signed quantity of a symbol's rows from a day on."""
        parts = []
        for row in self._rows:
            left = self._left[row.id]
            if row.symbol != symbol or row.day < since or left * wanted <= 0:
                continue
            part = min(abs(left), abs(wanted)) * (1 if wanted > 0 else -1)
            self._left[row.id] -= part
            wanted -= part
            parts.append((row, part))
        return parts


def strongest_cause(parts: Iterable[Part]) -> FindingKind:
    """Return the cause that names what several rows did together."""
    causes = {CAUSES[row.kind] for row, _ in parts}
    return next(cause for cause in STRENGTH if cause in causes)


def settled_price(row: KnownActivity) -> Decimal:
    """Price per share at which a row that delivers nothing ended its contracts."""
    if row.kind == CASH_SETTLED:
        # The cash says the value; a price beside it may be the level of the index.
        return abs(row.net_amount) / dollars(Decimal(1), int(abs(row.quantity)))
    if row.kind == FILL and row.price is not None:
        return row.price
    return Decimal(0)
