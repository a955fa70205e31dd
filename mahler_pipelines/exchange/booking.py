"""What an execution does: to the order, the positions, the cash and the history of an account."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from mahler_pipelines.exchange.accounts import after_trade
from mahler_pipelines.exchange.activities import (
    ActivityKind,
    NonTrade,
    fill_activity,
    non_trade_activity,
)
from mahler_pipelines.exchange.instruments import cash_value, option_contract
from mahler_pipelines.exchange.matching import Execution, FeeSchedule, TopOfBook
from mahler_pipelines.exchange.orders import LegTerms, Order, OrderLeg, WireStatus
from mahler_pipelines.exchange.quotes import MarketView
from mahler_pipelines.exchange.streaming import RecordingStore
from mahler_pipelines.exchange.wire.errors import not_found
from mahler_pipelines.market.sessions import NEW_YORK


@dataclass(frozen=True, slots=True)
class Booking:
    """Books at the moment on which the view stands."""

    store: RecordingStore
    view: MarketView
    fees: FeeSchedule

    @property
    def _now(self) -> datetime:
        return self.view.moment

    def _fill(self, order: Order, execution: Execution) -> Order:
        """Book one execution: legs, positions, cash, fees, history."""
        filled = order.filled_quantity + execution.units
        done = filled == order.quantity
        legs = tuple(
            replace(
                leg,
                filled_quantity=leg.filled_quantity + leg.terms.ratio * execution.units,
                filled_value=leg.filled_value + price * leg.terms.ratio * execution.units,
            )
            for leg, price in zip(order.legs, execution.prices, strict=True)
        )
        order = replace(
            order,
            legs=legs,
            filled_quantity=filled,
            status=WireStatus.FILLED if done else WireStatus.PARTIALLY_FILLED,
            updated_at=self._now,
            filled_at=self._now if done else None,
        )
        self.store.update_order(order)
        for leg, price in zip(order.legs, execution.prices, strict=True):
            self._book_leg(order, leg, quantity=leg.terms.ratio * execution.units, price=price)
        return order

    def _book_leg(self, order: Order, leg: OrderLeg, *, quantity: int, price: Decimal) -> None:
        signed = leg.terms.side.sign * quantity
        self.trade(order.account, leg.terms.symbol, quantity=signed, price=price)
        cash = -cash_value(leg.terms.symbol, price, signed)
        is_option = option_contract(leg.terms.symbol) is not None
        fee = self.fees.fee(is_option=is_option, quantity=quantity)
        self.credit(order.account, cash - fee)
        self.store.add_activity(fill_activity(order, leg, quantity=quantity, price=price))
        if fee:
            event = NonTrade(
                ActivityKind.FEE, leg.terms.symbol, quantity, -fee, None, "transaction fee"
            )
            self.store.add_activity(non_trade_activity(order.account, event, happened=self._now))

    def trade(self, account: str, symbol: str, *, quantity: int, price: Decimal) -> None:
        """Change a holding by a signed quantity at a price; cash is booked by the caller."""
        before = self.store.position(account, symbol)
        after = after_trade(before, account=account, symbol=symbol, quantity=quantity, price=price)
        if after is None:
            self.store.drop_position(account, symbol)
            return
        mark = self.view.mark(symbol)
        self.store.save_position(after if mark is None else replace(after, mark=mark))

    def credit(self, account: str, amount: Decimal) -> None:
        """Add a signed amount of dollars to an account's cash."""
        found = self.store.account(account)
        if found is None:
            raise not_found("account not found")
        self.store.save_account(replace(found, cash=found.cash + amount))

    def _books(self, legs: Sequence[LegTerms]) -> dict[str, TopOfBook]:
        today = self._now.astimezone(NEW_YORK).date()
        books = {
            leg.symbol: self.view.book(leg.symbol)
            for leg in legs
            if self.view.trades_on(leg.symbol, today)
        }
        return {symbol: book for symbol, book in books.items() if book is not None}
