"""How a fault is played: what becomes of the request, and what its sender gets to see."""

import asyncio
import json
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mahler_pipelines.exchange.clock import ClockRefusal
from mahler_pipelines.exchange.engine import Exchange
from mahler_pipelines.exchange.faults import (
    ClockJump,
    DistortQuote,
    Drop,
    Empty,
    Fail,
    FillFirst,
    Hang,
    Pend,
    RateLimit,
    Refuse,
    Truncate,
    UnknownValue,
)
from mahler_pipelines.exchange.faults_due import RuleCount
from mahler_pipelines.exchange.wire.arrival import arrived
from mahler_pipelines.exchange.wire.connections import hang_up
from mahler_pipelines.exchange.wire.distortions import distort
from mahler_pipelines.exchange.wire.errors import INTERNAL, RATE_LIMITED, WireRefusal
from mahler_pipelines.exchange.wire.races import Race, asks_for_a_change

_FAILED = {
    500: "internal server error occurred",
    502: "bad gateway",
    503: "service unavailable",
    504: "gateway timeout",
}


@dataclass(slots=True)
class Faulted:
    """A request that met a fault. `entry` is its row in the journal, `headers` go on its answer."""

    app: ASGIApp
    exchange: Exchange
    scope: Scope
    receive: Receive
    send: Send
    entry: dict[str, Any]
    headers: dict[str, str]

    async def play(self, count: RuleCount) -> None:
        """Execute the request if the fault lets it, and answer as the fault says."""
        # What was sent is read first: a request that has arrived is executed though its sender
        # leaves meanwhile.
        _, self.receive = await arrived(self.receive)
        match count.rule.fault:
            case Refuse() | RateLimit() as fault:
                await self._refuse(fault)
            case Fail() as fault:
                await self._fail(fault)
            case Hang() as fault:
                await self._hang(fault)
            case Drop() as fault:
                if fault.executed:
                    await self._execute()
                await hang_up(self.scope, self.receive)
            case Truncate():
                await self._truncate(await self._execute())
            case Empty():
                await self._answer(Response(status_code=(await self._execute()).status))
            case UnknownValue() | DistortQuote() as fault:
                await self._distort(fault, count)
            case ClockJump() as fault:
                await self._jump(fault)
            case FillFirst() as fault:
                await self._race(fault, count)
            case Pend():
                await self._pend(count)

    async def _refuse(self, fault: Refuse | RateLimit) -> None:
        if isinstance(fault, RateLimit):
            self.headers["X-RateLimit-Remaining"] = "0"
            refusal = WireRefusal(429, RATE_LIMITED, "rate limit exceeded")
        else:
            refusal = WireRefusal(fault.status, fault.code, fault.message)
        await self._answer(JSONResponse(refusal.body, status_code=refusal.status))

    async def _fail(self, fault: Fail) -> None:
        if fault.executed:
            await self._execute()
        message = _FAILED[fault.status]
        answers: dict[str, Response] = {
            "json": JSONResponse({"code": _code_of(fault.status), "message": message}),
            "html": HTMLResponse(f"<html><body><h1>{fault.status} {message}</h1></body></html>"),
            "empty": Response(),
        }
        answer = answers[fault.body]
        answer.status_code = fault.status
        await self._answer(answer)

    async def _hang(self, fault: Hang) -> None:
        if fault.executed == "after":
            await asyncio.sleep(fault.seconds)
            await self._pass_on(await self._execute())
            return
        answer = await self._execute()
        if not await self._leaves_within(fault.seconds):
            await self._pass_on(answer)

    async def _leaves_within(self, seconds: float) -> bool:
        """Wait so long, or until the sender has given up; return whether it has."""
        try:
            async with asyncio.timeout(seconds):
                while (await self.receive())["type"] != "http.disconnect":
                    pass
        except TimeoutError:
            return False
        return True

    async def _truncate(self, answer: "_Answer") -> None:
        """Send half of a body under the length of the whole; without a body there is no answer."""
        if answer.body:
            await self.send(answer.start)
            half = answer.body[: len(answer.body) // 2]
            await self.send({"type": "http.response.body", "body": half, "more_body": True})
        await hang_up(self.scope, self.receive)

    async def _distort(self, fault: UnknownValue | DistortQuote, count: RuleCount) -> None:
        answer = await self._execute()
        parsed = json.loads(answer.body) if answer.body and answer.status < 400 else None
        if not distort(fault, parsed):
            self._not_met(count)
            await self._pass_on(answer)
            return
        await self._answer(JSONResponse(parsed, status_code=answer.status))

    async def _race(self, fault: FillFirst, count: RuleCount) -> None:
        """Let the order trade before the request is executed, or between that and its effect."""
        race = Race(self.exchange, self.scope, fault.units)
        if fault.answered == "after":
            is_met = race.fill()
            answer = await self._execute()
        else:
            self.scope["pends"] = True
            answer = await self._execute()
            is_met = race.decide()
        if not is_met:
            self._not_met(count)
        await self._pass_on(answer)

    async def _pend(self, count: RuleCount) -> None:
        self.scope["pends"] = True
        answer = await self._execute()
        if answer.status >= 400 or not asks_for_a_change(self.scope):
            self._not_met(count)
        await self._pass_on(answer)

    def _not_met(self, count: RuleCount) -> None:
        """Take a fault back that the request, or its answer, gave no occasion for."""
        count.met -= 1
        self.entry["fault"] = None
        del self.scope["fault"], self.scope["fault_kind"]

    async def _jump(self, fault: ClockJump) -> None:
        try:
            self.exchange.advance(self.exchange.now + timedelta(seconds=fault.seconds))
        except ClockRefusal as refusal:
            self.entry["fault"] = f"{self.entry['fault']} (refused: {refusal.reason})"
        await self._pass_on(await self._execute())

    async def _execute(self) -> "_Answer":
        """Let the exchange answer, and keep the answer here."""
        answer = _Answer()
        await self.app(self.scope, self.receive, answer.keep)
        self.entry["executed"] = answer.status
        return answer

    async def _answer(self, answer: Response) -> None:
        await answer(self.scope, self.receive, self.send)

    async def _pass_on(self, answer: "_Answer") -> None:
        await self.send(answer.start)
        await self.send({"type": "http.response.body", "body": bytes(answer.body)})


@dataclass(slots=True)
class _Answer:
    """The exchange's own answer to a request."""

    start: Message = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)

    @property
    def status(self) -> int:
        return int(self.start["status"])

    async def keep(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.start = message
        self.body += message.get("body", b"")


def _code_of(status: int) -> int:
    """Alpaca's code of 500; the gateways' are made alike."""
    return INTERNAL + (status - 500) * 100_000
