"""From a candidate and a thesis to a recommendation, or to the reason there is none."""

from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from mahler_pipelines.decisions.grounding import Grounding
from mahler_pipelines.decisions.proposing import ApprovalTerms, ProposalCode
from mahler_pipelines.decisions.recommendation import Recommendation
from mahler_pipelines.errors import BadInput
from mahler_pipelines.risk.exit_terms import ExitTerms
from mahler_pipelines.risk.exposure import Exposure, ExposureItem
from mahler_pipelines.risk.gates import GateCode
from mahler_pipelines.risk.limits import RiskLimits
from mahler_pipelines.risk.sizing import SizingCode
from mahler_pipelines.risk.trading_state import TradingState
from tests.decisions.cases import AS_OF, PLAIN, QUIET, candidate, proposal, recommendation


def test_money_is_exact_and_sized_at_the_floor() -> None:
    """Floor 0.89: the loss of one contract is 411 dollars, so one percent buys two."""
    found = recommendation()
    assert (found.target_credit, found.natural_credit, found.floor_credit) == (
        *(Decimal("1.00"), Decimal("0.94")),
        Decimal("0.89"),
    )
    assert found.contracts == 2
    assert found.max_loss_usd == Decimal("822.00")
    assert found.max_profit_usd == Decimal("200.00")
    assert found.breakevens == (Decimal("94.00"),)
    assert found.underlying_price == Decimal("100.0")


def test_what_the_person_sees_comes_from_the_candidate() -> None:
    found = recommendation()
    assert found.structure.symbols == ("XYZ260206P00095000", "XYZ260206P00090000")
    assert (found.strategy, found.underlying, found.dte) == ("bull_put_spread", "XYZ", 32)
    assert found.net_delta == pytest.approx(0.13)
    assert found.net_theta_per_day == pytest.approx(0.017)
    assert found.net_vega == pytest.approx(-0.03)
    assert found.expected_value_usd == pytest.approx(2.46)
    short, long = found.quotes
    assert (short.bid, short.ask, short.open_interest) == (
        *(Decimal("1.95"), Decimal("2.05")),
        1200,
    )
    assert (long.open_interest, long.volume) == (None, 80)
    assert (found.thesis, found.risks, found.analyst) == (PLAIN.thesis, PLAIN.risks, "scripted")
    assert len(found.gates) == len(GateCode)


def test_times_are_relative_to_the_scan() -> None:
    found = recommendation()
    assert found.created_at == AS_OF
    assert found.expires_at == AS_OF + timedelta(minutes=30)
    assert found.exit_by == date(2026, 1, 16)


@pytest.mark.parametrize(
    ("stop_loss", "stop", "reachable"),
    [("2.00", "3.00", True), ("4.00", "5.00", True), ("4.01", "5.01", False)],
)
def test_a_stop_beyond_the_width_is_said_to_be_out_of_reach(
    stop_loss: str, stop: str, reachable: bool
) -> None:
    """A 5-wide spread never costs more than 5.00 to close, so such a stop would never fire."""
    found = recommendation(exits=ExitTerms(stop_loss=Decimal(stop_loss)))
    assert found.stop_debit == Decimal(stop)
    assert found.stop_reachable is reachable
    assert found.profit_target_debit == Decimal("0.50")


def test_a_second_opinion_is_shown_and_binds_nothing() -> None:
    """An approval is of the trade: what somebody else thinks of it changes no hash."""
    plain, heard = recommendation(), recommendation(second_opinion="would not trade")
    assert (plain.second_opinion, heard.second_opinion) == ("", "would not trade")
    assert plain.content_hash == heard.content_hash


def test_a_re_run_finds_the_same_recommendation() -> None:
    one, other = recommendation(), recommendation()
    assert one == other
    assert one.content_hash == other.content_hash
    assert recommendation(scan="morning").id != one.id


def test_the_hash_changes_with_everything_an_approval_binds() -> None:
    base = recommendation()
    others = [
        recommendation(account=replace(QUIET, equity=Decimal(50_000))),
        recommendation(candidate(short_bid=1.96)),
        recommendation(candidate(underlying_price=100.01)),
        recommendation(approval=ApprovalTerms(expires_after=timedelta(minutes=29))),
    ]
    hashes = {base.content_hash, *(other.content_hash for other in others)}
    assert len(hashes) == 5


def test_an_unknown_rank_stays_unknown() -> None:
    found = recommendation(candidate(iv_rank=float("nan"), iv_percentile=float("nan")))
    assert (found.iv_rank, found.iv_percentile) == (None, None)


