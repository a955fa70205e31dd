"""Whether an account may send an order: levels, intents, cover, quantity, power, hours.

Each check is named for what it refuses, in the order in which the exchange looks.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from decimal import Decimal

from mahler_pipelines.exchange.accounts import Configuration
from mahler_pipelines.exchange.instruments import cash_value, option_contract
from mahler_pipelines.exchange.margin import has_uncovered_short, spread_margin
from mahler_pipelines.exchange.orders import Intent, LegTerms, Order
from mahler_pipelines.exchange.tickets import Ticket, TicketLeg
from mahler_pipelines.exchange.wire.errors import WireRefusal, forbidden, unprocessable
from mahler_pipelines.market.sessions import NEW_YORK
from mahler_pipelines.options.contracts import SHARES_PER_CONTRACT, Right
from mahler_pipelines.options.structures import Side

OPENING_CUT_OFF = time(15, 30)
"""New York time on the day of expiry after which nothing that expires is opened."""

CUT_OFF_BEFORE_CLOSE = timedelta(minutes=30)
"""The same on a day that closes early, where Alpaca's documents give no rule."""

UNCOVERED = "account not eligible to trade uncovered option contracts"


@dataclass(frozen=True, slots=True)
class Standing:
    """What the account holds, what its open orders hold, and what it may do.

    `holdings` is signed quantity by symbol; `cash` is in dollars.
    """

    configuration: Configuration
    cash: Decimal
    holdings: Mapping[str, int]
    open_orders: Sequence[Order]
    short_shares_margin: Decimal = Decimal(0)

    def held_for_orders(self, symbol: str) -> int:
        """Quantity of a position that open orders would close."""
        return sum(order.held(symbol) for order in self.open_orders)

    def with_opening_orders(self) -> Counter[str]:
        """Holdings as if every open order that opens something were filled."""
        total = Counter(dict(self.holdings))
        for order in self.open_orders:
            if any(leg.intent.opens for leg in order.terms):
                add_legs(total, order.terms, order.remaining)
        return total

    def margin(self) -> Decimal:
        """Margin of holdings and opening orders."""
        return required_margin(self.with_opening_orders()) + self.short_shares_margin

    def buying_power(self) -> Decimal:
        """Dollars free for options: cash less margin, less what open orders would pay."""
        return self.cash - self.margin() - sum(map(open_debit, self.open_orders), Decimal(0))


def holding_the_larger(standing: Standing) -> Standing:
    """Leave out the smaller of an order and its pending replacement: one of the two will trade."""
    by_id = {order.id: order for order in standing.open_orders}
    for new in standing.open_orders:
        old = by_id.get(new.replaces or "")
        if old is None:
            continue
        rest = tuple(order for order in standing.open_orders if order not in (old, new))
        larger = min(
            (old, new),
            key=lambda one: (
                replace(standing, open_orders=(*rest, one)).buying_power(),
                -one.remaining,
            ),
        )
        standing = replace(standing, open_orders=(*rest, larger))
    return standing


def required_margin(holdings: Mapping[str, int]) -> Decimal:
    """Return the spread margin; where a loss is unbounded, the strikes of everything short.

    Unbounded holdings can't be ordered, but an assignment can leave them.
    """
    worst = spread_margin(holdings)
    if worst is not None:
        return worst
    return sum(
        (
            cash_value(symbol, contract.strike, -quantity)
            for symbol, quantity in holdings.items()
            if quantity < 0 and (contract := option_contract(symbol)) is not None
        ),
        Decimal(0),
    )


def add_legs(total: Counter[str], legs: Sequence[LegTerms], units: int) -> None:
    """Add a number of units to signed holdings."""
    for leg in legs:
        total[leg.symbol] += leg.side.sign * leg.ratio * units


def open_debit(order: Order) -> Decimal:
    """Dollars that the unfilled rest of an opening order would pay; a credit is negative."""
    if order.net_held is None or not any(leg.intent.opens for leg in order.terms):
        return Decimal(0)
    return cash_value(order.terms[0].symbol, order.net_held, order.remaining)


def resolve_intents(ticket: Ticket, holdings: Mapping[str, int]) -> tuple[LegTerms, ...]:
    """Return the legs with their intents; refuse an intent that does not fit the position."""
    return tuple(_resolve(leg, holdings.get(leg.symbol, 0)) for leg in ticket.legs)


def _resolve(leg: TicketLeg, position: int) -> LegTerms:
    if leg.side is Side.BUY:
        inferred = Intent.BUY_TO_CLOSE if position < 0 else Intent.BUY_TO_OPEN
    else:
        inferred = Intent.SELL_TO_CLOSE if position > 0 else Intent.SELL_TO_OPEN
    if leg.intent is not None and leg.intent is not inferred:
        raise unprocessable(
            f"position intent mismatch, inferred: {inferred}, specified: {leg.intent}"
        )
    return LegTerms(leg.symbol, leg.side, leg.ratio, inferred)


