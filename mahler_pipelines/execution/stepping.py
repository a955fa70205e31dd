"""Stepping: a working opening order is ended when the next step of its walk is due.

Orders of several legs can't be replaced reliably at the broker: a step is a cancel, confirmed by
asking, and then a new order for what is left. The reason of the cancel is in the ledger before it
is sent, so that a process killed in between is followed by one that knows what is owed.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from mahler_pipelines.decisions.ledger import StoredRecommendation
from mahler_pipelines.decisions.recommendation import Recommendation, RecommendationStatus
from mahler_pipelines.errors import LeaseHeld
from mahler_pipelines.execution.booking import NOT_FILLED, end_opening
from mahler_pipelines.execution.desk import (
    OPENING_LEASE,
    ExecutionDesk,
    ExecutionTerms,
    observe,
    present,
)
from mahler_pipelines.execution.ledger import ExecutionLedger, OrderRecord
from mahler_pipelines.execution.quotes import quote_structure
from mahler_pipelines.execution.repricing import CreditBounds, Walk, opening_limit_at
from mahler_pipelines.execution.rolls import ordered_structure
from mahler_pipelines.execution.sending import cancel_and_confirm
from mahler_pipelines.execution.walks import NEXT_STEP, goes_on, walk_of


def ended_for_next_step(desk: ExecutionDesk, recommendation_id: str) -> bool:
    """Cancel the working order when its next step is due; True once its remainder is owed.

    The same limit is left to rest, and so is an order while the quotes can't be used. Nothing here
    judges the approval: the next attempt asks everything again, and ends the walk where it may not
    be sent. A trading state that forbids opening makes the end due at once. While the cancel is not
    confirmed the next step waits. To be called with the lease for openings.
    """
    now = present(desk.broker.clock())
    with desk.transaction() as ledger:
        stored, attempts = _attempts(ledger, recommendation_id)
        may_open = ledger.trading_state()[0].may_open
    walk = walk_of(attempts)
    if stored is None or stored.status is not RecommendationStatus.EXECUTING or walk is None:
        return False
    if not walk.works:
        return True
    reason: str | None = NEXT_STEP
    if may_open:
        reason = _reason(desk, stored.recommendation, attempts[-1], walk, now=now)
    if reason is None or desk.dry_run:
        return False
    return goes_on(cancel_and_confirm(desk, attempts[-1], reason=reason))


def limit_due(
    recommendation: Recommendation,
    *,
    mid: Decimal,
    natural: Decimal,
    walk: Walk | None,
    terms: ExecutionTerms,
    now: datetime,
) -> Decimal:
    """Limit of the attempt that is due now, as on the wire; no walk yet is its first step."""
    bounds = CreditBounds(
        mid=mid,
        natural=natural,
        target=recommendation.target_credit,
        floor=recommendation.floor_credit,
    )
    step = walk.step(terms.walk, now) if walk else 0
    return opening_limit_at(step, bounds, terms=terms.walk, tick=terms.tick)


def is_given_up(desk: ExecutionDesk, recommendation_id: str, *, now: datetime) -> bool:
    """Whether the working order's last step was tried and the patience for it is over."""
    with desk.transaction() as ledger:
        _, attempts = _attempts(ledger, recommendation_id)
    walk = walk_of(attempts)
    return walk is not None and walk.is_over(desk.terms.walk, now)


def end_abandoned(desk: ExecutionDesk) -> None:
    """End walks whose approval has expired between two attempts: their process has died there."""
    now = present(desk.broker.clock())
    with desk.transaction() as ledger:
        waiting = _abandoned(ledger, now)
    if not waiting:
        return
    try:
        with desk.lease(OPENING_LEASE), desk.transaction() as ledger:
            for recommendation in _abandoned(ledger, now):
                end_opening(
                    ledger,
                    recommendation,
                    expected=RecommendationStatus.EXECUTING,
                    unfilled=RecommendationStatus.LAPSED,
                    reason=NOT_FILLED,
                    fee_per_contract_usd=desk.terms.fee_per_contract_usd,
                    at=now,
                )
    except LeaseHeld:
        # Whoever holds it is at work on an opening, this one perhaps: the next look comes again.
        return


def _attempts(
    ledger: ExecutionLedger, recommendation_id: str
) -> tuple[StoredRecommendation | None, Sequence[OrderRecord]]:
    attempts = ledger.orders(subject_id=recommendation_id)
    return ledger.recommendation(recommendation_id), attempts


def _reason(
    desk: ExecutionDesk,
    recommendation: Recommendation,
    working: OrderRecord,
    walk: Walk,
    *,
    now: datetime,
) -> str | None:
    """Why the working order is to be cancelled now; None to let it rest."""
    terms = desk.terms.walk
    if not walk.is_due(terms, now):
        return None
    over = now >= walk.started_at + terms.patience
    if walk.is_over(terms, now):
        return NOT_FILLED
    with desk.transaction() as ledger:
        ordered = ordered_structure(ledger, recommendation)
    seen = observe(
        desk,
        ordered.symbols,
        [recommendation.underlying],
        scan="execution",
        as_of=now,
    )
    quote = quote_structure(ordered, seen.quotes)
    if quote.natural_credit is None or quote.mid is None:
        return NOT_FILLED if over else None
    limit = limit_due(
        recommendation,
        mid=quote.mid,
        natural=quote.natural_credit,
        walk=walk,
        terms=desk.terms,
        now=now,
    )
    if limit == working.limit_price:
        return NOT_FILLED if over else None
    return NEXT_STEP


def _abandoned(ledger: ExecutionLedger, now: datetime) -> list[Recommendation]:
    found = []
    for stored in ledger.recommendations(statuses=[RecommendationStatus.EXECUTING]):
        shown = stored.recommendation
        attempts = ledger.orders(subject_id=shown.id)
        ended = bool(attempts) and all(record.status.is_final for record in attempts)
        if ended and now >= shown.expires_at:
            found.append(shown)
    return found
