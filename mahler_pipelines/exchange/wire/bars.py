"""Pages of daily bars, written as JSON text straight from the columns.

A page may hold ten thousand bars: a dict for each and an encoder after them cost three times the
market's own work.
"""

from bisect import bisect_left
from datetime import date
from itertools import groupby

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from starlette.responses import Response

from mahler_pipelines.exchange.wire.format import bad_request, day_stamp, parse_day

_PRICES = ["open", "high", "low", "close"]


def bars_answer(table: pd.DataFrame, name: str, limit: int, page_token: str | None) -> Response:
    """Answer with a page of daily bars, by symbol and then by session.

    `name` is the column of the symbol; incomplete rows are left out. The token is `symbol|session`
    of the last bar of the page before.
    """
    if table.empty:
        return _answer("", None)
    table = table.loc[np.isfinite(table[_PRICES].to_numpy(dtype=np.float64)).all(axis=1)]
    places, found = pd.factorize(table[name], sort=True)
    symbols: list[str] = found.tolist()
    sessions = pd.to_datetime(table["session"]).to_numpy(dtype="datetime64[D]")
    order = np.lexsort((sessions, places))
    start = _page_start(symbols, places[order], sessions[order], page_token)
    page = order[start : start + limit]
    shown = [symbols[place] for place in places[page].tolist()]
    rows = zip(shown, _bar_texts(table.iloc[page], sessions[page]), strict=True)
    # Symbols of contracts and shares hold nothing that JSON would have to escape.
    text = ",".join(
        f'"{symbol}":[{",".join(bar for _, bar in bars)}]'
        for symbol, bars in groupby(rows, key=lambda row: row[0])
    )
    more = start + limit < len(order)
    return _answer(text, f"{shown[-1]}|{sessions[page[-1]]}" if more else None)


def _bar_texts(page: pd.DataFrame, sessions: NDArray[np.datetime64]) -> list[str]:
    """Write each bar; the number of trades is not known and the close stands for the VWAP."""
    days, day = np.unique(sessions, return_inverse=True)
    stamps = [day_stamp(date.fromisoformat(str(one))) for one in days]
    prices = [page[column].astype("float64").tolist() for column in _PRICES]
    volumes = page["volume"].fillna(0).astype("int64").tolist()
    return [
        f'{{"t":"{stamps[at]}","o":{o!r},"h":{h!r},"l":{low!r},"c":{c!r},"v":{v},"n":0,"vw":{c!r}}}'
        for at, o, h, low, c, v in zip(day.tolist(), *prices, volumes, strict=True)
    ]


def _page_start(
    symbols: list[str],
    places: NDArray[np.intp],
    sessions: NDArray[np.datetime64],
    token: str | None,
) -> int:
    """Return where the page after a token begins; refuse what is no token of ours with 400."""
    if token is None:
        return 0
    symbol, bar, day = token.rpartition("|")
    if not bar:
        raise bad_request(f"invalid page_token: {token}")
    last = np.datetime64(parse_day(day, "page_token"))
    place = bisect_left(symbols, symbol)
    is_known = place < len(symbols) and symbols[place] == symbol
    first = int(np.searchsorted(places, place))
    if not is_known:
        return first
    own = sessions[first : int(np.searchsorted(places, place, side="right"))]
    return first + int(np.searchsorted(own, last, side="right"))


def _answer(bars: str, token: str | None) -> Response:
    following = "null" if token is None else f'"{token}"'
    body = f'{{"bars":{{{bars}}},"next_page_token":{following}}}'
    return Response(body, media_type="application/json")
