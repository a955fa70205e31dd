"""Submission: an approved recommendation becomes one order at the broker, exactly once.

Each step is a transaction of its own, the intent before the action. Whatever was begun is
recovered: a second call reads what became of the first one's order and never repeats it.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

import pandas as pd

from mahler_pipelines.decisions.ledger import StoredRecommendation
from mahler_pipelines.decisions.recommendation import (
    DecisionVerdict,
    Recommendation,
    RecommendationStatus,
)
from mahler_pipelines.errors import IllegalTransition, MissingData
from mahler_pipelines.execution.booking import end_opening, trade_id
from mahler_pipelines.execution.broker import BrokerAccount, BrokerClock, OrderStatus
from mahler_pipelines.execution.desk import (
    OPENING_LEASE,
    ExecutionDesk,
    Observation,
    observe,
    present,
)
from mahler_pipelines.execution.intents import opening_intent
from mahler_pipelines.execution.ledger import (
    NEVER_SENT,
    ExecutionLedger,
    OrderRecord,
)
from mahler_pipelines.execution.quotes import StructureQuote, quote_structure
from mahler_pipelines.execution.rolls import missing_units, ordered_structure, rolled_structure
from mahler_pipelines.execution.sending import (
    send_intent,
    settle_absence,
    settle_report,
)
from mahler_pipelines.execution.stepping import ended_for_next_step, limit_due
from mahler_pipelines.execution.walks import opening_fills, walk_of
from mahler_pipelines.strategies.refusals import Refusal

DRY_RUN = "dry_run"


class ExecutionStatus(StrEnum):
    """What came of asking for an execution."""

    EXECUTED = "executed"
    WORKING = "working"
    UNKNOWN = "unknown"
    LAPSED = "lapsed"
    EXPIRED = "expired"
    FAILED = "failed"
    DRY_RUN = "dry_run"
    NOT_APPROVED = "not_approved"


class ExecutionRefusal(StrEnum):
    """Why an approved recommendation is not sent."""

    DECISION_MISSING = "decision_missing"
    CONTENT_HASH_DIFFERS = "content_hash_differs"
    RECOMMENDATION_EXPIRED = "recommendation_expired"
    TRADING_STATE_FORBIDS = "trading_state_forbids"
    MARKET_CLOSED = "market_closed"
    ACCOUNT_BLOCKED = "account_blocked"
    QUOTE_NOT_USABLE = "quote_not_usable"
    UNDERLYING_PRICE_NOT_AVAILABLE = "underlying_price_not_available"
    ROLLED_TRADE_CHANGED = "rolled_trade_changed"


@dataclass(frozen=True, slots=True, eq=False)
class Moment:
    """The market and the account as they are just before an order is sent; credits per share."""

    now: datetime
    natural_credit: Decimal
    mid_credit: Decimal
    underlying_price: Decimal
    account: BrokerAccount
    quotes: pd.DataFrame
    snapshot_hash: str


class Recheck(Protocol):
    """Drift and gates, asked once more inside the transaction that writes the intent."""

    def __call__(
        self, ledger: ExecutionLedger, recommendation: Recommendation, moment: Moment, /
    ) -> tuple[Refusal, ...]:
        """Every reason not to send it now; none means send. The intent is not written yet."""
        ...


class Offer(Protocol):
    """What takes the place of an approval that lapses, in the transaction of the lapse."""

    def __call__(
        self,
        ledger: ExecutionLedger,
        lapsed: Recommendation,
        refusals: tuple[Refusal, ...],
        moment: Moment,
        /,
    ) -> str | None:
        """Put a new recommendation before a person and return its id; None where none is due."""
        ...


def no_offer(
    _ledger: ExecutionLedger,
    _lapsed: Recommendation,
    _refusals: tuple[Refusal, ...],
    _moment: Moment,
    /,
) -> str | None:
    """Offer nothing instead."""
    return None


@dataclass(frozen=True, slots=True)
class ExecutionOutcome:
    """What came of one call of `execute`."""

    recommendation_id: str
    status: ExecutionStatus
    reason: str = ""
    refusals: tuple[Refusal, ...] = ()
    order: OrderRecord | None = None
    trade_id: str | None = None
    snapshot_hash: str | None = None


_OUTCOMES = {
    RecommendationStatus.EXECUTED: ExecutionStatus.EXECUTED,
    RecommendationStatus.LAPSED: ExecutionStatus.LAPSED,
    RecommendationStatus.EXPIRED: ExecutionStatus.EXPIRED,
    RecommendationStatus.FAILED: ExecutionStatus.FAILED,
}


def execute(
    recommendation_id: str, *, desk: ExecutionDesk, recheck: Recheck, offer: Offer = no_offer
) -> ExecutionOutcome:
    """Send the opening order of an approved recommendation, or recover one begun before.

    `offer` is asked what takes its place when `recheck` finds something against it. Raises
    `LeaseHeld` while another process works at the broker, `MissingData` for an unknown id,
    and `BrokerUnavailable` when the broker can't be read before anything was sent.
    """
    with desk.lease(OPENING_LEASE):
        stored, last = _load(desk, recommendation_id)
        if stored.status is RecommendationStatus.EXECUTING:
            begin = (
                last is None or _recover(desk, last) or ended_for_next_step(desk, recommendation_id)
            )
        else:
            begin = stored.status is RecommendationStatus.APPROVED
        if not begin:
            return _outcome(desk, recommendation_id)
        return _begin(desk, recommendation_id, recheck=recheck, offer=offer)


def _load(
    desk: ExecutionDesk, recommendation_id: str
) -> tuple[StoredRecommendation, OrderRecord | None]:
    with desk.transaction() as ledger:
        stored = ledger.recommendation(recommendation_id)
        if stored is None:
            raise MissingData(f"no recommendation {recommendation_id} of {desk.account_id}")
        orders = ledger.orders(subject_id=recommendation_id)
    return stored, orders[-1] if orders else None


def _recover(desk: ExecutionDesk, last: OrderRecord) -> bool:
    """Settle what an earlier call left behind; True when its intent never left the house."""
    if last.status is OrderStatus.REJECTED and last.status_reason == NEVER_SENT:
        return True
    order = desk.broker.order_by_client_id(last.client_order_id)
    if order is not None:
        settle_report(desk, last, order)
        return False
    if last.status is OrderStatus.INTENDED:
        # Withdrawn in the transaction that writes what follows it: a crash between the two would
        # leave a recommendation executing without an order, which nobody asks after.
        return True
    settle_absence(desk, last)
    return False


def _begin(
    desk: ExecutionDesk, recommendation_id: str, *, recheck: Recheck, offer: Offer
) -> ExecutionOutcome:
    clock = desk.broker.clock()
    with desk.transaction() as ledger:
        stored = _still(ledger, recommendation_id)
        refusals = _preconditions(ledger, stored, clock)
        if refusals and _withdraw_unsent(ledger, recommendation_id, at=present(clock)):
            _lapse(desk, ledger, stored, refusals, at=present(clock))
        recommendation = stored.recommendation
        ordered = ordered_structure(ledger, recommendation)
    if refusals:
        return _outcome(desk, recommendation_id, refusals=refusals)
    seen = observe(
        desk,
        (*ordered.symbols, *recommendation.structure.counterparts),
        [recommendation.underlying],
        scan="execution",
        as_of=present(clock),
    )
    intent, refusals = _intend(desk, recommendation_id, seen, recheck=recheck, offer=offer)
    if intent is not None and not desk.dry_run:
        send_intent(desk, intent, seen)
    return _outcome(desk, recommendation_id, refusals=refusals, seen=seen)


def _intend(
    desk: ExecutionDesk,
    recommendation_id: str,
    seen: Observation,
    *,
    recheck: Recheck,
    offer: Offer,
) -> tuple[OrderRecord | None, tuple[Refusal, ...]]:
    """Check everything again and write the intent, in one transaction: limits can't race."""
    account, clock = desk.broker.account(), desk.broker.clock()
    at = present(clock)
    with desk.transaction() as ledger:
        stored = _still(ledger, recommendation_id)
        if not _withdraw_unsent(ledger, recommendation_id, at=at):
            return None, ()
        recommendation = stored.recommendation
        quote = quote_structure(ordered_structure(ledger, recommendation), seen.quotes)
        moment = moment_of(recommendation, quote, seen, account=account, at=at)
        refusals, offered = _preconditions(ledger, stored, clock), None
        if isinstance(moment, Refusal):
            refusals = (*refusals, moment)
        elif account.trading_blocked:
            refusals = (*refusals, Refusal(ExecutionRefusal.ACCOUNT_BLOCKED, account.status))
        if isinstance(moment, Moment) and not refusals:
            refusals = recheck(ledger, recommendation, moment)
            opened, _ = opening_fills(ledger, recommendation_id)
            if refusals and not opened:
                offered = offer(ledger, recommendation, refusals, moment)
        if refusals or isinstance(moment, Refusal):
            _lapse(desk, ledger, stored, refusals, at=at, offered=offered)
            return None, refusals
        intent = _write_intent(desk, ledger, stored, moment)
        return intent, ()


