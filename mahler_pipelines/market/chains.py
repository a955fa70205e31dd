"""Option chains: the columns of a quote table, and one immutable snapshot of a scan."""

import hashlib
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

import pandas as pd

from mahler_pipelines.errors import BadInput

QUOTE_COLUMNS: dict[str, str] = {
    "underlying": "str",
    "symbol": "str",
    "root": "str",
    "expiration": "datetime64[us]",
    "right": "int8",
    "strike": "float64",
    "bid": "float64",
    "ask": "float64",
    "bid_size": "float64",
    "ask_size": "float64",
    "last": "float64",
    "volume": "float64",
    "previous_volume": "float64",
    "open_interest": "float64",
    "quote_time": "datetime64[us, UTC]",
    "underlying_price": "float64",
}
"""Column -> dtype of a chain. One row per contract; NaN where the market gave nothing.

`right` is +1 for a call and -1 for a put; prices are USD per share; `volume` is today's so far,
`previous_volume` the previous session's; `open_interest` is as of the previous close.
"""


class Scan(StrEnum):
    """The moments of a session at which the desk looks at every chain."""

    MORNING = "morning"
    MIDDAY = "midday"
    AFTERNOON = "afternoon"
    CLOSE = "close"


class QuoteDefect(StrEnum):
    """Why a quote can't be used. `market.liquidity.quote_defects` assigns them."""

    MISSING = "quote_missing"
    NEGATIVE = "quote_negative"
    ZERO_BID = "quote_zero_bid"
    ONE_SIDED = "quote_one_sided"
    CROSSED = "quote_crossed"
    LOCKED = "quote_locked"
    STALE = "quote_stale"


@dataclass(frozen=True, slots=True, eq=False)
class ChainSnapshot:
    """Quotes seen at one moment: immutable, identified by the hash of their content.

    `scan` is a `Scan` value for a whole scan, `monitor` or `execution` for the few contracts that
    were looked at while watching a position or sending an order.
    """

    session: date
    scan: str
    as_of: datetime
    quotes: pd.DataFrame

    def __post_init__(self) -> None:
        if self.as_of.tzinfo is None:
            raise BadInput("as_of", self.as_of, "needs a time zone")
        missing = [name for name in QUOTE_COLUMNS if name not in self.quotes.columns]
        if missing:
            raise BadInput("quotes", missing, "columns are missing")

    @property
    def content_hash(self) -> str:
        """SHA-256 over session, scan, time and every quote, independent of row order."""
        rows = self.quotes[list(QUOTE_COLUMNS)].sort_values("symbol", kind="stable")
        digest = hashlib.sha256(f"{self.session}|{self.scan}|{self.as_of.isoformat()}".encode())
        digest.update(pd.util.hash_pandas_object(rows, index=False).to_numpy().tobytes())
        return digest.hexdigest()


def empty_quotes() -> pd.DataFrame:
    """Return a chain without rows, with every column in its dtype."""
    return pd.DataFrame({name: pd.Series(dtype=dtype) for name, dtype in QUOTE_COLUMNS.items()})


def conform_quotes(quotes: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of `QUOTE_COLUMNS` in order and dtype; absent numbers become NaN.

    Raises `BadInput` when an identifying column (underlying, symbol, expiration, right, strike)
    is absent.
    """
    for name in ("underlying", "symbol", "root", "expiration", "right", "strike"):
        if name not in quotes.columns:
            raise BadInput("quotes", name, "identifying column is absent")
    return quotes.reindex(columns=list(QUOTE_COLUMNS)).astype(QUOTE_COLUMNS)
