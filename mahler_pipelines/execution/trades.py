"""Trades: a structure from its opening fill to its close, and what it earned."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from mahler_pipelines.options.structures import Structure, dollars


class ExitReason(StrEnum):
    """Why a trade was closed."""

    PROFIT_TARGET = "profit_target"
    STOP_LOSS = "stop_loss"
    TIME_EXIT = "time_exit"
    EXPIRY_CUTOFF = "expiry_cutoff"
    EARLY_ASSIGNMENT = "early_assignment"
    EXPIRED = "expired"
    ASSIGNED = "assigned"
    EXERCISED = "exercised"
    LIQUIDATED = "liquidated"
    ROLLED = "rolled"
    MANUAL = "manual"


class TradeStatus(StrEnum):
    """OPEN, then CLOSING while a closing order works, then CLOSED."""

    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class LegPrice:
    """Price of one leg at entry or exit, with the quote and the snapshot it was filled against.

    `bid`, `ask` and `snapshot` are None where nothing was quoted (an expiry settlement).
    """

    symbol: str
    price: Decimal
    bid: Decimal | None
    ask: Decimal | None
    snapshot: str | None


@dataclass(frozen=True, slots=True)
class Trade:
    """One trade. Prices per share; `entry_credit` is the net of the filled legs."""

    id: str
    account_id: str
    recommendation_id: str
    structure: Structure
    contracts: int
    entry_time: datetime
    entry_credit: Decimal
    entry_legs: tuple[LegPrice, ...]
    status: TradeStatus
    exit_time: datetime | None
    exit_debit: Decimal | None
    exit_reason: ExitReason | None
    exit_legs: tuple[LegPrice, ...]
    fees_usd: Decimal
    pnl_usd: Decimal | None


@dataclass(frozen=True, slots=True)
class PositionMark:
    """What an open trade is worth at one moment. `cost_to_close` is per share, at mid.

    `warning` is what the broker may do with it by itself: on its last day, or by early assignment.
    """

    trade_id: str
    marked_at: datetime
    cost_to_close: Decimal | None
    natural_cost_to_close: Decimal | None
    unrealised_pnl_usd: Decimal | None
    underlying_price: Decimal | None
    dte: int
    snapshot_hash: str | None
    problem: str = ""
    warning: str = ""


def net_credit(structure: Structure, prices: dict[str, Decimal]) -> Decimal:
    """Net credit per share of one unit at these leg prices; negative is a debit."""
    return sum(
        (-leg.signed_ratio * prices[leg.contract.symbol] for leg in structure.legs), Decimal(0)
    )


def realised_pnl(
    *, entry_credit: Decimal, exit_debit: Decimal, contracts: int, fees_usd: Decimal
) -> Decimal:
    """Dollars earned: credit received less debit paid, for all contracts, less fees."""
    return dollars(entry_credit - exit_debit, contracts) - fees_usd
