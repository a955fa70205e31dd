"""In front of every REST route: the outage, the token, the limits, the faults and the journal."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from mahler_pipelines.local_discord.bodies import read_body
from mahler_pipelines.local_discord.drafts import MOST_FILE_BYTES, MOST_FILES
from mahler_pipelines.local_discord.engine import Discord
from mahler_pipelines.local_discord.faults import FaultRule
from mahler_pipelines.local_discord.limits import VIA
from mahler_pipelines.local_discord.refusals import Refused, too_large, unauthorized
from mahler_pipelines.local_discord.wire.answers import KeptAnswer, ask, whole_body
from mahler_pipelines.local_discord.wire.connections import hang_up

BASE = "/api/v10"
MOST_BODY = (MOST_FILES + 1) * MOST_FILE_BYTES
_OPEN = (f"{BASE}/interactions/", f"{BASE}/webhooks/", f"{BASE}/gateway")
"""What needs no token: interactions carry theirs in the path; the gateway is no secret."""

_WORDS = {
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}


class Gatekeeper:
    """Answers a request, or lets the routes do it, and notes both in the journal."""

    def __init__(self, app: ASGIApp, *, discord: Discord) -> None:
        self._app = app
        self._discord = discord

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it here."""
        if scope["type"] != "http" or not scope["path"].startswith("/api/"):
            if _is_from_elsewhere(scope):
                await KeptAnswer.of(403, {"message": "control is for this page"}).send(send)
                return
            await self._app(scope, receive, send)
            return
        body = await whole_body(receive, MOST_BODY)
        entry = _entry(scope, self._discord.now(), Headers(scope=scope), body or b"")
        # Noted when it comes, so that a request that hangs is in the journal too.
        self._discord.journal.append(entry)
        if body is None:
            await self._answer(entry, send, KeptAnswer.of(413, too_large().body), {})
            return
        spent: dict[str, str] = {}
        refused = self._refuse(scope, spent)
        if refused is not None:
            await self._answer(entry, send, refused, spent)
            return

        async def execute() -> KeptAnswer:
            answer = await ask(self._app, scope, body)
            entry["executed"] = answer.status
            return answer

        fault = self._discord.faults.meet(scope["method"], scope["path"])
        if fault is None:
            await self._answer(entry, send, await execute(), spent)
            return
        entry["fault"] = fault.name
        answer = await self._play(fault, execute, entry)
        if answer is None:
            await hang_up(scope, receive)
            return
        is_half = fault.fault.kind == "truncate"
        await self._answer(entry, send, answer, spent, half=is_half)
        if is_half:
            await hang_up(scope, receive)

    def _refuse(self, scope: Scope, spent: dict[str, str]) -> KeptAnswer | None:
        """Return the answer to who is not admitted; note in `spent` what the bucket says."""
        if self._discord.is_out:
            return KeptAnswer.of(503, "<html><body><h1>503 Service Unavailable</h1></body></html>")
        sent = Headers(scope=scope).get("authorization", "")
        is_open = scope["path"].startswith(_OPEN) and scope["path"] != f"{BASE}/gateway/bot"
        wanted = f"Bot {self._discord.terms.token}"
        if not is_open and not secrets.compare_digest(sent.encode(), wanted.encode()):
            return KeptAnswer.of(401, unauthorized().body)
        taken = self._discord.limits.spend(scope["method"], scope["path"])
        spent |= taken.headers
        return None if taken.retry_after is None else KeptAnswer.of(429, taken.body)

    async def _play(
        self,
        rule: FaultRule,
        execute: Callable[[], Awaitable[KeptAnswer]],
        entry: dict[str, Any],
    ) -> KeptAnswer | None:
        """Execute the request if its fault lets it; None closes the connection."""
        kind, members = rule.fault.kind, rule.fault.members
        if kind == "refuse":
            refusal = Refused(members["status"], members["code"], members["message"])
            return KeptAnswer.of(refusal.status, refusal.body)
        if kind == "rate_limit":
            return _limited(members)
        if kind == "hang":
            if members["executed"] == "after":
                await asyncio.sleep(members["seconds"])
                return await execute()
            answer = await execute()
            await asyncio.sleep(members["seconds"])
            return answer
        if kind in ("truncate", "empty"):
            answer = await execute()
            return answer if kind == "truncate" else KeptAnswer(answer.status)
        if members["executed"]:
            await execute()
        if kind == "drop":
            entry["status"] = None
            return None
        return _failed(members)

    async def _answer(
        self,
        entry: dict[str, Any],
        send: Send,
        answer: KeptAnswer,
        headers: dict[str, str],
        *,
        half: bool = False,
    ) -> None:
        is_banned = any(name == b"x-local-ban" for name, _ in answer.headers)
        answer.add(headers | ({} if is_banned else {"Via": VIA}))
        entry["status"], entry["answer"] = answer.status, answer.json()
        self._discord.limits.note_answer(answer.status)
        await answer.send(send, half=half)


def _is_from_elsewhere(scope: Scope) -> bool:
    """Whether a web page of another origin would steer: a browser says where it comes from."""
    if scope["type"] != "http" or not scope["path"].startswith("/control/"):
        return False
    headers = Headers(scope=scope)
    origin = headers.get("origin")
    return origin is not None and origin != f"http://{headers.get('host')}"


def _limited(members: dict[str, Any]) -> KeptAnswer:
    """A 429 on demand; without `via` it is what Cloudflare sends to the banned."""
    wait = members["retry_after"]
    if not members["via"]:
        answer = KeptAnswer.of(429, "<html><body>error code: 1015</body></html>")
        answer.add({"Retry-After": str(wait), "X-Local-Ban": "1"})
        return answer
    body = {
        "message": "You are being rate limited.",
        "retry_after": wait,
        "global": members["global"],
        "code": 0,
    }
    answer = KeptAnswer.of(429, body)
    scope = "global" if members["global"] else "user"
    answer.add({"Retry-After": str(wait), "X-RateLimit-Scope": scope})
    answer.add({"X-RateLimit-Global": "true"} if members["global"] else {})
    return answer


def _failed(members: dict[str, Any]) -> KeptAnswer:
    status = members["status"]
    said = f"{status}: {_WORDS[status]}"
    bodies = {
        "json": {"message": said, "code": 0},
        "html": f"<html><body><h1>{said}</h1></body></html>",
        "empty": None,
    }
    return KeptAnswer.of(status, bodies[members["body"]])


def _entry(scope: Scope, received: str, headers: Headers, body: bytes) -> dict[str, Any]:
    """A row of the journal: what was asked, what was done, and what the sender got to see."""
    query = scope["query_string"].decode("latin-1")
    kind = headers.get("content-type", "")
    try:
        sent, uploads = read_body(kind, body) if body else (None, {})
        files = [{"name": one.filename, "size": len(one.content)} for one in uploads.values()]
    except Refused:
        sent, files = body.decode("utf-8", "replace")[:2000], []
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    return {
        "received": received,
        "method": scope["method"],
        "path": raw.decode("latin-1") + (f"?{query}" if query else ""),
        "user_agent": headers.get("user-agent", ""),
        "body": sent,
        "files": files,
        "status": None,
        "executed": None,
        "fault": None,
        "answer": None,
    }
