"""Approving: one yes is enough, or two people's where a trade takes the account's heat too high.

Every door says yes here: the chat's buttons and reactions, and `mahler approve`.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from mahler_pipelines.decisions.approvals import DecisionOutcome, DecisionResult, decide
from mahler_pipelines.decisions.ledger import StoredRecommendation
from mahler_pipelines.decisions.recommendation import (
    DecisionVerdict,
    Recommendation,
    RecommendationStatus,
)
from mahler_pipelines.messaging.ledger import Approval, MessagingLedger
from mahler_pipelines.risk.gates import GateCode


@dataclass(frozen=True, slots=True)
class ApprovalRule:
    """Above which heat two people have to agree: a share of equity at risk with the trade in it.

    None asks for one person always.
    """

    second_above: Decimal | None = None

    def needed(self, shown: Recommendation) -> int:
        """How many people have to agree; a heat that is not known is taken as too high."""
        if self.second_above is None:
            return 1
        heat = heat_after(shown)
        return 2 if heat is None or heat > self.second_above else 1


def heat_after(shown: Recommendation) -> Decimal | None:
    """Share of equity at risk with this trade in it, as its gate measured; None where unknown."""
    asked = (gate for gate in shown.gates if gate.get("code") == GateCode.PORTFOLIO_HEAT)
    value = next(asked, {}).get("value", "")
    return Decimal(value) if value else None


@dataclass(frozen=True, slots=True)
class ApprovalStep:
    """What a yes came to: a decision or its refusal, or that it waits for another person's.

    `repeated` says that this person had said it before; `given` of `needed` people have.
    """

    result: DecisionResult | None
    given: int = 1
    needed: int = 1
    repeated: bool = False

    @property
    def recorded(self) -> bool:
        """Whether the recommendation is approved now."""
        return self.result is not None and self.result.outcome is DecisionOutcome.RECORDED

    @property
    def message(self) -> str:
        """The step in words, for the person who said yes."""
        if self.result is not None:
            return self.result.message
        had = "you have approved it before; " if self.repeated else ""
        return f"{had}approval {self.given} of {self.needed}: another person has to agree"


def approve(
    ledger: MessagingLedger,
    *,
    rule: ApprovalRule,
    recommendation_id: str,
    decided_by: str,
    door: str,
    at: datetime,
    shown_hash: str | None,
) -> ApprovalStep:
    """Record a person's yes inside the caller's transaction; decide once enough have said it.

    People are told apart by `decided_by`: somebody who is known to two doors by two names counts
    twice. Raises as `decide` does.
    """
    # Where one person is always enough, nothing has to be read before the decision.
    stored = None if rule.second_above is None else ledger.recommendation(recommendation_id)
    given: tuple[str, ...] = ()
    needed = 1
    if stored is not None and _stands_open(stored, at=at, shown_hash=shown_hash):
        needed = rule.needed(stored.recommendation)
    if needed > 1 and stored is not None:
        yes = Approval(recommendation_id, decided_by, door, at, stored.recommendation.content_hash)
        is_new = ledger.add_approval(yes)
        given = tuple(one.decided_by for one in ledger.approvals(recommendation_id))
        if len(given) < needed:
            return ApprovalStep(None, len(given), needed, repeated=not is_new)
    result = decide(
        ledger,
        recommendation_id=recommendation_id,
        verdict=DecisionVerdict.APPROVE,
        decided_by=decided_by,
        door=door,
        at=at,
        shown_hash=shown_hash,
    )
    return ApprovalStep(result, max(len(given), 1), needed)


def _stands_open(stored: StoredRecommendation, *, at: datetime, shown_hash: str | None) -> bool:
    """Whether a yes counts at all; `decide` says why not."""
    shown = stored.recommendation
    return (
        stored.status is RecommendationStatus.PENDING
        and at < shown.expires_at
        and shown_hash in (None, shown.content_hash)
    )
