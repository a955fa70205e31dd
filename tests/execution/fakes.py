"""An in-memory ledger, a scripted broker, a market and a lake: small, and honest about failure."""

import copy
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pandas as pd

from mahler_pipelines.decisions.ledger import AuditEvent, StoredRecommendation
from mahler_pipelines.decisions.playbook import Playbook, PlaybookRule, RuleStatus
from mahler_pipelines.decisions.recommendation import (
    TRANSITIONS,
    Decision,
    Recommendation,
    RecommendationStatus,
)
from mahler_pipelines.decisions.thesis import ModelCall
from mahler_pipelines.errors import (
    BrokerOutcomeUnknown,
    BrokerRefused,
    IllegalTransition,
    LeaseHeld,
    MissingData,
)
from mahler_pipelines.execution.broker import (
    BrokerAccount,
    BrokerActivity,
    BrokerClock,
    BrokerOrder,
    BrokerPosition,
    LegFill,
    OrderRequest,
    OrderStatus,
)
from mahler_pipelines.execution.broker_books import (
    CashBeginning,
    FindingRecord,
    FindingStatus,
    Holding,
    KnownActivity,
    LegSettlement,
)
from mahler_pipelines.execution.close_requests import CloseRequest, CloseWish
from mahler_pipelines.execution.ledger import FillRecord, OrderPurpose, OrderRecord
from mahler_pipelines.execution.trades import PositionMark, Trade, TradeStatus
from mahler_pipelines.market.chains import ChainSnapshot
from mahler_pipelines.market.data import BAR_COLUMNS, DIVIDEND_COLUMNS, STOCK_QUOTE_COLUMNS
from mahler_pipelines.risk.trading_state import TradingState


@dataclass
class Rows:
    """Everything a ledger holds; values are frozen, so a shallow copy is a savepoint."""

    recommendations: dict[str, StoredRecommendation] = field(default_factory=dict)
    orders: dict[str, OrderRecord] = field(default_factory=dict)
    fills: dict[str, FillRecord] = field(default_factory=dict)
    trades: dict[str, Trade] = field(default_factory=dict)
    marks: list[PositionMark] = field(default_factory=list)
    outbox: dict[str, dict[str, Any]] = field(default_factory=dict)
    audit: list[AuditEvent] = field(default_factory=list)
    rules: dict[str, PlaybookRule] = field(default_factory=dict)
    state: tuple[TradingState, str] = (TradingState.ACTIVE, "")
    activities: dict[str, KnownActivity] = field(default_factory=dict)
    settlements: list[LegSettlement] = field(default_factory=list)
    holdings: dict[str, Holding] = field(default_factory=dict)
    findings: dict[str, FindingRecord] = field(default_factory=dict)
    cash_beginning: CashBeginning | None = None
    close_requests: list[CloseRequest] = field(default_factory=list)

    def savepoint(self) -> "Rows":
        return Rows(**{name: copy.copy(value) for name, value in vars(self).items()})


