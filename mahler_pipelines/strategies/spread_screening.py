"""Screen one strategy: its legs, then its pairs, with the account of every pair."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd

from mahler_pipelines.strategies.candidates import candidate_rows
from mahler_pipelines.strategies.first_failures import CODE_INDEX, FirstFailures
from mahler_pipelines.strategies.gates import (
    exact,
    expiration_failures,
    floats,
    leg_failures,
    pair_failures,
    short_failures,
)
from mahler_pipelines.strategies.limits import ScreenLimits
from mahler_pipelines.strategies.pairing import (
    IntColumn,
    LegGroups,
    fit_pairs,
    refused_by_leg,
    refused_by_pair_gate,
)
from mahler_pipelines.strategies.refusal_rows import refusal_rows
from mahler_pipelines.strategies.refusals import RefusalCode, RefusalLevel
from mahler_pipelines.strategies.vertical_spreads import VerticalSpread

_ABOVE_PAIRS = frozenset(
    {
        RefusalCode.CHAIN_EMPTY,
        RefusalCode.UNDERLYING_PRICE_MISSING,
        RefusalCode.UNDERLYING_PRICE_OUT_OF_RANGE,
        RefusalCode.SHARE_VOLUME_TOO_LOW,
        RefusalCode.SHARE_VOLUME_NOT_AVAILABLE,
        RefusalCode.SHARE_SPREAD_TOO_WIDE,
        RefusalCode.SHARE_SPREAD_NOT_AVAILABLE,
        RefusalCode.IV_RANK_TOO_LOW,
        RefusalCode.IV_RANK_NOT_AVAILABLE,
        RefusalCode.REGIME_REFUSED,
        RefusalCode.REGIME_NOT_AVAILABLE,
    }
)
PAIR_CODES: tuple[RefusalCode, ...] = tuple(
    code for code in RefusalCode if code not in _ABOVE_PAIRS
)
"""Codes that can refuse a pair, directly or through its expiration or a leg."""


@dataclass(frozen=True, slots=True, eq=False)
class SpreadScreen:
    """One strategy's candidates (without their underlyings), refusals and pair counts."""

    candidates: pd.DataFrame
    refusals: pd.DataFrame
    pairs: pd.DataFrame


def screen_spread(
    chain: pd.DataFrame,
    *,
    spread: VerticalSpread,
    limits: ScreenLimits,
    as_of: datetime,
) -> SpreadScreen:
    """Screen every pair of `spread` in chains whose underlyings and rows were checked.

    `chain` has `dte` and `gated_volume` besides the columns of a screened chain.
    """
    listed = _in_pairing_order(chain, spread)
    groups = _groups(listed)
    in_range = expiration_failures(floats(listed, "dte"), limits)
    live = listed[in_range.passed].reset_index(drop=True)
    part = _screen_live_legs(live, spread=spread, limits=limits, as_of=as_of)
    live_counts, kept, candidates, refusals = part
    refused = _refused_by_expiration(groups, in_range)
    group_is_live = in_range.passed[groups.start]
    refused[group_is_live] = live_counts
    kept_of_group = np.zeros(groups.start.size, np.int64)
    kept_of_group[group_is_live] = kept
    pairs = _pair_rows(listed, groups, spread=spread, refused=refused, kept=kept_of_group)
    return SpreadScreen(candidates, refusals, pairs)


def _in_pairing_order(chain: pd.DataFrame, spread: VerticalSpread) -> pd.DataFrame:
    legs = chain[chain["right"] == int(spread.right)]
    out_of_the_money = int(spread.right) * legs["strike"].to_numpy(np.float64)
    underlying, _ = pd.factorize(legs["underlying"], sort=True)
    root, _ = pd.factorize(legs["root"], sort=True)
    order = np.lexsort((out_of_the_money, legs["expiration"].to_numpy(), root, underlying))
    return legs.iloc[order].reset_index(drop=True)


