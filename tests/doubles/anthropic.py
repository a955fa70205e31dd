"""A double of Anthropic's Messages API on loopback, strict about what it is sent.

It answers from a script, one entry per request, and refuses what the API refuses: a missing
Bearer key, another version, unknown top-level fields, sampling parameters, schema keywords that
structured outputs do not take.
"""

import asyncio
import json
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Self

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

API_KEY = "sk-ant-of-the-double"
VERSION = "2026-10-21"
REQUIRED = {"model", "max_tokens", "messages"}
KNOWN = REQUIRED | {
    "cache_control", "container", "diagnostics", "inference_geo", "metadata", "output_config",
    "service_tier", "speed", "stop_sequences", "stream", "system", "thinking", "tool_choice",
    "tools", "user_profile_id", "workspace_id",
}  # fmt: skip
UNTAKEN_KEYWORDS = {
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength",
    "maxLength", "pattern", "maxItems", "uniqueItems", "default",
}  # fmt: skip


@dataclass(frozen=True)
class Scripted:
    """One scripted answer: a status, a body, headers, and how long it takes."""

    body: Any
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay_seconds: float = 0.0


def message(
    text: str, *, stop_reason: str = "end_turn", stop_details: dict[str, Any] | None = None
) -> Scripted:
    """Return a message as the API answers it."""
    return Scripted(
        {
            "id": "msg_01Double",
            "type": "message",
            "role": "assistant",
            "model": "claude-sonnet-5-5",
            "content": [{"type": "text", "text": text}] if text else [],
            "stop_reason": stop_reason,
            "stop_sequence": None,
            "stop_details": stop_details,
            "container": None,
            "diagnostics": None,
            "usage": {
                "input_tokens": 700,
                "output_tokens": 90,
                "cache_creation_input_tokens": 20,
                "cache_read_input_tokens": 3,
            },
        },
        headers={"request-id": "req_double"},
    )


def failure(
    status: int, kind: str, text: str = "scripted", *, headers: dict[str, str] | None = None
) -> Scripted:
    """Return an error as the API answers it; it asks for no wait unless told."""
    return Scripted(
        {
            "type": "error",
            "error": {"type": kind, "message": text},
            "request_id": "req_double",
        },
        status=status,
        headers={"request-id": "req_double", "retry-after": "0", **(headers or {})},
    )


class AnthropicDouble:
    """Serve the double while the block lasts; `requests` keeps every body that arrived."""

    def __init__(self) -> None:
        self.script: deque[Scripted] = deque()
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        app = Starlette(routes=[Route("/v1/messages", self._messages, methods=["POST"])])
        self._server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off"))
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._listener]}, daemon=True
        )

    def forget(self) -> None:
        """Drop the script and what arrived."""
        self.script.clear()
        self.requests.clear()
        self.headers.clear()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        limit = time.monotonic() + 10
        while not self._server.started:
            if time.monotonic() > limit:
                raise TimeoutError("the double did not start")
            time.sleep(0.01)
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.should_exit = True
        self._thread.join(timeout=10)
        self._listener.close()

    async def _messages(self, request: Request) -> Response:
        body = json.loads(await request.body())
        self.requests.append(body)
        self.headers.append(dict(request.headers))
        refused = _refusal(request, body)
        answer = refused or (
            self.script.popleft()
            if self.script
            else failure(500, "api_error", "the script is at its end")
        )
        await asyncio.sleep(answer.delay_seconds)
        if isinstance(answer.body, str):
            return Response(answer.body, answer.status, answer.headers, "text/html")
        return JSONResponse(answer.body, answer.status, answer.headers)


def _refusal(request: Request, body: dict[str, Any]) -> Scripted | None:
    if request.headers.get("authorization") != f"Bearer {API_KEY}":
        return failure(401, "authentication_error", "invalid bearer token")
    if request.headers.get("anthropic-version") != VERSION:
        return failure(400, "invalid_request_error", "anthropic-version: unknown")
    for name in sorted(body.keys() - KNOWN):
        text = f"{name}: Extra inputs are not permitted"
        return failure(400, "invalid_request_error", text)
    for name in sorted(REQUIRED - body.keys()):
        return failure(400, "invalid_request_error", f"{name}: Field required")
    schema = body.get("output_config", {}).get("format", {}).get("schema", {})
    for word in _untaken(schema):
        text = f"output_config.format.schema: {word} is not supported"
        return failure(400, "invalid_request_error", text)
    return None


def _untaken(schema: object) -> Iterator[str]:
    """Yield what structured outputs refuse: unsupported keywords, objects left open."""
    if isinstance(schema, list):
        for inner in schema:
            yield from _untaken(inner)
    if not isinstance(schema, dict):
        return
    yield from sorted(UNTAKEN_KEYWORDS & schema.keys())
    if schema.get("minItems", 0) > 1:
        yield "minItems above 1"
    if schema.get("type") == "object" and schema.get("additionalProperties") is not False:
        yield "an object without additionalProperties: false"
    for name, inner in schema.items():
        if name == "properties":
            for property_schema in inner.values():
                yield from _untaken(property_schema)
        else:
            yield from _untaken(inner)
