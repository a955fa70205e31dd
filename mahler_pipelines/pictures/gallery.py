"""Pictures of the desk's own tables, as markdown for asset metadata."""

from collections.abc import Sequence
from types import ModuleType

import numpy as np
import pandas as pd

from mahler_pipelines.decisions.recommendation import Recommendation
from mahler_pipelines.options import american, european
from mahler_pipelines.options.contracts import (
    SHARES_PER_CONTRACT,
    ExerciseStyle,
    exercise_style,
)
from mahler_pipelines.options.european import DAYS_PER_YEAR, probability_below
from mahler_pipelines.pictures.equity_curve import equity_curve
from mahler_pipelines.pictures.markdown import NOTHING, embed_png
from mahler_pipelines.pictures.payoff import Band, PayoffCurve, payoff
from mahler_pipelines.pictures.ranks import ranks
from mahler_pipelines.review.performance import DailyPerformance

POINTS = 161
SIGMAS = ((1.0, 0.6827), (2.0, 0.9545))
"""Standard deviations of the log price at expiry, and the probability of ending within them."""


def rank_picture(ranked: pd.DataFrame, *, threshold: float | None = None) -> str:
    """IV ranks of all underlyings, highest first."""
    if ranked.empty:
        return NOTHING
    values = dict(zip(ranked["underlying"], ranked["iv_rank"].astype("float64"), strict=True))
    return embed_png(ranks(values, threshold=threshold), "IV ranks")


def equity_picture(history: Sequence[DailyPerformance]) -> str:
    """The equity curve so far."""
    png = equity_png(history)
    return NOTHING if png is None else embed_png(png, "equity")


def equity_png(history: Sequence[DailyPerformance]) -> bytes | None:
    """The equity curve so far as a PNG; None without a session."""
    if not history:
        return None
    return equity_curve([row.session for row in history], [float(row.equity) for row in history])


def payoff_picture(shown: Recommendation, *, rate: float) -> str:
    """Payoff of a recommendation; a word where `payoff_png` draws nothing."""
    png = payoff_png(shown, rate=rate)
    return NOTHING if png is None else embed_png(png, f"payoff of {shown.id}")


def payoff_png(shown: Recommendation, *, rate: float) -> bytes | None:
    """Payoff of a recommendation at expiry and today, in dollars for all its contracts, as a PNG.

    Behind it, where the price may end: the bands that hold one and two standard deviations. Nothing
    is drawn where a leg has no volatility: today's value would be a guess.
    """
    if not all(np.isfinite(quote.implied_volatility) for quote in shown.quotes):
        return None
    return payoff(
        f"{shown.contracts} x {shown.underlying} {shown.strategy.replace('_', ' ')}",
        _curve(shown, rate=rate),
        spot=float(shown.underlying_price),
        breakevens=[float(point) for point in shown.breakevens],
        probability_of_profit=shown.probability_of_profit,
        subtitle=f"{shown.structure.expiration:%d %b %Y}, {shown.dte} days, "
        f"credit {shown.target_credit} to {shown.floor_credit}",
    )


def _model(root: str) -> ModuleType:
    return american if exercise_style(root) is ExerciseStyle.AMERICAN else european


def _curve(shown: Recommendation, *, rate: float) -> PayoffCurve:
    spot, years = float(shown.underlying_price), shown.dte / DAYS_PER_YEAR
    volatilities = {quote.symbol: quote.implied_volatility for quote in shown.quotes}
    level = float(np.mean(list(volatilities.values())))
    reach = 3.0 * level * np.sqrt(max(years, 1 / DAYS_PER_YEAR))
    strikes = [float(leg.contract.strike) for leg in shown.structure.legs]
    low = min(spot * np.exp(-reach), 0.97 * min(strikes))
    high = max(spot * np.exp(reach), 1.03 * max(strikes))
    # With the strikes among them the corners are sharp.
    prices = np.union1d(np.linspace(low, high, POINTS), strikes)
    today = sum(
        leg.signed_ratio
        * _model(leg.contract.root).price(
            right=int(leg.contract.right),
            spot=prices,
            strike=float(leg.contract.strike),
            years=years,
            rate=rate,
            dividend_yield=0.0,
            volatility=volatilities[leg.contract.symbol],
        )
        for leg in shown.structure.legs
    )
    below = probability_below(
        spot=spot, level=prices, years=years, rate=rate, dividend_yield=0.0, volatility=level
    )
    deviation = level * np.sqrt(years)
    drift = rate * years - deviation**2 / 2
    credit, size = float(shown.entry_floor), shown.contracts * SHARES_PER_CONTRACT
    return PayoffCurve(
        prices=prices,
        expiry_usd=(shown.structure.payoff(prices) + credit) * size,
        today_usd=(today + credit) * size,
        density=np.gradient(below, prices),
        cone=tuple(
            Band(
                share=share,
                low=spot * np.exp(drift - sigmas * deviation),
                high=spot * np.exp(drift + sigmas * deviation),
            )
            for sigmas, share in SIGMAS
        ),
    )
