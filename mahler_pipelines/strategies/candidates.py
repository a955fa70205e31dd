"""Candidates: one row per pair that passed every gate."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd

from mahler_pipelines.strategies.first_failures import FloatColumn
from mahler_pipelines.strategies.pairing import IntColumn
from mahler_pipelines.strategies.vertical_spreads import VerticalSpread

LEG_COLUMNS: dict[str, str] = {
    "symbol": "symbol",
    "strike": "strike",
    "bid": "bid",
    "ask": "ask",
    "mid": "mid",
    "iv": "implied_volatility",
    "delta": "delta",
    "gamma": "gamma",
    "theta_per_day": "theta_per_day",
    "vega": "vega",
    "open_interest": "open_interest",
    "volume": "gated_volume",
}
"""Suffix after short_ and long_ -> column of the leg. `volume` is the one the gate read."""

UNDERLYING_COLUMNS: dict[str, str] = {
    "underlying_price": "price",
    "iv_rank": "iv_rank",
    "iv_percentile": "iv_percentile",
    "iv_rank_basis": "iv_rank_basis",
    "iv30": "iv30",
}
"""Candidate column -> column of the underlying."""


def candidate_rows(
    legs: pd.DataFrame,
    shorts: IntColumn,
    longs: IntColumn,
    *,
    spread: VerticalSpread,
    width: FloatColumn,
    credit_mid: FloatColumn,
    credit_natural: FloatColumn,
    as_of: datetime,
) -> pd.DataFrame:
    """Return the rows of these pairs, without what is known of their underlying.

    `shorts` and `longs` are positions in `legs`. Quantities are of each leg held long, per share.
    """
    pairs = pd.DataFrame(index=pd.RangeIndex(shorts.size))
    pairs["candidate_id"] = ""
    pairs["strategy"] = spread.name
    for column in ("underlying", "root", "expiration", "dte", "right", "forward", "years"):
        pairs[column] = legs[column].array[shorts]
    for role, positions in (("short", shorts), ("long", longs)):
        for suffix, column in LEG_COLUMNS.items():
            pairs[f"{role}_{suffix}"] = legs[column].array[positions]
    pairs["width"], pairs["credit_mid"], pairs["credit_natural"] = width, credit_mid, credit_natural
    pairs["candidate_id"] = candidate_ids(pairs, as_of)
    return pairs.astype({"candidate_id": "str", "strategy": "str", "right": "int8"})


def candidate_ids(pairs: pd.DataFrame, as_of: datetime) -> pd.Series:
    """Derive ids from strategy, legs and moment: a re-run of the same scan finds the same."""
    legs = pairs["strategy"] + "|" + pairs["short_symbol"] + "|" + pairs["long_symbol"]
    digest = pd.util.hash_array(legs.to_numpy(dtype=object), categorize=False)
    prefix = f"c-{as_of.astimezone(UTC):%y%m%d%H%M}-"
    ids = np.char.add(prefix, np.char.mod("%016x", digest))
    return pd.Series(ids, index=pairs.index, dtype="str")


def with_underlyings(candidates: pd.DataFrame, underlyings: pd.DataFrame) -> pd.DataFrame:
    """Add price, IV rank, percentile, their basis and IV30 of each candidate's underlying."""
    rows = pd.Index(underlyings["underlying"]).get_indexer(candidates["underlying"])
    known = {name: underlyings[column].array[rows] for name, column in UNDERLYING_COLUMNS.items()}
    return candidates.assign(**known).astype({"iv_rank_basis": "str"})
