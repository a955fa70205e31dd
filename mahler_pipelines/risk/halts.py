"""When opening has to stop by itself: five rules, each a pure function of facts and its limit."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from mahler_pipelines.errors import BadInput

MINUTE = timedelta(minutes=1)


class HaltCode(StrEnum):
    """Why opening was halted without a person asking for it."""

    DAILY_LOSS = "daily_loss"
    LOSING_STREAK = "losing_streak"
    UNKNOWN_ORDER = "unknown_order"
    STALE_MARKET_DATA = "stale_market_data"
    FAILED_RECONCILIATION = "failed_reconciliation"


@dataclass(frozen=True, slots=True)
class HaltTerms:
    """Limits that halt when they are reached; 0 or None switches a rule off.

    `daily_loss` is a fraction of the equity the day began with, `losing_streak` counts closed
    trades in a row, `failed_reconciliations` looks in a row. Raises `BadInput` for a negative
    limit and for a `daily_loss` above 1.
    """

    daily_loss: Decimal | None = Decimal("0.05")
    losing_streak: int | None = 5
    unknown_order_minutes: float | None = 15.0
    stale_data_minutes: float | None = 15.0
    failed_reconciliations: int | None = 3

    def __post_init__(self) -> None:
        for name in (entry.name for entry in fields(self)):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise BadInput(name, value, "is negative")
        if self.daily_loss is not None and self.daily_loss > 1:
            raise BadInput("daily_loss", self.daily_loss, "is a fraction of equity, so at most 1")


@dataclass(frozen=True, slots=True)
class Difference:
    """Something reconciliation finds in every look: since when, and in how many looks in a row."""

    name: str
    since: datetime
    looks: int


@dataclass(frozen=True, slots=True)
class HaltFacts:
    """What the rules judge, read from ledger and broker.

    `pnl_today` and `equity_at_start`, the equity the day began with, are USD. `losses_in_a_row`
    names the latest closed trades that lost, oldest first; `unknown_orders` maps an order to when
    its outcome was lost. `opened_at` is the opening of the session that is on, None while the
    market is closed; `data_seen_at` is the time of the newest quote that any look has seen, None
    before the first.
    """

    session: date
    pnl_today: Decimal
    equity_at_start: Decimal
    losses_in_a_row: tuple[str, ...] = ()
    unknown_orders: Mapping[str, datetime] = field(default_factory=dict)
    opened_at: datetime | None = None
    data_seen_at: datetime | None = None
    differences: tuple[Difference, ...] = ()


@dataclass(frozen=True, slots=True)
class HaltReason:
    """A limit that is reached: `value` and `limit` in the rule's own unit.

    `cause` says which loss, streak, order or difference it is, and `level` how many times over the
    limit is reached where that can grow: a cause that halted once halts again at a higher level
    only.
    """

    code: HaltCode
    cause: str
    value: Decimal
    limit: Decimal
    level: int = 1

    def __str__(self) -> str:
        return f"{self.code} value={self.value} limit={self.limit} cause={self.cause}"


def halt_reasons(facts: HaltFacts, terms: HaltTerms, as_of: datetime) -> tuple[HaltReason, ...]:
    """Return every limit that is reached, in the order of `HaltCode`."""
    return (
        *_daily_loss(facts, terms.daily_loss),
        *_losing_streak(facts, terms.losing_streak),
        *_unknown_orders(facts, terms.unknown_order_minutes, as_of),
        *_stale_data(facts, terms.stale_data_minutes, as_of),
        *_differences(facts, terms.failed_reconciliations),
    )


def _daily_loss(facts: HaltFacts, limit: Decimal | None) -> Iterator[HaltReason]:
    # A new account began its day with nothing, and nothing is no measure of a loss.
    if not limit or not facts.equity_at_start:
        return
    lost = -facts.pnl_today / facts.equity_at_start
    if lost >= limit:
        value = lost.quantize(Decimal("0.0001"))
        level = int(lost // limit)
        yield HaltReason(HaltCode.DAILY_LOSS, str(facts.session), value, limit, level)


def _losing_streak(facts: HaltFacts, limit: int | None) -> Iterator[HaltReason]:
    losses = facts.losses_in_a_row
    if not limit or len(losses) < limit:
        return
    value, level = Decimal(len(losses)), len(losses) // limit
    yield HaltReason(HaltCode.LOSING_STREAK, losses[0], value, Decimal(limit), level)


def _unknown_orders(
    facts: HaltFacts, minutes: float | None, as_of: datetime
) -> Iterator[HaltReason]:
    for order, since in sorted(facts.unknown_orders.items()):
        if minutes and as_of - since >= minutes * MINUTE:
            yield _overdue(HaltCode.UNKNOWN_ORDER, order, as_of - since, minutes)


def _stale_data(facts: HaltFacts, minutes: float | None, as_of: datetime) -> Iterator[HaltReason]:
    """Quotes of the night before are as old as the session: a morning does not begin stale."""
    if not minutes or facts.opened_at is None:
        return
    fresh = max(facts.opened_at, facts.data_seen_at or facts.opened_at)
    if as_of - fresh >= minutes * MINUTE:
        cause = f"since {fresh.isoformat()}"
        yield _overdue(HaltCode.STALE_MARKET_DATA, cause, as_of - fresh, minutes)


def _differences(facts: HaltFacts, limit: int | None) -> Iterator[HaltReason]:
    for found in facts.differences:
        if limit and found.looks >= limit:
            cause = f"{found.name} since {found.since.isoformat()}"
            yield HaltReason(
                HaltCode.FAILED_RECONCILIATION, cause, Decimal(found.looks), Decimal(limit)
            )


def _overdue(code: HaltCode, cause: str, age: timedelta, minutes: float) -> HaltReason:
    return HaltReason(code, cause, Decimal(f"{age / MINUTE:.1f}"), Decimal(str(minutes)))
