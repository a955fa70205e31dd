"""From a whole market's quotes to IV ranks: 500 underlyings of 2,000 American contracts each.

Times every stage on the way, prints their sum and the peak memory of the process, quotes and all.
Run: python benchmarks/chain_to_ranks.py [--underlyings N] [--greeks]
"""

import argparse
import resource
import statistics
import time
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd

from mahler_pipelines.market.chains import conform_quotes
from mahler_pipelines.market.implied import implied_volatilities
from mahler_pipelines.market.ranks import rank_universe
from mahler_pipelines.market.rates import RateCurve
from mahler_pipelines.market.sessions import TradingCalendar
from mahler_pipelines.market.term_structure import atm_volatility, constant_maturity_volatility
from mahler_pipelines.options import american

EXPIRATIONS, STRIKES, SESSIONS = 20, 50, 252
AS_OF = datetime(2026, 3, 2, 17, 0, tzinfo=UTC)
RATE = 0.043


def quotes(underlyings: int, *, seed: int) -> pd.DataFrame:
    """Return chains as a scan fetches them, quoted around American prices on a smile."""
    random = np.random.default_rng(seed)
    series = underlyings * EXPIRATIONS
    fridays = [AS_OF.date() + timedelta(days=4 + 7 * week) for week in range(EXPIRATIONS)]
    days = np.tile([(day - AS_OF.date()).days for day in fridays], underlyings)
    spot = np.repeat(random.uniform(15.0, 600.0, underlyings), EXPIRATIONS)
    level = np.repeat(random.uniform(0.12, 0.8, underlyings), EXPIRATIONS)
    held = np.repeat(np.maximum(random.uniform(-0.02, 0.05, underlyings), 0.0), EXPIRATIONS)
    away = np.linspace(-2.0, 2.0, STRIKES)
    strike = np.round(spot[:, None] * np.exp(away * (level * np.sqrt(days / 365))[:, None]), 2)
    smile = level[:, None] * (1.05 - 0.08 * away + 0.04 * away**2)
    each = 2 * STRIKES
    years = np.repeat((days + 4 / 24) / 365, each)
    right = np.tile([1.0, -1.0], series * STRIKES)
    spots, strikes = np.repeat(spot, each), np.repeat(strike.ravel(), 2)
    fair = american.price(
        right=right,
        spot=spots,
        strike=strikes,
        years=years,
        rate=RATE,
        dividend_yield=np.repeat(held, each),
        volatility=np.repeat(smile.ravel(), 2),
    )
    half = 0.005 + 0.01 * fair
    names = pd.array([f"U{number:03d}" for number in range(underlyings)], dtype="str")
    count = right.size
    frame = pd.DataFrame(
        {
            "underlying": names.take(np.repeat(np.arange(underlyings), EXPIRATIONS * each)),
            "symbol": pd.Series(np.arange(count)).astype("str"),
            "root": names.take(np.repeat(np.arange(underlyings), EXPIRATIONS * each)),
            "expiration": np.repeat(
                np.tile(np.array(fridays, dtype="datetime64[us]"), underlyings), each
            ),
            "right": right.astype(np.int8),
            "strike": strikes,
            "bid": np.maximum(np.round(fair - half, 2), 0.0),
            "ask": np.round(fair + half, 2) + 0.01,
            "underlying_price": spots,
            "quote_time": pd.Timestamp(AS_OF),
        }
    )
    return conform_quotes(frame)


def history(names: list[str], *, seed: int) -> pd.DataFrame:
    """Return a year of 30-day volatilities of every underlying."""
    random = np.random.default_rng(seed)
    sessions = pd.bdate_range(end="2026-02-27", periods=SESSIONS).astype("datetime64[us]")
    return pd.DataFrame(
        {
            "underlying": pd.Series(np.repeat(names, SESSIONS), dtype="str"),
            "session": np.tile(sessions, len(names)),
            "implied_volatility": random.uniform(0.15, 0.8, SESSIONS * len(names)),
        }
    )


def stages(chains: pd.DataFrame, past: pd.DataFrame, *, greeks: bool) -> dict[str, float]:
    """Run the way once; return seconds by stage."""
    laps = [time.perf_counter()]
    valued = implied_volatilities(
        chains,
        as_of=AS_OF,
        rates=RateCurve.flat(RATE),
        dividend_yields={},
        calendar=TradingCalendar(),
        with_greeks=greeks,
    )
    laps.append(time.perf_counter())
    current = constant_maturity_volatility(atm_volatility(valued))
    laps.append(time.perf_counter())
    ranks = rank_universe(past, current.assign(session=pd.Timestamp(AS_OF.date()).as_unit("us")))
    laps.append(time.perf_counter())
    if not ranks["iv_rank"].notna().all():
        raise SystemExit("an underlying has no rank")
    names = ("quotes to volatilities", "volatilities to 30 days", "30 days to ranks")
    return dict(zip(names, np.diff(laps).tolist(), strict=True))


def main() -> None:
    """Print medians and the peak."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--underlyings", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--greeks", action="store_true", help="greeks of every contract too")
    arguments = parser.parse_args()
    chains = quotes(arguments.underlyings, seed=5)
    past = history(sorted(chains["underlying"].unique()), seed=6)
    stages(chains, past, greeks=arguments.greeks)
    runs = [stages(chains, past, greeks=arguments.greeks) for _ in range(arguments.repeats)]
    print(f"{arguments.underlyings} underlyings, {len(chains):,} contracts")
    for name in runs[0]:
        print(f"  {name:<26}{statistics.median(run[name] for run in runs):>8.2f} s")
    whole = statistics.median(sum(run.values()) for run in runs)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"  {'all':<26}{whole:>8.2f} s    peak memory {peak:.2f} GiB")


if __name__ == "__main__":
    main()
