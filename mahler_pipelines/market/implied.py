"""Implied volatility and greeks of every contract of a scan, all underlyings at once."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.extensions import ExtensionArray

from mahler_pipelines.errors import BadInput
from mahler_pipelines.market.american_forwards import american_forwards
from mahler_pipelines.market.brackets import Floats, Indices, floats, group_median
from mahler_pipelines.market.contract_values import contract_greeks, contract_volatilities
from mahler_pipelines.market.forwards import ChainArrays, Forwards
from mahler_pipelines.market.liquidity import mid, quote_defects
from mahler_pipelines.market.rates import RateCurve
from mahler_pipelines.market.sessions import NEW_YORK, TradingCalendar
from mahler_pipelines.options.black_scholes.implied import NoVolatility
from mahler_pipelines.options.contracts import (
    ExerciseStyle,
    SettlementKind,
    exercise_style,
    settlement_kind,
)

IV_COLUMNS = (
    "mid",
    "quote_defect",
    "years",
    "rate",
    "forward",
    "forward_source",
    "forward_pairs",
    "dividend_yield",
    "implied_volatility",
    "iv_reason",
    "delta",
    "gamma",
    "theta_per_day",
    "vega",
    "rho",
)
"""What `implied_volatilities` adds to a chain. `iv_reason` is "" or a `NoVolatility` name in lower
case; `dividend_yield` is what the forward implies; greeks are per share, in the units of
`options.black_scholes.greeks.Greeks`."""

SECONDS_PER_YEAR = 365.0 * 86_400.0
MINIMUM_PAIRS = 2

_MORNING_SETTLEMENT = time(9, 30)
_REASONS = np.array(["", *(reason.name.lower() for reason in list(NoVolatility)[1:])])


def expires_at(root: str, expiration: date, *, calendar: TradingCalendar) -> datetime:
    """Return the moment on which an expiration settles, in UTC.

    The close of the session (16:00 New York, or the early close), 09:30 for roots that settle on
    the open; the session before where the exchange is closed on the expiration.
    """
    session = expiration if calendar.is_session(expiration) else calendar.previous(expiration)
    if settlement_kind(root) is SettlementKind.CASH_ON_OPEN:
        return datetime.combine(session, _MORNING_SETTLEMENT, tzinfo=NEW_YORK).astimezone(UTC)
    return calendar.close(session)


def implied_volatilities(
    quotes: pd.DataFrame,
    *,
    as_of: datetime,
    rates: RateCurve,
    dividend_yields: Mapping[str, float],
    calendar: TradingCalendar,
    with_greeks: bool = True,
) -> pd.DataFrame:
    """Return the quotes with `IV_COLUMNS` added: one row per contract, in the order given.

    At mid, on the forward that each (underlying, root, expiration) implies, so that dividends and
    borrow enter through it: European for index roots, American with a continuous yield for the
    others, whose forward is freed of early exercise first. `years` is ACT/365 from `as_of` to
    `expires_at`; `dividend_yields` speaks where parity does not. Quotes with a defect never speak
    for the forward. Without `with_greeks` those columns are left out, and half of the time.
    Raises `BadInput` when `as_of` has no zone.
    """
    chain, defects = chain_arrays(
        quotes, as_of=as_of, rates=rates, dividend_yields=dividend_yields, calendar=calendar
    )
    implied = american_forwards(chain, minimum_pairs=MINIMUM_PAIRS)
    added = value_columns(chain, implied, with_greeks=with_greeks)
    columns: dict[str, Any] = {str(name): column for name, column in quotes.items()}
    columns |= {"mid": chain.price, "quote_defect": defects.array, **added}
    return pd.DataFrame(columns, index=quotes.index, copy=False)


def chain_arrays(
    quotes: pd.DataFrame,
    *,
    as_of: datetime,
    rates: RateCurve,
    dividend_yields: Mapping[str, float],
    calendar: TradingCalendar,
) -> "tuple[ChainArrays, pd.Series[str]]":
    """Return the quotes as arrays per contract and per expiration, and the defect of each quote."""
    if as_of.tzinfo is None:
        raise BadInput("as_of", as_of, "needs a time zone")
    defects, mids = quote_defects(quotes, as_of=as_of, max_age=None), mid(quotes)
    group, _, terms = group_codes(quotes[["underlying", "root", "expiration"]])
    years = _years(terms, as_of=as_of, calendar=calendar)
    chain = ChainArrays(
        group=group,
        right=floats(quotes["right"]),
        strike=floats(quotes["strike"]),
        price=floats(mids),
        usable=(defects == "").to_numpy(dtype=bool),
        spot=_group_spots(quotes, group, len(terms)),
        years=years,
        rate=rates.rate(years),
        carry_yield=floats(terms["underlying"].map(dict(dividend_yields))),
        american=is_american(terms["root"]),
    )
    return chain, defects


def is_american(roots: "pd.Series[str]") -> NDArray[np.bool_]:
    """Return where options of this root may be exercised before expiration."""
    styles = {root: exercise_style(root) is ExerciseStyle.AMERICAN for root in roots.unique()}
    return roots.map(styles).to_numpy(dtype=bool)


def group_codes(keys: pd.DataFrame) -> tuple[Indices, Indices, pd.DataFrame]:
    """Number the distinct rows of `keys` from 0.

    Returns the code per row, the position of each code's first row, and the distinct rows.
    """
    combined = np.zeros(len(keys), dtype=np.int64)
    for name in keys.columns:
        codes, distinct = pd.factorize(keys[name])
        combined = combined * max(len(distinct), 1) + codes
    group, known = pd.factorize(combined, sort=True)
    first = np.full(len(known), len(keys), dtype=np.intp)
    np.minimum.at(first, group, np.arange(len(keys)))
    return group.astype(np.intp), first, keys.iloc[first].reset_index(drop=True)


def value_columns(
    chain: ChainArrays, implied: Forwards, *, with_greeks: bool = True
) -> dict[str, NDArray[Any] | ExtensionArray]:
    """Invert every price: years, rate, forward, volatility, reason and greeks per row, by name."""
    group = chain.group
    found = contract_volatilities(chain, implied)
    greeks = contract_greeks(chain, implied, found) if with_greeks else {}
    return {
        "years": chain.years[group],
        "rate": chain.rate[group],
        "forward": implied.forward[group],
        "forward_source": _texts(implied.source).take(group),
        "forward_pairs": implied.pairs[group],
        "dividend_yield": implied.dividend_yield(chain)[group],
        "implied_volatility": found.volatility,
        "iv_reason": _texts(_REASONS).take(found.reason),
        **greeks,
    }


def _texts(values: NDArray[np.str_]) -> ExtensionArray:
    # Few distinct texts are made once and taken a million times: much faster than as objects.
    return pd.array(values, dtype="str")


def _group_spots(quotes: pd.DataFrame, group: Indices, groups: int) -> Floats:
    spots = floats(quotes["underlying_price"])
    known = np.isfinite(spots) & (spots > 0)
    return group_median(group=group[known], value=spots[known], groups=groups)


def _years(terms: pd.DataFrame, *, as_of: datetime, calendar: TradingCalendar) -> Floats:
    roots = {root: settlement_kind(root) for root in terms["root"].unique()}
    kinds = pd.DataFrame({"kind": terms["root"].map(roots), "expiration": terms["expiration"]})
    code, first, _ = group_codes(kinds)
    ends = terms.iloc[first]
    moments = (
        expires_at(root, expiration.date(), calendar=calendar)
        for root, expiration in zip(ends["root"], ends["expiration"], strict=True)
    )
    years = [(moment - as_of) / timedelta(seconds=SECONDS_PER_YEAR) for moment in moments]
    return floats(years)[code]
