"""Implied volatility and greeks: Mahler's arrays against a scalar root finder per contract.

The peer is scipy's Brent on a scalar Black-Scholes price, as a script would write it; it runs on a
sample and is scaled up. Run: python -m benchmarks.implied_volatility [--contracts N]
"""

import argparse
import math
import statistics
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from mahler_pipelines.options import european

Market = dict[str, NDArray[np.float64]]


def market(contracts: int, *, seed: int) -> tuple[Market, NDArray[np.float64]]:
    """Return terms and true volatilities of random contracts whose time value can be seen."""
    generator = np.random.default_rng(seed)
    years = np.exp(generator.uniform(math.log(1 / 365), math.log(2.0), contracts))
    volatility = generator.uniform(0.08, 1.2, contracts)
    distance = generator.uniform(-3.0, 3.0, contracts) * volatility * np.sqrt(years)
    spot = generator.uniform(20.0, 600.0, contracts)
    terms = {
        "right": np.where(distance > 0, 1.0, -1.0),
        "spot": spot,
        "strike": spot * np.exp(distance),
        "years": years,
        "rate": np.full(contracts, 0.04),
        "dividend_yield": generator.uniform(0.0, 0.03, contracts),
    }
    return terms, volatility


def scalar_price(
    right: float, spot: float, strike: float, years: float, rate: float, q: float, sigma: float
) -> float:
    """Return the textbook price of one contract with math.erf."""
    total = sigma * math.sqrt(years)
    d1 = (math.log(spot / strike) + (rate - q) * years) / total + 0.5 * total

    def below(z: float) -> float:
        return 0.5 * math.erfc(-z / math.sqrt(2.0))

    shares = spot * math.exp(-q * years) * below(right * d1)
    return right * (shares - strike * math.exp(-rate * years) * below(right * (d1 - total)))


def scalar_implied(terms: Market, prices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Invert one contract after another with Brent."""
    columns = [values.tolist() for values in terms.values()]
    return np.array(
        [
            brentq(_miss, 1e-4, 10.0, args=(paid, *row), xtol=1e-12)
            for paid, *row in zip(prices.tolist(), *columns, strict=True)
        ]
    )


def _miss(
    sigma: float,
    paid: float,
    right: float,
    spot: float,
    strike: float,
    years: float,
    rate: float,
    q: float,
) -> float:
    return scalar_price(right, spot, strike, years, rate, q, sigma) - paid


def array_implied(terms: Market, prices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Invert all contracts at once."""
    return european.implied_volatility(
        right=terms["right"],
        price=prices,
        spot=terms["spot"],
        strike=terms["strike"],
        years=terms["years"],
        rate=terms["rate"],
        dividend_yield=terms["dividend_yield"],
    )


def median_seconds(work: Callable[[], object], *, repeats: int) -> float:
    """Return the median of the wall times of `repeats` runs."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main() -> None:
    """Time both and print medians, accuracy and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contracts", type=int, default=200_000)
    parser.add_argument("--sample", type=int, default=2_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    terms, truth = market(arguments.contracts, seed=arguments.seed)
    prices = european.price(**terms, volatility=truth)
    found = array_implied(terms, prices)
    ours = median_seconds(lambda: array_implied(terms, prices), repeats=arguments.repeats)
    greek = median_seconds(
        lambda: european.greeks(**terms, volatility=truth), repeats=arguments.repeats
    )
    size = min(arguments.sample, arguments.contracts)
    sample = {name: values[:size] for name, values in terms.items()}
    peer = median_seconds(lambda: scalar_implied(sample, prices[:size]), repeats=3)
    scaled = peer * arguments.contracts / size
    error = float(np.max(np.abs(found / truth - 1.0)))
    peer_error = float(np.max(np.abs(scalar_implied(sample, prices[:size]) / truth[:size] - 1.0)))
    print(f"contracts                     {arguments.contracts:>12,}")
    print(f"ours, implied volatility      {1e3 * ours:>12.1f} ms   worst error {error:.1e}")
    print(f"ours, five greeks             {1e3 * greek:>12.1f} ms")
    print(f"brentq per contract, scaled   {1e3 * scaled:>12.1f} ms   worst error {peer_error:.1e}")
    print(f"ratio                         {scaled / ours:>12.0f} x")


if __name__ == "__main__":
    main()