def moment_of(
    recommendation: Recommendation,
    quote: StructureQuote,
    seen: Observation,
    *,
    account: BrokerAccount,
    at: datetime,
) -> Moment | Refusal:
    """The moment that an observation shows of a recommendation, or what can't be used of it."""
    price = seen.underlying_prices.get(recommendation.underlying)
    context = {"underlying": recommendation.underlying}
    if quote.natural_credit is None or quote.mid is None:
        return Refusal(ExecutionRefusal.QUOTE_NOT_USABLE, quote.problem, context=context)
    if price is None:
        return Refusal(ExecutionRefusal.UNDERLYING_PRICE_NOT_AVAILABLE, context=context)
    return Moment(
        now=at,
        natural_credit=quote.natural_credit,
        mid_credit=quote.mid,
        underlying_price=price,
        account=account,
        quotes=seen.quotes,
        snapshot_hash=seen.snapshot_hash,
    )


def _preconditions(
    ledger: ExecutionLedger, stored: StoredRecommendation, clock: BrokerClock
) -> tuple[Refusal, ...]:
    recommendation, decision = stored.recommendation, stored.decision
    refusals = []
    if decision is None or decision.verdict is not DecisionVerdict.APPROVE:
        refusals.append(Refusal(ExecutionRefusal.DECISION_MISSING))
    elif decision.content_hash != recommendation.content_hash:
        refusals.append(
            Refusal(
                ExecutionRefusal.CONTENT_HASH_DIFFERS,
                decision.content_hash[:12],
                recommendation.content_hash[:12],
            )
        )
    if clock.now >= recommendation.expires_at:
        refusals.append(
            Refusal(
                ExecutionRefusal.RECOMMENDATION_EXPIRED,
                present(clock).isoformat(),
                recommendation.expires_at.isoformat(),
            )
        )
    state, why = ledger.trading_state()
    if not state.may_open:
        context = {"why": why} if why else {}
        refusals.append(Refusal(ExecutionRefusal.TRADING_STATE_FORBIDS, state, context=context))
    if not clock.is_open:
        refusals.append(Refusal(ExecutionRefusal.MARKET_CLOSED, present(clock).isoformat()))
    if (missing := missing_units(ledger, recommendation)) is not None:
        status, left = missing
        code, context = ExecutionRefusal.ROLLED_TRADE_CHANGED, {"trade": str(recommendation.rolls)}
        refusals.append(Refusal(code, left, recommendation.contracts, context | {"is": status}))
    return tuple(refusals)


