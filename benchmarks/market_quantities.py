"""Time what follows implied volatility: 500 underlyings of 2,000 contracts, a year of history.

python benchmarks/market_quantities.py [underlyings]
"""

import sys
from collections.abc import Callable
from statistics import median
from time import perf_counter

import numpy as np
import pandas as pd
from scipy.special import ndtr

from mahler_pipelines.market.ranks import rank_universe
from mahler_pipelines.market.term_structure import atm_volatility, constant_maturity_volatility
from mahler_pipelines.market.volatility_metrics import REALISED_SESSIONS, volatility_metrics

EXPIRATIONS, STRIKES, SESSIONS, REPEATS = 20, 50, 252, 7
TODAY = np.datetime64("2025-03-03", "us")


def milliseconds(work: Callable[[], object]) -> float:
    """Return the median duration of a piece of work."""
    times = []
    for _ in range(REPEATS):
        start = perf_counter()
        work()
        times.append((perf_counter() - start) * 1e3)
    return median(times)


def valued_chains(names: list[str], random: np.random.Generator) -> pd.DataFrame:
    """Make chains as `implied_volatilities` returns them, one quote in twenty refused."""
    count = len(names)
    shape = (count, EXPIRATIONS, STRIKES, 2)
    spot = np.broadcast_to(random.uniform(50, 350, (count, 1, 1, 1)), shape)
    days = np.broadcast_to(4 + 7 * np.arange(EXPIRATIONS)[:, None, None], shape)
    strike = spot * np.broadcast_to(np.linspace(0.6, 1.4, STRIKES)[:, None], shape)
    right = np.broadcast_to(np.array([1, -1]), shape)
    years, forward = days / 365, spot * np.exp(0.03 * days / 365)
    level = random.uniform(0.2, 0.4, (count, 1, 1, 1)) - 0.2 * np.log(strike / forward)
    level = np.maximum(level, 0.05)
    total = level * np.sqrt(years)
    delta = ndtr(np.log(forward / strike) / total + 0.5 * total) - (right < 0)
    refused = random.random(shape) < 0.05
    expiration = (TODAY.astype("datetime64[D]") + days).astype("datetime64[us]")
    columns = {
        "underlying": np.repeat(names, EXPIRATIONS * STRIKES * 2),
        "root": np.repeat(names, EXPIRATIONS * STRIKES * 2),
        "expiration": expiration.ravel(),
        "right": right.astype("int8").ravel(),
        "strike": strike.ravel(),
        "underlying_price": spot.ravel(),
        "mid": np.full(spot.size, 1.0),
        "quote_defect": np.where(refused, "quote_zero_bid", "").ravel(),
        "years": years.ravel(),
        "forward": forward.ravel(),
        "forward_source": np.full(spot.size, "parity"),
        "forward_pairs": np.full(spot.size, 7),
        "implied_volatility": np.where(refused, np.nan, level).ravel(),
        "delta": np.where(refused, np.nan, delta).ravel(),
    }
    texts = dict.fromkeys(["underlying", "root", "quote_defect", "forward_source"], "str")
    return pd.DataFrame(columns).astype(texts)


def histories(names: list[str], random: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Make a year of daily bars and of 30-day volatilities of every underlying."""
    sessions = pd.bdate_range(end="2025-02-28", periods=SESSIONS).astype("datetime64[us]")
    keys = {
        "underlying": pd.Series(np.repeat(names, SESSIONS), dtype="str"),
        "session": np.tile(sessions, len(names)),
    }
    close = 100 * np.exp(random.normal(0, 0.01, (len(names), SESSIONS)).cumsum(axis=1)).ravel()
    prices = {"open": close, "high": close * 1.01, "low": close * 0.99, "close": close}
    volatility = random.uniform(0.15, 0.35, close.size)
    return pd.DataFrame({**keys, **prices}), pd.DataFrame(
        {**keys, "implied_volatility": volatility}
    )


def main() -> None:
    """Print medians."""
    random = np.random.default_rng(20250303)
    names = [f"U{number:03d}" for number in range(int((sys.argv[1:] or ["500"])[0]))]
    chains = valued_chains(names, random)
    bars, history = histories(names, random)
    trailing = [stamp.date() for stamp in bars["session"].iloc[:SESSIONS]][-REALISED_SESSIONS - 1 :]
    atm = atm_volatility(chains)
    current = constant_maturity_volatility(atm).assign(session=TODAY)
    parts: dict[str, Callable[[], object]] = {
        "volatility at the money": lambda: atm_volatility(chains),
        "constant maturity": lambda: constant_maturity_volatility(atm),
        "ranks": lambda: rank_universe(history, current),
        "metrics (all of a row)": lambda: volatility_metrics(
            chains, bars, underlyings=names, sessions=trailing
        ),
    }
    print(f"{len(names)} underlyings, {len(chains):,} contracts, {len(atm):,} expirations")
    for name, work in parts.items():
        print(f"  {name:26} {milliseconds(work):8.1f} ms")


if __name__ == "__main__":
    main()
