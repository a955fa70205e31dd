"""The payoff: profit at expiry and today, breakevens, spot, and where the price may end."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mahler_pipelines.errors import BadInput
from mahler_pipelines.pictures import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes


CONE_STRIP = 0.13
"""How much of the picture's height, at its foot, the cone's bands take."""


@dataclass(frozen=True, slots=True)
class Band:
    """Prices between which the underlying ends with a probability of `share`."""

    share: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, eq=False)
class PayoffCurve:
    """Profit in USD over prices of the underlying; shapes (n,), prices ascending.

    `today_usd` is the profit if closed now, `density` the probability density of the price at
    expiry and `cone` its bands, the narrow one first; each may be absent.
    """

    prices: ArrayLike
    expiry_usd: ArrayLike
    today_usd: ArrayLike | None = None
    density: ArrayLike | None = None
    cone: tuple[Band, ...] = ()


def payoff(
    title: str,
    curve: PayoffCurve,
    *,
    spot: float,
    breakevens: Sequence[float] = (),
    probability_of_profit: float | None = None,
    subtitle: str = "",
) -> bytes:
    """Draw the payoff of a whole position; return PNG bytes.

    Raises `BadInput` when the curves differ in length or have fewer than two points.
    """
    prices = np.asarray(curve.prices, dtype=np.float64)
    profit = np.asarray(curve.expiry_usd, dtype=np.float64)
    if prices.shape != profit.shape or len(prices) < 2:
        raise BadInput("expiry_usd", profit.shape, f"prices have shape {prices.shape}")
    if not subtitle and probability_of_profit is not None:
        subtitle = f"probability of profit {probability_of_profit:.0%}"
    figure, axes = style.new_phone_figure(title, subtitle=subtitle)
    _shade(axes, prices, profit)
    if curve.density is not None:
        _draw_density(axes, prices, np.asarray(curve.density, dtype=np.float64))
    axes.axhline(0, color=style.MUTED, linewidth=0.8)
    axes.plot(prices, profit, color=style.INK, linewidth=2.0, label="at expiry")
    if curve.today_usd is not None:
        today = np.asarray(curve.today_usd, dtype=np.float64)
        axes.plot(prices, today, color=style.BLUE, linewidth=1.8, linestyle="--", label="today")
    axes.axvline(spot, color=style.ORANGE, linewidth=1.4, label=f"now {spot:,.2f}")
    reach = float(np.ptp(profit)) or 1.0
    low, high = float(profit.min()) - 0.12 * reach, float(profit.max()) + 0.22 * reach
    if curve.cone:
        low -= CONE_STRIP * (high - low) * len(curve.cone)
    axes.set_ylim(low, high)
    axes.set_xlim(float(prices[0]), float(prices[-1]))
    _mark_breakevens(axes, breakevens, spot=spot)
    _draw_cone(axes, curve.cone)
    style.format_y(axes, style.usd)
    style.format_x(axes, lambda value: f"{value:,.0f}")
    axes.locator_params(axis="x", nbins=6)
    axes.set_xlabel("price at expiry, profit in USD", fontsize=9.5, color=style.INK, labelpad=2)
    style.show_legend_below(figure, axes)
    return style.to_png(figure)


def _shade(axes: "Axes", prices: NDArray[np.float64], profit: NDArray[np.float64]) -> None:
    fills = ((profit >= 0, style.GAIN_FILL), (profit <= 0, style.LOSS_FILL))
    for where, colour in fills:
        axes.fill_between(
            prices, profit, 0, where=where.tolist(), interpolate=True, color=colour, alpha=0.6,
            linewidth=0,
        )  # fmt: skip


def _draw_density(axes: "Axes", prices: NDArray[np.float64], density: NDArray[np.float64]) -> None:
    """A second, unlabelled axis: only the shape of the density is of interest."""
    behind = axes.twinx()
    behind.fill_between(prices, density, 0, color=style.MUTED, alpha=0.22, linewidth=0)
    behind.set_ylim(0, float(np.nanmax(density)) * 3.2)
    behind.set_axis_off()


def _draw_cone(axes: "Axes", cone: Sequence[Band]) -> None:
    """The cone's bands as bars at the foot, each with its share and where it ends."""
    left, right = axes.get_xlim()
    for row, band in enumerate(reversed(cone)):
        middle = (row + 0.5) * CONE_STRIP * 0.8 + 0.015
        ends = np.clip([band.low, band.high], left, right)
        axes.axvspan(float(ends[0]), float(ends[1]), color=style.MUTED, alpha=0.08, linewidth=0)
        axes.plot(
            ends, [middle, middle], transform=axes.get_xaxis_transform(), color=style.MUTED,
            linewidth=9, alpha=0.35, solid_capstyle="butt",
        )  # fmt: skip
        axes.text(
            float(ends.mean()), middle, f"{band.share:.0%}: {band.low:,.0f} to {band.high:,.0f}",
            transform=axes.get_xaxis_transform(), ha="center", va="center_baseline", fontsize=9,
            color=style.INK, bbox={"facecolor": "white", "alpha": 0.75, "pad": 1, "linewidth": 0},
        )  # fmt: skip


def _mark_breakevens(axes: "Axes", breakevens: Sequence[float], *, spot: float) -> None:
    """Each with its price, written away from the line of the spot."""
    for point in breakevens:
        beyond = point > spot
        axes.plot([point], [0], marker="o", markersize=6, color=style.RED, zorder=5)
        axes.annotate(
            f"{point:,.2f}", (point, 0), xytext=(6 if beyond else -5, 7),
            textcoords="offset points", fontsize=9.5, color=style.RED,
            ha="left" if beyond else "right",
        )  # fmt: skip
