"""How long a chain of American options on a share with cash dividends takes, on one core.

2,000 contracts on 15 expirations up to two years: prices, greeks, implied volatilities, medians of
`--repeats` rounds of processor time. One core: numpy's elementwise work never takes more.
Run: python benchmarks/american_dividends.py [--repeats 5] [--dividends 4]
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from mahler_pipelines.options.american_terms import DividendModel
from mahler_pipelines.options.cash_dividends.exercise import price
from mahler_pipelines.options.cash_dividends.greeks import greeks
from mahler_pipelines.options.cash_dividends.implied import implied_volatility

DAYS = np.array([2, 9, 16, 23, 30, 37, 51, 65, 93, 121, 184, 275, 365, 548, 730])
CONTRACTS = 2_000


def main() -> None:
    """Time each function in each model and print a line for it."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--repeats", type=int, default=5)
    arguments.add_argument("--dividends", type=int, default=4, help="how many, every 91 days")
    chosen, _ = arguments.parse_known_args()
    dividends = [((36 + 91 * number) / 365, 0.6) for number in range(chosen.dividends)]
    terms, volatility = chain()
    print(f"{CONTRACTS:,} contracts, {DAYS.size} expirations, {chosen.dividends} dividends")
    for model in DividendModel:
        common = {**terms, "dividends": dividends, "model": model}
        paid = price(volatility=volatility, **common)
        rounds: dict[str, Callable[[], object]] = {
            "price": partial(price, volatility=volatility, **common),
            "greeks": partial(greeks, volatility=volatility, **common),
            "implied volatility": partial(implied_volatility, price=paid, **common),
        }
        for name, work in rounds.items():
            taken = statistics.median(timed(work) for _ in range(chosen.repeats))
            print(f"  {model.value:8s}  {name:18s} {taken:6.2f} s")
        found = implied_volatility(price=paid, **common)
        certain = price(volatility=np.zeros(CONTRACTS), **common)
        visible = paid - certain >= 0.01
        worst = np.max(np.abs(found - volatility)[visible])
        print(
            f"  {model.value:8s}  volatility comes back to {worst:.0e} ({visible.sum():,} options)"
        )


def chain() -> tuple[dict[str, Any], np.ndarray]:
    """Return the terms and the volatilities of calls and puts about a spot of 100."""
    years = np.repeat(DAYS / 365, -(-CONTRACTS // DAYS.size))[:CONTRACTS]
    place = np.resize(np.linspace(-1.0, 1.0, 67), CONTRACTS)
    strike = 100.0 * np.exp(place * np.minimum(0.5, 0.9 * np.sqrt(years) + 0.05))
    terms = {
        "right": np.where(np.arange(CONTRACTS) % 2, 1.0, -1.0),
        "spot": 100.0,
        "strike": strike,
        "years": years,
        "rate": 0.04,
        "dividend_yield": 0.0,
    }
    return terms, 0.3 + 0.1 * np.square(strike / 100.0 - 1.0)


def timed(work: Callable[[], object]) -> float:
    """Return the processor time of one round, in seconds."""
    start = time.process_time()
    work()
    return time.process_time() - start


if __name__ == "__main__":
    main()
