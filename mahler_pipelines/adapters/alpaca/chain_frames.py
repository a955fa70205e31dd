"""Alpaca's JSON as tables: snapshots, listings and bars, joined without loops over contracts."""

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mahler_pipelines.adapters.alpaca.wire_columns import WireRows
from mahler_pipelines.market.chains import QUOTE_COLUMNS
from mahler_pipelines.market.data import STOCK_QUOTE_COLUMNS
from mahler_pipelines.market.sessions import NEW_YORK
from mahler_pipelines.options.contracts import SHARES_PER_CONTRACT, underlying_of

_log = logging.getLogger(__name__)

_OCC: Final = re.compile(r"([A-Z]{1,6}[0-9]?)([0-9]{6})([CP])([0-9]{8})")
_PRICES = ("open", "high", "low", "close", "volume")


@dataclass(frozen=True, slots=True)
class OccSymbols:
    """OCC symbols and what they say, by columns."""

    symbol: list[str]
    root: list[str]
    expiration: NDArray[np.datetime64]
    right: NDArray[np.int8]
    strike: NDArray[np.float64]

    @classmethod
    def parse(cls, symbols: Sequence[str]) -> "OccSymbols":
        """Read symbols; what is no OCC symbol is left out and logged."""
        matched = [(name, _OCC.fullmatch(name)) for name in symbols]
        # A chain has few expirations: each is read once.
        days = {match[2] for _, match in matched if match}
        dated = {day: moment for day in days if (moment := _day(day)) is not None}
        formed = [match for _, match in matched if match and match[2] in dated]
        if len(formed) < len(matched):
            odd = [name for name, match in matched if not match or match[2] not in dated]
            _log.warning("not OCC symbols, left out: %s", ", ".join(odd[:5]))
        return cls(
            symbol=[match[0] for match in formed],
            root=[match[1] for match in formed],
            expiration=np.array([dated[match[2]] for match in formed], dtype="datetime64[us]"),
            right=np.array([1 if match[3] == "C" else -1 for match in formed], dtype=np.int8),
            strike=np.array([int(match[4]) for match in formed], dtype=np.float64) / 1000,
        )

    def frame(self) -> pd.DataFrame:
        """Return columns symbol, root, expiration, right, strike."""
        return pd.DataFrame(
            {
                "symbol": pd.array(self.symbol, dtype="str"),
                "root": pd.array(self.root, dtype="str"),
                "expiration": self.expiration,
                "right": self.right,
                "strike": self.strike,
            }
        )


def _day(text: str) -> np.datetime64 | None:
    try:
        return np.datetime64(f"20{text[:2]}-{text[2:4]}-{text[4:]}")
    except ValueError:
        return None


def standard_contracts(contracts: WireRows) -> dict[str, float]:
    """Return the open interest of standard contracts by symbol, NaN where it is not said.

    A contract that delivers anything but 100 shares is left out; one that does not say is taken
    for standard unless its root ends in a digit, as roots of adjusted contracts do. A listing that
    is named twice counts once, as it was named first.
    """
    multiplier, size = contracts.reals("multiplier"), contracts.reals("size")
    says = ~(np.isnan(multiplier) & np.isnan(size))
    hundred = np.isnan(multiplier) | (multiplier == SHARES_PER_CONTRACT)
    hundred &= np.isnan(size) | (size == SHARES_PER_CONTRACT)
    adjusted = np.array([_is_adjusted(name[:-15]) for name in contracts.names], dtype=bool)
    interest = contracts.reals("open_interest").tolist()
    standard = np.where(says, hundred, ~adjusted).tolist()
    found: dict[str, float] = {}
    for name, known, is_standard in zip(contracts.names, interest, standard, strict=True):
        if is_standard:
            found.setdefault(name, known)
    return found


def _is_adjusted(root: str) -> bool:
    return root[-1:].isdigit()


