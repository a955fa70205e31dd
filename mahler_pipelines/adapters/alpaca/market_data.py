"""Alpaca as the desk's market: chains, quotes, bars and listings."""

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pandas as pd

from mahler_pipelines.adapters.alpaca.chain_frames import (
    OccSymbols,
    bars_frame,
    chain_frame,
    share_prices,
    standard_contracts,
    stock_quotes_frame,
)
from mahler_pipelines.adapters.alpaca.client import AlpacaClients, AlpacaConnection
from mahler_pipelines.adapters.alpaca.dividends import dividends_frame, read_dividends
from mahler_pipelines.adapters.alpaca.trading import read_clock
from mahler_pipelines.adapters.alpaca.wire_columns import WireRows
from mahler_pipelines.adapters.alpaca.wire_models import read_as
from mahler_pipelines.errors import BrokerUnavailable
from mahler_pipelines.execution.request_budget import Urgency
from mahler_pipelines.market.chains import empty_quotes
from mahler_pipelines.market.data import BAR_COLUMNS, OPTION_BAR_COLUMNS
from mahler_pipelines.market.sessions import NEW_YORK
from mahler_pipelines.options.contracts import INDEX_ROOTS, underlying_of

_log = logging.getLogger(__name__)

SYMBOLS_PER_REQUEST = 100
SNAPSHOTS_PER_PAGE = 1_000
CONTRACTS_PER_PAGE = 10_000
BARS_PER_PAGE = 10_000

_NO_SUCH_SYMBOL = frozenset({400, 404, 422})


