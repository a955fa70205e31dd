"""Time the simulated market: making it, one chain, a session's scan, a year of option bars.

Beside it stands what a plain loop over the contracts of one chain takes for American values alone
(one volatility, no dividends, no quotes, no activity).

    python benchmarks/simulated_market.py
"""

from collections.abc import Callable
from datetime import date, timedelta
from math import exp, log, pi, sqrt
from statistics import median
from time import perf_counter

import pandas as pd
from scipy.special import ndtr

from mahler_pipelines.exchange.simulated import SimulatedMarket

SESSION = date(2024, 9, 12)
RATE, VOLATILITY = 0.04, 0.30


def milliseconds(work: Callable[[int], object], repeats: int) -> float:
    """Return the median duration of `work(repeat)`."""
    times = []
    for repeat in range(repeats):
        start = perf_counter()
        work(repeat)
        times.append((perf_counter() - start) * 1e3)
    return median(times)


def plain_loop(quotes: pd.DataFrame) -> list[float]:
    """Value every contract of a chain one by one, at a volatility of 30 %."""
    days = (quotes["expiration"] - pd.Timestamp(SESSION)).dt.days.clip(lower=1).tolist()
    columns = (quotes[name].tolist() for name in ("underlying_price", "strike", "right"))
    values = []
    for spot, strike, right, ahead in zip(*columns, days, strict=True):
        years = ahead / 365
        value = black_scholes(spot, strike, right, years)
        values.append(value if right > 0 else value + put_premium(spot, strike, years))
    return values


def black_scholes(spot: float, strike: float, right: int, years: float) -> float:
    """European value (Black & Scholes 1973)."""
    total = VOLATILITY * sqrt(years)
    d1 = (log(spot / strike) + RATE * years) / total + 0.5 * total
    owed = strike * exp(-RATE * years) * ndtr(right * (d1 - total))
    return float(right * (spot * ndtr(right * d1) - owed))


def put_premium(spot: float, strike: float, years: float) -> float:
    """Early exercise premium (Barone-Adesi & Whaley 1987), by eight steps of Newton's method."""
    carry, total = 2 * RATE / VOLATILITY**2, VOLATILITY * sqrt(years)
    q = 0.5 * (1 - carry - sqrt((carry - 1) ** 2 + 4 * carry / (1 - exp(-RATE * years))))
    perpetual = carry / (1 + carry)
    ratio = perpetual + (1 - perpetual) * exp((RATE * years - 2 * total) / (1 - perpetual))
    for _ in range(8):
        d1 = (log(ratio) + RATE * years) / total + 0.5 * total
        tail, density = ndtr(-d1), exp(-0.5 * d1 * d1) / sqrt(2 * pi)
        held = black_scholes(ratio, 1.0, -1, years) - ratio * (1 - tail) / q
        slope = -tail * (1 - 1 / q) - (1 + density / total) / q
        ratio = min(max((1 - held + slope * ratio) / (1 + slope), perpetual), 1.0)
    d1 = (log(ratio) + RATE * years) / total + 0.5 * total
    return float(-strike * ratio / q * ndtr(d1) * max(spot / (strike * ratio), 1.0) ** q)


def main() -> None:
    """Print the measurements."""
    SimulatedMarket(0)  # reads the exchange's calendar once per process
    made = milliseconds(SimulatedMarket, 5)
    market = SimulatedMarket(7)
    close = market.snapshot_time(SESSION)
    ticker = "ALEG"
    quotes = market.quotes(ticker, close)
    chain = milliseconds(lambda n: market.quotes(ticker, close - timedelta(minutes=n)), 50)
    first = milliseconds(lambda n: SimulatedMarket(n).quotes(ticker, close), 5) - made

    def scan(repeat: int) -> int:
        when = market.snapshot_time(SESSION + timedelta(weeks=1 + repeat)) - timedelta(hours=2)
        return sum(len(market.quotes(each, when)) for each in market.underlyings)

    contracts = scan(0)
    whole_scan = milliseconds(lambda n: scan(1 + n), 7)
    loop = milliseconds(lambda _: plain_loop(quotes), 7)
    symbols = [
        symbol
        for each in market.underlyings
        for symbol in market.expired_contracts(each, date(2023, 10, 1), date(2023, 12, 31))[
            "symbol"
        ]
    ]
    start = perf_counter()
    bars = market.option_daily_bars(symbols, date(2023, 9, 1), date(2023, 12, 31))
    history = (perf_counter() - start) * 1e3
    rows = [
        ("make a market", made, "every daily path of 20 names"),
        (f"one chain, first of its session ({len(quotes)} contracts)", first, ""),
        ("one chain, later in the session", chain, ""),
        (f"a scan of 20 chains of a new session ({contracts} contracts)", whole_scan, ""),
        ("plain loop, American values of one chain", loop, f"{loop / chain:.1f} x the whole chain"),
        (f"option bars of {len(symbols)} symbols", history, f"{len(bars)} bars"),
    ]
    for label, took, note in rows:
        print(f"{label:<62}{took:>10.2f} ms   {note}")


if __name__ == "__main__":
    main()
