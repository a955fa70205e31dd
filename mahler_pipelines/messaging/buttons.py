"""What each button does: a decision row, a close request, a rule's decision, a trading state."""

from collections.abc import Callable, Mapping
from functools import partial

from mahler_pipelines.cards.custom_ids import Action, CustomId
from mahler_pipelines.cards.forms import edit_form, reject_form, resume_question
from mahler_pipelines.cards.message import Message
from mahler_pipelines.cards.recommendation import who
from mahler_pipelines.decisions.ledger import StoredRecommendation
from mahler_pipelines.decisions.playbook import RuleStatus
from mahler_pipelines.decisions.recommendation import RecommendationStatus
from mahler_pipelines.execution.halting import resume, unacknowledged_halts
from mahler_pipelines.execution.trades import Trade, TradeStatus
from mahler_pipelines.messaging.answer import (
    Answer,
    opened,
    put_off,
    shown_privately,
    updated,
)
from mahler_pipelines.messaging.approving import approve
from mahler_pipelines.messaging.halt_sign import halt_sign
from mahler_pipelines.messaging.ledger import (
    CardRecord,
    CloseRequest,
    CloseWish,
    MessagingLedger,
)
from mahler_pipelines.messaging.office import Office, Press, card_of, own_card
from mahler_pipelines.messaging.refusing import NotTaken, Refused, not_taken
from mahler_pipelines.risk.trading_state import TradingState

RESUMED = "resumed in the chat, after a second question"


def approve_pressed(office: Office, press: Press) -> Answer:
    """Say yes to exactly what the card showed."""
    now = office.market_now()
    with office.act(press.interaction) as ledger:
        card = own_card(ledger, press)
        step = approve(
            ledger,
            rule=office.rule,
            recommendation_id=card.subject,
            decided_by=press.by,
            door=press.door,
            at=now,
            shown_hash=content_hash_of(ledger, card),
        )
        if step.repeated:
            raise Refused(NotTaken.DECIDES_NOTHING, capitalised(step.message))
        if step.recorded or step.result is None:
            return office.redrawn(ledger, card)
    return decided_nothing(press, step.message)


def reject_pressed(office: Office, press: Press) -> Answer:
    """Ask for the reason."""
    with office.book.reading(office.account_id) as ledger:
        waiting(ledger, press)
    return opened(reject_form(office.account_id, press.custom_id.subject))


def edit_pressed(office: Office, press: Press) -> Answer:
    """Ask for the size and the limit that the person wants."""
    with office.book.reading(office.account_id) as ledger:
        stored = waiting(ledger, press)
    return opened(edit_form(stored.recommendation))


def details_pressed(office: Office, press: Press) -> Answer:
    """Show, to who asked, what the recommendation stood against."""
    with office.book.reading(office.account_id) as ledger:
        card = own_card(ledger, press)
    return put_off(partial(office.inquiries.details, card.subject))


def close_pressed(office: Office, press: Press) -> Answer:
    """Ask for the trade to be closed now; the desk's sensor does it."""
    return _wish(office, press, CloseWish.CLOSE)


def keep_pressed(office: Office, press: Press) -> Answer:
    """Answer an exit alert with keeping the trade."""
    return _wish(office, press, CloseWish.KEEP)


def _wish(office: Office, press: Press, wish: CloseWish) -> Answer:
    now = office.soonest()
    with office.act(press.interaction) as ledger:
        card = own_card(ledger, press)
        trade = ledger.trade(card.subject)
        if trade is None or trade.status is not TradeStatus.OPEN:
            raise Refused(NotTaken.DECIDES_NOTHING, _over(trade))
        request = CloseRequest(trade.id, wish, press.by, press.door, requested_at=now)
        if not ledger.request_close(request):
            raise Refused(NotTaken.DECIDES_NOTHING, _said_before(ledger, trade))
        return office.redrawn(ledger, card)


def _said_before(ledger: MessagingLedger, trade: Trade) -> str:
    last = [one for one in ledger.close_requests() if one.trade_id == trade.id][-1]
    return f"Already answered: {last.wish} by {who(last.requested_by)}."


def _over(trade: Trade | None) -> str:
    if trade is None:
        return "There is no such trade."
    return "It is closed." if trade.status is TradeStatus.CLOSED else "A closing order works."


