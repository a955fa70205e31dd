"""When a stop order is triggered: by the displayed quote, as option exchanges elect them.

A stop to buy is triggered when the bid is at or above its stop price, a stop to sell when the ask
is at or below it: a market that has moved there, not one whose quote is merely wide. Trades trigger
nothing; this market's last trades carry no time.
"""

from dataclasses import replace
from datetime import datetime

from mahler_pipelines.exchange.matching import TopOfBook
from mahler_pipelines.exchange.orders import Order
from mahler_pipelines.options.structures import Side


def is_triggered(order: Order, book: TopOfBook | None) -> bool:
    """Whether what is displayed meets a waiting stop; an unusable quote meets none."""
    if order.stop_price is None or book is None or not book.is_usable:
        return False
    if order.legs[0].terms.side is Side.BUY:
        return book.bid is not None and book.bid >= order.stop_price
    return book.ask is not None and book.ask <= order.stop_price


def triggered(order: Order, book: TopOfBook | None, now: datetime) -> Order | None:
    """Return the order as it trades from now on, or None while it waits for its stop price.

    A `stop` is a market order from then on, a `stop_limit` a limit order.
    """
    if not order.waits_for_stop:
        return order
    return replace(order, triggered_at=now) if is_triggered(order, book) else None
