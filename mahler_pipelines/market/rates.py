"""Interest rates by tenor: continuous rates from money-market and Treasury quotes."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import Enum, StrEnum
from math import log, log1p
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from mahler_pipelines.errors import BadInput, CorruptData
from mahler_pipelines.market.sessions import NEW_YORK

OLDEST: Final = timedelta(days=31)
"""A quote older than this on the day it is asked for says nothing about that day's rate."""

_LOWEST_PERCENT, _HIGHEST_PERCENT = -10.0, 100.0
_MONEY_MARKET_DAYS: Final = 360.0
_DAYS_PER_YEAR: Final = 365.0
_COUPONS_PER_YEAR: Final = 2.0


class RateSource(StrEnum):
    """What a curve rests on."""

    SERIES = "series"
    FLAT_WITHOUT_SERIES = "flat_without_series"
    FLAT_STALE_SERIES = "flat_stale_series"
    FLAT_SETTING = "flat_setting"


class RateBasis(Enum):
    """How a published rate is to be read; `continuous` turns it into the desk's own kind."""

    OVERNIGHT = "simple interest for a day, ACT/360"
    DISCOUNT = "discount from par, ACT/360"
    BOND_EQUIVALENT = "yield compounded twice a year"

    def continuous(self, percent: float, *, years: float) -> float:
        """Return the continuous ACT/365 rate of a published rate in percent.

        Bond equivalent: 2 ln(1 + y/2) (Cboe Volatility Index Mathematics Methodology, 2022,
        section 2; coupons within the year are not stripped, which is under a basis point).
        Overnight: 365 ln(1 + y/360), rolled daily. Discount: -ln(1 - d days/360) / years
        (Hull, section 6.1).
        """
        rate = percent / 100.0
        if self is RateBasis.OVERNIGHT:
            return _DAYS_PER_YEAR * log1p(rate / _MONEY_MARKET_DAYS)
        if self is RateBasis.DISCOUNT:
            return -log(1.0 - rate * years * _DAYS_PER_YEAR / _MONEY_MARKET_DAYS) / years
        return _COUPONS_PER_YEAR * log1p(rate / _COUPONS_PER_YEAR)


@dataclass(frozen=True, slots=True)
class RateSeries:
    """A published series: the tenor it speaks for, in years, and how it is quoted."""

    years: float
    basis: RateBasis


SERIES: Final[Mapping[str, RateSeries]] = {
    "SOFR": RateSeries(1 / 365, RateBasis.OVERNIGHT),
    "EFFR": RateSeries(1 / 365, RateBasis.OVERNIGHT),
    "DFF": RateSeries(1 / 365, RateBasis.OVERNIGHT),
    "DGS1MO": RateSeries(1 / 12, RateBasis.BOND_EQUIVALENT),
    "DTB4WK": RateSeries(28 / 365, RateBasis.DISCOUNT),
    "DGS3MO": RateSeries(0.25, RateBasis.BOND_EQUIVALENT),
    "DTB3": RateSeries(0.25, RateBasis.DISCOUNT),
    "DGS6MO": RateSeries(0.5, RateBasis.BOND_EQUIVALENT),
    "DTB6": RateSeries(0.5, RateBasis.DISCOUNT),
    "DGS1": RateSeries(1.0, RateBasis.BOND_EQUIVALENT),
    "DGS2": RateSeries(2.0, RateBasis.BOND_EQUIVALENT),
}
"""FRED's names. Where two speak for one tenor the one named first is taken."""


