"""Offered anew after the market moved: the scan's own numbers, the same trade, a new question."""

from dataclasses import fields, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mahler_pipelines.decisions.drift import LapseCode
from mahler_pipelines.decisions.proposing import Proposal, ProposalCode
from mahler_pipelines.decisions.recommendation import (
    Recommendation,
    edit_id,
    requote_id,
    requotes_before,
    successor_ids,
)
from mahler_pipelines.decisions.requoting import RequoteCode, market_moved, requote
from mahler_pipelines.decisions.terms import ApprovalTerms
from mahler_pipelines.errors import BadInput
from mahler_pipelines.market.chains import conform_quotes
from mahler_pipelines.market.rates import rate_curve
from mahler_pipelines.market.sessions import TradingCalendar
from mahler_pipelines.market.volatility import implied_volatilities
from mahler_pipelines.options.american import price
from mahler_pipelines.options.contracts import parse_occ
from mahler_pipelines.options.structures import dollars
from mahler_pipelines.risk.exit_terms import ExitTerms
from mahler_pipelines.risk.gates import AccountView
from mahler_pipelines.risk.limits import RiskLimits
from mahler_pipelines.strategies.limits import ScreenLimits
from mahler_pipelines.strategies.ranking import rank
from mahler_pipelines.strategies.refusals import Refusal
from mahler_pipelines.strategies.screening import screen
from tests.decisions.cases import AS_OF, QUIET, proposal, recommendation
from tests.strategies.chains import underlyings

RATE, YIELD, YEARS = 0.04, 0.01, 32.166 / 365
SIGMA = {95.0: 0.30, 90.0: 0.32}
CURVE = rate_curve(pd.DataFrame(columns=["date", "series", "percent"]), as_of=AS_OF, flat=RATE)
LATER = AS_OF + timedelta(minutes=12)
ANYTHING = ScreenLimits(
    underlying_price_min=None,
    share_volume_min=None,
    iv_rank_min=None,
    open_interest_min=None,
    option_volume_min=None,
    option_spread_max=None,
    short_delta_min=None,
    short_delta_max=None,
    credit_min=None,
    max_quote_age_seconds=None,
)


def market(spot: float = 98.5, *, half_spread: float = 0.02, **changes: Any) -> pd.DataFrame:
    """Quotes of the spread's legs and of their counterparts, priced as American options."""
    shown = recommendation()
    rows = []
    for symbol in (*shown.structure.symbols, *shown.structure.counterparts):
        contract = parse_occ(symbol)
        strike = float(contract.strike)
        middle = float(
            price(
                right=int(contract.right),
                spot=spot,
                strike=strike,
                years=YEARS,
                rate=RATE,
                dividend_yield=YIELD,
                volatility=SIGMA[strike],
            )
        )
        rows.append(
            {
                "underlying": "XYZ",
                "symbol": symbol,
                "root": "XYZ",
                "expiration": pd.Timestamp(contract.expiration),
                "right": int(contract.right),
                "strike": strike,
                "bid": round(middle - half_spread, 2),
                "ask": round(middle + half_spread, 2),
                "volume": 70.0,
                "previous_volume": 60.0,
                "open_interest": 900.0,
                "underlying_price": spot,
                **changes,
            }
        )
    return conform_quotes(pd.DataFrame(rows))


def offered(
    lapsed: Recommendation | None = None,
    quotes: pd.DataFrame | None = None,
    *,
    spot: str = "98.50",
    account: AccountView = QUIET,
    approval: ApprovalTerms | None = None,
    limits: RiskLimits | None = None,
) -> Proposal:
    return requote(
        lapsed or recommendation(),
        market() if quotes is None else quotes,
        underlying_price=Decimal(spot),
        as_of=LATER,
        rates=CURVE,
        snapshot_hash="7" * 64,
        account=account,
        limits=limits or RiskLimits(),
        approval=approval or ApprovalTerms(),
        exits=ExitTerms(),
        run_id="run-9",
    )


def offer(**changes: Any) -> Recommendation:
    found = offered(**changes).recommendation
    assert found is not None
    return found


