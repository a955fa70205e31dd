"""Vertical credit spreads: sell one option, buy one further out of the money."""

from dataclasses import dataclass
from enum import StrEnum

from mahler_pipelines.errors import BadInput
from mahler_pipelines.options.contracts import OptionContract, Right
from mahler_pipelines.options.structures import Leg, Side, Structure


class Outlook(StrEnum):
    """The move of the underlying that the structure earns from."""

    BULLISH = "bullish"
    BEARISH = "bearish"


@dataclass(frozen=True, slots=True)
class VerticalSpread:
    """One strategy: its name, the right of both legs, and the outlook it expresses.

    The long leg always lies further out of the money than the short leg: below it for puts,
    above it for calls.
    """

    name: str
    right: Right
    outlook: Outlook

    def structure(self, short: OptionContract, long: OptionContract) -> Structure:
        """Build the structure; raise `BadInput` when the legs are not this spread."""
        if (short.root, short.expiration) != (long.root, long.expiration):
            raise BadInput("long", long.symbol, f"root or expiration differs from {short.symbol}")
        if short.right is not self.right or long.right is not self.right:
            raise BadInput("right", short.right.letter, f"{self.name} has {self.right.letter} legs")
        if self.right * (long.strike - short.strike) <= 0:
            raise BadInput("long", long.symbol, f"not further out of the money than {short.symbol}")
        return Structure(self.name, (Leg(short, Side.SELL), Leg(long, Side.BUY)))

    def breakeven(self, short_strike: float, credit: float) -> float:
        """Settlement price of zero profit: the short strike moved by the credit."""
        return short_strike + self.right * credit
