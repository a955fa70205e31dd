"""Option structures: legs, payoff at expiry, maximum loss, breakevens, and dollars.

Prices are per share of one structure; `dollars` is the only place where contracts and the
multiplier are applied.
"""

from dataclasses import dataclass, replace
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mahler_pipelines.errors import BadInput
from mahler_pipelines.options.contracts import SHARES_PER_CONTRACT, OptionContract, Right

CENT = Decimal("0.01")


class Side(StrEnum):
    """Side of a leg when the structure is opened."""

    BUY = "buy"
    SELL = "sell"

    @property
    def sign(self) -> int:
        """+1 for a bought leg, -1 for a sold one."""
        return 1 if self is Side.BUY else -1

    @property
    def opposite(self) -> "Side":
        """The side that closes this one."""
        return Side.SELL if self is Side.BUY else Side.BUY


@dataclass(frozen=True, slots=True)
class Leg:
    """One contract of a structure, with its ratio per unit."""

    contract: OptionContract
    side: Side
    ratio: int = 1

    @property
    def signed_ratio(self) -> int:
        """Ratio with the sign of the side."""
        return self.side.sign * self.ratio


@dataclass(frozen=True, slots=True)
class Structure:
    """Legs of one underlying that are opened and closed as one unit."""

    strategy: str
    legs: tuple[Leg, ...]

    def __post_init__(self) -> None:
        if not self.legs:
            raise BadInput("legs", self.legs, "a structure has at least one leg")
        if len({leg.contract.underlying for leg in self.legs}) != 1:
            raise BadInput("legs", self.legs, "legs are of different underlyings")
        if len({leg.contract for leg in self.legs}) != len(self.legs):
            raise BadInput("legs", self.legs, "a contract appears twice")

    @property
    def underlying(self) -> str:
        """The underlying of all legs."""
        return self.legs[0].contract.underlying

    @property
    def expiration(self) -> date:
        """The nearest expiration of the legs."""
        return min(leg.contract.expiration for leg in self.legs)

    @property
    def symbols(self) -> tuple[str, ...]:
        """OCC symbols of the legs, in order."""
        return tuple(leg.contract.symbol for leg in self.legs)

    @property
    def counterparts(self) -> tuple[str, ...]:
        """OCC symbols of the other right at the legs' strikes, for put-call parity."""
        contracts = (leg.contract for leg in self.legs)
        others = (replace(one, right=Right(-one.right)).symbol for one in contracts)
        return tuple(symbol for symbol in others if symbol not in self.symbols)

    def rolled_into(self, new: "Structure") -> "Structure":
        """Return what one order trades that closes this structure and opens a new one.

        Raises `BadInput` when they share a contract or are of different underlyings.
        """
        closing = (replace(leg, side=leg.side.opposite) for leg in self.legs)
        return Structure("roll", (*closing, *new.legs))

    def payoff(self, settlement: ArrayLike) -> NDArray[np.float64]:
        """Value per share at expiry for each settlement price, premiums left out."""
        price = np.asarray(settlement, dtype=np.float64)
        total = np.zeros_like(price)
        for leg in self.legs:
            intrinsic = leg.contract.right * (price - float(leg.contract.strike))
            total += leg.signed_ratio * np.maximum(intrinsic, 0.0)
        return total

    def max_loss(self, credit: Decimal) -> Decimal:
        """Largest loss per share at expiry when opened for `credit`.

        The payoff is piecewise linear, so its minimum lies at zero, at a strike, or at infinity.
        Raises `BadInput` when the loss is unbounded.
        """
        if sum(leg.signed_ratio for leg in self.legs if leg.contract.right > 0) < 0:
            raise BadInput("legs", self.symbols, "the loss is unbounded above")
        kinks = [Decimal(0), *(leg.contract.strike for leg in self.legs)]
        return max(Decimal(0), -min(self._payoff_exact(kink) for kink in kinks) - credit)

    def breakevens(self, credit: Decimal) -> tuple[Decimal, ...]:
        """Settlement prices at which profit is zero, ascending."""
        strikes = sorted({leg.contract.strike for leg in self.legs})
        points = [Decimal(0), *strikes, strikes[-1] * 3]
        profit = [self._payoff_exact(point) + credit for point in points]
        roots = set()
        for low, high, at_low, at_high in zip(points, points[1:], profit, profit[1:], strict=False):
            if at_low == 0:
                roots.add(low)
            elif at_low * at_high < 0:
                roots.add(low + (high - low) * at_low / (at_low - at_high))
        return tuple(sorted(roots))

    def _payoff_exact(self, settlement: Decimal) -> Decimal:
        return sum(
            (
                leg.signed_ratio
                * max(leg.contract.right * (settlement - leg.contract.strike), Decimal(0))
                for leg in self.legs
            ),
            Decimal(0),
        )


def dollars(per_share: Decimal, contracts: int) -> Decimal:
    """Turn a price per share into dollars for a number of contracts, to the cent.

    The one place where contracts and the multiplier are applied.
    """
    amount = per_share * contracts * SHARES_PER_CONTRACT
    return amount.quantize(CENT, rounding=ROUND_HALF_EVEN)
