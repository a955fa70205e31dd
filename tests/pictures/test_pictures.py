"""Pictures: PNG of the stated size, small, and not blank."""

import io
import math
import subprocess
import sys
from collections.abc import Callable
from datetime import date, timedelta

import numpy as np
import pytest
from PIL import Image

from mahler_pipelines.errors import BadInput
from mahler_pipelines.pictures.equity_curve import equity_curve
from mahler_pipelines.pictures.payoff import PayoffCurve, payoff
from mahler_pipelines.pictures.ranks import ranks
from mahler_pipelines.pictures.smile import SmileLine, smile
from mahler_pipelines.pictures.term_structure import term_structure

STRIKES = np.arange(380.0, 461.0, 5.0)
LEVELS = 0.18 + 0.4 * np.log(425 / STRIKES)
PRICES = np.linspace(380, 450, 141)
SESSIONS = [date(2026, 1, 5) + timedelta(days=day) for day in range(40)]


def draw_smile(level: float = 0.0) -> bytes:
    gaps = np.where(STRIKES < 400, np.nan, LEVELS + level)
    lines = [
        SmileLine(date(2026, 2, 20), STRIKES, LEVELS + level),
        SmileLine(date(2026, 3, 20), STRIKES, gaps),
    ]
    return smile("SPY", lines, spot=425.12, marked_strikes=[405, 400])


def draw_term_structure() -> bytes:
    return term_structure("SPY", [9, 44, 16], [0.14, 0.17, math.nan], realised_volatility=0.12)


def draw_payoff() -> bytes:
    profit = (np.maximum(400 - PRICES, 0) - np.maximum(405 - PRICES, 0) + 1.12) * 300
    density = np.exp(-(((PRICES - 425) / 20) ** 2))
    curve = PayoffCurve(PRICES, profit, today_usd=profit / 2, density=density)
    return payoff("SPY", curve, spot=425.12, breakevens=[403.88], probability_of_profit=0.8)


def draw_equity_curve() -> bytes:
    return equity_curve(SESSIONS, 100_000 + 500 * np.sin(np.arange(40)))


def draw_ranks() -> bytes:
    return ranks({"SPX": 42.0, "VXX": 12.0, "BABA": math.nan}, threshold=30)


DRAWINGS: list[Callable[[], bytes]] = [
    draw_smile,
    draw_term_structure,
    draw_payoff,
    draw_equity_curve,
    draw_ranks,
    lambda: equity_curve(SESSIONS[:1], [100_000]),
    lambda: ranks({f"U{number}": float(number) for number in range(40)}),
    lambda: payoff("flat", PayoffCurve([1, 2], [0, 0]), spot=1.5),
]


@pytest.mark.parametrize("draw", DRAWINGS)
def test_picture_is_a_small_png_with_something_on_it(draw: Callable[[], bytes]) -> None:
    png = draw()
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    assert len(png) < 100_000
    with Image.open(io.BytesIO(png)) as picture:
        assert picture.size == (640, 360)
        pixels = np.asarray(picture.convert("L"), dtype=np.float64)
    assert pixels.std() > 5
    assert (pixels < 200).mean() > 0.005


def test_other_values_give_another_picture_and_the_same_ones_the_same() -> None:
    assert draw_smile() == draw_smile()
    assert draw_smile() != draw_smile(level=0.05)


def test_dollar_signs_are_not_read_as_mathematics() -> None:
    """Two dollar signs in a title would otherwise set what is between them as a formula."""
    curve = PayoffCurve([1, 2], [0, 1])
    assert payoff("a $1 and $2 spread", curve, spot=1) != payoff("a 1 and 2 spread", curve, spot=1)


@pytest.mark.parametrize(
    "draw",
    [
        lambda: smile("SPY", [], spot=1),
        lambda: smile("SPY", [SmileLine(SESSIONS[0], [1], [math.nan])], spot=1),
        lambda: term_structure("SPY", [1], [math.nan]),
        lambda: payoff("x", PayoffCurve([1, 2], [0]), spot=1),
        lambda: equity_curve([], []),
        lambda: ranks({}),
    ],
)
def test_nothing_to_draw_is_an_error(draw: Callable[[], bytes]) -> None:
    with pytest.raises(BadInput):
        draw()


def test_importing_pictures_does_not_import_matplotlib() -> None:
    rooms = ("smile", "term_structure", "payoff", "equity_curve", "ranks", "markdown")
    imports = "; ".join(f"import mahler_pipelines.pictures.{room}" for room in rooms)
    code = f"import sys; {imports}; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
