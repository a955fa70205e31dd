"""Pictures of the desk's own tables: drawn from real values, and a word where there is nothing."""

import base64
from dataclasses import replace
from datetime import date
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from mahler_pipelines.market.brackets import floats
from mahler_pipelines.options.european import price, probability_below
from mahler_pipelines.pictures import gallery
from mahler_pipelines.pictures.gallery import (
    equity_picture,
    equity_png,
    payoff_picture,
    payoff_png,
    rank_picture,
)
from mahler_pipelines.pictures.markdown import NOTHING
from tests.decisions.cases import recommendation
from tests.review.test_cash import row


def is_picture(markdown: str) -> bool:
    return markdown.startswith("![") and "base64" in markdown


def test_ranks_are_drawn_also_where_some_or_all_are_missing() -> None:
    ranked = pd.DataFrame({"underlying": ["AAA", "BBB"], "iv_rank": [40.0, np.nan]})
    assert is_picture(rank_picture(ranked, threshold=25.0))
    assert is_picture(rank_picture(ranked.assign(iv_rank=np.nan)))
    assert rank_picture(ranked.iloc[:0]) == NOTHING


def test_equity_is_drawn_from_the_first_day_on() -> None:
    assert equity_picture([]) == NOTHING
    first = replace(row(date(2026, 1, 12), "0"), equity=Decimal("100000.00"))
    second = replace(first, session=date(2026, 1, 13), equity=Decimal("100123.45"))
    assert is_picture(equity_picture([first]))
    assert is_picture(equity_picture([first, second]))


def test_a_recommendation_has_a_payoff() -> None:
    assert is_picture(payoff_picture(recommendation(), rate=0.04))


def test_the_payoff_is_in_dollars_for_all_contracts() -> None:
    """Loss and profit at the ends of the curve are those on the card."""
    shown = recommendation()
    curve = gallery._curve(shown, rate=0.0)
    assert curve.today_usd is not None
    expiry, today = floats(curve.expiry_usd), floats(curve.today_usd)
    prices = floats(curve.prices)
    assert expiry.min() == pytest.approx(-float(shown.max_loss_usd))
    assert expiry.max() == pytest.approx(float(shown.floor_credit) * 100 * shown.contracts)
    short, long = shown.structure.legs
    at = int(np.argmin(np.abs(prices - 100.0)))
    legs = [
        float(
            price(
                right=-1,
                spot=prices[at],
                strike=float(leg.contract.strike),
                years=shown.dte / 365,
                rate=0.0,
                dividend_yield=0.0,
                volatility=quote.implied_volatility,
            )
        )
        for leg, quote in zip((short, long), shown.quotes, strict=True)
    ]
    expected = (legs[1] - legs[0] + float(shown.floor_credit)) * 100 * shown.contracts
    assert today[at] == pytest.approx(expected)


def test_a_leg_without_a_volatility_has_no_picture() -> None:
    """A curve of today from half the legs would be a guess."""
    shown = recommendation()
    blind = replace(shown.quotes[1], implied_volatility=float("nan"))
    assert payoff_picture(replace(shown, quotes=(shown.quotes[0], blind)), rate=0.04) == NOTHING

    assert payoff_png(replace(shown, quotes=(shown.quotes[0], blind)), rate=0.04) is None


@pytest.mark.parametrize("rate", [0.0, 0.05])
def test_the_cone_holds_the_shares_that_it_names(rate: float) -> None:
    """One and two standard deviations of the log price, under the same law as the density."""
    shown = recommendation()
    level = float(np.mean([quote.implied_volatility for quote in shown.quotes]))
    cone = gallery._curve(shown, rate=rate).cone
    assert [round(band.share, 2) for band in cone] == [0.68, 0.95]
    for band in cone:
        low, high = probability_below(
            spot=float(shown.underlying_price),
            level=np.array([band.low, band.high]),
            years=shown.dte / 365,
            rate=rate,
            dividend_yield=0.0,
            volatility=level,
        )
        assert high - low == pytest.approx(band.share, abs=1e-4)


def test_a_card_and_the_metadata_show_the_same_picture() -> None:
    png = payoff_png(recommendation(), rate=0.04)
    assert png is not None
    assert base64.b64encode(png).decode() in payoff_picture(recommendation(), rate=0.04)
    history = [replace(row(date(2026, 1, 12), "0"), equity=Decimal(100_000))]
    curve = equity_png(history)
    assert curve is not None
    assert base64.b64encode(curve).decode() in equity_picture(history)
    assert equity_png([]) is None


def test_a_structure_on_its_last_day_can_be_drawn() -> None:
    assert is_picture(payoff_picture(replace(recommendation(), dte=0), rate=0.04))
