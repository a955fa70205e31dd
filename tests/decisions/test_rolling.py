"""Which spread a roll moves to, and why there may be none."""

import math
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mahler_pipelines.decisions.proposing import Proposal, ProposalCode
from mahler_pipelines.decisions.recommendation import Recommendation
from mahler_pipelines.decisions.requoting import RequoteCode, requote
from mahler_pipelines.decisions.rolling import (
    OpenTrade,
    RollCode,
    can_be_rolled,
    next_expiration,
    propose_roll,
)
from mahler_pipelines.decisions.terms import ApprovalTerms
from mahler_pipelines.errors import BadInput
from mahler_pipelines.market.chains import conform_quotes
from mahler_pipelines.market.rates import RateCurve
from mahler_pipelines.options.american import price
from mahler_pipelines.options.contracts import OptionContract, Right
from mahler_pipelines.options.structures import Leg, Side, Structure
from mahler_pipelines.risk.exit_terms import ExitTerms
from mahler_pipelines.risk.exposure import Exposure
from mahler_pipelines.risk.gates import AccountView
from mahler_pipelines.risk.limits import RiskLimits
from mahler_pipelines.risk.trading_state import TradingState
from tests.execution.scenes import SPREAD, recommendation

NOW = datetime(2026, 1, 30, 15, 0, tzinfo=UTC)
NEAR, FAR = date(2026, 2, 20), date(2026, 3, 20)
SPOT, VOLATILITY, RATE = 600.0, 0.20, 0.04
STRIKES = tuple(range(500, 705, 5))
ACCOUNT = AccountView(
    equity=Decimal(1_000_000),
    last_equity=Decimal(1_000_000),
    options_buying_power=Decimal(1_000_000),
    trading_state=TradingState.ACTIVE,
    entries_today=0,
    realised_pnl_today=Decimal(0),
    unrealised_pnl_today=Decimal(0),
    exposure=Exposure(),
)
CALLS = Structure(
    "bear_call_spread",
    (
        Leg(OptionContract("SPY", NEAR, Right.CALL, Decimal(620)), Side.SELL),
        Leg(OptionContract("SPY", NEAR, Right.CALL, Decimal(625)), Side.BUY),
    ),
)


def chain(
    *,
    spot: float = SPOT,
    strikes: tuple[int, ...] = STRIKES,
    expirations: tuple[date, ...] = (NEAR, FAR),
) -> pd.DataFrame:
    """Every expiration at one volatility, four cents wide."""
    rows = []
    for expiration in expirations:
        years = (expiration - NOW.date()).days / 365
        for right in (Right.PUT, Right.CALL):
            values = price(
                right=int(right),
                spot=spot,
                strike=np.array(strikes, dtype=float),
                years=years,
                rate=RATE,
                dividend_yield=0.0,
                volatility=VOLATILITY,
            )
            for strike, value in zip(strikes, values, strict=True):
                contract = OptionContract("SPY", expiration, right, Decimal(strike))
                rows.append(
                    {
                        "underlying": "SPY",
                        "symbol": contract.symbol,
                        "root": "SPY",
                        "expiration": pd.Timestamp(expiration),
                        "right": int(right),
                        "strike": float(strike),
                        "bid": max(0.0, round(float(value) - 0.02, 2)),
                        "ask": round(float(value) + 0.02, 2),
                        "underlying_price": spot,
                    }
                )
    return conform_quotes(pd.DataFrame(rows))


def entry(structure: Structure = SPREAD, *, delta: float = -0.28) -> Recommendation:
    """What the trade was opened from, its short leg shown with this delta."""
    shown = recommendation()
    first, second = shown.quotes
    sold, bought = structure.symbols
    quotes = (replace(first, symbol=sold, delta=delta), replace(second, symbol=bought))
    return replace(shown, structure=structure, quotes=quotes)


def roll(trade: OpenTrade, quotes: pd.DataFrame, **changes: Any) -> Proposal:
    given: dict[str, Any] = {
        "expiration": FAR,
        "underlying_price": Decimal(600),
        "session": NOW.date(),
        "as_of": NOW,
        "rates": RateCurve.flat(RATE),
        "snapshot_hash": "a" * 64,
        "account": ACCOUNT,
        "limits": RiskLimits(),
        "approval": ApprovalTerms(),
        "exits": ExitTerms(),
        "run_id": "run-1",
    }
    return propose_roll(trade, quotes, **(given | changes))


def offered(trade: OpenTrade, quotes: pd.DataFrame, **changes: Any) -> Recommendation:
    found = roll(trade, quotes, **changes).recommendation
    assert found is not None
    return found


def black_scholes_delta(strike: float, right: int) -> float:
    years = (FAR - NOW.date()).days / 365
    sigma = VOLATILITY * math.sqrt(years)
    d1 = (math.log(SPOT / strike) + RATE * years) / sigma + sigma / 2
    return right * NormalDist().cdf(right * d1)


@pytest.mark.parametrize(
    ("structure", "right", "delta"),
    [(SPREAD, -1, -0.25), (SPREAD, -1, -0.33), (CALLS, 1, 0.40)],
)
def test_short_strike_has_the_delta_nearest_to_that_at_entry(
    structure: Structure, right: int, delta: float
) -> None:
    """Against the delta of the textbook: no listed pair of the width comes nearer."""
    shown = offered(OpenTrade("t-1", entry(structure, delta=delta), 3), chain())
    sold, bought = (leg.contract for leg in shown.structure.legs)
    away = {strike: abs(black_scholes_delta(strike, right) - delta) for strike in STRIKES}
    assert int(sold.strike) == min(away, key=away.__getitem__)
    assert bought.strike - sold.strike == 5 * right
    assert {sold.expiration, bought.expiration} == {FAR}
    assert shown.strategy == structure.strategy


