"""The volatility smile: implied volatility by strike, one line per expiration."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import ArrayLike

from mahler_pipelines.errors import BadInput
from mahler_pipelines.pictures import style

LINES = (style.BLUE, style.ORANGE, style.GREEN, style.MUTED)


@dataclass(frozen=True, slots=True, eq=False)
class SmileLine:
    """Implied volatilities of one expiration; shapes (n,), NaN where there is none."""

    expiration: date
    strikes: ArrayLike
    implied_volatilities: ArrayLike


def smile(
    underlying: str,
    lines: Sequence[SmileLine],
    *,
    spot: float,
    marked_strikes: Sequence[float] = (),
    subtitle: str = "",
) -> bytes:
    """Draw up to four smiles with the spot and the strikes of a structure; return PNG bytes.

    Raises `BadInput` without lines, with more than four, or when none has a finite volatility.
    """
    if not 1 <= len(lines) <= len(LINES):
        raise BadInput("lines", len(lines), f"not one to {len(LINES)} expirations")
    figure, axes = style.new_figure(f"{underlying} implied volatility", subtitle=subtitle)
    drawn = 0
    for line, colour in zip(lines, LINES, strict=False):
        strikes = np.asarray(line.strikes, dtype=np.float64)
        level = np.asarray(line.implied_volatilities, dtype=np.float64)
        order = np.argsort(strikes[np.isfinite(level)])
        x, y = strikes[np.isfinite(level)][order], level[np.isfinite(level)][order]
        drawn += len(x)
        axes.plot(
            x, y, color=colour, linewidth=1.6, marker="o", markersize=2.6,
            label=f"{line.expiration:%d %b %Y}",
        )  # fmt: skip
    if not drawn:
        raise BadInput("lines", len(lines), "no finite implied volatility")
    axes.axvline(spot, color=style.INK, linewidth=1, linestyle="--", label=f"spot {spot:,.2f}")
    for strike in marked_strikes:
        axes.axvline(strike, color=style.RED, linewidth=1, linestyle=":")
    style.format_y(axes, style.percent)
    style.format_x(axes, lambda value: f"{value:,.0f}")
    style.label_axes(axes, x="strike", y="implied volatility")
    style.show_legend(axes)
    return style.to_png(figure)