@dataclass(frozen=True, slots=True)
class RateCurve:
    """Continuous rates at ascending tenors in years, and what they rest on.

    `series` names the series behind each tenor, `quoted` the day of the oldest of them (None for a
    flat curve).
    """

    tenors: tuple[float, ...]
    rates: tuple[float, ...]
    source: RateSource = RateSource.SERIES
    series: tuple[str, ...] = ()
    quoted: date | None = None

    def __post_init__(self) -> None:
        if not self.tenors or len(self.tenors) != len(self.rates):
            raise BadInput("tenors", self.tenors, f"do not match the rates {self.rates}")
        rising = all(low < high for low, high in zip(self.tenors, self.tenors[1:], strict=False))
        if not rising or not self.tenors[0] > 0:
            raise BadInput("tenors", self.tenors, "are not positive and ascending")
        if not np.isfinite(self.rates).all():
            raise BadInput("rates", self.rates, "are not finite")

    @classmethod
    def flat(cls, rate: float, *, source: RateSource = RateSource.FLAT_SETTING) -> "RateCurve":
        """Make a curve of one rate for every tenor."""
        return cls((1.0,), (float(rate),), source)

    def rate(self, years: ArrayLike) -> NDArray[np.float64]:
        """Return the continuous zero rate for each time in years, any shape; NaN gives NaN.

        Rate times time is linear between tenors, so that forward rates are constant there (raw
        interpolation: Hagan and West, Applied Mathematical Finance 13, 2006). The rate is flat
        before the first tenor and after the last.
        """
        tenors, rates = np.array(self.tenors), np.array(self.rates)
        inside = np.clip(np.asarray(years, dtype=np.float64), tenors[0], tenors[-1])
        return np.asarray(np.interp(inside, tenors, tenors * rates) / inside)

    @property
    def basis(self) -> str:
        """What the curve rests on, in words."""
        if self.quoted is None:
            return f"{self.rates[0]:.2%} for every tenor ({self.source})"
        return f"{', '.join(self.series)}, none older than {self.quoted.isoformat()}"


def rate_curve(
    reference_rates: pd.DataFrame, *, as_of: date, flat: float, oldest: timedelta = OLDEST
) -> RateCurve:
    """Return the curve that was known on the morning of `as_of`'s New York date.

    `reference_rates` has name, session and value in percent (the reference table `rates`), perhaps
    no rows or columns. A day's rates are published after its close, so only earlier days count, and
    of each series its last value, no more than `oldest` before `as_of`. Without any the curve is
    `flat` (continuous) and its source says why. Raises `CorruptData` when a rate is outside -10 to
    100 percent, `BadInput` when `as_of` is a moment without a zone.
    """
    day = _new_york_date(as_of)
    if reference_rates.empty:
        return RateCurve.flat(flat, source=RateSource.FLAT_WITHOUT_SERIES)
    earlier = reference_rates["session"] < pd.Timestamp(day)
    recent = _latest(
        reference_rates[earlier & (reference_rates["session"] >= pd.Timestamp(day - oldest))]
    )
    chosen = {SERIES[name].years: name for name in [*SERIES][::-1] if name in recent.index}
    if not chosen:
        stale = len(_latest(reference_rates[earlier])) > 0
        source = RateSource.FLAT_STALE_SERIES if stale else RateSource.FLAT_WITHOUT_SERIES
        return RateCurve.flat(flat, source=source)
    names = [chosen[years] for years in sorted(chosen)]
    return RateCurve(
        tenors=tuple(sorted(chosen)),
        rates=tuple(_continuous(name, recent) for name in names),
        series=tuple(names),
        quoted=recent.loc[names, "session"].min().date(),
    )


def _latest(rates: pd.DataFrame) -> pd.DataFrame:
    """The last row of every known series that has a value, by name."""
    known = rates[rates["name"].isin(list(SERIES)) & rates["value"].notna()]
    ordered = known.sort_values("session", kind="stable")
    return ordered.drop_duplicates("name", keep="last").set_index("name")


def _continuous(name: str, recent: pd.DataFrame) -> float:
    percent, day = float(recent["value"][name]), recent["session"][name]
    if not _LOWEST_PERCENT < percent < _HIGHEST_PERCENT:
        raise CorruptData(f"rates: {name} is {percent} percent on {day:%Y-%m-%d}")
    series = SERIES[name]
    return series.basis.continuous(percent, years=series.years)


def _new_york_date(as_of: date) -> date:
    if not isinstance(as_of, datetime):
        return as_of
    if as_of.tzinfo is None:
        raise BadInput("as_of", as_of, "needs a time zone")
    return as_of.astimezone(NEW_YORK).date()
