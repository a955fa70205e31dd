"""Propose: from a candidate and its thesis to a recommendation, or to the reason there is none."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from enum import StrEnum
from typing import Any

from mahler_pipelines.decisions.facts import net, number
from mahler_pipelines.decisions.grounding import Grounding
from mahler_pipelines.decisions.recommendation import (
    LegQuote,
    Recommendation,
    recommendation_id,
)
from mahler_pipelines.decisions.terms import ApprovalTerms
from mahler_pipelines.decisions.thesis import AnalystAnswer, Thesis
from mahler_pipelines.errors import BadInput
from mahler_pipelines.options.contracts import parse_occ
from mahler_pipelines.options.structures import CENT, Structure, dollars
from mahler_pipelines.risk.exit_terms import ExitTerms
from mahler_pipelines.risk.gates import (
    AccountView,
    GateResult,
    TradeRisk,
    all_passed,
    evaluate,
    gate_refusals,
)
from mahler_pipelines.risk.limits import RiskLimits
from mahler_pipelines.risk.sizing import SizingCode, contracts_for, risk_budget_usd
from mahler_pipelines.strategies.catalogue import strategy_named
from mahler_pipelines.strategies.refusals import Refusal

__all__ = [
    "ApprovalTerms",
    "CreditBand",
    "Proposal",
    "ProposalCode",
    "ProposalTerms",
    "credit_band",
    "propose",
]

WIRE_DECIMALS = 4
"""Quotes come from the wire with at most four decimals; more is binary noise."""


class ProposalCode(StrEnum):
    """Why a candidate was not proposed; the docs' table is made from this enum."""

    NO_THESIS = "no_thesis"
    NOT_RECOMMENDED = "not_recommended"
    NO_CREDIT_BAND = "no_credit_band"
    GATES_FAILED = "gates_failed"


@dataclass(frozen=True, slots=True)
class ProposalTerms:
    """Where and under which terms proposals are made: one value for all of a scan."""

    account_id: str
    session: date
    scan: str
    as_of: datetime
    snapshot_hash: str
    playbook_version: int
    run_id: str
    limits: RiskLimits
    approval: ApprovalTerms
    exits: ExitTerms

    def __post_init__(self) -> None:
        if self.as_of.tzinfo is None:
            raise BadInput("as_of", self.as_of, "needs a time zone")


@dataclass(frozen=True, slots=True)
class Proposal:
    """A recommendation, or the refusal in its place; every gate's answer either way.

    `gates` is empty only where the refusal came before there was a credit to size by.
    """

    recommendation: Recommendation | None
    gates: tuple[GateResult, ...] = ()
    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True)
class CreditBand:
    """Credits per share on the tick: floor <= natural <= target < width."""

    target: Decimal
    natural: Decimal
    floor: Decimal
