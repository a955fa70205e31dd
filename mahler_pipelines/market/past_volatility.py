"""The volatility of past sessions: from stored chains, where there are none from option bars."""

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Final

import numpy as np
import pandas as pd

from mahler_pipelines.market.chains import Scan
from mahler_pipelines.market.data import MarketData
from mahler_pipelines.market.fetching import fetch_each
from mahler_pipelines.market.implied import implied_volatilities
from mahler_pipelines.market.iv_history import (
    FURTHEST_DAYS,
    historical_constant_maturity,
    near_money_symbols,
)
from mahler_pipelines.market.lake import Lake
from mahler_pipelines.market.rates import RateCurve, rate_curve
from mahler_pipelines.market.sessions import TradingCalendar
from mahler_pipelines.market.term_structure import MINIMUM_DAYS, atm_volatility, term_slope
from mahler_pipelines.market.volatility_history import (
    HistorySource,
    best_known,
    conform_history,
    empty_history,
)

ARCHIVE_QUOTES: Final = "archive_quotes"
"""The lake's table of ingested chains, one partition a session."""

MATURITY_DAYS: Final = 30
"""Maturity of the history's volatility, in calendar days."""

_FURTHEST_CHAIN_DAYS: Final = 150
_FURTHEST_FROM_THE_MONEY: Final = 0.25
_KEYS = ["underlying", "session"]


@dataclass(frozen=True, slots=True)
class PastMarket:
    """Where past sessions can be looked up: own snapshots, ingested chains and rates, the market.

    `rates` is the reference table of that name, perhaps empty; `flat_rate`, continuous, stands in
    where it has none.
    """

    seen: Lake
    archive: Lake
    market_data: MarketData
    rates: pd.DataFrame
    flat_rate: float
    calendar: TradingCalendar = field(default_factory=TradingCalendar)

    def curve(self, session: date) -> RateCurve:
        """Return the rates that were known on the morning of a session."""
        return rate_curve(self.rates, as_of=session, flat=self.flat_rate)

    def chain(self, session: date) -> tuple[pd.DataFrame, datetime, HistorySource] | None:
        """Return the session's last stored quotes, their moment and source; None without any."""
        for scan in reversed(Scan):
            if self.seen.has("option_chains", session=session, scan=scan.value):
                shot = self.seen.snapshot(session=session, scan=scan.value)
                return shot.quotes, shot.as_of, HistorySource.SCAN
        if self.archive.has(ARCHIVE_QUOTES, session=session):
            quotes = self.archive.read(ARCHIVE_QUOTES, session=session)
            at = self.calendar.scan_time(session, Scan.CLOSE) or self.calendar.close(session)
            return quotes, at, HistorySource.ARCHIVE
        return None


def past_volatilities(missing: pd.DataFrame, past: PastMarket, bars: pd.DataFrame) -> pd.DataFrame:
    """Return the history (`HISTORY_COLUMNS`) of these underlyings and sessions, a row for each.

    What stored chains do not know is computed from daily closes of the contracts near the money
    and near 30 days; where the market has none either the source is `none` and the volatility
    NaN. `missing` has underlying and session, `bars` `market.data.BAR_COLUMNS` over the sessions.
    """
    found = _from_chains(missing, past)
    seen = pd.MultiIndex.from_frame(found[_KEYS])
    left = missing[~pd.MultiIndex.from_frame(missing[_KEYS]).isin(seen)]
    groups = {str(name): of_one for name, of_one in left.groupby("underlying", sort=True)}
    closes = fetch_each(lambda name: _from_option_bars(groups[name], past, bars), list(groups))
    nothing = conform_history(missing.assign(source=HistorySource.NONE.value))
    return best_known(found, *closes, nothing)


