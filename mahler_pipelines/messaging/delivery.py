"""Delivery: what the outbox holds goes out once, and every card ends up showing the truth.

New messages are sent at least once with a nonce, by which Discord shows them once; when the nonce
is too old to help, the channel's recent messages say whether a send of unknown outcome was taken.
No request is made inside a transaction: a chat that hangs holds nobody's ledger.
"""

import logging
import threading
from datetime import datetime, timedelta

from mahler_pipelines.decisions.approvals import expire_due
from mahler_pipelines.errors import LeaseHeld, MahlerError
from mahler_pipelines.messaging.courier import (
    CannotRender,
    Courier,
    DeliveryReport,
    Rendered,
    is_general,
    retry_after,
)
from mahler_pipelines.messaging.ledger import CardRecord, OutgoingMessage
from mahler_pipelines.messaging.marks import mark, marked, nonce, shown_hash, with_mark
from mahler_pipelines.messaging.notifier import NotifierError, SentMessage
from mahler_pipelines.messaging.upkeep import NOT_KNOWN, update_cards

LEASE = "discord-delivery"
LEDGER, MARKET, LOOP = "ledger", "market", "loop"
"""Under these keys a report says what was wrong with no message: with what is asked, or with us."""

_log = logging.getLogger(__name__)


def deliver(courier: Courier) -> DeliveryReport:
    """Do one round: expire what nobody answered, send what is due, bring cards to their true state.

    A round with nothing to do reads the ledger and writes nothing. Another process that delivers
    makes this one a report that says `busy`. Nothing that the chat or the ledger does or does not
    do raises.
    """
    report = DeliveryReport()
    try:
        _expire(courier, report)
        if _is_anything_due(courier):
            with courier.book.lease(
                LEASE,
                account_id=courier.account_id,
                holder=courier.holder,
                seconds=courier.terms.lease_seconds,
            ):
                until = courier.present() + timedelta(seconds=courier.terms.round_seconds)
                _send_due(courier, report, until=until)
                update_cards(courier, report, until=until)
    except LeaseHeld:
        report.busy = True
    except MahlerError as error:
        report.problems[LEDGER] = str(error)
    return report


def keep_delivering(courier: Courier, *, stop: threading.Event, poll_seconds: float = 1.0) -> None:
    """Deliver round after round until `stop` is set; log a problem when it is new and when it ends.

    Nothing ends the loop but `stop`: an error that is none of ours is logged like the others.
    """
    problems: dict[str, str] = {}
    while not stop.is_set():
        try:
            report = deliver(courier)
        except Exception as error:  # noqa: BLE001 messages must flow again when it is over
            report = DeliveryReport(problems={LOOP: f"{type(error).__name__}: {error}"})
        _tell(report, problems)
        stop.wait(poll_seconds)


def _tell(report: DeliveryReport, problems: dict[str, str]) -> None:
    """Log each new problem once, however many messages and tries it meets."""
    known = set(problems.values())
    passing = {LEDGER, MARKET, LOOP} - report.problems.keys()
    for key in (*report.sent, *report.edited, *passing):
        problems.pop(key, None)
    for problem in dict.fromkeys(report.problems.values()):
        if problem not in known:
            _log.warning("not delivered: %s", problem)
    problems.update(report.problems)
    if known and not problems:
        _log.info("everything is delivered again")


def _expire(courier: Courier, report: DeliveryReport) -> None:
    """Let expire what nobody answered in time, by the market's clock."""
    progress, now = courier.progress, courier.present()
    if progress.next_clock is not None and now < progress.next_clock:
        return
    try:
        with courier.book.reading(courier.account_id) as ledger:
            first = ledger.next_expiry()
        if first is None:
            return
        progress.next_clock = now + timedelta(seconds=courier.terms.clock_seconds)
        market_now = courier.market_now()
        if market_now >= first:
            with courier.book.transaction(courier.account_id) as ledger:
                report.expired += expire_due(ledger, market_now)
    except MahlerError as error:
        report.problems[MARKET] = str(error)


