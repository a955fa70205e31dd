"""The market behind the local exchange: simulated or archived, seen through one port."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Protocol

import pandas as pd


@dataclass(frozen=True, slots=True)
class StockQuote:
    """A share quote; bid and ask are None where the market has only a level (an index)."""

    bid: float | None
    ask: float | None
    bid_size: int
    ask_size: int
    last: float
    time: datetime


@dataclass(frozen=True, slots=True)
class SettlementValue:
    """The price on which an expiration settles, and where it was taken from."""

    value: Decimal
    source: str


class Market(Protocol):
    """Everything the exchange needs to know of the world. Pure in its arguments: no clock inside.

    Frames use the columns of `market.chains.QUOTE_COLUMNS` and `market.data.BAR_COLUMNS`. Nothing
    later than the asked moment is ever visible.
    """

    @property
    def name(self) -> str:
        """The book this market belongs to, such as sim-7 or archive-3fa9."""
        ...

    @property
    def underlyings(self) -> tuple[str, ...]:
        """Every underlying with listed options."""
        ...

    @property
    def snapshot_only(self) -> bool:
        """True where each session has one snapshot: the clock then stands at `snapshot_time`."""
        ...

    def sessions(self) -> tuple[date, date]:
        """First and last session that can be traded."""
        ...

    def has_session(self, session: date) -> bool:
        """Whether there is data for this session."""
        ...

    def snapshot_time(self, session: date) -> datetime:
        """When the session's quotes were taken (the last minute of the session for end-of-day)."""
        ...

    def quotes(self, underlying: str, when: datetime) -> pd.DataFrame:
        """Quotes of every contract listed at that moment, columns QUOTE_COLUMNS."""
        ...

    def stock_quote(self, underlying: str, when: datetime) -> StockQuote | None:
        """The share quote, or None for an unknown underlying or a moment without data."""
        ...

    def daily_bars(self, underlying: str, start: date, end: date) -> pd.DataFrame:
        """Daily bars of sessions in [start, end], columns BAR_COLUMNS, unadjusted."""
        ...

    def listed_contracts(self, underlying: str, when: datetime) -> pd.DataFrame:
        """Contracts listed then: symbol, root, expiration, right, strike, open_interest, close."""
        ...

    def expired_contracts(
        self, underlying: str, expires_from: date, expires_to: date
    ) -> pd.DataFrame:
        """Contracts that expired in the range, same columns (open_interest, close may be NaN)."""
        ...

    def option_daily_bars(self, symbols: Sequence[str], start: date, end: date) -> pd.DataFrame:
        """Daily option bars: symbol, session, open, high, low, close, volume."""
        ...

    def settlement(self, root: str, expiration: date) -> SettlementValue | None:
        """What contracts of this root and expiration settle on; None where nothing is known."""
        ...

    def dividends(
        self, underlying: str, start: date, end: date
    ) -> tuple[tuple[date, Decimal], ...]:
        """Cash dividends by ex-date in [start, end]."""
        ...
