"""How fast chains and option bars cross the wire: our adapter against alpaca-py's own models.

    python benchmarks/chain_on_the_wire.py

Starts the local exchange on a simulated market, writes down what it answers, and has a bare process
give the same bytes again, so that the exchange's own work is not in the comparison. Both sides read
the same: for a chain quotes, listings with open interest and the underlying's price, joined into a
table; for bars a year of daily bars of many contracts, in a table. Ours reads the payload by
columns (and keeps the volumes, which alpaca-py's snapshots drop), theirs goes through the typed
models. Prints medians and ratios, and those of the same chain from the exchange itself.
"""

import http.server
import multiprocessing as mp
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

import pandas as pd
import requests
from alpaca.data.historical.option import OptionHistoricalDataClient
from alpaca.data.historical.stock import StockHistoricalDataClient
from alpaca.data.requests import OptionBarsRequest, OptionChainRequest, StockSnapshotRequest
from alpaca.data.timeframe import TimeFrame
from alpaca.trading.client import TradingClient
from alpaca.trading.requests import GetOptionContractsRequest

from mahler_pipelines.adapters.alpaca import AlpacaConnection, AlpacaMarketData
from mahler_pipelines.exchange.accounts import LOCAL_CREDENTIALS
from mahler_pipelines.exchange.process import LocalExchange

RUNS = 15
OPENED = datetime(2025, 3, 3, 14, 30, tzinfo=UTC)
TODAY = date(2025, 3, 3)
LAST = TODAY + timedelta(days=365)
YEAR = (date(2024, 3, 1), date(2025, 2, 28))
NAME = "BRIO"
MOST_CONTRACTS = 500
KEYS = (LOCAL_CREDENTIALS.key_id, LOCAL_CREDENTIALS.secret)
Answers = dict[str, bytes]


def main() -> None:
    """Measure both and print the ratios."""
    with (
        tempfile.TemporaryDirectory() as folder,
        LocalExchange("sim:7", Path(folder), start_at=OPENED) as exchange,
    ):
        exchange.advance_to(OPENED + timedelta(minutes=30))
        with readers(exchange.url) as (ours, theirs):
            chain, other = ours.chain(), theirs.chain()
            symbols = ours.symbols()
            bars, others = ours.bars(symbols), theirs.bars(symbols)
            if (len(chain), len(bars)) != (len(other), len(others)):
                raise SystemExit("both sides have to read the same")
            answers = recorded(exchange)
            slow = ratio_of(ours.chain, theirs.chain)
        with replaying(answers) as url, readers(url) as (ours, theirs):
            quick = ratio_of(ours.chain, theirs.chain)
            many = ratio_of(partial(ours.bars, symbols), partial(theirs.bars, symbols))
    print(f"{f'medians of {RUNS} reads, ms':34}   wall: ours, theirs, ratio | processor: the same")
    print(f"{f'a chain of {len(chain)} contracts':34} {quick}")
    print(f"{f'{len(bars)} bars of {len(symbols)} contracts':34} {many}")
    print(f"{'the chain, exchange included':34} {slow}")


@dataclass
class Ours:
    """The desk's adapter."""

    market: AlpacaMarketData

    def chain(self) -> pd.DataFrame:
        """The chain, in a table."""
        return self.market.chain(NAME, expires_from=TODAY, expires_to=LAST)

    def symbols(self) -> list[str]:
        """Contracts that have expired within the year."""
        listed = self.market.listed_contracts(
            NAME, expires_from=YEAR[0], expires_to=YEAR[1], active=False
        )
        return [str(symbol) for symbol in listed["symbol"]][:MOST_CONTRACTS]

    def bars(self, symbols: list[str]) -> pd.DataFrame:
        """Their daily bars, in a table."""
        return self.market.option_daily_bars(symbols, start=YEAR[0], end=YEAR[1])


