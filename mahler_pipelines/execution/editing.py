"""Editing: a person's size and limit in place of those that were shown; every gate asked again.

The edit is a recommendation of its own, which has its own card and needs its own answer. The one it
was made from is answered in the same transaction, so that only one of the two can be approved.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from mahler_pipelines.decisions.approvals import DecisionOutcome, DecisionResult, decide
from mahler_pipelines.decisions.recommendation import (
    DecisionVerdict,
    Recommendation,
    RecommendationStatus,
    edit_id,
)
from mahler_pipelines.execution.account_view import account_view
from mahler_pipelines.execution.desk import ExecutionDesk, observe, present
from mahler_pipelines.execution.desk_terms import DeskTerms
from mahler_pipelines.execution.ledger import ExecutionLedger
from mahler_pipelines.execution.quotes import quote_structure
from mahler_pipelines.execution.submission import ExecutionRefusal, Moment, moment_of
from mahler_pipelines.market.lake import Lake
from mahler_pipelines.risk.gates import gate_refusals
from mahler_pipelines.strategies.refusals import Refusal

if TYPE_CHECKING:
    from mahler_pipelines.decisions.proposing import Asked, Proposal
    from mahler_pipelines.market.rates import RateCurve

EDIT_REFUSED = "edit_refused"
"""Kind of the event that keeps an edit which could not be offered, with the numbers against it."""


@dataclass(frozen=True, slots=True)
class Editor:
    """Who edits, through which door, and the content hash of what they saw."""

    by: str
    door: str
    shown_hash: str


@dataclass(frozen=True, slots=True)
class EditOutcome:
    """What came of an edit: the offer that waits now, or why there is none.

    `answer` says why the edited one can't be answered any more, `refusals` why the edit can't be
    offered: its own reason and each gate that holds it up.
    """

    offered: Recommendation | None = None
    refusals: tuple[Refusal, ...] = ()
    answer: DecisionResult | None = None


def edit(
    recommendation_id: str,
    asked: "Asked",
    *,
    editor: Editor,
    desk: ExecutionDesk,
    terms: DeskTerms,
    reference: Lake,
) -> EditOutcome:
    """Offer a recommendation again as a person wants it, at the market's prices of now.

    `reference` has the published rates. Raises `BrokerUnavailable` when the broker or the quotes
    can't be read; nothing is changed then.
    """
    from mahler_pipelines.market.rates import rate_curve

    clock = desk.broker.clock()
    now = present(clock)
    with desk.transaction() as ledger:
        stored = ledger.recommendation(recommendation_id)
        if stored is None or stored.status is not RecommendationStatus.PENDING:
            return EditOutcome(answer=_answered(ledger, recommendation_id, editor, at=now))
        shown = stored.recommendation
        if not clock.is_open:
            closed = Refusal(ExecutionRefusal.MARKET_CLOSED, now.isoformat())
            return _refused(ledger, recommendation_id, (closed,), editor, at=now)
    seen = observe(
        desk,
        (*shown.structure.symbols, *shown.structure.counterparts),
        [shown.underlying],
        scan="edit",
        as_of=now,
    )
    money, at = desk.broker.account(), present(desk.broker.clock())
    quote = quote_structure(shown.structure, seen.quotes)
    moment = moment_of(shown, quote, seen, account=money, at=at)
    rates = rate_curve(reference.read_reference("rates"), as_of=at, flat=terms.risk_free_rate)
    with desk.transaction() as ledger:
        if isinstance(moment, Refusal):
            return _refused(ledger, recommendation_id, (moment,), editor, at=at)
        proposal = _proposal(ledger, shown, asked, moment, rates, terms=terms, run_id=desk.run_id)
        if proposal.recommendation is None:
            against = (proposal.refusal, *gate_refusals(proposal.gates))
            found = tuple(refusal for refusal in against if refusal is not None)
            return _refused(ledger, recommendation_id, found, editor, at=at)
        answer = _answered(ledger, recommendation_id, editor, at=at)
        if answer.outcome is not DecisionOutcome.RECORDED:
            return EditOutcome(answer=answer)
        ledger.add_recommendation(proposal.recommendation, at=at)
        return EditOutcome(offered=proposal.recommendation)


def _proposal(
    ledger: ExecutionLedger,
    shown: Recommendation,
    asked: "Asked",
    moment: Moment,
    rates: "RateCurve",
    *,
    terms: DeskTerms,
    run_id: str,
) -> "Proposal":
    # Pricing is heavy to import, and a press of any other button never needs it.
    from mahler_pipelines.decisions.requoting import requote

    return requote(
        shown,
        moment.quotes,
        underlying_price=moment.underlying_price,
        as_of=moment.now,
        rates=rates,
        snapshot_hash=moment.snapshot_hash,
        account=account_view(ledger, moment.account, at=moment.now),
        limits=terms.risk,
        approval=terms.approval,
        exits=terms.exits,
        run_id=run_id,
        asked=asked,
    )


def _answered(
    ledger: ExecutionLedger, recommendation_id: str, editor: Editor, *, at: datetime
) -> DecisionResult:
    return decide(
        ledger,
        recommendation_id=recommendation_id,
        verdict=DecisionVerdict.REJECT,
        decided_by=editor.by,
        door=editor.door,
        at=at,
        reason=f"edited to {edit_id(recommendation_id)}",
        shown_hash=editor.shown_hash,
    )


def _refused(
    ledger: ExecutionLedger,
    recommendation_id: str,
    refusals: tuple[Refusal, ...],
    editor: Editor,
    *,
    at: datetime,
) -> EditOutcome:
    detail = {
        "by": editor.by,
        "door": editor.door,
        "refusals": [str(refusal) for refusal in refusals],
    }
    ledger.audit(EDIT_REFUSED, recommendation_id, detail, at=at)
    return EditOutcome(refusals=refusals)
