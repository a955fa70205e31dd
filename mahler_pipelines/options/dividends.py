"""Cash dividends of a share: what a schedule is, and what it is worth before an expiration.

A schedule is a sequence of (years, amount) pairs, or an (n, 2) array: ACT/365 years from now to the
moment on which the share goes ex, and cash per share. One schedule serves all contracts of a call.
A contract feels the dividends that go ex after now and not after its expiration: what is past does
not count, what goes ex exactly at expiration does.

In the escrowed model the share without the present value of these dividends is lognormal, and a
European option is Black's on that part (J. Hull, Options, Futures and Other Derivatives, 10th ed.,
section 15.12). Where there is also a continuous yield, one share bought now has become
exp(yield * t) shares by an ex-date, so that an amount is discounted at the rate less the yield:
then spot less present value is what put-call parity and the forward show.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mahler_pipelines.errors import BadInput

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class DividendSchedule:
    """Dividends still to come, by ex-date: arrays of one length, years ascending and positive."""

    years: Floats
    amounts: Floats

    def __len__(self) -> int:
        return int(self.years.size)


def dividend_schedule(dividends: ArrayLike | DividendSchedule) -> DividendSchedule:
    """Read (years, amount) pairs; those already past (years <= 0) and of no amount are left out.

    Raises `BadInput` for anything but pairs, a number that is not finite and a negative amount.
    """
    if isinstance(dividends, DividendSchedule):
        return dividends
    try:
        pairs = np.asarray(dividends, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise BadInput("dividends", dividends, "not a sequence of (years, amount) pairs") from error
    if not pairs.size:
        return DividendSchedule(np.empty(0), np.empty(0))
    if pairs.ndim != 2 or pairs.shape[1] != 2:
        raise BadInput("dividends", pairs.tolist(), "not a sequence of (years, amount) pairs")
    if not np.isfinite(pairs).all():
        raise BadInput("dividends", pairs.tolist(), "not finite")
    if (pairs[:, 1] < 0).any():
        raise BadInput("dividends", pairs.tolist(), "an amount is negative")
    pairs = pairs[(pairs[:, 0] > 0) & (pairs[:, 1] > 0)]
    pairs = pairs[np.argsort(pairs[:, 0], kind="stable")]
    return DividendSchedule(pairs[:, 0].copy(), pairs[:, 1].copy())


def present_value(
    dividends: ArrayLike | DividendSchedule,
    *,
    years: ArrayLike,
    rate: ArrayLike,
    dividend_yield: ArrayLike = 0.0,
) -> Floats:
    """Return the value now, in dollars per share, of what goes ex up to `years` from now.

    Sum of amount * exp(-(rate - yield) * t) over ex-dates 0 < t <= years (Hull, section 5.5).
    `years`, `rate` and `dividend_yield` broadcast. Raises as `dividend_schedule` does.
    """
    return _discounted(dividends, years, rate, dividend_yield, weighted=False)


def escrowed_spot(
    dividends: ArrayLike | DividendSchedule,
    *,
    spot: ArrayLike,
    years: ArrayLike,
    rate: ArrayLike,
    dividend_yield: ArrayLike = 0.0,
) -> Floats:
    """Return spot less the present value of the dividends up to `years`, which may be negative."""
    held_back = present_value(dividends, years=years, rate=rate, dividend_yield=dividend_yield)
    return np.asarray(np.asarray(spot, dtype=np.float64) - held_back)


def escrow_slopes(
    dividends: ArrayLike | DividendSchedule,
    *,
    years: ArrayLike,
    rate: ArrayLike,
    dividend_yield: ArrayLike = 0.0,
) -> tuple[Floats, Floats]:
    """Return what `present_value` grows by per year that passes, and its slope in the rate.

    Both in dollars per share, the slope for a rate of one. Between ex-dates the value of what is to
    come grows at the rate less the yield; a higher rate makes it smaller.
    """
    carry = np.asarray(rate, dtype=np.float64) - np.asarray(dividend_yield, dtype=np.float64)
    worth = _discounted(dividends, years, rate, dividend_yield, weighted=False)
    return carry * worth, -_discounted(dividends, years, rate, dividend_yield, weighted=True)


def _discounted(
    dividends: ArrayLike | DividendSchedule,
    years: ArrayLike,
    rate: ArrayLike,
    dividend_yield: ArrayLike,
    *,
    weighted: bool,
) -> Floats:
    schedule = dividend_schedule(dividends)
    term = np.asarray(years, dtype=np.float64)
    carry = np.asarray(rate, dtype=np.float64) - np.asarray(dividend_yield, dtype=np.float64)
    total = np.zeros(np.broadcast_shapes(term.shape, carry.shape))
    for ahead, amount in zip(schedule.years.tolist(), schedule.amounts.tolist(), strict=True):
        weight = amount * ahead if weighted else amount
        total = total + np.where(ahead <= term, weight * np.exp(-ahead * carry), 0.0)
    return np.asarray(total)
