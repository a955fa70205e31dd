"""Array arithmetic in blocks that stay in a core's second-level cache, on one or two threads.

Between a contract's price and its greeks lie some two hundred passes of numpy. Over a million rows
at once every pass waits for memory; over a block of these many none does. A row's answer depends on
that row only: neither its neighbours nor the threads change a digit.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mahler_pipelines.errors import BadInput

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Columns = tuple[Floats, ...]
Kernel = Callable[[Columns, tuple[NDArray[Any], ...]], None]
"""Reads its inputs' rows and fills its outputs'; an input of one element holds for every row."""

BLOCK_ROWS: Final = 16_384
_ROWS_WORTH_A_THREAD: Final = 4 * BLOCK_ROWS
_MOST_THREADS: Final = 2


def flatten(*values: ArrayLike) -> tuple[Columns, tuple[int, ...]]:
    """Return the values as float64 columns, and the shape that they broadcast to.

    A value of one element stays one element, so that a common rate is never copied a million times.
    """
    arrays = [np.asarray(value, dtype=np.float64) for value in values]
    shape = np.broadcast_shapes(*(array.shape for array in arrays))
    return tuple(_column(array, shape) for array in arrays), shape


def _column(array: Floats, shape: tuple[int, ...]) -> Floats:
    return array.reshape(1) if array.size == 1 else np.broadcast_to(array, shape).reshape(-1)


def in_blocks(
    kernel: Kernel,
    inputs: Columns,
    outputs: tuple[NDArray[Any], ...],
    *,
    threads: int | None,
) -> None:
    """Run the kernel over all rows of the outputs (columns of one length).

    `threads` of None takes two where there are two cores and rows enough to pay for them. Raises
    `BadInput` for fewer than one thread, and whatever the kernel raises.
    """
    rows = outputs[0].size
    starts = range(0, rows, BLOCK_ROWS)
    workers = _workers(rows, threads)

    def work(first: int) -> None:
        for start in starts[first::workers]:
            block = slice(start, start + BLOCK_ROWS)
            kernel(
                tuple(column if column.size == 1 else column[block] for column in inputs),
                tuple(column[block] for column in outputs),
            )

    if workers == 1:
        work(0)
        return
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(work, range(workers)))


def _workers(rows: int, threads: int | None) -> int:
    if threads is not None:
        if threads < 1:
            raise BadInput("threads", threads, "fewer than one")
        return threads
    # More than two wait for the interpreter's lock between passes more than they work.
    return max(1, min(_MOST_THREADS, _cores(), rows // _ROWS_WORTH_A_THREAD))


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not every system tells which cores a process may use
        return os.cpu_count() or 1


def chosen(rows: Flags, *columns: Floats) -> Columns:
    """Return the columns' elements where `rows` is true; a single element is repeated."""
    return tuple(np.broadcast_to(column, rows.shape)[rows] for column in columns)
