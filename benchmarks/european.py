"""European implied volatility and five greeks: Mahler on one and two threads against py_vollib.

The contracts have one day to two years and half of them are in the money. py_vollib_vectorized and
py_vollib's loop (on a sample, scaled up) need old pins: the program makes them an environment of
their own, once, in --peers, and they are timed there in the same run. Compilation and Mahler's
tables are paid before the clock starts. Errors are against the volatility that made the price.
Run: python benchmarks/european.py [--contracts N] [--peers DIR | --no-peers]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mahler_pipelines.options import european
from mahler_pipelines.options.black_scholes.black import normalised_price

Floats = NDArray[np.float64]

HERE = Path(__file__).resolve().parent / "peers"
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "mahler" / "peers"


@dataclass(frozen=True)
class Market:
    """Contracts, their prices, and the volatilities that made them.

    `visible` is true out of the money where time value is at least 1e-8 of spot.
    """

    terms: dict[str, Floats]
    price: Floats
    volatility: Floats
    visible: NDArray[np.bool_]

    def table(self, rows: int) -> Floats:
        """Return what the peers read: one row per quantity."""
        order = ("right", "price", "spot", "strike", "years", "rate", "dividend_yield")
        columns = {**self.terms, "price": self.price}
        return np.array([*(columns[name][:rows] for name in order), self.volatility[:rows]])


@dataclass(frozen=True)
class Timing:
    """Seconds for all contracts, and the volatilities found (of the first ones)."""

    label: str
    implied: float
    greeks: float
    found: Floats

    @property
    def both(self) -> float:
        """Seconds for implied volatility and the greeks."""
        return self.implied + self.greeks


def market(contracts: int, *, seed: int) -> Market:
    """Return random contracts within three standard deviations of the forward."""
    generator = np.random.default_rng(seed)
    years = np.exp(generator.uniform(np.log(1 / 365), np.log(2.0), contracts))
    volatility = generator.uniform(0.08, 1.2, contracts)
    distance = generator.uniform(-3.0, 3.0, contracts) * volatility * np.sqrt(years)
    spot = generator.uniform(20.0, 600.0, contracts)
    terms = {
        "right": generator.choice([1.0, -1.0], contracts),
        "spot": spot,
        "strike": spot * np.exp(distance),
        "years": years,
        "rate": generator.uniform(0.0, 0.06, contracts),
        "dividend_yield": generator.uniform(0.0, 0.03, contracts),
    }
    return priced(terms, volatility)


def priced(terms: dict[str, Floats], volatility: Floats) -> Market:
    """Price the contracts by scipy's special functions, which none of the solvers rests on."""
    years = terms["years"]
    shares = terms["spot"] * np.exp(-terms["dividend_yield"] * years)
    cash = terms["strike"] * np.exp(-terms["rate"] * years)
    forward = np.log(terms["spot"] / terms["strike"])
    forward += (terms["rate"] - terms["dividend_yield"]) * years
    normalised = normalised_price(-np.abs(forward), volatility * np.sqrt(years))
    time_value = np.sqrt(shares * cash) * normalised
    intrinsic = np.maximum(terms["right"] * (shares - cash), 0.0)
    outside = (terms["right"] * forward <= 0) & (time_value >= 1e-8 * terms["spot"])
    return Market(terms, intrinsic + time_value, volatility, outside)


