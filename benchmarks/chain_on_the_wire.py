"""How fast a chain crosses the wire: our adapter against alpaca-py's own models, same exchange.

    python benchmarks/chain_on_the_wire.py

Starts the local exchange on a simulated market and reads the same chain both ways: quotes, listings
with open interest, and the underlying's price, joined into a table. Ours parses the raw payload by
columns (and keeps volumes, which alpaca-py's models drop), theirs goes through the typed models.
Prints medians and the ratio.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pandas as pd
from alpaca.data.historical.option import OptionHistoricalDataClient
from alpaca.data.historical.stock import StockHistoricalDataClient
from alpaca.data.requests import OptionChainRequest, StockSnapshotRequest
from alpaca.trading.client import TradingClient
from alpaca.trading.requests import GetOptionContractsRequest

from mahler_pipelines.adapters.alpaca import AlpacaConnection, AlpacaMarketData
from mahler_pipelines.exchange.accounts import LOCAL_CREDENTIALS
from mahler_pipelines.exchange.process import LocalExchange

RUNS = 9
OPENED = datetime(2025, 3, 3, 14, 30, tzinfo=UTC)
TODAY = date(2025, 3, 3)
NAME = "BRIO"


def main() -> None:
    """Measure both and print the ratio."""
    with (
        tempfile.TemporaryDirectory() as folder,
        LocalExchange("sim:7", Path(folder), start_at=OPENED) as exchange,
    ):
        exchange.advance_to(OPENED + timedelta(minutes=30))
        key, secret = LOCAL_CREDENTIALS.key_id, LOCAL_CREDENTIALS.secret
        market = AlpacaMarketData(
            AlpacaConnection(key, secret, trading_url=exchange.url, data_url=exchange.url)
        )
        option_data = OptionHistoricalDataClient(key, secret, url_override=exchange.url)
        trading = TradingClient(key, secret, url_override=exchange.url)
        stock_data = StockHistoricalDataClient(key, secret, url_override=exchange.url)
        last = TODAY + timedelta(days=365)
        ours = _median(lambda: market.chain(NAME, expires_from=TODAY, expires_to=last))
        theirs = _median(lambda: _models(option_data, trading, stock_data, last))
        contracts = len(market.chain(NAME, expires_from=TODAY, expires_to=last))
        market.close()
        for client in (option_data, trading, stock_data):
            client._session.close()  # noqa: SLF001 alpaca-py has no other way to close
    print(f"{contracts} contracts of {NAME}, medians of {RUNS} reads")
    print(f"  ours                 {ours * 1e3:8.1f} ms")
    print(f"  alpaca-py's models   {theirs * 1e3:8.1f} ms")
    print(f"  ratio theirs / ours  {theirs / ours:8.2f}")


def _models(
    option_data: OptionHistoricalDataClient,
    trading: TradingClient,
    stock_data: StockHistoricalDataClient,
    last: date,
) -> pd.DataFrame:
    found = option_data.get_option_chain(OptionChainRequest(underlying_symbol=NAME))
    listed = trading.get_option_contracts(
        GetOptionContractsRequest(
            underlying_symbols=[NAME],
            expiration_date_gte=TODAY,
            expiration_date_lte=last,
            limit=10_000,
        )
    )
    share = stock_data.get_stock_snapshot(StockSnapshotRequest(symbol_or_symbols=NAME))[NAME]
    interest = {row.symbol: row.open_interest for row in listed.option_contracts or []}
    return pd.DataFrame(
        {
            "symbol": symbol,
            "bid": shown.latest_quote.bid_price if shown.latest_quote else None,
            "ask": shown.latest_quote.ask_price if shown.latest_quote else None,
            "open_interest": float(interest.get(symbol) or "nan"),
            "underlying_price": share.latest_trade.price,
        }
        for symbol, shown in dict(found).items()
    )


def _median(read: Callable[[], object]) -> float:
    read()
    times = []
    for _ in range(RUNS):
        started = time.perf_counter()
        read()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


if __name__ == "__main__":
    main()