class FakeLedger:
    """One transaction over the rows."""

    def __init__(self, rows: Rows, account_id: str) -> None:
        self._rows = rows
        self._account_id = account_id

    @property
    def account_id(self) -> str:
        return self._account_id

    def add_recommendation(self, recommendation: Recommendation, *, at: datetime) -> bool:
        if recommendation.id in self._rows.recommendations:
            return False
        self._rows.recommendations[recommendation.id] = StoredRecommendation(
            recommendation, RecommendationStatus.PENDING, "", None
        )
        self.audit("recommendation_added", recommendation.id, {}, at=at)
        return True

    def recommendation(self, recommendation_id: str) -> StoredRecommendation | None:
        return self._rows.recommendations.get(recommendation_id)

    def recommendations(
        self,
        *,
        statuses: Sequence[RecommendationStatus] | None = None,
        session: date | None = None,
    ) -> tuple[StoredRecommendation, ...]:
        return tuple(
            row
            for row in self._rows.recommendations.values()
            if (statuses is None or row.status in statuses)
            and (session is None or row.recommendation.session == session)
        )

    def move_recommendation(
        self,
        recommendation_id: str,
        *,
        expected: RecommendationStatus,
        to: RecommendationStatus,
        at: datetime,
        reason: str = "",
    ) -> bool:
        row = self._rows.recommendations[recommendation_id]
        if to not in TRANSITIONS[expected]:
            raise IllegalTransition("recommendation", recommendation_id, expected, to)
        if row.status is not expected:
            return False
        self._rows.recommendations[recommendation_id] = replace(
            row, status=to, status_reason=reason
        )
        self.audit("recommendation_moved", recommendation_id, {"to": to}, at=at)
        return True

    def add_decision(self, decision: Decision) -> None:
        row = self._rows.recommendations[decision.recommendation_id]
        self._rows.recommendations[decision.recommendation_id] = replace(row, decision=decision)

    def add_model_call(self, call: ModelCall, *, at: datetime, run_id: str) -> None:
        raise NotImplementedError

    def playbook(self, *, as_of: datetime) -> Playbook:
        raise NotImplementedError

    def rules(self, *, statuses: Sequence[RuleStatus] | None = None) -> tuple[PlaybookRule, ...]:
        wanted = set(statuses or RuleStatus)
        return tuple(rule for rule in self._rows.rules.values() if rule.status in wanted)

    def propose_rule(self, rule: PlaybookRule) -> bool:
        return self._rows.rules.setdefault(rule.id, rule) is rule

    def decide_rule(self, rule_id: str, *, status: RuleStatus, at: datetime, by: str) -> bool:
        raise NotImplementedError

    def trading_state(self) -> tuple[TradingState, str]:
        return self._rows.state

    def set_trading_state(self, state: TradingState, *, reason: str, by: str, at: datetime) -> None:
        self._rows.state = (state, reason)
        self.audit("trading_state", by, {"state": state}, at=at)

    def enqueue(
        self, *, kind: str, subject: str, payload: dict[str, Any], key: str, at: datetime
    ) -> bool:
        if key in self._rows.outbox:
            return False
        self._rows.outbox[key] = {"kind": kind, "subject": subject, "payload": payload, "at": at}
        return True

    def audit(self, kind: str, subject: str, detail: dict[str, Any], *, at: datetime) -> None:
        event = AuditEvent(len(self._rows.audit) + 1, at, kind, subject, detail)
        self._rows.audit.append(event)

    def audit_events(self, *, subject: str | None = None) -> tuple[AuditEvent, ...]:
        return tuple(row for row in self._rows.audit if subject in (None, row.subject))

    def add_order(self, order: OrderRecord) -> bool:
        if order.client_order_id in self._rows.orders:
            return False
        self._rows.orders[order.client_order_id] = order
        return True

    def order(self, client_order_id: str) -> OrderRecord | None:
        return self._rows.orders.get(client_order_id)

    def orders(
        self,
        *,
        statuses: Sequence[OrderStatus] | None = None,
        purpose: OrderPurpose | None = None,
        subject_id: str | None = None,
        intended_from: datetime | None = None,
        rolls: str | None = None,
    ) -> tuple[OrderRecord, ...]:
        return tuple(
            row
            for row in self._rows.orders.values()
            if (statuses is None or row.status in statuses)
            and purpose in (None, row.purpose)
            and subject_id in (None, row.subject_id)
            and (intended_from is None or row.intended_at >= intended_from)
            and rolls in (None, row.rolls)
        )

    def update_order(
        self,
        client_order_id: str,
        *,
        expected: Sequence[OrderStatus],
        to: OrderStatus,
        at: datetime,
        reason: str = "",
        broker_order_id: str | None = None,
        filled_quantity: int | None = None,
        average_fill_price: Decimal | None = None,
    ) -> bool:
        row = self._rows.orders.get(client_order_id)
        if row is None:
            raise MissingData(client_order_id)
        if row.status not in expected:
            return False
        self._rows.orders[client_order_id] = replace(
            row,
            status=to,
            status_reason=reason,
            broker_order_id=broker_order_id or row.broker_order_id,
            filled_quantity=row.filled_quantity if filled_quantity is None else filled_quantity,
            average_fill_price=average_fill_price or row.average_fill_price,
        )
        self.audit("order_updated", client_order_id, {"to": to, "reason": reason}, at=at)
        return True

    def intend_cancel(self, client_order_id: str, *, reason: str, at: datetime) -> bool:
        row = self._rows.orders[client_order_id]
        if row.status.is_final:
            return False
        self._rows.orders[client_order_id] = replace(row, cancel_reason=reason)
        self.audit("cancel_intended", client_order_id, {"reason": reason}, at=at)
        return True

    def add_fills(self, fills: Sequence[FillRecord]) -> int:
        new = [fill for fill in fills if fill.id not in self._rows.fills]
        self._rows.fills.update({fill.id: fill for fill in new})
        return len(new)

    def fills(self, *, client_order_id: str | None = None) -> tuple[FillRecord, ...]:
        rows = self._rows.fills.values()
        return tuple(row for row in rows if client_order_id in (None, row.client_order_id))

    def open_trade(self, trade: Trade) -> bool:
        if trade.id in self._rows.trades:
            return False
        self._rows.trades[trade.id] = trade
        return True

    def trade(self, trade_id: str) -> Trade | None:
        return self._rows.trades.get(trade_id)

    def trades(
        self,
        *,
        statuses: Sequence[TradeStatus] | None = None,
        underlying: str | None = None,
        closed_from: datetime | None = None,
    ) -> tuple[Trade, ...]:
        return tuple(
            row
            for row in self._rows.trades.values()
            if (statuses is None or row.status in statuses)
            and underlying in (None, row.structure.underlying)
            and (
                closed_from is None or (row.exit_time is not None and row.exit_time >= closed_from)
            )
        )

    def update_trade(self, trade: Trade, *, expected: TradeStatus, at: datetime) -> bool:
        row = self._rows.trades[trade.id]
        if row.status is not expected:
            return False
        self._rows.trades[trade.id] = trade
        self.audit("trade_updated", trade.id, {"status": trade.status}, at=at)
        return True

    def add_marks(self, marks: Sequence[PositionMark]) -> None:
        there = {(row.trade_id, row.marked_at) for row in self._rows.marks}
        assert not there & {(row.trade_id, row.marked_at) for row in marks}
        self._rows.marks += marks

    def marks(
        self, *, trade_id: str | None = None, from_: datetime | None = None
    ) -> tuple[PositionMark, ...]:
        return tuple(
            row
            for row in self._rows.marks
            if trade_id in (None, row.trade_id) and (from_ is None or row.marked_at >= from_)
        )

    def add_activities(self, rows: Sequence[KnownActivity]) -> int:
        new = [row for row in rows if row.id not in self._rows.activities]
        self._rows.activities.update({row.id: row for row in new})
        return len(new)

    def activities(self) -> tuple[KnownActivity, ...]:
        return tuple(sorted(self._rows.activities.values(), key=lambda row: row.day))

    def book_activity(self, activity_id: str, quantity: int) -> None:
        row = self._rows.activities[activity_id]
        if quantity * row.left < 0 or abs(quantity) > abs(row.left):
            raise IllegalTransition("activity", activity_id, str(row.left), str(quantity))
        self._rows.activities[activity_id] = replace(
            row, booked_quantity=row.booked_quantity + quantity
        )

    def add_settlements(self, rows: Sequence[LegSettlement]) -> None:
        assert not {row.id for row in rows} & {row.id for row in self._rows.settlements}
        self._rows.settlements += rows

    def settlements(self, *, trade_id: str | None = None) -> tuple[LegSettlement, ...]:
        rows = self._rows.settlements
        return tuple(row for row in rows if trade_id in (None, row.trade_id))

    def put_holding(self, holding: Holding, *, at: datetime) -> None:
        self._rows.holdings[holding.id] = holding
        self.audit("holding_put", holding.id, {}, at=at)

    def holdings(self, *, open_only: bool = True) -> tuple[Holding, ...]:
        rows = self._rows.holdings.values()
        return tuple(row for row in rows if row.quantity or not open_only)

    def put_finding(self, finding: FindingRecord) -> None:
        before = self._rows.findings.get(finding.id)
        self._rows.findings[finding.id] = finding
        if before is None or (before.kind, before.status) != (finding.kind, finding.status):
            kind = f"reconciliation.{finding.kind}"
            self.audit(kind, finding.subject, {}, at=finding.last_seen)

    def finding(self, finding_id: str) -> FindingRecord | None:
        return self._rows.findings.get(finding_id)

    def findings(
        self, *, statuses: Sequence[FindingStatus] | None = None
    ) -> tuple[FindingRecord, ...]:
        rows = self._rows.findings.values()
        return tuple(row for row in rows if statuses is None or row.status in statuses)

    def begin_cash(self, beginning: CashBeginning) -> bool:
        if self._rows.cash_beginning is not None:
            return False
        self._rows.cash_beginning = beginning
        return True

    def cash_beginning(self) -> CashBeginning | None:
        return self._rows.cash_beginning

    def request_close(self, request: CloseRequest) -> bool:
        self._rows.close_requests.append(request)
        return True

    def close_requests(self, *, waiting_only: bool = False) -> tuple[CloseRequest, ...]:
        rows = self._rows.close_requests
        return tuple(row for row in rows if not waiting_only or row.taken_at is None)

    def take_close_request(self, trade_id: str, *, at: datetime) -> bool:
        taken = False
        for place, row in enumerate(self._rows.close_requests):
            if (row.trade_id, row.wish, row.taken_at) == (trade_id, CloseWish.CLOSE, None):
                self._rows.close_requests[place] = replace(row, taken_at=at)
                taken = True
        return taken

    def entries_on(self, session: date, *, besides: str | None = None) -> int:
        return len(
            {
                row.subject_id
                for row in self._rows.orders.values()
                if row.purpose is OrderPurpose.OPEN
                and row.status is not OrderStatus.REJECTED
                and row.intended_at.date() == session
                and row.subject_id != besides
            }
        )


