"""A volatility history before the desk has one: from daily closes of options near the money."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mahler_pipelines.market.american_forwards import american_forwards
from mahler_pipelines.market.brackets import Floats, floats
from mahler_pipelines.market.forwards import ChainArrays
from mahler_pipelines.market.implied import (
    SECONDS_PER_YEAR,
    expires_at,
    group_codes,
    is_american,
    value_columns,
)
from mahler_pipelines.market.rates import RateCurve
from mahler_pipelines.market.sessions import TradingCalendar
from mahler_pipelines.market.term_structure import (
    MINIMUM_DAYS,
    atm_volatility,
    constant_maturity_volatility,
)
from mahler_pipelines.options.contracts import underlying_of

FURTHEST_DAYS: Final = 65
"""Expirations beyond this are not asked for."""

_DAY: Final = np.timedelta64(1, "D")


def near_money_symbols(
    contracts: pd.DataFrame,
    stock_bars: pd.DataFrame,
    *,
    sessions: Sequence[date],
    days: int = 30,
    strikes_each_side: int = 2,
) -> pd.DataFrame:
    """Choose the few contracts whose closes give a constant-maturity volatility.

    Per underlying and session: the last expiration within 7 to `days` days and the first one
    after, up to 65 days, and in each the strikes around the share's close. `contracts` has symbol,
    root, expiration, right and strike, `stock_bars` underlying, session and close. Returns
    underlying, session, symbol, expiration, right and strike, one row per contract and session;
    sessions without a share bar have no rows.
    """
    listed = contracts.assign(underlying=_underlyings(contracts["root"]))
    wanted = pd.to_datetime(pd.Series(list(sessions), dtype="datetime64[us]"))
    bars = stock_bars[stock_bars["session"].isin(wanted)]
    chosen = [
        _near_money_of(listed[listed["underlying"] == underlying], of_one, days, strikes_each_side)
        for underlying, of_one in bars.groupby("underlying", sort=True)
    ]
    columns = ["underlying", "session", "symbol", "expiration", "right", "strike"]
    filled = [frame for frame in chosen if len(frame)]
    if not filled:
        return listed.assign(session=pd.Series(dtype="datetime64[us]"))[columns].iloc[:0]
    return pd.concat(filled, ignore_index=True)[columns].sort_values(
        ["underlying", "session", "expiration", "strike", "right"], ignore_index=True
    )


def historical_constant_maturity(
    option_bars: pd.DataFrame,
    contracts: pd.DataFrame,
    stock_bars: pd.DataFrame,
    *,
    rates: Callable[[date], RateCurve],
    calendar: TradingCalendar,
    days: float = 30.0,
    dividend_yields: Mapping[str, float] | None = None,
) -> pd.DataFrame:
    """Return the constant-maturity volatility per underlying and session from daily closes.

    Closes of options and shares are not of one moment; averaging call and put at each strike takes
    most of that out. They count as of the session's close, early or not, at the rates that `rates`
    says were known then. Frames as in `near_money_symbols`, `option_bars` with symbol, session and
    close. One row per session with option closes, columns as `constant_maturity_volatility`.
    """
    terms = contracts[["symbol", "root", "expiration", "right", "strike"]]
    rows = option_bars[["symbol", "session", "close"]].merge(terms, on="symbol")
    rows["underlying"] = _underlyings(rows["root"])
    shares = stock_bars[["underlying", "session", "close"]]
    rows = rows.merge(shares.rename(columns={"close": "spot"}), on=["underlying", "session"])
    group, first, terms = group_codes(rows[["session", "underlying", "root", "expiration"]])
    closes = floats(rows["close"])
    years = _years(terms, calendar)
    chain = ChainArrays(
        group=group,
        right=floats(rows["right"]),
        strike=floats(rows["strike"]),
        price=closes,
        usable=closes > 0,
        spot=floats(rows["spot"])[first],
        years=years,
        rate=_rates(terms, years, rates),
        carry_yield=floats(terms["underlying"].map(dict(dividend_yields or {}))),
        american=is_american(terms["root"]),
    )
    implied = american_forwards(chain, minimum_pairs=1)
    valued = value_columns(chain, implied, with_greeks=False)
    rows = rows.assign(**valued, quote_defect="")
    return constant_maturity_volatility(atm_volatility(rows), days=days)


def _years(terms: pd.DataFrame, calendar: TradingCalendar) -> Floats:
    """Years from each session's close to the moment its expiration settles."""
    closes = {day: calendar.close(day.date()).timestamp() for day in terms["session"].unique()}
    listed = pd.MultiIndex.from_frame(terms[["root", "expiration"]])
    ends = {
        (root, day): expires_at(root, day.date(), calendar=calendar).timestamp()
        for root, day in listed.unique()
    }
    closed = floats([closes[day] for day in terms["session"]])
    return (floats([ends[pair] for pair in listed]) - closed) / SECONDS_PER_YEAR


def _rates(terms: pd.DataFrame, years: Floats, rates: Callable[[date], RateCurve]) -> Floats:
    """The rate of each expiration's time, as it was known on its session."""
    found = np.empty(years.size)
    for session, rows in terms.groupby("session").indices.items():
        found[rows] = rates(pd.Timestamp(str(session)).date()).rate(years[rows])
    return found


def _underlyings(roots: "pd.Series[str]") -> "pd.Series[str]":
    return roots.map({root: underlying_of(root) for root in roots.unique()}).astype("str")


def _near_money_of(
    listed: pd.DataFrame, bars: pd.DataFrame, days: int, each_side: int
) -> pd.DataFrame:
    """Choose for one underlying; loops over expirations, never over contracts."""
    expirations = np.unique(listed["expiration"].to_numpy(dtype="datetime64[D]"))
    sessions = bars["session"].to_numpy(dtype="datetime64[D]")
    spots = floats(bars["close"])
    left = (expirations[None, :] - sessions[:, None]) / _DAY
    wanted = _nearest(left, (left >= MINIMUM_DAYS) & (left <= days), latest=True)
    wanted |= _nearest(left, (left > days) & (left <= FURTHEST_DAYS), latest=False)
    by_expiration = dict(tuple(listed.groupby("expiration")))
    chosen = []
    for column, expiration in enumerate(expirations):
        at = np.flatnonzero(wanted[:, column])
        if not at.size:
            continue
        contracts = by_expiration[pd.Timestamp(expiration)]
        strikes = np.unique(floats(contracts["strike"]))
        place = np.searchsorted(strikes, spots[at])
        around = place[:, None] + np.arange(-each_side, each_side)[None, :]
        inside = (around >= 0) & (around < strikes.size)
        session_rows = np.repeat(at, inside.sum(axis=1))
        picks = pd.DataFrame(
            {"session": bars["session"].to_numpy()[session_rows], "strike": strikes[around[inside]]}
        )
        chosen.append(picks.merge(contracts, on="strike"))
    return pd.concat(chosen, ignore_index=True) if chosen else listed.iloc[:0]


def _nearest(
    left: NDArray[np.float64], allowed: NDArray[np.bool_], *, latest: bool
) -> NDArray[np.bool_]:
    if not left.shape[1]:
        return np.zeros_like(allowed)
    pick = np.where(allowed, left if latest else -left, -np.inf).argmax(axis=1)
    picked = np.zeros_like(allowed)
    picked[np.arange(len(left)), pick] = True
    return picked & allowed
