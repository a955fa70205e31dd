"""Orders from acceptance to their end: submitted, filled, cancelled, replaced, expired."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

from mahler_pipelines.exchange import permissions
from mahler_pipelines.exchange.accounts import after_trade, short_shares_margin
from mahler_pipelines.exchange.activities import (
    ActivityKind,
    NonTrade,
    fill_activity,
    non_trade_activity,
)
from mahler_pipelines.exchange.clock import Timeline
from mahler_pipelines.exchange.instruments import cash_value, option_contract
from mahler_pipelines.exchange.matching import (
    Execution,
    FeeSchedule,
    TopOfBook,
    match,
    natural_price,
)
from mahler_pipelines.exchange.orders import (
    LegTerms,
    Order,
    OrderKind,
    OrderLeg,
    TimeInForce,
    WireStatus,
)
from mahler_pipelines.exchange.quotes import MarketView
from mahler_pipelines.exchange.store import ExchangeStore
from mahler_pipelines.exchange.tickets import Ticket, TicketLeg
from mahler_pipelines.exchange.wire.errors import (
    DUPLICATE_OR_BAD,
    WireRefusal,
    forbidden,
    not_found,
    unprocessable,
)
from mahler_pipelines.market.sessions import NEW_YORK
from mahler_pipelines.options.contracts import SettlementKind, settlement_kind

GTC_LIFE = timedelta(days=90)
"""How long Alpaca keeps a good-till-cancelled order."""


@dataclass(frozen=True, slots=True)
class Trading:
    """What can be done with orders at the moment on which the view stands."""

    store: ExchangeStore
    view: MarketView
    timeline: Timeline
    fees: FeeSchedule

    @property
    def _now(self) -> datetime:
        return self.view.moment

    def standing(self, account: str) -> permissions.Standing:
        """Return what the account holds and may do; raise 404 for no account."""
        found = self.store.account(account)
        if found is None:
            raise not_found("account not found")
        positions = self.store.positions(account)
        return permissions.Standing(
            found.configuration,
            found.cash,
            {position.symbol: position.quantity for position in positions},
            self.store.orders(account, is_open=True),
            short_shares_margin(positions),
        )

    def submit(self, account: str, ticket: Ticket, *, replaces: str | None = None) -> Order:
        """Accept an order and return it as first answered; `attempt` then tries to fill it.

        Raises `WireRefusal` where the exchange does not take it.
        """
        client_order_id = ticket.client_order_id or str(uuid4())
        if self.store.order_by_client_id(account, client_order_id) is not None:
            raise WireRefusal(422, DUPLICATE_OR_BAD, "client_order_id must be unique")
        legs = self._permitted(account, ticket, without=replaces)
        is_open = self.timeline.is_open(self._now)
        order = Order(
            id=str(uuid4()),
            account=account,
            client_order_id=client_order_id,
            multileg=ticket.multileg,
            kind=ticket.kind,
            time_in_force=ticket.time_in_force,
            quantity=ticket.quantity,
            limit_price=ticket.limit_price,
            legs=tuple(OrderLeg(str(uuid4()), str(uuid4()), leg) for leg in legs),
            status=WireStatus.PENDING_NEW if is_open else WireStatus.ACCEPTED,
            created_at=self._now,
            updated_at=self._now,
            expires_at=self._expiry(ticket.time_in_force, legs),
            replaces=replaces,
        )
        self.store.add_order(order)
        return order

    def attempt(self, order: Order) -> Order:
        """Try to fill an open order against what is displayed now; return it as it then stands."""
        if not self.timeline.is_open(self._now) or not order.status.is_open:
            return order
        execution = match(order.terms, order.remaining, order.net_limit, self._books(order.terms))
        if execution is not None:
            with self.store.transaction():
                return self._fill(order, execution)
        if order.status in (WireStatus.PENDING_NEW, WireStatus.ACCEPTED):
            order = replace(order, status=WireStatus.NEW, updated_at=self._now)
            self.store.update_order(order)
        return order

    def attempt_all(self) -> None:
        """Try every open order, in the order in which they came."""
        for order in self.store.orders(is_open=True):
            self.attempt(order)

    def cancel(self, order: Order) -> Order:
        """Cancel an open order at once; refuse one that is closed already."""
        if not order.status.is_open:
            raise unprocessable(f'order is already in "{order.status}" state')
        canceled = replace(
            order, status=WireStatus.CANCELED, canceled_at=self._now, updated_at=self._now
        )
        self.store.update_order(canceled)
        return canceled

    def replace(
        self,
        order: Order,
        *,
        quantity: int | None,
        limit_price: Decimal | None,
        time_in_force: TimeInForce | None,
        client_order_id: str | None,
    ) -> Order:
        """Replace a resting single-leg order by a new one; multi-leg orders can't be replaced."""
        if order.multileg:
            raise forbidden("replace mleg order is disabled")
        if order.status not in (WireStatus.NEW, WireStatus.PARTIALLY_FILLED):
            raise unprocessable(f"cannot replace order in {order.status} status")
        wanted = quantity or order.quantity
        if wanted <= order.filled_quantity:
            raise unprocessable("qty must be > filled_qty")
        price = order.limit_price if limit_price is None else limit_price
        tif = time_in_force or order.time_in_force
        if (wanted, price, tif) == (order.quantity, order.limit_price, order.time_in_force):
            raise unprocessable("order parameters are not changed")
        terms = order.terms[0]
        ticket = Ticket(
            client_order_id,
            False,
            order.kind,
            tif,
            wanted - order.filled_quantity,
            price,
            (TicketLeg(terms.symbol, terms.side, terms.ratio, terms.intent),),
        )
        with self.store.transaction():
            new = self.submit(order.account, ticket, replaces=order.id)
            self.store.update_order(
                replace(
                    order,
                    status=WireStatus.REPLACED,
                    replaced_at=self._now,
                    replaced_by=new.id,
                    updated_at=self._now,
                )
            )
        return new

    def expire(self) -> None:
        """End every open order whose time is over."""
        for order in self.store.orders(is_open=True):
            if order.expires_at <= self._now:
                self.store.update_order(
                    replace(
                        order,
                        status=WireStatus.EXPIRED,
                        expired_at=self._now,
                        updated_at=self._now,
                    )
                )

    def _permitted(
        self, account: str, ticket: Ticket, *, without: str | None
    ) -> tuple[LegTerms, ...]:
        """Run every check; return the legs with their intents."""
        standing = self.standing(account)
        if without is not None:
            rest = tuple(order for order in standing.open_orders if order.id != without)
            standing = replace(standing, open_orders=rest)
        self._check_listed([leg.symbol for leg in ticket.legs], standing)
        legs = permissions.resolve_intents(ticket, standing.holdings)
        permissions.check_underlying(legs)
        permissions.check_level(legs, standing, multileg=ticket.multileg)
        permissions.check_shares(legs, ticket.quantity)
        permissions.check_expiry_cut_off(legs, self._now, self._close_today())
        permissions.check_cover(legs, ticket.quantity, standing, multileg=ticket.multileg)
        permissions.check_closing_quantity(legs, ticket.quantity, standing)
        if ticket.kind is OrderKind.MARKET and not self.timeline.is_open(self._now):
            raise unprocessable("options market orders are only allowed during market hours")
        net = self._net_price(ticket, legs)
        permissions.check_buying_power(legs, ticket.quantity, net, standing)
        return legs

    def _check_listed(self, symbols: Sequence[str], standing: permissions.Standing) -> None:
        today = self._now.astimezone(NEW_YORK).date()
        for symbol in symbols:
            held = symbol in standing.holdings and self.view.trades_on(symbol, today)
            if held or self.view.is_listed(symbol):
                continue
            contract = option_contract(symbol)
            if contract is not None and not self.view.trades_on(symbol, today):
                raise unprocessable(f'asset "{symbol}" is not active')
            raise unprocessable(f'asset "{symbol}" not found')

    def _net_price(self, ticket: Ticket, legs: tuple[LegTerms, ...]) -> Decimal:
        """Net debit per unit: the limit, or what the displayed quotes ask of a market order."""
        if ticket.limit_price is not None:
            sign = 1 if ticket.multileg else legs[0].side.sign
            return ticket.limit_price * sign
        natural = natural_price(legs, self._books(legs))
        if natural is None:
            raise unprocessable(f'no available quote for "{legs[0].symbol}"')
        return natural[0]

    def _books(self, legs: Sequence[LegTerms]) -> dict[str, TopOfBook]:
        today = self._now.astimezone(NEW_YORK).date()
        books = {
            leg.symbol: self.view.book(leg.symbol)
            for leg in legs
            if self.view.trades_on(leg.symbol, today)
        }
        return {symbol: book for symbol, book in books.items() if book is not None}

    def _fill(self, order: Order, execution: Execution) -> Order:
        """Book one execution: legs, positions, cash, fees, history."""
        self.view.take(order.terms, execution)
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

    def _close_today(self) -> datetime | None:
        day = self._now.astimezone(NEW_YORK).date()
        return self.timeline.calendar.close(day) if self._is_session(day) else None

    def _is_session(self, day: date) -> bool:
        return self.timeline.calendar.is_session(day)

    def _expiry(self, time_in_force: TimeInForce, legs: Sequence[LegTerms]) -> datetime:
        """Close of the session in which the order ends; never after its contracts' last."""
        calendar = self.timeline.calendar
        expiry = self.timeline.next_close(self._now)
        if time_in_force is TimeInForce.GTC:
            last = (self._now + GTC_LIFE).astimezone(NEW_YORK).date()
            expiry = calendar.close(last if self._is_session(last) else calendar.previous(last))
        closes = [
            calendar.close(self._last_session(leg.symbol))
            for leg in legs
            if option_contract(leg.symbol) is not None
        ]
        return min([expiry, *closes]).astimezone(UTC)

    def _last_session(self, symbol: str) -> date:
        contract = option_contract(symbol)
        if contract is None:
            raise unprocessable(f'asset "{symbol}" not found')
        opening = settlement_kind(contract.root) is SettlementKind.CASH_ON_OPEN
        if opening or not self._is_session(contract.expiration):
            return self.timeline.calendar.previous(contract.expiration)
        return contract.expiration
