"""The band of credits that an approval binds, in exact decimals on the price grid."""

import math
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from mahler_pipelines.errors import BadInput
from mahler_pipelines.options.structures import CENT

WIRE_DECIMALS = 4
"""Quotes come from the wire with at most four decimals; more is binary noise."""


@dataclass(frozen=True, slots=True)
class CreditBand:
    """Credits per share: floor <= natural <= target; floor and target lie on the tick.

    `natural` is what crossing both quotes would bring, `target` the mid rounded down to the tick,
    `floor` the least that is accepted.
    """

    target: Decimal
    natural: Decimal
    floor: Decimal


def exact_price(name: str, value: object) -> Decimal:
    """Read a quoted price exactly as it came from the wire; raise `BadInput` when it is none."""
    number = float(value) if isinstance(value, int | float) else math.nan
    if not math.isfinite(number):
        raise BadInput(name, value, "is not a price")
    return Decimal(str(round(number, WIRE_DECIMALS)))


def credit_band(
    *,
    short_bid: Decimal,
    short_ask: Decimal,
    long_bid: Decimal,
    long_ask: Decimal,
    tolerance: Decimal,
    tick: Decimal = CENT,
) -> CreditBand | None:
    """Return the band of a credit spread, None where the natural credit is below one tick.

    The floor lies `tolerance` (a fraction) below the natural credit, rounded down to the tick, one
    tick at least. Where rounding the mid down would put the target below the natural credit, the
    target is the natural credit rounded up. Raises `BadInput` for a tick that is not positive.
    """
    if tick <= 0:
        raise BadInput("tick", tick, "is not positive")
    natural = short_bid - long_ask
    if natural < tick:
        return None
    mid = (short_bid + short_ask - long_bid - long_ask) / 2
    target = _on_tick(mid, tick, ROUND_FLOOR)
    if target < natural:
        target = _on_tick(natural, tick, ROUND_CEILING)
    floor = max(tick, _on_tick(natural * (1 - tolerance), tick, ROUND_FLOOR))
    return CreditBand(target=target, natural=natural, floor=floor)


def _on_tick(price: Decimal, tick: Decimal, rounding: str) -> Decimal:
    return (price / tick).to_integral_value(rounding) * tick
