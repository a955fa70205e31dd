"""Requoting: a trade that lapsed or that a person edited, offered anew at the market's prices."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

import numpy as np
import pandas as pd

from mahler_pipelines.decisions.credit_band import exact_price
from mahler_pipelines.decisions.drift import LapseCode
from mahler_pipelines.decisions.facts import Candidate
from mahler_pipelines.decisions.grounding import Grounding
from mahler_pipelines.decisions.proposing import Asked, Proposal, ProposalCode, propose
from mahler_pipelines.decisions.recommendation import (
    Recommendation,
    edit_id,
    requote_id,
    requotes_before,
)
from mahler_pipelines.decisions.terms import ApprovalTerms
from mahler_pipelines.decisions.thesis import AnalystAnswer, ModelCall, Thesis
from mahler_pipelines.market.rates import RateCurve
from mahler_pipelines.market.sessions import TradingCalendar
from mahler_pipelines.market.volatility import implied_volatilities
from mahler_pipelines.options.structures import CENT, Side, Structure
from mahler_pipelines.risk.exit_terms import ExitTerms
from mahler_pipelines.risk.gates import AccountView
from mahler_pipelines.risk.limits import RiskLimits
from mahler_pipelines.strategies.candidates import candidate_rows
from mahler_pipelines.strategies.catalogue import strategy_named
from mahler_pipelines.strategies.gates import days_to_expiry, exact, floats
from mahler_pipelines.strategies.ranking import rank
from mahler_pipelines.strategies.refusals import Refusal
from mahler_pipelines.strategies.underlyings import uses_previous_volume

MARKET_MOVED = frozenset(
    {LapseCode.UNDERLYING_MOVED, LapseCode.CREDIT_BELOW_FLOOR, LapseCode.CREDIT_ABOVE_BAND}
)
"""Lapses after which the same trade is worth another question: nothing else stood against it."""


class RequoteCode(StrEnum):
    """Why a trade is not offered anew, beside what refuses any proposal."""

    REQUOTED_OFTEN_ENOUGH = "requoted_often_enough"
    LEG_WITHOUT_VOLATILITY = "leg_without_volatility"
    CONTRACTS_OUT_OF_RANGE = "contracts_out_of_range"
    LIMIT_OFF_THE_TICK = "limit_off_the_tick"
    LIMIT_ABOVE_NATURAL = "limit_above_natural"
    ROLL_IS_PROPOSED_ANEW = "roll_is_proposed_anew"


def market_moved(refusals: Sequence[Refusal]) -> bool:
    """Whether an approval lapsed because prices left what was shown, and for no other reason."""
    return bool(refusals) and all(refusal.code in MARKET_MOVED for refusal in refusals)


def requote(
    lapsed: Recommendation,
    quotes: pd.DataFrame,
    *,
    underlying_price: Decimal,
    as_of: datetime,
    rates: RateCurve,
    snapshot_hash: str,
    account: AccountView,
    limits: RiskLimits,
    approval: ApprovalTerms,
    exits: ExitTerms,
    run_id: str,
    tick: Decimal = CENT,
    asked: Asked | None = None,
) -> Proposal:
    """Form the offer that follows a lapse or a person's edit, or say why there is none.

    The same legs and the same thesis; band, size, volatilities, greeks and odds from `quotes`, by
    the functions a scan uses; every gate asked of `account`. IV rank and percentile stay those of
    the scan. `quotes` (`QUOTE_COLUMNS`) has a row for each leg; those of `Structure.counterparts`
    let them imply their forward. `asked` makes it the edit of one that still stands, which is not
    counted: its size and its floor are the person's, between one tick and the natural credit.
    """
    if lapsed.rolls is not None:
        return Proposal(None, refusal=Refusal(RequoteCode.ROLL_IS_PROPOSED_ANEW, lapsed.rolls))
    if asked is None and requotes_before(lapsed.id) >= approval.requotes:
        code, done = RequoteCode.REQUOTED_OFTEN_ENOUGH, requotes_before(lapsed.id)
        return Proposal(None, refusal=Refusal(code, done, approval.requotes))
    candidate = candidate_of(
        lapsed, quotes, underlying_price=underlying_price, as_of=as_of, rates=rates, tick=tick
    )
    if isinstance(candidate, Refusal):
        return Proposal(None, refusal=candidate)
    unfit = None if asked is None else _unfit(asked, candidate, limits, tick)
    if unfit is not None:
        return Proposal(None, refusal=unfit)
    proposal = propose(
        candidate,
        _standing_answer(lapsed),
        grounding=Grounding(),
        account_id=lapsed.account_id,
        session=lapsed.session,
        scan=lapsed.scan,
        as_of=as_of,
        snapshot_hash=snapshot_hash,
        account=account,
        limits=limits,
        approval=approval,
        exits=exits,
        playbook_version=lapsed.playbook_version,
        run_id=run_id,
        tick=tick,
        asked=asked,
    )
    if proposal.recommendation is None:
        return proposal
    name = requote_id(lapsed.id) if asked is None else edit_id(lapsed.id)
    offer = replace(
        proposal.recommendation,
        id=name,
        requotes=lapsed.id,
        second_opinion=lapsed.second_opinion,
    )
    return replace(proposal, recommendation=offer)


def _unfit(asked: Asked, candidate: Candidate, limits: RiskLimits, tick: Decimal) -> Refusal | None:
    """Why a person's edit can't be offered, whatever the gates say of it.

    An order that is not to be filled below what the market pays at once would lapse as it is sent.
    """
    if not 1 <= asked.contracts <= limits.max_contracts:
        code = RequoteCode.CONTRACTS_OUT_OF_RANGE
        return Refusal(code, asked.contracts, limits.max_contracts)
    if asked.floor < tick or asked.floor % tick:
        return Refusal(RequoteCode.LIMIT_OFF_THE_TICK, str(asked.floor), str(tick))
    natural = exact_price("credit_natural", candidate["credit_natural"])
    if asked.floor > natural:
        return Refusal(RequoteCode.LIMIT_ABOVE_NATURAL, str(asked.floor), str(natural))
    return None


def _standing_answer(lapsed: Recommendation) -> AnalystAnswer:
    """What the analyst said of this trade; nobody is asked a second time."""
    thesis = Thesis(
        recommend=True, confidence=lapsed.confidence, thesis=lapsed.thesis, risks=lapsed.risks
    )
    call = ModelCall(
        candidate_id=lapsed.id,
        analyst=lapsed.analyst,
        model="",
        request_hash="",
        raw_message="",
        stop_reason="",
        input_tokens=0,
        output_tokens=0,
        latency_seconds=0.0,
        outcome="standing",
    )
    return AnalystAnswer(thesis, "", call)


def candidate_of(
    lapsed: Recommendation,
    quotes: pd.DataFrame,
    *,
    underlying_price: Decimal,
    as_of: datetime,
    rates: RateCurve,
    tick: Decimal,
) -> Candidate | Refusal:
    """Value the legs as a scan does, and rank the pair alone: a row of the candidates' columns."""
    legs = _valued_legs(lapsed.structure, quotes, as_of=as_of, rates=rates)
    unvalued = legs[~np.isfinite(legs["implied_volatility"])]
    if len(unvalued):
        first = unvalued.iloc[0]
        context = {"symbol": str(first["symbol"])}
        return Refusal(RequoteCode.LEG_WITHOUT_VOLATILITY, str(first["iv_reason"]), None, context)
    strike, mid, bid, ask = (floats(legs, name) for name in ("strike", "mid", "bid", "ask"))
    width, credit = exact(np.abs(strike[:1] - strike[1:])), exact(mid[:1] - mid[1:])
    natural = exact(bid[:1] - ask[1:])
    if natural[0] < tick:
        return Refusal(ProposalCode.CREDIT_BELOW_ONE_TICK, float(natural[0]), float(tick))
    if credit[0] >= width[0]:
        return Refusal(ProposalCode.CREDIT_EXCEEDS_WIDTH, float(credit[0]), float(width[0]))
    pair = candidate_rows(
        legs,
        np.array([0]),
        np.array([1]),
        spread=strategy_named(lapsed.strategy),
        width=width,
        credit_mid=credit,
        credit_natural=natural,
        as_of=as_of,
    )
    known = pair.assign(
        underlying_price=float(underlying_price),
        iv_rank=_or_nan(lapsed.iv_rank),
        iv_percentile=_or_nan(lapsed.iv_percentile),
        iv_rank_basis=lapsed.iv_rank_basis,
        iv30=np.nan,
    )
    row: dict[Any, Any] = rank(known, as_of=as_of).to_dict("records")[0]
    return {str(name): value for name, value in row.items()}


def _valued_legs(
    structure: Structure, quotes: pd.DataFrame, *, as_of: datetime, rates: RateCurve
) -> pd.DataFrame:
    """The legs, the sold one first, with volatility and greeks."""
    valued = implied_volatilities(
        quotes, as_of=as_of, rates=rates, dividend_yields={}, calendar=TradingCalendar()
    ).set_index("symbol", drop=False)
    sold_first = sorted(structure.legs, key=lambda leg: leg.side is not Side.SELL)
    legs = valued.loc[[leg.contract.symbol for leg in sold_first]].reset_index(drop=True)
    volume = "previous_volume" if uses_previous_volume(as_of) else "volume"
    dte = days_to_expiry(legs["expiration"], as_of)
    return legs.assign(dte=dte.astype(np.int64), gated_volume=legs[volume])


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else value
