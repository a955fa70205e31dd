"""Slash commands: what the desk is asked, and the two by which a person stops it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from mahler_pipelines.cards.custom_ids import Action, CustomId
from mahler_pipelines.cards.desk_state import pending_message, positions_message
from mahler_pipelines.cards.forms import stopped_message
from mahler_pipelines.decisions.recommendation import RecommendationStatus
from mahler_pipelines.execution.desk import session_of
from mahler_pipelines.messaging.answer import Answer, put_off, shown_privately
from mahler_pipelines.messaging.halt_sign import halt_sign
from mahler_pipelines.messaging.interaction import Interaction
from mahler_pipelines.messaging.office import Office, person
from mahler_pipelines.messaging.refusing import NotTaken, Refused
from mahler_pipelines.review.position_lines import position_lines
from mahler_pipelines.risk.trading_state import TradingState

ID, REASON = "id", "reason"
ID_LENGTH, REASON_LENGTH = 100, 300
_CHAT_INPUT, _TEXT = 1, 3


def positions(office: Office, _: Interaction) -> Answer:
    """Show what is open."""
    today = session_of(office.soonest())
    with office.book.reading(office.account_id) as ledger:
        lines = position_lines(ledger, session=today)
    return shown_privately(positions_message(lines, account_id=office.account_id))


def pending(office: Office, _: Interaction) -> Answer:
    """Show what waits for an answer."""
    now = office.soonest()
    with office.book.reading(office.account_id) as ledger:
        stored = ledger.recommendations(statuses=[RecommendationStatus.PENDING])
    waiting = [one.recommendation for one in stored if now < one.recommendation.expires_at]
    return shown_privately(pending_message(waiting, account_id=office.account_id))


def pnl(office: Office, _: Interaction) -> Answer:
    """Show what was earned."""
    return put_off(office.inquiries.pnl)


def explain(office: Office, asked: Interaction) -> Answer:
    """Show everything behind an id."""
    return put_off(partial(office.inquiries.explain, _option(asked, ID, most=ID_LENGTH)))


def status(office: Office, asked: Interaction) -> Answer:
    """Show the state of the desk."""
    return put_off(partial(office.inquiries.status, person(asked)))


def halt(office: Office, asked: Interaction) -> Answer:
    """Open nothing more."""
    return _stop(office, asked, TradingState.HALTED)


def reduce(office: Office, asked: Interaction) -> Answer:
    """Only reduce risk from now on."""
    return _stop(office, asked, TradingState.REDUCING)


def _stop(office: Office, asked: Interaction, state: TradingState) -> Answer:
    """A halt that stands keeps its reason: it is stricter than what is asked, or the same."""
    reason, by = _option(asked, REASON, most=REASON_LENGTH), person(asked)
    now = office.soonest()
    with office.act(asked) as ledger:
        before, _ = ledger.trading_state()
        if before in (state, TradingState.HALTED):
            raise Refused(NotTaken.DECIDES_NOTHING, f"The desk is {before} already.")
        ledger.set_trading_state(state, reason=reason, by=by, at=now)
        resume = CustomId(Action.RESUME, office.account_id, halt_sign(ledger, by))
    return shown_privately(stopped_message(state, reason=reason, resume=resume))


def _option(asked: Interaction, name: str, *, most: int) -> str:
    text = asked.value(name)
    if not text:
        raise Refused(NotTaken.VALUE_UNREADABLE, f"The command needs `{name}`.")
    if len(text) > most:
        raise Refused(NotTaken.TEXT_TOO_LONG, f"That is longer than {most} characters.")
    return "".join(sign for sign in text if sign.isprintable())


@dataclass(frozen=True, slots=True)
class Command:
    """One slash command: what it says of itself, its one option where it has one, what it does."""

    description: str
    act: Callable[[Office, Interaction], Answer]
    option: str = ""
    option_says: str = ""
    option_length: int = 1


COMMANDS: Mapping[str, Command] = {
    "positions": Command("Open positions with their result", positions),
    "pending": Command("What waits for an answer", pending),
    "pnl": Command("Profit and loss, with the equity curve", pnl),
    "explain": Command(
        "Everything behind an id",
        explain,
        ID,
        "A recommendation, trade, order, fill or finding",
        ID_LENGTH,
    ),
    "halt": Command("Open nothing more; closing goes on", halt, REASON, "Why", REASON_LENGTH),
    "reduce": Command("Only reduce risk from now on", reduce, REASON, "Why", REASON_LENGTH),
    "status": Command("State of the desk: clock, trades, what waits", status),
}


def command_definitions() -> list[dict[str, Any]]:
    """What is registered at Discord, so that a person is offered the commands."""
    return [_definition(name, command) for name, command in COMMANDS.items()]


def _definition(name: str, command: Command) -> dict[str, Any]:
    told: dict[str, Any] = {
        "name": name,
        "type": _CHAT_INPUT,
        "description": command.description,
    }
    if command.option:
        told["options"] = [
            {
                "type": _TEXT,
                "name": command.option,
                "description": command.option_says,
                "required": True,
                "max_length": command.option_length,
            }
        ]
    return told
