"""One candidate, and what decisions make of it."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pandas as pd

from mahler_pipelines.decisions.grounding import Grounding
from mahler_pipelines.decisions.playbook import Playbook, PlaybookRule, RuleStatus
from mahler_pipelines.decisions.proposing import Proposal, propose
from mahler_pipelines.decisions.recommendation import Recommendation
from mahler_pipelines.decisions.terms import ApprovalTerms
from mahler_pipelines.decisions.thesis import AnalystAnswer, Thesis
from mahler_pipelines.risk.exit_terms import ExitTerms
from mahler_pipelines.risk.gates import AccountView
from mahler_pipelines.risk.limits import RiskLimits
from mahler_pipelines.risk.trading_state import TradingState
from tests.decisions.fakes import call_of

AS_OF = datetime(2026, 1, 5, 17, 0, tzinfo=UTC)
SESSION = date(2026, 1, 5)
EXPIRATION = pd.Timestamp("2026-02-06")

PLAIN = Thesis(
    recommend=True,
    confidence=0.6,
    thesis="The credit of 1.00 is fair for 32 days.",
    risks=("A fall below 95 costs money.",),
)
QUIET = AccountView(
    equity=Decimal(100_000),
    last_equity=Decimal(100_000),
    options_buying_power=Decimal(50_000),
    trading_state=TradingState.ACTIVE,
    entries_today=0,
    realised_pnl_today=Decimal(0),
    unrealised_pnl_today=Decimal(0),
)


def candidate(**changes: Any) -> dict[str, Any]:
    """A ranked 95/90 put spread of XYZ: mid credit 1.00, natural credit 0.94."""
    row: dict[str, Any] = {
        "candidate_id": "c-1",
        "strategy": "bull_put_spread",
        "underlying": "XYZ",
        "root": "XYZ",
        "expiration": EXPIRATION,
        "dte": 32,
        "right": -1,
        "forward": float("nan"),
        "years": float("nan"),
        "short_symbol": "XYZ260206P00095000",
        "long_symbol": "XYZ260206P00090000",
        "short_strike": 95.0,
        "long_strike": 90.0,
        "width": 5.0,
        "short_bid": 1.95,
        "short_ask": 2.05,
        "short_mid": 2.0,
        "long_bid": 0.99,
        "long_ask": 1.01,
        "long_mid": 1.0,
        "short_iv": 0.30,
        "long_iv": 0.32,
        "short_delta": -0.25,
        "long_delta": -0.12,
        "short_gamma": 0.03,
        "long_gamma": 0.02,
        "short_theta_per_day": -0.045,
        "long_theta_per_day": -0.028,
        "short_vega": 0.10,
        "long_vega": 0.07,
        "short_open_interest": 1200.0,
        "long_open_interest": float("nan"),
        "short_volume": 340.0,
        "long_volume": 80.0,
        "credit_mid": 1.0,
        "credit_natural": 0.94,
        "underlying_price": 100.0,
        "iv_rank": 42.0,
        "iv_percentile": 55.0,
        "iv_rank_basis": "own history",
        "iv30": 0.31,
        "breakeven": 94.0,
        "probability_of_profit": 0.7312,
        "return_on_risk": 0.25,
        "expected_value_per_share": 0.0123,
        "expected_value_usd": 1.23,
        "annualised": 2.85,
        "score": 0.61,
        "rank": 1,
    }
    return row | changes


def playbook(*rules: tuple[str, str, str]) -> Playbook:
    """A playbook of (id, text, evidence)."""
    return Playbook(
        version=len(rules),
        rules=tuple(
            PlaybookRule(name, "main", text, RuleStatus.ADOPTED, evidence, AS_OF)
            for name, text, evidence in rules
        ),
    )


def proposal(
    row: dict[str, Any] | None = None,
    *,
    thesis: Thesis | None = PLAIN,
    grounding: Grounding | None = None,
    **changes: Any,
) -> Proposal:
    """Propose the candidate under standard terms, unless changed."""
    row = row or candidate()
    problem = "" if thesis else "no answer"
    terms: dict[str, Any] = {
        "account_id": "main",
        "session": SESSION,
        "scan": "midday",
        "as_of": AS_OF,
        "snapshot_hash": "5" * 64,
        "account": QUIET,
        "limits": RiskLimits(),
        "approval": ApprovalTerms(),
        "exits": ExitTerms(),
        "playbook_version": 3,
        "run_id": "run-1",
    }
    answer = AnalystAnswer(thesis, problem, call_of(str(row["candidate_id"])))
    return propose(row, answer, grounding=grounding or Grounding(), **(terms | changes))


def recommendation(row: dict[str, Any] | None = None, **changes: Any) -> Recommendation:
    """The recommendation of that candidate; fails where there is none."""
    found = proposal(row, **changes).recommendation
    assert found is not None
    return found
