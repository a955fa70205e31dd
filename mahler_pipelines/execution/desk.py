"""The desk: what execution works with, its terms, and how it looks at the market."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pandas as pd

from mahler_pipelines.execution.broker import Broker, BrokerClock
from mahler_pipelines.execution.ledger import ExecutionBook, ExecutionLedger
from mahler_pipelines.execution.quotes import BidAsk, bid_asks, underlying_prices
from mahler_pipelines.execution.repricing import WalkTerms
from mahler_pipelines.market.chains import ChainSnapshot
from mahler_pipelines.market.data import MarketData
from mahler_pipelines.market.lake import Lake

NEW_YORK = ZoneInfo("America/New_York")

OPENING_LEASE = "broker"
CLOSING_LEASE = "broker-closing"
"""Two leases, so that reducing risk never waits for an opening."""


@dataclass(frozen=True, slots=True)
class ExecutionTerms:
    """How orders are priced, asked after and given up.

    `risk_free_rate` a year (continuous) is what early exercise is judged with, `dividend_days` how
    far ahead dividends are asked for. `fee_per_contract_usd` is booked per contract and side. After
    an unknown outcome the broker is asked `asks` times, `ask_wait_seconds` apart; an order that it
    still doesn't have `unknown_grace_seconds` after the intent counts as never taken. `walk` says
    how limits move.
    """

    tick: Decimal = Decimal("0.01")
    fee_per_contract_usd: Decimal = Decimal(0)
    risk_free_rate: float = 0.04
    dividend_days: int = 120
    asks: int = 4
    ask_wait_seconds: float = 0.5
    unknown_grace_seconds: float = 120.0
    lease_seconds: float = 60.0
    walk: WalkTerms = field(default_factory=WalkTerms)


@dataclass(frozen=True, slots=True)
class ExecutionDesk:
    """One account's working place. `sleep` waits between questions to the broker."""

    account_id: str
    book: ExecutionBook
    broker: Broker
    market_data: MarketData
    lake: Lake
    run_id: str
    holder: str
    sleep: Callable[[float], None]
    dry_run: bool = False
    terms: ExecutionTerms = field(default_factory=ExecutionTerms)

    def transaction(self) -> AbstractContextManager[ExecutionLedger]:
        """Open a unit of work of this account."""
        return self.book.transaction(self.account_id)

    def lease(self, name: str) -> AbstractContextManager[None]:
        """Hold a lease of this account for the block."""
        return self.book.lease(
            name,
            account_id=self.account_id,
            holder=self.holder,
            seconds=self.terms.lease_seconds,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Observation:
    """Quotes seen at one moment, kept in the lake under `snapshot_hash`."""

    as_of: datetime
    quotes: pd.DataFrame
    underlying_prices: dict[str, Decimal]
    snapshot_hash: str

    def bid_asks(self, symbols: Iterable[str]) -> dict[str, BidAsk]:
        """Bid and ask of each symbol."""
        return bid_asks(self.quotes, symbols)


def session_of(moment: datetime) -> date:
    """Date of a moment in New York, whether or not the exchange was open."""
    return moment.astimezone(NEW_YORK).date()


def present(clock: BrokerClock) -> datetime:
    """The broker's present in UTC."""
    return clock.now.astimezone(UTC)


def observe(
    desk: ExecutionDesk,
    symbols: Iterable[str],
    underlyings: Iterable[str],
    *,
    scan: str,
    as_of: datetime,
) -> Observation:
    """Fetch quotes of contracts and underlyings once and keep them as a snapshot of `scan`.

    Shares among the `symbols` have their quote with the underlyings. No partition's pointer moves:
    a scan's snapshot stays what the scan saw.
    """
    names = list(dict.fromkeys(underlyings))
    contracts = [symbol for symbol in dict.fromkeys(symbols) if symbol not in names]
    quotes = desk.market_data.option_quotes(contracts)
    levels = underlying_prices(quotes, desk.market_data.stock_quotes(names), names)
    snapshot = ChainSnapshot(session=session_of(as_of), scan=scan, as_of=as_of, quotes=quotes)
    stored = desk.lake.add_snapshot(snapshot, move_pointer=False)
    return Observation(as_of, quotes, levels, stored)
