"""Option chains: listing, valuation, activity and quoting put together for one name at a moment."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mahler_pipelines.exchange.simulated.activity import Activity
from mahler_pipelines.exchange.simulated.contracts import Contracts, occ_symbols
from mahler_pipelines.exchange.simulated.horizon import (
    SECONDS_PER_YEAR,
    STEPS,
    Horizon,
    Moment,
)
from mahler_pipelines.exchange.simulated.intraday import Intraday
from mahler_pipelines.exchange.simulated.listing import Listing
from mahler_pipelines.exchange.simulated.quoting import dress_quotes, moment_words, quote_prices
from mahler_pipelines.exchange.simulated.randomness import FloatArray, IntArray, KeyArray
from mahler_pipelines.exchange.simulated.universe import UNIVERSE
from mahler_pipelines.exchange.simulated.valuation import Instants, NameValuation


@dataclass(frozen=True, slots=True, eq=False)
class ListedChain:
    """Everything about a name's contracts that stays the same through a session."""

    contracts: Contracts
    symbols: pd.api.extensions.ExtensionArray
    expiration_days: IntArray
    open_interest: FloatArray
    whole_volume: FloatArray
    previous_volume: FloatArray

    def take(self, rows: NDArray[np.bool_]) -> "ListedChain":
        """Return the chain of a mask."""
        return ListedChain(
            contracts=self.contracts.take(rows),
            symbols=self.symbols[rows],
            expiration_days=self.expiration_days[rows],
            open_interest=self.open_interest[rows],
            whole_volume=self.whole_volume[rows],
            previous_volume=self.previous_volume[rows],
        )


class Chains:
    """Chains of one seed."""

    def __init__(
        self,
        *,
        key: KeyArray,
        horizon: Horizon,
        listing: Listing,
        intraday: Intraday,
        activity: Activity,
    ) -> None:
        self._key = key
        self._horizon = horizon
        self._listing = listing
        self._intraday = intraday
        self._activity = activity
        self._valuations = [NameValuation(name, horizon) for name in range(len(UNIVERSE))]
        self._cached = lru_cache(maxsize=128)(self._listed)

    def listed(self, name: int, session: int, today: int) -> ListedChain:
        """Return the contracts listed in a session that haven't expired before `today`."""
        chain = self._cached(name, session)
        keep = chain.expiration_days >= today
        return chain if keep.all() else chain.take(keep)

    def quotes(self, name: int, moment: Moment) -> pd.DataFrame:
        """Return the chain as seen at a moment, in the columns and dtypes of QUOTE_COLUMNS."""
        chain = self.listed(name, moment.session, moment.today)
        path = self._intraday.session_path(name, moment.session)
        at = Instants(
            session=np.array([moment.session]),
            step=np.array([moment.step]),
            seconds=np.array([moment.seconds]),
            spot=path.prices[moment.step : moment.step + 1],
            variance=path.variances[moment.step : moment.step + 1],
        )
        bid, ask = self.two_sided(name, at, chain.contracts)
        traded = self._activity.volume_until(chain.whole_volume, moment.step)
        quotes = dress_quotes(
            self._key,
            UNIVERSE[name],
            bid=bid,
            ask=ask,
            traded=traded,
            interest=chain.open_interest,
            words=(chain.contracts.code, moment_words(at.session, at.step)),
        )
        opened = float(self._horizon.opens[moment.session])
        seconds = np.maximum(moment.seconds - quotes.age_seconds, opened)
        count, ticker = len(bid), UNIVERSE[name].ticker
        same = pd.array([ticker], dtype="str").take(np.zeros(count, dtype=np.int64))
        columns = {
            "underlying": same,
            "symbol": chain.symbols,
            "root": same,
            "expiration": chain.expiration_days.astype("datetime64[D]").astype("datetime64[us]"),
            "right": chain.contracts.right.astype(np.int8),
            "strike": chain.contracts.strike,
            "bid": quotes.bid,
            "ask": quotes.ask,
            "bid_size": quotes.bid_size,
            "ask_size": quotes.ask_size,
            "last": quotes.last,
            "volume": traded,
            "previous_volume": chain.previous_volume,
            "open_interest": chain.open_interest,
            "quote_time": utc_times(seconds),
            "underlying_price": np.full(count, at.spot[0]),
        }
        return pd.DataFrame(columns)

    def model_values(self, name: int, at: Instants, contracts: Contracts) -> FloatArray:
        """Return model values per share, before ticks and widths."""
        return self._valuations[name].values(at, contracts)

    def model_volatilities(self, name: int, at: Instants, contracts: Contracts) -> FloatArray:
        """Return the surface's volatilities, annual ACT/365."""
        return self._valuations[name].volatilities(at, contracts)

    def two_sided(
        self, name: int, at: Instants, contracts: Contracts
    ) -> tuple[FloatArray, FloatArray]:
        """Return bids and asks; `at` broadcasts against the contracts."""
        theta = self._valuations[name].total_variances(at, contracts.expiry)
        years = (self._horizon.closes[contracts.expiry] - at.seconds) / SECONDS_PER_YEAR
        return quote_prices(
            self._key,
            UNIVERSE[name],
            value=self.model_values(name, at, contracts),
            distance=np.log(contracts.strike / at.spot) / np.sqrt(theta),
            years=np.maximum(years, 0.0),
            words=(contracts.code, moment_words(at.session, at.step)),
        )

    def at_close(self, name: int, session: int, close: float) -> Instants:
        """Return the close of a session as one instant."""
        sessions = np.array([session])
        return Instants(
            session=sessions,
            step=np.array([STEPS]),
            seconds=self._horizon.closes[sessions],
            spot=np.array([close]),
            variance=self._intraday.closing_variances(name, sessions),
        )

    def _listed(self, name: int, session: int) -> ListedChain:
        contracts = self._listing.listed(name, session)
        now = np.full(len(contracts), session)
        before = self._activity.volume(name, contracts, np.maximum(now - 1, 0))
        days = self._horizon.days[contracts.expiry]
        return ListedChain(
            contracts=contracts,
            symbols=occ_symbols(UNIVERSE[name].ticker, days, contracts.right, contracts.strike),
            expiration_days=days,
            open_interest=self._activity.open_interest(name, contracts, now),
            whole_volume=self._activity.volume(name, contracts, now),
            previous_volume=before if session > 0 else np.zeros_like(before),
        )


def utc_times(seconds: FloatArray) -> pd.DatetimeIndex:
    """Return whole milliseconds of seconds since the epoch as UTC times in microseconds."""
    micros = np.floor(seconds * 1e3).astype(np.int64) * 1000
    return pd.DatetimeIndex(micros.view("datetime64[us]")).tz_localize("UTC")