def test_a_coarse_tick_widens_the_band() -> None:
    found = recommendation(tick=Decimal("0.05"))
    assert (found.target_credit, found.floor_credit) == (Decimal("1.00"), Decimal("0.85"))
    assert found.natural_credit == Decimal("0.94")


def test_a_call_spread_is_proposed_with_its_own_breakeven() -> None:
    row = candidate(
        strategy="bear_call_spread",
        right=1,
        short_symbol="XYZ260206C00105000",
        long_symbol="XYZ260206C00110000",
    )
    assert recommendation(row).breakevens == (Decimal("106.00"),)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"thesis": None}, ProposalCode.NO_THESIS),
        (
            {"thesis": PLAIN.model_copy(update={"recommend": False})},
            ProposalCode.NOT_RECOMMENDED,
        ),
        ({"grounding": Grounding(numbers=("77",))}, "ungrounded"),
        ({"grounding": Grounding(rules=("p-9",))}, "unknown_rule"),
        (
            {"account": replace(QUIET, equity=Decimal(41_000))},
            SizingCode.SIZE_BELOW_ONE_CONTRACT,
        ),
        (
            {"account": replace(QUIET, trading_state=TradingState.HALTED)},
            ProposalCode.GATES_FAILED,
        ),
    ],
)
def test_a_refused_proposal_says_why_and_still_shows_every_gate(
    changes: dict[str, Any], code: str
) -> None:
    found = proposal(**changes)
    assert found.recommendation is None
    assert found.refusal is not None
    assert found.refusal.code == code
    assert found.refusal.context["candidate"] == "c-1"
    assert [result.code for result in found.gates] == list(GateCode)


def test_failed_gates_are_named_together() -> None:
    item = ExposureItem("XYZ", Decimal(29_900), ("XYZ260206P00090000",))
    account = replace(QUIET, entries_today=10, exposure=Exposure((item,)))
    refusal = proposal(account=account).refusal
    assert refusal is not None
    assert refusal.value == "trades_per_day, portfolio_heat, concentration, duplicate_position"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"short_bid": 1.01}, ProposalCode.CREDIT_BELOW_ONE_TICK),
        ({"short_bid": 1.00}, ProposalCode.CREDIT_BELOW_ONE_TICK),
        ({"short_bid": 5.98, "short_ask": 6.10}, ProposalCode.CREDIT_EXCEEDS_WIDTH),
    ],
)
def test_a_credit_that_no_order_could_ask_for_is_refused(
    changes: dict[str, float], code: ProposalCode
) -> None:
    found = proposal(candidate(**changes))
    assert found.refusal is not None
    assert found.refusal.code is code
    assert (found.recommendation, found.gates) == (None, ())


@pytest.mark.parametrize(("equity", "contracts"), [("41100", 1), ("164400", 4), ("5000000", 10)])
def test_contracts_follow_equity_up_to_the_cap(equity: str, contracts: int) -> None:
    account = replace(QUIET, equity=Decimal(equity), options_buying_power=Decimal(equity))
    found = recommendation(account=account)
    assert found.contracts == contracts
    assert found.max_loss_usd == contracts * Decimal("411.00")


def test_a_model_cannot_move_a_price_or_a_size() -> None:
    """Whatever the thesis says, structure, band and size come from quotes and limits."""
    boasting = PLAIN.model_copy(
        update={"thesis": "Sell 50 contracts for 2.40 at the 99 strike.", "confidence": 1.0}
    )

    def bound(found: Recommendation) -> tuple[object, ...]:
        return found.structure, found.contracts, found.target_credit, found.content_hash

    assert bound(recommendation(thesis=boasting)) == bound(recommendation())


@pytest.mark.parametrize("name", ["short_bid", "short_ask", "long_bid", "long_ask"])
def test_a_leg_without_a_quote_is_loud(name: str) -> None:
    """The screen lets no such candidate through: one that arrives is corrupt."""
    with pytest.raises(BadInput, match=name):
        proposal(candidate(**{name: float("nan")}))


def test_wrong_terms_are_refused() -> None:
    with pytest.raises(BadInput, match="time zone"):
        proposal(as_of=datetime(2026, 1, 5, 12, 0))  # noqa: DTZ001
    with pytest.raises(BadInput, match="expires_after"):
        ApprovalTerms(expires_after=timedelta(0))
    with pytest.raises(BadInput, match="floor_tolerance"):
        ApprovalTerms(floor_tolerance=Decimal(1))
    with pytest.raises(BadInput, match="underlying_drift"):
        ApprovalTerms(underlying_drift=Decimal("-0.01"))


def test_limits_are_the_callers() -> None:
    assert recommendation(limits=RiskLimits(risk_per_trade=Decimal("0.02"))).contracts == 4
