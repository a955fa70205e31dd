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


@dataclass(frozen=True, slots=True, eq=False)
class PayoffCurve:
    """Profit in USD over prices of the underlying; shapes (n,), prices ascending.

    `today_usd` is the profit if closed now, and `density` the probability density of the price at
    expiry; either may be absent.
    """

    prices: ArrayLike
    expiry_usd: ArrayLike
    today_usd: ArrayLike | None = None
    density: ArrayLike | None = None


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
    figure, axes = style.new_figure(title, subtitle=subtitle)
    _shade(axes, prices, profit)
    if curve.density is not None:
        _draw_density(axes, prices, np.asarray(curve.density, dtype=np.float64))
    axes.axhline(0, color=style.MUTED, linewidth=0.8)
    axes.plot(prices, profit, color=style.INK, linewidth=1.8, label="at expiry")
    if curve.today_usd is not None:
        today = np.asarray(curve.today_usd, dtype=np.float64)
        axes.plot(prices, today, color=style.BLUE, linewidth=1.4, linestyle="--", label="today")
    axes.axvline(spot, color=style.ORANGE, linewidth=1.2, label=f"spot {spot:,.2f}")
    _mark_breakevens(axes, breakevens)
    reach = float(np.ptp(profit)) or 1.0
    axes.set_ylim(float(profit.min()) - 0.12 * reach, float(profit.max()) + 0.22 * reach)
    axes.set_xlim(float(prices[0]), float(prices[-1]))
    style.format_y(axes, style.usd)
    style.format_x(axes, lambda value: f"{value:,.0f}")
    style.label_axes(axes, x="price of the underlying", y="profit, USD")
    style.show_legend(axes)
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


def _mark_breakevens(axes: "Axes", breakevens: Sequence[float]) -> None:
    for point in breakevens:
        axes.plot([point], [0], marker="o", markersize=5, color=style.RED, zorder=5)
        axes.annotate(
            f"{point:,.2f}", (point, 0), xytext=(6, 8), textcoords="offset points", fontsize=8,
            color=style.RED,
        )  # fmt: skip
