"""The term structure: at-the-money implied volatility by days to expiration."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mahler_pipelines.errors import BadInput
from mahler_pipelines.pictures import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

USED = "used for the constant maturity"
NOT_USED = "known, not used"
TOO_NEAR = "too near to speak"

KNOWN = {
    USED: (style.BLUE, style.BLUE),
    NOT_USED: (style.BLUE, "white"),
    TOO_NEAR: (style.MUTED, "white"),
}
"""Kinds of expirations that have a volatility: colours of a marker's edge and face."""


@dataclass(frozen=True, slots=True, eq=False)
class TermPanel:
    """One underlying: every expiration, shapes (n,), and what was made of them.

    `kinds` are `USED`, `NOT_USED` or `TOO_NEAR` where there is a volatility, else the reason why
    there is none. `target` is the constant maturity's days and volatility, NaN without one.
    """

    title: str
    days: ArrayLike
    implied_volatilities: ArrayLike
    kinds: Sequence[str]
    target: tuple[float, float]


def term_structures(panels: Sequence[TermPanel], *, title: str, subtitle: str = "") -> bytes:
    """Draw one panel per underlying; return PNG bytes.

    Used expirations are filled, others hollow, those without a volatility crosses at the foot,
    coloured by reason; a diamond stands at the constant maturity. Expirations that are too near do
    not stretch a panel: one beyond it is a tick at the edge. The legend counts over all panels.
    Raises `BadInput` without panels, or when no expiration has a volatility.
    """
    if not any(_known(panel).any() for panel in panels):
        raise BadInput("panels", len(panels), "no finite point")
    figure, drawn = style.new_panels(
        [panel.title for panel in panels], title=title, subtitle=subtitle
    )
    labels = _labels(panels)
    reasons = [kind for kind in labels if kind not in KNOWN]
    for axes, panel in zip(drawn, panels, strict=True):
        axes.set_ylim(*_reach(panel))
        axes.set_xlim(0, 1.04 * max(float(np.max(panel.days, initial=0.0)), panel.target[0]))
        _draw_known(axes, panel, labels)
        for place, reason in enumerate(reasons):
            colour = style.REASONS[place % len(style.REASONS)]
            _draw_unknown(axes, panel, reason, colour=colour, label=labels[reason])
        style.format_y(axes, style.percent)
    style.show_shared_legend(figure, drawn)
    return style.to_png(figure, colours=style.PANELS_COLOURS)


def _known(panel: TermPanel) -> NDArray[np.bool_]:
    return np.isfinite(_floats(panel.implied_volatilities))


def _labels(panels: Sequence[TermPanel]) -> dict[str, str]:
    """What the legend says of each kind of expiration, with how many there are."""
    counts = Counter(kind for panel in panels for kind in panel.kinds)
    return {kind: f"{kind.replace('_', ' ')} ({count})" for kind, count in sorted(counts.items())}


def _reach(panel: TermPanel) -> tuple[float, float]:
    """Lowest and highest volatility of a panel; what is too near counts where nothing else is."""
    near = np.asarray(panel.kinds, dtype="str") == TOO_NEAR
    level = _floats(panel.implied_volatilities)
    spoken = level[_known(panel) & ~near] if (_known(panel) & ~near).any() else level[_known(panel)]
    if not spoken.size:
        return 0.0, 1.0
    room = max(float(np.ptp(spoken)) * 0.25, float(spoken.max()) * 0.05)
    return max(float(spoken.min()) - room, 0.0), float(spoken.max()) + room


def _draw_known(axes: "Axes", panel: TermPanel, labels: dict[str, str]) -> None:
    known = _known(panel)
    kinds = np.asarray(panel.kinds, dtype="str")[known]
    days, level = _floats(panel.days)[known], _floats(panel.implied_volatilities)[known]
    order = np.argsort(days)
    axes.plot(days[order], level[order], color=style.BLUE, linewidth=1.0, alpha=0.5)
    low, high = axes.get_ylim()
    shown, beyond = np.clip(level, low, high), (level < low) | (level > high)
    for kind, (edge, face) in KNOWN.items():
        for at, marker in (((kinds == kind) & ~beyond, "o"), ((kinds == kind) & beyond, "|")):
            if at.any():
                axes.plot(
                    days[at], shown[at], color=edge, markerfacecolor=face, linestyle="",
                    marker=marker, markersize=5, label=labels[kind], clip_on=False,
                )  # fmt: skip
    maturity, volatility = panel.target
    if np.isfinite(volatility):
        axes.plot(
            [maturity], [volatility], color=style.ORANGE, linestyle="", marker="D", markersize=8,
            markerfacecolor="none", markeredgewidth=1.6, label=f"at {maturity:.0f} days", zorder=5,
        )  # fmt: skip


def _draw_unknown(axes: "Axes", panel: TermPanel, reason: str, *, colour: str, label: str) -> None:
    days = _floats(panel.days)[np.asarray(panel.kinds, dtype="str") == reason]
    if days.size:
        axes.plot(
            days, np.full(days.size, axes.get_ylim()[0]), linestyle="", marker="x", markersize=5,
            color=colour, label=label, clip_on=False,
        )  # fmt: skip


def _floats(values: ArrayLike) -> NDArray[np.float64]:
    return np.asarray(values, dtype=np.float64)
