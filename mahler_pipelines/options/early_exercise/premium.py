"""What the right to exercise early adds to a European option.

Per unit of strike, for a put with boundary B and d1, d2 of the spot struck at B(T - w) over w years
(I. J. Kim, Review of Financial Studies 3 (1990), eq. 11),

    premium = I[r exp(-r w) N(-d2) - q m exp(-q w) N(-d1)],   m = spot / strike,

I integrating over w from 0 to T. A call is the put with spot and strike, and rate and yield,
exchanged. Contracts that share rate, yield and expiration share their boundaries: these are laid
out once per such series over levels of volatility, and interpolated for each contract.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mahler_pipelines.options.early_exercise import equation, table
from mahler_pipelines.options.early_exercise.normal_tail import (
    INVERSE_ROOT_TWO_PI,
    AnyFloats,
    bell,
    upper_tail,
)
from mahler_pipelines.options.early_exercise.table import LEVEL_STEP, LEVELS, LOWEST_LEVEL
from mahler_pipelines.options.special_functions import ndtr

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]
Flags = NDArray[np.bool_]

RULE: Final = equation.quadrature(16, lean=0.45)
CHUNK_ROWS: Final = 8_192
"""Contracts summed over points together: with fewer the calls weigh, with more the memory."""

_SHARE: Final = np.append(RULE.cosine, 1.0)
_UNCOVERED_NODES, _UNCOVERED_POINTS, _UNCOVERED_SETTLED = 12, 24, 1e-5
_WILDEST: Final = 5.0
_NO_RATE: Final = 1e-8


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """Puts of one rate, yield and expiration each, (n,): what their strikes have in common.

    `root_time`, `gain`, `cost` and `discount` are (n, points): sqrt(w), r exp(-r w) dw,
    q exp(-q w) dw and exp(-r w) n(0) dw.
    `log_boundary` is (n, levels, points + 1): ln B(T - w) per unit of strike, and ln B(T) last, at
    the volatilities sqrt(exp(log_scale - level)), levels counted from `first_level` (n,).
    """

    rate: Floats
    dividend_yield: Floats
    years: Floats
    root_time: AnyFloats
    gain: AnyFloats
    cost: AnyFloats
    discount: AnyFloats
    first_level: Indices
    log_scale: Floats
    log_boundary: AnyFloats


@dataclass(frozen=True, slots=True, eq=False)
class Premium:
    """Per unit of strike: the premium, its slope in volatility, and ln of today's boundary."""

    value: Floats
    vega: Floats
    log_boundary: Floats


@dataclass(frozen=True, slots=True, eq=False)
class SpotSlopes:
    """First and second derivative of the premium in m = spot / strike."""

    delta: Floats
    gamma: Floats


def is_exercised_early(rate: Floats, dividend_yield: Floats) -> Flags:
    """Return where a put may be exercised before expiry, and below a single boundary."""
    none = np.abs(rate) <= _NO_RATE
    return np.asarray(np.where(none, dividend_yield < -_NO_RATE, rate > 0.0))


def series(
    rate: Floats,
    dividend_yield: Floats,
    years: Floats,
    *,
    lowest: Floats,
    highest: Floats,
    single: bool = False,
) -> Series:
    """Lay out the boundaries of n series for volatilities from `lowest` to `highest`, all (n,).

    Each must be exercised early, with years > 0. With `single` all that is summed over points is
    in single precision: premiums then are off by some 1e-8 of the strike, in half the time.
    """
    time = years[:, None] * np.square(RULE.sine)
    width = years[:, None] * RULE.weights
    r, q = rate[:, None], dividend_yield[:, None]
    scale = log_scale(rate, dividend_yield)
    first, levels = _level_windows(scale, lowest, highest)
    boundary = _log_boundaries(rate, dividend_yield, years, first, levels)
    kind = np.float32 if single else np.float64
    return Series(
        rate=rate,
        dividend_yield=dividend_yield,
        years=years,
        root_time=np.sqrt(time).astype(kind),
        gain=(r * np.exp(-r * time) * width).astype(kind),
        cost=(q * np.exp(-q * time) * width).astype(kind),
        discount=(np.exp(-r * time) * width * INVERSE_ROOT_TWO_PI).astype(kind),
        first_level=first,
        log_scale=scale,
        log_boundary=boundary.astype(kind),
    )


def _level_windows(scale: Floats, lowest: Floats, highest: Floats) -> tuple[Indices, int]:
    """Return each series' first level, and how many all of them need."""
    start = np.floor((scale - 2.0 * np.log(highest) - LOWEST_LEVEL) / LEVEL_STEP) - 1.0
    end = np.ceil((scale - 2.0 * np.log(lowest) - LOWEST_LEVEL) / LEVEL_STEP) + 2.0
    levels = int(np.clip(np.max(end - start, initial=4.0), 4, LEVELS))
    return np.clip(start, 0, LEVELS - levels).astype(np.intp), levels


