"""The term structure: at-the-money implied volatility by days to expiration."""

import numpy as np
from numpy.typing import ArrayLike

from mahler_pipelines.errors import BadInput
from mahler_pipelines.pictures import style


def term_structure(
    underlying: str,
    days_to_expiration: ArrayLike,
    implied_volatilities: ArrayLike,
    *,
    realised_volatility: float | None = None,
    subtitle: str = "",
) -> bytes:
    """Draw at-the-money volatility over DTE, shapes (n,), with realised volatility; return PNG.

    Raises `BadInput` when no point is finite.
    """
    days = np.asarray(days_to_expiration, dtype=np.float64)
    level = np.asarray(implied_volatilities, dtype=np.float64)
    usable = np.isfinite(days) & np.isfinite(level)
    if not usable.any():
        raise BadInput("implied_volatilities", len(level), "no finite point")
    order = np.argsort(days[usable])
    x, y = days[usable][order], level[usable][order]
    figure, axes = style.new_figure(f"{underlying} term structure", subtitle=subtitle)
    axes.plot(
        x, y, color=style.BLUE, linewidth=1.8, marker="o", markersize=4, label="at-the-money IV"
    )
    if realised_volatility is not None:
        axes.axhline(
            realised_volatility, color=style.ORANGE, linewidth=1.2, linestyle="--",
            label=f"realised {realised_volatility:.1%}",
        )  # fmt: skip
    levels = [*y, realised_volatility] if realised_volatility is not None else list(y)
    low, high = min(levels), max(levels)
    room = max((high - low) * 0.15, high * 0.04)
    axes.set_ylim(max(low - room, 0), high + room)
    axes.set_xlim(left=0)
    style.format_y(axes, style.percent)
    style.label_axes(axes, x="days to expiration", y="implied volatility")
    style.show_legend(axes)
    return style.to_png(figure)
