"""Early assignment: when holders elsewhere exercise what an account is short, and of how many.

The holder of an American call gives up its time value to be paid a dividend; the holder of a put
gives it up for the interest on the strike. Where that gains something, each short contract is
drawn by lot, on its own: of seven contracts three may be assigned. A draw is a function of the
market, the account, the contract and the session, so that runs repeat.
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from hashlib import blake2b

import numpy as np
from numpy.typing import ArrayLike

from mahler_pipelines.exchange.matching import TopOfBook
from mahler_pipelines.exchange.settlement import is_in_the_money
from mahler_pipelines.exchange.simulated.randomness import Draw, seed_key, uniforms
from mahler_pipelines.options.contracts import (
    ExerciseStyle,
    OptionContract,
    Right,
    exercise_style,
)

CALL_LIKELIHOOD = 0.9
"""Of a call without time value on the eve of a dividend: some holders always sleep."""

PUT_LIKELIHOOD = 0.25
"""Of a put without time value in one night: holders of puts are in less of a hurry."""

INTEREST_RATE = Decimal("0.04")
"""A year's interest on a strike: the rate of the simulated market."""

_DAYS_OF_A_YEAR = 365


@dataclass(frozen=True, slots=True)
class Night:
    """What the hours to the next session bring: the sessions' dates, and dividends in between.

    `dividend` is dollars per share that go ex after `session`, up to `following`.
    """

    session: date
    following: date
    dividend: Decimal

    def interest(self, strike: Decimal) -> Decimal:
        """Dollars per share that a strike earns until the next session."""
        days = (self.following - self.session).days
        return strike * INTEREST_RATE * days / _DAYS_OF_A_YEAR


def likelihood(
    contract: OptionContract, book: TopOfBook, share_price: Decimal, night: Night
) -> float:
    """Return the probability in [0, 1) with which each short contract is assigned this night.

    `book` is the contract's quote at the close and `share_price` what the shares were worth then.
    A quote whose ask is below the intrinsic value is not believed: the prices are of two moments.
    """
    if exercise_style(contract.root) is not ExerciseStyle.AMERICAN:
        return 0.0
    if book.mid is None or book.ask is None or not is_in_the_money(contract, share_price):
        return 0.0
    intrinsic = contract.right * (share_price - contract.strike)
    if contract.right is Right.CALL:
        gain, scale = night.dividend, CALL_LIKELIHOOD
    else:
        gain, scale = night.interest(contract.strike) - night.dividend, PUT_LIKELIHOOD
    time_value = max(book.mid - intrinsic, Decimal(0))
    if time_value >= gain or book.ask < intrinsic:
        return 0.0
    return scale * float(1 - time_value / gain)


def drawn(
    contracts: int, chance: float, *, market: str, account: str, symbol: str, session: date
) -> int:
    """Return how many of a number of short contracts are assigned, each with the same chance."""
    words: list[ArrayLike] = [
        _word(account),
        _word(symbol),
        session.toordinal(),
        np.arange(contracts),
    ]
    lots = uniforms(seed_key(_word(market)), Draw.ASSIGNMENT, words)
    return int((lots < chance).sum())


def _word(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")
