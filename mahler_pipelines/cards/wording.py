"""How structures, money, shares and moments are put on a card."""

from datetime import date, datetime
from decimal import Decimal

from mahler_pipelines.market.sessions import NEW_YORK
from mahler_pipelines.options.structures import Leg, Side, Structure

DASH = "\u2013"


def spelled(code: str) -> str:
    """A code in words: profit target."""
    return code.replace("_", " ")


def strike(leg: Leg) -> str:
    """A strike without idle zeros."""
    return f"{leg.contract.strike.normalize():f}"


def structure_line(structure: Structure) -> str:
    """A structure in a title: SPY · bull put spread 600/595 · 18 Dec."""
    strikes = "/".join(strike(leg) for leg in structure.legs)
    return (
        f"{structure.underlying} · {spelled(structure.strategy)} {strikes} · "
        f"{short_day(structure.expiration)}"
    )


def legs_in_words(structure: Structure) -> str:
    """What is done with each leg: sell the 600 put, buy the 595 put."""
    said = []
    for leg in structure.legs:
        verb = "buy" if leg.side is Side.BUY else "sell"
        many = f"{leg.ratio} " if leg.ratio > 1 else ""
        right = "call" if leg.contract.right > 0 else "put"
        said.append(f"{verb} {many or 'the '}{strike(leg)} {right}")
    return ", ".join(said)


def short_day(day: date) -> str:
    """A day without its year: 18 Dec."""
    return f"{day.day} {day:%b}"


def usd(amount: Decimal | float) -> str:
    """Dollars: $1,250.50, without cents where there are none, the sign in front."""
    value = Decimal(str(amount))
    text = f"{abs(value):,.2f}".removesuffix(".00")
    return f"-${text}" if value < 0 else f"${text}"


def signed_usd(amount: Decimal | float) -> str:
    """Dollars with a sign also where they are gained."""
    return usd(amount) if Decimal(str(amount)) < 0 else f"+{usd(amount)}"


def percent(share: Decimal | float | None, *, digits: int = 0) -> str:
    """A share as percent; a dash for what is not known."""
    return DASH if share is None else f"{float(share) * 100:.{digits}f} %"


def points(value: float | None) -> str:
    """A rank or percentile from 0 to 100; a dash for what is not known."""
    return DASH if value is None else f"{value:.0f}"


def new_york(moment: datetime) -> str:
    """A moment by the exchange's clock: 21 Nov 14:05 ET."""
    there = moment.astimezone(NEW_YORK)
    return f"{short_day(there.date())} {there:%H:%M} ET"


def plural(count: int, noun: str) -> str:
    """A count with its noun: 1 contract, 3 contracts."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
