"""The kill drill: processes of the desk are killed at random instants; then the books are held up.

Each kill comes after a delay drawn from what unkilled processes were measured to take: a third over
all of it, so that kills fall on every step in proportion to how long it lasts, a third over what
follows the look at the market, and a third around the sending of the order, where the steps last a
few milliseconds each.
"""

import random
import statistics
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from drills.books import Verdict, compare, order_at_exchange, read_exchange, read_ledger
from drills.processes import EXPECTED_FAILURES, Task
from drills.stage import EQUITY_USD, Stage, occasions
from drills.victims import DagsterVictim, Ended, LeanVictim, Victim
from mahler_pipelines.decisions.recommendation import Recommendation, RecommendationStatus
from mahler_pipelines.errors import CorruptData
from mahler_pipelines.execution.broker import OrderStatus
from mahler_pipelines.execution.desk import ExecutionTerms
from mahler_pipelines.execution.halting import DOUBTFUL
from mahler_pipelines.execution.ledger import OrderPurpose
from mahler_pipelines.execution.trades import TradeStatus
from mahler_pipelines.execution.walks import goes_on
from mahler_pipelines.risk.trading_state import TradingState

CLOSE_SHARE, STRAIGHT_SHARE, LATER_SHARE = 0.2, 0.4, 0.15
"""How often a trade is closed, a run started again without settling first, the clock moved."""

TRIES = 8
"""Kills that one approval takes at most; the process after them lives."""

BEYOND, AROUND = 1.02, 1.5
"""How far a delay may reach beyond what was measured: over a process, and around the sending."""

MEASURE_EVERY, RECENT = 20, 5
"""After how many kills a process is measured, and how many measurements make the median."""

PATIENCE = 3.0
POLL_SECONDS = 0.002
LONGEST_SECONDS = 180.0


class Left(StrEnum):
    """In which state a kill left the ledger and the exchange."""

    BEFORE_INTENT = "before the intent"
    INTENDED = "intent written, not marked as sent"
    NOT_THERE = "marked as sent, not at the exchange"
    UNRECORDED = "at the exchange, answer not recorded"
    UNKNOWN = "recorded as unknown"
    UNBOOKED = "recorded, its fill not booked"
    RESTING = "recorded, resting at the exchange"
    BETWEEN = "cancelled for the next step, which is owed"
    ENDED = "booked to its end"


MUST_BE_SEEN = frozenset(set(Left) - {Left.UNKNOWN, Left.RESTING})
"""The steps of one order's way; the others depend on the wire and on displayed sizes."""
ENOUGH_TO_SEE_ALL = 400


@dataclass(frozen=True, slots=True)
class Plan:
    """How many processes are killed; `dagster` of them in the order_execution run."""

    kills: int
    dagster: int
    seed: int
    batch: int = 60


@dataclass(slots=True)
class Tally:
    """What happened on the way."""

    kills: Counter[str] = field(default_factory=Counter)
    left: Counter[Left] = field(default_factory=Counter)
    left_closing: Counter[Left] = field(default_factory=Counter)
    ended_first: int = 0
    interrupted: int = 0
    failures: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Timing:
    """Seconds that unkilled processes took: in all, after their look, from the look to sending."""

    whole: list[float] = field(default_factory=list)
    after_look: list[float] = field(default_factory=list)
    to_send: list[float] = field(default_factory=list)
    measured_at: int = 0

    def is_due(self, kills: int) -> bool:
        """Whether a process should live, so that the times are those of the machine as it is."""
        return not self.whole or kills - self.measured_at >= MEASURE_EVERY

    def add(self, began: float, looked: float, sent: float, kills: int) -> None:
        """Keep the times of a process that has just ended, after so many kills."""
        over = time.monotonic()
        self.whole.append(over - began)
        self.after_look.append(over - looked)
        self.to_send.append(sent - looked)
        self.measured_at = kills

    def spans(self) -> tuple[tuple[bool, float], ...]:
        """What a delay is drawn over: whether it begins with the look, and how long it may be."""
        found = [(False, BEYOND, self.whole), (True, BEYOND, self.after_look)]
        found.append((True, AROUND, self.to_send))
        return tuple((look, by * _recent(took)) for look, by, took in found if took)


