"""A market played back from chain archives in a lake: one snapshot per session.

<lake_root>/archive_quotes/session=YYYY-MM-DD/*.parquet   columns QUOTE_COLUMNS
<lake_root>/reference/daily_bars.parquet                  see `archive_bars`

Sessions and contracts are listed once, when they are first asked for; ingest before serving.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow.parquet as parquet

from mahler_pipelines.errors import MissingData
from mahler_pipelines.exchange.archive_bars import ArchivedBars
from mahler_pipelines.exchange.instruments import exact_price
from mahler_pipelines.exchange.market import SettlementValue, StockQuote
from mahler_pipelines.market.chains import QUOTE_COLUMNS, Scan, conform_quotes, empty_quotes
from mahler_pipelines.market.sessions import NEW_YORK, TradingCalendar
from mahler_pipelines.options.contracts import SettlementKind, settlement_kind, underlying_of

QUOTES_FOLDER = "archive_quotes"
_SESSIONS_KEPT = 4
_LISTING = ["symbol", "root", "expiration", "right", "strike", "open_interest", "close"]
_OPTION_BARS = ["symbol", "session", "open", "high", "low", "close", "volume"]


@dataclass(frozen=True, slots=True)
class _Day:
    """The snapshot of a session, taken apart by underlying."""

    chains: dict[str, pd.DataFrame]


class ArchivedMarket:
    """The `Market` port over an archive. Raises `MissingData` when the lake holds none.

    `name` is the book; without it one is made from the archive's sessions and underlyings.
    """

    def __init__(
        self, lake_root: Path, *, name: str | None = None, calendar: TradingCalendar | None = None
    ) -> None:
        self._quotes_root = lake_root / QUOTES_FOLDER
        self._bars = ArchivedBars(lake_root)
        self._calendar = calendar or TradingCalendar()
        self._folders = {
            date.fromisoformat(folder.name.removeprefix("session=")): folder
            for folder in sorted(self._quotes_root.glob("session=*"))
            if any(folder.glob("*.parquet"))
        }
        if not self._folders:
            raise MissingData(f"no archived quotes under {self._quotes_root}")
        self._given_name = name
        self._days: OrderedDict[date, _Day] = OrderedDict()

    @cached_property
    def name(self) -> str:
        """The book this market belongs to."""
        if self._given_name is not None:
            return self._given_name
        described = f"{self.underlyings}|{sorted(self._folders)}"
        return f"archive-{hashlib.sha256(described.encode()).hexdigest()[:8]}"

    @cached_property
    def underlyings(self) -> tuple[str, ...]:
        """Every underlying that has a chain in some session."""
        return tuple(sorted(self._contracts["underlying"].unique()))

    @property
    def snapshot_only(self) -> bool:
        """Each session has one snapshot."""
        return True

    def sessions(self) -> tuple[date, date]:
        """First and last session of the archive."""
        return min(self._folders), max(self._folders)

    def has_session(self, session: date) -> bool:
        """Whether the archive has quotes of this session; a hole has none."""
        return session in self._folders

    def snapshot_time(self, session: date) -> datetime:
        """The close scan: the last minute of the session."""
        at = self._calendar.scan_time(session, Scan.CLOSE)
        return self._calendar.close(session) if at is None else at

    def quotes(self, underlying: str, when: datetime) -> pd.DataFrame:
        """Quotes of the latest snapshot; empty while the latest session is a hole."""
        session = self._snapshot_session(when)
        if session is None or session not in self._folders:
            return empty_quotes()
        chain = self._day(session).chains.get(underlying)
        return empty_quotes() if chain is None else chain

    def stock_quote(self, underlying: str, when: datetime) -> StockQuote | None:
        """The chain's own underlying price: a level without bid and ask."""
        chain = self.quotes(underlying, when)
        prices = chain["underlying_price"].dropna()
        if prices.empty:
            return None
        at = chain["quote_time"].max().to_pydatetime()
        return StockQuote(None, None, 0, 0, float(prices.iloc[-1]), at)

    def daily_bars(self, underlying: str, start: date, end: date) -> pd.DataFrame:
        """Daily bars of one source per underlying."""
        return self._bars.bars(underlying, start, end, covering=self.sessions())

    def listed_contracts(self, underlying: str, when: datetime) -> pd.DataFrame:
        """Contracts of the latest snapshot that have not expired, with what it said of them.

        In a hole they are those seen in any session before it.
        """
        session = self._snapshot_session(when)
        today = when.astimezone(NEW_YORK).date()
        if session is None:
            return self._listing(self._contracts.iloc[:0])
        known = self._contracts
        alive = known.loc[
            (known["underlying"] == underlying)
            & (known["first_session"] <= pd.Timestamp(session))
            & (known["expiration"] >= pd.Timestamp(today))
        ]
        if session in self._folders:
            chain = self._day(session).chains.get(underlying, empty_quotes())
            alive = alive.loc[alive["symbol"].isin(chain["symbol"])]
        return self._listing(alive, self._latest_before(underlying, session))

    def expired_contracts(
        self, underlying: str, expires_from: date, expires_to: date
    ) -> pd.DataFrame:
        """Contracts of the archive that expired in the range."""
        known = self._contracts
        return self._listing(
            known.loc[
                (known["underlying"] == underlying)
                & (known["expiration"] >= pd.Timestamp(expires_from))
                & (known["expiration"] <= pd.Timestamp(expires_to))
            ]
        )

    def option_daily_bars(self, symbols: Sequence[str], start: date, end: date) -> pd.DataFrame:
        """Bars of traded days; the archive knows the last price only, which stands for all four."""
        files = [
            str(folder / "*.parquet")
            for session, folder in self._folders.items()
            if start <= session <= end
        ]
        if not files or not symbols:
            return pd.DataFrame(columns=_OPTION_BARS)
        with duckdb.connect() as connection:
            return connection.execute(
                "SELECT symbol, CAST(session AS DATE)::TIMESTAMP AS session, last AS open,"
                " last AS high, last AS low, last AS close, volume"
                " FROM read_parquet($files, hive_partitioning = true)"
                " WHERE list_contains($symbols, symbol) AND volume > 0 AND last > 0"
                " ORDER BY symbol, session",
                {"files": files, "symbols": list(symbols)},
            ).df()

    def settlement(self, root: str, expiration: date) -> SettlementValue | None:
        """Settle on unadjusted bars: AM roots on the open, others on the close.

        Shares without a bar settle on their chain's own price of that day; nothing else is guessed.
        """
        underlying, kind = underlying_of(root), settlement_kind(root)
        session = self._last_session_by(expiration)
        bar = self._bars.settling_bar(underlying, session)
        if bar is not None and kind is SettlementKind.CASH_ON_OPEN:
            return SettlementValue(
                _cents(bar.open), f"{bar.source} bar open (stand-in for the settlement value)"
            )
        if bar is not None:
            return SettlementValue(_cents(bar.close), f"{bar.source} bar close")
        if kind is not SettlementKind.PHYSICAL or session not in self._folders:
            return None
        quote = self.stock_quote(underlying, self._calendar.close(session))
        if quote is None:
            return None
        return SettlementValue(_cents(quote.last), f"chain's underlying price of {session}")

    def dividends(
        self,
        underlying: str,
        start: date,
        end: date,
    ) -> tuple[tuple[date, Decimal], ...]:
        """None: an archive does not tell of dividends."""
        del underlying, start, end
        return ()

    def _snapshot_session(self, when: datetime) -> date | None:
        """Latest session, hole or not, whose snapshot has been taken; None before the first."""
        day = when.astimezone(NEW_YORK).date()
        if not self._calendar.is_session(day) or when < self.snapshot_time(day):
            day = self._calendar.previous(day)
        return day if day >= min(self._folders) else None

    def _last_session_by(self, day: date) -> date:
        return day if self._calendar.is_session(day) else self._calendar.previous(day)

    def _day(self, session: date) -> _Day:
        if session in self._days:
            self._days.move_to_end(session)
            return self._days[session]
        table = parquet.ParquetDataset(self._folders[session], partitioning=None).read(
            columns=list(QUOTE_COLUMNS)
        )
        quotes = conform_quotes(table.to_pandas())
        taken = pd.Timestamp(self.snapshot_time(session)).as_unit("us")
        quotes["quote_time"] = quotes["quote_time"].where(quotes["quote_time"] <= taken, taken)
        quotes = quotes.sort_values("symbol", kind="stable")
        chains = {
            str(underlying): chain.reset_index(drop=True)
            for underlying, chain in quotes.groupby("underlying", sort=False)
        }
        self._days[session] = _Day(chains)
        if len(self._days) > _SESSIONS_KEPT:
            self._days.popitem(last=False)
        return self._days[session]

    @cached_property
    def _contracts(self) -> pd.DataFrame:
        """Every contract of the archive, with the first session in which it was seen."""
        with duckdb.connect() as connection:
            return connection.execute(
                "SELECT symbol, any_value(underlying) AS underlying, any_value(root) AS root,"
                ' any_value(expiration) AS expiration, any_value("right") AS "right",'
                " any_value(strike) AS strike,"
                " CAST(min(session) AS DATE)::TIMESTAMP AS first_session"
                " FROM read_parquet($files, hive_partitioning = true) GROUP BY symbol"
                " ORDER BY symbol",
                {"files": str(self._quotes_root / "session=*" / "*.parquet")},
            ).df()

    def _latest_before(self, underlying: str, session: date) -> pd.DataFrame:
        """Open interest as the snapshot says, and the last price of the session before it."""
        rows = {}
        if session in self._folders:
            chain = self._day(session).chains.get(underlying)
            if chain is not None:
                rows["open_interest"] = chain.set_index("symbol")["open_interest"]
        earlier = [day for day in self._folders if day < session]
        if earlier:
            chain = self._day(max(earlier)).chains.get(underlying)
            if chain is not None:
                last = chain.set_index("symbol")["last"]
                rows["close"] = last.where(last > 0)
        return pd.DataFrame(rows)

    @staticmethod
    def _listing(contracts: pd.DataFrame, said: pd.DataFrame | None = None) -> pd.DataFrame:
        if said is not None and len(said.columns):
            contracts = contracts.join(said, on="symbol")
        for name in ("open_interest", "close"):
            if name not in contracts:
                contracts = contracts.assign(**{name: np.nan})
        return contracts[_LISTING].reset_index(drop=True)


def _cents(value: float) -> Decimal:
    price = exact_price(value)
    if price is None:
        raise MissingData(f"a settlement price of {value}")
    return price
