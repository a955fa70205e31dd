"""Expiry: trades whose legs were settled by the clearing house are closed from its activities."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal

from mahler_pipelines.execution.booking import close_books, closing_fills, fees_of
from mahler_pipelines.execution.broker import BrokerActivity, BrokerClock
from mahler_pipelines.execution.desk import ExecutionDesk, present, session_of
from mahler_pipelines.execution.fills import average_price
from mahler_pipelines.execution.ledger import ExecutionLedger, FillRecord
from mahler_pipelines.execution.quotes import to_price
from mahler_pipelines.execution.trades import ExitReason, LegPrice, Trade, TradeStatus
from mahler_pipelines.options.structures import Leg, Side, dollars

WORTHLESS = "OPEXP"
CASH_SETTLED = "OPCSH"
ASSIGNED = "OPASN"
EXERCISED = frozenset({"OPEXC", "OPXRC"})
"""The broker's prose spells the kind of an exercise in two ways."""

SETTLEMENT_KINDS = frozenset({WORTHLESS, CASH_SETTLED, ASSIGNED}) | EXERCISED


@dataclass(frozen=True, slots=True)
class ExpiredTrade:
    """A trade past its expiration: closed, or why it still waits."""

    trade_id: str
    reason: ExitReason | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class LegSettlement:
    """What one share of a leg was worth at its expiry."""

    symbol: str
    kind: str
    value: Decimal


def settle_expired(desk: ExecutionDesk) -> tuple[ExpiredTrade, ...]:
    """Close the trades whose expiration has passed and whose legs the broker no longer holds.

    Leg values come from the broker's activities; while one is missing (a paper account has them
    the next day) the trade stays open and says so. The exit is booked at the moment it is known.
    """
    clock = desk.broker.clock()
    now = present(clock)
    with desk.transaction() as ledger:
        held = ledger.trades(statuses=(TradeStatus.OPEN, TradeStatus.CLOSING))
    due = [trade for trade in held if _has_expired(trade, clock)]
    if not due:
        return ()
    positions = {position.symbol for position in desk.broker.positions() if position.quantity}
    activities = desk.broker.activities(after=min(trade.entry_time for trade in due))
    outcomes = []
    for trade in due:
        left = sorted(positions.intersection(trade.structure.symbols))
        if left:
            outcomes.append(ExpiredTrade(trade.id, None, f"still held: {', '.join(left)}"))
            continue
        outcomes.append(_settle(desk, trade, activities, at=now))
    return tuple(outcomes)


def leg_settlement(
    leg: Leg, activities: Sequence[BrokerActivity], *, closes: dict[date, Decimal]
) -> LegSettlement | str:
    """Value per share of one leg at expiry, or why it isn't known yet.

    Worthless legs are worth zero and cash-settled ones what they paid. An exercised or assigned
    leg that delivers shares is worth the activity's own price where it has one, else its intrinsic
    value at the underlying's close of that day (`closes`), the price the shares are carried at.
    """
    symbol = leg.contract.symbol
    rows = [row for row in activities if row.symbol == symbol and _settles(row)]
    if not rows:
        return f"no activity of {symbol} yet"
    parts = []
    for row in rows:
        value = _value(leg, row, closes)
        if value is None:
            return f"no settlement price of {symbol} yet"
        parts.append((int(abs(row.quantity)), value))
    kinds = {row.kind for row in rows}
    kind = ASSIGNED if ASSIGNED in kinds else rows[-1].kind
    return LegSettlement(symbol, kind, average_price(parts))


def _settles(row: BrokerActivity) -> bool:
    cancelled = row.raw.get("status") in ("canceled", "pending")
    return row.kind in SETTLEMENT_KINDS and row.quantity != 0 and not cancelled


def _value(leg: Leg, row: BrokerActivity, closes: dict[date, Decimal]) -> Decimal | None:
    if row.kind == WORTHLESS:
        return Decimal(0)
    if row.kind == CASH_SETTLED and row.net_amount:
        # The cash says the value; a price beside it may be the level of the index.
        return abs(row.net_amount) / dollars(Decimal(1), int(abs(row.quantity)))
    if row.price is not None:
        return row.price
    close = closes.get(min(row.day, leg.contract.expiration))
    if close is None:
        return None
    return max(leg.contract.right * (close - leg.contract.strike), Decimal(0))


def _has_expired(trade: Trade, clock: BrokerClock) -> bool:
    """Past the last session of its legs: a later date, or the same one after the close."""
    session = session_of(clock.now)
    last = max(leg.contract.expiration for leg in trade.structure.legs)
    over = not clock.is_open and session_of(clock.next_open) > session
    return last < session or (last == session and over)


def _settle(
    desk: ExecutionDesk, trade: Trade, activities: Sequence[BrokerActivity], *, at: datetime
) -> ExpiredTrade:
    since = session_of(trade.entry_time)
    recent = [row for row in activities if row.day >= since]
    closes = _closing_prices(desk, trade, since=since)
    settlements = []
    for leg in trade.structure.legs:
        settlement = leg_settlement(leg, recent, closes=closes)
        if isinstance(settlement, str):
            return ExpiredTrade(trade.id, None, settlement)
        settlements.append(settlement)
    reason = _reason(trade, settlements)
    with desk.transaction() as ledger:
        current = ledger.trade(trade.id)
        if current is None or current.status is TradeStatus.CLOSED:
            return ExpiredTrade(trade.id, current.exit_reason if current else None)
        _close(desk, ledger, replace(current, exit_reason=reason), settlements, at=at)
    return ExpiredTrade(trade.id, reason)


def _reason(trade: Trade, settlements: Sequence[LegSettlement]) -> ExitReason:
    for leg, settlement in zip(trade.structure.legs, settlements, strict=True):
        if leg.side is Side.SELL and settlement.kind == ASSIGNED:
            return ExitReason.ASSIGNED
    return ExitReason.EXPIRED


def _close(
    desk: ExecutionDesk,
    ledger: ExecutionLedger,
    trade: Trade,
    settlements: Sequence[LegSettlement],
    *,
    at: datetime,
) -> None:
    """Close what expired together with what closing orders had filled before."""
    closed, fills = closing_fills(ledger, trade)
    rest = trade.contracts - closed
    exits = [
        _exit_leg(
            leg, settlement, [fill for fill in fills if fill.symbol == settlement.symbol], rest
        )
        for leg, settlement in zip(trade.structure.legs, settlements, strict=True)
    ]
    fees = fees_of(trade.structure, closed, desk.terms.fee_per_contract_usd)
    close_books(ledger, trade, exit_legs=exits, fees_usd=fees, at=at)


def _exit_leg(
    leg: Leg, settlement: LegSettlement, fills: Sequence[FillRecord], rest: int
) -> LegPrice:
    parts = [(fill.quantity, fill.price) for fill in fills]
    parts.append((rest * leg.ratio, settlement.value))
    price = average_price(parts) if rest or fills else settlement.value
    return LegPrice(settlement.symbol, price, None, None, None)


def _closing_prices(desk: ExecutionDesk, trade: Trade, *, since: date) -> dict[date, Decimal]:
    """Closes of the underlying from the entry to the last expiration, where there are bars."""
    last = max(leg.contract.expiration for leg in trade.structure.legs)
    bars = desk.market_data.daily_bars([trade.structure.underlying], start=since, end=last)
    prices = {
        moment.date(): to_price(float(close))
        for moment, close in zip(bars["session"], bars["close"], strict=True)
    }
    return {day: price for day, price in prices.items() if price is not None}
