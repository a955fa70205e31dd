"""The terms a desk works under: every limit of every room, as one frozen value."""

from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal

from mahler_pipelines.decisions.terms import ApprovalTerms
from mahler_pipelines.execution.repricing import WalkTerms
from mahler_pipelines.market.chains import Scan
from mahler_pipelines.risk.exit_terms import ExitTerms
from mahler_pipelines.risk.halts import HaltTerms
from mahler_pipelines.risk.limits import RiskLimits
from mahler_pipelines.strategies.limits import ScreenLimits


@dataclass(frozen=True, slots=True)
class DeskTerms:
    """What `settings` says, in the words of the rooms.

    `rank_stand_ins` names the volatility index that stands in for an underlying whose own history
    covers less than `rank_coverage` of the lookback (SPX -> VIX). `chain_days` is how far out
    chains are fetched, `scans` the moments of a session that the market can be looked at, `walk`
    how the limits of orders move.
    """

    account_id: str
    universe: tuple[str, ...]
    strategies: tuple[str, ...]
    scans: tuple[Scan, ...]
    screen: ScreenLimits
    risk: RiskLimits
    approval: ApprovalTerms
    exits: ExitTerms
    halts: HaltTerms = field(default_factory=HaltTerms)
    risk_free_rate: float = 0.04
    rank_lookback: int = 252
    rank_minimum: int = 20
    rank_coverage: float = 0.8
    rank_stand_ins: dict[str, str] = field(default_factory=dict)
    history_sessions: int = 300
    chain_days: int = 120
    recommendations_per_scan: int = 5
    fee_per_contract: Decimal = Decimal(0)
    dry_run: bool = False
    walk: WalkTerms = field(default_factory=WalkTerms)

    @property
    def max_quote_age(self) -> timedelta | None:
        """Age beyond which an option quote counts as stale; None where age is not asked."""
        seconds = self.screen.max_quote_age_seconds
        return None if seconds is None else timedelta(seconds=seconds)