def check_underlying(legs: Sequence[LegTerms]) -> None:
    """Refuse legs of different underlyings."""
    found = {
        contract.underlying: None
        for leg in legs
        if (contract := option_contract(leg.symbol)) is not None
    }
    if len(found) > 1:
        raise unprocessable(f"underlying asset mismatch: {', '.join(found)}")


def check_level(legs: Sequence[LegTerms], standing: Standing, *, multileg: bool) -> None:
    """Refuse what the options level does not allow; closing is always allowed."""
    if standing.configuration.suspend_trade:
        raise forbidden("new orders are rejected by user request")
    opening = [leg for leg in legs if leg.intent.opens and option_contract(leg.symbol) is not None]
    level = standing.configuration.options_level
    if not opening:
        return
    if level == 0:
        raise forbidden("account not authorized to trade options")
    if multileg and level < 3:
        raise forbidden("account not eligible to trade spreads or uncovered contracts")
    if not multileg and opening[0].side is Side.BUY and level < 2:
        raise forbidden("account not eligible for level2 options trading")


def check_expiry_cut_off(legs: Sequence[LegTerms], now: datetime, close: datetime | None) -> None:
    """Refuse to open what expires today, from 15:30 or half an hour before an early close."""
    local = now.astimezone(NEW_YORK)
    cut_off = datetime.combine(local.date(), OPENING_CUT_OFF, tzinfo=NEW_YORK)
    if close is not None:
        cut_off = min(cut_off, close - CUT_OFF_BEFORE_CLOSE)
    if local < cut_off:
        return
    for leg in legs:
        contract = option_contract(leg.symbol)
        if contract is not None and leg.intent.opens and contract.expiration == local.date():
            raise unprocessable(
                f'contract "{leg.symbol}" expires soon, unable to open new positions'
            )


def check_closing_quantity(legs: Sequence[LegTerms], units: int, standing: Standing) -> None:
    """Refuse to close more than is held and not already being closed."""
    for leg in legs:
        if leg.intent.opens:
            continue
        existing = abs(standing.holdings.get(leg.symbol, 0))
        held = standing.held_for_orders(leg.symbol)
        requested = leg.ratio * units
        if requested > existing - held:
            related = [order.id for order in standing.open_orders if order.held(leg.symbol)]
            raise forbidden(
                f"insufficient qty available for order (requested: {requested},"
                f" available: {existing - held})",
                symbol=leg.symbol,
                existing_qty=str(existing),
                held_for_orders=str(held),
                related_orders=related,
            )


def check_cover(
    legs: Sequence[LegTerms], units: int, standing: Standing, *, multileg: bool
) -> None:
    """Refuse short legs that nothing covers: in a multi-leg order, by the order itself.

    A single short put is covered by cash, a single short call by shares.
    """
    if multileg and has_uncovered_short(legs):
        raise forbidden(UNCOVERED)
    after = standing.with_opening_orders()
    add_legs(after, legs, units)
    if spread_margin(after) is not None:
        return
    leg = legs[0]
    contract = option_contract(leg.symbol)
    shares = 0 if contract is None else standing.holdings.get(contract.underlying, 0)
    if contract is not None and contract.right is Right.CALL and shares > 0 and leg.intent.opens:
        required = leg.ratio * units * SHARES_PER_CONTRACT
        raise forbidden(
            f"insufficient underlying qty available for covered call (required: {required},"
            f" available: {shares})"
        )
    left_uncovered = spread_margin(standing.with_opening_orders()) is None
    if not left_uncovered or (not multileg and leg.intent.opens):
        raise forbidden(UNCOVERED)


def check_shares(legs: Sequence[LegTerms], units: int) -> None:
    """Refuse to sell shares short: an account disposes of what was delivered, no more."""
    for leg in legs:
        if option_contract(leg.symbol) is None and leg.intent is Intent.SELL_TO_OPEN:
            raise forbidden(
                f"insufficient qty available for order (requested: {units}, available: 0)"
            )


def check_buying_power(
    legs: Sequence[LegTerms], units: int, net_price: Decimal, standing: Standing
) -> None:
    """Refuse an order whose margin and net price exceed the options buying power.

    Required = what margin the order adds + net price x 100 (a credit is negative).
    """
    if all(option_contract(leg.symbol) is None and not leg.intent.opens for leg in legs):
        return  # Buying in short shares frees half as much again as they are worth.
    after = standing.with_opening_orders()
    add_legs(after, legs, units)
    added = required_margin(after) + standing.short_shares_margin - standing.margin()
    required = added + cash_value(legs[0].symbol, net_price, units)
    available = standing.buying_power()
    if required > 0 and required > available:
        raise _power_refusal(required, available)


def _power_refusal(required: Decimal, available: Decimal) -> WireRefusal:
    return forbidden(
        f"insufficient options buying power (required: {required}, available: {available})",
        options_buying_power=str(available),
        cost_basis=str(required),
    )
