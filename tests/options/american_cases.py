"""Markets for American options, and what QuantLib says that they are worth."""

import math
from typing import Any

import numpy as np
import QuantLib as ql  # noqa: N813 - as its own documentation does
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Market = dict[str, Any]

QUANTLIB_CASES = 800


def markets(count: int, *, seed: int, shortest: float = 1 / 365) -> tuple[Market, Floats]:
    """Return terms and volatilities over the whole range that the accuracy is promised for.

    Calls and puts, rates from -1 % to 8 %, yields from 0 to 6 % (some none at all, some equal to
    the rate), whole days to two years, moneyness 60 % to 160 %, volatility 8 % to 120 %.
    """
    generator = np.random.default_rng(seed)
    years = np.exp(generator.uniform(math.log(shortest), math.log(2.0), count))
    rate = generator.uniform(-0.01, 0.08, count)
    held = np.where(generator.random(count) < 0.15, 0.0, generator.uniform(0.0, 0.06, count))
    same = (generator.random(count) < 0.08) & (rate > 0)
    terms = {
        "right": np.where(generator.random(count) < 0.5, 1.0, -1.0),
        "spot": np.full(count, 100.0),
        "strike": 100.0 * generator.uniform(0.6, 1.6, count),
        "years": np.maximum(np.round(years * 365), 1.0) / 365,
        "rate": rate,
        "dividend_yield": np.where(same, rate, held),
    }
    return terms, np.exp(generator.uniform(math.log(0.08), math.log(1.2), count))


def quantlib_prices(terms: Market, volatility: Floats) -> Floats:
    """Price each with QuantLib's QD+ fixed-point engine, high-precision scheme."""
    today = ql.Date(2, 1, 2026)
    ql.Settings.instance().evaluationDate = today
    count = ql.Actual365Fixed()
    spot, rate, held, sigma = (ql.SimpleQuote(1.0) for _ in range(4))
    process = ql.BlackScholesMertonProcess(
        ql.QuoteHandle(spot),
        ql.YieldTermStructureHandle(ql.FlatForward(today, ql.QuoteHandle(held), count)),
        ql.YieldTermStructureHandle(ql.FlatForward(today, ql.QuoteHandle(rate), count)),
        ql.BlackVolTermStructureHandle(
            ql.BlackConstantVol(today, ql.NullCalendar(), ql.QuoteHandle(sigma), count)
        ),
    )
    engine = ql.QdFpAmericanEngine(process, ql.QdFpAmericanEngine.highPrecisionScheme())
    prices = []
    for row in range(volatility.size):
        for quote, value in (
            (spot, terms["spot"]),
            (rate, terms["rate"]),
            (held, terms["dividend_yield"]),
            (sigma, volatility),
        ):
            quote.setValue(float(value[row]))
        kind = ql.Option.Call if terms["right"][row] > 0 else ql.Option.Put
        option = ql.VanillaOption(
            ql.PlainVanillaPayoff(kind, float(terms["strike"][row])),
            ql.AmericanExercise(today, today + round(terms["years"][row] * 365)),
        )
        option.setPricingEngine(engine)
        prices.append(option.NPV())
    return np.array(prices)
