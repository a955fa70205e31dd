"""What the market shows at the exchange's moment, indexed by symbol and kept until it moves."""

from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mahler_pipelines.exchange.instruments import exact_price, is_index, option_contract
from mahler_pipelines.exchange.market import Market, StockQuote
from mahler_pipelines.exchange.matching import Execution, TopOfBook
from mahler_pipelines.exchange.orders import LegTerms
from mahler_pipelines.market.sessions import NEW_YORK
from mahler_pipelines.options.contracts import SettlementKind, settlement_kind
from mahler_pipelines.options.structures import Side


@dataclass(frozen=True)
class Chain:
    """One underlying's quotes at one moment, by symbol ascending.

    `columns` maps each of QUOTE_COLUMNS to an array; all are of equal length.
    """

    columns: dict[str, NDArray[Any]]

    @classmethod
    def of(cls, quotes: pd.DataFrame) -> "Chain":
        """Sort a quote table by symbol and take its columns apart."""
        ordered = quotes.sort_values("symbol", kind="stable")
        arrays: dict[str, NDArray[Any]] = {}
        for name in ordered.columns:
            column = ordered[name]
            if isinstance(column.dtype, pd.DatetimeTZDtype):
                column = column.dt.tz_localize(None)
            arrays[name] = column.to_numpy()
        return cls(arrays)

    @cached_property
    def symbols(self) -> list[str]:
        """OCC symbols, ascending."""
        return [str(symbol) for symbol in self.columns["symbol"].tolist()]

    @cached_property
    def rows(self) -> dict[str, int]:
        """Symbol to row."""
        return {symbol: row for row, symbol in enumerate(self.symbols)}

    def value(self, name: str, row: int) -> float:
        """Return one number."""
        return float(self.columns[name][row])

    def quoted_on(self, row: int) -> date | None:
        """New York date of a quote; None where it carries no time."""
        stamp = self.columns["quote_time"][row]
        if np.isnat(stamp):
            return None
        return pd.Timestamp(stamp).tz_localize("UTC").astimezone(NEW_YORK).date()


Shown = tuple[date, Decimal | None, int | None]
"""One side of a quote: its New York day, price and size. Another one is another quote."""


@dataclass(frozen=True, slots=True)
class Taken:
    """How much of one displayed side has been sold."""

    shown: Shown
    quantity: int


