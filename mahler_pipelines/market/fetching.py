"""Fetching for many underlyings at once: the market answers while the last answer is read."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

Answer = TypeVar("Answer")

WORKERS = 4
"""Enough to hide the network, few enough for a broker's rate limit."""


@cache
def _pool() -> ThreadPoolExecutor:
    """The threads stay, and with them their connections."""
    return ThreadPoolExecutor(WORKERS, thread_name_prefix="market")


def fetch_each(fetch: Callable[[str], Answer], underlyings: Sequence[str]) -> list[Answer]:
    """Call `fetch` for every underlying, a few at once; answers in the order of the question.

    The first error is raised once the calls that had begun have ended.
    """
    if len(underlyings) < 2:
        return [fetch(name) for name in underlyings]
    return list(_pool().map(fetch, underlyings))
