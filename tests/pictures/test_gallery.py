"""Pictures of the desk's own tables: drawn from real values, and a word where there is nothing."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from mahler_pipelines.market.brackets import floats
from mahler_pipelines.options.european import price
from mahler_pipelines.pictures import gallery
from mahler_pipelines.pictures.gallery import (
    equity_picture,
    payoff_picture,
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


def test_a_structure_on_its_last_day_can_be_drawn() -> None:
    assert is_picture(payoff_picture(replace(recommendation(), dte=0), rate=0.04))
