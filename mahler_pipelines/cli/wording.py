"""How structures, moments and ends of trades are put in a line."""

from datetime import datetime

from mahler_pipelines.market.sessions import NEW_YORK
from mahler_pipelines.options.contracts import OptionContract, parse_occ
from mahler_pipelines.options.structures import Structure


def describe_structure(structure: Structure) -> str:
    """A structure in one line: SPXW 31May19 2840/2825 bull put."""
    return _line(structure.strategy, [leg.contract for leg in structure.legs], "%d%b%y")


def describe_legs(strategy: str, symbols: list[str]) -> str:
    """The same from OCC symbols, without the year, as a scan stands beside it."""
    return _line(strategy, [parse_occ(symbol) for symbol in symbols], "%d%b")


def new_york(moment: datetime) -> str:
    """A moment by the exchange's clock, to the minute."""
    return f"{moment.astimezone(NEW_YORK):%Y-%m-%d %H:%M}"


def spelled(code: str) -> str:
    """A code in words: profit target."""
    return code.replace("_", " ")


def _line(strategy: str, legs: list[OptionContract], day: str) -> str:
    strikes = "/".join(f"{leg.strike.normalize():f}" for leg in legs)
    name = spelled(strategy.removesuffix("_spread"))
    return f"{legs[0].root} {legs[0].expiration.strftime(day)} {strikes} {name}"
