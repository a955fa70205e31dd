"""What a call exchanges, share against strike, at present value: the terms of every formula."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mahler_pipelines.errors import BadInput

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Carried:
    """Present values of what a call exchanges, and the logarithm of their ratio.

    `shares` is spot * exp(-yield * years), `cash` strike * exp(-rate * years), both in dollars;
    `log_moneyness` is ln(F/K). Columns of one element or of the block's length.
    """

    shares: Floats
    cash: Floats
    log_moneyness: Floats


def carry(spot: Floats, strike: Floats, years: Floats, rate: Floats, yields: Floats) -> Carried:
    """Carry spot and strike to the expiration and back at their own rates."""
    earned, owed = yields * years, rate * years
    log_moneyness = np.log(spot / strike) + (owed - earned)
    return Carried(spot * np.exp(-earned), strike * np.exp(-owed), log_moneyness)


def check_right(right: Floats) -> None:
    """Raise `BadInput` when a right is neither +1 nor -1."""
    wrong = np.abs(right) != 1.0
    if wrong.any():
        raise BadInput("right", float(right[wrong].flat[0]), "neither +1 (call) nor -1 (put)")


def check_terms(
    right: Floats, spot: Floats, strike: Floats, years: Floats, volatility: Floats
) -> None:
    """Raise `BadInput` for a right other than +1 and -1 and for a term no option can have."""
    check_right(right)
    bounds = (
        ("spot", spot, spot <= 0, "is not positive"),
        ("strike", strike, strike <= 0, "is not positive"),
        ("years", years, years < 0, "is negative"),
        ("volatility", volatility, volatility < 0, "is negative"),
    )
    for name, column, wrong, reason in bounds:
        if wrong.any():
            raise BadInput(name, float(column[wrong].flat[0]), reason)
