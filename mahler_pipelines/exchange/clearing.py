"""What happens to an account without an order of its own, booked in one place.

Expirations, exercise by request, early assignment, dividends, and the broker's own sweep. Positions
and cash change at once; the rows of the history are posted on the next calendar day.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

from mahler_pipelines.exchange.accounts import Position
from mahler_pipelines.exchange.activities import ActivityKind, NonTrade, non_trade_activity
from mahler_pipelines.exchange.assignment import Night, drawn, likelihood
from mahler_pipelines.exchange.carrying import available_shares
from mahler_pipelines.exchange.clock import last_trading_day
from mahler_pipelines.exchange.instruments import cash_value, option_contract
from mahler_pipelines.exchange.liquidation import (
    LIQUIDATION_PREFIX,
    Expiring,
    quantities_to_close,
)
from mahler_pipelines.exchange.market import Market, SettlementValue
from mahler_pipelines.exchange.orders import (
    Intent,
    LegTerms,
    Order,
    OrderKind,
    OrderLeg,
    TimeInForce,
    WireStatus,
)
from mahler_pipelines.exchange.settlement import (
    Outcome,
    deliver,
    delivers,
    is_in_the_money,
    lapse,
    settle,
)
from mahler_pipelines.exchange.trading import Trading
from mahler_pipelines.market.sessions import NEW_YORK
from mahler_pipelines.options.contracts import SHARES_PER_CONTRACT, OptionContract, Right

Holding = tuple[Position, OptionContract]


@dataclass(frozen=True, slots=True)
class Clearing:
    """Books what happens at the moment on which the view stands; its caller opens transactions."""

    market: Market
    trading: Trading

    @property
    def _now(self) -> datetime:
        return self.trading.view.moment

    @property
    def _today(self) -> date:
        return self._now.astimezone(NEW_YORK).date()

    def expired(self) -> list[Holding]:
        """Holdings of contracts that expire today or have expired."""
        return [held for held in self._contracts() if held[1].expiration <= self._today]

    def has_last_day(self, session: date) -> bool:
        """Whether anybody holds contracts that deliver shares and trade last in this session."""
        return any(
            delivers(contract) and self._last_day(contract) == session
            for _, contract in self._contracts()
        )

    def settle_expired(self) -> None:
        """Let what has expired lapse, be paid or be delivered, where the market knows its value.

        Long puts come last, so that shares of the same day can be put out. Those without shares are
        not exercised: the broker refuses their exercise for the account.
        """
        due = sorted(self.expired(), key=lambda held: _puts_shares_out_by_choice(*held))
        for position, contract in due:
            value = self.market.settlement(contract.root, contract.expiration)
            if value is None:
                continue
            for outcome in self._expiration(position, contract, value):
                self._book(position, contract, outcome)

    def deliver(
        self, position: Position, contract: OptionContract, quantity: int, why: str
    ) -> None:
        """Exercise, or assign, a signed quantity of a holding at its strike, at once."""
        self._book(position, contract, deliver(contract, quantity, why))

    def assign_early(self) -> None:
        """Draw by lot which short contracts holders elsewhere exercise this night."""
        following = self.trading.timeline.calendar.next(self._today)
        for position, contract in self._contracts():
            if position.quantity > 0 or contract.expiration <= self._today:
                continue
            count = self._assigned(position, contract, following)
            if count:
                self.deliver(position, contract, -count, "assigned early")
                self._withdraw_orders(position.account, contract.symbol)

    def liquidate(self) -> None:
        """Close what expires today and its account can't carry, with orders of the broker's own."""
        by_account: dict[str, list[Holding]] = {}
        for position, contract in self._contracts():
            if delivers(contract) and self._last_day(contract) == self._today:
                by_account.setdefault(position.account, []).append((position, contract))
        for account, held in by_account.items():
            expiring = [self._expiring(*one) for one in held]
            wanted = quantities_to_close(
                expiring, self.trading.standing(account), self.trading.view.mark
            )
            for symbol, quantity in wanted.items():
                self._close_out(account, symbol, quantity)

    def pay_dividends(self) -> None:
        """Credit holders of shares, and charge those who are short, on the ex-date."""
        for position in self.trading.store.positions():
            if position.is_option:
                continue
            for _, per_share in self.market.dividends(position.symbol, self._today, self._today):
                amount = cash_value(position.symbol, per_share, position.quantity)
                self.trading.credit(position.account, amount)
                row = NonTrade(
                    ActivityKind.DIVIDEND,
                    position.symbol,
                    position.quantity,
                    amount,
                    None,
                    f"cash dividend of {per_share} per share",
                    per_share_amount=per_share,
                )
                self._record(position.account, (row,))

    def _contracts(self) -> Iterator[Holding]:
        for position in self.trading.store.positions():
            contract = option_contract(position.symbol)
            if contract is not None:
                yield position, contract

    def _last_day(self, contract: OptionContract) -> date:
        return last_trading_day(contract, self.trading.timeline.calendar)

    def _expiring(self, position: Position, contract: OptionContract) -> Expiring:
        refused = self.trading.store.refuses_exercise(position.account, position.symbol)
        return Expiring(contract, position.quantity, is_exercised=not refused)

    def _expiration(
        self, position: Position, contract: OptionContract, value: SettlementValue
    ) -> list[Outcome]:
        """What the expiration of one holding does; a part may be exercised and the rest not."""
        quantity = position.quantity
        if quantity < 0 or not is_in_the_money(contract, value.value):
            return [settle(contract, quantity, value)]
        if self.trading.store.refuses_exercise(position.account, position.symbol):
            return [lapse(contract, quantity, "not exercised, as instructed")]
        if contract.right is Right.CALL or not delivers(contract):
            return [settle(contract, quantity, value)]
        holdings = self.trading.standing(position.account).holdings
        shares = available_shares(holdings, contract.underlying)
        covered = min(quantity, shares // SHARES_PER_CONTRACT)
        rest = quantity - covered
        outcomes = [settle(contract, covered, value)] if covered else []
        return outcomes + ([lapse(contract, rest, "not exercised: no shares")] if rest else [])

    def _assigned(self, position: Position, contract: OptionContract, following: date) -> int:
        """Contracts of a short holding that are assigned before the next session."""
        view = self.trading.view
        share_price, book = view.mark(contract.underlying), view.book(contract.symbol)
        if share_price is None or book is None:
            return 0
        paid = self.market.dividends(
            contract.underlying, self._today + timedelta(days=1), following
        )
        dividend = sum((per_share for _, per_share in paid), Decimal(0))
        chance = likelihood(contract, book, share_price, Night(self._today, following, dividend))
        return drawn(
            -position.quantity,
            chance,
            market=self.market.name,
            account=position.account,
            symbol=contract.symbol,
            session=self._today,
        )

    def _book(self, position: Position, contract: OptionContract, outcome: Outcome) -> None:
        """Take the contracts away, move cash and shares, and write the history."""
        account, trading = position.account, self.trading
        trading.trade(
            account,
            contract.symbol,
            quantity=outcome.rows[0].quantity,
            price=position.average_price,
        )
        trading.credit(account, outcome.cash)
        if outcome.delivery is not None:
            trading.trade(
                account,
                outcome.delivery.symbol,
                quantity=outcome.delivery.shares,
                price=outcome.delivery.price,
            )
        self._record(account, outcome.rows)

    def _record(self, account: str, rows: Iterable[NonTrade]) -> None:
        group = str(uuid4())
        for row in rows:
            self.trading.store.add_activity(
                non_trade_activity(account, row, happened=self._now, group_id=group)
            )

    def _withdraw_orders(self, account: str, symbol: str) -> None:
        """Cancel the account's orders to close more of a contract than is left of it."""
        standing = self.trading.standing(account)
        if standing.held_for_orders(symbol) > abs(standing.holdings.get(symbol, 0)):
            # Both of a pending pair: the standing names only the one that holds more.
            resting = self.trading.store.orders(account, is_open=True)
            self._cancel(order for order in resting if order.held(symbol))

    def _cancel(self, orders: Iterable[Order]) -> None:
        for order in orders:
            canceled = replace(
                order, status=WireStatus.CANCELED, canceled_at=self._now, updated_at=self._now
            )
            self.trading.store.update_order(canceled)

    def _close_out(self, account: str, symbol: str, quantity: int) -> None:
        """Send a market order of the broker's own for what no earlier one of them closes."""
        store = self.trading.store
        orders = [one for one in store.orders(account, is_open=True) if one.held(symbol)]
        own = [one for one in orders if one.client_order_id.startswith(LIQUIDATION_PREFIX)]
        self._cancel(one for one in orders if one not in own)
        missing = abs(quantity) - sum(one.held(symbol) for one in own)
        if missing <= 0:
            return
        day = self._today.strftime("%Y%m%d")
        sent = sum(
            one.client_order_id.startswith(f"{LIQUIDATION_PREFIX}{day}-{symbol}-")
            for one in store.orders(account)
        )
        intent = Intent.BUY_TO_CLOSE if quantity > 0 else Intent.SELL_TO_CLOSE
        order = Order(
            id=str(uuid4()),
            account=account,
            client_order_id=f"{LIQUIDATION_PREFIX}{day}-{symbol}-{sent + 1}",
            multileg=False,
            kind=OrderKind.MARKET,
            time_in_force=TimeInForce.DAY,
            quantity=missing,
            limit_price=None,
            legs=(OrderLeg(str(uuid4()), str(uuid4()), LegTerms(symbol, intent.side, 1, intent)),),
            status=WireStatus.PENDING_NEW,
            created_at=self._now,
            updated_at=self._now,
            expires_at=self.trading.timeline.calendar.close(self._today),
        )
        store.add_order(order)
        self.trading.attempt(order)


def _puts_shares_out_by_choice(position: Position, contract: OptionContract) -> bool:
    return position.quantity > 0 and contract.right is Right.PUT