class Crash(BaseException):
    """The process dies here: nothing in the product catches it."""


class FakeBook:
    """Transactions that roll back when their block raises, and leases by holder.

    `crash_after` dies once after that many commits, as a killed process would.
    """

    def __init__(self) -> None:
        self.rows = Rows()
        self.holders: dict[str, str] = {}
        self.commits = 0
        self.crash_after: int | None = None

    @contextmanager
    def _transaction(self, account_id: str) -> Iterator[FakeLedger]:
        before = self.rows.savepoint()
        try:
            yield FakeLedger(self.rows, account_id)
        except BaseException:
            self.rows = before
            raise
        self.commits += 1
        if self.crash_after is not None and self.commits >= self.crash_after:
            self.crash_after = None
            raise Crash

    def transaction(self, account_id: str) -> AbstractContextManager[FakeLedger]:
        return self._transaction(account_id)

    @contextmanager
    def _lease(self, name: str, holder: str) -> Iterator[None]:
        if self.holders.setdefault(name, holder) != holder:
            raise LeaseHeld(f"{name} is held by {self.holders[name]}")
        try:
            yield
        finally:
            self.holders.pop(name, None)

    def lease(
        self, name: str, *, account_id: str, holder: str, seconds: float
    ) -> AbstractContextManager[None]:
        assert account_id
        assert seconds > 0
        return self._lease(name, holder)


