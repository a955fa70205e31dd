"""The option data stream (`/v1beta1/indicative` and `/v1beta1/opra`): quotes and trades.

MessagePack only. Where the clock comes to stand, each subscribed contract that is displayed
differently than before is told; what lies between two such moments is not.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

import msgpack
import numpy as np
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

from mahler_pipelines.exchange.engine import Exchange
from mahler_pipelines.exchange.instruments import option_contract
from mahler_pipelines.exchange.wire.mishaps import Mishaps
from mahler_pipelines.exchange.wire.option_views import snapshots
from mahler_pipelines.exchange.wire.sockets import Outbox, Unreadable, converse, read, write

MOST_BATCHES = 256
"""Moves of the clock that a reader may be behind."""

CHANNELS = {"quotes": ("q", "latestQuote"), "trades": ("t", "latestTrade")}
"""Channel -> the type of its messages, and the member of a snapshot that it tells."""

SYNTAX = (400, "invalid syntax")
NOT_AUTHENTICATED = (401, "not authenticated")
AUTH_FAILED = (402, "auth failed")
ALREADY_AUTHENTICATED = (403, "already authenticated")
CONNECTION_LIMIT = (406, "connection limit exceeded")
NO_SUCH_CHANNEL = (410, "invalid subscribe action for this feed")
NO_STAR = (413, "star subscription is not allowed for option quotes")

Asked = set[tuple[str, str]]
"""Pairs of a channel and an OCC symbol."""


@dataclass(slots=True)
class Watch:
    """What a client subscribed to, and how each of it was displayed when it was last looked at."""

    exchange: Exchange
    asked: Asked = field(default_factory=set)
    _seen: dict[tuple[str, str], tuple[Any, ...]] = field(default_factory=dict)

    def add(self, pairs: Asked) -> None:
        """Subscribe; what is displayed already is no news."""
        fresh = pairs - self.asked
        self.asked |= fresh
        for _ in self._changes(fresh):
            pass

    def remove(self, pairs: Asked) -> None:
        """End subscriptions."""
        self.asked -= pairs
        for pair in pairs:
            self._seen.pop(pair, None)

    def news(self) -> list[dict[str, Any]]:
        """Return a message for everything that is displayed differently than before."""
        return list(self._changes(self.asked))

    def _changes(self, pairs: Asked) -> Iterator[dict[str, Any]]:
        for symbol, snapshot in self._displayed({symbol for _, symbol in pairs}):
            for channel, (kind, member) in CHANNELS.items():
                shown = snapshot.get(member)
                if shown is None or (channel, symbol) not in pairs:
                    continue
                stamp = datetime.fromisoformat(shown.pop("t"))
                # A trade is another one where the day's volume grew, even at the same price.
                volume = snapshot.get("dailyBar", {}).get("v") if channel == "trades" else None
                now = (*shown.values(), volume)
                if self._seen.get((channel, symbol)) != now:
                    self._seen[channel, symbol] = now
                    yield {
                        "T": kind,
                        "S": symbol,
                        "t": msgpack.Timestamp.from_datetime(stamp),
                        **shown,
                    }

    def _displayed(self, symbols: set[str]) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the snapshots of symbols that are listed now, underlying by underlying."""
        contracts = [option_contract(symbol) for symbol in symbols]
        wanted = {contract.underlying for contract in contracts if contract is not None}
        for underlying in sorted(wanted & set(self.exchange.market.underlyings)):
            chain = self.exchange.view.chain(underlying)
            rows = sorted(chain.rows[symbol] for symbol in symbols if symbol in chain.rows)
            chosen = np.array(rows, dtype=np.intp)
            yield from snapshots(self.exchange, underlying, chain, chosen).items()


class OptionStream:
    """One client's side of the option stream: who it is, and what it watches.

    `connected` holds the accounts that have such a stream; there is one for each.
    """

    def __init__(
        self, exchange: Exchange, outbox: Outbox, news: Mishaps, connected: set[str]
    ) -> None:
        self._exchange = exchange
        self._outbox = outbox
        self._news = news
        self._connected = connected
        self._account: str | None = None
        self._watch = Watch(exchange)
        self._moved = asyncio.Event()
        outbox.put([{"T": "success", "msg": "connected"}])

    def hear(self, frame: dict[str, Any]) -> None:
        """Do what a frame asks for, or say why not."""
        try:
            message = read(frame, packed=True)
        except Unreadable:
            self._refuse(SYNTAX)
            return
        action = message.pop("action", None)
        if action == "auth":
            self._authenticate(str(message.get("key")), str(message.get("secret")))
        elif self._account is None:
            self._refuse(NOT_AUTHENTICATED)
        elif action in ("subscribe", "unsubscribe"):
            self._change(message, adds=action == "subscribe")
        else:
            self._refuse(SYNTAX)

    async def tell_moves(self) -> None:
        """Look at the market whenever the clock has moved; moves meanwhile are one."""
        with self._exchange.feed.moves(self._moved.set):
            while True:
                await self._moved.wait()
                self._moved.clear()
                if batch := self._watch.news():
                    self._news.put(batch)

    def leave(self) -> None:
        """Give the account's one connection back."""
        if self._account is not None:
            self._connected.discard(self._account)

    def _authenticate(self, key_id: str, secret: str) -> None:
        account = self._exchange.authenticate(key_id, secret)
        if self._account is not None:
            self._refuse(ALREADY_AUTHENTICATED)
        elif account is None:
            self._refuse(AUTH_FAILED)
        elif account in self._connected:
            self._refuse(CONNECTION_LIMIT)
        else:
            self._account = account
            self._connected.add(account)
            self._outbox.put([{"T": "success", "msg": "authenticated"}])

    def _change(self, wanted: dict[str, Any], *, adds: bool) -> None:
        """Add to what is subscribed, or take from it; answer with all of it."""
        if not wanted.keys() <= CHANNELS.keys():
            self._refuse(NO_SUCH_CHANNEL)
            return
        if not all(_is_symbols(symbols) for symbols in wanted.values()):
            self._refuse(SYNTAX)
            return
        pairs = {(channel, symbol) for channel, symbols in wanted.items() for symbol in symbols}
        if any(symbol == "*" for _, symbol in pairs):
            self._refuse(NO_STAR)
            return
        if adds:
            self._watch.add(pairs)
        else:
            self._watch.remove(pairs)
        told: dict[str, list[str]] = {channel: [] for channel in CHANNELS}
        for channel, symbol in sorted(self._watch.asked):
            told[channel].append(symbol)
        self._outbox.put([{"T": "subscription", **told}])

    def _refuse(self, error: tuple[int, str]) -> None:
        code, why = error
        self._outbox.put([{"T": "error", "code": code, "msg": why}])


def _is_symbols(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(symbol, str) for symbol in value)


def _pack(message: list[dict[str, Any]]) -> bytes:
    return write(message, packed=True)


async def option_data(websocket: WebSocket) -> None:
    """Serve one client of the option stream."""
    await websocket.accept()
    state = websocket.app.state
    outbox = Outbox(MOST_BATCHES)
    exchange, news = cast(Exchange, state.exchange), Mishaps.of(websocket, outbox)
    stream = OptionStream(exchange, outbox, news, state.streams.option_accounts)
    try:
        await converse(websocket, outbox, stream.hear, encode=_pack, beside=stream.tell_moves)
    finally:
        stream.leave()


ROUTES = [
    WebSocketRoute("/v1beta1/indicative", option_data),
    WebSocketRoute("/v1beta1/opra", option_data),
]
"""Routes of the option stream; both feeds show the same quotes."""