def chain_frame(
    snapshots: WireRows,
    contracts: Mapping[str, float],
    *,
    underlying_prices: Mapping[str, float],
    underlying: str | None = None,
) -> pd.DataFrame:
    """Join snapshots and standard contracts into `chains.QUOTE_COLUMNS`, by symbol.

    Listed contracts without a snapshot stay, without quotes. A snapshot that is not listed stays
    too, without open interest, unless its root ends in a digit (adjusted).
    """
    others = (name for name in snapshots.names if name not in contracts)
    unlisted = [name for name in others if not _is_adjusted(name[:-15])]
    known = OccSymbols.parse(sorted([*contracts, *unlisted]))
    place = {name: at for at, name in enumerate(snapshots.names)}
    # The last place of every column is that of no snapshot.
    at = np.array([place.get(name, -1) for name in known.symbol], dtype=np.intp)
    names = [underlying or underlying_of(root) for root in known.root]
    prices = [underlying_prices.get(name, np.nan) for name in names]
    columns = {
        "underlying": pd.array(names, dtype="str"),
        "symbol": pd.array(known.symbol, dtype="str"),
        "root": pd.array(known.root, dtype="str"),
        "expiration": known.expiration,
        "right": known.right,
        "strike": known.strike,
        **{name: np.append(found, np.nan)[at] for name, found in _quoted(snapshots).items()},
        "open_interest": np.array([contracts.get(name, np.nan) for name in known.symbol], float),
        "quote_time": snapshots.member("latestQuote").moments("t").at(at),
        "underlying_price": np.array(prices, dtype=np.float64),
    }
    return pd.DataFrame({name: columns[name] for name in QUOTE_COLUMNS})


def _quoted(snapshots: WireRows) -> dict[str, NDArray[np.float64]]:
    """The numbers of snapshots; NaN where a snapshot has no such member."""
    quote = snapshots.member("latestQuote")
    return {
        "bid": quote.reals("bp"),
        "ask": quote.reals("ap"),
        "bid_size": quote.reals("bs"),
        "ask_size": quote.reals("as"),
        "last": snapshots.member("latestTrade").reals("p"),
        "volume": snapshots.member("dailyBar").reals("v"),
        "previous_volume": snapshots.member("prevDailyBar").reals("v"),
    }


def share_prices(snapshots: WireRows) -> dict[str, float]:
    """Mid of a share's quote, else its last trade; NaN where Alpaca has neither."""
    quote = snapshots.member("latestQuote")
    bid, ask = quote.reals("bp"), quote.reals("ap")
    last = snapshots.member("latestTrade").reals("p")
    price = np.where((bid > 0) & (ask > 0), (bid + ask) / 2, last)
    return dict(zip(snapshots.names, price.tolist(), strict=True))


def stock_quotes_frame(snapshots: WireRows) -> pd.DataFrame:
    """Return `STOCK_QUOTE_COLUMNS`; a side of 0 is no side."""
    quote, trade = snapshots.member("latestQuote"), snapshots.member("latestTrade")
    moments = quote.moments("t").series()
    bid, ask = quote.reals("bp"), quote.reals("ap")
    frame = pd.DataFrame(
        {
            "underlying": pd.Series(snapshots.names, dtype="str"),
            "bid": np.where(bid > 0, bid, np.nan),
            "ask": np.where(ask > 0, ask, np.nan),
            "last": trade.reals("p"),
            "quote_time": moments.fillna(trade.moments("t").series()),
        }
    )
    return frame[list(STOCK_QUOTE_COLUMNS)]


def bars_frame(bars: WireRows, *, name: str, columns: Sequence[str]) -> pd.DataFrame:
    """Return bars by symbol and session, the given columns, `name` being the symbol's."""
    sessions = bars.moments("t").days(NEW_YORK)
    different = sorted(set(bars.names))
    index = {symbol: place for place, symbol in enumerate(different)}
    places = np.fromiter((index[symbol] for symbol in bars.names), dtype=np.intp, count=len(bars))
    order = np.lexsort((sessions, places))
    frame = pd.DataFrame(
        {
            name: pd.array(different, dtype="str").take(places[order]),
            "session": sessions[order],
            **{column: bars.reals(column[0])[order] for column in _PRICES if column in columns},
        }
    )
    return frame[list(columns)]
