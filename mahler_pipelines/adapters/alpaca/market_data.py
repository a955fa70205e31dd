"""Alpaca as the desk's market: chains, quotes, bars and listings."""

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pandas as pd

from mahler_pipelines.adapters.alpaca.chain_frames import (
    bars_frame,
    contracts_frame,
    join_chain,
    parse_symbols,
    snapshots_frame,
    stock_quotes_frame,
)
from mahler_pipelines.adapters.alpaca.client import AlpacaClients, AlpacaConnection
from mahler_pipelines.adapters.alpaca.trading import read_clock
from mahler_pipelines.adapters.alpaca.wire_models import (
    WireBar,
    WireBars,
    WireContract,
    WireContracts,
    WireSnapshot,
    WireSnapshots,
    read_as,
)
from mahler_pipelines.errors import BrokerUnavailable
from mahler_pipelines.market.chains import empty_quotes
from mahler_pipelines.market.data import BAR_COLUMNS, OPTION_BAR_COLUMNS
from mahler_pipelines.market.sessions import NEW_YORK
from mahler_pipelines.options.contracts import underlying_of

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
        snapshots = self._snapshots(f"/options/snapshots/{underlying}", params)
        contracts = self._contracts(underlying, _expirations(expires_from, expires_to))
        if not snapshots and not contracts:
            return empty_quotes()
        return join_chain(
            snapshots_frame(snapshots),
            contracts_frame(contracts),
            underlying_prices=self._underlying_prices([underlying]),
            underlying=underlying,
        )

    def option_quotes(self, symbols: Sequence[str]) -> pd.DataFrame:
        """Quotes of these contracts; symbols that Alpaca does not know are left out."""
        wanted = tuple(dict.fromkeys(symbols))
        snapshots: dict[str, WireSnapshot] = {}
        for some in _chunks(wanted):
            params: dict[str, Any] = {"symbols": ",".join(some), "feed": self._option_feed}
            params["limit"] = SNAPSHOTS_PER_PAGE
            snapshots |= self._snapshots("/options/snapshots", params)
        if not snapshots:
            return empty_quotes()
        parsed = parse_symbols(list(snapshots))
        underlyings = parsed["root"].map(underlying_of)
        contracts = [
            contract
            for name, group in parsed.groupby(underlyings.to_numpy())
            for contract in self._listed_beside(str(name), group)
            if contract.symbol in snapshots
        ]
        return join_chain(
            snapshots_frame(snapshots),
            contracts_frame(contracts),
            underlying_prices=self._underlying_prices(sorted(set(underlyings))),
        )

    def stock_quotes(self, underlyings: Sequence[str]) -> pd.DataFrame:
        """Latest quotes, columns `STOCK_QUOTE_COLUMNS`; unknown symbols are left out."""
        found: dict[str, WireSnapshot] = {}
        for some in _chunks(tuple(dict.fromkeys(underlyings))):
            found |= self._stock_snapshots(some)
        return stock_quotes_frame(found)

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
        found = contracts_frame(self._contracts(underlying, params, active=active))
        return found[["symbol", "root", "expiration", "right", "strike"]]

    def close(self) -> None:
        """Close the connections."""
        self._clients.close()

    def _snapshots(self, path: str, params: Mapping[str, Any]) -> dict[str, WireSnapshot]:
        found: dict[str, WireSnapshot] = {}
        for page in self._clients.pages(self._clients.options(), path, params):
            found |= read_as(WireSnapshots, page, what=f"GET {path}").snapshots
        return found

    def _contracts(
        self, underlying: str, params: Mapping[str, Any], *, active: bool = True
    ) -> list[WireContract]:
        asked = {"underlying_symbols": underlying, "limit": CONTRACTS_PER_PAGE, **params}
        asked["status"] = "active" if active else "inactive"
        path = "/options/contracts"
        return [
            contract
            for page in self._clients.pages(self._clients.trading(), path, asked)
            for contract in read_as(WireContracts, page, what=f"GET {path}").option_contracts
        ]

    def _listed_beside(self, underlying: str, symbols: pd.DataFrame) -> list[WireContract]:
        """Listings in the box of expirations and strikes around some contracts."""
        first, last = symbols["expiration"].min().date(), symbols["expiration"].max().date()
        params = _expirations(first, last)
        params["strike_price_gte"] = f"{symbols['strike'].min():g}"
        params["strike_price_lte"] = f"{symbols['strike'].max():g}"
        return self._contracts(underlying, params)

    def _underlying_prices(self, underlyings: Sequence[str]) -> dict[str, float]:
        """Mid of the share's quote, else its last trade; absent where Alpaca has neither."""
        quotes = self.stock_quotes(underlyings)
        mid = (quotes["bid"] + quotes["ask"]) / 2
        price = mid.where((quotes["bid"] > 0) & (quotes["ask"] > 0), quotes["last"])
        return dict(zip(quotes["underlying"], price, strict=True))

    def _stock_snapshots(self, underlyings: Sequence[str]) -> dict[str, WireSnapshot]:
        params = {"symbols": ",".join(underlyings), "feed": self._stock_feed}
        path = "/stocks/snapshots"
        try:
            answer = self._clients.read(self._clients.stocks(), path, params)
        except BrokerUnavailable as error:
            if error.status not in _NO_SUCH_SYMBOL:
                raise
            if len(underlyings) == 1:
                _log.warning("no share quote of %s: %s", underlyings[0], error)
                return {}
            # One unknown symbol refuses them all: ask for each.
            each = (self._stock_snapshots([name]) for name in underlyings)
            return {name: snapshot for found in each for name, snapshot in found.items()}
        known = read_as(dict[str, WireSnapshot | None], answer, what=f"GET {path}")
        return {name: snapshot for name, snapshot in known.items() if snapshot is not None}

    def _bars(
        self,
        client: Any,
        path: str,
        symbols: Sequence[str],
        start: date,
        end: date,
        extra: Mapping[str, Any],
    ) -> dict[str, list[WireBar]]:
        found: dict[str, list[WireBar]] = {}
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
            for page in self._clients.pages(client, path, params):
                for name, bars in read_as(WireBars, page, what=f"GET {path}").bars.items():
                    found.setdefault(name, []).extend(bars)
        return found

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
