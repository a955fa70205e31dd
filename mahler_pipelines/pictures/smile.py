"""The volatility smile: implied volatility by strike, quotes that were used and refused ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mahler_pipelines.errors import BadInput
from mahler_pipelines.pictures import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HEADROOM = 0.5
"""How far beyond the used volatilities a panel reaches, as a share of their range."""


@dataclass(frozen=True, slots=True, eq=False)
class Quotes:
    """Strikes and implied volatilities of quotes; shapes (n,), NaN where there is no volatility."""

    strikes: ArrayLike
    implied_volatilities: ArrayLike


@dataclass(frozen=True, slots=True, eq=False)
class SmilePanel:
    """One expiration: what was used, and what was refused by reason. `forward` may be NaN."""

    title: str
    used: Quotes
    forward: float
    refused: Mapping[str, Quotes] = field(default_factory=dict)


def smiles(panels: Sequence[SmilePanel], *, title: str, subtitle: str = "") -> bytes:
    """Draw one panel per expiration; return PNG bytes.

    A used quote is a filled dot. A refused one is a cross at its own strike and volatility,
    coloured by reason; without a volatility, or with one beyond the panel, it is a tick at the
    edge. The legend counts over all panels. Raises `BadInput` without panels, or when no quote
    has a volatility.
    """
    levels = [np.asarray(quotes.implied_volatilities) for one in panels for quotes in _all(one)]
    if not any(np.isfinite(level).any() for level in levels):
        raise BadInput("panels", len(panels), "no finite implied volatility")
    figure, drawn = style.new_panels(
        [panel.title for panel in panels], title=title, subtitle=subtitle
    )
    used = sum(np.size(panel.used.strikes) for panel in panels)
    counts = _refused_counts(panels)
    for axes, panel in zip(drawn, panels, strict=True):
        low, high = _reach(panel)
        axes.set_ylim(low, high)
        _draw_used(axes, panel.used, label=f"used ({used:,})")
        for colour, (reason, count) in zip(_colours(len(counts)), counts.items(), strict=True):
            if reason in panel.refused:
                label = f"{reason.replace('_', ' ')} ({count:,})"
                _draw_refused(axes, panel.refused[reason], colour=colour, label=label)
        if np.isfinite(panel.forward):
            axes.axvline(
                panel.forward, color=style.INK, linewidth=0.8, linestyle="--", label="forward"
            )
        style.format_y(axes, style.percent)
        style.format_x(axes, lambda value: f"{value:,.6g}")
    style.show_shared_legend(figure, drawn)
    return style.to_png(figure, colours=style.PANELS_COLOURS)


def _all(panel: SmilePanel) -> list[Quotes]:
    return [panel.used, *panel.refused.values()]


def _refused_counts(panels: Sequence[SmilePanel]) -> dict[str, int]:
    """Refused quotes by reason over all panels, the most frequent first."""
    counts: dict[str, int] = {}
    for panel in panels:
        for reason, quotes in panel.refused.items():
            counts[reason] = counts.get(reason, 0) + int(np.size(quotes.strikes))
    return dict(sorted(counts.items(), key=lambda row: (-row[1], row[0])))


def _colours(count: int) -> list[str]:
    return [style.REASONS[place % len(style.REASONS)] for place in range(count)]


def _reach(panel: SmilePanel) -> tuple[float, float]:
    """Lowest and highest volatility of a panel: around what was used, else around all of it."""
    for several in ([panel.used], _all(panel)):
        level = np.concatenate([_floats(one.implied_volatilities) for one in several])
        level = level[np.isfinite(level)]
        if level.size:
            room = max(HEADROOM * float(np.ptp(level)), 0.05 * float(level.max()))
            return max(float(level.min()) - room, 0.0), float(level.max()) + room
    return 0.0, 1.0


def _draw_used(axes: "Axes", used: Quotes, *, label: str) -> None:
    strikes, level = _floats(used.strikes), _floats(used.implied_volatilities)
    order = np.argsort(strikes)
    axes.plot(
        strikes[order], level[order], color=style.BLUE, linewidth=1.0, marker="o", markersize=2.4,
        label=label,
    )  # fmt: skip


def _draw_refused(axes: "Axes", refused: Quotes, *, colour: str, label: str) -> None:
    strikes, level = _floats(refused.strikes), _floats(refused.implied_volatilities)
    low, high = axes.get_ylim()
    inside = (level >= low) & (level <= high)
    edge = np.where(level > high, high, low)
    axes.plot(
        strikes[inside], level[inside], color=colour, linestyle="", marker="x", markersize=4.2,
        markeredgewidth=1.0, label=label,
    )  # fmt: skip
    axes.plot(
        strikes[~inside], edge[~inside], color=colour, linestyle="", marker="|", markersize=7,
        markeredgewidth=1.0, clip_on=False,
    )  # fmt: skip


def _floats(values: ArrayLike) -> NDArray[np.float64]:
    return np.asarray(values, dtype=np.float64)
