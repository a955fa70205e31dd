"""What happens to orders, told to whoever listens: after the commit, in order, by account.

The feed lives on the exchange's thread and never waits: a listener takes what it is given at once.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from uuid import uuid4

from mahler_pipelines.exchange.activities import Activity, ActivityKind
from mahler_pipelines.exchange.orders import Order, OrderLeg, WireStatus
from mahler_pipelines.exchange.store import ExchangeStore

_BEFORE_NEW = (WireStatus.PENDING_NEW, WireStatus.ACCEPTED)


@dataclass(frozen=True, slots=True)
class LegFill:
    """What one execution did to one leg.

    `quantity` counts contracts (or shares), `price` is per share, and `position` is the signed
    holding after it. `execution_id` is the one that the FILL activity's id ends in.
    """

    execution_id: str
    leg: OrderLeg
    quantity: int
    price: Decimal
    position: int


@dataclass(frozen=True, slots=True)
class OrderUpdate:
    """One event in an order's life, with the order as it stood right after."""

    event: str
    order: Order
    execution_id: str
    fills: tuple[LegFill, ...] = ()

    @property
    def at(self) -> datetime:
        """When it happened, by the exchange's clock."""
        return self.order.updated_at

    @property
    def units(self) -> int:
        """Units of the order that this execution filled; 0 where it is no fill."""
        return self.fills[0].quantity // self.fills[0].leg.terms.ratio if self.fills else 0

    @property
    def net_price(self) -> Decimal:
        """Price of one unit in this execution: multi-leg credits are negative."""
        if not self.order.multileg:
            return self.fills[0].price
        return sum(
            (fill.price * fill.leg.terms.ratio * fill.leg.terms.side.sign for fill in self.fills),
            Decimal(0),
        )


def updates_between(before: Order | None, after: Order) -> tuple[OrderUpdate, ...]:
    """Return what a change of an order is in Alpaca's events; a fill's legs are added later.

    An order that fills before it ever rested is new first: nobody sees a fill of what is pending.
    """
    if before is not None and after.filled_quantity > before.filled_quantity:
        event = "partial_fill" if after.remaining else "fill"
        fill = OrderUpdate(event, after, str(uuid4()))
        if before.status not in _BEFORE_NEW:
            return (fill,)
        rested = replace(before, status=WireStatus.NEW, updated_at=after.updated_at)
        return OrderUpdate(WireStatus.NEW.value, rested, str(uuid4())), fill
    if before is not None and after.status is before.status:
        return ()
    return (OrderUpdate(after.status.value, after, str(uuid4())),)


Take = Callable[[OrderUpdate], None]
Wake = Callable[[], None]


@dataclass(slots=True)
class Feed:
    """Who listens to the orders of which account, and who is woken when the clock has moved."""

    _takers: dict[str, list[Take]] = field(default_factory=dict)
    _woken: list[Wake] = field(default_factory=list)

    @contextmanager
    def orders(self, account: str, take: Take) -> Iterator[None]:
        """Give every update of an account to `take` while the block runs."""
        takers = self._takers.setdefault(account, [])
        takers.append(take)
        try:
            yield
        finally:
            takers.remove(take)

    @contextmanager
    def moves(self, wake: Wake) -> Iterator[None]:
        """Call `wake` whenever the clock has come to stand, while the block runs."""
        self._woken.append(wake)
        try:
            yield
        finally:
            self._woken.remove(wake)

    def is_heard(self, account: str) -> bool:
        """Whether anybody listens to an account."""
        return bool(self._takers.get(account))

    def publish(self, updates: list[OrderUpdate]) -> None:
        """Give updates to those who listen to their accounts, and to nobody else."""
        for update in updates:
            for take in tuple(self._takers.get(update.order.account, ())):
                take(update)

    def clock_moved(self) -> None:
        """Say that the exchange has come to stand at another moment."""
        for wake in tuple(self._woken):
            wake()


class RecordingStore(ExchangeStore):
    """A store that tells what became of orders once it is committed; a rollback tells nothing."""

    def __init__(self, path: Path, feed: Feed) -> None:
        self._feed = feed
        self._tape: list[OrderUpdate] = []
        super().__init__(path)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Run a block as one transaction, and publish what is on the tape when it is committed."""
        if self._connection.in_transaction:
            yield
            return
        self._tape = []
        with super().transaction():
            yield
        self._feed.publish(self._tape)

    def add_order(self, order: Order) -> None:
        """Insert a new order with its legs."""
        with self.transaction():
            super().add_order(order)
            self._record(None, order)

    def update_order(self, order: Order) -> None:
        """Write an order's state and its legs' fills."""
        with self.transaction():
            before = self.order(order.id) if self._feed.is_heard(order.account) else None
            super().update_order(order)
            self._record(before, order)

    def add_activity(self, activity: Activity) -> None:
        """Append a row to an account's history; a fill completes its order's update."""
        with self.transaction():
            super().add_activity(activity)
            if activity.kind is ActivityKind.FILL:
                self._complete(activity)

    def tell(self, event: str, order: Order) -> None:
        """Tell an event that changes nothing of the order, such as a refused replacement."""
        with self.transaction():
            if self._feed.is_heard(order.account):
                self._tape.append(OrderUpdate(event, order, str(uuid4())))

    def _record(self, before: Order | None, after: Order) -> None:
        # There is no replay, so that what nobody hears need not be kept.
        if self._feed.is_heard(after.account):
            self._tape.extend(updates_between(before, after))

    def _complete(self, activity: Activity) -> None:
        """Add a leg's fill to the last update of its order; the holding is booked by now."""
        for place in reversed(range(len(self._tape))):
            update = self._tape[place]
            if update.order.id != activity.order_id:
                continue
            leg = next(leg for leg in update.order.legs if leg.id == activity.leg_id)
            held = self.position(activity.account, leg.terms.symbol)
            fill = LegFill(
                activity.id.partition("::")[2],
                leg,
                int(activity.body["qty"]),
                Decimal(activity.body["price"]),
                0 if held is None else held.quantity,
            )
            self._tape[place] = replace(update, fills=(*update.fills, fill))
            return
