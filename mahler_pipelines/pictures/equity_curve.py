"""The equity curve: equity by session, and how far it is below its peak."""

from collections.abc import Sequence
from datetime import date

import numpy as np
from numpy.typing import ArrayLike

from mahler_pipelines.errors import BadInput
from mahler_pipelines.pictures import style


def equity_curve(
    sessions: Sequence[date], equity_usd: ArrayLike, *, title: str = "Equity"
) -> bytes:
    """Draw equity over sessions with the distance to its peak shaded; return PNG bytes.

    Raises `BadInput` without sessions or when the lengths differ.
    """
    equity = np.asarray(equity_usd, dtype=np.float64)
    if not len(sessions) or len(sessions) != len(equity):
        raise BadInput("equity_usd", len(equity), f"{len(sessions)} sessions")
    peak = np.maximum.accumulate(equity)
    deepest = float((peak - equity).max())
    change = float(equity[-1] - equity[0])
    sign = "+" if change > 0 else ""
    subtitle = f"{sign}{style.usd(change)} since {sessions[0]:%d %b %Y}, largest drawdown "
    figure, axes = style.new_phone_figure(title, subtitle=subtitle + style.usd(deepest))
    places = np.arange(len(sessions))
    axes.fill_between(places, equity, peak, color=style.LOSS_FILL, alpha=0.7, linewidth=0,
                      label="below the peak")  # fmt: skip
    dots = "o" if len(sessions) < 15 else None
    axes.plot(places, equity, color=style.BLUE, linewidth=1.8, marker=dots, markersize=4,
              label="equity")  # fmt: skip
    room = max(float(peak.max() - equity.min()) * 0.12, abs(float(peak.max())) * 0.0005)
    axes.set_ylim(float(equity.min()) - room, float(peak.max()) + room)
    # Sessions, not days, are the axis: a weekend is no gap.
    ticks = np.unique(np.linspace(0, len(sessions) - 1, min(4, len(sessions))).astype(int))
    axes.set_xticks(ticks, [f"{sessions[place]:%d %b %y}" for place in ticks])
    style.format_y(axes, style.usd)
    axes.locator_params(axis="y", nbins=6)
    style.show_legend_below(figure, axes)
    return style.to_png(figure)