def by_a_scan(quotes: pd.DataFrame, *, spot: float) -> Recommendation:
    """What a scan at this moment would recommend of the same pair."""
    lapsed = recommendation()
    valued = implied_volatilities(
        quotes, as_of=LATER, rates=CURVE, dividend_yields={}, calendar=TradingCalendar()
    )
    known = underlyings("XYZ", price=spot, iv_rank=42.0, iv_percentile=55.0)
    found = screen(
        valued,
        known.assign(iv_rank_basis="own history"),
        as_of=LATER,
        limits=ANYTHING,
        strategies=["bull_put_spread"],
        use_previous_volume=False,
    )
    ranked = rank(found.candidates, as_of=LATER)
    (row,) = ranked[ranked["short_symbol"] == lapsed.structure.symbols[0]].to_dict("records")
    made = proposal(
        {str(name): value for name, value in row.items()},
        as_of=LATER,
        run_id="run-9",
        snapshot_hash="7" * 64,
    )
    assert made.recommendation is not None
    return made.recommendation


def test_the_offer_has_the_numbers_a_scan_would_have() -> None:
    """Odds, greeks, band, size and exits: the same functions on the same quotes."""
    quotes = market()
    made, scanned = offer(quotes=quotes), by_a_scan(quotes, spot=98.5)
    differing = {
        field.name
        for field in fields(Recommendation)
        if getattr(made, field.name) != getattr(scanned, field.name)
    }
    # A scan writes its own thesis; here both carry the one of the case.
    assert differing == {"id", "requotes"}


def test_the_volatility_behind_the_quotes_is_found_with_the_counterparts() -> None:
    """Priced at 30 and 32 % with a yield that nobody tells: parity finds it, carry would not."""
    by_parity = offer(quotes=market(half_spread=0.005))
    for quote, sigma in zip(by_parity.quotes, SIGMA.values(), strict=True):
        assert quote.implied_volatility == pytest.approx(sigma, abs=0.003)
    short, long = by_parity.quotes
    assert by_parity.net_delta == pytest.approx(long.delta - short.delta)
    assert 0.5 < by_parity.probability_of_profit < 0.95


def test_the_offer_is_the_same_trade_with_a_new_question() -> None:
    lapsed, made = recommendation(), offer()
    assert (made.id, made.requotes) == (f"{lapsed.id}-q1", lapsed.id)
    assert made.structure == lapsed.structure
    assert (made.thesis, made.risks, made.confidence) == (
        lapsed.thesis,
        lapsed.risks,
        lapsed.confidence,
    )
    assert (made.analyst, made.session, made.scan) == (lapsed.analyst, lapsed.session, lapsed.scan)
    heard = offer(lapsed=replace(lapsed, second_opinion="would not trade"))
    assert (made.second_opinion, heard.second_opinion) == ("", "would not trade")
    assert made.expires_at == LATER + ApprovalTerms().expires_after
    assert made.content_hash != lapsed.content_hash
    assert made.underlying_price == Decimal("98.50")
    assert made.snapshot_hash == "7" * 64
    natural = made.quotes[0].bid - made.quotes[1].ask
    assert made.natural_credit == natural
    assert made.max_loss_usd == dollars(Decimal(5) - made.floor_credit, made.contracts)


def test_an_odd_size_is_counted_in_dollars_once() -> None:
    account = replace(QUIET, equity=Decimal(300_000))
    made = offer(account=account, limits=RiskLimits())
    assert made.contracts == 7
    assert made.max_loss_usd == made.contracts * 100 * (5 - made.floor_credit)
    assert made.max_profit_usd == made.contracts * 100 * made.target_credit


