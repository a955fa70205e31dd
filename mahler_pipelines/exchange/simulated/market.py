"""The simulated market: the port `exchange.market.Market` over one seed."""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from math import ceil, floor

import numpy as np
import pandas as pd

from mahler_pipelines.errors import UnknownSession
from mahler_pipelines.exchange.market import SettlementValue, StockQuote
from mahler_pipelines.exchange.simulated.activity import Activity
from mahler_pipelines.exchange.simulated.chain import Chains
from mahler_pipelines.exchange.simulated.contracts import Contracts, occ_symbols
from mahler_pipelines.exchange.simulated.history import OptionHistory
from mahler_pipelines.exchange.simulated.horizon import (
    FIRST_TRADABLE,
    STEPS,
    Moment,
    day_of,
    horizon,
    instant,
)
from mahler_pipelines.exchange.simulated.intraday import Intraday
from mahler_pipelines.exchange.simulated.listing import Listing
from mahler_pipelines.exchange.simulated.paths import daily_paths, dividend_table
from mahler_pipelines.exchange.simulated.randomness import Draw, FloatArray, seed_key, uniforms
from mahler_pipelines.exchange.simulated.universe import NUMBER_OF, UNIVERSE
from mahler_pipelines.market.chains import empty_quotes
from mahler_pipelines.market.data import BAR_COLUMNS

SETTLEMENT_SOURCE = "simulated close"
_QUOTE_AGE_MILLISECONDS = 900.0


