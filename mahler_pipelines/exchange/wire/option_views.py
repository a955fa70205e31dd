"""Chains and quotes as Alpaca's market data writes them: JSON numbers, absent members.

Whole columns are turned into Python values at once; only dicts are built row by row.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mahler_pipelines.exchange.engine import Exchange
from mahler_pipelines.exchange.quotes import Chain
from mahler_pipelines.exchange.wire.format import day_stamp
from mahler_pipelines.market.sessions import NEW_YORK

Rows = NDArray[np.intp]
"""Row numbers of a chain."""


def bar(stamp: str, prices: tuple[float, float, float, float], volume: int) -> dict[str, Any]:
    """Write one bar; the number of trades is not known and the close stands for the VWAP."""
    o, h, low, c = prices
    return {"t": stamp, "o": o, "h": h, "l": low, "c": c, "v": volume, "n": 0, "vw": c}


def snapshots(exchange: Exchange, underlying: str, chain: Chain, rows: Rows) -> dict[str, Any]:
    """Write the snapshots of some rows of a chain; members without a value are absent."""
    if not len(rows):
        return {}
    calendar = exchange.terms.calendar
    today = exchange.now.astimezone(NEW_YORK).date()
    session = today if calendar.is_session(today) else calendar.previous(today)
    stamp, before = day_stamp(session), day_stamp(calendar.previous(session))
    column = {name: values[rows] for name, values in chain.columns.items()}
    price = np.where(np.isfinite(column["last"]), column["last"], _mid(column))
    close = exchange.view.previous_closes(underlying, chain)[rows]
    previous = np.where(np.isfinite(close), close, price)
    members = zip(
        column["symbol"].tolist(),
        quote_members(chain, rows),
        _trades(column),
        _day_bars(stamp, price, column["volume"]),
        _day_bars(before, previous, column["previous_volume"]),
        strict=True,
    )
    names = ("latestQuote", "latestTrade", "dailyBar", "prevDailyBar")
    return {
        symbol: {
            name: value for name, value in zip(names, values, strict=True) if value is not None
        }
        for symbol, *values in members
    }


def _mid(column: dict[str, Any]) -> NDArray[np.float64]:
    middle: NDArray[np.float64] = (column["bid"] + column["ask"]) / 2
    return middle


def _stamps(times: NDArray[Any]) -> list[str]:
    unique, inverse = np.unique(times, return_inverse=True)
    texts = [f"{text}Z" for text in np.datetime_as_string(unique, unit="us").tolist()]
    return [texts[place] for place in inverse.tolist()]


def quote_members(chain: Chain, rows: Rows) -> list[dict[str, Any] | None]:
    """Two-sided quotes; a side that is not there is zero, as on Alpaca's wire."""
    bid, ask = chain.columns["bid"][rows], chain.columns["ask"][rows]
    seen = (np.isfinite(bid) | np.isfinite(ask)).tolist()
    sizes = [
        np.nan_to_num(chain.columns[name][rows].astype("float64")).astype("int64").tolist()
        for name in ("bid_size", "ask_size")
    ]
    stamps = _stamps(chain.columns["quote_time"][rows])
    return [
        {"t": t, "bx": "C", "bp": b, "bs": bs, "ax": "C", "ap": a, "as": s, "c": "A"}
        if ok
        else None
        for ok, t, b, a, bs, s in zip(
            seen,
            stamps,
            np.nan_to_num(bid).tolist(),
            np.nan_to_num(ask).tolist(),
            *sizes,
            strict=True,
        )
    ]


def _trades(column: dict[str, Any]) -> list[dict[str, Any] | None]:
    last = column["last"]
    traded = (np.isfinite(last) & (last > 0)).tolist()
    return [
        {"t": t, "x": "C", "p": p, "s": 1, "c": "a"} if ok else None
        for ok, t, p in zip(traded, _stamps(column["quote_time"]), last.tolist(), strict=True)
    ]


def _day_bars(
    stamp: str, price: NDArray[np.float64], volume: NDArray[np.float64]
) -> list[dict[str, Any] | None]:
    known = (np.isfinite(price) & np.isfinite(volume)).tolist()
    counts = np.nan_to_num(volume).astype("int64").tolist()
    return [
        bar(stamp, (p, p, p, p), v) if ok else None
        for ok, p, v in zip(known, price.tolist(), counts, strict=True)
    ]
