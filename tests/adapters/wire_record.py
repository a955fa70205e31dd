"""Middleware for tests that judge the wire of one application before they end."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.wire_gate import SPECS, Exchanged, parsed, violations

__all__ = ["SPECS", "Exchanged", "Recorder", "violations"]


class Recorder:
    """Middleware that keeps every request with its answer."""

    def __init__(self, app: ASGIApp, *, kept: list[Exchanged]) -> None:
        self._app = app
        self._kept = kept

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        sent, answered, status = bytearray(), bytearray(), [0]

        async def reading() -> Message:
            message = await receive()
            sent.extend(message.get("body", b""))
            return message

        async def noting(message: Message) -> None:
            status[0] = message.get("status", status[0])
            answered.extend(message.get("body", b""))
            await send(message)

        await self._app(scope, reading, noting)
        query = scope["query_string"].decode()
        target = scope["path"] + (f"?{query}" if query else "")
        self._kept.append(
            Exchanged(
                scope["method"],
                target,
                parsed(sent.decode()),
                status[0] or None,
                parsed(answered.decode(errors="replace")),
                scope.get("fault_kind"),
            )
        )
