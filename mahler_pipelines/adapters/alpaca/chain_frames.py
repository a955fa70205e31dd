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

_OCC = r"[A-Z]{1,6}\d?\d{6}[CP]\d{8}"
_QUOTE_TIME: Final = "datetime64[us, UTC]"
_STANDARD = Decimal(SHARES_PER_CONTRACT)


def parse_symbols(symbols: Sequence[str]) -> pd.DataFrame:
    """Return symbol, root, expiration, right, strike of OCC symbols.

    What is no OCC symbol is left out and logged.
    """
    names = pd.Series(list(symbols), dtype="str", name="symbol")
    formed = names.str.fullmatch(_OCC).to_numpy(dtype=bool)
    well = names[formed]
    # A chain has few expirations: each is read once.
    days = well.str.slice(-15, -9)
    known = {day: pd.to_datetime(day, format="%y%m%d", errors="coerce") for day in days.unique()}
    frame = pd.DataFrame(
        {
            "symbol": well,
            "root": well.str.slice(0, -15),
            "expiration": days.map(known).astype("datetime64[us]"),
            "right": np.where(well.str.slice(-9, -8) == "C", 1, -1).astype(np.int8),
            "strike": well.str.slice(-8).astype("float64") / 1000,
        }
    )
    dated = frame["expiration"].notna()
    odd = pd.concat([names[~formed], well[~dated]])
    if len(odd):
        _log.warning("not OCC symbols, left out: %s", ", ".join(odd.head(5)))
    return frame.loc[dated].reset_index(drop=True)


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
