"""The volatility premium: what options imply beside what was realised, one row per underlying."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mahler_pipelines.errors import BadInput
from mahler_pipelines.pictures import style

LARGEST = 16


@dataclass(frozen=True, slots=True)
class ImpliedAndRealised:
    """Two volatilities of an underlying; either may be NaN."""

    underlying: str
    implied: float
    realised: float


def volatility_premium(
    rows: Sequence[ImpliedAndRealised], *, title: str = "Volatility premium", subtitle: str = ""
) -> bytes:
    """Draw implied and realised volatility joined by a bar, the richest first; return PNG bytes.

    An underlying with one of the two shows that one, and comes after those with both. At most
    sixteen are drawn; the subtitle says so where more were given. Raises `BadInput` when no
    volatility is finite.
    """
    known = [row for row in rows if np.isfinite([row.implied, row.realised]).any()]
    if not known:
        raise BadInput("rows", len(rows), "no finite volatility")
    ordered = sorted(known, key=_richest_first)
    shown = ordered[:LARGEST]
    if len(ordered) > LARGEST:
        subtitle = ", ".join(filter(None, [f"richest {LARGEST} of {len(ordered)}", subtitle]))
    figure, axes = style.new_figure(title, subtitle=subtitle)
    places = np.arange(len(shown))
    implied = np.array([row.implied for row in shown])
    realised = np.array([row.realised for row in shown])
    dear = implied >= realised
    for rich, colour in ((True, style.GREEN), (False, style.RED)):
        at = np.flatnonzero((dear == rich) & np.isfinite(implied - realised))
        axes.vlines(places[at], realised[at], implied[at], color=colour, linewidth=3, alpha=0.45)
    axes.plot(places, implied, color=style.BLUE, linestyle="", marker="o", label="implied, 30 days")
    axes.plot(
        places, realised, color=style.ORANGE, linestyle="", marker="o", markerfacecolor="white",
        markeredgewidth=1.5, label="realised, close to close",
    )  # fmt: skip
    axes.set_xticks(places, [row.underlying for row in shown])
    axes.tick_params(axis="x", labelsize=8.5 if len(shown) <= 10 else 7)
    axes.set_xlim(-0.6, max(len(shown), 4) - 0.4)
    axes.set_ylim(0, 1.25 * float(np.nanmax([*implied, *realised])))
    axes.grid(visible=False, axis="x")
    style.format_y(axes, style.percent)
    style.label_axes(axes, x="", y="volatility a year")
    style.show_legend(axes)
    return style.to_png(figure)


def _richest_first(row: ImpliedAndRealised) -> tuple[bool, float, str]:
    premium = row.implied - row.realised
    missing = not np.isfinite(premium)
    return missing, 0.0 if missing else -premium, row.underlying
