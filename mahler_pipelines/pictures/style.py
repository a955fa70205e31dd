"""The look of every picture: one size, one palette, Figure objects without pyplot's state."""

import io
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, HEIGHT, DPI = 6.4, 3.6, 100
"""Inches and dots per inch: 640 x 360 pixels."""

INK = "#1f2933"
MUTED = "#7b8794"
GRID = "#e4e7eb"
BLUE = "#2b6cb0"
ORANGE = "#c05621"
GREEN = "#2f855a"
RED = "#c53030"

GAIN_FILL = "#c6e6d4"
LOSS_FILL = "#f3cfcf"


def new_figure(title: str, *, subtitle: str = "") -> tuple["Figure", "Axes"]:
    """Make one empty picture with its title; the subtitle stands right of it, smaller."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, HEIGHT), dpi=DPI, facecolor="white")
    figure.subplots_adjust(left=0.15, right=0.975, top=0.88, bottom=0.15)
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_title(
        title, loc="left", fontsize=11, fontweight="bold", color=INK, pad=10, parse_math=False
    )
    if subtitle:
        axes.set_title(subtitle, loc="right", fontsize=8.5, color=MUTED, pad=10, parse_math=False)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(MUTED)
    axes.tick_params(colors=MUTED, labelsize=8.5, length=3)
    axes.grid(visible=True, color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    return figure, axes


def label_axes(axes: "Axes", *, x: str, y: str) -> None:
    """Name both axes."""
    axes.set_xlabel(x, fontsize=9, color=INK)
    axes.set_ylabel(y, fontsize=9, color=INK)


def show_legend(axes: "Axes") -> None:
    """Show the legend when there is more than one thing to tell apart."""
    handles, _ = axes.get_legend_handles_labels()
    if len(handles) > 1:
        axes.legend(
            loc="best", fontsize=8, frameon=True, framealpha=0.85, edgecolor="none", labelcolor=INK
        )


def format_x(axes: "Axes", form: Callable[[float], str]) -> None:
    """Write the x ticks in this form."""
    axes.xaxis.set_major_formatter(lambda value, _: form(value))


def format_y(axes: "Axes", form: Callable[[float], str]) -> None:
    """Write the y ticks in this form."""
    axes.yaxis.set_major_formatter(lambda value, _: form(value))


def percent(value: float) -> str:
    """Write a share as a percentage, with as many decimals as it needs up to two."""
    return f"{round(value * 100, 2):g}%"


def usd(value: float) -> str:
    """Write dollars without cents, with the sign before the mark."""
    sign = "-" if value < 0 else ""
    return f"{sign}${abs(value):,.0f}"


def to_png(figure: "Figure") -> bytes:
    """Render to PNG bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI)
    return buffer.getvalue()
