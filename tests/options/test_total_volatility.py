"""The parts of the inversion: table of Mills ratios, first guess, bracketed solver, blocks."""

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import erfcx

from mahler_pipelines.options.black_scholes.black import mills_difference, normalised_price
from mahler_pipelines.options.black_scholes.bracketed import bracketed_total_volatility
from mahler_pipelines.options.black_scholes.guess_table import first_guess, guess_table
from mahler_pipelines.options.black_scholes.mills_table import (
    beyond_table,
    mills_table,
    table_difference,
    table_mills,
)
from mahler_pipelines.options.blocks import BLOCK_ROWS, flatten, in_blocks

Floats = NDArray[np.float64]


def test_mills_ratio_from_the_table_matches_scipy() -> None:
    z = np.random.default_rng(1).uniform(-15.5, 3.5, 200_000)
    expected = math.sqrt(0.5 * math.pi) * erfcx(-z * math.sqrt(0.5))
    found = table_mills(mills_table(), z, np.zeros_like(z))
    assert np.max(np.abs(found / expected - 1)) < 1e-14


def test_difference_from_the_table_keeps_its_digits_however_small() -> None:
    """A wrong digit of the difference is one of volatility, divided by 1 + h^2."""
    generator = np.random.default_rng(2)
    h = -generator.uniform(0.0, 12.0, 200_000)
    t = np.exp(generator.uniform(math.log(1e-4), math.log(0.045), 200_000))
    assert beyond_table(h, t) is None
    error = table_difference(mills_table(), h, t) / mills_difference(h, t) - 1
    assert np.max(np.abs(error) / (1 + h * h)) < 3e-14


def test_rows_off_the_table_are_told() -> None:
    h = np.array([-1.0, -20.0, -1.0, -1.0, -15.4, np.nan, -1.0])
    t = np.array([0.1, 0.1, 5.0, 1e-9, 0.2, 0.1, np.nan])
    beyond = beyond_table(h, t)
    assert beyond is not None
    assert beyond.tolist() == [False, True, True, True, True, True, True]


def test_first_guess_is_within_its_promise() -> None:
    generator = np.random.default_rng(3)
    total = np.exp(generator.uniform(math.log(1e-4), math.log(6.0), 200_000))
    x = -np.minimum(generator.uniform(0.0, 7.0, 200_000) * total, 15.0)
    beta = normalised_price(x, total)
    guess = first_guess(guess_table(), -x, beta * np.exp(-0.5 * x))
    assert np.max(np.abs(guess / total - 1)) < 1e-4


def test_bracketed_solver_needs_no_table() -> None:
    generator = np.random.default_rng(4)
    total = np.exp(generator.uniform(math.log(1e-4), math.log(8.0), 20_000))
    x = -generator.uniform(0.0, 20.0, 20_000) * np.minimum(total, 1.0)
    found = bracketed_total_volatility(x, normalised_price(x, total))
    assert np.max(np.abs(found / total - 1)) < 1e-11


@pytest.mark.parametrize("threads", [None, 1, 2, 5])
@pytest.mark.parametrize("rows", [0, 1, BLOCK_ROWS, 5 * BLOCK_ROWS + 3])
def test_every_row_is_worked_on_once(rows: int, threads: int | None) -> None:
    def add(columns: tuple[Floats, ...], filled: tuple[NDArray[Any], ...]) -> None:
        filled[0][:] += columns[0] + columns[1]

    columns, shape = flatten(np.arange(float(rows)), 0.5)
    total = np.zeros(rows)
    in_blocks(add, columns, (total,), threads=threads)
    assert shape == (rows,)
    assert np.array_equal(total, np.arange(rows) + 0.5)


def test_failure_in_a_block_reaches_the_caller() -> None:
    def fail(columns: tuple[Floats, ...], filled: tuple[NDArray[Any], ...]) -> None:
        raise ZeroDivisionError(columns[0].size, filled[0].size)

    column = np.zeros(3 * BLOCK_ROWS)
    for threads in (1, 2):
        with pytest.raises(ZeroDivisionError):
            in_blocks(fail, (column,), (column,), threads=threads)


def test_flattened_columns_follow_the_broadcast_shape() -> None:
    columns, shape = flatten([[1.0], [2.0]], [10.0, 20.0, 30.0], 5.0)
    assert shape == (2, 3)
    assert columns[0].tolist() == [1, 1, 1, 2, 2, 2]
    assert columns[1].tolist() == [10, 20, 30, 10, 20, 30]
    assert columns[2].tolist() == [5.0]
