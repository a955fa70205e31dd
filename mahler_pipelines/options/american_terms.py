"""American contracts: their terms, and what is certain of them before any model is asked."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mahler_pipelines.errors import BadInput
from mahler_pipelines.options.black_scholes.black import Floats
from mahler_pipelines.options.black_scholes.carried import check_right, check_terms
from mahler_pipelines.options.black_scholes.implied import NoVolatility
from mahler_pipelines.options.dividends import DividendSchedule, present_value


class DividendModel(StrEnum):
    """What is lognormal when a share pays cash (J. Hull, 10th ed., section 15.12; E. Haug, 9.1).

    ESCROWED: the share without the present value of the dividends up to expiration. SPOT: the share
    itself between ex-dates, on which it falls by the amount, never below zero.
    """

    ESCROWED = "escrowed"
    SPOT = "spot"


@dataclass(frozen=True, slots=True, eq=False)
class Terms:
    """Contracts and their market: float64 arrays of one shape (one dimension once `flattened`)."""

    right: Floats
    spot: Floats
    strike: Floats
    years: Floats
    rate: Floats
    dividend_yield: Floats
    volatility: Floats

    @classmethod
    def broadcast(cls, *values: ArrayLike) -> "Terms":
        """Broadcast the seven arguments in the order of the fields; check the rights only."""
        arrays = np.broadcast_arrays(*(np.asarray(value, dtype=np.float64) for value in values))
        check_right(arrays[0])
        return cls(*arrays)

    def checked(self) -> "Terms":
        """Raise `BadInput` for what has no price or two exercise boundaries; NaN passes."""
        check_terms(self.right, self.spot, self.strike, self.years, self.volatility)
        two = self.between_two_boundaries
        if two.any():
            rate = float(self.rate[two].flat[0])
            raise BadInput("rate", rate, "with this yield there are two exercise boundaries")
        return self

    def flattened(self) -> "Terms":
        """Return the same contracts in one dimension."""
        return Terms(*(np.ravel(array) for array in self._arrays()))

    def at(self, which: NDArray[np.bool_] | NDArray[np.intp] | slice) -> "Terms":
        """Return the contracts that a mask, an index or a slice picks."""
        return Terms(*(array[which] for array in self._arrays()))

    @property
    def finite(self) -> NDArray[np.bool_]:
        """Where every number is finite."""
        return np.asarray(np.all([np.isfinite(array) for array in self._arrays()], axis=0))

    @property
    def between_two_boundaries(self) -> NDArray[np.bool_]:
        """Where exercise may be best between two spots: both rates are negative.

        A put with yield < rate < 0, a call with rate < yield < 0.
        """
        put = self.right < 0
        earned = np.where(put, self.rate, self.dividend_yield)
        given = np.where(put, self.dividend_yield, self.rate)
        return np.asarray((earned < 0) & (given < earned))

    @property
    def carry(self) -> Floats:
        """The growth rate of the share."""
        return self.rate - self.dividend_yield

    @property
    def total_volatility(self) -> Floats:
        """Volatility times the root of the years."""
        return self.volatility * np.sqrt(self.years)

    @property
    def exercise_value(self) -> Floats:
        """What exercise now pays."""
        return np.maximum(self.right * (self.spot - self.strike), 0.0)

    def held_back(self, schedule: DividendSchedule) -> Floats:
        """Return the present value of the dividends up to each expiration."""
        return present_value(
            schedule, years=self.years, rate=self.rate, dividend_yield=self.dividend_yield
        )

    def _arrays(self) -> list[Floats]:
        return [getattr(self, field.name) for field in fields(self)]


def value_without_volatility(terms: Terms, schedule: DividendSchedule) -> Floats:
    """Return the value of the best exercise on the path that a share without volatility takes.

    The infimum of the American price over volatilities, the same in both models. The candidates
    are now, just before and just after every ex-date, expiration, and the moment in between where
    the yield on the share, q S, overtakes the interest on the strike, r K.
    """
    best = np.zeros(terms.years.shape)
    for start, end, share in _quiet_path(terms, schedule):
        with np.errstate(all="ignore"):
            wait = np.log(terms.rate * terms.strike / (terms.dividend_yield * share)) / terms.carry
        balance = start + np.where(np.isfinite(wait), wait, 0.0)
        for moment in (start, np.clip(balance, start, end), end):
            paid = terms.right * (share * np.exp(terms.carry * (moment - start)) - terms.strike)
            best = np.maximum(best, np.exp(-terms.rate * moment) * paid)
    return best + 0.0  # never minus zero


def volatility_reasons(
    terms: Terms, paid: Floats, schedule: DividendSchedule, *, diffusing: Floats
) -> NDArray[np.int8]:
    """Return the `NoVolatility` code of each price; the volatility of `terms` is not read.

    A price at or below what the best exercise without any volatility brings has none
    (BELOW_INTRINSIC). The maximum is the share or the strike, carried to the expiration where
    waiting is worth more than having. `diffusing` is the part of the share that moves.
    """
    with np.errstate(all="ignore"):
        shares = terms.spot * np.exp(np.maximum(-terms.dividend_yield * terms.years, 0.0))
        owed = terms.strike * np.exp(np.maximum(-terms.rate * terms.years, 0.0))
        most = np.where(terms.right > 0, shares, owed)
        positive = (paid > 0) & (terms.spot > 0) & (terms.strike > 0) & (diffusing > 0)
        findings = {
            NoVolatility.NOT_FINITE: ~(np.isfinite(paid) & terms.finite & np.isfinite(most)),
            NoVolatility.NON_POSITIVE_INPUT: ~positive,
            NoVolatility.EXPIRED: terms.years <= 0,
            NoVolatility.BELOW_INTRINSIC: paid <= value_without_volatility(terms, schedule),
            NoVolatility.ABOVE_MAXIMUM: paid >= most,
            NoVolatility.TWO_BOUNDARIES: terms.between_two_boundaries,
        }
    codes = [np.int8(code) for code in findings]
    return np.select(list(findings.values()), codes, np.int8(0)).astype(np.int8)


def _quiet_path(
    terms: Terms, schedule: DividendSchedule
) -> Iterator[tuple[Floats, Floats, Floats]]:
    """Yield start, end and the share at the start of every period between ex-dates."""
    start, share = np.zeros_like(terms.years), terms.spot
    for ahead, amount in zip(schedule.years.tolist(), schedule.amounts.tolist(), strict=True):
        end = np.minimum(ahead, terms.years)
        yield start, end, share
        share = share * np.exp(terms.carry * (end - start))
        share = np.where(ahead <= terms.years, np.maximum(share - amount, 0.0), share)
        start = end
    yield start, terms.years, share
