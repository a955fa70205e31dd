"""Daily option bars of many contracts at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.extensions import ExtensionArray

from mahler_pipelines.exchange.simulated.activity import Activity
from mahler_pipelines.exchange.simulated.chain import Chains
from mahler_pipelines.exchange.simulated.contracts import Contracts, contract_codes
from mahler_pipelines.exchange.simulated.horizon import STEPS, Horizon
from mahler_pipelines.exchange.simulated.intraday import Intraday
from mahler_pipelines.exchange.simulated.listing import Listing
from mahler_pipelines.exchange.simulated.randomness import IntArray
from mahler_pipelines.exchange.simulated.universe import NUMBER_OF
from mahler_pipelines.exchange.simulated.valuation import Instants
from mahler_pipelines.options.contracts import OptionContract, parse_occ

OPTION_BARS = ("symbol", "session", "open", "high", "low", "close", "volume")


@dataclass(frozen=True, slots=True, eq=False)
class _Days:
    """Contract-days of one name: which asked symbol, which session, and the contract."""

    asked: IntArray
    session: IntArray
    contracts: Contracts


class OptionHistory:
    """Option bars of one seed."""

    def __init__(
        self,
        *,
        horizon: Horizon,
        intraday: Intraday,
        listing: Listing,
        activity: Activity,
        chains: Chains,
    ) -> None:
        self._horizon = horizon
        self._intraday = intraday
        self._listing = listing
        self._activity = activity
        self._chains = chains

    def bars(self, symbols: Sequence[str], first: int, last: int) -> pd.DataFrame:
        """Return bars of the sessions first to last (without) on which a contract traded.

        Unknown contracts are left out; raises `MalformedSymbol` for what is no OCC symbol.
        """
        frames = []
        for name, rows in self._by_name(symbols).items():
            days = self._contract_days(name, rows, first, last)
            if len(days.session):
                frames.append(self._name_bars(name, days))
        if not frames:
            return _frame(np.empty(0, dtype=np.int64), pd.array([], dtype="str"), {})
        numbers = {key: np.concatenate([each[key] for each in frames]) for key in frames[0]}
        asked, session = numbers.pop("asked"), numbers.pop("session")
        order = np.lexsort((session, asked))
        days_of = self._horizon.days[session[order]]
        ordered = {key: values[order] for key, values in numbers.items()}
        return _frame(days_of, pd.array(list(symbols), dtype="str").take(asked[order]), ordered)

    def _by_name(self, symbols: Sequence[str]) -> dict[int, list[tuple[int, OptionContract]]]:
        rows: dict[int, list[tuple[int, OptionContract]]] = {}
        for asked, symbol in enumerate(symbols):
            contract = parse_occ(symbol)
            name = NUMBER_OF.get(contract.root)
            if name is not None:
                rows.setdefault(name, []).append((asked, contract))
        return rows

    def _contract_days(
        self, name: int, rows: list[tuple[int, OptionContract]], first: int, last: int
    ) -> _Days:
        """Every listed session in the range of every known contract."""
        asked, found = self._known_contracts(name, rows)
        begin = np.maximum(found.first_session, first)
        days = np.maximum(np.minimum(found.expiry + 1, last) - begin, 0)
        row = np.repeat(np.arange(len(found)), days)
        within = np.arange(len(row)) - np.repeat(np.cumsum(days) - days, days)
        return _Days(asked=asked[row], session=begin[row] + within, contracts=found.take(row))

    def _known_contracts(
        self, name: int, rows: list[tuple[int, OptionContract]]
    ) -> tuple[IntArray, Contracts]:
        by_day: dict[date, list[tuple[int, OptionContract]]] = {}
        for asked, contract in rows:
            by_day.setdefault(contract.expiration, []).append((asked, contract))
        positions: list[int] = []
        parts = []
        for day, group in by_day.items():
            expiration = self._listing.expiration(self._horizon.calendar_index(day))
            if expiration is None:
                continue
            listed = self._listing.contracts(name, expiration)
            row_of = {code: row for row, code in enumerate(listed.code.tolist())}
            right = np.array([contract.right for _, contract in group], dtype=np.int64)
            strike = np.array([float(contract.strike) for _, contract in group])
            expiry = np.full(len(group), expiration.session)
            codes = contract_codes(name, expiry, right, strike).tolist()
            rows_found = [row_of.get(code, -1) for code in codes]
            positions += [each[0] for each, r in zip(group, rows_found, strict=True) if r >= 0]
            parts.append(listed.take(np.array([r for r in rows_found if r >= 0], dtype=np.int64)))
        found = Contracts.joined(parts) if parts else Contracts.none()
        return np.array(positions, dtype=np.int64), found

    def _name_bars(self, name: int, days: _Days) -> dict[str, NDArray[np.generic]]:
        volume = self._activity.volume(name, days.contracts, days.session)
        traded = np.flatnonzero(volume > 0)
        contracts, session = days.contracts.take(traded), days.session[traded]
        visited, row = np.unique(session, return_inverse=True)
        moments = self._day_moments(name, visited)
        mids = []
        for at in (moments.opening, moments.closing):
            bid, ask = self._chains.two_sided(name, at.take(row), contracts)
            mids.append(0.5 * (bid + ask))
        extremes = [
            np.round(self._chains.model_values(name, at.take(row), contracts), 2)
            for at in (moments.low, moments.high)
        ]
        seen = np.stack([*mids, *extremes])
        return {
            "asked": days.asked[traded],
            "session": session,
            "open": mids[0],
            "high": seen.max(axis=0),
            "low": seen.min(axis=0),
            "close": mids[1],
            "volume": volume[traded],
        }

    def _day_moments(self, name: int, sessions: IntArray) -> "_DayMoments":
        prices = self._intraday.prices(name, sessions)
        opening = self._intraday.opening_variances(name, sessions)
        closing = self._intraday.closing_variances(name, sessions)
        opens, closes = self._horizon.opens[sessions], self._horizon.closes[sessions]
        rows = np.arange(len(sessions))

        def at(step: IntArray) -> Instants:
            share = step / STEPS
            return Instants(
                session=sessions,
                step=step,
                seconds=opens + share * (closes - opens),
                spot=prices[rows, step],
                variance=opening + share * (closing - opening),
            )

        return _DayMoments(
            opening=at(np.zeros(len(rows), dtype=np.int64)),
            closing=at(np.full(len(rows), STEPS)),
            low=at(prices.argmin(axis=1)),
            high=at(prices.argmax(axis=1)),
        )


@dataclass(frozen=True, slots=True, eq=False)
class _DayMoments:
    """Four moments of each session, volatility in between interpolated."""

    opening: Instants
    closing: Instants
    low: Instants
    high: Instants


def _frame(
    days: IntArray, symbols: ExtensionArray, numbers: dict[str, NDArray[np.generic]]
) -> pd.DataFrame:
    columns = {name: numbers.get(name, np.empty(0)) for name in OPTION_BARS[2:]}
    sessions = days.astype("datetime64[D]").astype("datetime64[us]")
    return pd.DataFrame({"symbol": symbols, "session": sessions, **columns})