def _still(ledger: ExecutionLedger, recommendation_id: str) -> StoredRecommendation:
    stored = ledger.recommendation(recommendation_id)
    if stored is None:
        raise MissingData(f"no recommendation {recommendation_id}")
    begun = (RecommendationStatus.APPROVED, RecommendationStatus.EXECUTING)
    if stored.status not in begun:
        raise IllegalTransition(
            "recommendation", recommendation_id, stored.status, RecommendationStatus.EXECUTING
        )
    return stored


def _withdraw_unsent(ledger: ExecutionLedger, recommendation_id: str, *, at: datetime) -> bool:
    """Give up intents that never left; False when one was sent meanwhile."""
    earlier = ledger.orders(subject_id=recommendation_id)
    return all(
        ledger.update_order(
            order.client_order_id,
            expected=(OrderStatus.INTENDED,),
            to=OrderStatus.REJECTED,
            at=at,
            reason=NEVER_SENT,
        )
        for order in earlier
        if not order.status.is_final
    )


def _lapse(
    desk: ExecutionDesk,
    ledger: ExecutionLedger,
    stored: StoredRecommendation,
    refusals: tuple[Refusal, ...],
    *,
    at: datetime,
    offered: str | None = None,
) -> None:
    codes = [refusal.code for refusal in refusals]
    expired = (
        ExecutionRefusal.RECOMMENDATION_EXPIRED in codes
        and stored.status is RecommendationStatus.APPROVED
    )
    end_opening(
        ledger,
        stored.recommendation,
        expected=stored.status,
        unfilled=RecommendationStatus.EXPIRED if expired else RecommendationStatus.LAPSED,
        reason=", ".join(codes),
        fee_per_contract_usd=desk.terms.fee_per_contract_usd,
        at=at,
        offered=offered,
    )
    detail = {"refusals": [str(refusal) for refusal in refusals], "offered": offered}
    ledger.audit("execution_refused", stored.recommendation.id, detail, at=at)