def premium(
    of: Series, row: Indices, log_spot: Floats, volatility: Floats, *, with_vega: bool = True
) -> Premium:
    """Return the premium of contracts: `row` their series, `log_spot` ln(spot/strike); all (n,).

    Without `with_vega` the slope is NaN, and a third of the work is saved.
    """
    found = Premium(*(np.full(row.size, np.nan) for _ in range(3)))
    desk = _Desk.of(min(row.size, CHUNK_ROWS), of.gain.dtype)
    for start in range(0, row.size, CHUNK_ROWS):
        rows = slice(start, start + CHUNK_ROWS)
        here = _Contracts(row[rows], log_spot[rows], volatility[rows])
        filled = Premium(found.value[rows], found.vega[rows], found.log_boundary[rows])
        _fill_premium(of, here, desk.cut(here.row.size), filled, with_vega=with_vega)
    return found


@dataclass(frozen=True, slots=True, eq=False)
class _Contracts:
    """A chunk of contracts, columns of one length."""

    row: Indices
    log_spot: Floats
    volatility: Floats


@dataclass(frozen=True, slots=True, eq=False)
class _Desk:
    """Arrays over contracts and points that every chunk writes into: touched memory is fast."""

    boundary: AnyFloats
    slope: AnyFloats
    entries: AnyFloats
    d1: AnyFloats
    d2: AnyFloats
    total: AnyFloats
    density: AnyFloats
    value: AnyFloats
    scratch: AnyFloats

    @classmethod
    def of(cls, rows: int, kind: np.dtype[Any]) -> "_Desk":
        wide = (np.empty((rows, _SHARE.size), kind) for _ in range(3))
        return cls(*wide, *(np.empty((rows, RULE.sine.size), kind) for _ in range(6)))

    def cut(self, rows: int) -> "_Desk":
        return _Desk(*(getattr(self, name)[:rows] for name in self.__slots__))


def _fill_premium(
    of: Series, here: _Contracts, desk: _Desk, filled: Premium, *, with_vega: bool
) -> None:
    _fill_boundary(of, here, desk, with_slope=with_vega)
    filled.log_boundary[:] = desk.boundary[:, -1]
    _fill_distances(of, here, desk)
    value, cost = desk.value, desk.entries[:, :-1]
    pays = bool(of.dividend_yield[here.row].any())
    if pays:
        _fill_leg(of.cost, here, desk, desk.d1, out=cost)
        cost *= _column(np.exp(here.log_spot), cost)
    _fill_leg(of.gain, here, desk, desk.d2, out=value)
    if pays:
        value -= cost
    np.sum(value, axis=1, out=filled.value, dtype=np.float64)
    if with_vega:
        _fill_vega(of, here, desk, filled.vega)


def _fill_leg(
    weights: AnyFloats, here: _Contracts, desk: _Desk, d: AnyFloats, *, out: AnyFloats
) -> None:
    """Fill weight times N(-d); leaves exp(-d^2 / 2) in the desk's density."""
    bell(d, out=desk.density)
    upper_tail(d, desk.density, out=out, scratch=desk.scratch)
    np.take(weights, here.row, axis=0, out=desk.scratch, mode="clip")
    out *= desk.scratch


def _fill_vega(of: Series, here: _Contracts, desk: _Desk, vega: Floats) -> None:
    """Fill the slope in volatility, boundary and all; writes over the desk.

    m exp(-q w) n(d1) is B exp(-r w) n(d2), so that one density does for both legs.
    """
    rate = _column(of.rate[here.row], desk.d1)
    paid, d1, d2 = desk.scratch, desk.d1, desk.d2
    np.exp(desk.boundary[:, :-1], out=paid)
    paid *= _column(of.dividend_yield[here.row], paid)
    d2 *= paid
    np.subtract(rate, paid, out=paid)
    paid *= desk.slope[:, :-1]
    paid /= desk.total
    d1 *= rate
    d1 -= d2
    d1 += paid
    np.take(of.discount, here.row, axis=0, out=paid, mode="clip")
    d1 *= paid
    d1 *= desk.density
    np.sum(d1, axis=1, out=vega, dtype=np.float64)
    vega /= here.volatility


def _column(values: Floats, like: AnyFloats) -> AnyFloats:
    return values.astype(like.dtype, copy=False)[:, None]


