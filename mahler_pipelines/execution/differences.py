"""Differences: what the broker holds and works that the ledger does not say, and the reverse."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from mahler_pipelines.execution.booking import closing_fills
from mahler_pipelines.execution.broker import BrokerOrder, BrokerPosition
from mahler_pipelines.execution.broker_books import FindingKind
from mahler_pipelines.execution.findings import Finding
from mahler_pipelines.execution.holdings import option_of
from mahler_pipelines.execution.ledger import ExecutionLedger, OrderPurpose
from mahler_pipelines.execution.pairing import unpaired_shorts
from mahler_pipelines.execution.positions import expected_positions
from mahler_pipelines.execution.trades import TradeStatus


@dataclass(frozen=True, slots=True)
class BrokerSight:
    """What the broker says at one moment."""

    positions: Mapping[str, BrokerPosition]
    orders: Sequence[BrokerOrder]
    session: date

    @property
    def held(self) -> dict[str, int]:
        """Signed quantity per symbol."""
        return {symbol: position.quantity for symbol, position in self.positions.items()}


def differences(ledger: ExecutionLedger, sight: BrokerSight) -> tuple[Finding, ...]:
    """Name every difference over the union of the broker's symbols and ours, and bare shorts."""
    return (
        *_positions(ledger, sight),
        *_orders(ledger, sight.orders),
        *_bare(ledger, sight.held),
    )


def expiring_differences(ledger: ExecutionLedger, sight: BrokerSight) -> frozenset[str]:
    """Symbols past or at their last session that one side no longer has: expiry will explain them.

    The broker takes them off after the close and says how they ended on the next day.
    """
    expected, held = expected_positions(ledger), sight.held
    return frozenset(
        symbol
        for symbol in expected.keys() | held.keys()
        if expected.get(symbol, 0) != held.get(symbol, 0)
        and not (expected.get(symbol, 0) and held.get(symbol, 0))
        and _ends_by(symbol, sight.session)
        and expected.get(symbol, 0)
    )


def _positions(ledger: ExecutionLedger, sight: BrokerSight) -> list[Finding]:
    expected, held = expected_positions(ledger, after=sight.session), sight.held
    settling = expiring_differences(ledger, sight)
    findings = []
    for symbol in sorted((expected.keys() | held.keys()) - settling):
        ours, theirs = expected.get(symbol, 0), held.get(symbol, 0)
        if ours == theirs:
            continue
        kind = FindingKind.QUANTITY_DIFFERS
        if not ours:
            kind = FindingKind.UNKNOWN_POSITION
        elif not theirs:
            kind = FindingKind.MISSING_LEG
        findings.append(Finding(kind, symbol, Decimal(ours), Decimal(theirs)))
    return findings


def _ends_by(symbol: str, day: date) -> bool:
    contract = option_of(symbol)
    return contract is not None and contract.expiration <= day


def _orders(ledger: ExecutionLedger, orders: Sequence[BrokerOrder]) -> list[Finding]:
    findings = []
    for order in orders:
        why = _orphaned(ledger, order.client_order_id)
        if why:
            quantity = Decimal(order.quantity)
            findings.append(
                Finding(
                    FindingKind.ORPHANED_ORDER, order.client_order_id, Decimal(0), quantity, why
                )
            )
    return findings


def _orphaned(ledger: ExecutionLedger, client_order_id: str) -> str:
    """Why an order that the broker works has nothing behind it; empty when it has."""
    record = ledger.order(client_order_id)
    if record is None:
        return "not in the ledger"
    if record.status.is_final:
        return f"ledger says {record.status}"
    closes = record.subject_id if record.purpose is OrderPurpose.CLOSE else record.rolls
    trade = ledger.trade(closes)
    if trade is not None and trade.status is TradeStatus.CLOSED:
        return "its trade is closed"
    return ""


def _bare(ledger: ExecutionLedger, held: Mapping[str, int]) -> list[Finding]:
    meant = _meant(ledger)
    return [
        Finding(
            FindingKind.UNPAIRED_SHORT,
            symbol,
            Decimal(-meant.get(symbol, 0)),
            Decimal(-count),
            f"buy {count - meant.get(symbol, 0)} to close",
        )
        for symbol, count in sorted(unpaired_shorts(held).items())
        if count > meant.get(symbol, 0)
    ]


def _meant(ledger: ExecutionLedger) -> dict[str, int]:
    """Shorts that a trade of ours opened without cover, as a person approved it."""
    meant: dict[str, int] = {}
    for trade in ledger.trades(statuses=(TradeStatus.OPEN, TradeStatus.CLOSING)):
        units = trade.contracts - closing_fills(ledger, trade)[0]
        legs = {leg.contract.symbol: leg.signed_ratio * units for leg in trade.structure.legs}
        for symbol, count in unpaired_shorts(legs).items():
            meant[symbol] = meant.get(symbol, 0) + count
    return meant
