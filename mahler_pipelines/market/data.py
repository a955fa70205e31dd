"""The port through which the desk sees the market."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Protocol

import pandas as pd

BAR_COLUMNS = ("underlying", "session", "open", "high", "low", "close", "volume")
"""Daily bars: one row per underlying and session; `session` is datetime64[us] without zone."""

STOCK_QUOTE_COLUMNS = ("underlying", "bid", "ask", "last", "quote_time")
"""Latest share quotes; bid and ask are NaN where the market publishes none (an index)."""

OPTION_BAR_COLUMNS = ("symbol", "session", "close", "volume")
"""Daily bars of option contracts."""

DIVIDEND_COLUMNS: dict[str, str] = {
    "underlying": "str",
    "ex_date": "datetime64[us]",
    "amount": "float64",
    "payable_date": "datetime64[us]",
    "special": "bool",
}
"""Column -> dtype of cash dividends: one row per underlying and ex-date, USD per share.

`payable_date` is NaT where it is not said.
"""


class MarketData(Protocol):
    """What the desk may ask of the market. All frames are empty, never None, without data."""

    def now(self) -> datetime:
        """The market's present, with a zone; never the machine's clock."""
        ...

    def chain(self, underlying: str, *, expires_from: date, expires_to: date) -> pd.DataFrame:
        """Quotes of every listed contract, columns `chains.QUOTE_COLUMNS`."""
        ...

    def option_quotes(self, symbols: Sequence[str]) -> pd.DataFrame:
        """Quotes of contracts, columns `chains.QUOTE_COLUMNS`; unknown symbols are left out."""
        ...

    def stock_quotes(self, underlyings: Sequence[str]) -> pd.DataFrame:
        """Latest quotes, columns `STOCK_QUOTE_COLUMNS`; unknown symbols are left out."""
        ...

    def daily_bars(self, underlyings: Sequence[str], *, start: date, end: date) -> pd.DataFrame:
        """Completed daily bars from start to end inclusive, columns `BAR_COLUMNS`."""
        ...

    def listed_contracts(
        self, underlying: str, *, expires_from: date, expires_to: date, active: bool
    ) -> pd.DataFrame:
        """Contracts listed (or expired): symbol, root, expiration, right, strike."""
        ...

    def option_daily_bars(self, symbols: Sequence[str], *, start: date, end: date) -> pd.DataFrame:
        """Daily bars of contracts, columns `OPTION_BAR_COLUMNS`."""
        ...

    def dividends(self, underlyings: Sequence[str], *, start: date, end: date) -> pd.DataFrame:
        """Declared cash dividends that go ex from start to end, columns `DIVIDEND_COLUMNS`."""
        ...
