"""Alpaca's JSON as columns: snapshots, listings and bars, joined without loops over contracts."""

import logging
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

import numpy as np
import pandas as pd

from mahler_pipelines.adapters.alpaca.wire_models import WireBar, WireContract, WireSnapshot
from mahler_pipelines.market.chains import conform_quotes
from mahler_pipelines.market.data import STOCK_QUOTE_COLUMNS
from mahler_pipelines.market.sessions import NEW_YORK
from mahler_pipelines.options.contracts import SHARES_PER_CONTRACT, underlying_of

_log = logging.getLogger(__name__)

_OCC = r"^(?P<root>[A-Z]{1,6}\d?)(?P<day>\d{6})(?P<letter>[CP])(?P<thousandths>\d{8})$"
_QUOTE_TIME: Final = "datetime64[us, UTC]"
_STANDARD = Decimal(SHARES_PER_CONTRACT)


def parse_symbols(symbols: Sequence[str]) -> pd.DataFrame:
    """Return symbol, root, expiration, right, strike of OCC symbols.

    What is no OCC symbol is left out and logged.
    """
    names = pd.Series(list(symbols), dtype="str", name="symbol")
    parts = names.str.extract(_OCC)
    expiration = pd.to_datetime(parts["day"], format="%y%m%d", errors="coerce")
    frame = pd.DataFrame(
        {
            "symbol": names,
            "root": parts["root"],
            "expiration": expiration.astype("datetime64[us]"),
            "right": parts["letter"].map({"C": 1, "P": -1}),
            "strike": pd.to_numeric(parts["thousandths"]).astype("float64") / 1000,
        }
    )
    odd = frame["expiration"].isna() | frame["right"].isna()
    if odd.any():
        _log.warning("not OCC symbols, left out: %s", ", ".join(names[odd].head(5)))
    return frame.loc[~odd].astype({"right": "int8"}).reset_index(drop=True)


def snapshots_frame(snapshots: Mapping[str, WireSnapshot]) -> pd.DataFrame:
    """Return the quotes of snapshots by symbol; NaN where a snapshot has no such member."""
    rows = [
        (
            snap.quote.bp,
            snap.quote.ap,
            snap.quote.bs,
            snap.quote.as_,
            snap.trade.p,
            snap.day.v,
            snap.previous_day.v,
        )
        for snap in snapshots.values()
    ]
    names = ("bid", "ask", "bid_size", "ask_size", "last", "volume", "previous_volume")
    frame = pd.DataFrame(rows, columns=list(names), dtype="float64")
    frame["quote_time"] = pd.Series(
        [snap.quote.t for snap in snapshots.values()], dtype=_QUOTE_TIME
    )
    frame.insert(0, "symbol", pd.Series(list(snapshots), dtype="str"))
    return frame


def contracts_frame(contracts: Sequence[WireContract]) -> pd.DataFrame:
    """Return symbol, root, expiration, right, strike, open_interest of standard contracts.

    A contract that delivers anything but 100 shares is left out; one that does not say is taken
    for standard unless its root ends in a digit, as roots of adjusted contracts do.
    """
    standard = [contract for contract in contracts if _is_standard(contract)]
    interest = pd.DataFrame(
        {
            "symbol": pd.Series([contract.symbol for contract in standard], dtype="str"),
            "open_interest": pd.Series([c.open_interest for c in standard], dtype="float64"),
        }
    )
    parsed = parse_symbols(interest["symbol"].to_list())
    return parsed.merge(interest.drop_duplicates("symbol"), on="symbol", how="left")


def _is_standard(contract: WireContract) -> bool:
    said = [number for number in (contract.multiplier, contract.size) if number is not None]
    if said:
        return all(number == _STANDARD for number in said)
    return not contract.symbol[:-15][-1:].isdigit()


def join_chain(
    snapshots: pd.DataFrame,
    contracts: pd.DataFrame,
    *,
    underlying_prices: Mapping[str, float],
    underlying: str | None = None,
) -> pd.DataFrame:
    """Join snapshots and listings into `chains.QUOTE_COLUMNS`.

    Listed contracts without a snapshot stay, without quotes. A snapshot that is not listed stays
    too, without open interest, unless its root ends in a digit (adjusted).
    """
    unlisted = snapshots.loc[~snapshots["symbol"].isin(contracts["symbol"]), "symbol"]
    others = parse_symbols(unlisted.to_list())
    others = others.loc[~others["root"].str.fullmatch(r".*\d")].assign(open_interest=np.nan)
    parts = [part for part in (contracts, others) if not part.empty]
    known = pd.concat(parts, ignore_index=True) if parts else contracts
    quotes = known.merge(snapshots, on="symbol", how="left")
    quotes["underlying"] = underlying or quotes["root"].map(underlying_of)
    prices = quotes["underlying"].map(dict(underlying_prices))
    quotes["underlying_price"] = prices.astype("float64")
    return conform_quotes(quotes.sort_values("symbol", ignore_index=True))


def stock_quotes_frame(snapshots: Mapping[str, WireSnapshot]) -> pd.DataFrame:
    """Return `STOCK_QUOTE_COLUMNS`; a side of 0 is no side."""
    values = list(snapshots.values())
    frame = pd.DataFrame(
        {
            "underlying": pd.Series(list(snapshots), dtype="str"),
            "bid": pd.Series([snap.quote.bp for snap in values], dtype="float64"),
            "ask": pd.Series([snap.quote.ap for snap in values], dtype="float64"),
            "last": pd.Series([snap.trade.p for snap in values], dtype="float64"),
            "quote_time": pd.Series(
                [snap.quote.t or snap.trade.t for snap in values], dtype=_QUOTE_TIME
            ),
        }
    )
    for side in ("bid", "ask"):
        frame[side] = frame[side].where(frame[side] > 0)
    return frame[list(STOCK_QUOTE_COLUMNS)]


def bars_frame(
    bars: Mapping[str, Sequence[WireBar]], *, name: str, columns: Sequence[str]
) -> pd.DataFrame:
    """Return bars by symbol and session, the given columns, `name` being the symbol's."""
    rows = [
        (symbol, bar.t, bar.o, bar.h, bar.l, bar.c, bar.v)
        for symbol, several in bars.items()
        for bar in several
    ]
    names = [name, "session", "open", "high", "low", "close", "volume"]
    frame = pd.DataFrame(rows, columns=names)
    moments = pd.Series([row[1] for row in rows], dtype=_QUOTE_TIME)
    frame["session"] = (
        moments.dt.tz_convert(NEW_YORK).dt.tz_localize(None).dt.normalize().astype("datetime64[us]")
    )
    numbers = dict.fromkeys(("open", "high", "low", "close", "volume"), "float64")
    typed = frame.astype({name: "str"} | numbers)
    return typed.sort_values([name, "session"], ignore_index=True)[list(columns)]
