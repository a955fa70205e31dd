"""Pairing: what covers a short option, and what does not."""

from datetime import date
from decimal import Decimal

import pytest

from mahler_pipelines.execution.pairing import unpaired_shorts
from mahler_pipelines.options.contracts import OptionContract, Right

NEAR, FAR = date(2026, 2, 20), date(2026, 3, 20)


def option(strike: int, right: Right = Right.PUT, day: date = NEAR, of: str = "SPY") -> str:
    return OptionContract(of, day, right, Decimal(strike)).symbol


CASES = [
    ("a vertical is paired", {option(580): -3, option(575): 3}, {}),
    ("a wing too few", {option(580): -3, option(575): 2}, {option(580): 1}),
    (
        "the other right covers nothing",
        {option(580): -1, option(620, Right.CALL): 1},
        {option(580): 1},
    ),
    ("another underlying neither", {option(580): -1, option(575, of="QQQ"): 1}, {option(580): 1}),
    (
        "a long that ends earlier neither",
        {option(580, day=FAR): -1, option(575): 1},
        {option(580, day=FAR): 1},
    ),
    ("a calendar is paired", {option(580): -2, option(580, day=FAR): 2}, {}),
    (
        "the far long is left to the far short",
        {option(580): -1, option(570, day=FAR): -1, option(575): 1, option(565, day=FAR): 1},
        {},
    ),
    (
        "a hundred shares cover a call",
        {option(620, Right.CALL): -2, "SPY": 150},
        {option(620, Right.CALL): 1},
    ),
    ("shares do not cover a put", {option(580): -1, "SPY": 100}, {option(580): 1}),
    ("short shares do", {option(580): -1, "SPY": -100}, {}),
    (
        "shares cover once",
        {option(620, Right.CALL): -1, option(630, Right.CALL): -1, "SPY": 100},
        {option(620, Right.CALL): 1},
    ),
]


@pytest.mark.parametrize(("held", "bare"), [case[1:] for case in CASES], ids=[c[0] for c in CASES])
def test_what_is_bare(held: dict[str, int], bare: dict[str, int]) -> None:
    assert unpaired_shorts(held) == bare