def resume_pressed(office: Office, press: Press) -> Answer:
    """Ask once more before anything is opened again, naming the causes that are accepted by it."""
    with office.book.reading(office.account_id) as ledger:
        if press.custom_id.subject != halt_sign(ledger, press.by):
            own_card(ledger, press)
        state, reason = ledger.trading_state()
        if state is TradingState.ACTIVE:
            raise Refused(NotTaken.DECIDES_NOTHING, "The desk is active already.")
        causes = tuple(
            f"{halt.code} {halt.value}, limit {halt.limit} ({halt.cause})"
            for halt in unacknowledged_halts(ledger)
        )
        confirm = CustomId(Action.RESUME_CONFIRMED, office.account_id, halt_sign(ledger, press.by))
    return shown_privately(resume_question(confirm, state=state, reason=reason, causes=causes))


def resume_confirmed(office: Office, press: Press) -> Answer:
    """Open positions again: a person's act, which accepts the causes that they were shown."""
    now = office.soonest()
    with office.act(press.interaction) as ledger:
        if press.custom_id.subject != halt_sign(ledger, press.by):
            said = "The desk's state has changed since you were asked: look at it again."
            raise Refused(NotTaken.OUT_OF_DATE, said)
        before, _ = ledger.trading_state()
        if before is TradingState.ACTIVE:
            raise Refused(NotTaken.DECIDES_NOTHING, "The desk is active already.")
        accepted = resume(ledger, reason=RESUMED, by=press.by, at=now)
    count = f", {len(accepted)} causes accepted" if accepted else ""
    return updated(Message(content=f"**Resumed**: {before} before{count}. New trades may open."))


def adopt_pressed(office: Office, press: Press) -> Answer:
    """Take a proposed rule into the playbook."""
    return _rule(office, press, RuleStatus.ADOPTED)


def refuse_pressed(office: Office, press: Press) -> Answer:
    """Refuse a proposed rule."""
    return _rule(office, press, RuleStatus.REFUSED)


def _rule(office: Office, press: Press, status: RuleStatus) -> Answer:
    """The card is a report, which may show several rules: the button says which."""
    now, name = office.soonest(), press.custom_id.subject
    with office.act(press.interaction) as ledger:
        card = card_of(ledger, press)
        report = ledger.message(card.key)
        shown = [rule["id"] for rule in report.payload.get("proposed", ())] if report else []
        if name not in shown:
            raise Refused(NotTaken.OTHER_CARD, "This button belongs to another card.")
        rules = {rule.id: rule for rule in ledger.rules()}
        if name not in rules:
            raise Refused(NotTaken.NOT_THERE, "There is no such rule.")
        if not ledger.decide_rule(name, status=status, at=now, by=press.by):
            raise Refused(NotTaken.DECIDES_NOTHING, f"The rule is {rules[name].status} already.")
        return office.redrawn(ledger, card)


def content_hash_of(ledger: MessagingLedger, card: CardRecord) -> str | None:
    """What the card showed when it was queued; an approval binds exactly that."""
    sent = ledger.message(card.key)
    return None if sent is None else sent.payload.get("content_hash")


def waiting(ledger: MessagingLedger, press: Press) -> StoredRecommendation:
    """The recommendation of the pressed card, which has to wait for an answer still."""
    stored = ledger.recommendation(own_card(ledger, press).subject)
    if stored is None:
        raise Refused(NotTaken.NOT_THERE, "There is no such recommendation.")
    if stored.status is not RecommendationStatus.PENDING:
        by = f" by {who(stored.decision.decided_by)}" if stored.decision else ""
        raise Refused(NotTaken.DECIDES_NOTHING, f"It is {stored.status} already{by}.")
    return stored


def decided_nothing(press: Press, message: str) -> Answer:
    """Tell why an answer counts for nothing; the ledger has kept that it was given."""
    said = capitalised(message)
    return not_taken(press.interaction, press.door, NotTaken.DECIDES_NOTHING, said)


def capitalised(sentence: str) -> str:
    """A message of the domain as a sentence of its own; names and ids in it stay as they are."""
    return sentence[:1].upper() + sentence[1:] + "."


BUTTONS: Mapping[Action, Callable[[Office, Press], Answer]] = {
    Action.APPROVE: approve_pressed,
    Action.REJECT: reject_pressed,
    Action.EDIT: edit_pressed,
    Action.DETAILS: details_pressed,
    Action.CLOSE: close_pressed,
    Action.KEEP: keep_pressed,
    Action.RESUME: resume_pressed,
    Action.RESUME_CONFIRMED: resume_confirmed,
    Action.ADOPT_RULE: adopt_pressed,
    Action.REFUSE_RULE: refuse_pressed,
}