class AlpacaMarketData:
    """Market data over REST; satisfies `market.data.MarketData`.

    `option_feed` and `stock_feed` are Alpaca's names (indicative or opra, iex or sip); bars are
    adjusted for `bar_adjustment`. Everything raises `BrokerUnavailable` without an answer.
    """

    def __init__(
        self,
        connection: AlpacaConnection,
        *,
        option_feed: str = "indicative",
        stock_feed: str = "iex",
        bar_adjustment: str = "split",
    ) -> None:
        self._clients = AlpacaClients(connection)
        self._option_feed = option_feed
        self._stock_feed = stock_feed
        self._bar_adjustment = bar_adjustment

    def now(self) -> datetime:
        """The broker's present."""
        return read_clock(self._clients).now

    def chain(self, underlying: str, *, expires_from: date, expires_to: date) -> pd.DataFrame:
        """Quotes of every listed standard contract, columns `chains.QUOTE_COLUMNS`.

        Snapshots, listings (open interest) and the share's price are joined; a contract without a
        snapshot has a row without quotes.
        """
        params = _expirations(expires_from, expires_to)
        params |= {"feed": self._option_feed, "limit": SNAPSHOTS_PER_PAGE}
        path = f"/options/snapshots/{underlying}"
        snapshots = self._snapshots(path, params, urgency=Urgency.SCAN)
        box = _expirations(expires_from, expires_to)
        contracts = self._contracts(underlying, box, urgency=Urgency.SCAN)
        if not len(snapshots) and not len(contracts):
            return empty_quotes()
        prices = share_prices(self._stock_rows([underlying], urgency=Urgency.SCAN))
        return chain_frame(
            snapshots,
            standard_contracts(contracts),
            underlying_prices=prices,
            underlying=underlying,
        )

    def option_quotes(self, symbols: Sequence[str]) -> pd.DataFrame:
        """Quotes of these contracts; symbols that Alpaca does not know are left out."""
        wanted = tuple(dict.fromkeys(symbols))
        path, found = "/options/snapshots", dict[str, Any]()
        for some in _chunks(wanted):
            params: dict[str, Any] = {"symbols": ",".join(some), "feed": self._option_feed}
            params["limit"] = SNAPSHOTS_PER_PAGE
            rows = self._snapshots(path, params, urgency=Urgency.LOOK)
            found |= zip(rows.names, rows.rows, strict=True)
        if not found:
            return empty_quotes()
        parsed = OccSymbols.parse(list(found)).frame()
        underlyings = parsed["root"].map(underlying_of)
        listed: dict[str, float] = {}
        for name, group in parsed.groupby(underlyings.to_numpy()):
            listed |= standard_contracts(self._listed_beside(str(name), group))
        shares = self._stock_rows(sorted(set(underlyings)), urgency=Urgency.LOOK)
        return chain_frame(
            WireRows(f"GET {path}", list(found), list(found.values())),
            {name: interest for name, interest in listed.items() if name in found},
            underlying_prices=share_prices(shares),
        )

    def stock_quotes(self, underlyings: Sequence[str]) -> pd.DataFrame:
        """Latest quotes, columns `STOCK_QUOTE_COLUMNS`; unknown symbols are left out."""
        return stock_quotes_frame(self._stock_rows(underlyings, urgency=Urgency.LOOK))

    def daily_bars(self, underlyings: Sequence[str], *, start: date, end: date) -> pd.DataFrame:
        """Completed daily bars from start to end inclusive, columns `BAR_COLUMNS`."""
        extra = {"feed": self._stock_feed, "adjustment": self._bar_adjustment}
        rows = self._bars(self._clients.stocks(), "/stocks/bars", underlyings, start, end, extra)
        bars = bars_frame(rows, name="underlying", columns=BAR_COLUMNS)
        return self._completed(bars, start, end)

    def option_daily_bars(self, symbols: Sequence[str], *, start: date, end: date) -> pd.DataFrame:
        """Completed daily bars of contracts, columns `OPTION_BAR_COLUMNS`."""
        rows = self._bars(self._clients.options(), "/options/bars", symbols, start, end, {})
        bars = bars_frame(rows, name="symbol", columns=OPTION_BAR_COLUMNS)
        return self._completed(bars, start, end)

    def listed_contracts(
        self, underlying: str, *, expires_from: date, expires_to: date, active: bool
    ) -> pd.DataFrame:
        """Standard contracts listed (with active=False, expired) with an expiration in the range.

        Columns symbol, root, expiration, right, strike.
        """
        params = _expirations(expires_from, expires_to)
        rows = self._contracts(underlying, params, active=active, urgency=Urgency.SCAN)
        return OccSymbols.parse(list(standard_contracts(rows))).frame()

    def dividends(self, underlyings: Sequence[str], *, start: date, end: date) -> pd.DataFrame:
        """Declared cash dividends that go ex from start to end, columns `DIVIDEND_COLUMNS`.

        An index pays none and is not asked about.
        """
        indices = {underlying for underlying, _ in INDEX_ROOTS.values()}
        names = [name for name in dict.fromkeys(underlyings) if name not in indices]
        found = [
            read_dividends(self._clients, some, start=start, end=end) for some in _chunks(names)
        ]
        filled = [part for part in found if len(part)]
        return pd.concat(filled, ignore_index=True) if filled else dividends_frame([])

    def close(self) -> None:
        """Close the connections."""
        self._clients.close()

    def _snapshots(self, path: str, params: Mapping[str, Any], *, urgency: Urgency) -> WireRows:
        pages = self._clients.pages(self._clients.options(), path, params, urgency=urgency)
        found: dict[str, Any] = {}
        for page in pages:
            rows = WireRows.by_name(page.get("snapshots"), what=f"GET {path}")
            found |= zip(rows.names, rows.rows, strict=True)
        return WireRows(f"GET {path}", list(found), list(found.values()))

    def _contracts(
        self,
        underlying: str,
        params: Mapping[str, Any],
        *,
        urgency: Urgency,
        active: bool = True,
    ) -> WireRows:
        asked = {"underlying_symbols": underlying, "limit": CONTRACTS_PER_PAGE, **params}
        asked["status"] = "active" if active else "inactive"
        path = "/options/contracts"
        pages = self._clients.pages(self._clients.trading(), path, asked, urgency=urgency)
        names: list[str] = []
        rows: list[Mapping[str, Any]] = []
        for page in pages:
            some = WireRows.named_by(page.get("option_contracts"), "symbol", what=f"GET {path}")
            names += some.names
            rows += some.rows
        return WireRows(f"GET {path}", names, rows)

    def _listed_beside(self, underlying: str, symbols: pd.DataFrame) -> WireRows:
        """Listings in the box of expirations and strikes around some contracts."""
        first, last = symbols["expiration"].min().date(), symbols["expiration"].max().date()
        params = _expirations(first, last)
        params["strike_price_gte"] = f"{symbols['strike'].min():g}"
        params["strike_price_lte"] = f"{symbols['strike'].max():g}"
        return self._contracts(underlying, params, urgency=Urgency.LOOK)

    def _stock_rows(self, underlyings: Sequence[str], *, urgency: Urgency) -> WireRows:
        found: dict[str, Any] = {}
        for some in _chunks(tuple(dict.fromkeys(underlyings))):
            found |= self._stock_snapshots(some, urgency)
        known = {name: row for name, row in found.items() if row is not None}
        return WireRows.by_name(known, what="GET /stocks/snapshots")

    def _stock_snapshots(self, underlyings: Sequence[str], urgency: Urgency) -> dict[str, Any]:
        params = {"symbols": ",".join(underlyings), "feed": self._stock_feed}
        path = "/stocks/snapshots"
        try:
            answer = self._clients.read(self._clients.stocks(), path, params, urgency=urgency)
        except BrokerUnavailable as error:
            if error.status not in _NO_SUCH_SYMBOL:
                raise
            if len(underlyings) == 1:
                _log.warning("no share quote of %s: %s", underlyings[0], error)
                return {}
            # One unknown symbol refuses them all: ask for each.
            each = (self._stock_snapshots([name], urgency) for name in underlyings)
            return {name: snapshot for found in each for name, snapshot in found.items()}
        return read_as(dict[str, Any], answer, what=f"GET {path}")

    def _bars(
        self,
        client: Any,
        path: str,
        symbols: Sequence[str],
        start: date,
        end: date,
        extra: Mapping[str, Any],
    ) -> WireRows:
        names: list[str] = []
        bars: list[Mapping[str, Any]] = []
        for some in _chunks(tuple(dict.fromkeys(symbols))):
            # A bar's time is midnight in New York, which is later than midnight UTC of its day.
            params = {
                "symbols": ",".join(some),
                "timeframe": "1Day",
                "start": _midnight(start),
                "end": _midnight(end + timedelta(days=1)),
                "limit": BARS_PER_PAGE,
                **extra,
            }
            for page in self._clients.pages(client, path, params, urgency=Urgency.SCAN):
                rows = WireRows.by_list(page.get("bars"), what=f"GET {path}")
                names += rows.names
                bars += rows.rows
        return WireRows(f"GET {path}", names, bars)

    def _completed(self, bars: pd.DataFrame, start: date, end: date) -> pd.DataFrame:
        """Leave out what lies outside the range and the session that has not closed yet."""
        if bars.empty:
            return bars
        running = read_clock(self._clients).next_close.astimezone(NEW_YORK).date()
        session = bars["session"]
        inside = (session >= pd.Timestamp(start)) & (session <= pd.Timestamp(end))
        return bars.loc[inside & (session < pd.Timestamp(running))].reset_index(drop=True)


def _expirations(first: date, last: date) -> dict[str, Any]:
    return {"expiration_date_gte": first.isoformat(), "expiration_date_lte": last.isoformat()}


def _midnight(day: date) -> str:
    return datetime(day.year, day.month, day.day, tzinfo=UTC).isoformat().replace("+00:00", "Z")


def _chunks(symbols: Sequence[str]) -> list[Sequence[str]]:
    step = SYMBOLS_PER_REQUEST
    return [symbols[start : start + step] for start in range(0, len(symbols), step)]
