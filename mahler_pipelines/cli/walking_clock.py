"""A standing clock that moves as far as working orders need, and no further.

The local exchange's clock stands until it is advanced. An order whose limit walks by that clock
would then rest for ever: whoever plays the market's time takes it from step to step.
"""

from datetime import datetime
from typing import TYPE_CHECKING

from mahler_pipelines.composition import ComposedDesk
from mahler_pipelines.execution.walks import due_walks, open_walks

if TYPE_CHECKING:
    from mahler_pipelines.exchange.process import LocalExchange


def next_step_at(desk: ComposedDesk, now: datetime) -> datetime | None:
    """When the next step of any working order can be due; None when nothing works."""
    terms = desk.terms
    with desk.ledger.reading(terms.account_id) as book:
        walks = [one.walk for one in open_walks(book, now=now)]
    moments = [walk.next_after(terms.walk, now) for walk in walks]
    return min((at for at in moments if at is not None), default=None)


def take_clock_to_next_step(desk: ComposedDesk, exchange: "LocalExchange") -> datetime | None:
    """Advance the exchange to the next step of a working order; where it went, None if nowhere.

    A step that is due already is somebody's to take first: the clock waits for it.
    """
    now = desk.broker.clock().now
    at = next_step_at(desk, now)
    if at is None or at <= now:
        return None
    with desk.ledger.reading(desk.terms.account_id) as book:
        if due_walks(book, desk.terms.walk, now=now):
            return None
    exchange.advance_to(at)
    return at
