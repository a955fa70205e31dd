"""The real alpaca-py streams in a thread of the test, what they hear, and how they are ended."""

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from alpaca.data.live.option import OptionDataStream
from alpaca.trading.client import TradingClient
from alpaca.trading.stream import TradingStream
from starlette.applications import Starlette

from mahler_pipelines.exchange.accounts import Credentials
from mahler_pipelines.exchange.engine import Exchange
from tests.exchange.fakes import HandMadeMarket

PATIENCE = 15.0
"""Seconds after which a test gives up; nothing waits that long when all is well."""

MAIN = Credentials("local-main", "local-secret", "main")
OTHER = Credentials("other-key", "other-secret", "other")


def wait_until(holds: Callable[[], bool], what: str) -> None:
    """Wait for something that another thread brings about."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, f"never happened: {what}"
        time.sleep(0.005)


@dataclass
class Served:
    """An exchange behind a socket, seen from both sides."""

    url: str
    app: Starlette
    exchange: Exchange
    market: HandMadeMarket

    @property
    def sockets(self) -> str:
        """The address for websockets."""
        return self.url.replace("http://", "ws://")

    def client(self, keys: Credentials = MAIN) -> Any:
        """A real REST client."""
        made = TradingClient(keys.key_id, keys.secret, url_override=self.url, raw_data=True)
        made._session.trust_env = False
        return made


@dataclass
class Listening:
    """A running client: what it heard, in order."""

    stream: Any
    thread: threading.Thread
    heard: "queue.Queue[Any]" = field(default_factory=queue.Queue)

    def next(self, count: int) -> list[Any]:
        """The next things that it hears."""
        return [self.heard.get(timeout=PATIENCE) for _ in range(count)]

    def drop(self) -> None:
        """Cut the connection without a word, as a network does."""
        self.stream._loop.call_soon_threadsafe(self.stream._ws.transport.abort)

    def end(self) -> None:
        """Stop the client; closing spares it the five seconds that it waits for a message."""
        self.stream.stop()
        asyncio.run_coroutine_threadsafe(self.stream.close(), self.stream._loop).result(PATIENCE)
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive()


@contextmanager
def running(stream: Any, subscribe: Callable[[Callable[[Any], Any]], None]) -> Iterator[Listening]:
    """Run a client that keeps what it hears."""
    stream._reconnect_min_backoff = stream._reconnect_max_backoff = 0.05
    listening = Listening(stream, threading.Thread(target=stream.run, daemon=True))

    async def keep(message: Any) -> None:
        listening.heard.put(message)

    subscribe(keep)
    listening.thread.start()
    try:
        wait_until(lambda: stream._stop_stream_event is not None, "the client's loop")
        yield listening
    finally:
        listening.end()


@contextmanager
def order_stream(
    served: Served, keys: Credentials = MAIN, *, raw: bool = True
) -> Iterator[Listening]:
    """The real order stream of an account, once the exchange knows that it listens."""
    before = listeners(served, keys.account)
    stream = TradingStream(
        keys.key_id, keys.secret, raw_data=raw, url_override=f"{served.sockets}/stream"
    )
    with running(stream, stream.subscribe_trade_updates) as listening:
        wait_until(lambda: listeners(served, keys.account) > before, "listening")
        yield listening


@contextmanager
def option_stream(served: Served, *symbols: str, trades: bool = False) -> Iterator[Listening]:
    """The real option stream, once the exchange has answered its subscription."""
    stream = OptionDataStream(
        MAIN.key_id, MAIN.secret, url_override=f"{served.sockets}/v1beta1/indicative"
    )

    def subscribe(keep: Callable[[Any], Any]) -> None:
        stream.subscribe_quotes(keep, *symbols)
        if trades:
            stream.subscribe_trades(keep, *symbols)

    with running(stream, subscribe) as listening:
        yield listening


def listeners(served: Served, account: str) -> int:
    """How many listen to an account."""
    return len(served.exchange.feed._takers.get(account, []))
