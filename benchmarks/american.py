"""American implied volatility of a whole market: Mahler on one and two threads against QuantLib.

Five hundred underlyings with twenty expirations of one day to two years, and fifty strikes each,
calls and puts, so that half are in the money. The peer is QuantLib's fast QD+ fixed-point engine
under scipy's Brent, as a desk would write it, on a sample and scaled up. Both also answer for their
accuracy: on another sample, priced by QuantLib's high-precision engine.
Run: python benchmarks/american.py [--contracts N]
"""

import argparse
import math
import statistics
import time
from collections.abc import Callable

import numpy as np
import QuantLib as ql  # noqa: N813 - as its own documentation does
from numpy.typing import NDArray
from scipy.optimize import brentq

from mahler_pipelines.options import american
from mahler_pipelines.options.american_terms import Terms, value_without_volatility
from mahler_pipelines.options.dividends import dividend_schedule

Floats = NDArray[np.float64]
Market = dict[str, Floats]

EXPIRATIONS, STRIKES = 20, 50
ORDER = ("right", "spot", "strike", "years", "rate", "dividend_yield")


def market(underlyings: int, *, seed: int) -> tuple[Market, Floats]:
    """Return terms, in the order of a chain, and volatilities on a smile."""
    generator = np.random.default_rng(seed)
    series = underlyings * EXPIRATIONS
    days = np.round(np.exp(generator.uniform(0.0, math.log(730.0), series)))
    spot = np.repeat(generator.uniform(15.0, 600.0, underlyings), EXPIRATIONS)
    level = np.repeat(generator.uniform(0.12, 0.8, underlyings), EXPIRATIONS)
    held = np.repeat(np.maximum(generator.uniform(-0.02, 0.05, underlyings), 0.0), EXPIRATIONS)
    held = np.where(held > 0, held + generator.uniform(0.0, 0.01, series), 0.0)
    away = np.linspace(-2.0, 2.0, STRIKES)
    strike = spot[:, None] * np.exp(away * (level * np.sqrt(days / 365))[:, None])
    smile = level[:, None] * (1.05 - 0.08 * away + 0.04 * away**2)
    each = 2 * STRIKES
    terms = {
        "right": np.tile([1.0, -1.0], series * STRIKES),
        "spot": np.repeat(spot, each),
        "strike": np.repeat(strike.ravel(), 2),
        "years": np.repeat(days / 365, each),
        "rate": np.repeat(0.043 - 0.003 * days / 730, each),
        "dividend_yield": np.repeat(held, each),
    }
    return terms, np.repeat(smile.ravel(), 2)


def visible(terms: Market, price: Floats, volatility: Floats) -> NDArray[np.bool_]:
    """Return where the price says something of volatility: a cent or more per 100 of spot."""
    columns = Terms(*(terms[name] for name in ORDER), volatility)
    least = value_without_volatility(columns, dividend_schedule(()))
    return np.asarray(price - least >= 1e-4 * terms["spot"])


class Engine:
    """QuantLib's engine for one contract at a time."""

    def __init__(self, scheme: object) -> None:
        """Build the process on quotes that are set for each contract."""
        self.today = ql.Date(2, 1, 2026)
        ql.Settings.instance().evaluationDate = self.today
        count = ql.Actual365Fixed()
        self.quotes = {name: ql.SimpleQuote(1.0) for name in ("spot", "rate", "held", "sigma")}
        handles = {name: ql.QuoteHandle(quote) for name, quote in self.quotes.items()}
        flat = {name: ql.FlatForward(self.today, handles[name], count) for name in ("rate", "held")}
        sigma = ql.BlackConstantVol(self.today, ql.NullCalendar(), handles["sigma"], count)
        process = ql.BlackScholesMertonProcess(
            handles["spot"],
            ql.YieldTermStructureHandle(flat["held"]),
            ql.YieldTermStructureHandle(flat["rate"]),
            ql.BlackVolTermStructureHandle(sigma),
        )
        self.engine = ql.QdFpAmericanEngine(process, scheme)

    def option(self, terms: Market, row: int) -> object:
        """Return the contract of a row, and set the quotes for it."""
        for name, column in (("spot", "spot"), ("rate", "rate"), ("held", "dividend_yield")):
            self.quotes[name].setValue(float(terms[column][row]))
        kind = ql.Option.Call if terms["right"][row] > 0 else ql.Option.Put
        payoff = ql.PlainVanillaPayoff(kind, float(terms["strike"][row]))
        expiry = self.today + round(float(terms["years"][row]) * 365)
        option = ql.VanillaOption(payoff, ql.AmericanExercise(self.today, expiry))
        option.setPricingEngine(self.engine)
        return option

    def price(self, terms: Market, row: int, sigma: float) -> float:
        """Price a row."""
        option = self.option(terms, row)
        self.quotes["sigma"].setValue(sigma)
        return float(option.NPV())  # type: ignore[attr-defined]

    def implied(self, terms: Market, row: int, paid: float) -> float:
        """Invert a price by Brent's method; NaN where it finds no bracket."""
        option = self.option(terms, row)

        def miss(sigma: float) -> float:
            self.quotes["sigma"].setValue(sigma)
            return float(option.NPV()) - paid  # type: ignore[attr-defined]

        try:
            return float(brentq(miss, 0.03, 3.0, xtol=1e-7))
        except ValueError:
            return math.nan


