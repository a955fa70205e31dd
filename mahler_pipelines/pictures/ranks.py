"""IV ranks: one bar per underlying, the highest first."""

import math
from collections.abc import Mapping

from mahler_pipelines.errors import BadInput
from mahler_pipelines.pictures import style

LARGEST = 16


def ranks(
    iv_ranks: Mapping[str, float],
    *,
    threshold: float | None = None,
    title: str = "IV rank",
    subtitle: str = "",
) -> bytes:
    """Draw IV ranks (0 to 100, NaN where there is none) as bars; return PNG bytes.

    Bars at or above the threshold stand out. At most sixteen are drawn, the highest; the subtitle
    says how many were left out. Raises `BadInput` without underlyings.
    """
    if not iv_ranks:
        raise BadInput("iv_ranks", iv_ranks, "no underlyings")
    ordered = sorted(iv_ranks.items(), key=lambda row: (math.isnan(row[1]), -row[1], row[0]))
    shown, left_out = ordered[:LARGEST], len(ordered) - LARGEST
    if left_out > 0 and not subtitle:
        subtitle = f"highest {LARGEST} of {len(ordered)}"
    figure, axes = style.new_figure(title, subtitle=subtitle)
    limit = -math.inf if threshold is None else threshold
    places = range(len(shown))
    heights = [0.0 if math.isnan(rank) else rank for _, rank in shown]
    colours = [style.BLUE if rank >= limit else "#a9bcd0" for _, rank in shown]
    axes.bar(places, heights, color=colours, width=0.68)
    for place, (_, rank) in enumerate(shown):
        known = not math.isnan(rank)
        axes.annotate(
            f"{rank:.0f}" if known else "n/a", (place, heights[place]), xytext=(0, 3),
            textcoords="offset points", ha="center", fontsize=8,
            color=style.INK if known else style.MUTED, zorder=5,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6},
        )  # fmt: skip
    if threshold is not None:
        axes.axhline(threshold, color=style.ORANGE, linewidth=1.2, linestyle="--")
        axes.annotate(
            f"limit {threshold:.0f}", (1, threshold), xycoords=("axes fraction", "data"),
            xytext=(-2, 3), textcoords="offset points", ha="right", fontsize=8, color=style.ORANGE,
        )  # fmt: skip
    axes.set_xticks(list(places), [name for name, _ in shown])
    axes.tick_params(axis="x", labelsize=8.5 if len(shown) <= 10 else 7)
    axes.set_xlim(-0.6, max(len(shown), 4) - 0.4)
    axes.set_ylim(0, 110)
    axes.set_yticks([0, 25, 50, 75, 100])
    axes.grid(visible=False, axis="x")
    style.label_axes(axes, x="", y="IV rank")
    return style.to_png(figure)
