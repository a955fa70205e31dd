"""Alpaca: the broker and the market data of its REST interface, through the real alpaca-py."""

from mahler_pipelines.adapters.alpaca.client import AlpacaConnection
from mahler_pipelines.adapters.alpaca.market_data import AlpacaMarketData
from mahler_pipelines.adapters.alpaca.trading import AlpacaBroker

__all__ = ["AlpacaBroker", "AlpacaConnection", "AlpacaMarketData"]
