"""Daily option bars of many contracts at once."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mahler_pipelines.exchange.simulated.activity import Activity, ListedContracts
from mahler_pipelines.exchange.simulated.chain import Chains
from mahler_pipelines.exchange.simulated.horizon import Horizon
from mahler_pipelines.exchange.simulated.intraday import Intraday
from mahler_pipelines.exchange.simulated.listing import Listing
from mahler_pipelines.exchange.simulated.paths import DailyPaths
from mahler_pipelines.exchange.simulated.randomness import FloatArray, IntArray
from mahler_pipelines.exchange.simulated.universe import UNIVERSE
from mahler_pipelines.exchange.simulated.valuation import Instants
from mahler_pipelines.options.contracts import OptionContract, parse_occ

OPTION_BARS = ("symbol", "session", "open", "high", "low", "close", "volume")
_NAMES = {each.ticker: number for number, each in enumerate(UNIVERSE)}


@dataclass(frozen=True, slots=True, eq=False)
class _Days:
    """Contract-days of one name: which asked symbol, which session, and the contract."""

    asked: IntArray
    session: IntArray
    contracts: ListedContracts


class OptionHistory:
    """Option bars of one seed."""

    def __init__(  # noqa: PLR0913 - the parts of one market
        self,
        *,
        horizon: Horizon,
        daily: DailyPaths,
        intraday: Intraday,
        listing: Listing,
        activity: Activity,
        chains: Chains,
    ) -> None:
        self._horizon = horizon
        self._daily = daily
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
            return _frame(np.empty(0, dtype=np.int64), [], {})
        numbers = {key: np.concatenate([each[key] for each in frames]) for key in frames[0]}
        asked, session = numbers.pop("asked"), numbers.pop("session")
        order = np.lexsort((session, asked))
        days_of = self._horizon.days[session[order]]
        ordered = {key: values[order] for key, values in numbers.items()}
        return _frame(days_of, pd.array(symbols, dtype="str").take(asked[order]), ordered)