def _is_anything_due(courier: Courier) -> bool:
    """Whether a round has work, by two reads."""
    progress, now = courier.progress, courier.present()
    with courier.book.reading(courier.account_id) as ledger:
        if not progress.sending.lasts(now) and ledger.due_messages(at=now, limit=1):
            return True
        if progress.editing.lasts(now):
            return False
        is_late = progress.next_look is not None and now >= progress.next_look
        return is_late or ledger.last_change() != progress.compared


def _send_due(courier: Courier, report: DeliveryReport, *, until: datetime) -> None:
    """Send what is due, oldest first; one subject's trouble does not hold the others."""
    while True:
        now = courier.present()
        if now >= until or courier.progress.sending.lasts(now):
            return
        with courier.book.reading(courier.account_id) as ledger:
            due = ledger.due_messages(at=now, limit=courier.terms.messages_per_read)
        if not due:
            return
        for row in due:
            if courier.present() >= until or courier.progress.sending.lasts(courier.present()):
                return
            _try(courier, row, report)


def _try(courier: Courier, row: OutgoingMessage, report: DeliveryReport) -> None:
    """Send one message, or put it off; trouble of the chat itself is a rest for all."""
    progress, terms = courier.progress, courier.terms
    try:
        if _send(courier, row):
            report.sent.append(row.key)
    except (NotifierError, CannotRender) as error:
        at, patience = courier.present(), retry_after(error)
        report.problems[row.key] = str(error)
        until = at + terms.wait(row.attempts + 1, patience)
        with courier.book.transaction(courier.account_id) as ledger:
            ledger.postpone(row.key, at=at, until=until, problem=str(error))
        if is_general(error):
            progress.sending.fail(at, terms, retry_after=patience)
        else:
            progress.faults[row.key] = progress.faults.get(row.key, 0) + 1
    else:
        progress.sending.end()
        progress.faults.pop(row.key, None)


def _send(courier: Courier, row: OutgoingMessage) -> bool:
    """Make sure that a message is in the channel, and note it; False when somebody else did."""
    sign = mark(courier.account_id, row.key)
    rendered = _rendered(courier, row)
    message = marked(rendered.message, sign)
    sent = None
    is_old = _is_too_old(courier, row)
    if is_old and row.sending_since is not None:
        # The nonce protects no more: what was begun then is in the channel, or was never taken.
        since = row.sending_since - timedelta(seconds=courier.terms.skew_seconds)
        sent = with_mark(courier.notifier.recent(since=since), sign)
    shown = NOT_KNOWN
    if sent is None:
        with courier.book.transaction(courier.account_id) as ledger:
            known = ledger.message(row.key)
            if known is None or not ledger.begin_sending(
                row.key, at=courier.present(), anew=is_old
            ):
                return False
        sent = courier.notifier.send(message, nonce=nonce(courier.account_id, row.key))
        if known.sending_since is None:
            shown = shown_hash(message)
        # Else the nonce may have found a message of an earlier round, which shows what was then.
    return _record(courier, row, rendered, sent, shown=shown)


def _rendered(courier: Courier, row: OutgoingMessage) -> Rendered:
    """The message as it should be; its bare facts after it could not be shown several times."""
    renderer = courier.renderer
    if courier.progress.faults.get(row.key, 0) >= courier.terms.attempts_drawn:
        return courier.rendered(row.key, lambda ledger: renderer.facts(ledger, row))
    return courier.rendered(row.key, lambda ledger: renderer.new(ledger, row))


def _is_too_old(courier: Courier, row: OutgoingMessage) -> bool:
    """Whether a send of unknown outcome is no longer protected by its nonce."""
    if row.sending_since is None:
        return False
    age = courier.present() - row.sending_since
    return age >= timedelta(seconds=courier.terms.nonce_seconds)


def _record(
    courier: Courier, row: OutgoingMessage, rendered: Rendered, sent: SentMessage, *, shown: str
) -> bool:
    at = courier.present()
    card = CardRecord(
        key=row.key,
        kind=row.kind,
        subject=row.subject,
        channel_id=sent.channel_id,
        message_id=sent.id,
        shown=shown,
        settled=rendered.settled and shown != NOT_KNOWN,
        updated_at=at,
    )
    with courier.book.transaction(courier.account_id) as ledger:
        is_first = ledger.mark_delivered(row.key, at=at, receipt={"message_id": sent.id})
        if is_first and rendered.is_card:
            ledger.put_card(card)
    return is_first
