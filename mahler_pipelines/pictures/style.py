"""The look of every picture: one size, one palette, Figure objects without pyplot's state."""

import io
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, HEIGHT, DPI = 6.4, 3.6, 100
"""Inches and dots per inch: 640 x 360 pixels."""

PHONE_WIDTH, PHONE_HEIGHT, PHONE_DPI = 4.8, 3.9, 150
"""Inches and dots per inch: 720 x 585 pixels, whose letters a phone shows at their true size."""

INK = "#1f2933"
MUTED = "#7b8794"
GRID = "#e4e7eb"
BLUE = "#2b6cb0"
ORANGE = "#c05621"
GREEN = "#2f855a"
RED = "#c53030"

REASONS = (RED, ORANGE, "#805ad5", "#b7791f", "#0e7490", "#b83280", MUTED)
"""Colours of refusals, in the order in which reasons are named."""

PANELS_WIDTH, ROW_HEIGHT, PANELS_MARGIN = 9.6, 1.75, 1.15
"""Inches of a picture of several panels: its width, a row's height, what title and legend take."""

PANELS_COLOURS = 64
"""Colours of a picture of several panels: without a palette its text alone takes 100 KB."""

GAIN_FILL = "#c6e6d4"
LOSS_FILL = "#f3cfcf"


def new_figure(title: str, *, subtitle: str = "") -> tuple["Figure", "Axes"]:
    """Make one empty picture with its title; the subtitle stands right of it, smaller."""
    figure = _empty(WIDTH, HEIGHT)
    figure.subplots_adjust(left=0.15, right=0.975, top=0.88, bottom=0.15)
    axes = figure.add_subplot()
    axes.set_title(
        title, loc="left", fontsize=11, fontweight="bold", color=INK, pad=10, parse_math=False
    )
    if subtitle:
        axes.set_title(subtitle, loc="right", fontsize=8.5, color=MUTED, pad=10, parse_math=False)
    _plain(axes, labelsize=8.5)
    return figure, axes


def new_phone_figure(title: str, *, subtitle: str = "") -> tuple["Figure", "Axes"]:
    """Make one empty picture for a phone: title and subtitle above each other, large letters."""
    figure = _empty(PHONE_WIDTH, PHONE_HEIGHT, dpi=PHONE_DPI)
    figure.subplots_adjust(left=0.165, right=0.965, top=0.82, bottom=0.21)
    figure.text(0.03, 0.935, title, fontsize=12.5, fontweight="bold", color=INK, va="center",
                parse_math=False)  # fmt: skip
    figure.text(0.03, 0.868, subtitle, fontsize=9.5, color=MUTED, va="center", parse_math=False)
    axes = figure.add_subplot()
    _plain(axes, labelsize=9.5)
    return figure, axes


def show_legend_below(figure: "Figure", axes: "Axes") -> None:
    """Show the legend at the foot of a phone's picture, where it covers nothing."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="lower center", bbox_to_anchor=(0.5, 0.0), ncols=min(len(labels), 4),
        fontsize=9.5, frameon=False, labelcolor=INK, handlelength=1.6, handletextpad=0.4,
        columnspacing=1.2,
    )  # fmt: skip


def new_panels(
    titles: Sequence[str], *, title: str, subtitle: str
) -> tuple["Figure", list["Axes"]]:
    """Make one empty picture of several panels, each with its own title.

    Room is left for a title above, with the subtitle right of it, and for a legend below.
    """
    columns = 1 if len(titles) == 1 else 2 if len(titles) in (2, 4) else 3
    rows = math.ceil(len(titles) / columns)
    height = rows * ROW_HEIGHT * (1.4 if rows == 1 else 1.0) + PANELS_MARGIN
    figure = _empty(PANELS_WIDTH, height)
    figure.subplots_adjust(
        left=0.055, right=0.98, wspace=0.17,
        top=1 - 0.66 / height, bottom=0.72 / height, hspace=0.58,
    )  # fmt: skip
    high = 1 - 0.16 / height
    figure.text(0.012, high, title, fontsize=11, fontweight="bold", color=INK, va="center",
                parse_math=False)  # fmt: skip
    figure.text(0.99, high, subtitle, fontsize=8.5, color=MUTED, ha="right", va="center",
                parse_math=False)  # fmt: skip
    panels = [figure.add_subplot(rows, columns, place + 1) for place in range(len(titles))]
    for axes, name in zip(panels, titles, strict=True):
        axes.set_title(name, loc="left", fontsize=9, color=INK, pad=8, parse_math=False)
        _plain(axes, labelsize=7.5)
    return figure, panels


def show_shared_legend(figure: "Figure", panels: Sequence["Axes"]) -> None:
    """Show one legend below all panels, each label once."""
    handles: dict[str, Artist] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    figure.legend(
        list(handles.values()), list(handles), loc="lower left", bbox_to_anchor=(0.008, 0.0),
        ncols=6, fontsize=8, frameon=False, labelcolor=INK, handletextpad=0.3, columnspacing=1.4,
    )  # fmt: skip


def _empty(width: float, height: float, *, dpi: int = DPI) -> "Figure":
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=dpi, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _plain(axes: "Axes", *, labelsize: float) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(MUTED)
    axes.tick_params(colors=MUTED, labelsize=labelsize, length=3)
    axes.grid(visible=True, color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)


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


def to_png(figure: "Figure", *, colours: int | None = None) -> bytes:
    """Render to PNG bytes, with a palette of so many colours where one is asked for."""
    buffer = io.BytesIO()
    if colours is None:
        figure.savefig(buffer, format="png", dpi="figure")
        return buffer.getvalue()
    from PIL import Image

    figure.savefig(buffer, format="raw", dpi=DPI)
    width, height = (round(inches * DPI) for inches in figure.get_size_inches())
    drawn = Image.frombytes("RGBA", (width, height), buffer.getvalue()).convert("RGB")
    buffer = io.BytesIO()
    # By coverage, not by frequency: a single red cross must stay red.
    palette = drawn.quantize(colours, method=Image.Quantize.MAXCOVERAGE)
    palette.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()