def _write_intent(
    desk: ExecutionDesk,
    ledger: ExecutionLedger,
    stored: StoredRecommendation,
    moment: Moment,
) -> OrderRecord:
    """Write the next attempt: for what is left, at the limit of the step that is due."""
    recommendation = stored.recommendation
    earlier = ledger.orders(subject_id=recommendation.id)
    opened, _ = opening_fills(ledger, recommendation.id)
    intent = opening_intent(
        recommendation,
        attempt=len(earlier) + 1,
        quantity=recommendation.contracts - opened,
        limit_price=limit_due(
            recommendation,
            mid=moment.mid_credit,
            natural=moment.natural_credit,
            walk=walk_of(earlier),
            terms=desk.terms,
            now=moment.now,
        ),
        mid=-moment.mid_credit,
        at=moment.now,
        run_id=desk.run_id,
        rolled=rolled_structure(ledger, recommendation),
    )
    if not ledger.add_order(intent):
        raise IllegalTransition("order", intent.client_order_id, "there", OrderStatus.INTENDED)
    if stored.status is RecommendationStatus.APPROVED:
        ledger.move_recommendation(
            recommendation.id,
            expected=RecommendationStatus.APPROVED,
            to=RecommendationStatus.EXECUTING,
            at=moment.now,
        )
    if desk.dry_run:
        _withdraw_dry_run(desk, ledger, recommendation, intent)
    return intent


def _withdraw_dry_run(
    desk: ExecutionDesk,
    ledger: ExecutionLedger,
    recommendation: Recommendation,
    intent: OrderRecord,
) -> None:
    ledger.update_order(
        intent.client_order_id,
        expected=(OrderStatus.INTENDED,),
        to=OrderStatus.CANCELLED,
        at=intent.intended_at,
        reason=DRY_RUN,
    )
    end_opening(
        ledger,
        recommendation,
        expected=RecommendationStatus.EXECUTING,
        unfilled=RecommendationStatus.LAPSED,
        reason=DRY_RUN,
        fee_per_contract_usd=desk.terms.fee_per_contract_usd,
        at=intent.intended_at,
    )


def _outcome(
    desk: ExecutionDesk,
    recommendation_id: str,
    *,
    refusals: tuple[Refusal, ...] = (),
    seen: Observation | None = None,
) -> ExecutionOutcome:
    """Read the outcome from the ledger: what is reported is what is recorded."""
    stored, order = _load(desk, recommendation_id)
    status = _OUTCOMES.get(stored.status, ExecutionStatus.NOT_APPROVED)
    if stored.status is RecommendationStatus.EXECUTING:
        doubtful = order is None or order.status in (
            OrderStatus.INTENDED,
            OrderStatus.SUBMITTED,
            OrderStatus.UNKNOWN,
        )
        status = ExecutionStatus.UNKNOWN if doubtful else ExecutionStatus.WORKING
    if stored.status is RecommendationStatus.LAPSED and stored.status_reason == DRY_RUN:
        status = ExecutionStatus.DRY_RUN
    executed = status is ExecutionStatus.EXECUTED
    return ExecutionOutcome(
        recommendation_id=recommendation_id,
        status=status,
        reason=stored.status_reason or (order.status_reason if order else ""),
        refusals=refusals,
        order=order,
        trade_id=trade_id(recommendation_id) if executed else None,
        snapshot_hash=seen.snapshot_hash if seen else None,
    )