class FakeBroker:
    """Takes orders and follows a script.

    `prices` are the legs' fill prices. `fill_units` is how many units fill at submission (None is
    all of them). `drop` is raised instead of taking the order, `lose_answer` once after it was
    taken; `hidden_for` questions are answered with "no such order" and `unavailable` ones raise.
    """

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.is_open = True
        self.prices: dict[str, Decimal] = {}
        self.fill_units: int | None = None
        self.refusal: BrokerRefused | None = None
        self.drop: BaseException | None = None
        self.lose_answer: BaseException | None = None
        self.unavailable: list[Exception] = []
        self.hidden_for = 0
        self.submitted: list[OrderRequest] = []
        self.cancelled: list[str] = []
        self.cancel_fills: int = 0
        self.cancel_refusal: BrokerRefused | None = None
        self.cancel_is_slow = False
        self.book: dict[str, BrokerOrder] = {}
        self.held: dict[str, int] = {}
        self.averages: dict[str, Decimal] = {}
        self.cash = Decimal(100_000)
        self.history: list[BrokerActivity] = []

    def clock(self) -> BrokerClock:
        start = self.now.replace(hour=14, minute=30, second=0) + timedelta(days=1)
        close = self.now.replace(hour=21, minute=0, second=0)
        return BrokerClock(self.now, self.is_open, start, close)

    def account(self) -> BrokerAccount:
        return BrokerAccount(
            id="a",
            status="ACTIVE",
            equity=self.cash,
            last_equity=Decimal(100_000),
            cash=self.cash,
            options_buying_power=self.cash,
            options_level=3,
            trading_blocked=False,
        )

    def submit(self, order: OrderRequest) -> BrokerOrder:
        self.submitted.append(order)
        if self.refusal is not None:
            raise self.refusal
        if self.drop is not None:
            raise self.drop
        if order.client_order_id in self.book:
            # It says that an order exists, ours perhaps: the real adapter calls that unknown.
            raise BrokerOutcomeUnknown("client_order_id must be unique", status=422, code=40010001)
        self.book[order.client_order_id] = BrokerOrder(
            id=f"b-{len(self.book) + 1}",
            client_order_id=order.client_order_id,
            status=OrderStatus.ACKNOWLEDGED,
            broker_status="accepted",
            quantity=order.quantity,
            filled_quantity=0,
            limit_price=order.limit_price,
            average_fill_price=None,
            fills=(),
            submitted_at=self.now,
            filled_at=None,
            raw={"legs": order.legs},
        )
        wanted = order.quantity if self.fill_units is None else self.fill_units
        if wanted:
            self.fill(order.client_order_id, wanted)
        if self.lose_answer is not None:
            lost, self.lose_answer = self.lose_answer, None
            raise lost
        return self.book[order.client_order_id]

    def fill(self, client_order_id: str, units: int) -> None:
        """Fill this many more units at `prices`."""
        order = self.book[client_order_id]
        done = order.filled_quantity + units
        fills = []
        for leg in order.raw["legs"]:
            before = {fill.symbol: fill for fill in order.fills}.get(leg.symbol)
            price = self.prices[leg.symbol]
            if before is not None:
                paid = before.price * before.quantity + price * units * leg.ratio
                price = paid / (done * leg.ratio)
            fills.append(LegFill(leg.symbol, leg.side, done * leg.ratio, price))
            self.hold(leg.symbol, leg.side.sign * units * leg.ratio, self.prices[leg.symbol])
        full = done == order.quantity
        net = sum((fill.side.sign * fill.price for fill in fills), Decimal(0))
        self.book[client_order_id] = replace(
            order,
            status=OrderStatus.FILLED if full else OrderStatus.PARTIALLY_FILLED,
            broker_status="filled" if full else "partially_filled",
            filled_quantity=done,
            average_fill_price=net,
            fills=tuple(fills),
            filled_at=self.now,
        )

    def hold(self, symbol: str, quantity: int, price: Decimal) -> None:
        """Move position, average and cash as a fill of this signed quantity does."""
        before = self.held.get(symbol, 0)
        after, average = before + quantity, self.averages.get(symbol, price)
        if before * quantity >= 0 and after:
            average = (average * before + price * quantity) / after
        elif before * after < 0:
            average = price
        self.held[symbol], self.averages[symbol] = after, average
        self.cash -= quantity * price * (100 if len(symbol) > 6 else 1)

    def by_another_hand(self, symbol: str, quantity: int, price: str, *, row: str = "") -> None:
        """Fill an order that the desk does not know; its row is in the history at once."""
        self.hold(symbol, quantity, Decimal(price))
        size = 100 if len(symbol) > 6 else 1
        self.history.append(
            BrokerActivity(
                id=row or f"{self.now.isoformat()}::{symbol}{quantity}",
                kind="FILL",
                day=self.now.date(),
                symbol=symbol,
                quantity=Decimal(quantity),
                price=Decimal(price),
                net_amount=-quantity * size * Decimal(price),
                order_id="another hand's",
                raw={},
            )
        )

    def end(self, client_order_id: str, status: OrderStatus) -> None:
        """End an order without another fill."""
        order = self.book[client_order_id]
        self.book[client_order_id] = replace(order, status=status, broker_status=status.value)

    def order_by_client_id(self, client_order_id: str) -> BrokerOrder | None:
        if self.unavailable:
            raise self.unavailable.pop(0)
        if self.hidden_for > 0:
            self.hidden_for -= 1
            return None
        return self.book.get(client_order_id)

    def cancel(self, order_id: str) -> None:
        self.cancelled.append(order_id)
        order = next(row for row in self.book.values() if row.id == order_id)
        if order.status.is_final:
            raise BrokerRefused("order is not cancelable", status=422, code=42210000)
        if self.cancel_fills:
            self.fill(order.client_order_id, self.cancel_fills)
        if self.cancel_refusal is not None:
            raise self.cancel_refusal
        if not self.cancel_is_slow:
            self.end(order.client_order_id, OrderStatus.CANCELLED)

    def open_orders(self) -> tuple[BrokerOrder, ...]:
        return tuple(row for row in self.book.values() if not row.status.is_final)

    def positions(self) -> tuple[BrokerPosition, ...]:
        return tuple(
            BrokerPosition(
                symbol,
                quantity,
                self.averages.get(symbol, Decimal(1)),
                None,
                is_option=len(symbol) > 6,
            )
            for symbol, quantity in self.held.items()
            if quantity
        )

    def activities(self, *, after: datetime | None = None) -> tuple[BrokerActivity, ...]:
        return tuple(row for row in self.history if after is None or row.day >= after.date())


