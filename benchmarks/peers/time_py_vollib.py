"""Time py_vollib on the contracts of a folder; runs in the peer's own environment.

    python time_py_vollib.py FOLDER vectorized|loop REPEATS

FOLDER holds contracts.npy, rows of right, price, spot, strike, years, rate, yield and volatility.
Writes found.npy (volatilities) and prints one line of JSON: seconds per call of implied volatility
and of the five greeks. The loop has a process of its own, because importing py_vollib_vectorized
replaces py_vollib's own functions.
"""

import json
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

warnings.filterwarnings("ignore")  # numba 0.58 announces what 0.59 did

Floats = NDArray[np.float64]
Work = Callable[[], object]


def vectorized(contracts: Floats) -> tuple[Callable[[], Floats], Work]:
    """Return implied volatility and greeks of py_vollib_vectorized, as functions of nothing."""
    import py_vollib_vectorized as peer

    right, price, spot, strike, years, rate, carry, sigma = contracts
    flag = np.where(right > 0, "c", "p")
    model = {"model": "black_scholes_merton"}

    def implied() -> Floats:
        return np.asarray(
            peer.vectorized_implied_volatility(
                price,
                spot,
                strike,
                years,
                rate,
                flag,
                q=carry,
                return_as="numpy",
                on_error="ignore",
                **model,
            )
        )

    def greeks() -> object:
        return peer.get_all_greeks(
            flag, spot, strike, years, rate, sigma, carry, return_as="dict", **model
        )

    return implied, greeks


def loop(contracts: Floats) -> tuple[Callable[[], Floats], Work]:
    """Return the same of py_vollib, one contract after another."""
    from py_vollib.black_scholes_merton.greeks import analytical
    from py_vollib.black_scholes_merton.implied_volatility import implied_volatility

    rows = [
        (price, spot, strike, years, rate, carry, sigma, "c" if right > 0 else "p")
        for right, price, spot, strike, years, rate, carry, sigma in contracts.T.tolist()
    ]
    names = ("delta", "gamma", "theta", "vega", "rho")
    slopes = [getattr(analytical, name) for name in names]

    def implied() -> Floats:
        return np.array([implied_volatility(*row[:6], row[7]) for row in rows])

    def greeks() -> object:
        return [
            slope(flag, spot, strike, years, rate, sigma, carry)
            for _, spot, strike, years, rate, carry, sigma, flag in rows
            for slope in slopes
        ]

    return implied, greeks


def seconds(work: Work, repeats: int) -> float:
    """Return the median wall time of a call, after one that compiles."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main() -> None:
    """Time the peer and leave its answers in the folder."""
    folder, kind, repeats = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    contracts = np.load(folder / "contracts.npy")
    implied, greeks = (vectorized if kind == "vectorized" else loop)(contracts)
    timed = {"implied": seconds(implied, repeats), "greeks": seconds(greeks, repeats)}
    np.save(folder / "found.npy", implied())
    print(json.dumps(timed))


if __name__ == "__main__":
    main()
