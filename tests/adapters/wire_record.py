"""Everything that goes over the wire in a test, judged by the published specification."""

import importlib.util
import json
import warnings
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

SPECS = Path(__file__).parents[2].parent / "shared" / "specs"


@dataclass(frozen=True, slots=True)
class Exchanged:
    """One request and its answer; `fault` names the injected one that the answer met."""

    method: str
    target: str
    body: Any
    status: int
    answer: Any
    fault: str | None = None


@cache
def _gate(name: str) -> Any:
    spec = importlib.util.spec_from_file_location("specs_gate", SPECS / "gate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # it leaves the files it reads open
        return module.Gate(str(SPECS / name))


def violations(exchanged: list[Exchanged]) -> list[str]:
    """What the published specification says against requests and answers; [] where it is absent.

    Answers of 400 and above are left out: the published files describe hardly any. So are answers
    that are wrong on demand.
    """
    if not (SPECS / "gate.py").exists():
        return []
    found: list[str] = []
    for one in exchanged:
        if one.target.startswith("/control/"):
            continue
        is_data = one.target.startswith(("/v1beta1", "/v2/stocks"))
        gate = _gate(
            "alpaca-market-data-api.json" if is_data else "alpaca-trading-api.overlay.json"
        )
        place = f"{one.method} {one.target}"
        found += [f"{place}: {e}" for e in gate.request(one.method, one.target, one.body)]
        if one.status < 400 and one.fault is None:
            errors = gate.response(one.method, one.target, one.status, one.answer)
            found += [f"{place} answer: {error}" for error in errors]
    return found


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
        fault = scope.get("fault")
        answer = None if fault else _json(answered)  # Half an answer is no JSON.
        self._kept.append(Exchanged(scope["method"], target, _json(sent), status[0], answer, fault))


def _json(content: bytes | bytearray) -> Any:
    return json.loads(bytes(content)) if content else None
