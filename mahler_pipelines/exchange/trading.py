"""Orders from acceptance to their end: submitted, filled, cancelled, replaced, expired."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from mahler_pipelines.exchange.acceptance import Acceptance
from mahler_pipelines.exchange.changes import Change, changed_ticket
from mahler_pipelines.exchange.matching import at_limit, match
from mahler_pipelines.exchange.orders import Order, WireStatus
from mahler_pipelines.exchange.priority import price_time
from mahler_pipelines.exchange.stops import triggered
from mahler_pipelines.exchange.wire.errors import unprocessable


@dataclass(frozen=True, slots=True)
class Trading(Acceptance):
    """What can be done with orders at the moment on which the view stands."""

    def attempt(self, order: Order) -> Order:
        """Try to fill an open order against what is displayed now; return it as it then stands."""
        if not self.timeline.is_open(self._now) or not order.status.is_open:
            return order
        if self._being_replaced_by(order) is not None:
            return order
        books = self._books(order.terms)
        before, order = (
            order,
            triggered(order, books.get(order.terms[0].symbol), self._now) or order,
        )
        execution = None
        if not order.waits_for_stop:
            execution = match(order.terms, order.remaining, order.net_limit, books)
        if execution is not None:
            with self.store.transaction():
                self.view.take(order.terms, execution)
                return self._fill(order, execution)
        if order.status in (WireStatus.PENDING_NEW, WireStatus.ACCEPTED):
            order = replace(order, status=WireStatus.NEW, updated_at=self._now)
        if order != before:
            self.store.update_order(order)
        return order

    def attempt_all(self) -> None:
        """Try every open order in its turn; a pending change takes effect after its order's try."""
        for found in price_time(self.store.orders(is_open=True)):
            # What was tried before may have changed this one: its predecessor was replaced, say.
            order = self.store.order(found.id) or found
            if order.status.is_pending_change:
                self.take_effect(order)
            else:
                self.attempt(order)

    def fill_at_limit(self, order: Order, units: int | None) -> Order | None:
        """Fill units of an order, or all that is left, at its limit, whatever is displayed.

        Returns None where that can't be: the order or the market is closed, it has no limit or
        waits for its stop, or the quotes of its legs are missing.
        """
        if not order.status.is_open or order.net_limit is None or order.waits_for_stop:
            return None
        if not self.timeline.is_open(self._now):
            return None
        wanted = min(units or order.remaining, order.remaining)
        execution = at_limit(order.terms, wanted, order.net_limit, self._books(order.terms))
        if execution is None:
            return None
        with self.store.transaction():
            return self._fill(order, execution)

    def cancel(self, order: Order, *, pends: bool = False) -> Order:
        """Cancel an open order at once, or leave that pending until it is looked at next.

        Raises `WireRefusal` for an order that is closed, or has a change pending already.
        """
        if not order.status.is_open or order.status.is_pending_change:
            raise unprocessable(f'order is already in "{order.status}" state')
        if self._being_replaced_by(order) is not None:
            raise unprocessable("order chain not fully replaced")
        changed = (
            replace(order, status=WireStatus.PENDING_CANCEL, updated_at=self._now)
            if pends
            else self._canceled(order)
        )
        self.store.update_order(changed)
        return changed

    def replace(self, order: Order, change: Change, *, pends: bool = False) -> Order:
        """Accept the replacement of a resting single-leg order, and return it.

        At once, or pending until the order is looked at next: it may fill first. Raises
        `WireRefusal` for an order that can't be replaced so.
        """
        if self._being_replaced_by(order) is not None:
            raise unprocessable("order chain not fully replaced")
        ticket = changed_ticket(order, change)
        with self.store.transaction():
            new = self.submit(order.account, ticket, replaced=order)
            if pends:
                pending = replace(order, status=WireStatus.PENDING_REPLACE, updated_at=self._now)
                self.store.update_order(pending)
            else:
                self.store.update_order(self._replaced(order, new))
        return new

    def take_effect(self, order: Order, *, fills: Callable[[Order], Order] | None = None) -> None:
        """Let a pending order trade first, then carry out the cancel or replacement that is left.

        `fills` says how it trades; without it, against what is displayed.
        """
        asked = order.status
        with self.store.transaction():
            after = (fills or self.attempt)(order)
            if asked is WireStatus.PENDING_CANCEL:
                self._cancel_rest(after)
            else:
                self._replace_rest(after, filled=after.filled_quantity - order.filled_quantity)

    def _cancel_rest(self, order: Order) -> None:
        if order.remaining:
            self.store.update_order(self._canceled(order))
        else:
            self.store.tell("order_cancel_rejected", order)

    def _replace_rest(self, order: Order, *, filled: int) -> None:
        """Put the new order in the place of what is left; nothing left, it is rejected."""
        new = self._successor(order)
        if new is None:
            if order.status.is_pending_change:
                self.store.update_order(replace(order, status=_resting(order)))
            return
        if not order.remaining or new.quantity <= filled:
            self.store.tell("order_replace_rejected", order)
            self.store.update_order(replace(new, status=WireStatus.REJECTED, updated_at=self._now))
            return
        new = replace(new, quantity=new.quantity - filled, triggered_at=order.triggered_at)
        self.store.update_order(new)
        self.store.update_order(self._replaced(order, new))
        self.attempt(new)

    def _being_replaced_by(self, order: Order) -> Order | None:
        """Return the order whose place this one has not taken yet."""
        if order.replaces is None:
            return None
        old = self.store.order(order.replaces)
        return old if old is not None and old.status is WireStatus.PENDING_REPLACE else None

    def _successor(self, order: Order) -> Order | None:
        """Return the order that waits to take this one's place; a liquidation may have ended it."""
        found = self.store.orders(order.account, is_open=True)
        return next((new for new in found if new.replaces == order.id), None)

    def _canceled(self, order: Order) -> Order:
        return replace(
            order, status=WireStatus.CANCELED, canceled_at=self._now, updated_at=self._now
        )

    def _replaced(self, order: Order, new: Order) -> Order:
        return replace(
            order,
            status=WireStatus.REPLACED,
            replaced_at=self._now,
            replaced_by=new.id,
            updated_at=self._now,
        )

    def expire(self) -> None:
        """End every open order whose time is over; what is pending takes effect before."""
        for order in self.store.orders(is_open=True):
            if order.status.is_pending_change:
                self.take_effect(order)
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


def _resting(order: Order) -> WireStatus:
    return WireStatus.PARTIALLY_FILLED if order.filled_quantity else WireStatus.NEW