def median_seconds(work: Callable[[], object], *, repeats: int) -> float:
    """Return the median wall time of a call, after one that does not count."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def ours(quotes: Market, *, threads: int, repeats: int) -> Timing:
    """Time the door: implied volatility, then greeks at the volatilities."""

    def implied() -> Floats:
        return european.implied_volatility(**quotes.terms, price=quotes.price, threads=threads)

    def greeks() -> european.Greeks:
        return european.greeks(**quotes.terms, volatility=quotes.volatility, threads=threads)

    return Timing(
        f"mahler, {threads} thread{'s' * (threads > 1)}",
        median_seconds(implied, repeats=repeats),
        median_seconds(greeks, repeats=repeats),
        implied(),
    )


def ours_at_once(quotes: Market, *, threads: int, repeats: int) -> float:
    """Time volatility, reasons and greeks in one call."""
    return median_seconds(
        lambda: european.implied(**quotes.terms, price=quotes.price, threads=threads),
        repeats=repeats,
    )


def peer_python(folder: Path) -> Path | None:
    """Return the peers' interpreter, made on the first run; None where it can't be."""
    pins = HERE / "py_vollib.txt"
    home = folder / f"py_vollib-{sys.version_info.major}.{sys.version_info.minor}"
    python, ready = home / "bin" / "python", home / "installed.txt"
    if ready.exists() and ready.read_text() == pins.read_text():
        return python
    print(f"making the peers' environment in {home}", flush=True)
    try:
        venv.create(home, with_pip=True, clear=True)
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, "--no-deps", "--requirement", pins], check=True)  # noqa: S603 - our own pins
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"the peers can't be installed here: {error}")
        return None
    ready.write_text(pins.read_text())
    return python


def peer(python: Path, quotes: Market, *, kind: str, rows: int, repeats: int) -> Timing:
    """Time a peer on the first rows, in its own process, and scale it to all of them."""
    with tempfile.TemporaryDirectory() as name:
        np.save(Path(name) / "contracts.npy", quotes.table(rows))
        command = [python, HERE / "time_py_vollib.py", name, kind, str(repeats)]
        answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own script
        found = np.load(Path(name) / "found.npy")
    timed = json.loads(answer.stdout.splitlines()[-1])
    scale = quotes.price.size / rows
    label = {"vectorized": "py_vollib_vectorized", "loop": "py_vollib, loop (scaled)"}[kind]
    return Timing(label, scale * timed["implied"], scale * timed["greeks"], found)


def show(timings: list[Timing], quotes: Market) -> None:
    """Print seconds, errors out of the money, and how many times slower than ours."""
    visible = quotes.visible
    own = [timing.both for timing in timings[:2]]
    print(f"{'':<26}{'implied':>10}{'greeks':>10}{'both':>10}{'worst error':>13}{'ratio':>16}")
    for timing in timings:
        rows = timing.found.size
        error = np.abs(timing.found / quotes.volatility[:rows] - 1.0)[visible[:rows]]
        ratios = " /".join(f"{timing.both / each:6.1f}x" for each in own)
        print(
            f"{timing.label:<26}{1e3 * timing.implied:>7.0f} ms{1e3 * timing.greeks:>7.0f} ms"
            f"{1e3 * timing.both:>7.0f} ms{np.max(error):>13.1e}{ratios:>16}"
        )


def main() -> None:
    """Time everything and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contracts", type=int, default=1_000_000)
    parser.add_argument("--sample", type=int, default=5_000, help="contracts of the scalar loop")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--peers", type=Path, default=CACHE, help="folder of their environments")
    parser.add_argument("--no-peers", action="store_true")
    arguments = parser.parse_args()
    repeats = arguments.repeats
    quotes = market(arguments.contracts, seed=arguments.seed)
    python = None if arguments.no_peers else peer_python(arguments.peers)
    timings = [ours(quotes, threads=threads, repeats=repeats) for threads in (1, 2)]
    if python is not None:
        rows = {"vectorized": arguments.contracts, "loop": min(arguments.sample, quotes.price.size)}
        timings += [
            peer(python, quotes, kind=kind, rows=count, repeats=repeats)
            for kind, count in rows.items()
        ]
    again = [ours(quotes, threads=threads, repeats=repeats) for threads in (1, 2)]
    print(f"{arguments.contracts:,} contracts, medians of {repeats}; ratio to one / two threads")
    show(timings, quotes)
    drift = ", ".join(f"{1e3 * timing.both:.0f} ms" for timing in again)
    print(f"mahler once more, after the peers (a busy machine shows here): {drift}")
    for threads in (1, 2):
        took = 1e3 * ours_at_once(quotes, threads=threads, repeats=repeats)
        print(
            f"mahler, volatility, reasons and greeks in one call, threads {threads}: {took:.0f} ms"
        )


if __name__ == "__main__":
    main()
