"""The greeks of European options: formulas over columns, in the units a desk reads.

Legs are valued on the out-of-the-money side, where their digits are, and put-call parity gives the
other. With N(d1) = n(d1) Y(d1) and F n(d1) = K n(d2), one density and two Mills ratios are enough.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mahler_pipelines.options.black_scholes.black import LOG_SQRT_2PI
from mahler_pipelines.options.black_scholes.carried import Carried, carry, check_terms
from mahler_pipelines.options.black_scholes.mills_table import (
    beyond_table,
    mills_table,
    table_mills,
)
from mahler_pipelines.options.blocks import Columns, chosen, in_blocks
from mahler_pipelines.options.special_functions import ndtr

Floats = NDArray[np.float64]

DAYS_PER_YEAR: Final = 365.0
_PER_POINT: Final = 0.01
_GREEKS: Final = 5
_SECOND_ORDER: Final = 3


@dataclass(frozen=True, slots=True, eq=False)
class SecondOrderGreeks:
    """Slopes of delta and vega, arrays of one shape; units as in `Greeks`."""

    vanna: Floats
    volga: Floats
    charm_per_day: Floats


@dataclass(frozen=True, eq=False)
class Greeks:
    """Sensitivities per share of one long option, arrays of one shape.

    delta per dollar of spot, gamma per dollar squared, theta in dollars per calendar day, vega and
    rho in dollars per percentage point of volatility and of the rate. Computed when first read:
    vanna, delta per point of volatility; volga, vega per point of volatility; charm, delta per
    calendar day. A model without them leaves `second_order` None; reading them raises
    `AttributeError`.
    """

    delta: Floats
    gamma: Floats
    theta_per_day: Floats
    vega: Floats
    rho: Floats
    second_order: Callable[[], SecondOrderGreeks] | None = field(default=None, repr=False)

    @cached_property
    def _slopes(self) -> SecondOrderGreeks:
        if self.second_order is None:
            raise AttributeError("this model has no vanna, volga and charm")
        return self.second_order()

    @property
    def vanna(self) -> Floats:
        """Change of delta per percentage point of volatility."""
        return self._slopes.vanna

    @property
    def volga(self) -> Floats:
        """Change of vega (dollars per point) per percentage point of volatility."""
        return self._slopes.volga

    @property
    def charm_per_day(self) -> Floats:
        """Change of delta per calendar day that passes."""
        return self._slopes.charm_per_day


def greeks_of(
    columns: Columns, shape: tuple[int, ...], *, threads: int | None, checked: bool
) -> Greeks:
    """Return the greeks of flattened inputs: right, spot, strike, years, rate, yield, volatility.

    Two more columns may follow for a spot less its dividends: what their present value grows by per
    year, and its slope in the rate. With `checked`, raises as `check_terms` does.
    """
    mills_table()
    found = np.empty((_GREEKS, math.prod(shape)))
    kernel = partial(_fill_greeks, checked=checked)
    in_blocks(kernel, columns, tuple(found), threads=threads)
    delta, gamma, theta, vega, rho = (row.reshape(shape) for row in found)
    later = partial(_second_order_of, columns, shape, threads=threads)
    return Greeks(delta, gamma, theta, vega, rho, later)


def _second_order_of(
    columns: Columns, shape: tuple[int, ...], *, threads: int | None
) -> SecondOrderGreeks:
    found = np.empty((_SECOND_ORDER, math.prod(shape)))
    in_blocks(_fill_second_order, columns, tuple(found), threads=threads)
    return SecondOrderGreeks(*(row.reshape(shape) for row in found))


def _fill_greeks(columns: Columns, filled: Columns, *, checked: bool) -> None:
    """Fill delta, gamma, theta, vega and rho (J. Hull, 10th ed., chapter 19 and table 19.6)."""
    right, spot, strike, years, rate, yields, volatility, *escrow = columns
    if checked:
        check_terms(right, spot, strike, years, volatility)
    delta, gamma, theta, vega, rho = filled
    with np.errstate(all="ignore"):
        carried, root = carry(spot, strike, years, rate, yields), np.sqrt(years)
        total = volatility * root
        weight, shares, cash = _legs(carried, right, total)
        weight, total = _without_kinks(weight, total)
        np.divide(shares, spot, out=delta)
        np.divide(weight, spot * spot * total, out=gamma)
        np.multiply(weight, root * _PER_POINT, out=vega)
        np.multiply(cash, years * _PER_POINT, out=rho)
        decay = weight * (0.5 * volatility * volatility / total)
        decay += rate * cash
        decay -= yields * shares
        if escrow:
            growth, slope = escrow
            decay += delta * growth
            rho -= delta * slope * _PER_POINT
        np.multiply(decay, -1.0 / DAYS_PER_YEAR, out=theta)


def _legs(carried: Carried, right: Floats, total: Floats) -> Columns:
    """Return shares * n(d1), and the signed share and cash legs, whose difference is the price."""
    side = np.copysign(1.0, -carried.log_moneyness)
    h = -np.abs(carried.log_moneyness) / total
    lean = 0.5 * side * total
    d = h + lean
    weight = carried.shares * np.exp(-0.5 * d * d - LOG_SQRT_2PI)
    table = mills_table()
    shares = weight * table_mills(table, h, lean)
    cash = weight * table_mills(table, h, -lean)
    beyond = beyond_table(h, 0.5 * total)
    if beyond is not None:
        _fill_legs_beyond(beyond, carried, h, lean, shares, cash)
    inside = 0.5 * (right - side)
    return weight, side * shares + inside * carried.shares, side * cash + inside * carried.cash


def _fill_legs_beyond(
    beyond: NDArray[np.bool_],
    carried: Carried,
    h: Floats,
    lean: Floats,
    shares: Floats,
    cash: Floats,
) -> None:
    """Value what the table does not reach: far strikes, no time, no volatility, NaN."""
    share, owed, distance, half = chosen(beyond, carried.shares, carried.cash, h, lean)
    distance[(distance != distance) & (half == 0)] = 0.0  # 0/0: at the forward, without time
    shares[beyond] = share * ndtr(distance + half)
    cash[beyond] = owed * ndtr(distance - half)


def _without_kinks(weight: Floats, total: Floats) -> tuple[Floats, Floats]:
    # Where nothing moves any more, gamma, vega and decay are zero rather than 0/0.
    still = total == 0
    if not still.any():
        return weight, total
    return np.where(still, 0.0, weight), np.where(still, 1.0, total)


def _fill_second_order(columns: Columns, filled: Columns) -> None:
    """Fill vanna, volga and charm (E. Haug, Complete Guide to Option Pricing Formulas, ch. 2)."""
    right, spot, strike, years, rate, yields, volatility, *escrow = columns
    vanna, volga, charm = filled
    with np.errstate(all="ignore"):
        carried, total = carry(spot, strike, years, rate, yields), volatility * np.sqrt(years)
        still = (total == 0) & np.isfinite(carried.log_moneyness)
        d1 = carried.log_moneyness / total + 0.5 * total
        d1 = np.where(still & (carried.log_moneyness == 0), 0.0, d1)
        share = carried.shares / spot
        density = share * np.exp(-0.5 * d1 * d1 - LOG_SQRT_2PI)
        d2 = d1 - total
        slope = density * np.sqrt(years)  # vega over spot
        turn = np.where(still, 0.0, density * ((rate - yields) / total - 0.5 * d2 / years))
        vanna[:] = np.where(still, 0.0, -_PER_POINT * density * d2 / volatility)
        volga[:] = np.where(still, 0.0, _PER_POINT**2 * spot * slope * d1 * d2 / volatility)
        drift = yields * right * share * ndtr(right * d1) - turn
        if escrow:
            drift = drift - np.where(still, 0.0, density / (spot * total)) * escrow[0]
        charm[:] = drift / DAYS_PER_YEAR
