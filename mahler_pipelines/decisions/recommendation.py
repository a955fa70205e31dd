"""Recommendations: what a person is shown, its content hash, and the states it passes through."""

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from mahler_pipelines.options.contracts import SHARES_PER_CONTRACT
from mahler_pipelines.options.structures import Structure


class RecommendationStatus(StrEnum):
    """The life of a recommendation."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"
    EXECUTING = "executing"
    EXECUTED = "executed"
    LAPSED = "lapsed"
    FAILED = "failed"


TRANSITIONS: dict[RecommendationStatus, frozenset[RecommendationStatus]] = {
    RecommendationStatus.PENDING: frozenset(
        {RecommendationStatus.APPROVED, RecommendationStatus.REJECTED, RecommendationStatus.EXPIRED}
    ),
    RecommendationStatus.APPROVED: frozenset(
        {RecommendationStatus.EXECUTING, RecommendationStatus.LAPSED, RecommendationStatus.EXPIRED}
    ),
    RecommendationStatus.EXECUTING: frozenset(
        {RecommendationStatus.EXECUTED, RecommendationStatus.LAPSED, RecommendationStatus.FAILED}
    ),
    RecommendationStatus.REJECTED: frozenset(),
    RecommendationStatus.EXPIRED: frozenset(),
    RecommendationStatus.EXECUTED: frozenset(),
    RecommendationStatus.LAPSED: frozenset(),
    RecommendationStatus.FAILED: frozenset(),
}
"""Status -> the statuses it may become; the ledger guards each step."""


class DecisionVerdict(StrEnum):
    """What a person said."""

    APPROVE = "approve"
    REJECT = "reject"


@dataclass(frozen=True, slots=True)
class LegQuote:
    """A leg's quote and greeks as they were shown."""

    symbol: str
    bid: Decimal
    ask: Decimal
    implied_volatility: float
    delta: float
    open_interest: int | None
    volume: int | None


@dataclass(frozen=True, slots=True)
class Recommendation:
    """One proposed trade, exactly as a person is shown it.

    Credits are per share, positive when received. `target_credit` and `floor_credit` are the band
    the approval binds: no fill below the floor. `max_loss_usd` is for all contracts at the floor.
    `requotes` is the id of the one whose place this one takes, with the market's new prices: one
    that lapsed, or that a person edited. `rolls` is the id of the trade that the same order closes:
    the band and the natural credit of a roll are net of what closing that trade costs, all else is
    of the new structure. `second_opinion` is what the rules analyst says where a model wrote the
    thesis.
    """

    id: str
    account_id: str
    session: date
    scan: str
    created_at: datetime
    expires_at: datetime
    structure: Structure
    contracts: int
    target_credit: Decimal
    floor_credit: Decimal
    natural_credit: Decimal
    underlying_price: Decimal
    max_loss_usd: Decimal
    max_profit_usd: Decimal
    breakevens: tuple[Decimal, ...]
    probability_of_profit: float
    expected_value_usd: float
    return_on_risk: float
    iv_rank: float | None
    iv_percentile: float | None
    iv_rank_basis: str
    dte: int
    net_delta: float
    net_theta_per_day: float
    net_vega: float
    quotes: tuple[LegQuote, ...]
    snapshot_hash: str
    profit_target_debit: Decimal
    stop_debit: Decimal
    stop_reachable: bool
    exit_by: date
    thesis: str
    risks: tuple[str, ...]
    confidence: float
    analyst: str
    playbook_version: int
    gates: tuple[dict[str, str], ...]
    run_id: str
    requotes: str | None = None
    rolls: str | None = None
    second_opinion: str = ""

    @property
    def underlying(self) -> str:
        """The underlying of the structure."""
        return self.structure.underlying

    @property
    def strategy(self) -> str:
        """The name of the strategy that proposed it."""
        return self.structure.strategy

    @property
    def entry_floor(self) -> Decimal:
        """Least credit per share that the structure itself is counted with.

        The floor; of a roll, whose floor is net of what closing costs, the one behind its maximum
        loss.
        """
        if self.rolls is None:
            return self.floor_credit
        return self.structure.max_loss(Decimal(0)) - self.max_loss_usd / (
            self.contracts * SHARES_PER_CONTRACT
        )

    @property
    def content_hash(self) -> str:
        """SHA-256 of exactly what an approval binds: structure, price band, size, expiry time."""
        shown = {
            "account": self.account_id,
            "id": self.id,
            "strategy": self.strategy,
            "legs": [
                [leg.contract.symbol, leg.side.value, leg.ratio] for leg in self.structure.legs
            ],
            "contracts": self.contracts,
            "target": str(self.target_credit.normalize()),
            "floor": str(self.floor_credit.normalize()),
            "underlying_price": str(self.underlying_price.normalize()),
            "expires_at": self.expires_at.isoformat(),
        }
        if self.rolls is not None:
            shown["rolls"] = self.rolls
        return hashlib.sha256(json.dumps(shown, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Decision:
    """A person's (or an announced policy's) answer, bound to the content it was given for."""

    recommendation_id: str
    verdict: DecisionVerdict
    decided_by: str
    door: str
    decided_at: datetime
    content_hash: str
    reason: str = ""


_REQUOTE, _EDIT = "-q", "-x"
"""What an id's hexadecimal digits cannot contain, so that a number after it is told apart."""


def recommendation_id(account_id: str, session: date, scan: str, structure: Structure) -> str:
    """Derive the id from where it was proposed and what it proposes: a re-run finds the same."""
    legs = "|".join(f"{leg.side}{leg.ratio}{leg.contract.symbol}" for leg in structure.legs)
    text = f"{account_id}|{session}|{scan}|{structure.strategy}|{legs}"
    return f"r-{session:%y%m%d}-{scan[:2]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def requote_id(lapsed_id: str) -> str:
    """Derive the id of the one offer that follows a lapse, such as r-260112-mo-abcdef12-q1."""
    return _next(lapsed_id, _REQUOTE)


def edit_id(edited_id: str) -> str:
    """Derive the id of what a person's edit puts in its place, such as r-260112-mo-abcdef12-x1."""
    return _next(edited_id, _EDIT)


def successor_ids(identifier: str) -> tuple[str, str]:
    """Return the ids that what takes its place may have; at most one of them does."""
    return requote_id(identifier), edit_id(identifier)


def requotes_before(identifier: str) -> int:
    """Return how many offers in a row led here; a person's edit begins a new row."""
    return _numbered(identifier, _REQUOTE)[1]


def _next(identifier: str, mark: str) -> str:
    first, number = _numbered(identifier, mark)
    return f"{first}{mark}{number + 1}"


def _numbered(identifier: str, mark: str) -> tuple[str, int]:
    """What an id ends in: what stands before the mark and its number, 0 where there is none."""
    found = re.fullmatch(rf"(.*){mark}(\d+)", identifier)
    return (found[1], int(found[2])) if found else (identifier, 0)