class FakeMarket:
    """Quotes set by the test."""

    def __init__(self, now: datetime) -> None:
        self.time = now
        self.quotes = pd.DataFrame()
        self.levels: dict[str, float] = {}
        self.bars: list[tuple[str, date, float]] = []
        self.ex_dates: list[tuple[str, date, float]] = []
        self.dividends_asked: list[tuple[str, ...]] = []
        self.asked = 0

    def now(self) -> datetime:
        return self.time

    def chain(self, underlying: str, *, expires_from: date, expires_to: date) -> pd.DataFrame:
        raise NotImplementedError

    def option_quotes(self, symbols: Sequence[str]) -> pd.DataFrame:
        self.asked += 1
        return self.quotes[self.quotes["symbol"].isin(list(symbols))].reset_index(drop=True)

    def stock_quotes(self, underlyings: Sequence[str]) -> pd.DataFrame:
        rows = [
            (name, self.levels[name] - 0.01, self.levels[name] + 0.01, self.levels[name], self.time)
            for name in underlyings
            if name in self.levels
        ]
        return pd.DataFrame(rows, columns=list(STOCK_QUOTE_COLUMNS))

    def daily_bars(self, underlyings: Sequence[str], *, start: date, end: date) -> pd.DataFrame:
        rows = [
            (name, pd.Timestamp(day), close, close, close, close, 0.0)
            for name, day, close in self.bars
            if name in underlyings and start <= day <= end
        ]
        return pd.DataFrame(rows, columns=list(BAR_COLUMNS))

    def listed_contracts(
        self, underlying: str, *, expires_from: date, expires_to: date, active: bool
    ) -> pd.DataFrame:
        raise NotImplementedError

    def option_daily_bars(self, symbols: Sequence[str], *, start: date, end: date) -> pd.DataFrame:
        raise NotImplementedError

    def dividends(self, underlyings: Sequence[str], *, start: date, end: date) -> pd.DataFrame:
        self.dividends_asked.append(tuple(underlyings))
        rows = [
            (name, pd.Timestamp(day), amount, pd.NaT, False)
            for name, day, amount in self.ex_dates
            if name in underlyings and start <= day <= end
        ]
        return pd.DataFrame(rows, columns=list(DIVIDEND_COLUMNS)).astype(DIVIDEND_COLUMNS)


