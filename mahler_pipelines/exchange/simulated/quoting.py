"""From model values to quotes: widths, ticks, sizes, last trades. Elementwise.

Every number is a function of (seed, contract, session, step), so that a contract quotes the same
whether it is asked for alone or in its chain.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from mahler_pipelines.exchange.simulated.horizon import STEPS
from mahler_pipelines.exchange.simulated.randomness import (
    Draw,
    FloatArray,
    IntArray,
    KeyArray,
    uniforms,
)
from mahler_pipelines.exchange.simulated.universe import TickRule, Underlying

OLDEST_QUOTE_SECONDS = 4.0
_TICK_CHANGE = 3.0
_SHIFT = 0.15
"""Quotes stand off the model by at most this share of their width."""


@dataclass(frozen=True, slots=True, eq=False)
class Quotes:
    """Bids and asks in USD per share; `age_seconds` before the asked moment."""

    bid: FloatArray
    ask: FloatArray
    bid_size: FloatArray
    ask_size: FloatArray
    last: FloatArray
    age_seconds: FloatArray

    @property
    def mid(self) -> FloatArray:
        """The middle of bid and ask."""
        return 0.5 * (self.bid + self.ask)


def tick_size(ticks: TickRule, prices: FloatArray) -> FloatArray:
    """Return the smallest increment at each price."""
    below, above = ticks.value
    return np.where(prices < _TICK_CHANGE - 1e-9, below, above)


def moment_words(session: IntArray, step: IntArray) -> IntArray:
    """Return one integer per session and step."""
    return np.asarray(np.asarray(session, dtype=np.int64) * (STEPS + 1) + step)


def quote_prices(
    key: KeyArray,
    name: Underlying,
    *,
    value: FloatArray,
    distance: FloatArray,
    years: FloatArray,
    words: tuple[IntArray, IntArray],
) -> tuple[FloatArray, FloatArray]:
    """Return bid and ask around model values.

    `distance` is how many standard deviations the strike lies from the spot, `years` the time to
    expiration, `words` the contract's code and the moment. The bid is zero where the value is less
    than half the width; the ask is at least a tick above the bid.
    """
    width = _width(name, value, distance, years) * np.exp(
        0.18 * ndtri(uniforms(key, Draw.QUOTE_WIDTH, words))
    )
    width = np.maximum(width, tick_size(name.ticks, value))
    shift = _SHIFT * (2.0 * uniforms(key, Draw.QUOTE_SHIFT, words) - 1.0)
    middle = value + shift * width
    bid = _to_tick(name.ticks, np.maximum(middle - 0.5 * width, 0.0))
    ask = _to_tick(name.ticks, middle + 0.5 * width)
    return bid, np.maximum(ask, np.round(bid + tick_size(name.ticks, bid), 2))


def dress_quotes(
    key: KeyArray,
    name: Underlying,
    *,
    bid: FloatArray,
    ask: FloatArray,
    traded: FloatArray,
    interest: FloatArray,
    words: tuple[IntArray, IntArray],
) -> Quotes:
    """Add sizes, last trade and age; a contract that hasn't traded has no last price."""
    depth = 4.0 + 0.06 * np.sqrt(interest * name.option_interest)
    bid_size = np.ceil(depth * np.exp(0.6 * ndtri(uniforms(key, Draw.BID_SIZE, words))))
    ask_size = np.ceil(depth * np.exp(0.6 * ndtri(uniforms(key, Draw.ASK_SIZE, words))))
    where = uniforms(key, Draw.LAST, words)
    between = np.maximum(_to_tick(name.ticks, 0.5 * (bid + ask)), name.ticks.value[0])
    last = np.where((where < 0.3) & (bid > 0), bid, np.where(where < 0.6, ask, between))
    return Quotes(
        bid=bid,
        ask=ask,
        bid_size=np.where(bid > 0, bid_size, 0.0),
        ask_size=ask_size,
        last=np.where(traded > 0, last, np.nan),
        age_seconds=OLDEST_QUOTE_SECONDS * uniforms(key, Draw.QUOTE_AGE, words),
    )


def _width(
    name: Underlying, value: FloatArray, distance: FloatArray, years: FloatArray
) -> FloatArray:
    far = 1.0 + 0.10 * np.minimum(np.square(distance), 12.0)
    scale = 0.012 + 0.026 * value**0.75 * far * (1.0 + 0.6 * years)
    return np.asarray(name.spread_factor * scale)


def _to_tick(ticks: TickRule, prices: FloatArray) -> FloatArray:
    tick = tick_size(ticks, prices)
    return np.round(np.rint(prices / tick) * tick, 2)
