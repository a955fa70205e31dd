"""The order stream (`/stream`): authenticate, listen, and hear what becomes of one's orders.

Answers and events are JSON in binary frames, as on Alpaca's paper host; MessagePack for a client
that connects with `Content-Type: application/msgpack`. Nothing is replayed.
"""

from contextlib import ExitStack
from typing import Any, cast

from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

from mahler_pipelines.exchange.engine import Exchange
from mahler_pipelines.exchange.streaming import OrderUpdate
from mahler_pipelines.exchange.wire.format import number, utc_stamp
from mahler_pipelines.exchange.wire.mishaps import Mishaps
from mahler_pipelines.exchange.wire.sockets import (
    Outbox,
    Unreadable,
    converse,
    read,
    speaks_msgpack,
    write,
)
from mahler_pipelines.exchange.wire.trading_views import order_json

TRADE_UPDATES = "trade_updates"
_NO_ASSET = "00000000-0000-0000-0000-000000000000"


class OrderStream:
    """One client's side of the order stream: who it is, and whether it listens."""

    def __init__(self, exchange: Exchange, outbox: Outbox, news: Mishaps, *, packed: bool) -> None:
        self._exchange = exchange
        self._outbox = outbox
        self._news = news
        self._packed = packed
        self._account: str | None = None
        self._listening = ExitStack()

    def hear(self, frame: dict[str, Any]) -> None:
        """Do what a frame asks for; a frame that can't be read is an error and ends the stream."""
        try:
            message = read(frame, packed=self._packed)
        except Unreadable:
            self._fail("invalid syntax")
            return
        data = message.get("data")
        match message.get("action"):
            case "authenticate" if isinstance(data, dict):
                self._authenticate("authenticate", data.get("key_id"), data.get("secret_key"))
            case "auth":
                self._authenticate("auth", message.get("key"), message.get("secret"))
            case "listen" if isinstance(data, dict) and isinstance(data.get("streams"), list):
                self._listen(data["streams"])
            case _:
                self._fail("invalid message")

    def leave(self) -> None:
        """Stop listening."""
        self._listening.close()

    def encode(self, message: dict[str, Any] | OrderUpdate) -> bytes:
        """Write an answer, or an update as `trade_updates` carries it."""
        if isinstance(message, OrderUpdate):
            message = {"stream": TRADE_UPDATES, "data": update_json(message)}
        return write(message, packed=self._packed)

    def _authenticate(self, action: str, key_id: object, secret: object) -> None:
        self._listening.close()
        self._account = self._exchange.authenticate(str(key_id), str(secret))
        self._authorization(action)

    def _authorization(self, action: str) -> None:
        status = "unauthorized" if self._account is None else "authorized"
        data = {"status": status, "action": action}
        self._outbox.put({"stream": "authorization", "data": data})

    def _listen(self, wanted: list[object]) -> None:
        """Listen to exactly these streams; those that there aren't are left out of the answer."""
        if self._account is None:
            self._authorization("listen")
            return
        self._listening.close()
        streams = [TRADE_UPDATES] if TRADE_UPDATES in wanted else []
        # The answer comes first: what follows it is known to be heard.
        self._outbox.put({"stream": "listening", "data": {"streams": streams}})
        if streams:
            feed = self._exchange.feed
            self._listening.enter_context(feed.orders(self._account, self._news.put))

    def _fail(self, why: str) -> None:
        self._outbox.put({"action": "error", "data": {"error_message": why}})
        self._outbox.close()


def update_json(update: OrderUpdate) -> dict[str, Any]:
    """Write an event; a multi-leg fill lists its legs and the holdings after it."""
    order = update.order
    body: dict[str, Any] = {
        "event": update.event,
        "execution_id": update.execution_id,
        "order": order_json(order),
        "timestamp": utc_stamp(update.at),
    }
    if order.multileg:
        # The stream's copy of the parent differs from the REST one in these two.
        body["order"] |= {"asset_id": _NO_ASSET, "side": "buy"}
    if not update.fills:
        return body
    body |= {"price": number(update.net_price), "qty": str(update.units)}
    if not order.multileg:
        (fill,) = update.fills
        return body | {"execution_id": fill.execution_id, "position_qty": str(fill.position)}
    return body | {
        "legs": [
            {
                "execution_id": fill.execution_id,
                "order_id": fill.leg.id,
                "symbol": fill.leg.terms.symbol,
                "qty": str(fill.quantity),
                "price": number(fill.price),
                "timestamp": utc_stamp(update.at),
            }
            for fill in update.fills
        ],
        "position_qtys": {fill.leg.terms.symbol: str(fill.position) for fill in update.fills},
    }


async def trade_updates(websocket: WebSocket) -> None:
    """Serve one client of the order stream."""
    await websocket.accept()
    exchange = cast(Exchange, websocket.app.state.exchange)
    outbox = Outbox(websocket.app.state.streams.most_waiting)
    news = Mishaps.of(websocket, outbox)
    stream = OrderStream(exchange, outbox, news, packed=speaks_msgpack(websocket))
    try:
        await converse(websocket, outbox, stream.hear, encode=stream.encode)
    finally:
        stream.leave()


ROUTES = [WebSocketRoute("/stream", trade_updates)]
"""Route of the order stream."""
