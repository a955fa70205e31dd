"""American contracts as puts per unit of strike: their value, and its slopes, at any volatility.

A call on a share with yield q at rate r is the put on the strike at rate q with yield r, struck at
the share's price (R. McDonald and M. Schroder, Journal of Computational Finance 1 (1998)). From
here on there are only puts, and all prices are divided by their strike.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mahler_pipelines.options.early_exercise import premium as early_exercise
from mahler_pipelines.options.early_exercise.normal_tail import INVERSE_ROOT_TWO_PI
from mahler_pipelines.options.early_exercise.premium import Series, SpotSlopes
from mahler_pipelines.options.special_functions import ndtr

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]
Flags = NDArray[np.bool_]

PIECE_ROWS: Final = 16_384
"""Contracts laid out together: enough that the series are worth their laying out."""

_KEY: Final = (1.0, 0.754877666246693, 0.569840290998053)


@dataclass(frozen=True, slots=True, eq=False)
class Puts:
    """Columns of n puts: `log_spot` is ln(spot/strike), `strike` what unit prices are scaled by."""

    rate: Floats
    dividend_yield: Floats
    years: Floats
    log_spot: Floats
    strike: Floats

    @classmethod
    def of(
        cls, right: Floats, spot: Floats, strike: Floats, years: Floats, rate: Floats, held: Floats
    ) -> "Puts":
        """Turn calls into puts; all columns (n,)."""
        put = right < 0.0
        log_moneyness = np.log(spot / strike)
        return cls(
            rate=np.where(put, rate, held),
            dividend_yield=np.where(put, held, rate),
            years=years,
            log_spot=np.where(put, log_moneyness, -log_moneyness),
            strike=np.where(put, strike, spot),
        )

    def __len__(self) -> int:
        return self.rate.size

    def at(self, rows: Indices | Flags | slice) -> "Puts":
        """Return the puts of these rows."""
        return Puts(*(getattr(self, column.name)[rows] for column in fields(self)))

    def key(self) -> Floats:
        """Return a number per row that rows of one rate, yield and expiration share."""
        columns = (self.rate, self.dividend_yield, self.years)
        return sum(
            (weight * column for weight, column in zip(_KEY, columns, strict=True)), 0.0 * self.rate
        )

    def level(self, volatility: Floats) -> Floats:
        """Return the place of a volatility among the levels of `options.early_exercise.table`."""
        return early_exercise.log_scale(self.rate, self.dividend_yield) - 2.0 * np.log(volatility)


@dataclass(frozen=True, slots=True, eq=False)
class Values:
    """Per unit of strike: the price, its slope in volatility, and where it is exercised now."""

    price: Floats
    vega: Floats
    exercised: Flags


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """Some puts that may be exercised early, and the series they belong to."""

    puts: Puts
    series: Series
    row: Indices

    @classmethod
    def of(cls, puts: Puts, *, lowest: Floats, highest: Floats, single: bool = False) -> "Piece":
        """Lay out the boundaries that volatilities between these two, (n,), need."""
        first, row = _series_rows(puts)
        low, high = np.full(first.size, np.inf), np.zeros(first.size)
        np.minimum.at(low, row, lowest)
        np.maximum.at(high, row, highest)
        rate, held, years = puts.rate[first], puts.dividend_yield[first], puts.years[first]
        laid_out = early_exercise.series(rate, held, years, lowest=low, highest=high, single=single)
        return cls(puts, laid_out, row)

    def at(self, rows: Indices | Flags) -> "Piece":
        """Return the piece with these puts only."""
        return Piece(self.puts.at(rows), self.series, self.row[rows])

    def values(self, volatility: Floats, *, with_vega: bool = True) -> Values:
        """Value every put at its volatility; without `with_vega` its slope is NaN."""
        puts = self.puts
        price, vega = european_unit(puts, volatility)
        added = early_exercise.premium(
            self.series, self.row, puts.log_spot, volatility, with_vega=with_vega
        )
        exercised = puts.log_spot <= added.log_boundary
        intrinsic = -np.expm1(puts.log_spot)
        price = np.where(exercised, intrinsic, np.maximum(price + added.value, intrinsic))
        return Values(price, np.where(exercised, 0.0, vega + added.vega), exercised)

    def spot_slopes(self, volatility: Floats) -> SpotSlopes:
        """Return first and second derivative of the unit price in m = spot / strike."""
        puts = self.puts
        held = european_slopes(puts, volatility)
        added = early_exercise.spot_slopes(self.series, self.row, puts.log_spot, volatility)
        return SpotSlopes(held.delta + added.delta, held.gamma + added.gamma)

    def log_boundary(self, volatility: Floats) -> Floats:
        """Return ln(B/strike) of today's boundary."""
        return early_exercise.log_boundary(self.series, self.row, volatility)


def european_unit(puts: Puts, volatility: Floats) -> tuple[Floats, Floats]:
    """Return the European price per unit of strike and its slope in volatility."""
    root = np.sqrt(puts.years)
    total = volatility * root
    carry = (puts.rate - puts.dividend_yield) * puts.years
    d1 = (puts.log_spot + carry) / total + 0.5 * total
    shares = np.exp(puts.log_spot - puts.dividend_yield * puts.years)
    price = np.exp(-puts.rate * puts.years) * ndtr(total - d1) - shares * ndtr(-d1)
    return price, shares * root * (INVERSE_ROOT_TWO_PI * np.exp(-0.5 * d1 * d1))


def european_slopes(puts: Puts, volatility: Floats) -> SpotSlopes:
    """Return first and second derivative of the European unit price in m = spot / strike."""
    total = volatility * np.sqrt(puts.years)
    carry = (puts.rate - puts.dividend_yield) * puts.years
    d1 = (puts.log_spot + carry) / total + 0.5 * total
    share = np.exp(-puts.dividend_yield * puts.years)
    density = share * INVERSE_ROOT_TWO_PI * np.exp(-0.5 * d1 * d1)
    return SpotSlopes(-share * ndtr(-d1), density / (np.exp(puts.log_spot) * total))


def pieces(puts: Puts, volatility: Floats) -> Iterator[Indices]:
    """Yield the rows of each piece, near `volatility`.

    In their order if neighbours share their series, as a chain's do; else sorted, so that a piece
    has few series, or, where each row is a series of its own, needs few levels.
    """
    key = puts.key()
    order = np.arange(len(puts))
    if 4 * np.count_nonzero(key[1:] != key[:-1]) > len(puts):
        single = 4 * np.unique(key).size > len(puts)
        order = np.argsort(puts.level(volatility) if single else key, kind="stable")
    for start in range(0, len(puts), PIECE_ROWS):
        yield order[start : start + PIECE_ROWS]


def _series_rows(puts: Puts) -> tuple[Indices, Indices]:
    """Return the first row of each series, and each row's series."""
    _, first, row = np.unique(puts.key(), return_index=True, return_inverse=True)
    columns = (puts.rate, puts.dividend_yield, puts.years)
    if all((column[first][row] == column).all() for column in columns):
        return first, row
    # Two series with one key: tell them apart by their columns, more slowly.
    _, first, row = np.unique(np.stack(columns), axis=1, return_index=True, return_inverse=True)
    return first, np.reshape(row, -1)
