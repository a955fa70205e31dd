"""Who is served first of a displayed size: price, then time, among orders that want the same."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from decimal import Decimal

from mahler_pipelines.exchange.orders import Order
from mahler_pipelines.options.structures import Side

Wanted = frozenset[tuple[str, Side, int]]
"""Symbol, side and ratio of each leg: what makes two orders want the same."""

_MARKET = Decimal("Infinity")


def price_time(orders: Iterable[Order]) -> list[Order]:
    """Return orders, given as they came, in the order in which they are served.

    Among orders for the same legs the one that pays more, or asks less, goes first, and of equals
    the earlier. Orders for different legs can't be compared by price: they keep their turns.
    """
    came = list(orders)
    rivals: dict[Wanted, list[Order]] = defaultdict(list)
    for order in came:
        rivals[_wanted(order)].append(order)
    served: dict[Wanted, Iterator[Order]] = {
        # sorted() is stable: of equal prices the earlier stays in front.
        wanted: iter(sorted(group, key=_eagerness, reverse=True))
        for wanted, group in rivals.items()
    }
    return [next(served[_wanted(order)]) for order in came]


def _wanted(order: Order) -> Wanted:
    return frozenset((leg.symbol, leg.side, leg.ratio) for leg in order.terms)


def _eagerness(order: Order) -> Decimal:
    """Largest net debit that it accepts; a stop that waits comes after everybody."""
    if order.waits_for_stop:
        return -_MARKET
    return _MARKET if order.net_limit is None else order.net_limit
