"""Messages about trades: opened, closed, not executed, and the alert that an exit is reached."""

from dataclasses import dataclass
from decimal import Decimal

from mahler_pipelines.cards.countdowns import moment_with_countdown
from mahler_pipelines.cards.custom_ids import Action, CustomId
from mahler_pipelines.cards.message import (
    Button,
    ButtonStyle,
    Colour,
    Embed,
    Field,
    Message,
)
from mahler_pipelines.cards.recommendation import who
from mahler_pipelines.cards.text import plain
from mahler_pipelines.cards.wording import (
    DASH,
    new_york,
    plural,
    signed_usd,
    spelled,
    structure_line,
    usd,
)
from mahler_pipelines.execution.trades import LegPrice, PositionMark, Trade, TradeStatus
from mahler_pipelines.options.contracts import parse_occ
from mahler_pipelines.options.structures import Structure, dollars


@dataclass(frozen=True, slots=True)
class ExitAlert:
    """An exit that was reached and left to a person.

    `mark` is the trade's mark when it was reached; `answered` says who answered what, with `by`
    and `at` in words, and is empty while nobody has.
    """

    trade: Trade
    reason: str
    mark: PositionMark | None
    wish: str = ""
    answered_by: str = ""


def trade_opened(trade: Trade, *, slippage_usd: Decimal | None) -> Message:
    """Tell that an approval became a trade, at which prices, and what it gave away against mid."""
    received = dollars(trade.entry_credit, trade.contracts)
    embed = Embed(
        title=f"Filled · {structure_line(trade.structure)}",
        description=(
            f"{plural(trade.contracts, 'contract')} at **{trade.entry_credit}** "
            f"({signed_usd(received)}), {new_york(trade.entry_time)}"
        ),
        colour=Colour.GOOD,
        fields=(
            Field("Legs", _legs(trade.structure, trade.entry_legs), inline=False),
            Field("Against mid", _slippage(slippage_usd)),
            Field("Fees", usd(trade.fees_usd)),
        ),
        footer=f"{trade.id} · {trade.account_id}",
    )
    return Message(embeds=(embed,))


def trade_closed(trade: Trade, *, slippage_usd: Decimal | None) -> Message:
    """Tell that a trade is over, why, and what it earned."""
    pnl = trade.pnl_usd
    won = pnl is not None and pnl >= 0
    reason = spelled(str(trade.exit_reason)) if trade.exit_reason else DASH
    when = new_york(trade.exit_time) if trade.exit_time else DASH
    earned = DASH if pnl is None else signed_usd(pnl)
    embed = Embed(
        title=f"Closed · {structure_line(trade.structure)} · {earned}",
        description=(
            f"**{reason}** · {plural(trade.contracts, 'contract')} in at {trade.entry_credit}, "
            f"out at {DASH if trade.exit_debit is None else trade.exit_debit}, {when}"
        ),
        colour=Colour.GOOD if won else Colour.BAD,
        fields=(
            Field("Legs", _legs(trade.structure, trade.exit_legs), inline=False),
            Field("Against mid", _slippage(slippage_usd)),
            Field("Fees", usd(trade.fees_usd)),
        ),
        footer=f"{trade.id} · {trade.account_id}",
    )
    return Message(embeds=(embed,))


def not_executed(structure: Structure, *, subject: str, reason: str) -> Message:
    """Tell that an approval led to no trade, and why."""
    embed = Embed(
        title=f"Not executed · {structure_line(structure)}",
        description=plain(spelled(reason)),
        colour=Colour.WARNING,
        footer=subject,
    )
    return Message(embeds=(embed,))


def exit_alert(alert: ExitAlert) -> Message:
    """Tell that an exit is reached; close now or keep, then who said what and what came of it."""
    trade = alert.trade
    embed = Embed(
        title=f"Exit reached · {structure_line(trade.structure)}",
        description="\n".join(_why(alert)),
        colour=Colour.WARNING if trade.status is TradeStatus.OPEN else Colour.QUIET,
        fields=(Field("State", _alert_state(alert), inline=False),),
        footer=f"{trade.id} · {trade.account_id}",
    )
    waiting = trade.status is TradeStatus.OPEN and not alert.wish
    return Message(embeds=(embed,), rows=(_exit_buttons(trade),) if waiting else ())


def _why(alert: ExitAlert) -> list[str]:
    lines = [f"**{spelled(alert.reason)}** · {plural(alert.trade.contracts, 'contract')}"]
    mark = alert.mark
    if mark is None or mark.cost_to_close is None:
        return [*lines, "the cost to close could not be seen"]
    pnl = DASH if mark.unrealised_pnl_usd is None else signed_usd(mark.unrealised_pnl_usd)
    natural = mark.natural_cost_to_close
    return [
        *lines,
        f"in at {alert.trade.entry_credit}, now {mark.cost_to_close} at mid"
        + (f", {natural} at once" if natural is not None else ""),
        f"**{pnl}** unrealised · {plural(mark.dte, 'day')} left",
        f"seen {moment_with_countdown(mark.marked_at)}",
    ]


def _alert_state(alert: ExitAlert) -> str:
    trade = alert.trade
    said = f"{alert.wish} by {who(alert.answered_by)}" if alert.wish else ""
    if trade.status is TradeStatus.CLOSED:
        earned = DASH if trade.pnl_usd is None else signed_usd(trade.pnl_usd)
        return "\n".join(filter(None, [said, f"**closed** at {trade.exit_debit}, {earned}"]))
    if trade.status is TradeStatus.CLOSING:
        return "\n".join(filter(None, [said, "a closing order works"]))
    return said or "waits for an answer"


def _exit_buttons(trade: Trade) -> tuple[Button, ...]:
    def button(action: Action, label: str, style: ButtonStyle) -> Button:
        return Button(str(CustomId(action, trade.account_id, trade.id)), label, style)

    return (
        button(Action.CLOSE, "Close now", ButtonStyle.DANGER),
        button(Action.KEEP, "Keep", ButtonStyle.SECONDARY),
    )


def _legs(structure: Structure, prices: tuple[LegPrice, ...]) -> str:
    known = {leg.symbol: leg for leg in prices}
    lines = []
    for leg in structure.legs:
        contract = parse_occ(leg.contract.symbol)
        kind = "call" if contract.right > 0 else "put"
        name = f"{contract.strike.normalize():f} {kind}"
        price = known.get(leg.contract.symbol)
        if price is None:
            lines.append(f"{name}: {DASH}")
            continue
        quoted = "" if price.bid is None else f" (quoted {price.bid} / {price.ask})"
        lines.append(f"{name}: {price.price}{quoted}")
    return "\n".join(lines)


def _slippage(slippage_usd: Decimal | None) -> str:
    return DASH if slippage_usd is None else signed_usd(-slippage_usd)
