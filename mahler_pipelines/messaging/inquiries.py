"""What takes longer than a first answer may: the lake, the broker and live quotes are asked."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from mahler_pipelines.cards.custom_ids import Action, CustomId
from mahler_pipelines.cards.desk_state import DeskState, pnl_message, status_message
from mahler_pipelines.cards.details import (
    details_message,
    explanation_message,
    refusals_message,
)
from mahler_pipelines.cards.message import Message
from mahler_pipelines.cards.text import plain
from mahler_pipelines.cards.wording import plural, structure_line, usd
from mahler_pipelines.decisions.proposing import Asked
from mahler_pipelines.decisions.recommendation import RecommendationStatus
from mahler_pipelines.errors import BrokerError
from mahler_pipelines.execution.broker import BrokerClock
from mahler_pipelines.execution.desk import ExecutionDesk, session_of
from mahler_pipelines.execution.desk_terms import DeskTerms
from mahler_pipelines.execution.editing import Editor, edit
from mahler_pipelines.execution.halting import unacknowledged_halts
from mahler_pipelines.market.lake import Lake
from mahler_pipelines.messaging.halt_sign import halt_sign
from mahler_pipelines.messaging.ledger import MessagingBook, MessagingLedger
from mahler_pipelines.review.explaining import explain_subject
from mahler_pipelines.review.performance import DailyPerformance, summary
from mahler_pipelines.review.position_lines import open_trades, position_lines
from mahler_pipelines.risk.trading_state import TradingState

SCANNED = "screen_pairs"
"""The table that every scan leaves."""
DAYS_BACK = 10
"""How far back the last scan is looked for: a weekend of holidays is shorter."""


@dataclass(frozen=True, slots=True)
class Inquiries:
    """Asks for one account. `desk` makes an execution desk for a run's id, `picture` draws equity.

    Every call may take seconds, and raises `MahlerError` when what it needs can't be had.
    """

    terms: DeskTerms
    mode: str
    book: MessagingBook
    lake: Lake
    reference_lake: Lake
    desk: Callable[[str], ExecutionDesk]
    picture: Callable[[tuple[DailyPerformance, ...]], bytes | None]
    present: Callable[[], datetime]

    def details(self, recommendation_id: str) -> Message:
        """What a recommendation stood against."""
        told = self._explained(recommendation_id)
        return _nothing(recommendation_id) if told is None else details_message(told)

    def explain(self, identifier: str) -> Message:
        """Everything behind a recommendation, trade, order, fill or finding."""
        told = self._explained(identifier)
        return _nothing(identifier) if told is None else explanation_message(told)

    def edit(self, recommendation_id: str, asked: Asked, *, editor: Editor, run_id: str) -> Message:
        """Price an edit anew and put it to the gates; its card comes by the outbox."""
        outcome = edit(
            recommendation_id,
            asked,
            editor=editor,
            desk=self.desk(run_id),
            terms=self.terms,
            reference=self.reference_lake,
        )
        if outcome.answer is not None:
            return Message(content=f"Not edited: {plain(outcome.answer.message)}.")
        offered = outcome.offered
        if offered is None:
            return refusals_message("Not edited: what you saw still stands", outcome.refusals)
        return Message(
            content=f"Offered as `{offered.id}`: {structure_line(offered.structure)}, "
            f"{plural(offered.contracts, 'contract')} not below {offered.floor_credit}, "
            f"{usd(offered.max_loss_usd)} to lose. Its card waits for your answer."
        )

    def pnl(self) -> Message:
        """What was earned, with the equity curve."""
        with self.book.reading(self.terms.account_id) as ledger:
            history, trades = ledger.performance(), ledger.trades()
            results = [one.pnl_usd for one in position_lines(ledger, session=date.min)]
        known = [result for result in results if result is not None]
        return pnl_message(
            summary(trades, history),
            history,
            open_pnl_usd=sum(known, Decimal(0)) if known or not results else None,
            png=self.picture(history),
            account_id=self.terms.account_id,
        )

    def status(self, by: str) -> Message:
        """The state of the desk, with a way to resume it for who asks."""
        clock = self._clock()
        found = last_scan(
            self.lake, self.terms, until=session_of(clock.now if clock else self.present())
        )
        with self.book.reading(self.terms.account_id) as ledger:
            state = _state(ledger, self.terms, mode=self.mode, last_scan=found, clock=clock)
            sign = halt_sign(ledger, by)
        resume = CustomId(Action.RESUME, self.terms.account_id, sign)
        return status_message(state, resume=None if state.state.may_open else resume)

    def _clock(self) -> BrokerClock | None:
        try:
            return self.desk("status").broker.clock()
        except BrokerError:
            return None

    def _explained(self, identifier: str) -> dict[str, object] | None:
        return explain_subject(
            self.book, self.lake, account_id=self.terms.account_id, identifier=identifier
        )


def last_scan(lake: Lake, terms: DeskTerms, *, until: date) -> tuple[date, str] | None:
    """The newest scan of the last days; None when there was none."""
    for back in range(DAYS_BACK):
        session = until - timedelta(days=back)
        for scan in reversed(terms.scans):
            if lake.has(SCANNED, session=session, scan=scan.value):
                return session, scan.value
    return None


def _state(
    ledger: MessagingLedger,
    terms: DeskTerms,
    *,
    mode: str,
    last_scan: tuple[date, str] | None,
    clock: BrokerClock | None,
) -> DeskState:
    state, reason = ledger.trading_state()
    halted = state is not TradingState.ACTIVE
    return DeskState(
        account_id=terms.account_id,
        mode=mode,
        state=state,
        reason=reason,
        causes=tuple(
            f"{halt.code} {halt.value}, limit {halt.limit} ({halt.cause})"
            for halt in (unacknowledged_halts(ledger) if halted else ())
        ),
        open_trades=len(open_trades(ledger)),
        pending=len(ledger.recommendations(statuses=[RecommendationStatus.PENDING])),
        last_scan=last_scan,
        waiting_messages=len(ledger.outbox(undelivered_only=True)),
        market_at=clock.now if clock else None,
        market_open=clock.is_open if clock else None,
    )


def _nothing(identifier: str) -> Message:
    return Message(content=f"Nothing here is called {plain(identifier)}.")
