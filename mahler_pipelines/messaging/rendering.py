"""From the ledger's state to messages: which card shows what, and when it is settled."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from mahler_pipelines.cards.brief import morning_brief
from mahler_pipelines.cards.countdowns import without_countdowns
from mahler_pipelines.cards.expiry import early_assignment, expiry_forecast
from mahler_pipelines.cards.learning import LearningCard, RuleNow, learning_report
from mahler_pipelines.cards.message import Colour, Message, Picture
from mahler_pipelines.cards.notes import note
from mahler_pipelines.cards.recommendation import (
    PAYOFF_PICTURE,
    CardState,
    Yes,
    recommendation_card,
)
from mahler_pipelines.cards.summary import day_summary
from mahler_pipelines.cards.trades import (
    ExitAlert,
    exit_alert,
    not_executed,
    trade_closed,
    trade_opened,
)
from mahler_pipelines.cards.trouble import (
    BrokerFinding,
    Halt,
    close_refused,
    finding_message,
    halt_card,
    run_failed,
)
from mahler_pipelines.cards.wording import new_york, structure_line
from mahler_pipelines.decisions.approvals import offered_instead
from mahler_pipelines.decisions.ledger import StoredRecommendation
from mahler_pipelines.decisions.recommendation import (
    Recommendation,
    RecommendationStatus,
)
from mahler_pipelines.errors import MissingData
from mahler_pipelines.execution.booking import trade_id
from mahler_pipelines.execution.broker_books import FindingKind, FindingStatus, RepairKind
from mahler_pipelines.execution.close_requests import last_answer
from mahler_pipelines.execution.halting import ACKNOWLEDGED
from mahler_pipelines.execution.trades import Trade, TradeStatus
from mahler_pipelines.messaging.courier import Rendered
from mahler_pipelines.messaging.ledger import (
    CardRecord,
    MessagingLedger,
    OutgoingMessage,
)
from mahler_pipelines.review.day_summary import DaySummary
from mahler_pipelines.review.learning_report import LearningReport
from mahler_pipelines.review.session_brief import SessionBrief
from mahler_pipelines.risk.trading_state import TradingState

RECOMMENDATION, EXIT, HALT = "recommendation_card", "exit_reached", "halted"
LEARNING = "learning_report"
CARD_KINDS = frozenset({RECOMMENDATION, EXIT, HALT, LEARNING})
REACT = "Answer with ✅ (approve) or ❌ (reject) below."

_log = logging.getLogger(__name__)

_FINAL = frozenset(
    {
        RecommendationStatus.REJECTED,
        RecommendationStatus.EXPIRED,
        RecommendationStatus.EXECUTED,
        RecommendationStatus.LAPSED,
        RecommendationStatus.FAILED,
    }
)


@dataclass(frozen=True, slots=True)
class DeskRenderer:
    """Renders every kind of message of one account.

    `payoff` draws a recommendation's picture, None where it can't be drawn. `approvals_needed`
    says how many people have to agree. Where people react instead of pressing, no card has buttons.
    `counts_down` is off where the market's clock is not that of the readers' devices.
    """

    payoff: Callable[[Recommendation], bytes | None]
    approvals_needed: Callable[[Recommendation], int]
    by_reactions: bool = False
    counts_down: bool = True

    def new(self, ledger: MessagingLedger, row: OutgoingMessage) -> Rendered:
        """The message of an outbox row; raise `MissingData` when what it is about is not there.

        A kind without a card of its own becomes a plain note of its facts: nothing is left unsaid.
        """
        if row.kind in CARD_KINDS:
            return self._asking(row.kind, self._card(ledger, row, with_pictures=True))
        make = _MESSAGES.get(row.kind)
        if make is not None:
            return self._timed(Rendered(make(ledger, row)))
        return self.facts(ledger, row)

    def facts(self, ledger: MessagingLedger, row: OutgoingMessage) -> Rendered:
        """The bare facts of an outbox row."""
        footer = f"{row.subject} · {ledger.account_id}"
        return Rendered(note(row.kind, row.payload, footer=footer, colour=Colour.QUIET))

    def card(self, ledger: MessagingLedger, card: CardRecord) -> Rendered:
        """What a card should show now, without pictures."""
        row = _message(ledger, card.key)
        return self._asking(card.kind, self._card(ledger, row, with_pictures=False))

    def _asking(self, kind: str, rendered: Rendered) -> Rendered:
        """Ask for reactions instead of presses, where nobody hears those."""
        if not self.by_reactions or not rendered.message.rows:
            return rendered
        asked = REACT if kind == RECOMMENDATION else ""
        return replace(rendered, message=replace(rendered.message, rows=(), content=asked))

    def recommendation(self, ledger: MessagingLedger, identifier: str) -> Rendered:
        """The card of a recommendation as it stands now, without pictures."""
        state = self._state(ledger, identifier)
        status = state.stored.status
        settled = status in _FINAL and not (
            status is RecommendationStatus.EXECUTED and not state.trade
        )
        return self._timed(Rendered(recommendation_card(state), is_card=True, settled=settled))

    def _timed(self, rendered: Rendered) -> Rendered:
        if self.counts_down:
            return rendered
        return replace(rendered, message=without_countdowns(rendered.message))

    def _card(
        self, ledger: MessagingLedger, row: OutgoingMessage, *, with_pictures: bool
    ) -> Rendered:
        if row.kind == EXIT:
            return self._timed(_exit(ledger, row))
        if row.kind == HALT:
            return _halt(ledger, row.subject, row.payload)
        if row.kind == LEARNING:
            return _learning(ledger, row)
        rendered = self.recommendation(ledger, row.subject)
        if not with_pictures:
            return rendered
        shown = _stored(ledger, row.subject).recommendation
        png = self._payoff(shown)
        if png is None:
            return rendered
        said = f"Payoff at expiry and today of {structure_line(shown.structure)}"
        picture = Picture(PAYOFF_PICTURE, png, said)
        return replace(rendered, message=replace(rendered.message, pictures=(picture,)))

    def _payoff(self, shown: Recommendation) -> bytes | None:
        try:
            return self.payoff(shown)
        except Exception:  # noqa: BLE001 a card without its picture can still be answered
            _log.exception("no picture for %s", shown.id)
            return None

    def _state(self, ledger: MessagingLedger, identifier: str) -> CardState:
        stored = _stored(ledger, identifier)
        # What stands or was filled has no successor: a press need not wait for looking it up.
        is_over = stored.status in _FINAL and stored.status is not RecommendationStatus.EXECUTED
        anew = offered_instead(ledger, identifier) if is_over else None
        return CardState(
            stored=stored,
            orders=ledger.orders(subject_id=identifier),
            trade=ledger.trade(trade_id(identifier)),
            approvals=tuple(
                Yes(approval.decided_by, new_york(approval.decided_at))
                for approval in ledger.approvals(identifier)
            ),
            approvals_needed=self.approvals_needed(stored.recommendation),
            offered_as=anew.recommendation.id if anew else "",
        )


def _stored(ledger: MessagingLedger, identifier: str) -> StoredRecommendation:
    stored = ledger.recommendation(identifier)
    if stored is None:
        raise MissingData(f"no recommendation {identifier}")
    return stored


def _trade(ledger: MessagingLedger, identifier: str) -> Trade:
    trade = ledger.trade(identifier)
    if trade is None:
        raise MissingData(f"no trade {identifier}")
    return trade


def _message(ledger: MessagingLedger, key: str) -> OutgoingMessage:
    row = ledger.message(key)
    if row is None:
        raise MissingData(f"no message {key}")
    return row


def _exit(ledger: MessagingLedger, row: OutgoingMessage) -> Rendered:
    trade, payload = _trade(ledger, row.subject), row.payload
    last = last_answer(ledger.close_requests(), trade.id, since=row.created_at)
    marks = ledger.marks(trade_id=trade.id)
    reached = [mark for mark in marks if str(mark.cost_to_close) == payload.get("cost_to_close")]
    alert = ExitAlert(
        trade=trade,
        reason=str(payload["reason"]),
        mark=reached[0] if reached else None,
        wish=last.wish if last else "",
        answered_by=last.requested_by if last else "",
    )
    return Rendered(exit_alert(alert), is_card=True, settled=trade.status is TradeStatus.CLOSED)


def _halt(ledger: MessagingLedger, subject: str, payload: dict[str, Any]) -> Rendered:
    """A halt stands until a person has resumed since it was raised."""
    cause = (payload["code"], payload["cause"])
    resumed = [
        event
        for event in ledger.audit_events(subject=ledger.account_id)
        if event.kind == ACKNOWLEDGED
        and any(
            tuple(named.split(":")[:1]) == cause[:1] and cause[1] in named
            for named in event.detail["causes"]
        )
    ]
    state, _ = ledger.trading_state()
    halt = Halt(
        account_id=ledger.account_id,
        subject=subject,
        code=payload["code"],
        cause=payload["cause"],
        value=payload["value"],
        limit=payload["limit"],
        state=TradingState.ACTIVE if resumed else state,
        resumed_by=str(resumed[-1].detail["by"]) if resumed else "",
    )
    return Rendered(halt_card(halt), is_card=True, settled=bool(resumed))


def _learning(ledger: MessagingLedger, row: OutgoingMessage) -> Rendered:
    """The report as it was written, its rules as they stand."""
    report = LearningReport.read(row.payload)
    told = {rule.id for rule in report.proposed}
    rules = {
        rule.id: RuleNow(rule.status, _decided_by(ledger, rule.id))
        for rule in ledger.rules()
        if rule.id in told
    }
    card = LearningCard(report, ledger.account_id, rules)
    return Rendered(learning_report(card), is_card=True, settled=card.settled)


def _decided_by(ledger: MessagingLedger, rule_id: str) -> str:
    decided = [one for one in ledger.audit_events(subject=rule_id) if one.kind == "rule_decided"]
    return str(decided[-1].detail["by"]) if decided else ""


def _brief(ledger: MessagingLedger, row: OutgoingMessage) -> Message:
    told = SessionBrief.read(row.payload)
    return morning_brief(told, account_id=ledger.account_id)


def _summary(ledger: MessagingLedger, row: OutgoingMessage) -> Message:
    told = DaySummary.read(row.payload)
    history = ledger.performance(end=told.session)
    return day_summary(told, history, account_id=ledger.account_id)


def _finding(ledger: MessagingLedger, row: OutgoingMessage) -> Message:
    said = row.payload
    return finding_message(
        BrokerFinding(
            id=row.subject,
            account_id=ledger.account_id,
            kind=FindingKind(said["finding"]),
            subject=str(said["subject"]),
            expected=Decimal(said["expected"]),
            found=Decimal(said["found"]),
            status=FindingStatus(said["status"]),
            repair=RepairKind(said["repair"]),
            detail=said["detail"],
        )
    )


def _expiry(_: MessagingLedger, row: OutgoingMessage) -> Message:
    return expiry_forecast(row.payload, subject=row.subject)


def _assignment(_: MessagingLedger, row: OutgoingMessage) -> Message:
    return early_assignment(row.payload, subject=row.subject)


def _opened(ledger: MessagingLedger, row: OutgoingMessage) -> Message:
    return trade_opened(_trade(ledger, row.subject), slippage_usd=_amount(row, "slippage_usd"))


def _closed(ledger: MessagingLedger, row: OutgoingMessage) -> Message:
    return trade_closed(_trade(ledger, row.subject), slippage_usd=_amount(row, "slippage_usd"))


def _not_executed(ledger: MessagingLedger, row: OutgoingMessage) -> Message:
    stored = _stored(ledger, row.subject)
    reason = str(row.payload["reason"])
    if row.payload.get("offered"):
        reason = f"{reason}; offered anew as {row.payload['offered']}"
    return not_executed(stored.recommendation.structure, subject=row.subject, reason=reason)


def _run_failed(_: MessagingLedger, row: OutgoingMessage) -> Message:
    said = row.payload
    return run_failed(said["job"], said["partition"], message=said["message"], run_id=row.subject)


def _close_refused(_: MessagingLedger, row: OutgoingMessage) -> Message:
    said = row.payload
    return close_refused(said["underlying"], trade_id=row.subject, reason=said["reason"])


def _amount(row: OutgoingMessage, name: str) -> Decimal | None:
    value = row.payload.get(name)
    return None if value is None else Decimal(value)


_MESSAGES: dict[str, Callable[[MessagingLedger, OutgoingMessage], Message]] = {
    "trade_opened": _opened,
    "trade_closed": _closed,
    "not_executed": _not_executed,
    "run_failed": _run_failed,
    "close_refused": _close_refused,
    "finding": _finding,
    "unpaired_short": _finding,
    "expiry_forecast": _expiry,
    "early_assignment_warning": _assignment,
    "morning_brief": _brief,
    "day_summary": _summary,
}