@dataclass
class Theirs:
    """alpaca-py as its documentation shows it."""

    option_data: OptionHistoricalDataClient
    trading: TradingClient
    stock_data: StockHistoricalDataClient

    def chain(self) -> pd.DataFrame:
        """The chain, in a table."""
        found = self.option_data.get_option_chain(OptionChainRequest(underlying_symbol=NAME))
        asked = GetOptionContractsRequest(
            underlying_symbols=[NAME],
            expiration_date_gte=TODAY,
            expiration_date_lte=LAST,
            limit=10_000,
        )
        listed = self.trading.get_option_contracts(asked).option_contracts or []
        share = self.stock_data.get_stock_snapshot(StockSnapshotRequest(symbol_or_symbols=NAME))
        interest = {row.symbol: row.open_interest for row in listed}
        return pd.DataFrame(
            {
                "symbol": symbol,
                "bid": shown.latest_quote.bid_price if shown.latest_quote else None,
                "ask": shown.latest_quote.ask_price if shown.latest_quote else None,
                "open_interest": float(interest.get(symbol) or "nan"),
                "underlying_price": share[NAME].latest_trade.price,
            }
            for symbol, shown in dict(found).items()
        )

    def bars(self, symbols: list[str]) -> pd.DataFrame:
        """Their daily bars, in a table."""
        parts = [symbols[start : start + 100] for start in range(0, len(symbols), 100)]
        first, last = (datetime(d.year, d.month, d.day, tzinfo=UTC) for d in YEAR)
        asked = [
            OptionBarsRequest(
                symbol_or_symbols=part,
                timeframe=TimeFrame.Day,
                start=first,
                end=last + timedelta(days=1),
            )
            for part in parts
        ]
        return pd.concat([self.option_data.get_option_bars(each).df for each in asked])


@contextmanager
def readers(url: str) -> Iterator[tuple[Ours, Theirs]]:
    """Both clients of an address, closed in the end."""
    market = AlpacaMarketData(AlpacaConnection(*KEYS, trading_url=url, data_url=url))
    clients = (
        OptionHistoricalDataClient(*KEYS, url_override=url),
        TradingClient(*KEYS, url_override=url),
        StockHistoricalDataClient(*KEYS, url_override=url),
    )
    try:
        yield Ours(market), Theirs(*clients)
    finally:
        market.close()
        for client in clients:
            client._session.close()  # noqa: SLF001 alpaca-py has no other way to close


def recorded(exchange: LocalExchange) -> Answers:
    """What the exchange answers to everything that was asked of it, as it stands on the wire."""
    headers = {"APCA-API-KEY-ID": KEYS[0], "APCA-API-SECRET-KEY": KEYS[1]}
    asked = {row["path"] for row in exchange.control.journal(10_000) if row["method"] == "GET"}
    wanted = [path for path in sorted(asked) if not path.startswith("/control/")]
    return {
        path: requests.get(exchange.url + path, headers=headers, timeout=60).content
        for path in wanted
    }


@contextmanager
def replaying(answers: Answers) -> Iterator[str]:
    """Give recorded answers from a process of their own; yield its address."""
    context = mp.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_replay, args=(answers, there), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{here.recv()}"
    finally:
        process.kill()
        process.join()


def _replay(answers: Answers, pipe: Connection) -> None:
    class Replay(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body leave together

        def do_GET(self) -> None:
            body = answers[self.path]
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing is worth a line."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Replay)
    pipe.send(server.server_port)
    server.serve_forever()


def ratio_of(ours: Callable[[], object], theirs: Callable[[], object]) -> str:
    """Medians of both, taken by turns so that a busy machine is busy for both.

    The wall's time holds the answering process and the other's work; the processor's is the
    reader's alone.
    """
    walls: tuple[list[float], list[float]] = ([], [])
    works: tuple[list[float], list[float]] = ([], [])
    for read in (ours, theirs):
        read()
    for _ in range(RUNS):
        for read, wall, work in zip((ours, theirs), walls, works, strict=True):
            started, worked = time.perf_counter(), time.process_time()
            read()
            wall.append(time.perf_counter() - started)
            work.append(time.process_time() - worked)
    columns = []
    for times in (walls, works):
        mine, other = (statistics.median(kept) * 1e3 for kept in times)
        columns.append(f"{mine:8.1f} {other:8.1f} {other / mine:8.2f}")
    return " | ".join(columns)


if __name__ == "__main__":
    main()
