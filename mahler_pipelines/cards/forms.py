"""Forms that open on a press, and the question that stands before something is opened again."""

from collections.abc import Sequence

from mahler_pipelines.cards.custom_ids import Action, CustomId
from mahler_pipelines.cards.message import (
    Button,
    ButtonStyle,
    Colour,
    Embed,
    Message,
    Modal,
    TextInput,
)
from mahler_pipelines.cards.text import cut, plain
from mahler_pipelines.cards.wording import spelled, structure_line
from mahler_pipelines.decisions.recommendation import Recommendation
from mahler_pipelines.risk.trading_state import TradingState

REASON, CONTRACTS, LIMIT = "reason", "contracts", "limit"
REASON_LENGTH, NUMBER_LENGTH = 500, 12
"""Characters that a form's boxes take."""
CAUSE_LENGTH, CAUSES_SHOWN = 200, 10


def reject_form(account_id: str, recommendation_id: str) -> Modal:
    """Ask why; who has no time leaves it empty."""
    return Modal(
        str(CustomId(Action.REJECT_REASON, account_id, recommendation_id)),
        "Reject",
        (
            TextInput(
                REASON,
                "Why? The review reads it.",
                placeholder="may be empty",
                paragraph=True,
                max_length=REASON_LENGTH,
            ),
        ),
    )


def edit_form(shown: Recommendation) -> Modal:
    """Ask for size and limit, beginning with those that were shown."""
    return Modal(
        str(CustomId(Action.EDITED, shown.account_id, shown.id)),
        f"Edit · {structure_line(shown.structure)}",
        (
            TextInput(
                CONTRACTS,
                "Contracts",
                value=str(shown.contracts),
                required=True,
                max_length=NUMBER_LENGTH,
            ),
            TextInput(
                LIMIT,
                "Limit: credit per share, not below",
                value=str(shown.floor_credit),
                required=True,
                max_length=NUMBER_LENGTH,
            ),
        ),
    )


def resume_question(
    confirm: CustomId, *, state: TradingState, reason: str, causes: Sequence[str]
) -> Message:
    """Ask once more before new trades may open, naming the causes that are accepted by it."""
    why = f": {cut(plain(reason), CAUSE_LENGTH)}" if reason else ""
    lines = [f"The desk is **{state}**{why}"]
    lines += [f"- {cut(plain(spelled(cause)), CAUSE_LENGTH)}" for cause in causes[:CAUSES_SHOWN]]
    if len(causes) > CAUSES_SHOWN:
        lines.append(f"- and {len(causes) - CAUSES_SHOWN} more")
    if causes:
        lines.append("Who resumes accepts these: they do not halt again unless they grow.")
    embed = Embed("Resume?", description="\n".join(lines), colour=Colour.WARNING)
    button = Button(str(confirm), "Yes, open trades again", ButtonStyle.DANGER)
    return Message(embeds=(embed,), rows=((button,),))


def stopped_message(state: TradingState, *, reason: str, resume: CustomId) -> Message:
    """Tell who stopped the desk that it is stopped, with the way back."""
    lines = [cut(plain(reason), CAUSE_LENGTH), "Open positions are watched and closed as before."]
    embed = Embed(f"The desk is {state}", description="\n".join(lines), colour=Colour.WARNING)
    return Message(embeds=(embed,), rows=((Button(str(resume), "Resume", ButtonStyle.DANGER),),))
