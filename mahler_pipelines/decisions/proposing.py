"""Propose: from a candidate and its thesis to a recommendation, or to the reason there is none."""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from enum import StrEnum
from typing import Any

from mahler_pipelines.decisions.credit_band import CreditBand, credit_band, exact_price
from mahler_pipelines.decisions.facts import Candidate, net, number
from mahler_pipelines.decisions.grounding import Grounding
from mahler_pipelines.decisions.recommendation import LegQuote, Recommendation, recommendation_id
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
    evaluate,
    gate_refusals,
)
from mahler_pipelines.risk.limits import RiskLimits
from mahler_pipelines.risk.sizing import SizingCode, contracts_for, risk_budget_usd
from mahler_pipelines.strategies.catalogue import strategy_named
from mahler_pipelines.strategies.refusals import Refusal

__all__ = ["ApprovalTerms", "ExitTerms", "Proposal", "ProposalCode", "propose"]


class ProposalCode(StrEnum):
    """Why a candidate was not proposed; the docs' table is made from this enum.

    `size_below_one_contract`, `ungrounded` and `unknown_rule` come from sizing and grounding.
    """

    NO_THESIS = "no_thesis"
    NOT_RECOMMENDED = "not_recommended"
    CREDIT_BELOW_ONE_TICK = "credit_below_one_tick"
    CREDIT_EXCEEDS_WIDTH = "credit_exceeds_width"
    GATES_FAILED = "gates_failed"


@dataclass(frozen=True, slots=True)
class Proposal:
    """A recommendation, or the refusal in its place, with every gate's answer.

    `gates` is empty only where no credit could be formed, so that there was nothing to measure.
    """

    recommendation: Recommendation | None
    gates: tuple[GateResult, ...] = ()
    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person wants in place of the size and the floor (per share) that would be proposed."""

    contracts: int
    floor: Decimal


@dataclass(frozen=True, slots=True)
class _Sized:
    """A structure with its credits, its size, and what the gates say of it."""

    structure: Structure
    band: CreditBand
    contracts: int
    gates: tuple[GateResult, ...]

    @property
    def width(self) -> Decimal:
        return self.structure.max_loss(Decimal(0))

    @property
    def max_loss_per_share(self) -> Decimal:
        return self.structure.max_loss(self.band.floor)


def propose(
    candidate: Candidate,
    answer: AnalystAnswer,
    *,
    grounding: Grounding,
    account_id: str,
    session: date,
    scan: str,
    as_of: datetime,
    snapshot_hash: str,
    account: AccountView,
    limits: RiskLimits,
    approval: ApprovalTerms,
    exits: ExitTerms,
    playbook_version: int,
    run_id: str,
    second_opinion: str = "",
    tick: Decimal = CENT,
    asked: Asked | None = None,
) -> Proposal:
    """Form the recommendation of one candidate, or say why there is none.

    The credit band comes from the candidate's own quotes; size and maximum loss are taken at the
    floor, maximum profit, breakevens and exits at the target. Every gate is asked whatever the
    answer; a size below one contract is asked about as one contract. The analyst's words decide
    whether a trade is proposed, never its price, strikes or size; `asked` does. Raises `BadInput`
    for a time without zone or a leg without a usable quote.
    """
    if as_of.tzinfo is None:
        raise BadInput("as_of", as_of, "needs a time zone")
    sized = _sized(
        candidate,
        account=account,
        limits=limits,
        tolerance=approval.floor_tolerance,
        tick=tick,
        asked=asked,
    )
    if isinstance(sized, Refusal):
        return Proposal(None, (), sized)
    budget = risk_budget_usd(account.equity, limits)
    refusal = _refusal(candidate, answer, grounding, sized, budget=budget)
    if refusal is not None or answer.thesis is None:
        return Proposal(None, sized.gates, refusal)
    recommendation = Recommendation(
        id=recommendation_id(account_id, session, scan, sized.structure),
        account_id=account_id,
        session=session,
        scan=scan,
        created_at=as_of.astimezone(UTC),
        expires_at=as_of.astimezone(UTC) + approval.expires_after,
        snapshot_hash=snapshot_hash,
        analyst=answer.call.analyst,
        playbook_version=playbook_version,
        run_id=run_id,
        second_opinion=second_opinion,
        **_trade(sized),
        **_exits(sized, exits),
        **_measures(candidate, sized.contracts),
        **_words(answer.thesis),
    )
    return Proposal(recommendation, sized.gates)


def structure_of(candidate: Candidate) -> Structure:
    """Return the structure of a candidate; raise when its symbols are not its strategy's legs."""
    spread = strategy_named(str(candidate["strategy"]))
    short, long = (parse_occ(str(candidate[f"{role}_symbol"])) for role in ("short", "long"))
    return spread.structure(short, long)