def session_volatility(valued: pd.DataFrame) -> pd.DataFrame:
    """Return underlying, implied_volatility and term_slope of one valued chain.

    `valued` is what `implied_volatilities` returns; definitions as in `HISTORY_COLUMNS`.
    """
    found = term_slope(atm_volatility(valued))
    named = found.rename(columns={"near_volatility": "implied_volatility"})
    return named[["underlying", "implied_volatility", "term_slope"]]


def _from_chains(missing: pd.DataFrame, past: PastMarket) -> pd.DataFrame:
    parts = []
    for stamp, of_one in missing.groupby("session", sort=True):
        session = pd.Timestamp(str(stamp)).date()
        stored = past.chain(session)
        if stored is None:
            continue
        quotes, as_of, source = stored
        near = _near_the_money(quotes[quotes["underlying"].isin(of_one["underlying"])], session)
        valued = implied_volatilities(
            near,
            as_of=as_of,
            rates=past.curve(session),
            dividend_yields={},
            calendar=past.calendar,
        )
        found = session_volatility(valued)
        parts.append(_known(found.assign(session=stamp), source))
    return pd.concat([empty_history(), *parts], ignore_index=True)


def _known(found: pd.DataFrame, source: HistorySource) -> pd.DataFrame:
    return conform_history(found[found["implied_volatility"].notna()].assign(source=source.value))


def _near_the_money(quotes: pd.DataFrame, session: date) -> pd.DataFrame:
    """The part of a chain that the volatilities of a history rest on."""
    days = (quotes["expiration"] - pd.Timestamp(session)).dt.days
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = np.abs(np.log(quotes["strike"] / quotes["underlying_price"]))
    kept = days.between(MINIMUM_DAYS, _FURTHEST_CHAIN_DAYS) & (distance <= _FURTHEST_FROM_THE_MONEY)
    return quotes[kept].reset_index(drop=True)


def _from_option_bars(missing: pd.DataFrame, past: PastMarket, bars: pd.DataFrame) -> pd.DataFrame:
    """One underlying's sessions for which its market has closes of shares and options."""
    underlying = str(missing["underlying"].iloc[0])
    days = [stamp.date() for stamp in missing["session"]]
    shares = bars[(bars["underlying"] == underlying) & bars["session"].isin(missing["session"])]
    if shares.empty:
        return empty_history()
    contracts = _listed(underlying, days, past.market_data)
    chosen = near_money_symbols(contracts, shares, sessions=days, days=MATURITY_DAYS)
    if chosen.empty:
        return empty_history()
    closes = _closes(chosen, past.market_data)
    if closes.empty:
        return empty_history()
    found = historical_constant_maturity(
        closes,
        contracts,
        shares,
        rates=past.curve,
        days=float(MATURITY_DAYS),
        calendar=past.calendar,
    )
    return _known(found, HistorySource.OPTION_BARS)


def _closes(chosen: pd.DataFrame, market_data: MarketData) -> pd.DataFrame:
    """Closes of the contracts in the sessions they were chosen for.

    A contract's bars run through its life, of which some weeks are wanted: contracts are asked for
    by the month they expire in, each month for its own sessions only.
    """
    months = chosen.groupby(chosen["expiration"].dt.to_period("M"), sort=True)
    found = [
        market_data.option_daily_bars(
            sorted(of_month["symbol"].unique()),
            start=of_month["session"].min().date(),
            end=of_month["session"].max().date(),
        )
        for _, of_month in months
    ]
    closes = pd.concat(found, ignore_index=True)
    return closes.merge(chosen[["symbol", "session"]], on=["symbol", "session"])


def _listed(underlying: str, days: list[date], market_data: MarketData) -> pd.DataFrame:
    """Contracts, expired ones too, that may have been near 30 days on one of these days."""
    first, last = min(days), max(days) + timedelta(days=FURTHEST_DAYS)
    listed = [
        market_data.listed_contracts(underlying, expires_from=first, expires_to=last, active=active)
        for active in (True, False)
    ]
    return pd.concat(listed, ignore_index=True).drop_duplicates("symbol")
