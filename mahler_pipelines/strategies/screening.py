"""Screen chains for vertical spreads and account for every pair that was not kept.

For each underlying that is not refused as a whole, and each listed root, expiration and right:
kept pairs plus refused pairs, by code, are exactly the n(n-1)/2 pairs of its n legs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd

from mahler_pipelines.errors import BadInput, CorruptData
from mahler_pipelines.market.regimes import PROBABILITY_COLUMNS
from mahler_pipelines.options.contracts import Right
from mahler_pipelines.strategies.candidates import with_underlyings
from mahler_pipelines.strategies.catalogue import strategy_named
from mahler_pipelines.strategies.gates import (
    days_to_expiry,
    expiration_failures,
    floats,
    underlying_failures,
)
from mahler_pipelines.strategies.limits import ScreenLimits
from mahler_pipelines.strategies.refusal_rows import refusal_rows
from mahler_pipelines.strategies.refusals import RefusalLevel
from mahler_pipelines.strategies.spread_screening import PAIR_CODES, screen_spread

QUOTE_NEEDS: tuple[str, ...] = (
    *("underlying", "symbol", "root", "expiration", "right", "strike", "bid", "ask", "mid"),
    *("open_interest", "volume", "previous_volume", "quote_time", "quote_defect"),
    *("implied_volatility", "delta", "gamma", "theta_per_day", "vega"),
)
"""Columns of a chain that the screen reads."""

UNDERLYING_NEEDS: tuple[str, ...] = (
    *("underlying", "price", "share_volume", "share_spread"),
    *("iv_rank", "iv_percentile", "iv_rank_basis", "iv30"),
    *PROBABILITY_COLUMNS,
)
"""Columns of the underlyings that the screen reads."""


@dataclass(frozen=True, slots=True, eq=False)
class Screen:
    """What a screen kept, what it refused and why, and the count of every pair.

    `candidates` has one row per kept pair; `refusals` one per refused underlying, expiration and
    leg, and per pair that a pair gate refused; `pairs` one per strategy, underlying, root and
    expiration, with a column of counts for every code that can refuse a pair.
    """

    candidates: pd.DataFrame
    refusals: pd.DataFrame
    pairs: pd.DataFrame

    @property
    def considered(self) -> int:
        """Pairs of every underlying that was not refused as a whole."""
        return int(self.pairs["considered"].sum())

    @property
    def kept(self) -> int:
        """Pairs that became candidates."""
        return int(self.pairs["kept"].sum())

    @property
    def refused_by_code(self) -> dict[str, int]:
        """Refused pairs by code; codes that refused nothing are left out."""
        totals = {code.value: int(self.pairs[code.value].sum()) for code in PAIR_CODES}
        return {code: count for code, count in totals.items() if count}

    @property
    def underlyings_refused(self) -> dict[str, int]:
        """Underlyings refused as a whole, by code."""
        rows = self.refusals[self.refusals["level"] == RefusalLevel.UNDERLYING.value]
        return {str(code): int(count) for code, count in rows["code"].value_counts().items()}


def screen(
    quotes: pd.DataFrame,
    underlyings: pd.DataFrame,
    *,
    as_of: datetime,
    limits: ScreenLimits,
    strategies: Sequence[str],
    use_previous_volume: bool,
) -> Screen:
    """Keep every vertical spread inside the limits and say why each other one is refused.

    `quotes` has the columns of a chain with mid, implied_volatility, delta, gamma, theta_per_day,
    vega and quote_defect (forward and years are carried along where it has them); `underlyings`
    one row per underlying with price, share_volume, share_spread, iv_rank, iv_percentile,
    iv_rank_basis, iv30 and the probability of each regime, NaN where not available. The option
    volume gate reads `previous_volume` or `volume`. Raises `BadInput` for absent columns or an
    unknown strategy, `CorruptData` for a contract or underlying that appears twice, a chain of an
    underlying without a row, or a contract without strike, expiration, right or quote_defect.
    """
    if not strategies:
        raise BadInput("strategies", strategies, "at least one strategy is needed")
    spreads = [strategy_named(name) for name in dict.fromkeys(strategies)]
    _check(quotes, underlyings, as_of)
    known = underlyings.sort_values("underlying", kind="stable", ignore_index=True)
    listed = quotes["underlying"].value_counts().reindex(known["underlying"], fill_value=0)
    failures = underlying_failures(known, listed.to_numpy().astype(np.float64), limits)
    fit = known["underlying"][failures.passed]
    volume = "previous_volume" if use_previous_volume else "volume"
    chain = _chain(quotes[quotes["underlying"].isin(fit)], as_of=as_of, volume=volume)
    parts = [screen_spread(chain, spread=spread, limits=limits, as_of=as_of) for spread in spreads]
    whole = refusal_rows(
        RefusalLevel.UNDERLYING,
        strategy="",
        rows=known[["underlying"]],
        subject=known["underlying"],
        failures=failures,
    )
    refusals = [whole, _expiration_refusals(chain, limits), *(part.refusals for part in parts)]
    candidates = pd.concat([part.candidates for part in parts], ignore_index=True)
    return Screen(
        with_underlyings(candidates, known),
        pd.concat(refusals, ignore_index=True),
        pd.concat([part.pairs for part in parts], ignore_index=True),
    )


def _chain(quotes: pd.DataFrame, *, as_of: datetime, volume: str) -> pd.DataFrame:
    carried = {
        name: np.full(len(quotes), np.nan)
        for name in ("forward", "years")
        if name not in quotes.columns
    }
    return quotes.assign(
        dte=days_to_expiry(quotes["expiration"], as_of).astype(np.int64),
        gated_volume=quotes[volume],
        **carried,
    )


def _expiration_refusals(chain: pd.DataFrame, limits: ScreenLimits) -> pd.DataFrame:
    keys = ["underlying", "root", "expiration"]
    listed = chain[[*keys, "dte"]].drop_duplicates(keys).sort_values(keys, ignore_index=True)
    return refusal_rows(
        RefusalLevel.EXPIRATION,
        strategy="",
        rows=listed[keys],
        subject=listed["root"] + " " + listed["expiration"].dt.strftime("%Y-%m-%d"),
        failures=expiration_failures(floats(listed, "dte"), limits),
    )


def _check(quotes: pd.DataFrame, underlyings: pd.DataFrame, as_of: datetime) -> None:
    if as_of.tzinfo is None:
        raise BadInput("as_of", as_of, "needs a time zone")
    for name, table, needs in (
        ("quotes", quotes, QUOTE_NEEDS),
        ("underlyings", underlyings, UNDERLYING_NEEDS),
    ):
        absent = [column for column in needs if column not in table.columns]
        if absent:
            raise BadInput(name, absent, "columns are absent")
    for table, key in ((quotes, "symbol"), (underlyings, "underlying")):
        twice = table[key][table[key].duplicated()]
        if len(twice):
            raise CorruptData(f"{key} {twice.iloc[0]} appears twice ({len(twice)} such rows)")
    strangers = set(pd.unique(quotes["underlying"])) - set(underlyings["underlying"])
    if strangers:
        raise CorruptData(f"chains of {sorted(map(str, strangers))}, which no underlying row names")
    nameless = (
        ~(quotes["strike"] > 0)
        | quotes["expiration"].isna()
        | ~quotes["right"].isin([int(right) for right in Right])
        | quotes["quote_defect"].isna()
    )
    if nameless.any():
        symbol = quotes["symbol"][nameless].iloc[0]
        raise CorruptData(f"{symbol} has no usable strike, expiration, right or quote_defect")
    same = quotes.duplicated(["underlying", "root", "expiration", "right", "strike"])
    if same.any():
        raise CorruptData(f"{quotes['symbol'][same].iloc[0]} repeats the strike of another symbol")
