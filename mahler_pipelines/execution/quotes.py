"""From a quote table to prices: the one door from float quotes to Decimal money."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mahler_pipelines.errors import CorruptData
from mahler_pipelines.market.chains import QuoteDefect
from mahler_pipelines.options.structures import CENT, Structure

_RESOLUTION = Decimal("0.0001")


@dataclass(frozen=True, slots=True)
class BidAsk:
    """One contract's quote per share; None where the market gave nothing."""

    bid: Decimal | None
    ask: Decimal | None


@dataclass(frozen=True, slots=True)
class StructureQuote:
    """What one unit of a structure is quoted at, per share.

    `natural_credit` opens it (sells at the bid, buys at the ask) and `natural_cost` closes it
    (buys at the ask, sells at the bid). `mid` is both the credit to open and the cost to close at
    mid. Each is None where the quotes it needs can't be used; `problem` is then the first defect.
    """

    natural_credit: Decimal | None
    natural_cost: Decimal | None
    mid: Decimal | None
    problem: str = ""


def to_price(value: float) -> Decimal | None:
    """Turn a quoted number into a price per share, to 0.0001; None for what is not a number."""
    if not math.isfinite(value):
        return None
    price = Decimal(repr(float(value))).quantize(_RESOLUTION)
    cents = price.quantize(CENT)
    return cents if cents == price else price


def round_down(price: Decimal, tick: Decimal) -> Decimal:
    """Round to the next lower multiple of the tick."""
    return (price / tick).to_integral_value(ROUND_FLOOR) * tick


def round_up(price: Decimal, tick: Decimal) -> Decimal:
    """Round to the next higher multiple of the tick."""
    return (price / tick).to_integral_value(ROUND_CEILING) * tick


def bid_asks(quotes: pd.DataFrame, symbols: Iterable[str]) -> dict[str, BidAsk]:
    """Bid and ask of each symbol; a symbol without a row has neither."""
    wanted = list(dict.fromkeys(symbols))
    bid, ask = _sides(quotes, wanted)
    return {
        symbol: BidAsk(to_price(float(bid[row])), to_price(float(ask[row])))
        for row, symbol in enumerate(wanted)
    }


def underlying_prices(
    quotes: pd.DataFrame, stock_quotes: pd.DataFrame, underlyings: Iterable[str]
) -> dict[str, Decimal]:
    """Price of each underlying: mid of its quote, else its last, else the chain's own column.

    An underlying of which nothing is known is left out.
    """
    found: dict[str, Decimal] = {}
    stocks = stock_quotes.drop_duplicates("underlying", keep="last").set_index("underlying")
    chain = quotes.groupby("underlying")["underlying_price"].median()
    names = pd.Index(dict.fromkeys(underlyings))
    table = stocks.reindex(names)[["bid", "ask", "last"]].to_numpy(dtype=np.float64)
    carried = chain.reindex(names).to_numpy(dtype=np.float64)
    for name, (bid, ask, last), level in zip(names, table, carried, strict=True):
        mid = (bid + ask) / 2 if 0 < bid <= ask else math.nan
        usable = [price for price in (mid, last, level) if math.isfinite(price) and price > 0]
        price = to_price(float(usable[0])) if usable else None
        if price is not None:
            found[name] = price
    return found


def quote_structures(
    structures: Sequence[Structure], quotes: pd.DataFrame
) -> tuple[StructureQuote, ...]:
    """Quote many structures at once from one table with the columns of `QUOTE_COLUMNS`.

    A leg's quote is whole when both sides are there, neither is negative, the ask is positive and
    not below the bid. A zero bid counts: a worthless wing is offered and not bid for. Opening and
    mid need every leg whole. Closing is looser: it needs the ask of sold legs and the bid of bought
    ones, so that one missing side does not trap a position.
    """
    if not structures:
        return ()
    legs = [(row, leg) for row, structure in enumerate(structures) for leg in structure.legs]
    owner = np.array([row for row, _ in legs])
    signed = np.array([leg.signed_ratio for _, leg in legs], dtype=np.float64)
    bid, ask = _sides(quotes, [leg.contract.symbol for _, leg in legs])
    defects = _defects(bid, ask)
    needed = np.where(signed < 0, ask, bid)
    closable = np.isfinite(needed) & (needed >= 0) & ((signed > 0) | (needed > 0)) & ~(ask < bid)
    whole = _every(defects == "", owner, len(structures))
    closes = _every(closable, owner, len(structures))
    opening = _net(-signed * np.where(signed < 0, bid, ask), owner, whole)
    middle = _net(-signed * (bid + ask) / 2, owner, whole)
    closing = _net(-signed * needed, owner, closes)
    problems = _first_problem(defects, owner, len(structures))
    return tuple(
        StructureQuote(opening[row], closing[row], middle[row], problems[row])
        for row in range(len(structures))
    )


def quote_structure(structure: Structure, quotes: pd.DataFrame) -> StructureQuote:
    """Quote one structure; see `quote_structures`."""
    return quote_structures([structure], quotes)[0]


def _sides(
    quotes: pd.DataFrame, symbols: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    indexed = quotes.set_index("symbol")[["bid", "ask"]]
    if not indexed.index.is_unique:
        twice = sorted(set(indexed.index[indexed.index.duplicated()]))
        raise CorruptData(f"quotes carry a contract twice: {', '.join(map(str, twice[:5]))}")
    table = indexed.reindex(pd.Index(symbols)).to_numpy(dtype=np.float64)
    return table[:, 0], table[:, 1]


def _defects(bid: NDArray[np.float64], ask: NDArray[np.float64]) -> NDArray[np.str_]:
    no_bid, no_ask = ~np.isfinite(bid), ~np.isfinite(ask) | (ask == 0)
    empty = no_ask & (no_bid | (bid == 0))
    return np.select(
        [empty, (bid < 0) | (ask < 0), no_bid | no_ask, bid > ask],
        [
            QuoteDefect.MISSING.value,
            QuoteDefect.NEGATIVE.value,
            QuoteDefect.ONE_SIDED.value,
            QuoteDefect.CROSSED.value,
        ],
        default="",
    )


def _every(flags: NDArray[np.bool_], owner: NDArray[np.int_], count: int) -> NDArray[np.bool_]:
    every: NDArray[np.bool_] = np.bincount(owner[~flags], minlength=count) == 0
    return every


def _net(
    amounts: NDArray[np.float64], owner: NDArray[np.int_], usable: NDArray[np.bool_]
) -> list[Decimal | None]:
    total = np.bincount(owner, weights=np.nan_to_num(amounts), minlength=len(usable))
    return [to_price(float(total[row])) if usable[row] else None for row in range(len(usable))]


def _first_problem(defects: NDArray[np.str_], owner: NDArray[np.int_], count: int) -> list[str]:
    problems = [""] * count
    for row in np.flatnonzero(defects != "")[::-1]:
        problems[int(owner[row])] = str(defects[row])
    return problems
