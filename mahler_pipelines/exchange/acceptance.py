"""Whether an order is taken, and how it stands when it has been."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

from mahler_pipelines.exchange import permissions
from mahler_pipelines.exchange.accounts import short_shares_margin
from mahler_pipelines.exchange.booking import Booking
from mahler_pipelines.exchange.clock import Timeline, last_trading_day
from mahler_pipelines.exchange.increments import Increments, check_increment
from mahler_pipelines.exchange.instruments import option_contract
from mahler_pipelines.exchange.matching import natural_price
from mahler_pipelines.exchange.orders import (
    LegTerms,
    Order,
    OrderKind,
    OrderLeg,
    TimeInForce,
    WireStatus,
)
from mahler_pipelines.exchange.tickets import Ticket
from mahler_pipelines.exchange.wire.errors import (
    DUPLICATE_OR_BAD,
    WireRefusal,
    not_found,
    unprocessable,
)
from mahler_pipelines.market.sessions import NEW_YORK

GTC_LIFE = timedelta(days=90)
"""How long Alpaca keeps a good-till-cancelled order."""


@dataclass(frozen=True, slots=True)
class Acceptance(Booking):
    """Takes orders, or refuses them as Alpaca would."""

    timeline: Timeline
    increments: Increments

    def standing(self, account: str) -> permissions.Standing:
        """Return what the account holds and may do; raise 404 for no account."""
        found = self.store.account(account)
        if found is None:
            raise not_found("account not found")
        positions = self.store.positions(account)
        standing = permissions.Standing(
            found.configuration,
            found.cash,
            {position.symbol: position.quantity for position in positions},
            self.store.orders(account, is_open=True),
            short_shares_margin(positions),
        )
        return permissions.holding_the_larger(standing)

    def submit(self, account: str, ticket: Ticket, *, replaced: Order | None = None) -> Order:
        """Accept an order and return it as first answered; `attempt` then tries to fill it.

        `replaced` is the order whose place it takes. Raises `WireRefusal` where the exchange does
        not take it.
        """
        client_order_id = ticket.client_order_id or str(uuid4())
        if self.store.order_by_client_id(account, client_order_id) is not None:
            raise WireRefusal(422, DUPLICATE_OR_BAD, "client_order_id must be unique")
        legs = self._permitted(account, ticket, without=replaced)
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
            replaces=None if replaced is None else replaced.id,
            stop_price=ticket.stop_price,
            triggered_at=None if replaced is None else replaced.triggered_at,
        )
        self.store.add_order(order)
        return order

    def _permitted(
        self, account: str, ticket: Ticket, *, without: Order | None
    ) -> tuple[LegTerms, ...]:
        """Run every check; return the legs with their intents."""
        standing = self.standing(account)
        if without is not None:
            rest = tuple(order for order in standing.open_orders if order.id != without.id)
            standing = replace(standing, open_orders=rest)
        self._check_listed([leg.symbol for leg in ticket.legs], standing)
        legs = permissions.resolve_intents(ticket, standing.holdings)
        permissions.check_underlying(legs)
        self._check_increments(ticket)
        permissions.check_level(legs, standing, multileg=ticket.multileg)
        permissions.check_shares(legs, ticket.quantity)
        permissions.check_expiry_cut_off(legs, self._now, self._close_today())
        permissions.check_closing_quantity(legs, ticket.quantity, standing)
        permissions.check_cover(legs, ticket.quantity, standing, multileg=ticket.multileg)
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

    def _check_increments(self, ticket: Ticket) -> None:
        """Where the exchange insists on them; the net of several legs is in cents anyway."""
        if self.increments is Increments.CLASS and not ticket.multileg:
            symbol = ticket.legs[0].symbol
            check_increment(symbol, ticket.limit_price, "limit_price")
            check_increment(symbol, ticket.stop_price, "stop_price")

    def _net_price(self, ticket: Ticket, legs: tuple[LegTerms, ...]) -> Decimal:
        """Net debit per unit: the limit or the stop, or what the quotes ask of a market order."""
        stated = ticket.stop_price if ticket.limit_price is None else ticket.limit_price
        if stated is not None:
            sign = 1 if ticket.multileg else legs[0].side.sign
            return stated * sign
        natural = natural_price(legs, self._books(legs))
        if natural is None:
            raise unprocessable(f'no available quote for "{legs[0].symbol}"')
        return natural[0]

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
        return last_trading_day(contract, self.timeline.calendar)
