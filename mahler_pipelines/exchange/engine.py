"""The exchange: a market, a clock, accounts, and what happens as time passes.

One thread at a time. Every step of the clock is one transaction, so that a killed exchange stands,
when it is started again, at the last moment that was wholly processed.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

from mahler_pipelines.errors import BadInput
from mahler_pipelines.exchange.accounts import (
    LOCAL_CREDENTIALS,
    Account,
    Configuration,
    Credentials,
    Figures,
    Position,
    market_values,
)
from mahler_pipelines.exchange.clearing import Clearing
from mahler_pipelines.exchange.clock import (
    ClockRefusal,
    ExchangeClock,
    Moment,
    Timeline,
    session_on_or_after,
)
from mahler_pipelines.exchange.increments import Increments
from mahler_pipelines.exchange.market import Market
from mahler_pipelines.exchange.matching import FeeSchedule
from mahler_pipelines.exchange.quotes import MarketView
from mahler_pipelines.exchange.store import moment_text
from mahler_pipelines.exchange.streaming import Feed, RecordingStore
from mahler_pipelines.exchange.trading import Trading
from mahler_pipelines.market.sessions import NEW_YORK, TradingCalendar
from mahler_pipelines.options.structures import CENT

DATABASE = "exchange.sqlite"


@dataclass(frozen=True, slots=True)
class ExchangeTerms:
    """How a new exchange is set up; an existing state folder keeps its accounts and its clock."""

    credentials: tuple[Credentials, ...] = (LOCAL_CREDENTIALS,)
    starting_equity: Decimal = Decimal(100_000)
    start_at: datetime | None = None
    fees: FeeSchedule = field(default_factory=FeeSchedule)
    calendar: TradingCalendar = field(default_factory=TradingCalendar)
    increments: Increments = Increments.PENNY


class Exchange:
    """The local paper exchange behind the wire.

    Raises `BadInput` when the state folder belongs to another market.
    """

    def __init__(
        self,
        market: Market,
        state_dir: Path,
        terms: ExchangeTerms,
        *,
        real_seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self.market = market
        self.terms = terms
        self.timeline = Timeline(market, terms.calendar)
        self.feed = Feed()
        self.store = RecordingStore(state_dir / DATABASE, self.feed)
        try:
            with self.store.transaction():
                self._own(state_dir)
                self.clock = self._restore_clock(real_seconds)
                self._open_accounts()
        except BaseException:
            self.store.close()
            raise
        self.view = MarketView(market, self.clock.now)
        self.trading = Trading(self.store, self.view, terms.fees, self.timeline, terms.increments)
        self.clearing = Clearing(market, self.trading)

    def close(self) -> None:
        """Close the database; the clock stands where it is."""
        self.store.close()

    @property
    def now(self) -> datetime:
        """The exchange's present, in UTC."""
        return self.clock.now

    def authenticate(self, key_id: str, secret: str) -> str | None:
        """Return the account of a key pair, or None."""
        for known in self.terms.credentials:
            if (known.key_id, known.secret) == (key_id, secret):
                return known.account
        return None

    def figures(self, account: str) -> Figures:
        """Return the money of an account, at the marks of this moment."""
        standing = self.trading.standing(account)
        long_value, short_value = market_values(self.store.positions(account))
        power = max(Decimal(0), standing.buying_power())
        return Figures(
            standing.cash,
            long_value,
            short_value,
            margin=standing.margin(),
            options_buying_power=power.quantize(CENT),
        )

    def equity(self, account: Account) -> Decimal:
        """Return cash plus the market value of what an account holds, at the last marks."""
        return account.cash + sum(market_values(self.store.positions(account.name)), Decimal(0))

    def configure(self, account: Account, configuration: Configuration) -> None:
        """Change what an account may do."""
        self.store.save_account(replace(account, configuration=configuration))

    def set_rate(self, rate: float) -> None:
        """Let the clock move by itself; a market of snapshots only stands or is moved."""
        if rate and self.market.snapshot_only:
            raise ClockRefusal("rate", rate, "this market has one snapshot per session")
        self.clock.set_rate(rate)
        self.store.set_meta("rate", str(rate))

    def catch_up(self) -> None:
        """Advance to where the rate would have the clock; stop at the market's last session."""
        due = self.clock.due()
        if due <= self.now:
            return
        last = self.market.sessions()[1]
        if due.astimezone(NEW_YORK).date() > last:
            self.set_rate(0.0)
            due = max(self.now, self.terms.calendar.close(last))
        self.advance(due)

    def advance(self, to: datetime) -> None:
        """Move the clock, and let everything on the way happen in order.

        Raises `ClockRefusal` for the past, and for moments at which this market does not trade.
        """
        if to == self.now:
            return
        if to < self.now:
            raise ClockRefusal("to", to.isoformat(), f"before {self.now.isoformat()}")
        self.timeline.check(to)
        for moment, kind in self.timeline.between(self.now, to):
            if self._has_work(moment, kind):
                self._step(moment, kind)
        self._step(to, None)

    def unsettled(self) -> tuple[Position, ...]:
        """Return expired holdings whose settlement value is not known."""
        today = self.now.astimezone(NEW_YORK).date()
        return tuple(
            position
            for position, contract in self.clearing.expired()
            if contract.expiration < today or self._has_closed(today)
        )

    def status(self) -> dict[str, Any]:
        """Return what there is to know of the exchange as a whole, as plain values."""
        first, last = self.market.sessions()
        session = self.now.astimezone(NEW_YORK).date()
        is_session = self.terms.calendar.is_session(session)
        scan, scan_at = self.timeline.next_scan(self.now)
        return {
            "market": self.market.name,
            "snapshot_only": self.market.snapshot_only,
            "underlyings": list(self.market.underlyings),
            "now": self.now.isoformat(),
            "rate": self.clock.rate,
            "is_open": self.timeline.is_open(self.now),
            "session": session.isoformat() if is_session else None,
            "session_has_data": is_session and self.market.has_session(session),
            "first_session": first.isoformat(),
            "last_session": last.isoformat(),
            "next_open": self.timeline.next_open(self.now).isoformat(),
            "next_close": self.timeline.next_close(self.now).isoformat(),
            "next_scan": scan.value,
            "next_scan_at": scan_at.isoformat(),
            "accounts": [account.name for account in self.store.accounts()],
            "open_orders": len(self.store.orders(is_open=True)),
            "positions": len(self.store.positions()),
            "unsettled": [position.symbol for position in self.unsettled()],
        }

    def _own(self, state_dir: Path) -> None:
        owner = self.store.meta("market")
        if owner is None:
            self.store.set_meta("market", self.market.name)
        elif owner != self.market.name:
            raise BadInput("state_dir", str(state_dir), f"belongs to {owner}")

    def _restore_clock(self, real_seconds: Callable[[], float]) -> ExchangeClock:
        stood = self.store.meta("clock")
        if stood is not None:
            rate = float(self.store.meta("rate") or 0.0)
            return ExchangeClock(
                datetime.fromisoformat(stood), rate=rate, real_seconds=real_seconds
            )
        first = session_on_or_after(self.terms.calendar, self.market.sessions()[0])
        start = self.terms.start_at or self.terms.calendar.open(first)
        self.timeline.check(start)
        clock = ExchangeClock(start, real_seconds=real_seconds)
        self.store.set_meta("clock", moment_text(clock.now))
        return clock

    def _open_accounts(self) -> None:
        equity = self.terms.starting_equity.quantize(CENT)
        for name in sorted({known.account for known in self.terms.credentials}):
            if self.store.account(name) is None:
                opened = self.clock.now
                account = Account(name, str(uuid4()), equity, equity, opened, Configuration())
                self.store.save_account(account)
                self._note_equity(account, opened)

    def _has_work(self, moment: datetime, kind: Moment) -> bool:
        """Whether a moment on the way is stood on: looks and sweeps only for what they act on."""
        if kind not in (Moment.LOOK, Moment.SWEEP) or self.store.orders(is_open=True):
            return True
        session = moment.astimezone(NEW_YORK).date()
        return kind is Moment.SWEEP and self.clearing.has_last_day(session)

    def _step(self, moment: datetime, kind: Moment | None) -> None:
        """Process one moment as one transaction, and only then stand there."""
        self.view.move_to(moment)
        try:
            with self.store.transaction():
                self.store.set_meta("clock", moment_text(moment))
                if kind is Moment.OPEN:
                    self.clearing.pay_dividends()
                if kind is Moment.CLOSE:
                    self._close_session()
                else:
                    self.trading.attempt_all()
                if kind is Moment.SWEEP:
                    self.clearing.liquidate()
                if kind is None:
                    self._refresh_marks()
                    for account in self.store.accounts():
                        self._note_equity(account, moment)
        except BaseException:
            self.view.move_to(self.clock.now)
            raise
        self.clock.stand_at(moment)
        self.feed.clock_moved()

    def _refresh_marks(self) -> None:
        for position in self.store.positions():
            mark = self.view.mark(position.symbol)
            if mark is not None and mark != position.mark:
                self.store.save_position(replace(position, mark=mark))

    def _close_session(self) -> None:
        """Mark everything, end day orders, settle and assign, and note the equity."""
        self._refresh_marks()
        self.trading.expire()
        self.clearing.settle_expired()
        self.clearing.assign_early()
        for position in self.store.positions():
            self.store.save_position(replace(position, previous_mark=position.mark))
        for account in self.store.accounts():
            self.store.save_account(replace(account, last_equity=self.equity(account)))
            self._note_equity(account, self.view.moment)

    def _note_equity(self, account: Account, moment: datetime) -> None:
        """Keep what an account is worth at this minute, if it is one of a session."""
        calendar, session = self.terms.calendar, moment.astimezone(NEW_YORK).date()
        if not calendar.is_session(session):
            return
        if calendar.open(session) <= moment <= calendar.close(session):
            minute = moment.replace(second=0, microsecond=0)
            self.store.record_equity(account.name, minute, session, self.equity(account))

    def _has_closed(self, day: date) -> bool:
        calendar = self.terms.calendar
        return calendar.is_session(day) and self.now >= calendar.close(day)