def test_band_is_net_and_all_else_is_of_the_new_spread() -> None:
    """To the cent from the four quotes, whatever the number of units."""
    quotes = chain()
    trade = OpenTrade("t-1", entry(), 7)
    shown = offered(trade, quotes)
    sides = {row["symbol"]: row for row in quotes.to_dict("records")}
    sold, bought = shown.structure.symbols
    old_sold, old_bought = SPREAD.symbols

    def exact(symbol: str, side: str) -> Decimal:
        return Decimal(str(sides[symbol][side]))

    own = exact(sold, "bid") - exact(bought, "ask")
    cost = exact(old_sold, "ask") - exact(old_bought, "bid")
    assert shown.natural_credit == own - cost
    assert shown.floor_credit <= shown.natural_credit <= shown.target_credit
    assert shown.contracts == 7
    own_floor = (own * Decimal("0.95")).quantize(Decimal("0.01"), rounding="ROUND_FLOOR")
    assert shown.max_loss_usd == 7 * 100 * (5 - own_floor)
    assert shown.entry_floor == own_floor
    assert (shown.iv_rank, shown.iv_rank_basis) == (None, "not asked at a roll")


def test_same_strikes_are_taken_where_the_delta_of_the_entry_costs() -> None:
    """The market fell towards the strikes: out and down costs, out alone brings a credit."""
    fallen = chain(spot=585.0)
    trade = OpenTrade("t-1", entry(delta=-0.20), 2)
    shown = offered(trade, fallen, underlying_price=Decimal(585))
    assert [leg.contract.strike for leg in shown.structure.legs] == [580, 575]


def test_without_a_delta_at_entry_the_strikes_stay() -> None:
    trade = OpenTrade("t-1", replace(entry(), quotes=()), 2)
    shown = offered(trade, chain())
    assert [leg.contract.strike for leg in shown.structure.legs] == [580, 575]
    assert "not known at entry" in shown.thesis


def test_each_attempt_has_an_id_of_its_own_and_a_repeat_the_same() -> None:
    first, again, second = (
        offered(OpenTrade("t-1", entry(), 1, attempt=attempt), chain()).id for attempt in (1, 1, 2)
    )
    assert first == again != second
    assert offered(OpenTrade("t-2", entry(), 1), chain()).id != first


@pytest.mark.parametrize(
    ("quotes", "code"),
    [
        (chain(strikes=(580,)), RollCode.NO_STRIKES_OF_THIS_WIDTH),
        (chain(expirations=(FAR,)), RollCode.LEG_NOT_QUOTED),
        (chain(spot=380.0), ProposalCode.CREDIT_BELOW_ONE_TICK),
    ],
    ids=["no strikes", "old leg not quoted", "costs"],
)
def test_roll_that_cannot_be_priced_is_refused(quotes: pd.DataFrame, code: object) -> None:
    refusal = roll(OpenTrade("t-1", entry(), 1), quotes).refusal
    assert refusal is not None
    assert refusal.code is code


def test_every_gate_is_asked_of_the_units_that_are_rolled() -> None:
    poor = replace(ACCOUNT, equity=Decimal(2_000))
    proposal = roll(OpenTrade("t-1", entry(), 3), chain(), account=poor)
    assert proposal.refusal is not None
    assert proposal.refusal.code is ProposalCode.GATES_FAILED
    failed = {str(result.code) for result in proposal.gates if not result.passed}
    assert "per_trade" in failed


def test_only_vertical_spreads_of_the_desk_can_be_rolled() -> None:
    twice = Structure("bull_put_spread", (SPREAD.legs[0], replace(SPREAD.legs[1], ratio=2)))
    assert can_be_rolled(SPREAD)
    assert not can_be_rolled(twice)
    assert not can_be_rolled(replace(SPREAD, strategy="put_backspread"))
    assert not can_be_rolled(Structure("bull_put_spread", SPREAD.legs[:1]))


def test_next_expiration_is_later_and_inside_the_window() -> None:
    trade, quotes = OpenTrade("t-1", entry(), 1), chain()
    assert next_expiration(quotes, trade, first=NEAR, last=FAR) == FAR
    assert next_expiration(quotes, trade, first=NEAR, last=date(2026, 3, 19)) is None


def test_order_of_a_roll_shares_no_contract_between_its_halves() -> None:
    with pytest.raises(BadInput, match="twice"):
        SPREAD.rolled_into(SPREAD)


def test_roll_is_neither_requoted_nor_edited() -> None:
    """Its band is the net of four legs: what two legs are worth now says nothing of it."""
    shown = offered(OpenTrade("t-1", entry(), 1), chain())
    proposal = requote(
        shown,
        chain(),
        underlying_price=Decimal(600),
        as_of=NOW,
        rates=RateCurve.flat(RATE),
        snapshot_hash="a" * 64,
        account=ACCOUNT,
        limits=RiskLimits(),
        approval=ApprovalTerms(),
        exits=ExitTerms(),
        run_id="run-1",
    )
    assert proposal.refusal is not None
    assert proposal.refusal.code is RequoteCode.ROLL_IS_PROPOSED_ANEW