def median_seconds(work: Callable[[], object], *, repeats: int) -> float:
    """Return the median wall time of a call, after one that does not count."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def show_accuracy(terms: Market, volatility: Floats, rows: NDArray[np.intp]) -> None:
    """Print errors in volatility where the high-precision engine made the prices."""
    precise = Engine(ql.QdFpAmericanEngine.highPrecisionScheme())
    fast = Engine(ql.QdFpAmericanEngine.fastScheme())
    sample = {name: values[rows] for name, values in terms.items()}
    paid = np.array([precise.price(terms, row, float(volatility[row])) for row in rows])
    seen = visible(sample, paid, volatility[rows])
    found = {
        "mahler": american.implied_volatility(**sample, price=paid),
        "QdFp fast + Brent": np.array(
            [fast.implied(terms, row, price) for row, price in zip(rows, paid, strict=True)]
        ),
    }
    outside = sample["right"] * (sample["spot"] - sample["strike"]) < 0
    print(f"\n{'worst error in volatility':<26}{'out of the money':>18}{'in the money':>14}")
    for label, values in found.items():
        error = np.abs(values - volatility[rows])
        worst = [np.nanmax(error[seen & side]) for side in (outside, ~outside)]
        print(f"{label:<26}{worst[0]:>18.1e}{worst[1]:>14.1e}")


def main() -> None:
    """Time everything and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contracts", type=int, default=1_000_000)
    parser.add_argument("--sample", type=int, default=2_000, help="contracts of the peer")
    parser.add_argument("--precise", type=int, default=500, help="contracts priced precisely")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seed", type=int, default=11)
    arguments = parser.parse_args()
    underlyings = max(arguments.contracts // (EXPIRATIONS * STRIKES * 2), 1)
    terms, volatility = market(underlyings, seed=arguments.seed)
    count = volatility.size
    paid = american.price(**terms, volatility=volatility)
    seen = visible(terms, paid, volatility)
    inside = np.mean(terms["right"] * (terms["spot"] - terms["strike"]) > 0)
    print(f"{count:,} contracts in {underlyings * EXPIRATIONS:,} series, {inside:.0%} in the money")
    own = []
    for threads in (1, 2):
        kept: list[Floats] = []

        def invert(threads: int = threads, kept: list[Floats] = kept) -> None:
            kept[:] = [american.implied_volatility(**terms, price=paid, threads=threads)]

        seconds = median_seconds(invert, repeats=arguments.repeats)
        error = np.max(np.abs(kept[0] - volatility)[seen])
        own.append(seconds)
        print(
            f"mahler, {threads} thread{'s' * (threads > 1):<2}{1e3 * seconds:>9.0f} ms"
            f"{1e6 * seconds / count:>9.2f} us each   worst error {error:.1e}"
        )
    engine = Engine(ql.QdFpAmericanEngine.fastScheme())
    generator = np.random.default_rng(arguments.seed)
    rows = generator.choice(np.flatnonzero(seen), arguments.sample, replace=False)
    start = time.perf_counter()
    for row in rows:
        engine.implied(terms, int(row), float(paid[row]))
    each = (time.perf_counter() - start) / rows.size
    ratios = " / ".join(f"{each * count / seconds:.0f}x" for seconds in own)
    print(f"QdFp fast + Brent {1e3 * each * count:>8.0f} ms{1e6 * each:>9.2f} us each   {ratios}")
    show_accuracy(terms, volatility, rows[: arguments.precise])


if __name__ == "__main__":
    main()