def _groups(legs: pd.DataFrame) -> LegGroups:
    underlying, _ = pd.factorize(legs["underlying"])
    root, _ = pd.factorize(legs["root"])
    return LegGroups.from_keys(underlying, root, legs["expiration"].to_numpy().astype(np.int64))


def _screen_live_legs(
    legs: pd.DataFrame, *, spread: VerticalSpread, limits: ScreenLimits, as_of: datetime
) -> tuple[IntColumn, IntColumn, pd.DataFrame, pd.DataFrame]:
    """Return refused counts per group and code, kept per group, candidates, refusals."""
    groups = _groups(legs)
    as_leg = leg_failures(legs, limits, as_of=as_of)
    as_short = short_failures(legs, as_leg, limits)
    shorts, longs = fit_pairs(groups, as_short.passed, as_leg.passed)
    strike, mid = floats(legs, "strike"), floats(legs, "mid")
    width = exact(np.abs(strike[shorts] - strike[longs]))
    credit_mid = exact(mid[shorts] - mid[longs])
    credit_natural = exact(floats(legs, "bid")[shorts] - floats(legs, "ask")[longs])
    gates = pair_failures(
        width=width, credit_mid=credit_mid, credit_natural=credit_natural, limits=limits
    )
    refused = refused_by_leg(groups, as_short.code, as_leg.code)
    refused += refused_by_pair_gate(groups, shorts, gates.code)
    kept = gates.passed
    candidates = candidate_rows(
        legs,
        shorts[kept],
        longs[kept],
        spread=spread,
        width=width[kept],
        credit_mid=credit_mid[kept],
        credit_natural=credit_natural[kept],
        as_of=as_of,
    )
    kept_of_group = np.bincount(groups.of_leg[shorts[kept]], minlength=groups.start.size)
    refusals = pd.concat(
        [
            refusal_rows(
                RefusalLevel.LEG,
                strategy=spread.name,
                rows=legs,
                subject=legs["symbol"],
                failures=as_short,
            ),
            _pair_refusals(legs, shorts, longs, spread=spread, gates=gates),
        ],
        ignore_index=True,
    )
    return refused, kept_of_group.astype(np.int64), candidates, refusals


def _pair_refusals(
    legs: pd.DataFrame,
    shorts: IntColumn,
    longs: IntColumn,
    *,
    spread: VerticalSpread,
    gates: FirstFailures,
) -> pd.DataFrame:
    failed = np.flatnonzero(~gates.passed)
    symbols = legs["symbol"].to_numpy(dtype=object)
    return refusal_rows(
        RefusalLevel.PAIR,
        strategy=spread.name,
        rows=legs.iloc[shorts[failed]],
        subject=pd.Series(symbols[shorts[failed]] + "/" + symbols[longs[failed]], dtype="str"),
        failures=gates.rows(failed),
    )


def _refused_by_expiration(groups: LegGroups, in_range: FirstFailures) -> IntColumn:
    refused = np.zeros((groups.start.size, len(CODE_INDEX) + 1), np.int64)
    refused[np.arange(groups.start.size), in_range.code[groups.start]] = groups.pairs
    refused[:, 0] = 0
    return refused


def _pair_rows(
    legs: pd.DataFrame,
    groups: LegGroups,
    *,
    spread: VerticalSpread,
    refused: IntColumn,
    kept: IntColumn,
) -> pd.DataFrame:
    shared = ["underlying", "root", "expiration", "right", "dte"]
    pairs = legs[shared].iloc[groups.start].reset_index(drop=True)
    pairs.insert(0, "strategy", pd.Series(spread.name, index=pairs.index, dtype="str"))
    pairs["legs"], pairs["considered"] = groups.sizes, groups.pairs
    pairs["kept"], pairs["refused"] = kept, refused.sum(axis=1)
    by_code = {code.value: refused[:, CODE_INDEX[code]] for code in PAIR_CODES}
    return pairs.assign(**by_code)
