"""A market of closes for tests: flat volatilities, and every question it was asked."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal

import pandas as pd

from mahler_pipelines.market.data import OPTION_BAR_COLUMNS
from mahler_pipelines.options.american import price
from mahler_pipelines.options.contracts import Right, occ_symbol
from tests.market.volatility_cases import CALENDAR

SESSIONS = CALENDAR.sessions(date(2026, 1, 5), date(2026, 1, 30))
LATER = CALENDAR.sessions(date(2026, 2, 2), date(2026, 2, 6))
EXPIRATIONS = [date(2026, 1, 9) + timedelta(weeks=week) for week in range(16)]
VOLATILITY = {"AAA": 0.25, "BBB": 0.40}
LISTING = ["symbol", "root", "expiration", "right", "strike"]


@dataclass
class OptionBars:
    """A market of two names with flat volatilities; CCC has shares and no options.

    Keeps every question; the name may be asked from several threads.
    """

    listed: list[tuple[str, bool]] = field(default_factory=list)
    asked: list[tuple[date, date]] = field(default_factory=list)
    without: frozenset[date] = frozenset()
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def now(self) -> datetime:
        raise NotImplementedError

    def chain(self, underlying: str, *, expires_from: date, expires_to: date) -> pd.DataFrame:
        raise NotImplementedError

    def option_quotes(self, symbols: Sequence[str]) -> pd.DataFrame:
        raise NotImplementedError

    def stock_quotes(self, underlyings: Sequence[str]) -> pd.DataFrame:
        raise NotImplementedError

    def daily_bars(self, underlyings: Sequence[str], *, start: date, end: date) -> pd.DataFrame:
        raise NotImplementedError

    def listed_contracts(
        self, underlying: str, *, expires_from: date, expires_to: date, active: bool
    ) -> pd.DataFrame:
        with self._lock:
            self.listed.append((underlying, active))
        rows = [
            (
                occ_symbol(underlying, expiration, right, Decimal(strike)),
                underlying,
                expiration,
                int(right),
                strike,
            )
            for expiration in EXPIRATIONS
            for right in Right
            for strike in range(80, 121, 5)
            if underlying in VOLATILITY
            and expires_from <= expiration <= expires_to
            # Most contracts are in one listing; on the border both have them.
            and (active == (expiration > date(2026, 1, 30)) or expiration == date(2026, 2, 6))
        ]
        frame = pd.DataFrame(rows, columns=LISTING)
        dtypes = {"symbol": "str", "root": "str", "expiration": "datetime64[us]"}
        return frame.astype({**dtypes, "right": "int8", "strike": "float64"})

    def dividends(self, underlyings: Sequence[str], *, start: date, end: date) -> pd.DataFrame:
        raise NotImplementedError

    def option_daily_bars(self, symbols: Sequence[str], *, start: date, end: date) -> pd.DataFrame:
        with self._lock:
            self.asked.append((start, end))
        days = [day for day in CALENDAR.sessions(start, end) if day not in self.without]
        pairs = pd.MultiIndex.from_product([list(symbols), days], names=["symbol", "session"])
        frame = pairs.to_frame(index=False).astype({"symbol": "str", "session": "datetime64[us]"})
        parts = frame["symbol"].str.extract(r"^([A-Z]+)(\d{6})([CP])(\d{8})$")
        expiration = pd.to_datetime(parts[1], format="%y%m%d")
        frame["close"] = price(
            right=parts[2].map({"C": 1, "P": -1}).to_numpy(),
            spot=100.0,
            strike=parts[3].astype("float64").to_numpy() / 1000,
            years=(expiration - frame["session"]).dt.days.to_numpy() / 365,
            rate=0.04,
            dividend_yield=0.0,
            volatility=parts[0].map(VOLATILITY).to_numpy(dtype=float),
        )
        alive = frame[expiration >= frame["session"]]
        return alive.assign(volume=1.0)[list(OPTION_BAR_COLUMNS)].reset_index(drop=True)


def shares(*names: str, sessions: Sequence[date] = (*SESSIONS, *LATER)) -> pd.DataFrame:
    rows = [(name, day, 100.0) for name in names for day in sessions]
    frame = pd.DataFrame(rows, columns=["underlying", "session", "close"])
    return frame.astype({"underlying": "str", "session": "datetime64[us]", "close": "float64"})
