"""Implied volatility and greeks of every contract of a scan, all underlyings at once."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mahler_pipelines.errors import BadInput
from mahler_pipelines.market.brackets import Floats, Indices, floats, group_median
from mahler_pipelines.market.forwards import ChainArrays, Forwards, forwards
from mahler_pipelines.market.liquidity import mid, quote_defects
from mahler_pipelines.market.sessions import NEW_YORK, TradingCalendar
from mahler_pipelines.options.contracts import SettlementKind, settlement_kind
from mahler_pipelines.options.european import NoVolatility, greeks, implied_volatility

IV_COLUMNS = (
    "mid",
    "quote_defect",
    "years",
    "forward",
    "forward_source",
    "forward_pairs",
    "implied_volatility",
    "iv_reason",
    "delta",
    "gamma",
    "theta_per_day",
    "vega",
    "rho",
)
"""What `implied_volatilities` adds to a chain. `iv_reason` is "" or a `NoVolatility` name in lower
case; greeks are per share, in the units of `options.european.Greeks`."""

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
    rate: float,
    dividend_yields: Mapping[str, float],
    calendar: TradingCalendar,
) -> pd.DataFrame:
    """Return the quotes with `IV_COLUMNS` added: one row per contract, in the order given.

    European model at mid on the forward that each (underlying, root, expiration) implies, so that
    dividends and borrow enter through the forward; the early exercise of American options is not
    priced, and a deep in-the-money one at its intrinsic value has the reason `below_intrinsic`.
    `rate` is continuous; `years` ACT/365 from `as_of` to `expires_at`. Quotes with a defect never
    speak for the forward. Raises `BadInput` when `as_of` has no zone.
    """
    if as_of.tzinfo is None:
        raise BadInput("as_of", as_of, "needs a time zone")
    defects, mids = quote_defects(quotes, as_of=as_of, max_age=None), mid(quotes)
    keys = quotes[["underlying", "root", "expiration"]]
    group, _, terms = group_codes(keys)
    chain = ChainArrays(
        group=group,
        right=floats(quotes["right"]),
        strike=floats(quotes["strike"]),
        price=floats(mids),
        usable=(defects == "").to_numpy(dtype=bool),
        spot=_group_spots(quotes, group, len(terms)),
        years=_years(terms, as_of=as_of, calendar=calendar),
        carry_yield=floats(terms["underlying"].map(dict(dividend_yields))),
    )
    implied = forwards(chain, rate=rate, minimum_pairs=MINIMUM_PAIRS)
    added = value_chain(chain, implied, rate=rate)
    added.insert(0, "mid", chain.price)
    added.insert(1, "quote_defect", defects.to_numpy())
    return pd.concat([quotes, added.set_axis(quotes.index)[list(IV_COLUMNS)]], axis=1)


def group_codes(keys: pd.DataFrame) -> tuple[Indices, Indices, pd.DataFrame]:
    """Number the distinct rows of `keys` from 0.

    Returns the code per row, the position of each code's first row, and the distinct rows.
    """
    combined = np.zeros(len(keys), dtype=np.int64)
    for name in keys.columns:
        codes, distinct = pd.factorize(keys[name])
        combined = combined * max(len(distinct), 1) + codes
    _, first, group = np.unique(combined, return_index=True, return_inverse=True)
    return group.astype(np.intp), first, keys.iloc[first].reset_index(drop=True)


def value_chain(chain: ChainArrays, implied: Forwards, *, rate: float) -> pd.DataFrame:
    """Invert every price and return years, forward, volatility, reason and greeks per row."""
    group = chain.group
    with np.errstate(divide="ignore", invalid="ignore"):
        carried = rate - np.log(implied.forward / chain.spot) / chain.years
    terms = {
        "right": chain.right,
        "spot": chain.spot[group],
        "strike": chain.strike,
        "years": chain.years[group],
        "rate": np.full(group.size, rate),
        "dividend_yield": carried[group],
    }
    volatility, reasons = implied_volatility(
        right=terms["right"],
        price=chain.price,
        spot=terms["spot"],
        strike=terms["strike"],
        years=terms["years"],
        rate=rate,
        dividend_yield=terms["dividend_yield"],
        with_reason=True,
    )
    columns: dict[str, Floats | NDArray[np.str_] | Indices] = {
        "years": terms["years"],
        "forward": implied.forward[group],
        "forward_source": implied.source[group],
        "forward_pairs": implied.pairs[group],
        "implied_volatility": volatility,
        "iv_reason": _REASONS[reasons],
    }
    good = reasons == NoVolatility.NONE
    found = greeks(
        **{name: values[good] for name, values in terms.items()}, volatility=volatility[good]
    )
    for name in ("delta", "gamma", "theta_per_day", "vega", "rho"):
        values = np.full(group.size, np.nan)
        values[good] = getattr(found, name)
        columns[name] = values
    return pd.DataFrame(columns).astype({"forward_source": "str", "iv_reason": "str"})


def _group_spots(quotes: pd.DataFrame, group: Indices, groups: int) -> Floats:
    spots = floats(quotes["underlying_price"])
    known = np.isfinite(spots) & (spots > 0)
    return group_median(group=group[known], value=spots[known], groups=groups)


def _years(terms: pd.DataFrame, *, as_of: datetime, calendar: TradingCalendar) -> Floats:
    moments = (
        expires_at(root, expiration.date(), calendar=calendar)
        for root, expiration in zip(terms["root"], terms["expiration"], strict=True)
    )
    return np.array([(moment - as_of) / timedelta(seconds=SECONDS_PER_YEAR) for moment in moments])
