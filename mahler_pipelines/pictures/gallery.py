"""Pictures of the desk's own tables, as markdown for asset metadata."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd

from mahler_pipelines.decisions.recommendation import Recommendation
from mahler_pipelines.market.term_structure import atm_volatility
from mahler_pipelines.options.contracts import SHARES_PER_CONTRACT
from mahler_pipelines.options.european import DAYS_PER_YEAR, price, probability_below
from mahler_pipelines.pictures.equity_curve import equity_curve
from mahler_pipelines.pictures.markdown import embed_png
from mahler_pipelines.pictures.payoff import PayoffCurve, payoff
from mahler_pipelines.pictures.ranks import ranks
from mahler_pipelines.pictures.smile import SmileLine, smile
from mahler_pipelines.pictures.term_structure import term_structure
from mahler_pipelines.review.performance import DailyPerformance

NOTHING = "nothing to draw"
SHOWN_EXPIRATIONS = 3
POINTS = 161


def smile_picture(valued: pd.DataFrame, *, as_of: datetime) -> str:
    """Smiles of the underlying with most volatilities, at its expirations nearest 30 days.

    `valued` is a chain with implied volatilities; out-of-the-money quotes are drawn.
    """
    usable = _usable(valued)
    if usable.empty:
        return NOTHING
    name = str(usable["underlying"].value_counts().index[0])
    own = usable[usable["underlying"] == name]
    away = (own["expiration"] - _day(as_of) - timedelta(days=30)).abs()
    wanted = (
        own.assign(away=away).drop_duplicates("expiration").nsmallest(SHOWN_EXPIRATIONS, "away")
    )
    spot = float(own["underlying_price"].median())
    drawn = [_line(own, stamp, spot) for stamp in sorted(wanted["expiration"])]
    lines = [line for line in drawn if np.size(line.strikes)]
    if not lines:
        return NOTHING
    png = smile(name, lines, spot=spot, subtitle=f"mid quotes of {_moment(as_of)}")
    return embed_png(png, f"{name} smile")


def term_structure_picture(valued: pd.DataFrame, *, as_of: datetime) -> str:
    """At-the-money volatility over days to expiry of the same underlying."""
    usable = _usable(valued)
    if usable.empty:
        return NOTHING
    name = str(usable["underlying"].value_counts().index[0])
    atm = atm_volatility(valued[valued["underlying"] == name]).sort_values("years")
    if not np.isfinite(atm["atm_volatility"]).any():
        return NOTHING
    png = term_structure(
        name,
        atm["years"].to_numpy() * DAYS_PER_YEAR,
        atm["atm_volatility"].to_numpy(),
        subtitle=f"at the money, {_moment(as_of)}",
    )
    return embed_png(png, f"{name} term structure")


def rank_picture(ranked: pd.DataFrame, *, threshold: float | None = None) -> str:
    """IV ranks of all underlyings, highest first."""
    if ranked.empty:
        return NOTHING
    values = dict(zip(ranked["underlying"], ranked["iv_rank"].astype("float64"), strict=True))
    return embed_png(ranks(values, threshold=threshold), "IV ranks")


def equity_picture(history: Sequence[DailyPerformance]) -> str:
    """The equity curve so far."""
    if not history:
        return NOTHING
    png = equity_curve([row.session for row in history], [float(row.equity) for row in history])
    return embed_png(png, "equity")


def payoff_picture(shown: Recommendation, *, rate: float) -> str:
    """Payoff at expiry and today of a recommendation, in dollars for all its contracts.

    Nothing is drawn where a leg has no volatility: today's value would be a guess.
    """
    if not all(np.isfinite(quote.implied_volatility) for quote in shown.quotes):
        return NOTHING
    png = payoff(
        f"{shown.contracts} x {shown.underlying} {shown.strategy.replace('_', ' ')}",
        _curve(shown, rate=rate),
        spot=float(shown.underlying_price),
        breakevens=[float(point) for point in shown.breakevens],
        probability_of_profit=shown.probability_of_profit,
        subtitle=f"{shown.structure.expiration:%d %b %Y}, {shown.dte} days, "
        f"credit {shown.target_credit} to {shown.floor_credit}",
    )
    return embed_png(png, f"payoff of {shown.id}")


def _curve(shown: Recommendation, *, rate: float) -> PayoffCurve:
    spot, years = float(shown.underlying_price), shown.dte / DAYS_PER_YEAR
    volatilities = {quote.symbol: quote.implied_volatility for quote in shown.quotes}
    level = float(np.mean(list(volatilities.values())))
    reach = 3.0 * level * np.sqrt(max(years, 1 / DAYS_PER_YEAR))
    strikes = [float(leg.contract.strike) for leg in shown.structure.legs]
    low = min(spot * np.exp(-reach), 0.97 * min(strikes))
    high = max(spot * np.exp(reach), 1.03 * max(strikes))
    prices = np.linspace(low, high, POINTS)
    today = sum(
        leg.signed_ratio
        * price(
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
    credit, size = float(shown.floor_credit), shown.contracts * SHARES_PER_CONTRACT
    return PayoffCurve(
        prices=prices,
        expiry_usd=(shown.structure.payoff(prices) + credit) * size,
        today_usd=(today + credit) * size,
        density=np.gradient(below, prices),
    )


def _usable(valued: pd.DataFrame) -> pd.DataFrame:
    solved = np.isfinite(valued["implied_volatility"].to_numpy(float))
    clean = (valued["quote_defect"] == "").to_numpy(bool)
    return valued.iloc[np.flatnonzero(solved & clean)]


def _line(own: pd.DataFrame, expiration: pd.Timestamp, spot: float) -> SmileLine:
    rows = own[own["expiration"] == expiration]
    outside = rows[(rows["right"] * (rows["strike"] - spot) >= 0)].sort_values("strike")
    return SmileLine(
        expiration=expiration.date(),
        strikes=outside["strike"].to_numpy(),
        implied_volatilities=outside["implied_volatility"].to_numpy(),
    )


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%d %b %Y %H:%M} UTC"


def _day(moment: datetime) -> pd.Timestamp:
    return pd.Timestamp(moment).tz_localize(None).normalize()