@pytest.mark.parametrize(("allowed", "offers"), [(0, 0), (1, 1), (2, 2), (3, 3)])
def test_a_chain_of_offers_ends(allowed: int, offers: int) -> None:
    approval = ApprovalTerms(requotes=allowed)
    chain = [recommendation()]
    while (found := offered(chain[-1], approval=approval)).recommendation is not None:
        chain.append(found.recommendation)
        assert len(chain) < 10
    assert found.refusal is not None
    assert found.refusal.code is RequoteCode.REQUOTED_OFTEN_ENOUGH
    assert len(chain) - 1 == offers
    assert [requotes_before(one.id) for one in chain] == list(range(offers + 1))
    assert [one.requotes for one in chain[1:]] == [one.id for one in chain[:-1]]


def test_an_offer_has_one_id_however_often_it_is_made() -> None:
    lapsed = recommendation()
    assert requote_id(lapsed.id) == requote_id(lapsed.id) == offer().id
    assert requote_id(f"{lapsed.id}-q9") == f"{lapsed.id}-q10"


def test_every_gate_is_asked_again() -> None:
    found = offered(account=replace(QUIET, unknown_orders={"XYZ": ("o-1",)}))
    assert found.recommendation is None
    assert found.refusal is not None
    assert (found.refusal.code, found.refusal.value) == (
        ProposalCode.GATES_FAILED,
        "unknown_order_on_underlying",
    )


def test_a_market_that_pays_nothing_any_more_is_not_offered() -> None:
    quotes = market()
    quotes["bid"], quotes["ask"] = 1.00, 1.02
    refusal = offered(quotes=quotes).refusal
    assert refusal is not None
    assert refusal.code is ProposalCode.CREDIT_BELOW_ONE_TICK


def test_a_market_that_pays_more_than_the_width_is_not_offered() -> None:
    quotes = market()
    long_leg = quotes["symbol"] == recommendation().structure.symbols[1]
    quotes.loc[~long_leg, ["bid", "ask"]] = np.array([7.50, 7.60])
    refusal = offered(quotes=quotes).refusal
    assert refusal is not None
    assert refusal.code is ProposalCode.CREDIT_EXCEEDS_WIDTH


def test_a_leg_without_volatility_is_not_offered() -> None:
    """A price below what the option is worth at once: no number is made up for it."""
    quotes = market()
    long_leg = quotes["symbol"] == recommendation().structure.symbols[1]
    quotes.loc[long_leg, ["bid", "ask"]] = np.array([0.0, 0.0])
    refusal = offered(quotes=quotes).refusal
    assert refusal is not None
    assert refusal.code is RequoteCode.LEG_WITHOUT_VOLATILITY
    assert refusal.context == {"symbol": recommendation().structure.symbols[1]}


@pytest.mark.parametrize(
    ("codes", "moved"),
    [
        ([LapseCode.UNDERLYING_MOVED], True),
        ([LapseCode.CREDIT_BELOW_FLOOR, LapseCode.UNDERLYING_MOVED], True),
        ([LapseCode.CREDIT_ABOVE_BAND], True),
        ([], False),
        ([LapseCode.EXPIRED], False),
        ([LapseCode.UNDERLYING_MOVED, LapseCode.EXPIRED], False),
        ([LapseCode.UNDERLYING_MOVED, LapseCode.GATE_FAILED], False),
        ([LapseCode.QUOTE_NOT_USABLE], False),
    ],
)
def test_only_a_moved_market_asks_anew(codes: list[LapseCode], moved: bool) -> None:
    assert market_moved([Refusal(code) for code in codes]) is moved


def test_a_negative_number_of_offers_is_refused() -> None:
    with pytest.raises(BadInput, match="requotes"):
        ApprovalTerms(requotes=-1)


def test_ids_of_offers_and_edits_never_meet() -> None:
    """An edit begins a new row of offers; a hash that ends in digits is no number of either."""
    first = "r-260112-mo-abcdef12"
    offered, changed = successor_ids(first)
    assert (offered, changed) == (f"{first}-q1", f"{first}-x1")
    assert (edit_id(changed), requote_id(changed)) == (f"{first}-x2", f"{first}-x1-q1")
    assert (edit_id(offered), requote_id(f"{offered}-x1")) == (f"{first}-q1-x1", f"{offered}-x1-q1")
    assert [requotes_before(one) for one in (first, offered, f"{offered}-x1")] == [0, 1, 0]
