"""Discord's rate limits, by what its own headers say: nothing is hard-coded."""

import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

_FIRST_ANSWER_SECONDS = 10.0
_LOOK_AGAIN_SECONDS = 0.05
_SAME_WINDOW_SECONDS = 0.25
_MOST_BUCKETS = 1000


@dataclass(frozen=True, slots=True)
class Route:
    """What Discord counts together: a method and a path in which one id alone matters.

    `major` is that id: the channel's, the guild's, or the webhook's with its token. Interactions
    and their webhooks are not bound to the limit over everything.
    """

    template: str
    major: str
    is_bound_to_all: bool

    @classmethod
    def of(cls, method: str, path: str) -> "Route":
        """Read a route off a request."""
        parts = path.partition("?")[0].strip("/").split("/")
        majors = parts[1:3] if parts[0] in ("webhooks", "interactions") else parts[1:2]
        kept = [_template_part(parts, place) for place in range(len(parts))]
        is_bound = parts[0] not in ("webhooks", "interactions")
        return cls(f"{method} /{'/'.join(kept)}", "/".join(majors), is_bound)


def _template_part(parts: list[str], place: int) -> str:
    is_token = place == 2 and parts[0] in ("webhooks", "interactions")
    is_emoji = parts[place - 1] == "reactions" and place > 0
    return "_" if parts[place].isdigit() or is_token or is_emoji else parts[place]


@dataclass(slots=True)
class _Bucket:
    """`window` is how long it lasts, as far as is known; a guess waits for the first answer."""

    limit: int
    remaining: int
    resets_at: float
    window: float
    is_guess: bool = False


class RateLimits:
    """What may be sent when, learnt from answers. Safe across threads.

    Discord tells to which bucket a route belongs, and several may share one. Of a route that
    nothing is known about, one request asks first. Times are the machine's monotonic seconds.
    """

    def __init__(self, seconds: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._bucket_of: dict[str, str] = {}
        self._buckets: dict[tuple[str, str], _Bucket] = {}
        self._all_wait_until = 0.0

    def wait_before(self, route: Route) -> float:
        """Seconds to wait before asking here again; 0 takes a place at once."""
        with self._lock:
            now = self._seconds()
            if route.is_bound_to_all and now < self._all_wait_until:
                return self._all_wait_until - now
            bucket = self._buckets.get(self._key(route))
            if bucket is None:
                self._open(self._key(route), now)
                return 0.0
            if now >= bucket.resets_at:
                bucket.remaining, bucket.resets_at = bucket.limit, now + bucket.window
            if bucket.remaining > 0:
                bucket.remaining -= 1
                return 0.0
            return _LOOK_AGAIN_SECONDS if bucket.is_guess else bucket.resets_at - now

    def learn(self, route: Route, headers: Mapping[str, str]) -> None:
        """Read an answer's headers; no headers, or no answer, only end the guess."""
        name = headers.get("X-RateLimit-Bucket")
        limit, remaining, after = (
            _number(headers, f"X-RateLimit-{one}") for one in ("Limit", "Remaining", "Reset-After")
        )
        with self._lock:
            guess = self._buckets.get(self._key(route))
            if guess is not None and guess.is_guess:
                del self._buckets[self._key(route)]
            if not name or limit is None or remaining is None or after is None:
                return
            self._bucket_of[route.template] = name
            resets_at = self._seconds() + after
            bucket = _Bucket(max(1, int(limit)), int(remaining), resets_at, after)
            known = self._buckets.get(self._key(route))
            if known is not None:
                bucket.window = max(after, known.window)
                if abs(known.resets_at - resets_at) < _SAME_WINDOW_SECONDS:
                    # Answers overtake each other: who took a place since is counted here alone.
                    bucket.remaining = min(bucket.remaining, known.remaining)
            self._buckets[self._key(route)] = bucket

    def refused(self, route: Route, *, retry_after: float, everything: bool) -> None:
        """Note a 429: nobody asks this route, or anything at all, before `retry_after` seconds."""
        with self._lock:
            until = self._seconds() + retry_after
            if everything:
                self._all_wait_until = max(self._all_wait_until, until)
                return
            known = self._buckets.get(self._key(route))
            limit, window = (known.limit, known.window) if known else (1, retry_after)
            self._buckets[self._key(route)] = _Bucket(limit, 0, until, window)

    def _key(self, route: Route) -> tuple[str, str]:
        return self._bucket_of.get(route.template, route.template), route.major

    def _open(self, key: tuple[str, str], now: float) -> None:
        """Let one request ask what the limit is; each interaction has a bucket of its own."""
        if len(self._buckets) >= _MOST_BUCKETS:
            self._buckets = {k: one for k, one in self._buckets.items() if now < one.resets_at}
        until = now + _FIRST_ANSWER_SECONDS
        self._buckets[key] = _Bucket(1, 0, until, _FIRST_ANSWER_SECONDS, is_guess=True)


def _number(headers: Mapping[str, str], name: str) -> float | None:
    try:
        value = float(headers.get(name, ""))
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None
