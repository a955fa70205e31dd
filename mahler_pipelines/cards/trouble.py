"""Messages about trouble: a halt, a difference from the broker's books, a failed run, a refusal."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from mahler_pipelines.cards.custom_ids import Action, CustomId
from mahler_pipelines.cards.message import Button, ButtonStyle, Colour, Embed, Field, Message
from mahler_pipelines.cards.recommendation import who
from mahler_pipelines.cards.text import cut, plain
from mahler_pipelines.cards.wording import short_day, spelled
from mahler_pipelines.errors import MalformedSymbol
from mahler_pipelines.execution.broker_books import FindingKind, FindingStatus, RepairKind
from mahler_pipelines.options.contracts import parse_occ
from mahler_pipelines.risk.trading_state import TradingState

DETAIL_LENGTH = 900
_REMEDIES = {
    RepairKind.WAIT: "the broker's activities will say the cause; nothing is guessed before",
    RepairKind.ADOPT: "`mahler repair {id}` takes the position over",
    RepairKind.BOOK: "`mahler repair {id}` books what the broker's activities state",
    RepairKind.CANCEL: "`mahler repair {id}` cancels the order",
    RepairKind.COVER: "**`mahler repair {id}` buys back what nothing covers**",
    RepairKind.SWEEP: "`mahler repair {id}` sells what is left, or buys it back",
    RepairKind.EXAMINE: "somebody has to look: `mahler explain {id}` has the numbers",
    RepairKind.GONE: "the difference went away",
}


@dataclass(frozen=True, slots=True)
class Halt:
    """Why opening stopped, and how it stands: `resumed_by` is empty while nobody has resumed.

    `value` and `limit` are in the rule's own unit, as the rule wrote them.
    """

    account_id: str
    subject: str
    code: str
    cause: str
    value: str
    limit: str
    state: TradingState
    resumed_by: str = ""


def halt_card(halt: Halt) -> Message:
    """Tell that opening is halted until a person resumes; positions are watched all the same."""
    lines = [
        f"**{spelled(halt.code)}**: {halt.value} reached the limit of {halt.limit}",
        plain(halt.cause),
        "Open positions are watched and closed as before.",
    ]
    if halt.resumed_by:
        lines.append(f"**resumed** by {who(halt.resumed_by)}")
    elif halt.state is not TradingState.HALTED:
        lines.append(f"the desk is {halt.state} now")
    stands = halt.state is TradingState.HALTED and not halt.resumed_by
    embed = Embed(
        title="Halted: nothing new is opened" if stands else "Was halted",
        description="\n".join(lines),
        colour=Colour.BAD if stands else Colour.QUIET,
        footer=halt.account_id,
    )
    custom_id = str(CustomId(Action.RESUME, halt.account_id, halt.subject))
    resume = Button(custom_id, "Resume", ButtonStyle.DANGER)
    return Message(embeds=(embed,), rows=((resume,),) if stands else ())


@dataclass(frozen=True, slots=True)
class BrokerFinding:
    """A difference from the broker's books; amounts are signed, in contracts, shares or dollars.

    `detail` is what reconciliation says of it: "why", and what was done about it.
    """

    id: str
    account_id: str
    kind: FindingKind
    subject: str
    expected: Decimal
    found: Decimal
    status: FindingStatus
    repair: RepairKind
    detail: Mapping[str, Any]


def finding_message(finding: BrokerFinding) -> Message:
    """Tell that the broker's books and ours differ, by what, and what puts it right.

    A short option that nothing covers is an alarm: its risk has no end.
    """
    alarm = finding.kind is FindingKind.UNPAIRED_SHORT
    what = "Uncovered short option" if alarm else f"Broker: {spelled(finding.kind)}"
    lines = [
        f"**{plain(_named(finding.subject))}**",
        f"the ledger says {_signed(finding.expected)}, the broker {_signed(finding.found)}",
        *_why(finding.detail),
    ]
    embed = Embed(
        title=what if finding.status is FindingStatus.OPEN else f"{what} · {finding.status}",
        description="\n".join(lines),
        colour=_finding_colour(finding, alarm=alarm),
        fields=(Field("What puts it right", _remedy(finding), inline=False),),
        footer=f"{finding.id} · {finding.account_id}",
    )
    return Message(embeds=(embed,))


def _finding_colour(finding: BrokerFinding, *, alarm: bool) -> Colour:
    if finding.status is not FindingStatus.OPEN:
        return Colour.QUIET
    return Colour.BAD if alarm else Colour.WARNING


def _named(subject: str) -> str:
    """A contract in words; an order, an invariant or shares as they are called."""
    try:
        contract = parse_occ(subject)
    except MalformedSymbol:
        return subject
    kind = "call" if contract.right > 0 else "put"
    strike = f"{contract.strike.normalize():f}"
    return f"{contract.underlying} {strike} {kind}, {short_day(contract.expiration)}"


def _signed(amount: Decimal) -> str:
    return f"{amount.normalize():+,f}" if amount else "0"


def _why(detail: Mapping[str, Any]) -> list[str]:
    said = [str(value) for name, value in detail.items() if name == "why" and value]
    said += [
        f"{spelled(str(name))}: {value}"
        for name, value in detail.items()
        if name != "why" and value not in (None, "", [], {})
    ]
    return [cut(plain("\n".join(said)), DETAIL_LENGTH)] if said else []


def _remedy(finding: BrokerFinding) -> str:
    if finding.status is FindingStatus.REPAIRED:
        return "nothing is left to do"
    if finding.status is FindingStatus.DISMISSED:
        return "a person has accepted it"
    return _REMEDIES[finding.repair].format(id=finding.id)


def run_failed(job: str, partition: str, *, message: str, run_id: str) -> Message:
    """Tell that a run of the graph failed."""
    of = f" of {plain(partition)}" if partition else ""
    embed = Embed(
        title=f"Run failed: {spelled(job)}",
        description=f"{spelled(job)}{of}\n{cut(plain(message), DETAIL_LENGTH)}",
        colour=Colour.BAD,
        footer=f"run {run_id[:8]}",
    )
    return Message(embeds=(embed,))


def close_refused(underlying: str, *, trade_id: str, reason: str) -> Message:
    """Tell that the broker refused to close a trade: somebody has to look."""
    embed = Embed(
        title=f"The broker refused to close {plain(underlying)}",
        description=cut(plain(reason), DETAIL_LENGTH),
        colour=Colour.BAD,
        footer=trade_id,
    )
    return Message(embeds=(embed,))