@dataclass(frozen=True, slots=True)
class Instant:
    """When to kill: `delay` seconds after the start, or `after_look`, after the market was seen.

    A process that does not look within `patience` seconds is killed then.
    """

    delay: float
    after_look: bool
    patience: float


@dataclass(frozen=True, slots=True)
class Result:
    """The verdict on the books, and what led there."""

    verdict: Verdict
    tally: Tally
    plan: Plan
    seconds: float
    harmed: Counter[str]

    @property
    def unseen(self) -> frozenset[Left]:
        """Steps that no kill met although there were enough to meet each."""
        enough = self.plan.kills >= ENOUGH_TO_SEE_ALL
        seen = set(self.tally.left) | set(self.tally.left_closing)
        return MUST_BE_SEEN - seen if enough else frozenset()

    @property
    def passed(self) -> bool:
        """Whether the books agree and the kills were what was asked for."""
        killed = self.tally.kills
        as_planned = (killed["dagster"], killed.total()) == (self.plan.dagster, self.plan.kills)
        return self.verdict.passed and as_planned and not self.unseen


class Drill:
    """Plays a plan on a stage."""

    def __init__(self, stage: Stage, plan: Plan, *, say: Callable[[str], None]) -> None:
        self._stage, self._plan, self._say = stage, plan, say
        self._random = random.Random(plan.seed)  # noqa: S311 no secret
        self._tally = Tally()
        self._timings = {"lean": Timing(), "dagster": Timing()}

    def play(self) -> Result:
        """Kill as planned, finish what is left without kills, and compare the books."""
        began = time.monotonic()
        for session, scan in occasions():
            waiting = list(self._stage.scan(session, scan, count=self._plan.batch))
            if not waiting:
                raise CorruptData(f"{session} {scan} proposed nothing")
            while self._tally.kills.total() < self._plan.kills:
                shown = self._next(waiting)
                if shown is None:
                    break
                self._approval(shown)
                self._maybe_close()
                if self._random.random() < LATER_SHARE:
                    self._stage.later(seconds=20)
            self._finish()
            self._say(f"{session} {scan}: {self._tally.kills.total()} of {self._plan.kills} kills")
            if self._tally.kills.total() >= self._plan.kills:
                break
        return Result(
            self._verdict(),
            self._tally,
            self._plan,
            time.monotonic() - began,
            Counter({str(fault): n for fault, n in self._stage.wire.harmed.items()}),
        )

    def _verdict(self) -> Verdict:
        stage = self._stage
        return compare(
            read_ledger(stage.ledger, stage.account),
            read_exchange(stage.exchange.url),
            starting_cash=Decimal(EQUITY_USD),
            fee_per_contract=stage.desk.terms.fee_per_contract,
            failures=self._tally.failures,
        )

    def _next(self, waiting: list[Recommendation]) -> Recommendation | None:
        """Take the first on whose underlying no order is in doubt: the desk would refuse it.

        None when those that are left have expired: the clock goes with every walk.
        """
        free: list[Recommendation] = []
        for _ in range(2):
            with self._stage.ledger.reading(self._stage.account) as book:
                doubtful = {order.underlying for order in book.orders(statuses=DOUBTFUL)}
            free = [shown for shown in waiting if shown.underlying not in doubtful]
            if free or not doubtful or not waiting:
                break
            # Past the grace an order that the broker does not have was never taken.
            self._stage.later(seconds=ExecutionTerms().unknown_grace_seconds + 1)
            self._process(Task(settle_first=True), waiting[0].id, lean=True, lives=True)
        now = self._stage.exchange.control.now()
        alive = [shown for shown in (free or waiting) if now < shown.expires_at]
        if not alive:
            return None
        waiting.remove(alive[0])
        return alive[0]

    def _approval(self, shown: Recommendation) -> None:
        """Approve one recommendation and start processes until one of them lives to its end."""
        self._resume()
        self._stage.approve(shown)
        for turn in range(TRIES + 1):
            straight = self._random.random() < STRAIGHT_SHARE
            task = Task(settle_first=not straight, execute=(shown.id,))
            lives = turn == TRIES
            if self._process(task, shown.id, lives=lives) or self._has_ended(shown.id):
                break
        self._walk(shown.id)

    def _walk(self, recommendation: str) -> None:
        """Let the steps of a working order come due; processes that take them are killed too."""
        terms = self._stage.desk.terms.walk
        for _ in range(2 * (terms.steps + 2)):
            if not self._executes(recommendation):
                return
            self._stage.later(seconds=terms.step_seconds)
            straight = self._random.random() < STRAIGHT_SHARE
            self._process(
                Task(settle_first=not straight, execute=(recommendation,)), recommendation
            )

    def _executes(self, recommendation: str) -> bool:
        with self._stage.ledger.reading(self._stage.account) as book:
            stored = book.recommendation(recommendation)
        return stored is not None and stored.status is RecommendationStatus.EXECUTING

    def _maybe_close(self) -> None:
        """Close a trade now and then, in processes that are killed as well."""
        with self._stage.ledger.reading(self._stage.account) as book:
            trades = book.trades(statuses=[TradeStatus.OPEN, TradeStatus.CLOSING])
        if not trades or self._random.random() >= CLOSE_SHARE:
            return
        trade = self._random.choice(trades).id
        for turn in range(TRIES + 1):
            task = Task(settle_first=self._random.random() >= STRAIGHT_SHARE, close=(trade,))
            if self._process(task, trade, lean=True, lives=turn == TRIES):
                return

    def _process(
        self, task: Task, subject: str, *, lean: bool = False, lives: bool = False
    ) -> bool:
        """Start a process and kill it at a random instant; True when it ended before that."""
        kind = "lean" if lean else self._kind()
        timing = self._timings[kind]
        calm = not task.close and timing.is_due(self._tally.kills[kind])
        kills = self._may_kill(kind) and not calm and not lives
        instant = self._instant(timing) if kills and timing.whole else None
        self._stage.wire.harming = not calm
        ended = self._start(kind, task, instant, timing if calm else None)
        self._stage.wire.harming = False
        self._stage.let_leases_expire()
        if ended.killed:
            self._tally.kills[kind] += 1
            left = self._left(subject)
            (self._tally.left_closing if task.close else self._tally.left)[left] += 1
            return False
        self._tally.ended_first += instant is not None
        return not self._note(ended)

    def _instant(self, timing: Timing) -> Instant:
        after_look, longest = self._random.choice(timing.spans())
        patience = PATIENCE * _recent(timing.whole)
        return Instant(self._random.uniform(0.0, longest), after_look, patience)

    def _may_kill(self, kind: str) -> bool:
        """Whether the plan has a kill left for a process of this kind."""
        done, plan = self._tally.kills, self._plan
        in_dagster = plan.dagster - done["dagster"]
        return in_dagster > 0 if kind == "dagster" else plan.kills - done.total() > in_dagster

    def _kind(self) -> str:
        """Which kind is behind its share of the plan."""
        done, plan = self._tally.kills, self._plan
        behind = done["dagster"] * plan.kills < plan.dagster * done.total() or not done.total()
        return "dagster" if behind and done["dagster"] < plan.dagster else "lean"

    def _note(self, ended: Ended) -> bool:
        """Keep what failed in a process that ended by itself; True when the wire stopped it."""
        stopped = [text for text in ended.failures if any(n in text for n in EXPECTED_FAILURES)]
        self._tally.interrupted += bool(stopped)
        self._tally.failures += [text for text in ended.failures if text not in stopped]
        return bool(stopped)

    def _start(
        self, kind: str, task: Task, instant: Instant | None, timing: Timing | None = None
    ) -> Ended:
        self._stage.wire.forget()
        start = self._lean if kind == "lean" else self._dagster
        with start(task) as process:
            began = time.monotonic()
            looked = self._until(process, instant)
            if process.runs():
                if instant is None:
                    self._tally.failures.append(f"hangs: {task.text()}")
                process.kill()
            ended = process.end()
        if timing is not None:
            sent = self._stage.wire.sent_at
            if looked is not None and sent is not None:
                timing.add(began, looked, sent, self._tally.kills[kind])
        return ended

    def _until(self, process: Victim, instant: Instant | None) -> float | None:
        """Wait for the instant, or the process's end; return when it looked, where it was asked."""
        if instant is not None and not instant.after_look:
            process.wait(instant.delay)
            return None
        patience = LONGEST_SECONDS if instant is None else instant.patience
        give_up = time.monotonic() + patience
        while not self._stage.wire.looked.wait(POLL_SECONDS):
            if not process.runs() or time.monotonic() >= give_up:
                return None
        looked = time.monotonic()
        process.wait(LONGEST_SECONDS if instant is None else instant.delay)
        return looked

    def _lean(self, task: Task) -> Victim:
        return LeanVictim(self._stage.home, task)

    def _dagster(self, task: Task) -> Victim:
        return DagsterVictim(self._stage, task)

    def _left(self, subject: str) -> Left:
        """Read from the ledger, and from the exchange itself, how far the killed process came."""
        with self._stage.ledger.reading(self._stage.account) as book:
            stored, orders = book.recommendation(subject), book.orders(subject_id=subject)
        if stored is not None and stored.status is RecommendationStatus.APPROVED:
            return Left.BEFORE_INTENT
        if not orders:
            return Left.ENDED if stored is not None else Left.BEFORE_INTENT
        order = orders[-1]
        if goes_on(order) and self._executes(subject):
            return Left.BETWEEN
        if order.status.is_final:
            over = stored is not None or order.purpose is OrderPurpose.CLOSE
            return Left.ENDED if over else Left.BEFORE_INTENT
        if order.status is OrderStatus.UNKNOWN:
            return Left.UNKNOWN
        there = order_at_exchange(self._stage.exchange.url, order.client_order_id)
        if order.status in (OrderStatus.INTENDED, OrderStatus.SUBMITTED):
            marked = order.status is OrderStatus.SUBMITTED
            absent = Left.NOT_THERE if marked else Left.INTENDED
            return absent if there is None else Left.UNRECORDED
        booked = there is not None and int(there["filled_qty"]) == order.filled_quantity
        return Left.RESTING if booked else Left.UNBOOKED

    def _has_ended(self, recommendation: str) -> bool:
        return self._left(recommendation) in (Left.ENDED, Left.RESTING)

    def _resume(self) -> None:
        """Resume what a halt has stopped: a person's act, for the approvals that follow."""
        now = self._stage.desk.broker.clock().now
        with self._stage.ledger.transaction(self._stage.account) as book:
            if book.trading_state()[0] is not TradingState.ACTIVE:
                book.set_trading_state(TradingState.ACTIVE, reason="drill", by="drill", at=now)

    def _finish(self) -> None:
        """Let the approvals of this scan run out, and start the desk twice without killing it.

        The first start asks after what rests or is in doubt and gives it up; the second one sees
        the confirmed ends.
        """
        terms = self._stage.desk.terms
        self._stage.later(seconds=terms.approval.expires_after.total_seconds() + 60)
        for _ in range(2):
            ended = self._start("lean", Task(settle_first=True), None)
            self._tally.failures += list(ended.failures)
            self._stage.let_leases_expire()


def _recent(took: list[float]) -> float:
    return statistics.median(took[-RECENT:])