def _sized(
    candidate: Candidate,
    *,
    account: AccountView,
    limits: RiskLimits,
    tolerance: Decimal,
    tick: Decimal,
    asked: Asked | None,
) -> _Sized | Refusal:
    structure = structure_of(candidate)
    sides = {
        name: exact_price(name, candidate[name])
        for name in ("short_bid", "short_ask", "long_bid", "long_ask")
    }
    band = credit_band(**sides, tolerance=tolerance, tick=tick)
    context = _context(candidate)
    if band is None:
        natural = float(sides["short_bid"] - sides["long_ask"])
        return Refusal(ProposalCode.CREDIT_BELOW_ONE_TICK, natural, float(tick), context)
    if asked is not None:
        band = replace(band, floor=asked.floor)
    width = structure.max_loss(Decimal(0))
    if band.target >= width:
        code = ProposalCode.CREDIT_EXCEEDS_WIDTH
        return Refusal(code, float(band.target), float(width), context)
    loss = structure.max_loss(band.floor)
    contracts = (
        contracts_for(equity=account.equity, max_loss_per_share=loss, limits=limits)
        if asked is None
        else asked.contracts
    )
    judged = max(1, contracts)
    risk = TradeRisk(structure.underlying, structure.symbols, judged, dollars(loss, judged))
    return _Sized(structure, band, contracts, evaluate(risk, account, limits))


def _refusal(
    candidate: Candidate,
    answer: AnalystAnswer,
    grounding: Grounding,
    sized: _Sized,
    *,
    budget: Decimal,
) -> Refusal | None:
    """Return the first reason against a proposal: thesis, grounding, size, gates."""
    context, thesis = _context(candidate), answer.thesis
    if thesis is None:
        return Refusal(ProposalCode.NO_THESIS, answer.problem, None, context)
    if grounding.refusal is not None:
        found = grounding.refusal
        return Refusal(found.code, found.value, found.limit, context)
    if not thesis.recommend:
        return Refusal(ProposalCode.NOT_RECOMMENDED, thesis.confidence, None, context)
    if sized.contracts < 1:
        of_one = float(dollars(sized.max_loss_per_share, 1))
        return Refusal(SizingCode.SIZE_BELOW_ONE_CONTRACT, of_one, float(budget), context)
    failed = gate_refusals(sized.gates)
    if failed:
        codes = ", ".join(refusal.code.value for refusal in failed)
        return Refusal(ProposalCode.GATES_FAILED, codes, None, context)
    return None


def _trade(sized: _Sized) -> dict[str, Any]:
    band, structure = sized.band, sized.structure
    return {
        "structure": structure,
        "contracts": sized.contracts,
        "target_credit": band.target,
        "floor_credit": band.floor,
        "natural_credit": band.natural,
        "max_loss_usd": dollars(sized.max_loss_per_share, sized.contracts),
        "max_profit_usd": dollars(band.target, sized.contracts),
        "breakevens": structure.breakevens(band.target),
        "gates": tuple(result.as_row() for result in sized.gates),
    }


def _exits(sized: _Sized, exits: ExitTerms) -> dict[str, Any]:
    stop = exits.stop_debit(sized.band.target)
    return {
        "profit_target_debit": _cents(exits.profit_debit(sized.band.target)),
        "stop_debit": _cents(stop),
        "stop_reachable": stop <= sized.width,
        "exit_by": sized.structure.expiration - timedelta(days=exits.time_exit_dte),
    }


def _words(thesis: Thesis) -> dict[str, Any]:
    return {"thesis": thesis.thesis, "risks": thesis.risks, "confidence": thesis.confidence}


def _measures(candidate: Candidate, contracts: int) -> dict[str, Any]:
    value = Decimal(str(round(float(candidate["expected_value_per_share"]), 6)))
    return {
        "underlying_price": exact_price("underlying_price", candidate["underlying_price"]),
        "probability_of_profit": float(candidate["probability_of_profit"]),
        "expected_value_usd": float(dollars(value, contracts)),
        "return_on_risk": float(candidate["return_on_risk"]),
        "iv_rank": number(candidate["iv_rank"], 4),
        "iv_percentile": number(candidate["iv_percentile"], 4),
        "iv_rank_basis": str(candidate["iv_rank_basis"]),
        "dte": int(candidate["dte"]),
        "net_delta": net(candidate, "delta"),
        "net_theta_per_day": net(candidate, "theta_per_day"),
        "net_vega": net(candidate, "vega"),
        "quotes": tuple(_leg_quote(candidate, role) for role in ("short", "long")),
    }


def _leg_quote(candidate: Candidate, role: str) -> LegQuote:
    return LegQuote(
        symbol=str(candidate[f"{role}_symbol"]),
        bid=exact_price(f"{role}_bid", candidate[f"{role}_bid"]),
        ask=exact_price(f"{role}_ask", candidate[f"{role}_ask"]),
        implied_volatility=float(candidate[f"{role}_iv"]),
        delta=float(candidate[f"{role}_delta"]),
        open_interest=_count(candidate[f"{role}_open_interest"]),
        volume=_count(candidate[f"{role}_volume"]),
    )


def _count(value: Any) -> int | None:
    found = number(value, 0)
    return None if found is None else int(found)


def _cents(price: Decimal) -> Decimal:
    return price.quantize(CENT, rounding=ROUND_HALF_EVEN)


def _context(candidate: Candidate) -> dict[str, str]:
    return {"candidate": str(candidate["candidate_id"]), "underlying": str(candidate["underlying"])}
