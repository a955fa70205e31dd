"""Matching against displayed quotes: a bought leg pays the ask, a sold leg gets the bid.

Nothing here knows of time, accounts or storage; the caller says what is displayed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from mahler_pipelines.exchange.orders import Intent, LegTerms
from mahler_pipelines.options.structures import Side


@dataclass(frozen=True, slots=True)
class TopOfBook:
    """The displayed quote of one symbol; None where the market shows nothing.

    A size of None means that the market gives no sizes, which does not limit a fill.
    """

    bid: Decimal | None
    ask: Decimal | None
    bid_size: int | None
    ask_size: int | None

    @property
    def is_usable(self) -> bool:
        """Whether both sides are there, the ask is positive and the quote is not crossed."""
        return (
            self.bid is not None
            and self.ask is not None
            and self.ask > 0
            and Decimal(0) <= self.bid <= self.ask
        )

    @property
    def mid(self) -> Decimal | None:
        """Middle of a usable quote."""
        if not self.is_usable or self.bid is None or self.ask is None:
            return None
        return (self.bid + self.ask) / 2


@dataclass(frozen=True, slots=True)
class FeeSchedule:
    """What a fill costs beyond its price. Paper trading charges nothing, so the default is zero."""

    per_contract: Decimal = Decimal("0.00")
    per_share: Decimal = Decimal("0.00")

    def fee(self, *, is_option: bool, quantity: int) -> Decimal:
        """Fee in dollars of a filled quantity of contracts or shares."""
        return (self.per_contract if is_option else self.per_share) * quantity


@dataclass(frozen=True, slots=True)
class Execution:
    """Units that fill now, and the price per share of each leg in order."""

    units: int
    prices: tuple[Decimal, ...]


def executable_price(leg: LegTerms, book: TopOfBook, *, alone: bool) -> Decimal | None:
    """Return the price at which one leg trades against its quote, None where it can't.

    A worthless long leg may be given away at zero inside a multi-leg order; nobody opens a short
    position, or sells a single leg, into an absent bid.
    """
    if not book.is_usable or book.bid is None:
        return None
    if leg.side is Side.BUY:
        return book.ask
    if book.bid == 0 and (alone or leg.intent is not Intent.SELL_TO_CLOSE):
        return None
    return book.bid


def natural_price(
    legs: Sequence[LegTerms], books: Mapping[str, TopOfBook]
) -> tuple[Decimal, tuple[Decimal, ...]] | None:
    """Return the net debit per unit and the legs' prices, or None when a leg can't trade."""
    prices: list[Decimal] = []
    for leg in legs:
        book = books.get(leg.symbol)
        price = None if book is None else executable_price(leg, book, alone=len(legs) == 1)
        if price is None:
            return None
        prices.append(price)
    net = sum(
        (leg.side.sign * leg.ratio * price for leg, price in zip(legs, prices, strict=True)),
        Decimal(0),
    )
    return net, tuple(prices)


def match(
    legs: Sequence[LegTerms],
    units: int,
    net_limit: Decimal | None,
    books: Mapping[str, TopOfBook],
) -> Execution | None:
    """Fill as many whole units as price and size allow, or None.

    `net_limit` is the largest net debit per unit (a credit is negative); None is a market order.
    """
    natural = natural_price(legs, books)
    if natural is None:
        return None
    net, prices = natural
    if net_limit is not None and net > net_limit:
        return None
    filled = min([units, *_units_displayed(legs, books)])
    return Execution(filled, prices) if filled > 0 else None


def at_limit(
    legs: Sequence[LegTerms], units: int, net_limit: Decimal, books: Mapping[str, TopOfBook]
) -> Execution | None:
    """Fill at exactly the limit, whatever is displayed; None where no prices of the legs make it.

    One leg gives or gets what lies between the net of the middle prices and the limit.
    """
    if len(legs) == 1:
        return Execution(units, (net_limit * legs[0].side.sign,))
    mids = [None if (book := books.get(leg.symbol)) is None else book.mid for leg in legs]
    prices = [round(mid, 2) for mid in mids if mid is not None]
    if len(prices) < len(legs):
        return None
    net = sum(
        (leg.side.sign * leg.ratio * price for leg, price in zip(legs, prices, strict=True)),
        Decimal(0),
    )
    for place, leg in enumerate(legs):
        moved = prices[place] + round((net_limit - net) / (leg.side.sign * leg.ratio), 4)
        off = leg.side.sign * leg.ratio * (moved - prices[place])
        if moved >= 0 and off == net_limit - net:
            return Execution(units, (*prices[:place], moved, *prices[place + 1 :]))
    return None


def _units_displayed(legs: Sequence[LegTerms], books: Mapping[str, TopOfBook]) -> list[int]:
    units = []
    for leg in legs:
        book = books[leg.symbol]
        size = book.ask_size if leg.side is Side.BUY else book.bid_size
        if size is not None and not (leg.side is Side.SELL and book.bid == 0):
            units.append(size // leg.ratio)
    return units
