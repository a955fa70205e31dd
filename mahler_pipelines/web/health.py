"""How the desk is, in the parts it rests on: in bounded time, without secrets, by looking only.

A part that does not answer in time is wrong, and is not asked again while it still hangs.
"""

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mahler_pipelines.errors import MahlerError, UnknownSession
from mahler_pipelines.execution.broker import Broker, BrokerClock
from mahler_pipelines.execution.broker_books import FindingStatus
from mahler_pipelines.execution.desk import session_of
from mahler_pipelines.execution.desk_terms import DeskTerms
from mahler_pipelines.market.chains import Scan
from mahler_pipelines.market.lake import Lake
from mahler_pipelines.market.sessions import TradingCalendar
from mahler_pipelines.messaging.inquiries import last_scan
from mahler_pipelines.review.ledger import LedgerBook
from mahler_pipelines.storage.migrate import HEAD

Part = dict[str, Any]

PATIENCE_SECONDS = 2.0
CLOCK_SECONDS = 5.0
"""How long an answer of the broker or of Dagster is taken for the present one."""
HEARTBEAT_SECONDS = 120.0
"""Every daemon of Dagster beats twice a minute."""
OUTSIDE = frozenset({"broker", "daemon"})

_log = logging.getLogger(__name__)


class Probe:
    """Asks one part on a thread of its own, waits a while, and keeps its answer for a while."""

    def __init__(
        self,
        name: str,
        ask: Callable[[], Part],
        *,
        fresh_seconds: float = 0.0,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._ask, self._fresh_seconds, self._seconds = ask, fresh_seconds, seconds
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"health-{name}")
        self._asked: Future[Part] | None = None
        self._asked_at = 0.0

    def begin(self) -> None:
        """Ask, unless the last answer is fresh or still awaited."""
        now = self._seconds()
        pending = self._asked is not None and not self._asked.done()
        if pending or (self._asked is not None and now - self._asked_at < self._fresh_seconds):
            return
        self._asked, self._asked_at = self._thread.submit(self._answer), now

    def answer(self, *, until: float) -> Part:
        """Return the answer; after `until` (of the probe's clock) say that there is none."""
        assert self._asked is not None  # noqa: S101 begun before
        try:
            return self._asked.result(max(0.0, until - self._seconds()))
        except TimeoutError:
            return {"ok": False, "problem": "does not answer"}

    def close(self) -> None:
        """Ask no more; what hangs is left behind."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _answer(self) -> Part:
        try:
            return {"ok": True} | self._ask()
        except (MahlerError, OSError) as error:
            # Its text may name addresses and accounts, which are nobody's business at a web door.
            _log.warning("health of the %s: %s", self.name, error)
        except Exception:  # noqa: BLE001 whatever breaks a part is the part's state
            _log.exception("health of the %s", self.name)
        return {"ok": False, "problem": "fails; the log says why"}


@dataclass(frozen=True)
class DeskHealth:
    """The health of one desk.

    `present` is the machine's clock, which is the market's too unless `is_local`: then only the
    exchange's own clock says what time it is.
    """

    terms: DeskTerms
    ledger: LedgerBook
    lake: Lake
    broker: Callable[[], Broker]
    dagster_home: Path
    is_local: bool
    present: Callable[[], datetime] = lambda: datetime.now(UTC)
    _clock: dict[str, BrokerClock] = field(default_factory=dict)
    _probes: dict[str, Probe] = field(default_factory=dict)

    def __post_init__(self) -> None:
        asked: dict[str, Callable[[], Part]] = {
            "broker": self._broker,
            "daemon": lambda: daemon_heartbeat(self.dagster_home),
            "ledger": self._ledger,
            "lake": self._lake,
            "calendar": self._calendar,
        }
        for name, ask in asked.items():
            fresh = CLOCK_SECONDS if name in OUTSIDE else 0.0
            self._probes[name] = Probe(name, ask, fresh_seconds=fresh)

    def __call__(self) -> dict[str, Any]:
        """Return `status`, "ok" or "degraded", and every part with `ok` and what it found.

        Takes at most twice the patience: the clock is asked first, for the others go by it.
        """
        parts: dict[str, Part] = {}
        for names in (("broker",), tuple(name for name in self._probes if name != "broker")):
            until = time.monotonic() + PATIENCE_SECONDS
            for name in names:
                self._probes[name].begin()
            parts |= {name: self._probes[name].answer(until=until) for name in names}
        status = "ok" if all(part["ok"] for part in parts.values()) else "degraded"
        return {"status": status, "account": self.terms.account_id, "parts": parts}

    def close(self) -> None:
        """End the threads."""
        for probe in self._probes.values():
            probe.close()

    @property
    def _now(self) -> datetime | None:
        """The market's present: the broker's clock, else the machine's where it is the same."""
        known = self._clock.get("last")
        if known is not None:
            return known.now
        return None if self.is_local else self.present()

    def _broker(self) -> Part:
        self._clock.clear()
        clock = self.broker().clock()
        self._clock["last"] = clock
        return {"clock": clock.now.isoformat(), "market_open": clock.is_open}

    def _ledger(self) -> Part:
        with self.ledger.reading(self.terms.account_id) as book:
            state, reason = book.trading_state()
            waiting = book.outbox(undelivered_only=True)
            findings = len(book.findings(statuses=[FindingStatus.OPEN]))
        problems = [row["problem"] for row in waiting if row["attempts"] and row["problem"]]
        outbox: Part = {"waiting": len(waiting)}
        if waiting:
            outbox["oldest"] = waiting[0]["created_at"].isoformat()
        if problems:
            outbox["problem"] = problems[0]
        return {
            "ok": not problems,
            "revision": HEAD,
            "trading_state": {"state": state.value, "reason": reason},
            "outbox": outbox,
            "open_findings": findings,
        }

    def _lake(self) -> Part:
        """Whether the lake can be read, and the last scan that it holds."""
        now = self._now
        if now is None:
            return {"last_scan": "not known without the market's clock"}
        found = last_scan(self.lake, self.terms, until=session_of(now))
        if found is None:
            return {"last_scan": None}
        session, scan = found
        at = TradingCalendar().scan_time(session, Scan(scan))
        age = None if at is None else round((now - at).total_seconds())
        return {"last_scan": {"session": session.isoformat(), "scan": scan, "age_seconds": age}}

    def _calendar(self) -> Part:
        now = self._now
        if now is None:
            return {"session": "not known without the market's clock"}
        calendar = TradingCalendar()
        try:
            session = calendar.session_date(now)
            coming = calendar.next(now.date())
        except UnknownSession:
            return {"ok": False, "problem": "the calendar does not reach today"}
        if session is None:
            return {"session": None, "next_session": coming.isoformat()}
        is_open = calendar.open(session) <= now < calendar.close(session)
        return {"session": session.isoformat(), "open": is_open, "next_session": coming.isoformat()}


def daemon_heartbeat(home: Path) -> Part:
    """Say whether Dagster's daemon works this book: when each part of it was last heard of.

    Only looks: a home that was never used is not made into one.
    """
    if not (home / "history" / "runs.db").exists():
        return {"ok": False, "problem": "no daemon has worked this book: start `mahler dev`"}
    import dagster as dg

    with dg.DagsterInstance.from_config(str(home)) as instance:
        beats = instance.get_daemon_heartbeats()
        required = instance.get_required_daemon_types()
    heard = {name: time.time() - beats[name].timestamp for name in required if name in beats}
    missing = sorted(set(required) - heard.keys())
    oldest = max(heard.values(), default=0.0)
    if missing or oldest > HEARTBEAT_SECONDS:
        silent = missing or [name for name, age in heard.items() if age > HEARTBEAT_SECONDS]
        return {"ok": False, "problem": f"not heard of: {', '.join(sorted(silent))}"}
    return {"heartbeat_age_seconds": round(oldest, 1)}
