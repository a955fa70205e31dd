"""A market made by hand: a few strikes, quotes that a test sets, known settlement values."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd

from mahler_pipelines.exchange.engine import Exchange, ExchangeTerms
from mahler_pipelines.exchange.instruments import is_index
from mahler_pipelines.exchange.market import Market, SettlementValue, StockQuote
from mahler_pipelines.market.chains import conform_quotes, empty_quotes
from mahler_pipelines.market.sessions import NEW_YORK, TradingCalendar
from mahler_pipelines.options.contracts import OptionContract, Right

CALENDAR = TradingCalendar()
FIRST, LAST = date(2026, 11, 2), date(2027, 1, 29)
OPENING = datetime(2026, 11, 2, 9, 30, tzinfo=NEW_YORK)
NEAR, FAR = date(2026, 11, 20), date(2026, 12, 18)
STRIKES = (90, 95, 100, 105, 110)


@dataclass(frozen=True, slots=True)
class Quote:
    """What is displayed of a contract."""

    bid: float
    ask: float
    bid_size: float = 50
    ask_size: float = 50


def symbol(root: str, expiration: date, right: Right, strike: int) -> str:
    """OCC symbol of a contract on the fake market."""
    return OptionContract(root, expiration, right, Decimal(strike)).symbol


def put(strike: int, expiration: date = FAR, root: str = "XYZ") -> str:
    """Symbol of a put."""
    return symbol(root, expiration, Right.PUT, strike)


def call(strike: int, expiration: date = FAR, root: str = "XYZ") -> str:
    """Symbol of a call."""
    return symbol(root, expiration, Right.CALL, strike)


def default_quote(contract: OptionContract, spot: float = 100.0) -> Quote:
    """Intrinsic value plus something for time and distance, ten cents wide."""
    strike, right = float(contract.strike), int(contract.right)
    time_value = max(0.5, 3.0 - abs(strike - spot) / 5) * (
        1.0 if contract.expiration == NEAR else 2
    )
    bid = round(max(right * (spot - strike), 0.0) + time_value, 2)
    return Quote(bid, round(bid + 0.10, 2))


@dataclass(slots=True)
class HandMadeMarket:
    """Satisfies the `Market` port. XYZ is a share, SPX an index with AM and PM roots."""

    snapshot_only: bool = False
    name: str = "hand-made"
    underlyings: tuple[str, ...] = ("SPX", "XYZ")
    overrides: dict[str, Quote] = field(default_factory=dict)
    settlements: dict[tuple[str, date], SettlementValue] = field(default_factory=dict)
    paid: dict[str, tuple[tuple[date, Decimal], ...]] = field(default_factory=dict)
    share_price: float = 100.0
    holes: set[date] = field(default_factory=set)
    hidden: set[str] = field(default_factory=set)

    def contracts(self, underlying: str) -> list[OptionContract]:
        """Everything ever listed on an underlying."""
        roots = ("SPX", "SPXW") if underlying == "SPX" else (underlying,)
        return [
            OptionContract(root, expiration, right, Decimal(strike))
            for root in roots
            for expiration in (NEAR, FAR)
            for right in (Right.CALL, Right.PUT)
            for strike in STRIKES
        ]

    def sessions(self) -> tuple[date, date]:
        return FIRST, LAST

    def has_session(self, session: date) -> bool:
        return session not in self.holes

    def snapshot_time(self, session: date) -> datetime:
        return CALENDAR.close(session) - timedelta(minutes=1)

    def quotes(self, underlying: str, when: datetime) -> pd.DataFrame:
        day = when.astimezone(NEW_YORK).date()
        if day in self.holes or underlying not in self.underlyings:
            return empty_quotes()
        listed = [c for c in self.contracts(underlying) if c.expiration >= day]
        shown = [c for c in listed if c.symbol not in self.hidden]
        if not shown:
            return empty_quotes()
        return conform_quotes(pd.DataFrame([self._row(c, when) for c in shown]))

    def _row(self, contract: OptionContract, when: datetime) -> dict[str, object]:
        quote = self.overrides.get(contract.symbol, default_quote(contract, self.share_price))
        return {
            "underlying": contract.underlying,
            "symbol": contract.symbol,
            "root": contract.root,
            "expiration": pd.Timestamp(contract.expiration),
            "right": int(contract.right),
            "strike": float(contract.strike),
            "bid": quote.bid,
            "ask": quote.ask,
            "bid_size": quote.bid_size,
            "ask_size": quote.ask_size,
            "last": quote.bid,
            "volume": 12.0,
            "previous_volume": 34.0,
            "open_interest": 567.0,
            "quote_time": pd.Timestamp(when).tz_convert("UTC"),
            "underlying_price": self.share_price,
        }

    def stock_quote(self, underlying: str, when: datetime) -> StockQuote | None:
        if underlying not in self.underlyings:
            return None
        if is_index(underlying):
            return StockQuote(None, None, 0, 0, self.share_price, when)
        bid, ask = round(self.share_price - 0.02, 2), round(self.share_price + 0.02, 2)
        return StockQuote(bid, ask, 500, 500, self.share_price, when)

    def daily_bars(self, underlying: str, start: date, end: date) -> pd.DataFrame:
        days = CALENDAR.sessions(start, end) if underlying in self.underlyings else ()
        return pd.DataFrame(
            {
                "underlying": pd.Series([underlying] * len(days), dtype="str"),
                "session": pd.to_datetime(pd.Series(days, dtype="object")).astype("datetime64[us]"),
                "open": np.full(len(days), 99.0),
                "high": np.full(len(days), 101.0),
                "low": np.full(len(days), 98.0),
                "close": np.full(len(days), 100.0),
                "volume": np.full(len(days), 1000.0),
            }
        )

    def listed_contracts(self, underlying: str, when: datetime) -> pd.DataFrame:
        day = when.astimezone(NEW_YORK).date()
        return self._listing([c for c in self.contracts(underlying) if c.expiration >= day])

    def expired_contracts(
        self, underlying: str, expires_from: date, expires_to: date
    ) -> pd.DataFrame:
        contracts = self.contracts(underlying)
        return self._listing([c for c in contracts if expires_from <= c.expiration <= expires_to])

    @staticmethod
    def _listing(contracts: list[OptionContract]) -> pd.DataFrame:
        return pd.DataFrame(
            {
                "symbol": pd.Series([c.symbol for c in contracts], dtype="str"),
                "root": pd.Series([c.root for c in contracts], dtype="str"),
                "expiration": pd.Series(
                    [pd.Timestamp(c.expiration) for c in contracts], dtype="datetime64[us]"
                ),
                "right": [int(c.right) for c in contracts],
                "strike": [float(c.strike) for c in contracts],
                "open_interest": [567.0] * len(contracts),
                "close": [1.25] * len(contracts),
            }
        )

    def option_daily_bars(self, symbols: Sequence[str], start: date, end: date) -> pd.DataFrame:
        known = {c.symbol for name in self.underlyings for c in self.contracts(name)}
        rows = [
            {
                "symbol": wanted,
                "session": pd.Timestamp(day),
                "open": 1.0,
                "high": 1.5,
                "low": 0.9,
                "close": 1.2,
                "volume": 10.0,
            }
            for wanted in symbols
            if wanted in known
            for day in CALENDAR.sessions(start, end)
        ]
        columns = ["symbol", "session", "open", "high", "low", "close", "volume"]
        return pd.DataFrame(rows, columns=columns)

    def settlement(self, root: str, expiration: date) -> SettlementValue | None:
        return self.settlements.get((root, expiration))

    def dividends(
        self, underlying: str, start: date, end: date
    ) -> tuple[tuple[date, Decimal], ...]:
        return tuple(row for row in self.paid.get(underlying, ()) if start <= row[0] <= end)


@contextmanager
def exchange_on(
    market: Market, state_dir: Path, terms: ExchangeTerms | None = None
) -> Iterator[Exchange]:
    """An exchange that stands at the opening of the market's first session."""
    exchange = Exchange(market, state_dir, terms or ExchangeTerms(start_at=OPENING))
    try:
        yield exchange
    finally:
        exchange.close()
