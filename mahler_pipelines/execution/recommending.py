"""Recommending: what is put before a person, by a scan or in place of an approval that lapsed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from mahler_pipelines.decisions.approvals import expire_due
from mahler_pipelines.decisions.proposing import Proposal, propose
from mahler_pipelines.decisions.recommendation import Recommendation
from mahler_pipelines.decisions.theses import Assessment
from mahler_pipelines.execution.account_view import account_view, with_proposed
from mahler_pipelines.execution.broker import BrokerAccount
from mahler_pipelines.execution.desk_terms import DeskTerms
from mahler_pipelines.execution.ledger import ExecutionLedger
from mahler_pipelines.execution.submission import Moment
from mahler_pipelines.market.lake import Lake
from mahler_pipelines.risk.gates import gate_refusals
from mahler_pipelines.strategies.refusals import Refusal


@dataclass(frozen=True, slots=True)
class Occasion:
    """Where and when a scan was made: what every recommendation of it carries."""

    session: date
    scan: str
    as_of: datetime
    snapshot_hash: str
    playbook_version: int
    run_id: str


@dataclass(frozen=True, slots=True)
class ScanOutcome:
    """One proposal per assessment, in their order, and the ids that expired before."""

    proposals: tuple[Proposal, ...]
    expired: tuple[str, ...]

    @property
    def recommendations(self) -> tuple[Recommendation, ...]:
        """What is put before a person."""
        return tuple(p.recommendation for p in self.proposals if p.recommendation is not None)


def recommend(
    ledger: ExecutionLedger,
    assessments: Sequence[Assessment],
    *,
    money: BrokerAccount,
    terms: DeskTerms,
    occasion: Occasion,
) -> ScanOutcome:
    """Propose each assessed candidate inside the caller's transaction, best first.

    Each proposal is measured with the earlier ones of the same scan already working, so that all
    of them could be approved together. What is not answered in time expires first. A re-run finds
    the same ids and adds nothing.
    """
    expired = expire_due(ledger, occasion.as_of)
    account = account_view(ledger, money, at=occasion.as_of)
    proposals = []
    for assessment in assessments:
        proposal = propose(
            assessment.candidate,
            assessment.answer,
            grounding=assessment.grounding,
            account_id=ledger.account_id,
            session=occasion.session,
            scan=occasion.scan,
            as_of=occasion.as_of,
            snapshot_hash=occasion.snapshot_hash,
            account=account,
            limits=terms.risk,
            approval=terms.approval,
            exits=terms.exits,
            playbook_version=occasion.playbook_version,
            run_id=occasion.run_id,
            second_opinion=assessment.second_opinion,
        )
        proposals.append(proposal)
        if proposal.recommendation is not None:
            ledger.add_recommendation(proposal.recommendation, at=occasion.as_of)
            account = with_proposed(account, proposal.recommendation)
    return ScanOutcome(tuple(proposals), expired)


@dataclass(frozen=True, slots=True)
class Requoting:
    """Offers anew what lapsed because the market moved; satisfies `submission.Offer`.

    `reference` has the published rates.
    """

    terms: DeskTerms
    reference: Lake
    run_id: str

    def __call__(
        self,
        ledger: ExecutionLedger,
        lapsed: Recommendation,
        refusals: tuple[Refusal, ...],
        moment: Moment,
        /,
    ) -> str | None:
        """Add the offer as pending, with its card; keep why there is none."""
        # Pricing is heavy to import, and an approval that does not lapse never needs it.
        from mahler_pipelines.decisions.requoting import market_moved, requote
        from mahler_pipelines.market.rates import rate_curve

        if not market_moved(refusals):
            return None
        proposal = requote(
            lapsed,
            moment.quotes,
            underlying_price=moment.underlying_price,
            as_of=moment.now,
            rates=rate_curve(
                self.reference.read_reference("rates"),
                as_of=moment.now,
                flat=self.terms.risk_free_rate,
            ),
            snapshot_hash=moment.snapshot_hash,
            account=account_view(ledger, moment.account, at=moment.now),
            limits=self.terms.risk,
            approval=self.terms.approval,
            exits=self.terms.exits,
            run_id=self.run_id,
        )
        if proposal.recommendation is None:
            _keep_refusal(ledger, lapsed, proposal, at=moment.now)
            return None
        ledger.add_recommendation(proposal.recommendation, at=moment.now)
        return proposal.recommendation.id


def _keep_refusal(
    ledger: ExecutionLedger, lapsed: Recommendation, proposal: Proposal, *, at: datetime
) -> None:
    failed = [str(refusal) for refusal in gate_refusals(proposal.gates)]
    detail = {"refusal": str(proposal.refusal), "gates": failed}
    ledger.audit("requote_refused", lapsed.id, detail, at=at)
