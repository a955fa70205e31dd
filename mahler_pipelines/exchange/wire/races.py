"""Cancels and replacements that race against a fill of their order."""

from dataclasses import dataclass

from starlette.types import Scope

from mahler_pipelines.exchange.engine import Exchange
from mahler_pipelines.exchange.orders import Order

_ORDERS = "/v2/orders"


def asks_for_a_change(scope: Scope) -> bool:
    """Whether a request cancels or replaces orders."""
    return scope["method"] in ("DELETE", "PATCH") and scope["path"].startswith(_ORDERS)


@dataclass(frozen=True, slots=True)
class Race:
    """A request about one order, which may trade `units` (None: all that is left) at its limit."""

    exchange: Exchange
    scope: Scope
    units: int | None

    def fill(self) -> bool:
        """Let the order trade now; return whether it could."""
        order = self._order()
        return order is not None and self._fill(order) is not order

    def decide(self) -> bool:
        """Let a pending order trade, and then the request take effect; return whether it traded."""
        order = self._order()
        if order is None or not order.status.is_pending_change:
            return False
        self.exchange.trading.take_effect(order, fills=self._fill)
        after = self.exchange.store.order(order.id)
        return after is not None and after.filled_quantity > order.filled_quantity

    def _fill(self, order: Order) -> Order:
        return self.exchange.trading.fill_at_limit(order, self.units) or order

    def _order(self) -> Order | None:
        """Return the account's own order that the path names."""
        if not asks_for_a_change(self.scope):
            return None
        named = self.scope["path"].removeprefix(_ORDERS).removeprefix("/")
        order = self.exchange.store.order(named)
        return order if order is not None and order.account == self.scope["account"] else None