@dataclass(slots=True)
class MarketView:
    """The market at one moment. Asking again at the same moment costs nothing.

    Displayed size that an order has taken is gone until that side shows another price or size.
    """

    market: Market
    moment: datetime
    _chains: dict[str, Chain] = field(default_factory=dict)
    _listed: dict[str, pd.Series] = field(default_factory=dict)
    _taken: dict[tuple[str, Side], Taken] = field(default_factory=dict)

    def move_to(self, moment: datetime) -> None:
        """Forget what was displayed; the next question is asked at the new moment."""
        if moment == self.moment:
            return
        if moment.astimezone(NEW_YORK).date() != self.moment.astimezone(NEW_YORK).date():
            self._listed.clear()
            self._taken.clear()
        self.moment = moment
        self._chains.clear()

    def chain(self, underlying: str) -> Chain:
        """Return quotes of everything listed on an underlying."""
        if underlying not in self._chains:
            self._chains[underlying] = Chain.of(self.market.quotes(underlying, self.moment))
        return self._chains[underlying]

    def stock(self, underlying: str) -> StockQuote | None:
        """Return the share quote or index level."""
        return self.market.stock_quote(underlying, self.moment)

    def is_listed(self, symbol: str) -> bool:
        """Whether the contract, or the share, is listed now and trades on this day."""
        contract = option_contract(symbol)
        if contract is None:
            return symbol in self.market.underlyings and not is_index(symbol)
        if not self.trades_on(symbol, self.moment.astimezone(NEW_YORK).date()):
            return False
        return symbol in self._listing(contract.underlying).index

    @staticmethod
    def trades_on(symbol: str, day: date) -> bool:
        """Whether a contract's last trading day is not over: the day before, if it settles open."""
        contract = option_contract(symbol)
        if contract is None:
            return True
        if settlement_kind(contract.root) is SettlementKind.CASH_ON_OPEN:
            return day < contract.expiration
        return day <= contract.expiration

    def book(self, symbol: str) -> TopOfBook | None:
        """Return the displayed quote less what was taken of it; None for one of another day."""
        displayed = self._displayed(symbol)
        if displayed is None:
            return None
        return replace(
            displayed,
            bid_size=self._left(displayed, symbol, Side.SELL),
            ask_size=self._left(displayed, symbol, Side.BUY),
        )

    def mark(self, symbol: str) -> Decimal | None:
        """Return the middle of a usable quote, or a share's last price where it has no quote."""
        displayed = self._displayed(symbol)
        return None if displayed is None else displayed.mid

    def take(self, legs: tuple[LegTerms, ...], execution: Execution) -> None:
        """Remove what an execution took from the displayed sizes."""
        for leg in legs:
            displayed = self._displayed(leg.symbol)
            if displayed is None:
                continue
            shown, key = self._side(displayed, leg.side), (leg.symbol, leg.side)
            before = self._taken.get(key)
            so_far = before.quantity if before is not None and before.shown == shown else 0
            self._taken[key] = Taken(shown, so_far + leg.ratio * execution.units)

    def previous_closes(self, underlying: str, chain: Chain) -> NDArray[np.float64]:
        """Return the previous session's close of each row of a chain; NaN where not known."""
        closes = self._listing(underlying).reindex(chain.symbols)
        return closes.to_numpy(dtype=np.float64)

    def _listing(self, underlying: str) -> pd.Series:
        """Previous close by symbol of everything listed on this day."""
        if underlying not in self._listed:
            table = self.market.listed_contracts(underlying, self.moment)
            self._listed[underlying] = table.set_index("symbol")["close"]
        return self._listed[underlying]

    def _left(self, displayed: TopOfBook, symbol: str, side: Side) -> int | None:
        """Size of a side less what was taken of this very quote; None without sizes."""
        shown = self._side(displayed, side)
        size, taken = shown[2], self._taken.get((symbol, side))
        if size is None or taken is None or taken.shown != shown:
            return size
        return max(0, size - taken.quantity)

    def _side(self, displayed: TopOfBook, side: Side) -> Shown:
        """What an order of this side trades against: a buyer the ask, a seller the bid."""
        day = self.moment.astimezone(NEW_YORK).date()
        if side is Side.BUY:
            return day, displayed.ask, displayed.ask_size
        return day, displayed.bid, displayed.bid_size

    def _displayed(self, symbol: str) -> TopOfBook | None:
        contract = option_contract(symbol)
        if contract is None:
            return self._share_book(symbol)
        chain = self.chain(contract.underlying)
        row = chain.rows.get(symbol)
        if row is None or chain.quoted_on(row) != self.moment.astimezone(NEW_YORK).date():
            return None
        return TopOfBook(
            exact_price(chain.value("bid", row)),
            exact_price(chain.value("ask", row)),
            _size(chain.value("bid_size", row)),
            _size(chain.value("ask_size", row)),
        )

    def _share_book(self, symbol: str) -> TopOfBook | None:
        quote = self.stock(symbol)
        if quote is None or is_index(symbol):
            return None
        if quote.bid is None or quote.ask is None:
            # An archive knows shares by one price only; it is the one that both sides get.
            last = exact_price(quote.last)
            return TopOfBook(last, last, None, None)
        return TopOfBook(
            exact_price(quote.bid), exact_price(quote.ask), quote.bid_size, quote.ask_size
        )


def _size(value: float) -> int | None:
    return None if np.isnan(value) else int(value)
