"""Pictures: PNG of the stated size, small, and not blank."""

import io
import math
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest
from PIL import Image

from mahler_pipelines.errors import BadInput
from mahler_pipelines.pictures.equity_curve import equity_curve
from mahler_pipelines.pictures.payoff import Band, PayoffCurve, payoff
from mahler_pipelines.pictures.premium import ImpliedAndRealised, volatility_premium
from mahler_pipelines.pictures.ranks import ranks
from mahler_pipelines.pictures.smile import Quotes, SmilePanel, smiles
from mahler_pipelines.pictures.term_structure import (
    NOT_USED,
    TOO_NEAR,
    USED,
    TermPanel,
    term_structures,
)

STRIKES = np.arange(380.0, 461.0, 5.0)
LEVELS = 0.18 + 0.4 * np.log(425 / STRIKES)
PRICES = np.linspace(380, 450, 141)
SESSIONS = [date(2026, 1, 5) + timedelta(days=day) for day in range(40)]


def draw_smile(level: float = 0.0, panels: int = 1) -> bytes:
    gaps = np.where(STRIKES < 400, np.nan, LEVELS + level)
    refused = {
        "quote_zero_bid": Quotes(STRIKES, gaps + 0.05),
        "below_intrinsic": Quotes(STRIKES[:3], [math.nan] * 3),
    }
    panel = SmilePanel("20 Feb 2026", Quotes(STRIKES, LEVELS + level), 425.12, refused)
    return smiles([panel] * panels, title="SPY", subtitle="mid quotes")


def draw_term_structure(panels: int = 1) -> bytes:
    panel = TermPanel(
        title="SPY",
        days=[2, 9, 44, 16],
        implied_volatilities=[0.9, 0.14, 0.17, math.nan],
        kinds=[TOO_NEAR, USED, NOT_USED, "not_bracketed"],
        target=(30.0, 0.16),
    )
    return term_structures([panel] * panels, title="Term structures")


def draw_premium() -> bytes:
    rows = [ImpliedAndRealised("SPX", 0.18, 0.14), ImpliedAndRealised("VXX", math.nan, 0.7)]
    return volatility_premium([*rows, ImpliedAndRealised("SPY", 0.2, 0.25)])


def draw_payoff() -> bytes:
    profit = (np.maximum(400 - PRICES, 0) - np.maximum(405 - PRICES, 0) + 1.12) * 300
    density = np.exp(-(((PRICES - 425) / 20) ** 2))
    curve = PayoffCurve(PRICES, profit, today_usd=profit / 2, density=density)
    return payoff("SPY", curve, spot=425.12, breakevens=[403.88], probability_of_profit=0.8)


def draw_equity_curve() -> bytes:
    return equity_curve(SESSIONS, 100_000 + 500 * np.sin(np.arange(40)))


def draw_ranks() -> bytes:
    return ranks({"SPX": 42.0, "VXX": 12.0, "BABA": math.nan}, threshold=30)


PHONE = (720, 585)
"""What goes into a card: nearly square, with letters for a phone."""


@pytest.mark.parametrize("draw", [draw_payoff, draw_equity_curve])
def test_what_cards_show_is_drawn_for_a_phone(draw: Callable[[], bytes]) -> None:
    with Image.open(io.BytesIO(draw())) as picture:
        assert picture.size == PHONE


def test_the_cone_is_drawn_where_it_is_known() -> None:
    """Its bands are further ink at the foot of the picture."""
    curve = PayoffCurve(PRICES, PRICES - 425)
    cone = (Band(0.68, 410.0, 440.0), Band(0.95, 395.0, 460.0))
    plain, coned = (payoff("x", one, spot=425.0) for one in (curve, replace(curve, cone=cone)))
    assert plain != coned
    with Image.open(io.BytesIO(coned)) as picture:
        foot = np.asarray(picture.convert("L"), dtype=np.float64)[395:455, 130:690]
    assert (foot < 240).mean() > 0.1


DRAWINGS: list[Callable[[], bytes]] = [
    draw_payoff,
    draw_premium,
    draw_equity_curve,
    draw_ranks,
    lambda: equity_curve(SESSIONS[:1], [100_000]),
    lambda: ranks({f"U{number}": float(number) for number in range(40)}),
    lambda: payoff("flat", PayoffCurve([1, 2], [0, 0]), spot=1.5),
]


PANELS: list[Callable[[int], bytes]] = [
    lambda panels: draw_smile(panels=panels),
    draw_term_structure,
]


@pytest.mark.parametrize("draw", PANELS)
@pytest.mark.parametrize(("panels", "height"), [(1, 360), (2, 360), (6, 465), (9, 640)])
def test_panels_stand_in_rows_and_stay_small(
    draw: Callable[[int], bytes], panels: int, height: int
) -> None:
    png = draw(panels)
    assert len(png) < 60_000
    with Image.open(io.BytesIO(png)) as picture:
        assert picture.size == (960, height)
        pixels = np.asarray(picture.convert("L"), dtype=np.float64)
    assert (pixels < 200).mean() > 0.005


def test_refused_quotes_keep_their_colour() -> None:
    """A palette by frequency made one red cross grey."""
    one = Quotes([390.0], [0.2])
    panel = SmilePanel("", Quotes(STRIKES, LEVELS), math.nan, {"quote_crossed": one})
    with Image.open(io.BytesIO(smiles([panel], title=""))) as picture:
        red, green, blue = np.moveaxis(np.asarray(picture.convert("RGB"), dtype=int), -1, 0)
    assert ((red > 150) & (green < 90) & (blue < 90)).sum() > 5


@pytest.mark.parametrize("draw", DRAWINGS)
def test_picture_is_a_small_png_with_something_on_it(draw: Callable[[], bytes]) -> None:
    png = draw()
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    assert len(png) < 100_000
    with Image.open(io.BytesIO(png)) as picture:
        assert picture.size in ((640, 360), PHONE)
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
        lambda: smiles([], title="SPY"),
        lambda: smiles([SmilePanel("", Quotes([1], [math.nan]), 1.0)], title="SPY"),
        lambda: term_structures([TermPanel("", [1], [math.nan], ["x"], (30, 0.2))], title="SPY"),
        lambda: volatility_premium([ImpliedAndRealised("SPY", math.nan, math.nan)]),
        lambda: payoff("x", PayoffCurve([1, 2], [0]), spot=1),
        lambda: equity_curve([], []),
        lambda: ranks({}),
    ],
)
def test_nothing_to_draw_is_an_error(draw: Callable[[], bytes]) -> None:
    with pytest.raises(BadInput):
        draw()


def test_importing_pictures_does_not_import_matplotlib() -> None:
    rooms = ("smile", "term_structure", "payoff", "equity_curve", "ranks", "markdown", "surface")
    imports = "; ".join(f"import mahler_pipelines.pictures.{room}" for room in rooms)
    code = f"import sys; {imports}; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