class SimulatedMarket:
    """Twenty correlated names with option chains, a pure function of the seed.

    Daily paths of the whole horizon are generated when it is made; everything inside a session is
    computed when it is asked for, and is the same in whatever order it is asked. Outside market
    hours quotes stand as of the last close. Daily bars, expired contracts and settlements answer
    for any session of the horizon: the caller asks for none that lies ahead of its clock.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._key = seed_key(seed)
        self._horizon = horizon()
        self._daily = daily_paths(self._key, self._horizon)
        self._dividends = dividend_table(self._horizon)
        self._intraday = Intraday(self._key, self._daily)
        self._listing = Listing(self._horizon, self._daily)
        self._activity = Activity(self._key, self._daily)
        self._chains = Chains(
            key=self._key,
            horizon=self._horizon,
            listing=self._listing,
            intraday=self._intraday,
            activity=self._activity,
        )
        self._history = OptionHistory(
            horizon=self._horizon,
            intraday=self._intraday,
            listing=self._listing,
            activity=self._activity,
            chains=self._chains,
        )

    @property
    def name(self) -> str:
        """The book this market belongs to."""
        return f"sim-{self._seed}"

    @property
    def underlyings(self) -> tuple[str, ...]:
        """Every underlying, alphabetically."""
        return tuple(name.ticker for name in UNIVERSE)

    @property
    def snapshot_only(self) -> bool:
        """False: any minute of a session can be asked for."""
        return False

    def sessions(self) -> tuple[date, date]:
        """First and last tradable session; more than 252 sessions lie before the first."""
        return FIRST_TRADABLE, day_of(int(self._horizon.days[self._horizon.tradable - 1]))

    def has_session(self, session: date) -> bool:
        """Whether the simulation spans this session, tradable or before."""
        return self._horizon.index(session) is not None

    def snapshot_time(self, session: date) -> datetime:
        """Return the close of a session; raises `UnknownSession` outside the simulation."""
        index = self._horizon.index(session)
        if index is None:
            raise UnknownSession("session", session, "not a session of the simulation")
        return instant(float(self._horizon.closes[index]))

    def quotes(self, underlying: str, when: datetime) -> pd.DataFrame:
        """Return the chain at a moment, columns QUOTE_COLUMNS; empty for an unknown underlying.

        Expirations before the New York date of `when` are gone. Raises `BadInput` for a moment
        without a zone.
        """
        moment, name = self._horizon.locate(when), NUMBER_OF.get(underlying)
        if moment is None or name is None:
            return empty_quotes()
        return self._chains.quotes(name, moment)

    def stock_quote(self, underlying: str, when: datetime) -> StockQuote | None:
        """Return the share quote, or None for an unknown underlying or before the first open."""
        moment, name = self._horizon.locate(when), NUMBER_OF.get(underlying)
        if moment is None or name is None:
            return None
        price = float(self._intraday.session_path(name, moment.session).prices[moment.step])
        half = max(0.005, 0.5 * price * UNIVERSE[name].share_spread)
        words = (np.arange(3), name, moment.session * (STEPS + 1) + moment.step)
        depth, other_depth, age = uniforms(self._key, Draw.SHARE_QUOTE, words)
        opened = float(self._horizon.opens[moment.session])
        milliseconds = floor(moment.seconds * 1e3 - _QUOTE_AGE_MILLISECONDS * age)
        return StockQuote(
            bid=floor(round((price - half) * 100, 4)) / 100,
            ask=ceil(round((price + half) * 100, 4)) / 100,
            bid_size=100 * (1 + int(9 * depth)),
            ask_size=100 * (1 + int(9 * other_depth)),
            last=price,
            time=instant(max(milliseconds / 1e3, opened)),
        )

    def daily_bars(self, underlying: str, start: date, end: date) -> pd.DataFrame:
        """Return daily bars of [start, end], columns BAR_COLUMNS; high and low are the path's."""
        first, last = self._horizon.span(start, end)
        name = NUMBER_OF.get(underlying)
        if name is None:
            first = last = 0
        column = name or 0
        sessions = np.arange(first, last)
        path = self._intraday.prices(column, sessions)
        frame = pd.DataFrame(
            {
                "underlying": pd.Series([underlying] * len(sessions), dtype="str"),
                "session": self._horizon.days[sessions].astype("M8[D]").astype("M8[us]"),
                "open": self._daily.opens[sessions, column],
                "high": path.max(axis=1),
                "low": path.min(axis=1),
                "close": self._daily.closes[sessions, column],
                "volume": self._daily.share_volumes[sessions, column],
            }
        )
        return frame[list(BAR_COLUMNS)]

    def listed_contracts(self, underlying: str, when: datetime) -> pd.DataFrame:
        """Return contracts listed at a moment; `close` is the mid at the last completed close."""
        moment, name = self._horizon.locate(when), NUMBER_OF.get(underlying)
        if moment is None or name is None:
            return self._contract_frame(0, Contracts.none(), np.empty(0), np.empty(0))
        chain = self._chains.listed(name, moment.session, moment.today)
        closes = self._last_closes(name, moment, chain.contracts)
        return self._contract_frame(name, chain.contracts, chain.open_interest, closes)

    def expired_contracts(
        self, underlying: str, expires_from: date, expires_to: date
    ) -> pd.DataFrame:
        """Return all contracts whose expiration lies in the range; interest and close are NaN."""
        first, last = self._horizon.span(expires_from, expires_to)
        name = NUMBER_OF.get(underlying)
        parts = []
        if name is not None:
            expirations = self._listing.between(first, last - 1)
            parts = [self._listing.contracts(name, each) for each in expirations]
        contracts = Contracts.joined(parts) if parts else Contracts.none()
        nothing = np.full(len(contracts), np.nan)
        return self._contract_frame(name or 0, contracts, nothing, nothing)

    def option_daily_bars(self, symbols: Sequence[str], start: date, end: date) -> pd.DataFrame:
        """Return bars of the days on which a contract traded, by symbol as asked and session.

        `close` is the mid at the close; unknown contracts are left out. Raises `MalformedSymbol`.
        """
        first, last = self._horizon.span(start, end)
        return self._history.bars(symbols, first, last)

    def settlement(self, root: str, expiration: date) -> SettlementValue | None:
        """Return the close of the expiration's session; None for an unknown root or session."""
        name, session = NUMBER_OF.get(root), self._horizon.index(expiration)
        if name is None or session is None:
            return None
        close = Decimal(f"{self._daily.closes[session, name]:.2f}")
        return SettlementValue(value=close, source=SETTLEMENT_SOURCE)

    def dividends(
        self, underlying: str, start: date, end: date
    ) -> tuple[tuple[date, Decimal], ...]:
        """Return cash dividends per share by ex-date; they are known for the whole horizon."""
        first, last = self._horizon.span(start, end)
        name = NUMBER_OF.get(underlying)
        if name is None:
            return ()
        paid = first + np.flatnonzero(self._dividends[first:last, name])
        return tuple(
            (day_of(int(self._horizon.days[row])), Decimal(f"{self._dividends[row, name]:.2f}"))
            for row in paid
        )

    def _last_closes(self, name: int, moment: Moment, contracts: Contracts) -> FloatArray:
        """Mids at the last completed close; NaN for contracts not listed then."""
        session = moment.session if moment.step == STEPS else moment.session - 1
        closes = np.full(len(contracts), np.nan)
        then = np.flatnonzero(contracts.first_session <= session)
        if session < 0 or not len(then):
            return closes
        at = self._chains.at_close(name, session, float(self._daily.closes[session, name]))
        bid, ask = self._chains.two_sided(name, at, contracts.take(then))
        closes[then] = 0.5 * (bid + ask)
        return closes

    def _contract_frame(
        self, name: int, contracts: Contracts, interest: FloatArray, closes: FloatArray
    ) -> pd.DataFrame:
        ticker, days = UNIVERSE[name].ticker, self._horizon.days[contracts.expiry]
        return pd.DataFrame(
            {
                "symbol": occ_symbols(ticker, days, contracts.right, contracts.strike),
                "root": pd.Series([ticker] * len(contracts), dtype="str"),
                "expiration": days.astype("M8[D]").astype("M8[us]"),
                "right": contracts.right.astype(np.int8),
                "strike": contracts.strike,
                "open_interest": interest,
                "close": closes,
            }
        )
