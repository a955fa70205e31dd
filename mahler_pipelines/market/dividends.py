"""Cash dividends that the desk knows of, kept in the lake so that a number leads back to them.

The table has a row without ex-date for every underlying that was asked about and has none declared:
it was looked for in vain, which is not the same as never having been looked for.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Final

import pandas as pd

from mahler_pipelines.market.data import DIVIDEND_COLUMNS, MarketData
from mahler_pipelines.market.lake import Lake

DIVIDENDS: Final = "dividends"
"""The lake's table; scans write it for the universe, looks for what scans have not asked about."""
LOOK: Final = "monitor"
"""The `scan` of what a look at positions had to ask for itself."""


@dataclass(frozen=True, slots=True, order=True)
class CashDividend:
    """A dividend of `amount` USD per share: who holds the share into `ex_date` gets it."""

    ex_date: date
    amount: Decimal


def dividend_table(
    market_data: MarketData, underlyings: Sequence[str], *, session: date, days: int
) -> pd.DataFrame:
    """Ask for what goes ex within `days` calendar days after a session; see the module."""
    asked = list(dict.fromkeys(underlyings))
    found = market_data.dividends(
        asked, start=session + timedelta(days=1), end=session + timedelta(days=days)
    )
    silent = [name for name in asked if name not in set(found["underlying"])]
    blank = pd.DataFrame({"underlying": silent, "special": False}).reindex(
        columns=list(DIVIDEND_COLUMNS)
    )
    rows = [found, blank] if len(found) else [blank]
    table = pd.concat([part.astype(DIVIDEND_COLUMNS) for part in rows], ignore_index=True)
    return table.sort_values(["underlying", "ex_date"], ignore_index=True)


def known_dividends(
    lake: Lake, market_data: MarketData, underlyings: Sequence[str], *, session: date, days: int
) -> dict[str, tuple[CashDividend, ...]]:
    """Return by underlying the dividends that the session's lake knows, by ex-date.

    What no scan of the session asked about is asked for once, and kept for the next look. Raises
    `BrokerUnavailable` when that is not answered.
    """
    known = lake.read_range(DIVIDENDS, start=session, end=session)
    seen = set(known["underlying"]) if len(known) else set()
    missing = [name for name in dict.fromkeys(underlyings) if name not in seen]
    if missing:
        asked = dividend_table(market_data, missing, session=session, days=days)
        before = known[known["scan"] == LOOK] if len(known) else asked.iloc[:0]
        kept = pd.concat([before[list(DIVIDEND_COLUMNS)], asked], ignore_index=True)
        lake.write(DIVIDENDS, kept.astype(DIVIDEND_COLUMNS), session=session, scan=LOOK)
        known = pd.concat([known, asked], ignore_index=True) if len(known) else asked
    return {name: _dividends(known, name) for name in underlyings}


def _dividends(table: pd.DataFrame, underlying: str) -> tuple[CashDividend, ...]:
    mine = table[(table["underlying"] == underlying) & table["ex_date"].notna()]
    # Scans of one session repeat each other.
    rows = mine.drop_duplicates(["ex_date", "amount"])
    found = (
        CashDividend(moment.date(), Decimal(str(amount)))
        for moment, amount in zip(rows["ex_date"], rows["amount"], strict=True)
    )
    return tuple(sorted(found))
