"""The screen against a plain pandas peer that cross-merges every pair, on the same chains.

Run: python -m benchmarks.screening

The peer does what a first version would do: give every leg its first failing gate, merge each
expiration's legs with themselves, and ask every pair. Both must find the same pairs and the same
counts per code before a time is printed.
"""

import time
from collections.abc import Callable
from datetime import date, timedelta

import numpy as np
import pandas as pd

from mahler_pipelines.strategies.limits import ScreenLimits
from mahler_pipelines.strategies.screening import Screen, screen
from tests.strategies.chains import AS_OF, model_chain, underlyings

STRATEGIES = ("bull_put_spread", "bear_call_spread")
GROUP = ["underlying", "root", "expiration", "right"]
REPEATS = 5


def peer(quotes: pd.DataFrame) -> tuple[set[tuple[str, str]], dict[str, int]]:
    """Return kept pairs and refused pairs by code, by merging every leg with every other.

    The default limits stand in it as numbers, as they would in a script.
    """
    legs = quotes[[*GROUP, "symbol", "strike", "bid", "ask", "mid", "delta"]].copy()
    dte = (quotes["expiration"] - pd.Timestamp(AS_OF.date())).dt.days
    spread = (quotes["ask"] - quotes["bid"]) / quotes["mid"]
    legs["code"] = first_of(
        (~dte.between(25, 45), "dte_out_of_range"),
        (quotes["quote_defect"] != "", quotes["quote_defect"]),
        (~(quotes["open_interest"] > 100), "open_interest_too_low"),
        (~(quotes["volume"] > 50), "option_volume_too_low"),
        (~(spread.round(9) < 0.10), "option_spread_too_wide"),
        (quotes["delta"].isna(), "delta_not_available"),
    )
    pairs = legs.merge(legs, on=GROUP, suffixes=("_short", "_long"))
    pairs = pairs[(pairs["strike_long"] - pairs["strike_short"]) * pairs["right"] > 0]
    width = (pairs["strike_short"] - pairs["strike_long"]).abs().round(9)
    natural = (pairs["bid_short"] - pairs["ask_long"]).round(9)
    credit = (pairs["mid_short"] - pairs["mid_long"]).round(9)
    code = first_of(
        (pairs["code_short"] != "", pairs["code_short"]),
        (~pairs["delta_short"].abs().between(0.20, 0.30), "short_delta_out_of_range"),
        (pairs["code_long"] != "", pairs["code_long"]),
        (~width.between(5, 10), "width_out_of_range"),
        (~(natural > 0), "natural_credit_not_positive"),
        (~(credit >= 0.30), "credit_too_low"),
        (~(credit < width), "credit_exceeds_width"),
    )
    kept = pairs[code == ""]
    refused = {str(name): int(count) for name, count in code[code != ""].value_counts().items()}
    return set(zip(kept["symbol_short"], kept["symbol_long"], strict=True)), refused


def first_of(*gates: tuple["pd.Series[bool]", "pd.Series[str] | str"]) -> "pd.Series[str]":
    """Return the code of the first gate that each row fails, empty where it fails none."""
    index = gates[0][0].index
    code = pd.Series("", index=index, dtype="str")
    for failing, name in reversed(gates):
        code = code.mask(failing, name)
    return code


def ours(quotes: pd.DataFrame, table: pd.DataFrame, limits: ScreenLimits) -> Screen:
    """Screen with our own code."""
    return screen(
        quotes,
        table,
        as_of=AS_OF,
        limits=limits,
        strategies=STRATEGIES,
        use_previous_volume=False,
    )


def median_seconds(work: Callable[[], object]) -> float:
    """Median wall time of a few runs, the first left out."""
    work()
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def compare(title: str, names: list[str], *, spot: float, strikes: int, expirations: int) -> None:
    """Time both on one set of chains and print the ratio."""
    days: list[date] = [AS_OF.date() + timedelta(days=4 + 7 * week) for week in range(expirations)]
    quotes = model_chain(names, spot=spot, strikes=strikes, expirations=days)
    table = underlyings(*names, price=spot)
    limits = ScreenLimits(underlying_price_max=None)
    found = ours(quotes, table, limits)
    kept, refused = peer(quotes)
    own = set(zip(found.candidates["short_symbol"], found.candidates["long_symbol"], strict=True))
    if own != kept or found.refused_by_code != refused:
        raise SystemExit(f"{title}: the screen and its peer disagree")
    mine = median_seconds(lambda: ours(quotes, table, limits))
    theirs = median_seconds(lambda: peer(quotes))
    print(
        f"{title}: {len(quotes):,} contracts, {found.considered:,} pairs, {found.kept:,} kept | "
        f"screen {mine * 1e3:.0f} ms, cross-merge {theirs * 1e3:.0f} ms, "
        f"ratio {theirs / mine:.1f}"
    )


def main() -> None:
    """Compare on a universe of twenty names and on one deep index chain."""
    universe = [f"U{chr(65 + number)}" for number in range(20)]
    compare("20 underlyings", universe, spot=100.0, strikes=50, expirations=6)
    compare("one deep chain", ["SPX"], spot=5_800.0, strikes=400, expirations=15)


if __name__ == "__main__":
    main()
