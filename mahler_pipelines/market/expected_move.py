"""The move that the market expects: of one sigma, and as the straddle at the money prices it."""

from enum import StrEnum
from typing import Final

import numpy as np
import pandas as pd

from mahler_pipelines.market.brackets import Floats, floats, group_median
from mahler_pipelines.market.implied import group_codes
from mahler_pipelines.market.term_structure import (
    DAYS_PER_YEAR,
    MINIMUM_DAYS,
    NEAREST_STRIKE_WITHIN,
    expiration_keys,
    underlying_keys,
)

NEXT_DAYS: Final = MINIMUM_DAYS
"""The expected move is that to the first expiration this many calendar days ahead or more."""


class NoMove(StrEnum):
    """Why there is no expected move, or no straddle."""

    NONE = ""
    NO_EXPIRATION = "no_expiration"
    NO_STRADDLE = "no_straddle"


def expected_moves(
    ivs: pd.DataFrame, atm: pd.DataFrame, *, after_days: float = NEXT_DAYS
) -> pd.DataFrame:
    """Return one row per underlying (and session): the move to its next expiration.

    The expiration is the first one at least `after_days` calendar days ahead with a volatility at
    the money. `ivs` is what `implied_volatilities` returns, `atm` what `atm_volatility` makes of
    it. Moves are fractions of the underlying's price:

    - `sigma_move` = volatility x sqrt(years), one standard deviation of the log price;
    - `straddle_move` = mid of call and put at the strike nearest the forward, which is the expected
      absolute move, sqrt(2 / pi) sigma near the money (Brenner and Subrahmanyam, Financial Analysts
      Journal 44, 1988). NaN unless both quotes are usable and the strike is within 2 % of it.

    Columns: the keys, expiration, days, volatility, sigma_move, straddle_strike, straddle_move,
    move_reason (`NoMove`).
    """
    keys = underlying_keys(atm)
    days = floats(atm["years"]) * DAYS_PER_YEAR
    ahead = atm[(days >= after_days) & np.isfinite(floats(atm["atm_volatility"]))]
    chosen = ahead.sort_values("years", kind="stable").drop_duplicates(keys)
    moves = atm[keys].drop_duplicates().merge(chosen, on=keys, how="left")
    moves = moves.sort_values(keys, kind="stable", ignore_index=True)
    years, volatility = floats(moves["years"]), floats(moves["atm_volatility"])
    strike, straddle = _straddles(ivs, moves)
    found = moves[[*keys, "expiration"]].assign(
        days=years * DAYS_PER_YEAR,
        volatility=volatility,
        sigma_move=volatility * np.sqrt(years),
        straddle_strike=strike,
        straddle_move=straddle,
    )
    reasons = np.select(
        [~np.isfinite(volatility), ~np.isfinite(straddle)],
        [NoMove.NO_EXPIRATION.value, NoMove.NO_STRADDLE.value],
        NoMove.NONE.value,
    )
    found["move_reason"] = pd.Series(reasons, dtype="str")
    return found


def _straddles(ivs: pd.DataFrame, moves: pd.DataFrame) -> tuple[Floats, Floats]:
    """Strike and price, as a fraction of the underlying's, of each row's straddle."""
    rows = _usable_rows(ivs, moves)
    place, strike, right = (rows[name].to_numpy() for name in ("place", "strike", "right"))
    order = np.lexsort((right, strike, place))
    place, strike, right = place[order], strike[order], right[order]
    mid, spot = floats(rows["mid"])[order], floats(rows["underlying_price"])[order]
    same = (place[1:] == place[:-1]) & (strike[1:] == strike[:-1])
    put = np.flatnonzero(same & (right[:-1] < 0) & (right[1:] > 0))
    place_of, strike_of, price = place[put], strike[put], mid[put] + mid[put + 1]
    away = np.abs(np.log(strike_of / floats(moves["forward"])[place_of]))
    nearest = np.lexsort((away, place_of))
    first = nearest[np.flatnonzero(np.diff(place_of[nearest], prepend=-1))]
    first = first[away[first] <= NEAREST_STRIKE_WITHIN]
    spots = group_median(group=place, value=spot, groups=len(moves))
    strikes, moved = np.full(len(moves), np.nan), np.full(len(moves), np.nan)
    strikes[place_of[first]] = strike_of[first]
    moved[place_of[first]] = price[first] / spots[place_of[first]]
    return strikes, moved


def _usable_rows(ivs: pd.DataFrame, moves: pd.DataFrame) -> pd.DataFrame:
    """Quotes without a defect of the chosen expirations, with `place`: the row of `moves`."""
    keys = expiration_keys(ivs)
    group, _, terms = group_codes(ivs[keys])
    places = moves[keys].assign(place=np.arange(len(moves)))
    place = floats(terms.merge(places, on=keys, how="left")["place"])[group]
    kept = np.flatnonzero(np.isfinite(place) & np.isfinite(floats(ivs["mid"])))
    rows = ivs[["strike", "right", "mid", "underlying_price", "quote_defect"]].iloc[kept]
    rows = rows.assign(place=place[kept].astype(np.intp))
    return rows[rows["quote_defect"] == ""]
