"""What stands behind a recommendation: gates with their numbers, rivals, quotes, runs, orders."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from mahler_pipelines.cards.message import Colour, Embed, Field, Message
from mahler_pipelines.cards.reports import table
from mahler_pipelines.cards.text import cut, plain
from mahler_pipelines.cards.wording import DASH, new_york, percent, spelled, usd
from mahler_pipelines.options.contracts import parse_occ
from mahler_pipelines.strategies.refusals import Refusal

RIVALS_SHOWN, EVENTS_SHOWN, ORDERS_SHOWN = 5, 8, 6
LINE_LENGTH = 160
HASH = 12
_NAME, _NUMBER = 14, 7
_EVENT_PARTS = ("by", "verdict", "to", "status", "reason", "outcome", "wish", "found")

Told = Mapping[str, Any]


def details_message(told: Told) -> Message:
    """Show what a recommendation stood against, from what `explain_subject` found."""
    return Message(embeds=_embeds(told))


def explanation_message(told: Told) -> Message:
    """Show everything behind an id: the recommendation, its orders, and its latest history."""
    asked = told["asked"]
    head = f"{plain(asked['id'])} is a {asked['is']}"
    embeds = [*(_embeds(told) if told["recommendation"] else ()), _course(told)]
    return Message(content=head, embeds=tuple(embeds))


def refusals_message(title: str, refusals: Sequence[Refusal]) -> Message:
    """Tell why something can't be had: each reason with its number and its limit."""
    lines = [_refusal(one) for one in refusals]
    return Message(embeds=(Embed(title, description="\n".join(lines), colour=Colour.WARNING),))


def _refusal(one: Refusal) -> str:
    value = DASH if one.value in (None, "") else str(one.value)
    limit = "" if one.limit is None else f", limit {one.limit}"
    return f"- **{spelled(str(one.code))}**: {cut(plain(f'{value}{limit}'), LINE_LENGTH)}"


def _embeds(told: Told) -> tuple[Embed, ...]:
    shown = told["recommendation"]
    return (
        Embed(
            title=f"Details · {shown['underlying']} {spelled(shown['strategy'])}",
            description=f"Gates when it was proposed\n{table(_gates(shown['gates']))}",
            colour=Colour.QUIET,
            fields=(
                *_asked_again(told["gates_asked_again"]),
                Field("Rivals of the scan", _rivals(told), inline=False),
                Field("Asked about beside it", _beside(told["beside"]), inline=False),
                Field("Refused by the screen", _refused(told["refused_by_code"]), inline=False),
            ),
            footer=shown["id"],
        ),
        Embed(
            title="What it rests on",
            description=table(_quotes(shown["quotes"])),
            fields=(
                Field("Offers", _offers(told["offers"]), inline=False),
                Field("Runs", _runs(told["runs"]), inline=False),
                Field("Quotes", _snapshots(told["snapshots"]), inline=False),
            ),
        ),
    )


def _gates(rows: Sequence[Told]) -> list[str]:
    lines = [f"{'':<{_NAME}} {'is':>{_NUMBER}} {'limit':>{_NUMBER}}"]
    for row in rows:
        sign = "ok" if row.get("passed") == "true" else "NO"
        name = cut(spelled(str(row.get("code", DASH))), _NAME)
        value, limit = _number(row.get("value")), _number(row.get("limit"))
        lines.append(f"{name:<{_NAME}} {value:>{_NUMBER}} {limit:>{_NUMBER}} {sign}")
    return lines


def _number(text: Any) -> str:
    """A gate's number, short enough for its column; its words as they are."""
    said = str(text or DASH)
    try:
        value = Decimal(said)
    except ArithmeticError:
        return cut(spelled(said), _NUMBER)
    if not value.is_finite() or len(said) <= _NUMBER:
        return cut(said, _NUMBER)
    return cut(f"{value:.4f}" if abs(value) < 10 else f"{value:.0f}", _NUMBER)


def _asked_again(rows: Sequence[Told]) -> tuple[Field, ...]:
    return tuple(
        Field(
            f"Gates of its order, {_moment(row['at'])}", table(_gates(row["gates"])), inline=False
        )
        for row in rows
    )


def _rivals(told: Told) -> str:
    own, rivals = told["candidate"], told["rivals"][:RIVALS_SHOWN]
    if own is None:
        return "the scan's table is not there"
    count = told["candidates_of_underlying"]
    rows = ["   strikes     credit  PoP  RoR"]
    rows += [_rival(row) for row in (own, *rivals)]
    because = [f"- {row['rank']}: {cut(plain(row['because']), LINE_LENGTH)}" for row in rivals]
    return "\n".join([f"the best of {count:,} of this underlying", table(rows), *because])


