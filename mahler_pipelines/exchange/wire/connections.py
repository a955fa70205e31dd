"""Connections that the exchange can close in the middle of a request.

ASGI has no word for that, so uvicorn's protocol is told apart by the two ends of its connection.
"""

import asyncio
from typing import cast
from weakref import WeakValueDictionary

from starlette.types import Receive, Scope
from uvicorn.protocols.http.auto import AutoHTTPProtocol

_open: WeakValueDictionary[tuple[object, object], asyncio.Transport] = WeakValueDictionary()
"""Open connections by (own address, address of the client)."""


class Connection(AutoHTTPProtocol):  # type: ignore[misc, valid-type]  # uvicorn picks the class
    """uvicorn's HTTP protocol, whose connections `hang_up` can find."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the connection by its two ends."""
        super().connection_made(transport)
        ends = (transport.get_extra_info("sockname"), transport.get_extra_info("peername"))
        _open[ends] = cast(asyncio.Transport, transport)


def cut(scope: Scope) -> None:
    """Cut a connection at once, as a network does: no close frame, nothing that waits is sent.

    Raises `RuntimeError` under a server that does not use `Connection`.
    """
    _transport(scope).abort()


async def hang_up(scope: Scope, receive: Receive) -> None:
    """Close the connection of a request once what was sent has left, and wait until it is closed.

    Raises `RuntimeError` under a server that does not use `Connection`.
    """
    _transport(scope).close()
    while (await receive())["type"] != "http.disconnect":
        pass


def _transport(scope: Scope) -> asyncio.Transport:
    transport = _open.get((tuple(scope["server"]), tuple(scope["client"])))
    if transport is None:
        raise RuntimeError("this server's connections cannot be closed by a fault")
    return transport
