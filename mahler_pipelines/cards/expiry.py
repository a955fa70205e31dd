"""Messages about what the broker may do by itself: a trade's last day, and early assignment."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from mahler_pipelines.cards.message import Colour, Embed, Field, Message
from mahler_pipelines.cards.text import plain
from mahler_pipelines.cards.wording import DASH, new_york, percent, plural, spelled
from mahler_pipelines.options.contracts import parse_occ
from mahler_pipelines.risk.early_assignment import AssignmentLevel
from mahler_pipelines.risk.expiry_day import ExpiryOutcome

_OUTCOMES = {
    ExpiryOutcome.EXPIRES: "expires",
    ExpiryOutcome.CASH_SETTLED: "settles in cash",
    ExpiryOutcome.EXERCISED: "is exercised",
    ExpiryOutcome.ASSIGNED: "is assigned",
    ExpiryOutcome.LIQUIDATED: "is liquidated by the broker",
    ExpiryOutcome.UNKNOWN: "cannot be foreseen",
}


def expiry_forecast(said: Mapping[str, Any], *, subject: str) -> Message:
    """Tell what becomes of a trade's legs on their last day; `said` is the outbox row's payload."""
    price, between = said["underlying_price"], said["probability_between"]
    cutoff = said["cutoff"]
    closes = (
        "left to expire"
        if cutoff is None
        else f"closed by the desk from **{new_york(datetime.fromisoformat(cutoff))}** on"
    )
    lines = [
        f"{plural(said['contracts'], 'contract')} · {closes}",
        f"{plain(said['underlying'])} at {DASH if price is None else price}",
    ]
    if between is not None:
        lines.append(f"**{percent(between)}** to settle between the strikes, one leg without other")
    embed = Embed(
        title=f"Last day · {plain(said['underlying'])} {spelled(said['strategy'])}",
        description="\n".join(lines),
        colour=Colour.WARNING,
        fields=(Field("If nothing is done", _legs(said["legs"]), inline=False),),
        footer=subject,
    )
    return Message(embeds=(embed,))


def early_assignment(said: Mapping[str, Any], *, subject: str) -> Message:
    """Tell that a short leg may be assigned early, why, and what an exercise gains its holder."""
    contract = parse_occ(said["symbol"])
    kind = "call" if contract.right > 0 else "put"
    leg = f"{contract.strike.normalize():f} {kind}"
    left = DASH if said["time_value"] is None else said["time_value"]
    why = f"ex-dividend **{said['ex_date']}**" if said["ex_date"] else spelled(said["cause"])
    lines = [
        f"**{spelled(said['level'])}**: the short {leg} of {contract.underlying}",
        f"{why} · exercise gains {said['gain']} a share, time value left {left}",
        plural(said["contracts"], "contract"),
    ]
    likely = said["level"] == AssignmentLevel.LIKELY
    embed = Embed(
        title=f"Early assignment · {plain(said['underlying'])} {spelled(said['strategy'])}",
        description="\n".join(lines),
        colour=Colour.BAD if likely else Colour.WARNING,
        footer=subject,
    )
    return Message(embeds=(embed,))


def _legs(legs: Sequence[Mapping[str, Any]]) -> str:
    return "\n".join(_leg(leg) for leg in legs) or "not held"


def _leg(leg: Mapping[str, Any]) -> str:
    contract = parse_occ(leg["symbol"])
    kind = "call" if contract.right > 0 else "put"
    outcome = ExpiryOutcome(leg["outcome"])
    said = _OUTCOMES[outcome]
    short = f" for want of {spelled(leg['shortage'])}" if leg["shortage"] else ""
    odds = leg["probability_in_the_money"]
    chance = "" if odds is None else f", in the money {percent(odds)}"
    strike = f"{contract.strike.normalize():f}"
    return f"- {leg['quantity']:+d} {strike} {kind}: **{said}**{short}{chance}"