class FakeLake:
    """Keeps snapshots by their hash, and tables by session and scan."""

    def __init__(self) -> None:
        self.snapshots: dict[str, ChainSnapshot] = {}
        self.tables: dict[tuple[str, date, str | None], pd.DataFrame] = {}
        self.pointers_moved = 0

    def add_snapshot(self, snapshot: ChainSnapshot, *, move_pointer: bool = True) -> str:
        self.snapshots[snapshot.content_hash] = snapshot
        self.pointers_moved += move_pointer
        return snapshot.content_hash

    def write(
        self, table: str, rows: pd.DataFrame, *, session: date, scan: str | None = None
    ) -> str:
        self.tables[table, session, scan] = rows
        return f"{table}/{session}/{scan}"

    def read(self, table: str, *, session: date, scan: str | None = None) -> pd.DataFrame:
        raise NotImplementedError

    def read_range(
        self, table: str, *, start: date, end: date, columns: tuple[str, ...] | None = None
    ) -> pd.DataFrame:
        parts = [
            rows[list(columns or rows.columns)].assign(session=session, scan=scan)
            for (name, session, scan), rows in self.tables.items()
            if name == table and start <= session <= end
        ]
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()

    def has(self, table: str, *, session: date, scan: str | None = None) -> bool:
        raise NotImplementedError

    def snapshot(
        self,
        *,
        session: date | None = None,
        scan: str | None = None,
        content_hash: str | None = None,
    ) -> ChainSnapshot:
        assert content_hash is not None, (session, scan)
        return self.snapshots[content_hash]

    def quotes_of(self, symbols: Collection[str], *, start: date, end: date) -> pd.DataFrame:
        raise NotImplementedError

    def write_reference(self, table: str, rows: pd.DataFrame) -> str:
        raise NotImplementedError

    def read_reference(self, table: str) -> pd.DataFrame:
        raise NotImplementedError

    def put_file(self, relative_path: str, content: bytes) -> str:
        raise NotImplementedError

    def describe(self) -> dict[str, Any]:
        raise NotImplementedError

    def remove_temporary_files(self, *, older_than_seconds: float = 3600.0) -> int:
        raise NotImplementedError


def activity(
    symbol: str,
    *,
    kind: str,
    day: date,
    quantity: int,
    price: str | None = None,
    net_amount: str = "0",
    group: str | None = None,
) -> BrokerActivity:
    """One row of the account's history."""
    return BrokerActivity(
        id=f"{day:%Y%m%d}::{symbol}{kind}{quantity}",
        kind=kind,
        day=day,
        symbol=symbol,
        quantity=Decimal(quantity),
        price=None if price is None else Decimal(price),
        net_amount=Decimal(net_amount),
        order_id=None,
        raw={"status": "executed", "group_id": group},
    )


def utc(year: int, month: int, day: int, *, hour: int = 15, minute: int = 0) -> datetime:
    """A moment in UTC; 15:00 is mid-morning in New York."""
    return datetime(year, month, day, hour, minute, tzinfo=UTC)