def _rival(row: Told) -> str:
    strikes = f"{row['short_strike']:g}/{row['long_strike']:g}"
    probability, reward = percent(row["probability_of_profit"]), percent(row["return_on_risk"])
    return f"{row['rank']:>2} {strikes:<11} {row['credit_mid']:>6.2f} {probability:>5}{reward:>6}"


def _beside(rows: Sequence[Told]) -> str:
    lines = [
        f"- {plain(row['underlying'])} {spelled(row['strategy'])}: "
        + (f"proposed as `{row['recommendation_id']}`" if row["recommendation_id"] else _why(row))
        for row in rows[:RIVALS_SHOWN]
    ]
    return "\n".join(lines) or "nothing else"


def _why(row: Told) -> str:
    return cut(plain(spelled(str(row["refusal"] or "not proposed"))), LINE_LENGTH)


def _refused(counts: Mapping[str, int]) -> str:
    shown = [f"{spelled(code)} {count:,}" for code, count in list(counts.items())[:8]]
    return ", ".join(shown) or "no pair of this underlying"


def _quotes(rows: Sequence[Told]) -> list[str]:
    lines = [f"{'leg':<11}{'bid':>7}{'ask':>7}{'delta':>8}"]
    for row in rows:
        contract = parse_occ(row["symbol"])
        leg = f"{contract.strike.normalize():f} {'call' if contract.right > 0 else 'put'}"
        lines.append(f"{leg:<11}{row['bid']:>7}{row['ask']:>7}{row['delta']:>8.3f}")
    return lines


def _offers(offers: Sequence[Told]) -> str:
    return "\n".join(
        f"`{row['id']}` x{row['contracts']}, {row['target_credit']} to {row['floor_credit']}: "
        f"{row['status']}"
        for row in offers
    )


def _runs(runs: Mapping[str, Sequence[str]]) -> str:
    said = [f"{name} `{run}`" for name, ids in runs.items() for run in ids]
    return "\n".join(said) or DASH


def _snapshots(rows: Sequence[Told]) -> str:
    return "\n".join(f"`{row['snapshot'][:HASH]}` {plain(row['use'])}" for row in rows) or DASH


def _course(told: Told) -> Embed:
    """Orders, trades and the latest events."""
    orders = told["orders"][-ORDERS_SHOWN:]
    fields = [
        Field("Orders", "\n".join(map(_order, orders)) or "none", inline=False),
        *(Field(f"Trade {row['id']}", _trade(row), inline=False) for row in told.get("trades", ())),
    ]
    if told["finding"]:
        fields.insert(0, Field("Finding", _finding(told["finding"]), inline=False))
    events = "\n".join(map(_event, told["history"][-EVENTS_SHOWN:])) or DASH
    fields.append(Field(f"The last {EVENTS_SHOWN} events", events, inline=False))
    return Embed("What became of it", fields=tuple(fields), colour=Colour.QUIET)


def _order(row: Told) -> str:
    asked = DASH if row["limit_price"] is None else str(abs(row["limit_price"]))
    reason = f" ({plain(spelled(row['status_reason']))})" if row["status_reason"] else ""
    return (
        f"`{row['client_order_id']}` x{row['quantity']} at {asked}: {spelled(row['status'])}"
        f"{cut(reason, LINE_LENGTH) if reason else ''}, {row['filled_quantity']} filled"
    )


def _trade(row: Told) -> str:
    end = f", out at {row['exit_debit']}" if row["exit_debit"] is not None else ""
    result = "" if row["pnl"] is None else f": **{usd(Decimal(row['pnl']))}**"
    return f"{row['status']}, x{row['contracts']}, in at {row['entry_credit']}{end}{result}"


def _finding(row: Told) -> str:
    said = f"{spelled(row['kind'])} of {row['subject']}: expected {row['expected']}, "
    return cut(plain(f"{said}found {row['found']}; {row['status']}"), LINE_LENGTH)


def _event(event: Told) -> str:
    """When, what, and the parts of an event that say something to a person."""
    detail = event["detail"]
    parts = [str(detail[name]) for name in _EVENT_PARTS if detail.get(name)]
    said = cut(plain(", ".join(parts)), LINE_LENGTH) if parts else ""
    return f"{_moment(event['at'])} **{spelled(event['kind'])}** {said}".rstrip()


def _moment(at: Any) -> str:
    return new_york(at if isinstance(at, datetime) else datetime.fromisoformat(str(at)))