def spot_slopes(of: Series, row: Indices, log_spot: Floats, volatility: Floats) -> SpotSlopes:
    """Return the premium's derivatives in spot; arguments as `premium`."""
    found = SpotSlopes(np.empty(row.size), np.empty(row.size))
    desk = _Desk.of(min(row.size, CHUNK_ROWS), of.gain.dtype)
    for start in range(0, row.size, CHUNK_ROWS):
        rows = slice(start, start + CHUNK_ROWS)
        here = _Contracts(row[rows], log_spot[rows], volatility[rows])
        cut = desk.cut(here.row.size)
        _fill_boundary(of, here, cut, with_slope=False)
        _fill_distances(of, here, cut)
        m = np.exp(here.log_spot)[:, None]
        density = np.exp(-0.5 * cut.d2 * cut.d2) * of.discount[here.row] / cut.total
        at_boundary = np.exp(cut.boundary[:, :-1]) * of.dividend_yield[here.row][:, None]
        gain = of.rate[here.row][:, None] * density
        cost = at_boundary * density
        delta = (cost - gain) / m - of.cost[here.row] * ndtr(-cut.d1)
        gamma = gain * (1.0 + cut.d2 / cut.total) + cost * (1.0 - cut.d1 / cut.total)
        np.sum(delta, axis=1, out=found.delta[rows])
        np.sum(gamma / (m * m), axis=1, out=found.gamma[rows])
    return found


def log_boundary(of: Series, row: Indices, volatility: Floats) -> Floats:
    """Return ln(B(T)/strike), today's boundary; arguments as `premium`."""
    desk = _Desk.of(row.size, of.gain.dtype)
    _fill_boundary(of, _Contracts(row, volatility, volatility), desk, with_slope=False)
    return desk.boundary[:, -1].astype(np.float64)


def _fill_boundary(of: Series, here: _Contracts, desk: _Desk, *, with_slope: bool) -> None:
    """Fill ln B, and its derivative in ln volatility, at every point and today."""
    row = here.row
    level = of.log_scale[row] - 2.0 * np.log(here.volatility)
    count = of.log_boundary.shape[1]
    steps = (level - LOWEST_LEVEL) / LEVEL_STEP - of.first_level[row]
    steps = np.minimum(np.maximum(steps, 0.0), count - 1.0)
    first, weights = table.cubic(steps, count)
    slopes = table.cubic_slopes(steps, first) if with_slope else ()
    flat = of.log_boundary.reshape(-1, _SHARE.size)
    at = row * count + first
    for place in range(4):
        np.take(flat, at + place, axis=0, out=desk.entries, mode="clip")
        if with_slope:
            weight = _column(slopes[place] * (-2.0 / LEVEL_STEP), desk.entries)
            _accumulate(desk.slope, weight, desk.entries, first=place == 0)
        weight = _column(weights[place], desk.entries)
        _accumulate(desk.boundary, weight, desk.entries, first=place == 0)


def _accumulate(into: AnyFloats, weight: AnyFloats, entries: AnyFloats, *, first: bool) -> None:
    if first:
        np.multiply(weight, entries, out=into)
    else:
        into += weight * entries


def _fill_distances(of: Series, here: _Contracts, desk: _Desk) -> None:
    """Fill s sqrt(w), d2 and d1 at every point."""
    row, volatility = here.row, here.volatility
    root, d2 = desk.scratch, desk.d2
    np.take(of.root_time, row, axis=0, out=root, mode="clip")
    np.multiply(root, _column(volatility, root), out=desk.total)
    np.subtract(_column(here.log_spot, root), desk.boundary[:, :-1], out=d2)
    d2 /= desk.total
    carry = (of.rate[row] - of.dividend_yield[row]) / volatility - 0.5 * volatility
    root *= _column(carry, root)
    d2 += root
    np.add(d2, desk.total, out=desk.d1)


def log_scale(rate: Floats, dividend_yield: Floats) -> Floats:
    """Return the logarithm of the larger of rate and yield, from which levels are counted."""
    # Series outside the table may have no positive rate; any scale will do for them.
    larger = np.maximum(rate, dividend_yield)
    return np.log(np.where(larger > _NO_RATE, larger, 0.01))


def _log_boundaries(
    rate: Floats, dividend_yield: Floats, years: Floats, first: Indices, levels: int
) -> Floats:
    result = np.empty((rate.size, levels, _SHARE.size))
    covered = table.covers(rate, dividend_yield, years)
    for rows, fill in ((covered, _tabulated), (~covered, _solved)):
        if rows.any():
            result[rows] = fill(rate[rows], dividend_yield[rows], years[rows], first[rows], levels)
    return result


def _tabulated(
    rate: Floats, dividend_yield: Floats, years: Floats, first: Indices, levels: int
) -> Floats:
    return table.load().log_boundary(
        rate, dividend_yield, years, first_level=first, levels=levels, share=_SHARE
    )


def _solved(
    rate: Floats, dividend_yield: Floats, years: Floats, first: Indices, levels: int
) -> Floats:
    level = table.level_values(first[:, None] + np.arange(levels))
    scale = log_scale(rate, dividend_yield)[:, None]
    volatility = np.minimum(np.exp(0.5 * (scale - level)), _WILDEST).ravel()
    curves = equation.solve(
        np.repeat(rate, levels),
        np.repeat(dividend_yield, levels),
        volatility,
        np.repeat(years, levels),
        nodes=_UNCOVERED_NODES,
        points=_UNCOVERED_POINTS,
        settled=_UNCOVERED_SETTLED,
    )
    return curves.log_boundary(_SHARE).reshape(rate.size, levels, _SHARE.size)
