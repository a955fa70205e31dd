"""Rate limits by bucket and over all, with the headers and the answer that Discord gives."""

import hashlib
import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

SHARED_WINDOW_SECONDS = 1.0
INVALID_WINDOW_SECONDS = 600.0
VIA = "1.1 google"
"""The proxy in front of Discord; discord.py takes a 429 without it for a ban."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """So many requests in so many seconds."""

    requests: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Rule:
    """Which requests share a bucket; the pattern's first group is what the bucket is kept for."""

    name: str
    methods: tuple[str, ...]
    pattern: re.Pattern[str]
    allowance: Allowance


def rules(messages: Allowance) -> tuple[Rule, ...]:
    """Return the buckets; `messages` is what may be sent to one channel."""

    def rule(name: str, methods: str, pattern: str, requests: int, seconds: float) -> Rule:
        compiled = re.compile(rf"/api/v10{pattern}")
        return Rule(name, tuple(methods.split()), compiled, Allowance(requests, seconds))

    sending = rule("send", "POST", r"/channels/(\d+)/messages", 1, 1)
    return (
        Rule(sending.name, sending.methods, sending.pattern, messages),
        rule("react", "PUT DELETE", r"/channels/(\d+)/messages/\d+/reactions.*", 1, 0.25),
        rule("read", "GET", r"/channels/(\d+)/messages.*", 50, 1),
        rule("edit", "PATCH", r"/channels/(\d+)/messages/\d+", 5, 5),
        rule("delete", "DELETE", r"/channels/(\d+)/messages/\d+", 5, 1),
        rule("commands", "PUT GET", r"/applications/(\d+)/.*commands", 20, 20),
        rule("follow", "POST PATCH GET DELETE", r"/webhooks/\d+/([^/]+).*", 5, 2),
        rule("other", "GET", r"/(?:users|oauth2|gateway|channels|guilds)()\b.*", 50, 1),
    )


@dataclass(slots=True)
class _Bucket:
    allowance: Allowance
    ends: float = 0.0
    used: int = 0


@dataclass(frozen=True, slots=True)
class Spent:
    """What a request left of its bucket; `retry_after` is set where it was one too many."""

    headers: dict[str, str] = field(default_factory=dict)
    retry_after: float | None = None
    is_global: bool = False

    @property
    def body(self) -> dict[str, object]:
        """The body of the 429; its code is what the published specification demands."""
        return {
            "message": "You are being rate limited.",
            "retry_after": round(self.retry_after or 0.0, 3),
            "global": self.is_global,
            "code": 0,
        }


class Limits:
    """Counts requests. Answers to interactions are bound to no limit over all."""

    def __init__(
        self, messages: Allowance, per_second: int, *, seconds: Callable[[], float]
    ) -> None:
        self._rules = rules(messages)
        self._seconds = seconds
        self._per_second = per_second
        self._shared = _Bucket(Allowance(per_second, SHARED_WINDOW_SECONDS))
        self._buckets: dict[tuple[str, str], _Bucket] = {}
        self._invalid: deque[float] = deque()

    @property
    def invalid_requests(self) -> int:
        """Answers of 401, 403 and 429 in the last ten minutes; Discord bans beyond 10,000."""
        while self._invalid and self._invalid[0] < self._seconds() - INVALID_WINDOW_SECONDS:
            self._invalid.popleft()
        return len(self._invalid)

    def note_answer(self, status: int) -> None:
        """Count an answer that Discord counts as invalid."""
        if status in (401, 403, 429):
            self._invalid.append(self._seconds())

    def spend(self, method: str, path: str) -> Spent:
        """Count a request."""
        if path.startswith("/api/v10/interactions/"):
            return Spent()
        if not path.startswith("/api/v10/webhooks/"):
            wait = self._take(self._shared)
            if wait is not None:
                headers = {"X-RateLimit-Global": "true", "X-RateLimit-Scope": "global"}
                return _refused(headers, wait, is_global=True)
        for rule in self._rules:
            found = rule.pattern.fullmatch(path) if method in rule.methods else None
            if found is not None:
                return self._spend(rule, found[1])
        return Spent()

    def _spend(self, rule: Rule, kept_for: str) -> Spent:
        bucket = self._buckets.setdefault((rule.name, kept_for), _Bucket(rule.allowance))
        wait = self._take(bucket)
        left = max(bucket.ends - self._seconds(), 0.0)
        headers = {
            "X-RateLimit-Limit": str(rule.allowance.requests),
            "X-RateLimit-Remaining": str(rule.allowance.requests - bucket.used),
            "X-RateLimit-Reset": f"{bucket.ends:.3f}",
            "X-RateLimit-Reset-After": f"{left:.3f}",
            "X-RateLimit-Bucket": hashlib.sha256(rule.name.encode()).hexdigest()[:32],
        }
        if wait is None:
            return Spent(headers)
        return _refused(headers | {"X-RateLimit-Scope": "user"}, wait)

    def _take(self, bucket: _Bucket) -> float | None:
        """Use one of a bucket; return the seconds to wait where none is left."""
        now = self._seconds()
        if now >= bucket.ends:
            bucket.ends, bucket.used = now + bucket.allowance.seconds, 0
        if bucket.used >= bucket.allowance.requests:
            return bucket.ends - now
        bucket.used += 1
        return None


def _refused(headers: dict[str, str], wait: float, *, is_global: bool = False) -> Spent:
    return Spent(headers | {"Retry-After": f"{wait:.3f}"}, wait, is_global)
